//! The ledger of requests that were carried out, by which limits hold per person although nobody here knows one.
//!
//! It lives in `ConfigMaps` `rights-ledger-<first byte of the tag>` of the operator's namespace. Admission is one
//! compare-and-swap: [`admit`] decides on what was read and gives the text to be written; a conflict means reading and
//! deciding again. Entries outlive their requests.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::policy::ParsedLimit;
use crate::api::subject_rights_policy::OnExceed;
use crate::domain::{hash, window};

/// Largest ledger, in bytes. A `ConfigMap` takes 1 MiB, its metadata included.
const LARGEST: usize = 900 * 1024;

/// Key of the entries in a ConfigMap of the ledger.
pub const ENTRIES_KEY: &str = "entries";

/// Name of the ConfigMap that knows the hash keys.
pub const KEYS_CONFIG_MAP: &str = "rights-ledger-keys";

/// A request that was carried out.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// The person, as a keyed hash.
    pub tag: String,
    /// `Access` or `Portability`.
    pub right: String,
    /// `GDPR`, `CCPA` or `ShineTheLight`.
    pub regime: String,
    /// Uid of the namespace.
    pub namespace: String,
    /// Uid of the request.
    pub request: String,
    /// When it was admitted: by this limits count.
    pub admitted_at: Timestamp,
}

/// Why a ledger cannot be used. Nothing is admitted then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Somebody else has written into it.
    #[error("line {0} is not an entry")]
    Unreadable(usize),
    /// There is no room.
    #[error("it is full")]
    Full,
}

/// Who asks for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask<'a> {
    /// The person.
    pub tag: &'a str,
    /// The right.
    pub right: &'a str,
    /// The law.
    pub regime: &'a str,
    /// Uid of the namespace.
    pub namespace: &'a str,
    /// Uid of the request.
    pub request: &'a str,
}

/// What the ledger says to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It was admitted before, at this time: nothing is to be written.
    Already(Timestamp),
    /// It is admitted once this text has been written over what was read.
    Admit(String),
    /// Not before this time.
    Deferred(Timestamp),
    /// Not at all.
    Refused,
}

/// Name of the ConfigMap for a tag. `None`: not a tag.
#[must_use]
pub fn config_map(tag: &str) -> Option<String> {
    let is_hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_tag = tag.len() == 32 && tag.bytes().all(is_hexadecimal);
    is_tag.then(|| format!("rights-ledger-{}", &tag[..2]))
}

/// Decides on the ledger as it was read.
pub fn admit(
    ledger: &str,
    ask: Ask<'_>,
    limits: &[ParsedLimit],
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Admission, LedgerError> {
    let mut entries = parse(ledger)?;
    if let Some(own) = entries.iter().find(|entry| entry.request == ask.request) {
        return Ok(Admission::Already(own.admitted_at));
    }
    let counted: Vec<Timestamp> = entries
        .iter()
        .filter(|entry| {
            (&*entry.tag, &*entry.right, &*entry.regime, &*entry.namespace)
                == (ask.tag, ask.right, ask.regime, ask.namespace)
        })
        .map(|entry| entry.admitted_at)
        .collect();
    let mut until: Option<Timestamp> = None;
    for limit in limits.iter().filter(|limit| limit.right.as_str() == ask.right) {
        let Some(free_at) = free_at(limit, &counted, zone, now) else {
            continue;
        };
        if limit.on_exceed == OnExceed::Refuse {
            return Ok(Admission::Refused);
        }
        until = until.max(Some(free_at));
    }
    if let Some(until) = until {
        return Ok(Admission::Deferred(until));
    }
    // Two days more than the longest window: zones and clocks differ.
    let oldest = now - SignedDuration::from_hours((window::LONGEST_DAYS + 2) * 24);
    entries.retain(|entry| entry.admitted_at >= oldest);
    entries.push(Entry {
        tag: ask.tag.to_owned(),
        right: ask.right.to_owned(),
        regime: ask.regime.to_owned(),
        namespace: ask.namespace.to_owned(),
        request: ask.request.to_owned(),
        admitted_at: now,
    });
    let text = write(&entries);
    if text.len() > LARGEST {
        return Err(LedgerError::Full);
    }
    Ok(Admission::Admit(text))
}

/// When the limit lets one more pass. `None`: now.
fn free_at(limit: &ParsedLimit, counted: &[Timestamp], zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    // An end beyond the calendar never comes.
    let mut ends: Vec<Timestamp> = counted
        .iter()
        .map(|at| limit.window.ends(*at, zone).unwrap_or(Timestamp::MAX))
        .filter(|end| *end > now)
        .collect();
    ends.sort();
    let excess = ends.len().checked_sub(limit.max)?;
    ends.get(excess).copied()
}

fn parse(ledger: &str) -> Result<Vec<Entry>, LedgerError> {
    ledger
        .lines()
        .enumerate()
        .map(|(index, line)| serde_json::from_str(line).map_err(|_| LedgerError::Unreadable(index + 1)))
        .collect()
}

fn write(entries: &[Entry]) -> String {
    // Strings and a time only: serialisation cannot fail.
    let lines: Vec<String> = entries
        .iter()
        .map(|entry| serde_json::to_string(entry).unwrap_or_default())
        .collect();
    lines.join("\n")
}

/// What is known of the hash key of a policy.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KnownKey {
    key_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed_at: Option<Timestamp>,
}

/// What the hash key says to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyVerdict {
    /// Known long enough: go on.
    Known,
    /// This text is to be written first; then decide again.
    Record(String),
    /// Exchanged: under the new key nobody is known, so nobody is admitted before the longest window has passed.
    DeferUntil(Timestamp),
}

/// Key of a policy's entry in [`KEYS_CONFIG_MAP`].
#[must_use]
pub fn policy_key(namespace_uid: &str, policy: &str) -> String {
    let mut digest = hash::sha256(format!("{namespace_uid}/{policy}").as_bytes());
    digest.truncate(32);
    digest
}

/// Decides about the hash key. `known` is what [`KEYS_CONFIG_MAP`] has under [`policy_key`].
pub fn judge_key(
    known: Option<&str>,
    key_id: &str,
    right: &str,
    limits: &[ParsedLimit],
    zone: &TimeZone,
    now: Timestamp,
) -> Result<KeyVerdict, LedgerError> {
    let record = |changed_at| {
        let key_id = key_id.to_owned();
        let text = serde_json::to_string(&KnownKey { key_id, changed_at });
        KeyVerdict::Record(text.unwrap_or_default())
    };
    let Some(text) = known else {
        return Ok(record(None));
    };
    let known: KnownKey = serde_json::from_str(text).map_err(|_| LedgerError::Unreadable(1))?;
    if known.key_id != key_id {
        return Ok(record(Some(now)));
    }
    let until = known.changed_at.and_then(|changed| {
        let windows = limits.iter().filter(|limit| limit.right.as_str() == right);
        windows
            .map(|limit| limit.window.ends(changed, zone).unwrap_or(Timestamp::MAX))
            .max()
    });
    Ok(match until {
        Some(until) if until > now => KeyVerdict::DeferUntil(until),
        _ => KeyVerdict::Known,
    })
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
