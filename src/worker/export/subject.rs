//! The person whom a request is about: identities from a mounted Secret, and the keyed hashes that are all the operator
//! ever knows of them.

use std::fmt;
use std::path::Path;

use super::secret;
use crate::contract::export::{SubjectSource, SubjectTag};
use crate::contract::{Problem, Reason};
use crate::worker::hash_key::HashKey;

/// Longest value of an identity, in bytes.
const LONGEST_VALUE: usize = 1024;

const FIELD: &str = "subjectSecretRef";

/// The identities of a person, in the order of the plan. They are never shown.
pub struct Subject {
    identities: Vec<(String, String)>,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject(..)")
    }
}

impl Subject {
    /// Reads the listed identities that the Secret has.
    pub fn read(directory: &Path, source: &SubjectSource) -> Result<Self, Problem> {
        let mut identities = Vec::new();
        for name in &source.identities {
            let Some(bytes) = secret::optional(directory, name) else {
                continue;
            };
            let invalid = |what: &str| {
                let detail = format!("the value of key {name} in Secret {} {what}", source.secret);
                Problem::new(Reason::InvalidValue, FIELD, detail)
            };
            let value = String::from_utf8(bytes).map_err(|_| invalid("is not UTF-8"))?;
            // An empty value would be that of everybody who left the column empty.
            if value.trim().is_empty() {
                return Err(invalid("is empty"));
            }
            if value.len() > LONGEST_VALUE || value.contains('\0') {
                return Err(invalid("is too long or contains NUL"));
            }
            identities.push((name.clone(), value));
        }
        if identities.is_empty() {
            let names = source.identities.join(", ");
            let detail = format!(
                "Secret {} has none of the keys {names}, or does not exist",
                source.secret
            );
            return Err(Problem::new(Reason::MissingSecret, FIELD, detail));
        }
        Ok(Self { identities })
    }

    /// The person's value of an identity.
    #[must_use]
    pub fn value(&self, identity: &str) -> Option<&str> {
        let found = self.identities.iter().find(|(name, _)| name == identity)?;
        Some(&found.1)
    }

    /// The keyed hashes.
    #[must_use]
    pub fn tag(&self, key: &HashKey, namespace_uid: &str) -> SubjectTag {
        let all: Vec<&[u8]> = std::iter::once(namespace_uid.as_bytes())
            .chain(
                self.identities
                    .iter()
                    .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]),
            )
            .collect();
        // The namespace, and the identity that stands for the person.
        let first = &all[..3.min(all.len())];
        SubjectTag {
            tag: key.hash("privacy-operator subject", first, 16),
            digest: key.hash("privacy-operator identities", &all, 16),
            key_id: key.id(8),
            identity: self
                .identities
                .first()
                .map(|(name, _)| name.clone())
                .unwrap_or_default(),
        }
    }
}

/// Reads the key under which a person becomes a tag.
pub fn hash_key(directory: &Path, source: &SubjectSource) -> Result<HashKey, Problem> {
    HashKey::read(directory, &source.hash_key_secret, &source.hash_key, "hashKeySecretRef")
}

/// Compares what a request was admitted for with what its Secret holds now.
pub fn check(found: &SubjectTag, expected: &SubjectTag) -> Result<(), Problem> {
    if found.key_id != expected.key_id {
        return Err(Problem::new(Reason::SubjectKeyChanged, "hashKeySecretRef", ""));
    }
    if found != expected {
        return Err(Problem::new(Reason::SubjectChanged, FIELD, ""));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> SubjectSource {
        SubjectSource {
            secret: "dsr-1".to_owned(),
            identities: vec!["user_id".to_owned(), "email".to_owned()],
            hash_key_secret: "hash".to_owned(),
            hash_key: "key".to_owned(),
        }
    }

    fn tag(files: &[(&str, &str)], key: &str, namespace: &str) -> SubjectTag {
        let directory = tempfile::tempdir().unwrap();
        for (name, value) in files {
            std::fs::write(directory.path().join(name), value).unwrap();
        }
        std::fs::write(directory.path().join("key"), key).unwrap();
        let subject = Subject::read(directory.path(), &source()).unwrap();
        let key = hash_key(directory.path(), &source()).unwrap();
        subject.tag(&key, namespace)
    }

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    /// Computed with Python's `hmac`, each part preceded by its length as eight bytes.
    #[test]
    fn the_tag_is_the_one_that_other_code_computes() {
        let tag = tag(&[("user_id", "4711"), ("email", "ada@example.org")], KEY, "ns-uid");
        assert_eq!(tag.tag, "542bec5a70cdd265a5be60874a3cf231");
        assert_eq!(tag.digest, "e32a56b56f4e7e47612509afe64fe552");
        assert_eq!(tag.key_id, "8aa3903dbb4877f8");
        assert_eq!(tag.identity, "user_id");
    }

    #[test]
    fn every_part_matters_and_only_listed_identities_do() {
        let one = tag(&[("user_id", "1"), ("email", "a@b")], KEY, "n");
        assert_eq!(one, tag(&[("user_id", "1"), ("email", "a@b"), ("note", "x")], KEY, "n"));
        let other_mail = tag(&[("user_id", "1"), ("email", "c@b")], KEY, "n");
        assert_eq!(one.tag, other_mail.tag, "limits count by the first identity");
        assert_ne!(one.digest, other_mail.digest, "but none can be exchanged unseen");
        assert_ne!(one.tag, tag(&[("user_id", "2"), ("email", "a@b")], KEY, "n").tag);
        assert_ne!(one.tag, tag(&[("user_id", "1"), ("email", "a@b")], KEY, "m").tag);
        assert_ne!(one.tag, tag(&[("user_id", "1\n"), ("email", "a@b")], KEY, "n").tag);
        let other_key = tag(&[("user_id", "1"), ("email", "a@b")], &KEY.to_uppercase(), "n");
        assert_eq!(check(&other_key, &one).unwrap_err().reason, Reason::SubjectKeyChanged);
        assert_eq!(check(&other_mail, &one).unwrap_err().reason, Reason::SubjectChanged);
        assert_eq!(check(&one, &one), Ok(()));
        // The mail alone stands for another person than the number does.
        assert_eq!(tag(&[("email", "a@b")], KEY, "n").identity, "email");
    }

    #[test]
    fn what_names_nobody_is_refused_without_quoting_it() {
        let read = |files: &[(&str, &[u8])]| {
            let directory = tempfile::tempdir().unwrap();
            for (name, value) in files {
                std::fs::write(directory.path().join(name), value).unwrap();
            }
            let problem = Subject::read(directory.path(), &source()).unwrap_err();
            assert!(!format!("{problem:?}").contains("canary"));
            problem.reason
        };
        assert_eq!(read(&[]), Reason::MissingSecret);
        assert_eq!(read(&[("name", b"canary")]), Reason::MissingSecret);
        assert_eq!(read(&[("email", b" \n")]), Reason::InvalidValue);
        assert_eq!(read(&[("email", b"canary\0")]), Reason::InvalidValue);
        assert_eq!(read(&[("email", b"canary\xff")]), Reason::InvalidValue);
        assert_eq!(
            read(&[("email", "canary".repeat(1000).as_bytes())]),
            Reason::InvalidValue
        );
    }
}
