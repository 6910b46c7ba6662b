//! Time limits: whether each category has one, whether the rule behind it keeps its promise, and what backups add.

use super::{Inputs, Observed, covers, found};
use crate::api::data_retention_policy::{Bound, Mode, RetentionRule};
use crate::api::data_source::{Backups, Dataset};
use crate::api::findings::{Finding, ObservedLine};
use crate::api::processing_activity::{RetentionLine, RuleReference, StatedRetention, StoredBy};
use crate::api::{DataRetentionPolicy, DataSource};
use crate::domain::period::Period;
use crate::plan::conditions::find;
use crate::plan::reasons as conditions;
use kube::ResourceExt as _;

/// A rule with what stands around it.
struct Found<'a> {
    policy: &'a DataRetentionPolicy,
    rule: &'a RetentionRule,
    source: Option<&'a DataSource>,
}

impl<'a> Found<'a> {
    /// The dataset of the rule, and those of which rows go with its rows.
    fn datasets(&self) -> impl Iterator<Item = &'a Dataset> {
        let delete = self.rule.then.as_ref().and_then(|then| then.delete.as_ref());
        let dependents = delete.into_iter().flat_map(|delete| &delete.dependents);
        let names: Vec<&str> = dependents.map(|dependent| dependent.dataset.as_str()).collect();
        let all = self.source.into_iter().flat_map(|source| &source.spec.datasets);
        all.filter(move |dataset| dataset.name == self.rule.dataset || names.contains(&dataset.name.as_str()))
    }

    fn backups(&self) -> Option<&'a Backups> {
        self.source?.spec.backups.as_ref()
    }
}

fn look_up<'a>(inputs: &Inputs<'a>, reference: &RuleReference) -> Option<Found<'a>> {
    let policy = inputs
        .policies
        .iter()
        .find(|policy| policy.name_any() == reference.policy)?;
    let rule = policy.spec.rules.iter().find(|rule| rule.name == reference.rule)?;
    let source = inputs
        .sources
        .iter()
        .find(|source| source.name_any() == policy.spec.data_source_ref.name)
        .copied();
    Some(Found { policy, rule, source })
}

pub(super) fn findings(inputs: &Inputs<'_>) -> Vec<Finding> {
    let spec = &inputs.activity.spec;
    let mut findings = Vec::new();
    let has_line = |key: &str| {
        spec.retention
            .iter()
            .any(|line| line.categories.iter().any(|category| covers(category, key)))
    };
    // Art. 30(2) asks a processor for no time limits; without any line Art. 30(1)(f) is missing as a whole.
    if !inputs.is_processor() && !spec.retention.is_empty() {
        for category in spec.data_categories.iter().filter(|category| !has_line(&category.key)) {
            findings.push(found::CATEGORY_WITHOUT_RETENTION.at(
                format!("spec.dataCategories[{}]", category.key),
                format!("no retention line covers {}", category.key),
            ));
        }
    }
    for (index, line) in spec.retention.iter().enumerate() {
        let path = format!("spec.retention[{index}]");
        for category in &line.categories {
            let known = spec
                .data_categories
                .iter()
                .any(|known| covers(category, &known.key) || covers(&known.key, category));
            if !known {
                findings.push(found::RETENTION_OF_UNKNOWN_CATEGORY.at(
                    format!("{path}.categories"),
                    format!("the line is about {category}, which dataCategories does not have"),
                ));
            }
        }
        if let Some(stated) = &line.stated {
            of_stated(stated, &path, &mut findings);
        }
        if let Some(reference) = &line.rule_ref {
            of_rule(inputs, line, reference, &path, &mut findings);
        }
    }
    findings
}

fn of_stated(stated: &StatedRetention, path: &str, findings: &mut Vec<Finding>) {
    match &stated.period {
        None => findings.push(found::RETENTION_INDETERMINATE.at(
            format!("{path}.stated.period"),
            "what is stated gives no number, so nobody can say when the data is gone",
        )),
        Some(period) => {
            if let Err(error) = period.parse::<Period>() {
                findings.push(found::INVALID_PERIOD.at(format!("{path}.stated.period"), error.to_string()));
            }
        }
    }
}

fn of_rule(
    inputs: &Inputs<'_>,
    line: &RetentionLine,
    reference: &RuleReference,
    path: &str,
    findings: &mut Vec<Finding>,
) {
    let field = format!("{path}.ruleRef");
    let Some(rule) = look_up(inputs, reference) else {
        let message = format!("there is no rule {} in a policy {}", reference.rule, reference.policy);
        findings.push(found::UNKNOWN_RULE.at(field, message));
        return;
    };
    let held: Vec<&str> = rule
        .datasets()
        .flat_map(|dataset| &dataset.fields)
        .filter_map(|field| field.category.as_deref())
        .collect();
    // A dataset that names no category at all says nothing about which it holds.
    for category in line.categories.iter().filter(|_| !held.is_empty()) {
        if !held.iter().any(|held| covers(category, held) || covers(held, category)) {
            findings.push(found::CATEGORY_NOT_IN_RULE.at(
                field.clone(),
                format!(
                    "no column of the dataset {}, or of one whose rows go with its rows, is declared to hold {category}",
                    rule.rule.dataset
                ),
            ));
        }
    }
    if rule
        .rule
        .keep_while
        .iter()
        .any(|ground| ground.stated_as.is_some() && ground.for_.is_none() && ground.until.is_empty())
    {
        findings.push(found::RETENTION_INDETERMINATE.at(
            field.clone(),
            format!(
                "rule {} has a ground without an end, since the notice gives no number",
                reference.rule
            ),
        ));
    }
    if let (Some(promised), Some((kept_for, backups))) =
        (longest_promise(rule.rule), rule.backups().and_then(longest_backup))
        && promised.shortest_seconds() < backups.shortest_seconds()
    {
        findings.push(found::SHORTER_THAN_BACKUPS.at(
            field,
            format!("data is to be gone after {promised}, and backups are kept for {kept_for}"),
        ));
    }
}

