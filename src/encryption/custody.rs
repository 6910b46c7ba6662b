//! The key Secret's content: which keys there are, which file follows from them, and where a rotation stands.
//!
//! It is the only truth. The status is derived from it, agents write the file that it holds, and it is changed by
//! compare-and-swap only.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::configuration::{Configuration, KEY_PREFIX, Managed, NotUnderstood, file_hash};
use crate::domain::hash;

/// Namespace of the key Secret and of all that goes with it.
pub const NAMESPACE: &str = "privacy-operator-encryption";
/// Name of the key Secret.
pub const SECRET: &str = "encryption-keys";
/// Key of the Secret with this record.
pub const RECORD_KEY: &str = "custody.json";
/// Key of the Secret with the file alone, for people.
pub const FILE_KEY: &str = "encryption-config.yaml";
/// Version of this record.
pub const VERSION: u32 = 1;
/// How many of our files are remembered.
const REMEMBERED_FILES: usize = 64;

/// Key material, as base64. It never shows itself.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Hash)]
#[serde(transparent)]
pub struct Material(String);

impl Material {
    /// Takes bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(STANDARD.encode(bytes))
    }

    /// The bytes, if it is base64.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.0).ok()
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(key)")
    }
}

/// Where a rotation stands.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// The file that the API servers have now is being taken in.
    Import,
    /// No rotation is under way.
    Settled,
    /// A key is made, and in no file yet.
    Mint,
    /// The key is in the file, so that everybody can read it; nobody writes with it.
    Distribute,
    /// The key is the first in the file: API servers write with it as they load the file.
    Promote,
    /// Every object is written anew.
    Migrate,
    /// Every object is proven to be under the key, through every API server.
    Verify,
    /// Keys that are too old leave the file.
    Prune,
}

impl Step {
    /// The word in status and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Import => "Import",
            Self::Settled => "Settled",
            Self::Mint => "Mint",
            Self::Distribute => "Distribute",
            Self::Promote => "Promote",
            Self::Migrate => "Migrate",
            Self::Verify => "Verify",
            Self::Prune => "Prune",
        }
    }
}

/// A key of ours.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Key {
    /// `privacy-operator-NUMBER-HASH`.
    pub name: String,
    /// It only grows.
    pub number: u32,
    /// 32 bytes.
    pub secret: Material,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it is in the file.
    pub distributed: bool,
}

impl Key {
    fn new(number: u32, bytes: &[u8; 32], now: Timestamp) -> Self {
        Self {
            name: name(number, bytes),
            number,
            secret: Material::new(bytes),
            created_at: now,
            distributed: false,
        }
    }

    fn is_sound(&self) -> bool {
        self.secret
            .bytes()
            .is_some_and(|bytes| bytes.len() == 32 && self.name == name(self.number, &bytes))
    }
}

fn name(number: u32, bytes: &[u8]) -> String {
    format!("{KEY_PREFIX}{number}-{}", hash::short(bytes))
}

/// A resource whose objects are encrypted.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resource {
    /// `secrets`, or `RESOURCE.GROUP`.
    pub name: String,
    /// Our keys write it.
    pub promoted: bool,
}

/// A key that has left the file, and the proof that nothing was under it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retired {
    /// Its name.
    pub name: String,
    /// [`Verification::digest`] of the proof.
    pub verification: String,
}

/// The proof that every object is under one key.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Verification {
    /// Name of the key.
    pub key: String,
    /// Generation of the file during the proof.
    pub generation: i64,
    /// Objects that were looked at, each through every API server.
    pub objects: i64,
    /// The API servers.
    pub servers: Vec<String>,
    /// What was looked at.
    pub resources: Vec<String>,
    /// When the proof was complete.
    pub at: Timestamp,
}

impl Verification {
    /// A hash of all of it.
    #[must_use]
    pub fn digest(&self) -> String {
        hash::sha256(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// A file of ours.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KnownFile {
    /// Generation.
    pub generation: i64,
    /// [`file_hash`].
    pub hash: String,
}

/// The record.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Custody {
    /// [`VERSION`].
    pub version: u32,
    /// Number of the file. It only grows, by one with each new file.
    pub generation: i64,
    /// Where a rotation stands.
    pub step: Step,
    /// How an agent seals the file that it finds at first contact, so that only this record's owner can open it.
    pub import_key: Material,
    /// The file as it was before us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// The file as it has to be now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What is encrypted. It only grows: decryption is not built.
    #[serde(default)]
    pub resources: Vec<Resource>,
    /// The readable keys, the newest first.
    #[serde(default)]
    pub keys: Vec<Key>,
    /// The key that writes. Absent: what was there before us does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// Number of the next key.
    pub next_number: u32,
    /// Keys that have left.
    #[serde(default)]
    pub retired: Vec<Retired>,
    /// Hashes of the files so far, the newest last.
    #[serde(default)]
    pub files: Vec<KnownFile>,
    /// Since when every API server is known to have the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreed_at: Option<Timestamp>,
    /// Number of the pass over all objects, within this file.
    #[serde(default)]
    pub pass: u32,
    /// The last proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// End of the last rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Timestamp>,
    /// The last `rotation.request` that was honoured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// The files hold keys, so they are not shown.
impl fmt::Debug for Custody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.keys.iter().map(|key| key.name.as_str()).collect();
        f.debug_struct("Custody")
            .field("generation", &self.generation)
            .field("step", &self.step)
            .field("keys", &names)
            .field("active", &self.active)
            .field("pass", &self.pass)
            .finish_non_exhaustive()
    }
}

