//! Each rule: what it is, what the last run counted, and whether it keeps its promise by the clock.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Inputs;
use crate::api::data_retention_policy::{Bound, RetentionRule};
use crate::api::status::{DataRetentionPolicyStatus, EffectivePeriod, ProblemStatus, RuleStatus};
use crate::plan::conditions::Truth;
use crate::plan::reasons;
use crate::plan::runs::reported_reason;
use crate::plan::sentences::{Language, duration, sentence};
use crate::plan::validated::{Invalid, ValidatedRule};
use crate::plan::work_plan::Planned;

/// Brings the list of rules to that of the spec, with what does not depend on a run. Numbers stay with their names.
pub(super) fn prepare(status: &mut DataRetentionPolicyStatus, inputs: &Inputs<'_>) {
    let old = std::mem::take(&mut status.rules);
    status.rules = inputs
        .policy
        .spec
        .rules
        .iter()
        .map(|spec| {
            let mut rule = old
                .iter()
                .find(|rule| rule.name == spec.name)
                .cloned()
                .unwrap_or_default();
            spec.name.clone_into(&mut rule.name);
            rule.clause = spec.promise.as_ref().map(|promise| promise.clause.clone());
            rule.quote = spec.promise.as_ref().map(|promise| promise.quote.clone());
            // A mistake of the spec is told anew each time; what a run said stays until the next one.
            rule.problem = rule.problem.filter(|problem| reported_reason(problem).is_some());
            match inputs.planned {
                Ok(planned) => describe(&mut rule, spec, planned),
                Err(invalid) => blame(&mut rule, spec, invalid),
            }
            rule
        })
        .collect();
}

fn describe(rule: &mut RuleStatus, spec: &RetentionRule, planned: &Planned) {
    let Some(validated) = planned
        .validated
        .rules
        .iter()
        .find(|validated| validated.spec.name == spec.name)
    else {
        return;
    };
    let table = validated.table.to_string();
    rule.sentence = Some(sentence(spec, &table));
    rule.table = Some(table);
    rule.categories.clone_from(&validated.categories);
    rule.effective_periods = spec
        .keep_while
        .iter()
        .filter(|ground| ground.bound() == Bound::Maximum)
        .filter_map(|ground| {
            Some(EffectivePeriod {
                ground: ground.name.clone(),
                promised: ground.for_.clone()?,
                shortened_by: duration(planned.validated.slack_seconds, Language::English),
            })
        })
        .collect();
}

fn blame(rule: &mut RuleStatus, spec: &RetentionRule, invalid: &[Invalid]) {
    if let Some(mistake) = invalid
        .iter()
        .find(|mistake| mistake.rule.as_deref() == Some(&spec.name))
    {
        rule.problem = Some(ProblemStatus {
            reason: mistake.reason.to_owned(),
            field: mistake.field.clone(),
            message: mistake.text(),
        });
    }
}

/// Whether each rule is on time.
pub(super) fn judge(status: &mut DataRetentionPolicyStatus, inputs: &Inputs<'_>) {
    let accepted = status.accepted_at.as_ref().map(|time| time.0);
    for rule in &mut status.rules {
        let spec = inputs.policy.spec.rules.iter().find(|spec| spec.name == rule.name);
        let validated = inputs.planned.ok().and_then(|planned| {
            planned
                .validated
                .rules
                .iter()
                .find(|validated| validated.spec.name == rule.name)
        });
        if let Some(too_coarse) = validated.and_then(|validated| validated.too_coarse.as_ref()) {
            rule.problem = Some(ProblemStatus {
                reason: reasons::SCHEDULE_TOO_COARSE.to_owned(),
                field: format!("spec.rules[{}].keepWhile", rule.name),
                message: too_coarse.clone(),
            });
        }
        // A rule that only protects disposes of nothing and cannot be late.
        if spec.is_none_or(|spec| spec.then.is_none()) {
            rule.on_time = None;
            rule.overdue_from = None;
            rule.seconds_until_overdue = None;
            continue;
        }
        if let (Ok(planned), Some(validated)) = (inputs.planned, validated) {
            let clean = rule.clean_at.as_ref().map(|time| time.0);
            // Rows that were found due by the only runs so far have deadlines that we do not know.
            let since = clean.or_else(|| accepted.filter(|_| rule.counted_at.is_none()));
            rule.overdue_from = since
                .and_then(|since| after(since, allowance(validated, planned)))
                .map(Time);
        }
        rule.on_time = Some(verdict(rule, inputs.now).0.as_str().to_owned());
        rule.seconds_until_overdue = rule
            .overdue_from
            .as_ref()
            .map(|from| from.0.duration_since(inputs.now).as_secs());
    }
}

/// How long after a clean run a row can become overdue: `within`, or, where a `Maximum` promises to be gone by its
/// end, the slack by which such a row is taken early, if that is less.
fn allowance(rule: &ValidatedRule, planned: &Planned) -> i64 {
    let maximum = rule
        .spec
        .keep_while
        .iter()
        .any(|ground| ground.bound() == Bound::Maximum && ground.for_.is_some());
    if maximum {
        rule.within_seconds.min(planned.validated.slack_seconds)
    } else {
        rule.within_seconds
    }
}

fn after(start: Timestamp, seconds: i64) -> Option<Timestamp> {
    start.checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// Whether a rule keeps its promise, with the reason.
pub(super) fn verdict(rule: &RuleStatus, now: Timestamp) -> (Truth, &'static str) {
    if rule.overdue.unwrap_or(0) > 0 {
        return (Truth::False, reasons::OVERDUE);
    }
    let Some(from) = rule.overdue_from.as_ref().map(|time| time.0) else {
        return if rule.counted_at.is_some() {
            (Truth::Unknown, reasons::BACKLOG_REMAINING)
        } else {
            (Truth::Unknown, reasons::NO_RUN_YET)
        };
    };
    let late = now >= from;
    match (&rule.clean_at, late) {
        (Some(_), false) => (Truth::True, reasons::ON_TIME),
        (Some(_), true) => {
            // A later run counted, found rows due and none of them overdue: nothing is known to be late.
            let counted_since = rule.counted_at.as_ref().is_some_and(|counted| counted.0 >= from);
            if counted_since {
                (Truth::Unknown, reasons::BACKLOG_REMAINING)
            } else {
                (Truth::False, reasons::NO_RECENT_RUN)
            }
        }
        (None, false) => (Truth::Unknown, reasons::NO_RUN_YET),
        (None, true) => (Truth::False, reasons::NEVER_RAN),
    }
}
