//! What an agent does with a key Secret that it is offered: whether the file on its node may be replaced.
//!
//! It never lowers the generation, and never drops a key or a provider that the Secret does not list as retired with
//! the proof that nothing is under it. A kubelet that restarts may mount an older Secret; a person may edit the file.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::configuration::{Configuration, file_hash};
use super::custody::{Custody, Step};
use super::observation::AgentProblem;

/// What an agent does now.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The file is right.
    Right,
    /// Nothing to write yet: the record is still taking the file in.
    Show,
    /// Replace the file by that of the offered record.
    Replace {
        /// The file was damaged by somebody and is put back.
        heals: bool,
    },
    /// Put the file of the agent's own last record back: somebody damaged it.
    PutBack,
    /// Leave everything as it is.
    Keep(AgentProblem),
}

fn keep(reason: &str, message: impl Into<String>) -> Verdict {
    Verdict::Keep(AgentProblem {
        reason: reason.to_owned(),
        message: message.into(),
    })
}

/// Judges what is offered against the last record that this agent wrote, and the file as it is.
#[must_use]
pub fn judge(offered: Result<&Custody, &str>, last: Option<&Custody>, disk: Option<&str>) -> Verdict {
    let offered = match offered {
        Ok(offered) => offered,
        Err(what) => return healing(last, disk).unwrap_or_else(|| keep("NoKeySecret", what)),
    };
    if offered.step == Step::Import {
        return if last.is_some() {
            keep(
                "OlderSecret",
                "the Secret begins anew, but this node has a file of ours: privacy-operator recover --help",
            )
        } else if disk.is_none() {
            keep(
                "FileMissing",
                "the API server's file is not there: is the agent's directory the right one (encryption.directory, encryption.file)?",
            )
        } else {
            Verdict::Show
        };
    }
    let Some(file) = &offered.file else {
        return keep("NoKeySecret", "the Secret holds no file");
    };
    if let Some(last) = last {
        if offered.generation < last.generation {
            let older = keep(
                "OlderSecret",
                format!(
                    "the Secret that is mounted is of generation {}, the file is of {}: the newer one stays",
                    offered.generation, last.generation
                ),
            );
            return healing(Some(last), disk).unwrap_or(older);
        }
        if offered.generation == last.generation && offered.file_hash() != last.file_hash() {
            return keep(
                "ForkedSecret",
                format!(
                    "there are two files of generation {}: the one on this node stays",
                    last.generation
                ),
            );
        }
    }
    let Some(disk) = disk else {
        return match last {
            Some(_) => Verdict::Replace { heals: true },
            None => keep(
                "FileMissing",
                "the API server's file is not there: is the agent's directory the right one (encryption.directory, encryption.file)?",
            ),
        };
    };
    if file_hash(disk) == file_hash(file) {
        return Verdict::Right;
    }
    let is_ours = offered.generation_of(&file_hash(disk)).is_some()
        || last.is_some_and(|last| last.generation_of(&file_hash(disk)).is_some());
    match lost_readers(disk, file, offered) {
        // Not readable as a file: no API server can have loaded it.
        None if last.is_some() => Verdict::Replace { heals: true },
        None => keep(
            "FileNotUnderstood",
            "the API server's file is not understood, and it is not ours: it is left alone",
        ),
        Some(missing) if missing.is_empty() => {
            let plain = in_plain_text_again(disk, file);
            if is_ours && !plain.is_empty() {
                keep(
                    "WouldWritePlainText",
                    format!(
                        "with the new file the API server would write {} in plain text, which it encrypts now: the old file stays. The Secret was rebuilt from a record that is too old: take the newest record of all nodes (privacy-operator recover --help)",
                        plain.join(", ")
                    ),
                )
            } else {
                Verdict::Replace { heals: !is_ours }
            }
        }
        Some(missing) if is_ours => keep(
            "KeyNotRetired",
            format!(
                "the new file would lack {}, and nothing proves that they are not needed: the old file stays",
                missing.join(", ")
            ),
        ),
        Some(missing) => keep(
            "FileChangedByHand",
            format!(
                "somebody wrote {} into the API server's file: it is left alone. Take it out again, or put the last file back from the agent's directory",
                missing.join(", ")
            ),
        ),
    }
}