/// The longest period for which a rule keeps a row before it deletes it. Statutory minimum periods are no promise.
fn longest_promise(rule: &RetentionRule) -> Option<Period> {
    rule.then.as_ref()?.delete.as_ref()?;
    rule.keep_while
        .iter()
        .filter(|ground| ground.bound != Some(Bound::Minimum))
        .filter_map(|ground| ground.for_.as_ref()?.parse::<Period>().ok())
        .max_by_key(|period| period.shortest_seconds())
}

/// For how long a deleted row lives on: the longer of backups and archived log.
fn longest_backup(backups: &Backups) -> Option<(&str, Period)> {
    [Some(&backups.kept_for), backups.wal_kept_for.as_ref()]
        .into_iter()
        .flatten()
        .filter_map(|text| Some((text.as_str(), text.parse::<Period>().ok()?)))
        .max_by_key(|(_, period)| period.shortest_seconds())
}

/// How each line stands.
#[must_use]
pub fn observed(inputs: &Inputs<'_>) -> Vec<ObservedLine> {
    inputs
        .activity
        .spec
        .retention
        .iter()
        .enumerate()
        .map(|(index, line)| {
            let subject = line.categories.join(", ");
            match (&line.rule_ref, &line.stated) {
                (Some(reference), _) => {
                    let rule = look_up(inputs, reference);
                    let gone = rule.as_ref().and_then(Found::backups).and_then(longest_backup);
                    let mut observed = of_reference(reference, rule.as_ref()).line(index, subject);
                    observed.gone_from_backups =
                        gone.map(|(kept_for, _)| format!("at the latest {kept_for} after it is gone from the store"));
                    observed
                }
                (None, Some(stated)) => recorded(stated.stored_by).line(index, subject),
                // The schema wants one of the two.
                (None, None) => Observed::unknown("Recorded", "nothing is stated").line(index, subject),
            }
        })
        .collect()
}

fn recorded(by: StoredBy) -> Observed {
    let message = match by {
        StoredBy::Device => "kept by the person's device; it is written down here and enforced by nothing",
        StoredBy::ThirdParty => "kept by a third party; it is written down here and enforced by nothing",
        StoredBy::Other => {
            "kept where no rule of this operator reaches; it is written down here and enforced by nothing"
        }
    };
    Observed::unknown("Recorded", message)
}

fn of_reference(reference: &RuleReference, rule: Option<&Found<'_>>) -> Observed {
    let name = format!("rule {} of {}", reference.rule, reference.policy);
    let Some(rule) = rule else {
        return Observed::unknown(found::UNKNOWN_RULE.word, format!("{name} does not exist"));
    };
    let status = rule.policy.status.as_ref();
    let on_time = status
        .and_then(|status| status.rules.iter().find(|rule| rule.name == reference.rule))
        .and_then(|rule| rule.on_time.as_deref());
    let kept = status.and_then(|status| find(&status.conditions, conditions::PROMISE_KEPT));
    // The status of a policy is about the spec that it has seen.
    let current = status.is_some_and(|status| status.observed_generation == rule.policy.metadata.generation);
    match on_time.filter(|_| current) {
        Some("True") if rule.policy.spec.mode == Mode::Enforce => Observed::new(
            true,
            conditions::ON_TIME,
            format!("{name} keeps its promise, by the clock"),
        ),
        Some("True") => Observed::new(
            true,
            "KeptWhileObserving",
            format!("{name}: no row has stayed too long, but the policy only observes: nothing would dispose of one"),
        ),
        Some("False") => {
            // The condition speaks of the whole policy: its reason fits when it is False too.
            let reason = kept
                .filter(|kept| kept.status == "False")
                .map_or(conditions::OVERDUE, |kept| kept.reason.as_str());
            Observed::new(
                false,
                reason,
                format!(
                    "{name} does not keep its promise; kubectl describe drp {}",
                    reference.policy
                ),
            )
        }
        _ => {
            let reason = kept
                .filter(|kept| kept.status == "Unknown")
                .map_or(conditions::NO_RUN_YET, |kept| kept.reason.as_str());
            let message = if reason == conditions::BACKLOG_REMAINING {
                format!("{name} has due rows left, and none of them is known to be late")
            } else {
                format!("no run of {} has judged {name} yet", reference.policy)
            };
            Observed::unknown(reason, message)
        }
    }
}
