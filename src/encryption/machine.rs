//! The rotation, one step at a time: what was seen in, one step or a reason to stand still out.
//!
//! `Mint` -> `Distribute` -> `Promote` -> `Migrate` -> `Verify` -> `Prune`. A step is taken only when every API server
//! has loaded the file of the step before. Whatever is lost, late or unknown stops the machine where everything is
//! readable.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::configuration::{Configuration, NotUnderstood, file_hash};
use super::custody::{Custody, Step, Verification};
use super::observation::{Agent, Baseline, Found, Observation, PassOrder, PassReport, ServerState, Wanted};
use super::reasons;
use crate::api::cluster_encryption::EncryptionMode;
use crate::domain::hash;

/// After how many seconds a pass that found something wrong is tried again.
const PASS_AGAIN_SECONDS: i64 = 60;

/// What to do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Change the key Secret, by compare-and-swap.
    Write(Box<Custody>),
    /// Seal the keys of this record for the recipients.
    Seal,
    /// Ask the migrator for a pass.
    Order(PassOrder),
    /// Nothing to do but to wait.
    Wait(Halt),
    /// Nothing goes on until a person has looked.
    Stop(Halt),
    /// No rotation is under way, and none is due.
    Settled,
}

/// Why nothing goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// One word of [`reasons`].
    pub reason: &'static str,
    /// What it means and what to do.
    pub message: String,
}

fn wait(reason: &'static str, message: impl Into<String>) -> Decision {
    Decision::Wait(Halt {
        reason,
        message: message.into(),
    })
}

fn stop(reason: &'static str, message: impl Into<String>) -> Decision {
    Decision::Stop(Halt {
        reason,
        message: message.into(),
    })
}

/// Decides. `random` is 32 fresh random bytes, which become a key if one is needed.
#[must_use]
pub fn decide(wanted: &Wanted, seen: &Observation, random: &[u8; 32]) -> Decision {
    if let Some(decision) = what_is_lost(seen) {
        return decision;
    }
    if wanted.mode == EncryptionMode::Observe {
        return wait(reasons::OBSERVING, "mode Observe takes no step");
    }
    if let Some(decision) = who_is_missing(seen) {
        return decision;
    }
    let custody = match &seen.custody {
        Found::Damaged(what) => return stop(reasons::KEY_MATERIAL_DAMAGED, damaged(what)),
        Found::Absent => return Decision::Write(Box::new(Custody::importing(random))),
        Found::Present(custody) => custody,
    };
    if custody.step == Step::Import {
        return import(custody, seen);
    }
    if let Some(decision) = agreement(wanted, custody, seen) {
        return decision;
    }
    next_step(wanted, custody, seen, random).unwrap_or_else(|error| {
        stop(
            reasons::FILE_NOT_UNDERSTOOD,
            format!("the next file cannot be made from the one that was there before us: {error}"),
        )
    })
}

fn damaged(what: &str) -> String {
    format!(
        "{what}; nothing was changed and every file stays. Put the Secret back from a backup, or rebuild it: privacy-operator recover --help"
    )
}

/// A key that anybody knows and the key Secret does not; a key Secret that is older than the files.
fn what_is_lost(seen: &Observation) -> Option<Decision> {
    let mut known = seen.remembered.clone();
    known.extend(seen.escrow.iter().flat_map(|sealed| sealed.keys.clone()));
    let reports = || seen.agents.iter().flatten().filter_map(|agent| agent.report.as_ref());
    known.extend(reports().flat_map(|report| report.keys.clone()));
    if let Baseline::Text(text) = &seen.baseline {
        known.extend(
            Configuration::parse(text)
                .map(|file| file.our_keys())
                .unwrap_or_default(),
        );
    }
    let (here, generation) = match &seen.custody {
        Found::Present(custody) => (custody.known_keys(), custody.generation),
        Found::Absent => (BTreeSet::new(), 0),
        Found::Damaged(what) => return Some(stop(reasons::KEY_MATERIAL_DAMAGED, damaged(what))),
    };
    let lacking: Vec<&str> = known.difference(&here).map(String::as_str).collect();
    if !lacking.is_empty() {
        return Some(stop(
            reasons::KEY_MATERIAL_MISSING,
            format!(
                "the key Secret lacks {}, which a file, the sealed copy or this status knows. No key is made and no file is changed, so what is readable stays so. Rebuild the Secret from an agent's files or from the sealed copy: privacy-operator recover --help",
                lacking.join(", ")
            ),
        ));
    }
    let newest = reports().filter_map(|report| report.generation).max().unwrap_or(0);
    (newest > generation).then(|| {
        stop(
            reasons::CUSTODY_ROLLED_BACK,
            format!(
                "the key Secret is of generation {generation}, and a node has a file of generation {newest}: the Secret was put back from a backup. Files stay as they are. Rebuild it from that agent's files: privacy-operator recover --help"
            ),
        )
    })
}