impl Custody {
    /// The record before anything is known but that nothing is known.
    #[must_use]
    pub fn importing(import_key: &[u8; 32]) -> Self {
        Self {
            version: VERSION,
            generation: 0,
            step: Step::Import,
            import_key: Material::new(import_key),
            baseline: None,
            file: None,
            resources: Vec::new(),
            keys: Vec::new(),
            active: None,
            next_number: 1,
            retired: Vec::new(),
            files: Vec::new(),
            agreed_at: None,
            pass: 0,
            verification: None,
            settled_at: None,
            request: None,
        }
    }

    /// Takes in the file that the API servers have.
    #[must_use]
    pub fn imported(&self, baseline: &str) -> Self {
        let mut next = self.clone();
        next.step = Step::Settled;
        next.baseline = Some(baseline.to_owned());
        next.set_file(baseline.to_owned());
        next
    }

    /// Adds a key that is in no file yet, and what it is for. Its name was never there before. What is sealed now is
    /// enough to make the next file.
    #[must_use]
    pub fn minted(&self, bytes: &[u8; 32], wanted: &[String], request: Option<&str>, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.keys.insert(0, Key::new(self.next_number, bytes, now));
        next.next_number += 1;
        for name in wanted {
            if !next.resources.iter().any(|resource| resource.name == *name) {
                next.resources.push(Resource {
                    name: name.clone(),
                    promoted: false,
                });
            }
        }
        next.step = Step::Mint;
        next.request = request.map(str::to_owned);
        next
    }

    /// Puts the new key and new resources into the file: readable, not first.
    pub fn distributed(&self) -> Result<Self, NotUnderstood> {
        let mut next = self.clone();
        for key in &mut next.keys {
            key.distributed = true;
        }
        next.step = Step::Distribute;
        next.with_new_file()
    }

    /// Puts the newest key first.
    pub fn promoted(&self) -> Result<Self, NotUnderstood> {
        let mut next = self.clone();
        next.active = next.keys.first().map(|key| key.name.clone());
        for resource in &mut next.resources {
            resource.promoted = true;
        }
        next.step = Step::Promote;
        next.with_new_file()
    }

    /// Goes to a step over all objects, or to the next pass of it.
    #[must_use]
    pub fn passing(&self, step: Step) -> Self {
        let mut next = self.clone();
        next.step = step;
        next.pass += 1;
        next
    }

    /// Notes the proof.
    #[must_use]
    pub fn verified(&self, verification: Verification) -> Self {
        let mut next = self.clone();
        next.verification = Some(verification);
        next.step = Step::Prune;
        next
    }

    /// Names of the keys that are one too many, when `keep` old ones stay.
    #[must_use]
    pub fn surplus(&self, keep: usize) -> Vec<String> {
        self.keys
            .iter()
            .filter(|key| Some(&key.name) != self.active.as_ref())
            .skip(keep)
            .map(|key| key.name.clone())
            .collect()
    }

    /// Takes keys out of the file, with the proof that nothing is under them.
    pub fn pruned(&self, names: &[String]) -> Result<Self, NotUnderstood> {
        let mut next = self.clone();
        let Some(verification) = &self.verification else {
            return Err(NotUnderstood::Rule("no key leaves without a proof".to_owned()));
        };
        let digest = verification.digest();
        next.keys.retain(|key| !names.contains(&key.name));
        // The proof of those that left before is over: every file of theirs is gone.
        next.retired.retain(|retired| !names.contains(&retired.name));
        next.retired.extend(names.iter().map(|name| Retired {
            name: name.clone(),
            verification: digest.clone(),
        }));
        next.with_new_file()
    }

    /// The rotation is over.
    #[must_use]
    pub fn settled(&self, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.step = Step::Settled;
        next.settled_at = Some(now);
        next
    }

    /// Notes since when every API server has the file; or that they do not.
    #[must_use]
    pub fn agreed(&self, at: Option<Timestamp>) -> Self {
        let mut next = self.clone();
        next.agreed_at = at;
        next
    }

    /// After a loss: every key is put into the file, and the rotation goes on from where that is safe. The generation
    /// jumps, so that no agent takes the file for an older one. Where every API server is known to read the newest key,
    /// it comes first at once, so that no object is written in plain text that would have been encrypted before the loss.
    pub fn recovered(&self) -> Result<Self, NotUnderstood> {
        let mut next = self.clone();
        for key in &mut next.keys {
            key.distributed = true;
        }
        next.generation += 1000;
        next.verification = None;
        if self.may_promote() {
            return next.promoted();
        }
        let newest_writes = next.active == next.keys.first().map(|key| key.name.clone());
        let unpromoted = next.resources.iter().any(|resource| !resource.promoted);
        next.step = match (next.keys.is_empty(), newest_writes && !unpromoted) {
            (true, _) => Step::Settled,
            (false, true) => Step::Promote,
            (false, false) => Step::Distribute,
        };
        next.with_new_file()
    }

