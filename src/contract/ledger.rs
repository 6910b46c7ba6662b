//! A line of the ledger: what a run did, chained by its hash to the line before. The store keeps the lines and the log of
//! each run carries its own, so that the chain can be recomputed from either, without the other.

use serde::{Deserialize, Serialize};

use crate::domain::hash;

/// A line, as the worker's log has it, and as `row_to_json` prints a row of the store's table.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LedgerLine {
    /// Uid of the policy: each has a chain of its own.
    #[serde(alias = "policy_uid")]
    pub policy_uid: String,
    /// Namespace and name of the policy.
    pub policy: String,
    /// Its number, 1 for the first.
    pub sequence: i64,
    /// Name of the run.
    pub run: String,
    /// Hash of the work plan.
    #[serde(alias = "plan_hash")]
    pub plan_hash: String,
    /// Rows deleted.
    pub deleted: i64,
    /// Rows masked.
    pub masked: i64,
    /// Rows set.
    #[serde(alias = "set_rows")]
    pub set: i64,
    /// The counts of each rule, as JSON.
    pub report: String,
    /// Hash of the line before; empty for the first.
    pub previous: String,
    /// Hash of this line.
    pub head: String,
}

impl LedgerLine {
    /// SHA-256 over the hash before it and its own content, a part a line.
    #[must_use]
    pub fn hash(&self) -> String {
        let text = format!(
            "{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}",
            self.previous, self.sequence, self.run, self.plan_hash, self.deleted, self.masked, self.set, self.report
        );
        hash::sha256(text.as_bytes())
    }

    /// The same with the hash of what it says.
    #[must_use]
    pub fn sealed(self) -> Self {
        Self {
            head: self.hash(),
            ..self
        }
    }
}
