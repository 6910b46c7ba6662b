//! The file that an API server reads: `EncryptionConfiguration`.
//!
//! What an administrator wrote into it stays: foreign keys, providers and resources keep their place. What is not
//! understood is refused, because a file that is written anew must say all that the old one said.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::custody::Material;
use crate::domain::hash;

/// `apiVersion` of the file.
const API_VERSION: &str = "apiserver.config.k8s.io/v1";
/// `kind` of the file.
const KIND: &str = "EncryptionConfiguration";
/// Beginning of the names of our keys. A name is its number and the beginning of the key's hash, so it is unique for ever.
pub const KEY_PREFIX: &str = "privacy-operator-";

/// Why a file is not understood.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
pub enum NotUnderstood {
    /// No YAML, or a field that is not known.
    #[error("it cannot be read: {0}")]
    Syntax(String),
    /// Another kind of document.
    #[error("it is `{0}`, not `apiserver.config.k8s.io/v1 EncryptionConfiguration`")]
    Kind(String),
    /// A rule of the API server is broken.
    #[error("{0}")]
    Rule(String),
}

/// The file.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Configuration {
    api_version: String,
    kind: String,
    resources: Vec<Entry>,
}

/// Resources and how they are stored. The first entry that names a resource counts.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Entry {
    resources: Vec<String>,
    providers: Vec<Provider>,
}

/// One way to store; the first of an entry writes, all of them read.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Provider {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aesgcm: Option<Keys>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aescbc: Option<Keys>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secretbox: Option<Keys>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<Nothing>,
    /// A key service. What it needs is kept as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kms: Option<BTreeMap<String, Value>>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Keys {
    keys: Vec<NamedKey>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct NamedKey {
    name: String,
    secret: Material,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// What one resource needs of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Managed<'a> {
    /// `secrets`, or `RESOURCE.GROUP`.
    pub resource: &'a str,
    /// Our keys write; else the providers that were there before do.
    pub promoted: bool,
}

impl Configuration {
    /// Reads a file, and refuses what is not understood.
    pub fn parse(text: &str) -> Result<Self, NotUnderstood> {
        let configuration: Self =
            // The error text may quote the line, and a line may be a key: only where it is wrong is told.
            serde_saphyr::from_str(text).map_err(|error| NotUnderstood::Syntax(place(&error)))?;
        let kind = format!("{} {}", configuration.api_version, configuration.kind);
        if kind != format!("{API_VERSION} {KIND}") {
            return Err(NotUnderstood::Kind(kind.chars().take(120).collect()));
        }
        configuration.check()?;
        Ok(configuration)
    }