/// Without a usable Secret: a damaged file is put back from the agent's own record.
fn healing(last: Option<&Custody>, disk: Option<&str>) -> Option<Verdict> {
    let last = last?;
    let file = last.file.as_ref()?;
    let is_whole = disk.is_some_and(|disk| Configuration::parse(disk).is_ok());
    (!is_whole && disk != Some(file)).then_some(Verdict::PutBack)
}

/// What could be read with the old file and could not with the new one, but for keys that are proven to be retired.
/// `None`: the old file is not one.
fn lost_readers(old: &str, new: &str, offered: &Custody) -> Option<Vec<String>> {
    let old = Configuration::parse(old).ok()?.readers();
    let new: BTreeMap<String, BTreeSet<String>> = Configuration::parse(new)
        .map(|configuration| configuration.readers())
        .unwrap_or_default();
    let mut lost = BTreeSet::new();
    for (resource, readers) in old {
        for reader in readers {
            let stays = new.get(&resource).is_some_and(|readers| readers.contains(&reader));
            if !stays && !is_retired(&reader, offered) {
                lost.insert(describe(&resource, &reader));
            }
        }
    }
    Some(lost.into_iter().collect())
}

/// What is encrypted with the old file and would not be with the new one.
fn in_plain_text_again(old: &str, new: &str) -> Vec<String> {
    let (Ok(old), Ok(new)) = (Configuration::parse(old), Configuration::parse(new)) else {
        return Vec::new();
    };
    let encrypted = old.encrypted().into_iter();
    encrypted.filter(|resource| new.writes_plain_text(resource)).collect()
}

fn is_retired(reader: &str, offered: &Custody) -> bool {
    let Some(name) = reader
        .strip_prefix("secretbox ")
        .and_then(|rest| rest.split(' ').next())
    else {
        return false;
    };
    offered.retired.iter().any(|retired| {
        let is_proof =
            retired.verification.len() == 64 && retired.verification.bytes().all(|byte| byte.is_ascii_hexdigit());
        // The proof at hand must not be about the very key that leaves.
        let contradicts = offered
            .verification
            .as_ref()
            .is_some_and(|proof| proof.digest() == retired.verification && proof.key == name);
        retired.name == name && is_proof && !contradicts
    })
}