fn who_is_missing(seen: &Observation) -> Option<Decision> {
    if let Some(server) = seen
        .servers
        .iter()
        .find(|server| server.state == ServerState::NotConfigured)
    {
        return Some(stop(
            reasons::NOT_CONFIGURED,
            format!(
                "the API server {} reads no encryption configuration: start it with --encryption-provider-config=/etc/kubernetes/encryption/encryption-config.yaml and --encryption-provider-config-automatic-reload=true (docs/encryption.md)",
                server.name
            ),
        ));
    }
    if let Some(server) = seen
        .servers
        .iter()
        .find(|server| server.state == ServerState::Forbidden)
    {
        return Some(wait(
            reasons::METRICS_FORBIDDEN,
            format!(
                "the operator may not read /metrics of {}: helm upgrade with encryption.enabled=true gives it the right",
                server.name
            ),
        ));
    }
    if let Some(missing) = seen.missing.first() {
        return Some(wait(reasons::SERVER_MISSING, missing.clone()));
    }
    if seen.servers.is_empty() {
        return Some(wait(
            reasons::SERVER_MISSING,
            "no API server was found: name them in spec.controlPlane.endpoints",
        ));
    }
    let unreachable = seen.servers.iter().find_map(|server| match &server.state {
        ServerState::Unreachable(why) => Some((&server.name, why)),
        _ => None,
    });
    if let Some((name, why)) = unreachable {
        return Some(wait(
            reasons::SERVER_UNREACHABLE,
            format!("the API server {name} cannot be asked for its file: {why}"),
        ));
    }
    let agents = seen.agents.as_ref()?;
    if agents.is_empty() {
        return Some(wait(
            reasons::AGENT_MISSING,
            "no control-plane node was found, so there is no agent: label the nodes, or set spec.controlPlane.nodeSelector; on a managed cluster use mode Observe",
        ));
    }
    let missing = agents.iter().find(|agent| agent.report.is_none())?;
    Some(wait(
        reasons::AGENT_MISSING,
        format!(
            "no agent answers on the node {}: kubectl get pods -n privacy-operator-encryption -o wide (the chart installs agents with encryption.apply=true)",
            missing.node
        ),
    ))
}

/// First contact: the file that the API servers have becomes the baseline.
fn import(custody: &Custody, seen: &Observation) -> Decision {
    let text = match &seen.baseline {
        Baseline::Text(text) => text,
        Baseline::Different(nodes) => {
            return stop(
                reasons::BASELINE_DIFFERS,
                format!(
                    "the control-plane nodes have different files ({}): make them equal first",
                    nodes.join(", ")
                ),
            );
        }
        Baseline::Unknown if seen.agents.is_some() => {
            let problem = problems(seen).unwrap_or_else(|| "they get the Secret within a minute or two".to_owned());
            return wait(
                reasons::BASELINE_MISSING,
                format!("the agents have not shown the file that the nodes have: {problem}"),
            );
        }
        Baseline::Unknown => {
            return wait(
                reasons::BASELINE_MISSING,
                "show the operator the file that the API servers have now: kubectl create secret generic encryption-baseline -n privacy-operator-encryption --from-file=encryption-config.yaml=FILE",
            );
        }
    };
    if let Err(error) = Configuration::parse(text) {
        return stop(
            reasons::FILE_NOT_UNDERSTOOD,
            format!(
                "the encryption configuration of the control plane is not understood, so it is left alone: {error}"
            ),
        );
    }
    let hash = file_hash(text);
    let other = seen
        .servers
        .iter()
        .find(|server| server.state != ServerState::Loaded(hash.clone()));
    match other {
        None => Decision::Write(Box::new(custody.imported(text))),
        Some(server) => wait(
            reasons::NOT_AGREED,
            format!(
                "the API server {} has not loaded the file that is on the control plane: is automatic reload on? is the file valid? (its log says)",
                server.name
            ),
        ),
    }
}

fn problems(seen: &Observation) -> Option<String> {
    seen.agents.iter().flatten().find_map(|agent| {
        let problem = agent.report.as_ref()?.problem.as_ref()?;
        Some(format!("{}: {}", agent.node, problem.message))
    })
}