    fn check(&self) -> Result<(), NotUnderstood> {
        let rule = |text: String| Err(NotUnderstood::Rule(text));
        if self.resources.is_empty() {
            return rule("it has no resources".to_owned());
        }
        for (index, entry) in self.resources.iter().enumerate() {
            if entry.resources.is_empty() || entry.providers.is_empty() {
                return rule(format!("resources[{index}] has no resources or no providers"));
            }
            for provider in &entry.providers {
                if provider.parts() != 1 {
                    return rule(format!(
                        "a provider of resources[{index}] is not exactly one of aesgcm, aescbc, secretbox, identity and kms"
                    ));
                }
                for (kind, keys) in provider.keys() {
                    if keys.keys.is_empty() {
                        return rule(format!("{kind} of resources[{index}] has no keys"));
                    }
                    for key in &keys.keys {
                        let bytes = key.secret.bytes().map(|bytes| bytes.len());
                        let fits = match (kind, bytes) {
                            ("secretbox", Some(length)) => length == 32,
                            (_, Some(length)) => [16, 24, 32].contains(&length),
                            (_, None) => false,
                        };
                        if !fits || key.name.is_empty() {
                            return rule(format!(
                                "the key `{}` of {kind} has not the right length in base64",
                                key.name
                            ));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Names of keys that are ours.
    #[must_use]
    pub fn our_keys(&self) -> BTreeSet<String> {
        let providers = self.resources.iter().flat_map(|entry| &entry.providers);
        providers
            .flat_map(Provider::keys)
            .flat_map(|(_, keys)| &keys.keys)
            .filter(|key| key.name.starts_with(KEY_PREFIX))
            .map(|key| key.name.clone())
            .collect()
    }

    /// What can be read, resource by resource: each provider, each key with the hash of its material.
    #[must_use]
    pub fn readers(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut readers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for entry in &self.resources {
            let of_entry: BTreeSet<String> = entry.providers.iter().flat_map(Provider::readers).collect();
            for resource in &entry.resources {
                // A later entry for the same resource is never used.
                readers.entry(resource.clone()).or_insert_with(|| of_entry.clone());
            }
        }
        readers
    }

    /// Whether API servers write the objects of a resource as they are.
    #[must_use]
    pub fn writes_plain_text(&self, resource: &str) -> bool {
        let entry = self.resources.iter().find(|entry| entry.covers(resource));
        let first = entry.and_then(|entry| entry.providers.first());
        first.is_none_or(|provider| provider.identity.is_some())
    }

    /// Resources that are named and encrypted.
    #[must_use]
    pub fn encrypted(&self) -> BTreeSet<String> {
        let named = self.resources.iter().flat_map(|entry| &entry.resources);
        named.filter(|name| !self.writes_plain_text(name)).cloned().collect()
    }

    /// This file, with our keys for the managed resources: before the providers that a resource has here, or after
    /// them. The first key writes.
    pub fn with_our_keys(&self, managed: &[Managed<'_>], keys: &[(&str, &Material)]) -> Result<Self, NotUnderstood> {
        let mut rest = self.resources.clone();
        let mut entries = Vec::new();
        for managed in managed {
            let before = take(&mut rest, managed.resource)?;
            let ours = Provider::secretbox(keys);
            let providers = if keys.is_empty() {
                before
            } else if managed.promoted {
                std::iter::once(ours).chain(before).collect()
            } else {
                before.into_iter().chain(std::iter::once(ours)).collect()
            };
            entries.push(Entry {
                resources: vec![managed.resource.to_owned()],
                providers,
            });
        }
        entries.extend(rest);
        Ok(Self {
            resources: entries,
            ..self.clone()
        })
    }

    /// The text of the file, always the same for the same content.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!(
            "# Written by privacy-operator. What was in this file before it came is kept.\napiVersion: {API_VERSION}\nkind: {KIND}\nresources:\n"
        );
        // Writing to a String cannot fail.
        for entry in &self.resources {
            let _ = writeln!(text, "  - resources: {}\n    providers:", flow(&entry.resources));
            for provider in &entry.providers {
                if let Some(kms) = &provider.kms {
                    let _ = writeln!(text, "      - kms: {}", flow(kms));
                } else if provider.identity.is_some() {
                    text.push_str("      - identity: {}\n");
                }
                for (kind, keys) in provider.keys() {
                    let _ = writeln!(text, "      - {kind}:\n          keys:");
                    for key in &keys.keys {
                        let _ = writeln!(
                            text,
                            "            - name: {}\n              secret: {}",
                            flow(&key.name),
                            flow(&key.secret)
                        );
                    }
                }
            }
        }
        text
    }
}

/// JSON, which is YAML in flow style.
fn flow<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Takes a resource out of the entry that is about it, and tells how it was stored.
fn take(rest: &mut Vec<Entry>, resource: &str) -> Result<Vec<Provider>, NotUnderstood> {
    let identity = Provider {
        identity: Some(Nothing {}),
        ..Provider::secretbox(&[]).without_keys()
    };
    let Some(index) = rest.iter().position(|entry| entry.covers(resource)) else {
        return Ok(vec![identity]);
    };
    let entry = &mut rest[index];
    let providers = entry.providers.clone();
    let before = entry.resources.len();
    entry.resources.retain(|name| name != resource);
    if entry.resources.is_empty() {
        rest.remove(index);
    } else if providers.iter().any(|provider| provider.kms.is_some()) {
        // A key service may be named once only, so the entry cannot be divided.
        let what = if before == entry.resources.len() {
            "a wildcard"
        } else {
            "other resources"
        };
        return Err(NotUnderstood::Rule(format!(
            "`{resource}` shares an entry with a kms provider with {what}: give `{resource}` an entry of its own, with a kms provider of another name"
        )));
    }
    Ok(providers)
}

impl Entry {
    /// Whether the API server would use this entry for the resource.
    fn covers(&self, resource: &str) -> bool {
        let group = resource.split_once('.').map_or("", |(_, group)| group);
        let wildcard = format!("*.{group}");
        self.resources
            .iter()
            .any(|name| name == resource || name == "*.*" || *name == wildcard)
    }
}

impl Provider {
    fn secretbox(keys: &[(&str, &Material)]) -> Self {
        Self {
            aesgcm: None,
            aescbc: None,
            secretbox: Some(Keys {
                keys: keys
                    .iter()
                    .map(|(name, secret)| NamedKey {
                        name: (*name).to_owned(),
                        secret: (*secret).clone(),
                    })
                    .collect(),
            }),
            identity: None,
            kms: None,
        }
    }

    fn without_keys(self) -> Self {
        Self {
            secretbox: None,
            ..self
        }
    }

    fn keys(&self) -> impl Iterator<Item = (&'static str, &Keys)> {
        [
            ("aesgcm", &self.aesgcm),
            ("aescbc", &self.aescbc),
            ("secretbox", &self.secretbox),
        ]
        .into_iter()
        .filter_map(|(kind, keys)| Some((kind, keys.as_ref()?)))
    }

    fn parts(&self) -> usize {
        self.keys().count() + usize::from(self.identity.is_some()) + usize::from(self.kms.is_some())
    }

    fn readers(&self) -> Vec<String> {
        if self.identity.is_some() {
            return vec!["identity".to_owned()];
        }
        if let Some(kms) = &self.kms {
            return vec![format!("kms {}", flow(kms))];
        }
        self.keys()
            .flat_map(|(kind, keys)| keys.keys.iter().map(move |key| reader(kind, &key.name, &key.secret)))
            .collect()
    }
}

/// How a key is told from another one of the same name.
#[must_use]
pub fn reader(kind: &str, name: &str, secret: &Material) -> String {
    let bytes = secret.bytes().unwrap_or_default();
    format!("{kind} {name} {}", hash::short(&bytes))
}

/// `sha256:` and the hash of a file, as API servers report it.
#[must_use]
pub fn file_hash(text: &str) -> String {
    format!("sha256:{}", hash::sha256(text.as_bytes()))
}

/// Where a document is wrong, without what stands there.
fn place(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let line = text
        .split("line ")
        .nth(1)
        .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>())
        .filter(|digits| !digits.is_empty());
    let what = if text.contains("unknown field") {
        "a field that is not known"
    } else {
        "no valid YAML of this kind"
    };
    line.map_or_else(|| what.to_owned(), |line| format!("{what}, near line {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOREIGN: &str = r"
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets, configmaps]
    providers:
      - aescbc: {keys: [{name: theirs, secret: MDEyMzQ1Njc4OWFiY2RlZg==}]}
      - identity: {}
  - resources: ['*.apps']
    providers:
      - kms: {apiVersion: v2, name: vault, endpoint: 'unix:///vault.sock', timeout: 3s}
      - identity: {}
";
    const IDENTITY: &str = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers: [{identity: {}}]\n";

    fn material(byte: u8) -> Material {
        Material::new(&[byte; 32])
    }

    fn managed(resource: &str, promoted: bool) -> Managed<'_> {
        Managed { resource, promoted }
    }

    #[test]
    fn what_an_administrator_wrote_stays_and_ours_comes_in_between() {
        let before = Configuration::parse(FOREIGN).unwrap();
        let (one, two) = (material(1), material(2));
        let keys = [("privacy-operator-2-b", &two), ("privacy-operator-1-a", &one)];
        let after = before.with_our_keys(&[managed("secrets", true)], &keys).unwrap();
        let text = after.render();
        assert_eq!(Configuration::parse(&text).unwrap(), after, "it can be read back");
        let (old, new) = (before.readers(), after.readers());
        for (resource, readers) in &old {
            assert!(new[resource].is_superset(readers), "{resource}");
        }
        assert_eq!(new["configmaps"], old["configmaps"]);
        assert_eq!(new["*.apps"], old["*.apps"]);
        assert_eq!(new["secrets"].len(), 4);
        // The first key of the first provider writes; what was first before only reads.
        let order: Vec<usize> = ["privacy-operator-2-b", "privacy-operator-1-a", "theirs", "identity"]
            .iter()
            .map(|words| text.find(words).unwrap())
            .collect();
        assert!(order.is_sorted(), "{text}");
        assert_eq!(text, Configuration::parse(&text).unwrap().render(), "always the same");
    }

    #[test]
    fn a_key_that_is_not_promoted_only_reads() {
        let key = material(1);
        let after = Configuration::parse(IDENTITY)
            .unwrap()
            .with_our_keys(&[managed("secrets", false)], &[("privacy-operator-1-a", &key)])
            .unwrap();
        let text = after.render();
        assert!(
            text.find("identity").unwrap() < text.find("secretbox").unwrap(),
            "{text}"
        );
        assert_eq!(after.our_keys(), BTreeSet::from(["privacy-operator-1-a".to_owned()]));
    }

    #[test]
    fn a_resource_that_no_entry_names_was_plain_and_can_still_be_read_so() {
        let key = material(1);
        let after = Configuration::parse(FOREIGN)
            .unwrap()
            .with_our_keys(
                &[managed("leases.coordination.k8s.io", true)],
                &[("privacy-operator-1-a", &key)],
            )
            .unwrap();
        assert!(after.readers()["leases.coordination.k8s.io"].contains("identity"));
    }

    #[test]
    fn an_entry_with_a_key_service_is_not_divided() {
        let key = material(1);
        let error = Configuration::parse(FOREIGN)
            .unwrap()
            .with_our_keys(&[managed("deployments.apps", true)], &[("privacy-operator-1-a", &key)])
            .unwrap_err();
        assert!(error.to_string().contains("an entry of its own"), "{error}");
    }

    #[test]
    fn what_is_not_understood_is_refused_and_no_key_is_quoted() {
        let wrong_length = FOREIGN.replace("MDEyMzQ1Njc4OWFiY2RlZg==", "c2hvcnQ=");
        let unknown = FOREIGN.replace("aescbc:", "aesnew:");
        let truncated = &FOREIGN[..FOREIGN.len() / 2];
        let other_version = FOREIGN.replace("k8s.io/v1", "k8s.io/v2");
        let two_in_one = IDENTITY.replace("{identity: {}}", "{identity: {}, kms: {name: x}}");
        for text in ["", "{", truncated, &wrong_length, &unknown, &other_version, &two_in_one] {
            let error = Configuration::parse(text).unwrap_err().to_string();
            assert!(!error.contains("MDEy") && !error.contains("c2hv"), "{error}");
        }
    }

    #[test]
    fn the_hash_is_that_of_an_api_server() {
        assert_eq!(
            file_hash("abc"),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
