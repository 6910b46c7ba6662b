//! What a run did and by which instants it judged, as a line of the ledger carries it under its hash; and what a policy leaves
//! behind when it is deleted.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Totals;

/// The starts from which the period of a ground has passed by the clock of the run: they are a union of a few intervals,
/// since months have different lengths (SEMANTICS 1.6).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DueStarts {
    /// Name of the ground.
    pub ground: String,
    /// First and last start of each interval, both included. Without a first one it reaches back without end.
    pub between: Vec<(Option<Timestamp>, Timestamp)>,
}

/// What a run did.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// Generation of the policy in which rules, store or datasets last changed. `None`: the policy came from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// The instant at which rows were judged, by the store's clock.
    pub store_time: Timestamp,
    /// Each rule, in the order of the plan.
    pub rules: Vec<RuleEvidence>,
}

/// What a run did by one rule.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleEvidence {
    /// Name of the rule.
    pub name: String,
    /// Rows deleted, masked or set.
    pub affected: i64,
    /// Rows of other tables that went with them.
    pub cascaded: i64,
    /// Rows due and still there at the end.
    pub due: i64,
    /// Due rows that a hold kept.
    pub held: i64,
    /// By which starts rows were due, for each ground with a period.
    pub due_starts: Vec<DueStarts>,
}

/// The last report of a policy: it was deleted, and nobody keeps its promises any more.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Withdrawal {
    /// [`Withdrawal::RESULT`].
    pub result: String,
    /// Namespace and name of the policy.
    pub policy: String,
    /// Uid of the policy.
    pub policy_uid: String,
    /// Its last generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Names of the rules that are kept no more.
    pub rules: Vec<String>,
    /// Number of the last line of its ledger, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<i64>,
    /// Hash of that line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// What it disposed of in all.
    pub totals: Totals,
}

impl Withdrawal {
    /// The word by which a withdrawal is known in logs and events.
    pub const RESULT: &str = "PromiseWithdrawn";
}