/// Every API server has loaded the file, and every node has it on its disk. `None`: so it is, and was noted.
fn agreement(wanted: &Wanted, custody: &Custody, seen: &Observation) -> Option<Decision> {
    let hash = custody.file_hash().unwrap_or_default();
    let loaded = |state: &ServerState| matches!(state, ServerState::Loaded(loaded) if *loaded == hash);
    let late: Vec<&str> = seen
        .servers
        .iter()
        .filter(|server| !loaded(&server.state))
        .map(|server| server.name.as_str())
        .collect();
    let behind = |agent: &&Agent| {
        agent.report.as_ref().is_none_or(|report| {
            report.generation != Some(custody.generation)
                || report.file_hash.as_ref() != Some(&hash)
                || report.problem.is_some()
        })
    };
    let behind: Vec<&str> = seen
        .agents
        .iter()
        .flatten()
        .filter(behind)
        .map(|agent| agent.node.as_str())
        .collect();
    if late.is_empty() && behind.is_empty() {
        return custody
            .agreed_at
            .is_none()
            .then(|| Decision::Write(Box::new(custody.agreed(Some(seen.now)))));
    }
    if custody.agreed_at.is_some() {
        // What was agreed is not so any more: the time starts anew.
        return Some(Decision::Write(Box::new(custody.agreed(None))));
    }
    let stranger = seen
        .servers
        .iter()
        .find(|server| matches!(&server.state, ServerState::Loaded(hash) if custody.generation_of(hash).is_none()));
    if let Some(server) = stranger {
        return Some(stop(
            reasons::UNKNOWN_FILE,
            format!(
                "the API server {} has loaded a file that this key Secret has never held: it was edited by hand, or the Secret was put back from a backup. Compare the file on that node with the key {} of the Secret; see docs/encryption.md",
                server.name,
                super::custody::FILE_KEY
            ),
        ));
    }
    if let Some(problem) = problems(seen) {
        return Some(stop(reasons::AGENT_REFUSES, problem));
    }
    let who = [late.as_slice(), behind.as_slice()].concat().join(", ");
    Some(wait(
        reasons::NOT_AGREED,
        if wanted.mode == EncryptionMode::Render {
            format!(
                "put the file onto the control plane, by an atomic rename; not loaded yet by {who}: kubectl get secret {} -n {} -o jsonpath='{{.data.{}}}' | base64 -d",
                super::custody::SECRET,
                super::custody::NAMESPACE,
                super::custody::FILE_KEY.replace('.', "\\.")
            )
        } else {
            format!(
                "the file of generation {} is not loaded yet by {who}; API servers look once a minute",
                custody.generation
            )
        },
    ))
}

fn next_step(
    wanted: &Wanted,
    custody: &Custody,
    seen: &Observation,
    random: &[u8; 32],
) -> Result<Decision, NotUnderstood> {
    let write = |custody: Custody| Ok(Decision::Write(Box::new(custody)));
    match custody.step {
        Step::Import => Ok(import(custody, seen)),
        Step::Settled if is_due(wanted, custody, seen.now) => {
            write(custody.minted(random, &wanted.resources, wanted.request.as_deref(), seen.now))
        }
        // Also when the copy is gone, or is for other people now.
        Step::Settled if !is_sealed(wanted, custody, seen) => Ok(Decision::Seal),
        Step::Settled => Ok(Decision::Settled),
        Step::Mint if is_sealed(wanted, custody, seen) => write(custody.distributed()?),
        // What is sealed must not fall back behind what is about to be: see `Custody::recovered`.
        Step::Distribute if is_sealed(wanted, custody, seen) => write(custody.promoted()?),
        Step::Mint | Step::Distribute => Ok(Decision::Seal),
        Step::Promote => {
            let since = custody.agreed_at.map(|at| seen.now.duration_since(at));
            if since.is_none_or(|since| since < wanted.settle) {
                return Ok(wait(
                    reasons::SETTLING,
                    format!(
                        "every API server writes with the new key; writes that began before get {} to end",
                        wanted.settle
                    ),
                ));
            }
            write(custody.passing(Step::Migrate))
        }
        Step::Migrate => Ok(match finished_pass(custody, seen) {
            Err(decision) => decision,
            // Whatever was not written shows in the proof.
            Ok(_) => Decision::Write(Box::new(custody.passing(Step::Verify))),
        }),
        Step::Verify => Ok(match finished_pass(custody, seen) {
            Err(decision) => decision,
            Ok(report) => judge(custody, seen, report),
        }),
        Step::Prune => {
            let proven = custody.verification.as_ref().map(|proof| &proof.key) == custody.active.as_ref();
            let surplus = custody.surplus(wanted.keep_old_keys);
            if surplus.is_empty() || !proven {
                write(custody.settled(seen.now))
            } else {
                write(custody.pruned(&surplus)?)
            }
        }
    }
}