    /// Every API server reads the newest key, and none writes with it yet.
    fn may_promote(&self) -> bool {
        self.step == Step::Distribute && self.agreed_at.is_some()
    }

    /// Resources that are encrypted from the first moment on if this record is recovered.
    #[must_use]
    pub fn encrypted_when_recovered(&self) -> BTreeSet<String> {
        let is_encrypted = |resource: &&Resource| resource.promoted || self.may_promote();
        let names = self.resources.iter().filter(is_encrypted);
        names.map(|resource| resource.name.clone()).collect()
    }

    /// Those of the resources that API servers write in plain text, with the file as it is.
    #[must_use]
    pub fn in_plain_text(&self, resources: &[String]) -> Vec<String> {
        let file = self.file.as_deref().map(Configuration::parse);
        let Some(Ok(file)) = file else { return Vec::new() };
        let plain = resources.iter().filter(|resource| file.writes_plain_text(resource));
        plain.cloned().collect()
    }

    fn with_new_file(mut self) -> Result<Self, NotUnderstood> {
        let baseline = Configuration::parse(self.baseline.as_deref().unwrap_or_default())?;
        let text = {
            let managed: Vec<Managed<'_>> = self
                .resources
                .iter()
                .map(|resource| Managed {
                    resource: &resource.name,
                    promoted: resource.promoted,
                })
                .collect();
            let (active, others): (Vec<&Key>, Vec<&Key>) = self
                .keys
                .iter()
                .filter(|key| key.distributed)
                .partition(|key| Some(&key.name) == self.active.as_ref());
            let keys: Vec<(&str, &Material)> = active
                .into_iter()
                .chain(others)
                .map(|key| (key.name.as_str(), &key.secret))
                .collect();
            baseline.with_our_keys(&managed, &keys)?.render()
        };
        self.set_file(text);
        Ok(self)
    }

    fn set_file(&mut self, text: String) {
        self.generation += 1;
        self.files.push(KnownFile {
            generation: self.generation,
            hash: file_hash(&text),
        });
        let surplus = self.files.len().saturating_sub(REMEMBERED_FILES);
        self.files.drain(..surplus);
        self.file = Some(text);
        self.agreed_at = None;
        self.pass = 0;
    }

    /// Hash of the file.
    #[must_use]
    pub fn file_hash(&self) -> Option<String> {
        self.file.as_deref().map(file_hash)
    }

    /// The generation of a file of ours, by its hash.
    #[must_use]
    pub fn generation_of(&self, hash: &str) -> Option<i64> {
        self.files
            .iter()
            .rev()
            .find(|file| file.hash == hash)
            .map(|file| file.generation)
    }

    /// Names of all keys that this record knows, also of those that left.
    #[must_use]
    pub fn known_keys(&self) -> BTreeSet<String> {
        let keys = self.keys.iter().map(|key| key.name.clone());
        keys.chain(self.retired.iter().map(|retired| retired.name.clone()))
            .collect()
    }

    /// Reads a record, and refuses one that somebody has changed so that it does not fit together any more.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let custody: Self = serde_json::from_slice(text)
            .map_err(|error| format!("{RECORD_KEY} cannot be read: line {}", error.line()))?;
        custody.check()?;
        Ok(custody)
    }

    fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!(
                "{RECORD_KEY} is of version {}, this program reads {VERSION}",
                self.version
            ));
        }
        if let Some(key) = self.keys.iter().find(|key| !key.is_sound()) {
            return Err(format!(
                "the material of key `{}` is not the one that its name was made of, or has not 32 bytes",
                key.name
            ));
        }
        let names: BTreeSet<&str> = self.keys.iter().map(|key| key.name.as_str()).collect();
        if names.len() != self.keys.len() || self.keys.iter().any(|key| key.number >= self.next_number) {
            return Err("a key is there twice, or has a number that is not given yet".to_owned());
        }
        if let Some(active) = self.active.as_deref().filter(|active| !names.contains(active)) {
            return Err(format!("the active key `{active}` is not among the keys"));
        }
        let Some(file) = &self.file else {
            return if self.step == Step::Import {
                Ok(())
            } else {
                Err("the file is missing".to_owned())
            };
        };
        let configuration =
            Configuration::parse(file).map_err(|error| format!("the file in it is not understood: {error}"))?;
        let in_file = configuration.our_keys();
        let expected: BTreeSet<String> = self
            .keys
            .iter()
            .filter(|key| key.distributed && !self.resources.is_empty())
            .map(|key| key.name.clone())
            .collect();
        if in_file != expected {
            return Err("the keys in the file are not those of the record".to_owned());
        }
        Ok(())
    }

    /// The record as it is stored.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}