/// Kind and name, without the hash of the material.
fn describe(resource: &str, reader: &str) -> String {
    let mut words = reader.split(' ');
    let (kind, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if kind == "kms" || name.is_empty() {
        format!("the provider {kind} for {resource}")
    } else {
        format!("the {kind} key {name} for {resource}")
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::encryption::custody::Verification;

    const BASELINE: &str = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers: [{identity: {}}]\n";

    fn now() -> Timestamp {
        "2026-11-22T05:00:00Z".parse().unwrap()
    }

    fn secrets() -> Vec<String> {
        vec!["secrets".to_owned()]
    }

    /// A record in which the first key writes, and the one before it.
    fn records() -> (Custody, Custody) {
        let first = Custody::importing(&[0; 32]).imported(BASELINE);
        let second = first.minted(&[1; 32], &secrets(), None, now()).distributed().unwrap();
        (second.clone(), second.promoted().unwrap())
    }

    fn reason(verdict: Verdict) -> String {
        match verdict {
            Verdict::Keep(problem) => problem.reason,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_newer_file_replaces_an_older_one_and_never_the_other_way_round() {
        let (old, new) = records();
        let disk = |custody: &Custody| custody.file.clone().unwrap();
        assert_eq!(
            judge(Ok(&new), Some(&old), Some(&disk(&old))),
            Verdict::Replace { heals: false }
        );
        assert_eq!(judge(Ok(&new), Some(&new), Some(&disk(&new))), Verdict::Right);
        assert_eq!(reason(judge(Ok(&old), Some(&new), Some(&disk(&new)))), "OlderSecret");
        let mut forked = new.clone();
        forked.file = old.file.clone();
        assert_eq!(
            reason(judge(Ok(&forked), Some(&new), Some(&disk(&new)))),
            "ForkedSecret"
        );
    }

    #[test]
    fn first_contact_shows_the_file_and_takes_it_for_right_once_it_is_taken_in() {
        let importing = Custody::importing(&[0; 32]);
        assert_eq!(judge(Ok(&importing), None, Some(BASELINE)), Verdict::Show);
        assert_eq!(
            judge(Ok(&importing.imported(BASELINE)), None, Some(BASELINE)),
            Verdict::Right
        );
        assert_eq!(reason(judge(Ok(&importing), None, None)), "FileMissing");
        let (old, _) = records();
        assert_eq!(reason(judge(Ok(&importing), Some(&old), Some(BASELINE))), "OlderSecret");
    }

    #[test]
    fn a_key_leaves_only_with_a_proof_that_is_not_about_itself() {
        let (_, one) = records();
        let two = one
            .minted(&[2; 32], &secrets(), None, now())
            .distributed()
            .unwrap()
            .promoted()
            .unwrap();
        let first = one.active.clone().unwrap();
        let mut early = two.clone();
        early.keys.retain(|key| key.name != first);
        early.generation += 1;
        early.file = early.file.map(|file| file.replace(&first, "privacy-operator-9-z"));
        assert_eq!(
            reason(judge(Ok(&early), Some(&two), two.file.as_deref())),
            "KeyNotRetired"
        );
        let proof = |key: &str| Verification {
            key: key.to_owned(),
            generation: two.generation,
            objects: 3,
            servers: vec![],
            resources: secrets(),
            at: now(),
        };
        let pruned = two
            .verified(proof(two.active.as_ref().unwrap()))
            .pruned(std::slice::from_ref(&first))
            .unwrap();
        assert_eq!(
            judge(Ok(&pruned), Some(&two), two.file.as_deref()),
            Verdict::Replace { heals: false }
        );
        let wrong = two
            .verified(proof(&first))
            .pruned(std::slice::from_ref(&first))
            .unwrap();
        assert_eq!(
            reason(judge(Ok(&wrong), Some(&two), two.file.as_deref())),
            "KeyNotRetired"
        );
    }

    #[test]
    fn no_file_goes_back_to_plain_text() {
        let (old, new) = records();
        // Rebuilt from a record of before the key came first.
        let recovered = old.recovered().unwrap();
        let verdict = judge(Ok(&recovered), Some(&new), new.file.as_deref());
        let Verdict::Keep(problem) = verdict else {
            panic!("{verdict:?}")
        };
        assert_eq!(problem.reason, "WouldWritePlainText");
        assert!(problem.message.contains("secrets"), "{}", problem.message);
        assert_eq!(judge(Ok(&recovered), Some(&old), old.file.as_deref()), Verdict::Right);
        let newest = new.recovered().unwrap();
        assert_eq!(judge(Ok(&newest), Some(&new), new.file.as_deref()), Verdict::Right);
    }

    #[test]
    fn a_file_that_somebody_broke_is_put_back_and_one_that_somebody_extended_is_left_alone() {
        let (old, new) = records();
        let file = new.file.clone().unwrap();
        let truncated = &file[..file.len() / 2];
        assert_eq!(
            judge(Ok(&new), Some(&new), Some(truncated)),
            Verdict::Replace { heals: true }
        );
        assert_eq!(judge(Ok(&new), Some(&new), Some("")), Verdict::Replace { heals: true });
        assert_eq!(judge(Ok(&new), Some(&new), None), Verdict::Replace { heals: true });
        // Without a usable Secret, or with an older one, from its own record.
        assert_eq!(judge(Err("x"), Some(&new), Some(truncated)), Verdict::PutBack);
        assert_eq!(judge(Ok(&old), Some(&new), Some(truncated)), Verdict::PutBack);
        assert_eq!(reason(judge(Err("x"), Some(&new), Some(&file))), "NoKeySecret");
        // A comment takes nothing away; another key could already be in use.
        let commented = format!("# mine\n{file}");
        assert_eq!(
            judge(Ok(&new), Some(&new), Some(&commented)),
            Verdict::Replace { heals: true }
        );
        let extended = file.replace(
            "- identity: {}",
            "- identity: {}\n      - aescbc: {keys: [{name: mine, secret: MDEyMzQ1Njc4OWFiY2RlZg==}]}",
        );
        let verdict = judge(Ok(&new), Some(&new), Some(&extended));
        let Verdict::Keep(problem) = verdict else {
            panic!("{verdict:?}")
        };
        assert_eq!(problem.reason, "FileChangedByHand");
        assert!(
            problem.message.contains("aescbc key mine") && !problem.message.contains("MDEy"),
            "{}",
            problem.message
        );
        assert_eq!(reason(judge(Ok(&new), None, Some("not a file"))), "FileNotUnderstood");
    }
}
