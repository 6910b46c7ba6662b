//! What is seen of the cluster before a step is decided.

use std::collections::BTreeSet;
use std::fmt;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::custody::{Custody, Step};
use crate::api::cluster_encryption::EncryptionMode;
use crate::domain::period::Period;

/// What the spec and the activities want.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// What the operator does.
    pub mode: EncryptionMode,
    /// What is to be encrypted, all requirements united.
    pub resources: Vec<String>,
    /// Time from the end of one rotation to the begin of the next.
    pub every: Period,
    /// Old keys that stay readable.
    pub keep_old_keys: usize,
    /// A change of this text asks for a rotation.
    pub request: Option<String>,
    /// Who gets a sealed copy. Empty: nobody, said out loud.
    pub recipients: Vec<String>,
    /// Time from the agreement to the first pass: a write that was encoded before can commit after it.
    pub settle: SignedDuration,
}

impl Wanted {
    /// When the next rotation begins.
    #[must_use]
    pub fn next_rotation(&self, custody: &Custody) -> Option<Timestamp> {
        let span = Span::new()
            .try_months(self.every.months())
            .and_then(|span| span.try_seconds(self.every.exact_part_seconds()))
            .ok()?;
        let settled = custody.settled_at?.to_zoned(TimeZone::UTC);
        settled.checked_add(span).ok().map(|next| next.timestamp())
    }
}

/// The key Secret as it was found.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// There is none.
    Absent,
    /// It is there but makes no sense.
    Damaged(String),
    /// It is there.
    Present(Box<Custody>),
}

/// Everything that is seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Now.
    pub now: Timestamp,
    /// The key Secret.
    pub custody: Found,
    /// Keys that the status remembers.
    pub remembered: BTreeSet<String>,
    /// The sealed copy.
    pub escrow: Option<Sealed>,
    /// Every API server that must agree.
    pub servers: Vec<Server>,
    /// API servers that must be there and were not found, with the reason.
    pub missing: Vec<String>,
    /// The agents; absent where there are none by design.
    pub agents: Option<Vec<Agent>>,
    /// The file that the control plane had before us.
    pub baseline: Baseline,
    /// What the last pass reported.
    pub report: Option<PassReport>,
    /// The order that the migrator has.
    pub order: Option<PassOrder>,
}

/// The file that the control plane had before us.
#[derive(Clone, PartialEq, Eq)]
pub enum Baseline {
    /// Nobody has shown it yet.
    Unknown,
    /// Two nodes have different ones.
    Different(Vec<String>),
    /// All have this one.
    Text(String),
}

/// The file may hold keys, so it is not shown.
impl fmt::Debug for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("Unknown"),
            Self::Different(nodes) => f.debug_tuple("Different").field(nodes).finish(),
            Self::Text(_) => f.write_str("Text"),
        }
    }
}

/// The sealed copy of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Names of the keys in it.
    pub keys: BTreeSet<String>,
    /// For whom it was sealed.
    pub recipients: Vec<String>,
    /// [`Custody::encrypted_when_recovered`] of the record in it.
    pub encrypted: BTreeSet<String>,
}

/// An API server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    /// Its address.
    pub name: String,
    /// What it says.
    pub state: ServerState,
}

/// What an API server says of its file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerState {
    /// It has loaded a file with this hash.
    Loaded(String),
    /// It reads no such file.
    NotConfigured,
    /// It does not let us look.
    Forbidden,
    /// It cannot be asked.
    Unreachable(String),
}

/// An agent on a control-plane node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its node.
    pub node: String,
    /// What it says. Absent: there is none, or it does not answer.
    pub report: Option<AgentReport>,
}

/// What an agent says, on its port.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AgentReport {
    /// Generation of the file that it has written last, or found right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Hash of the file as it is on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_hash: Option<String>,
    /// Keys of ours in that file.
    #[serde(default)]
    pub keys: BTreeSet<String>,
    /// What it does not do, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<AgentProblem>,
    /// The file that it found at first contact, sealed with the record's import key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
}

/// What an agent does not do, and why.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct AgentProblem {
    /// One word.
    pub reason: String,
    /// What it means and what to do.
    pub message: String,
}

/// A pass over all objects that the migrator is asked for.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PassOrder {
    /// Generation of the file, step and number.
    pub id: String,
    /// `Migrate` or `Verify`.
    pub step: Step,
    /// What to look at.
    pub resources: Vec<String>,
    /// Through which API servers.
    pub servers: Vec<String>,
}

/// What a pass did.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PassReport {
    /// [`PassOrder::id`].
    pub order: String,
    /// It has come to its end.
    pub complete: bool,
    /// Objects that it has looked at.
    pub done: i64,
    /// Objects that it knows of and has not looked at.
    pub left: i64,
    /// Objects that were written anew.
    pub rewritten: i64,
    /// Objects that were not under the first key of the API server through which they were looked at, or could not be
    /// proven to be.
    pub unproven: i64,
    /// Objects that refuse a patch, by name; the first few.
    #[serde(default)]
    pub refused: Vec<String>,
    /// Objects that an API server cannot read, by name; the first few.
    #[serde(default)]
    pub unreadable: Vec<String>,
    /// Why it cannot go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}
