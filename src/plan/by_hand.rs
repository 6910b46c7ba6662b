//! Policies of files, planned as the operator would plan those of a namespace.

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::holds::Listed;
use super::sharing::beside;
use super::validate::{Inputs, validate};
use super::validated::Invalid;
use super::work_plan::{Planned, plan};
use crate::api::{DataRetentionPolicy, DataSource, LegalHold};

/// Plans a policy that stands among others, by the holds beside it. Objects without a namespace count as in one.
pub fn planned(
    policy: &DataRetentionPolicy,
    policies: &[&DataRetentionPolicy],
    sources: &[&DataSource],
    holds: &[&LegalHold],
    now: Timestamp,
) -> Result<Planned, Vec<Invalid>> {
    let source = source_of(policy, sources);
    let others = source.map_or_else(Vec::new, |own| {
        let others = policies
            .iter()
            .filter_map(|other| Some((*other, source_of(other, sources)?)));
        beside(policy, own, others)
    });
    let named: Vec<(String, String, &LegalHold)> = holds
        .iter()
        .map(|hold| (hold.namespace().unwrap_or_default(), hold.name_any(), *hold))
        .collect();
    let holds: Vec<Listed<'_>> = named
        .iter()
        .map(|(namespace, name, hold)| Listed {
            namespace,
            name,
            hold: Some(hold),
            source: named_source(&hold.spec.data_source_ref.name, hold.namespace().as_deref(), sources),
        })
        .collect();
    let validated = validate(&Inputs {
        policy,
        source,
        others: &others,
        holds: &holds,
        now,
    })?;
    plan(policy, validated, now).map_err(|invalid| vec![invalid])
}

/// The `DataSource` that a policy names.
#[must_use]
pub fn source_of<'a>(policy: &DataRetentionPolicy, sources: &[&'a DataSource]) -> Option<&'a DataSource> {
    named_source(
        &policy.spec.data_source_ref.name,
        policy.namespace().as_deref(),
        sources,
    )
}

/// The `DataSource` of a name in a namespace.
#[must_use]
pub fn named_source<'a>(name: &str, namespace: Option<&str>, sources: &[&'a DataSource]) -> Option<&'a DataSource> {
    let named = |source: &&&DataSource| source.name_any() == name && source.namespace().as_deref() == namespace;
    sources.iter().find(named).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{fixtures, reasons};

    #[test]
    fn a_policy_of_a_file_is_planned_as_in_a_namespace() {
        let (policy, source) = (fixtures::policy(), fixtures::source());
        let by_hand = planned(&policy, &[&policy], &[&source], &[], fixtures::now()).unwrap();
        assert_eq!(by_hand.plan_hash, fixtures::planned(&policy).plan_hash);
    }

    #[test]
    fn what_is_missing_among_the_files_is_refused() {
        let policy = fixtures::policy();
        let missing = planned(&policy, &[&policy], &[], &[], fixtures::now()).unwrap_err();
        assert_eq!(missing[0].reason, reasons::UNKNOWN_DATA_SOURCE);
    }

    #[test]
    fn another_policy_of_the_files_protects_what_it_keeps() {
        let (policy, source) = (fixtures::policy(), fixtures::source());
        let mut second = policy.clone();
        second.metadata.name = Some("second".to_owned());
        second.spec.rules.truncate(1);
        second.spec.rules[0].keep_while[0].bound = None;
        let found = planned(&policy, &[&policy, &second], &[&source], &[], fixtures::now()).unwrap();
        let names: Vec<&str> = found
            .work_plan
            .protections
            .iter()
            .map(|rule| rule.name.as_str())
            .collect();
        assert_eq!(names, ["second/seven-days"]);
    }
}
