//! Conditions: merged with what was there, compared without time.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::reasons;
use crate::api::data_source::DataSourceStatus;
use crate::api::status::DataRetentionPolicyStatus;

/// Longest message; the API server takes 32,768 bytes, a person reads less.
const LONGEST_MESSAGE: usize = 4096;

/// True, False or honestly Unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// True.
    True,
    /// False.
    False,
    /// Cannot be told.
    Unknown,
}

impl Truth {
    /// The word of the Kubernetes API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// A condition without its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Which condition.
    pub type_: &'static str,
    /// Its status.
    pub truth: Truth,
    /// One word.
    pub reason: String,
    /// What it means and what to do.
    pub message: String,
}

impl Judgement {
    /// A judgement.
    pub fn new(type_: &'static str, truth: impl Into<Truth>, reason: &str, message: impl Into<String>) -> Self {
        Self {
            type_,
            truth: truth.into(),
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}

/// The new list: `lastTransitionTime` stays where the status does, and a condition that no longer applies turns False
/// instead of vanishing, for whoever waits for it.
#[must_use]
pub fn merge(old: &[Condition], judgements: Vec<Judgement>, generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
    let judged: Vec<&'static str> = judgements.iter().map(|judgement| judgement.type_).collect();
    let mut conditions: Vec<Condition> = judgements
        .into_iter()
        .map(|judgement| {
            let before = find(old, judgement.type_).filter(|before| before.status == judgement.truth.as_str());
            Condition {
                type_: judgement.type_.to_owned(),
                status: judgement.truth.as_str().to_owned(),
                reason: judgement.reason,
                message: judgement.message.chars().take(LONGEST_MESSAGE).collect(),
                observed_generation: generation,
                last_transition_time: before.map_or(Time(now), |before| before.last_transition_time.clone()),
            }
        })
        .collect();
    for gone in old
        .iter()
        .filter(|condition| !judged.contains(&condition.type_.as_str()))
    {
        conditions.push(Condition {
            type_: gone.type_.clone(),
            status: "False".to_owned(),
            reason: reasons::NOT_APPLICABLE.to_owned(),
            message: "no longer applies".to_owned(),
            observed_generation: generation,
            last_transition_time: if gone.status == "False" {
                gone.last_transition_time.clone()
            } else {
                Time(now)
            },
        });
    }
    conditions.sort_by(|left, right| order(&left.type_).cmp(&order(&right.type_)));
    conditions
}

/// The most asked-for conditions first, the others by name.
fn order(type_: &str) -> (usize, &str) {
    let first = [
        reasons::READY,
        reasons::REACHABLE,
        reasons::PROMISE_KEPT,
        reasons::HALTED,
    ];
    (
        first.iter().position(|known| *known == type_).unwrap_or(first.len()),
        type_,
    )
}

/// The condition of a type.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether a condition is there and True.
#[must_use]
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == "True")
}

/// The same conditions, all at one time, to be compared.
#[must_use]
pub fn timeless(conditions: &[Condition]) -> Vec<Condition> {
    without_times(conditions)
}

fn without_times(conditions: &[Condition]) -> Vec<Condition> {
    let epoch = Time(Timestamp::UNIX_EPOCH);
    conditions
        .iter()
        .map(|condition| Condition {
            last_transition_time: epoch.clone(),
            ..condition.clone()
        })
        .collect()
}

/// Whether two statuses differ in nothing but what the clock alone changes. Only then is nothing written.
#[must_use]
pub fn policy_status_unchanged(old: &DataRetentionPolicyStatus, new: &DataRetentionPolicyStatus) -> bool {
    let timeless = |status: &DataRetentionPolicyStatus| {
        let mut status = status.clone();
        status.conditions = without_times(&status.conditions);
        if let Some(running) = &mut status.running {
            running.asked_at = None;
        }
        for rule in &mut status.rules {
            rule.seconds_until_overdue = None;
        }
        status
    };
    timeless(old) == timeless(new)
}

/// The same for a `DataSource`.
#[must_use]
pub fn source_status_unchanged(old: &DataSourceStatus, new: &DataSourceStatus) -> bool {
    let timeless = |status: &DataSourceStatus| {
        let mut status = status.clone();
        status.conditions = without_times(&status.conditions);
        status
    };
    timeless(old) == timeless(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const FIRST: &str = "2026-11-22T05:00:00Z";
    const LATER: &str = "2026-11-22T06:00:00Z";

    fn ready(truth: bool) -> Judgement {
        Judgement::new(reasons::READY, truth, "Accepted", "")
    }

    #[test]
    fn the_transition_time_stays_until_the_status_flips() {
        let first = merge(&[], vec![ready(true)], Some(1), at(FIRST));
        let same = merge(&first, vec![ready(true)], Some(2), at(LATER));
        assert_eq!(same[0].last_transition_time.0, at(FIRST));
        assert_eq!(same[0].observed_generation, Some(2));
        let flipped = merge(&same, vec![ready(false)], Some(2), at(LATER));
        assert_eq!(flipped[0].last_transition_time.0, at(LATER));
    }

    #[test]
    fn a_condition_that_no_longer_applies_turns_false_and_stays() {
        let halted = Judgement::new(reasons::HALTED, true, "LimitExceeded", "");
        let first = merge(&[], vec![ready(true), halted], Some(1), at(FIRST));
        let second = merge(&first, vec![ready(true)], Some(1), at(LATER));
        let condition = find(&second, reasons::HALTED).unwrap();
        assert_eq!(
            (condition.status.as_str(), condition.reason.as_str()),
            ("False", "NotApplicable")
        );
        let third = merge(&second, vec![ready(true)], Some(1), at("2026-11-22T07:00:00Z"));
        assert_eq!(find(&third, reasons::HALTED).unwrap().last_transition_time.0, at(LATER));
    }

    #[test]
    fn a_status_that_differs_only_in_time_counts_as_unchanged() {
        use crate::api::status::RuleStatus;
        let status = |time: &str, seconds: i64| DataRetentionPolicyStatus {
            conditions: merge(&[], vec![ready(true)], Some(1), at(time)),
            rules: vec![RuleStatus {
                seconds_until_overdue: Some(seconds),
                ..RuleStatus::default()
            }],
            ..DataRetentionPolicyStatus::default()
        };
        assert!(policy_status_unchanged(&status(FIRST, 10), &status(LATER, -20)));
        let mut changed = status(FIRST, 10);
        changed.due = Some(1);
        assert!(!policy_status_unchanged(&status(FIRST, 10), &changed));
    }
}
