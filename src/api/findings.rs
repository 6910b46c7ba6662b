//! What is found when a record of processing is held against its notice, its stores and the law: in status.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something in a record that is missing, contradicts something else, or is not so.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What was found, one word.
    pub reason: String,

    /// How bad it is.
    pub severity: Severity,

    /// The field that is to be looked at.
    pub field: String,

    /// What is wrong.
    pub message: String,

    /// What to do.
    pub remedy: String,
}

/// How bad a finding is.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
pub enum Severity {
    /// The record, or what it describes, breaks a rule or the notice.
    Error,
    /// Something that the law or the notice wants is missing or in doubt.
    Warning,
    /// Worth a look.
    Info,
}

impl Severity {
    /// The word in status, metrics and the register.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "Error",
            Self::Warning => "Warning",
            Self::Info => "Info",
        }
    }
}

/// How a line of a record stands in reality.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObservedLine {
    /// Number of the line in the spec, from 0.
    pub line: i64,

    /// What the line is about, for people.
    pub subject: String,

    /// `True`: seen to be so. `False`: seen not to be so. `Unknown`: it cannot be seen from here.
    pub observed: String,

    /// Why, one word. `Recorded`: only a third party, a device or a person keeps it, so it is written down and no more.
    pub reason: String,

    /// What was looked at and what to do.
    pub message: String,

    /// By when the data is gone from backups too, where the store declares its backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_from_backups: Option<String>,
}
