//! What a policy that was deleted leaves behind: its last report.

use kube::ResourceExt as _;

use super::transitions::Transition;
use crate::api::data_retention_policy::DataRetentionPolicy;
use crate::api::status::LedgerStatus;
use crate::contract::Totals;
use crate::contract::evidence::Withdrawal;

/// The last report of a policy, from what was last known of it.
#[must_use]
pub fn withdrawal(policy: &DataRetentionPolicy) -> Withdrawal {
    let ledger = policy.status.as_ref().and_then(|status| status.ledger.as_ref());
    Withdrawal {
        result: Withdrawal::RESULT.to_owned(),
        policy: format!("{}/{}", policy.namespace().unwrap_or_default(), policy.name_any()),
        policy_uid: policy.uid().unwrap_or_default(),
        generation: policy.metadata.generation,
        rules: policy.spec.rules.iter().map(|rule| rule.name.clone()).collect(),
        sequence: ledger.map(|ledger| ledger.sequence),
        head: ledger.map(|ledger| ledger.head.clone()),
        totals: ledger.map(totals).unwrap_or_default(),
    }
}

const fn totals(ledger: &LedgerStatus) -> Totals {
    Totals {
        deleted: ledger.deleted,
        masked: ledger.masked,
        set: ledger.set,
    }
}

/// The event about it.
#[must_use]
pub fn event(last: &Withdrawal) -> Transition {
    let proof = match (last.sequence, &last.head) {
        (Some(sequence @ 1..), Some(head)) => format!("its ledger ends with line {sequence}, hash {head}"),
        _ => "it has no line in a ledger".to_owned(),
    };
    Transition {
        warning: true,
        reason: Withdrawal::RESULT.to_owned(),
        note: format!(
            "the policy was deleted: no rule keeps the promises {} any more, and no row was touched by that; {proof}; \
             apply the policy again if this was a mistake",
            last.rules.join(", ")
        ),
    }
}