fn is_due(wanted: &Wanted, custody: &Custody, now: Timestamp) -> bool {
    let is_new = |name: &String| !custody.resources.iter().any(|resource| resource.name == *name);
    custody.active.is_none()
        || wanted.resources.iter().any(is_new)
        || wanted.request.is_some() && wanted.request != custody.request
        || wanted.next_rotation(custody).is_some_and(|next| next <= now)
}

/// The sealed copy holds every key, for exactly these recipients, and would encrypt what this record would.
fn is_sealed(wanted: &Wanted, custody: &Custody, seen: &Observation) -> bool {
    if wanted.recipients.is_empty() {
        return true;
    }
    seen.escrow.as_ref().is_some_and(|sealed| {
        custody.keys.iter().all(|key| sealed.keys.contains(&key.name))
            && sealed.recipients == wanted.recipients
            && sealed.encrypted.is_superset(&custody.encrypted_when_recovered())
    })
}

/// The order for the pass that the record asks for. Its name tells it from a pass over anything else.
#[must_use]
pub fn order(custody: &Custody, servers: &[super::observation::Server]) -> PassOrder {
    let all = servers.iter().map(|server| server.name.clone());
    let servers: Vec<String> = match custody.step {
        // All write with the same key: one is enough.
        Step::Migrate => all.take(1).collect(),
        _ => all.collect(),
    };
    let resources: Vec<String> = custody.resources.iter().map(|resource| resource.name.clone()).collect();
    let over = hash::short(format!("{servers:?} {resources:?}").as_bytes());
    PassOrder {
        id: format!(
            "{}-{}-{}-{over}",
            custody.generation,
            custody.step.as_str(),
            custody.pass
        ),
        step: custody.step,
        resources,
        servers,
    }
}

/// The report of the pass, or what to do as long as there is none.
fn finished_pass<'a>(custody: &Custody, seen: &'a Observation) -> Result<&'a PassReport, Decision> {
    let order = order(custody, &seen.servers);
    let report = seen.report.as_ref().filter(|report| report.order == order.id);
    match report {
        _ if seen.order.as_ref() != Some(&order) => Err(Decision::Order(order)),
        Some(report) if report.problem.is_some() => {
            Err(wait(reasons::PASS_BLOCKED, report.problem.clone().unwrap_or_default()))
        }
        Some(report) if report.complete => Ok(report),
        Some(report) => Err(wait(
            reasons::PASS_RUNNING,
            format!("{} objects are done, {} are left", report.done, report.left),
        )),
        None => Err(wait(
            reasons::PASS_RUNNING,
            "the migrator has not begun yet; it is installed with the chart's value encryption.migrator.enabled",
        )),
    }
}

fn judge(custody: &Custody, seen: &Observation, report: &PassReport) -> Decision {
    let again = report
        .at
        .is_none_or(|at| seen.now.duration_since(at).as_secs() >= PASS_AGAIN_SECONDS);
    if !report.unreadable.is_empty() || !report.refused.is_empty() {
        if again {
            return Decision::Write(Box::new(custody.passing(Step::Verify)));
        }
        return if report.unreadable.is_empty() {
            stop(
                reasons::OBJECTS_REFUSED,
                format!(
                    "these objects cannot be written, so no key is taken away: {}. A webhook, a policy or their own content refuses; kubectl annotate them once and read the answer. It is tried again every minute",
                    report.refused.join(", ")
                ),
            )
        } else {
            stop(
                reasons::OBJECTS_UNREADABLE,
                format!(
                    "an API server cannot read: {}. No key is taken away. Were they written with a key that was in a file edited by hand? See docs/encryption.md",
                    report.unreadable.join(", ")
                ),
            )
        };
    }
    if report.unproven > 0 {
        return Decision::Write(Box::new(custody.passing(Step::Verify)));
    }
    Decision::Write(Box::new(custody.verified(Verification {
        key: custody.active.clone().unwrap_or_default(),
        generation: custody.generation,
        objects: report.done,
        servers: order(custody, &seen.servers).servers,
        resources: custody.resources.iter().map(|resource| resource.name.clone()).collect(),
        at: seen.now,
    })))
}
