//! Durations of a policy: how long a run may take, how late a disposal may be, what a schedule can promise.

use super::{Invalid, reasons};
use crate::api::data_retention_policy::{Bound, RetentionRule};
use crate::domain::period::Period;
use crate::plan::sentences::{Language, duration};

/// Shortest run that is worth starting, in seconds.
const SHORTEST_RUN: i64 = 60;
/// Longest run, in seconds.
const LONGEST_RUN: i64 = 86_400;

/// `spec.activeDeadline` in seconds.
pub(super) fn active_deadline(text: &str) -> Result<i64, Invalid> {
    let invalid = |message: String| Invalid::new(reasons::INVALID_DURATION, "spec.activeDeadline", message);
    let period: Period = text.parse().map_err(|error| invalid(format!("{error}")))?;
    if period.months() != 0 || period.days() != 0 {
        return Err(invalid(format!(
            "`{text}` must be written in hours, minutes and seconds, for example PT1H"
        )));
    }
    let seconds = period.exact_part_seconds();
    if (SHORTEST_RUN..=LONGEST_RUN).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(invalid(format!("`{text}` must lie between PT1M and PT24H")))
    }
}

/// `within` of a rule in seconds, by default two schedule intervals.
pub(super) fn within(rule: &RetentionRule, largest_gap_seconds: i64) -> Result<i64, Invalid> {
    let Some(text) = &rule.within else {
        return Ok(largest_gap_seconds.saturating_mul(2));
    };
    text.parse::<Period>()
        .map(Period::shortest_seconds)
        .map_err(|error| Invalid::new(reasons::INVALID_DURATION, "within", format!("{error}")).in_rule(&rule.name))
}

/// Why the schedule is too coarse for a `Maximum` of the rule: the run may be late by more than a quarter of a period.
pub(super) fn too_coarse(rule: &RetentionRule, slack_seconds: i64) -> Option<String> {
    rule.keep_while
        .iter()
        .filter(|ground| ground.bound() == Bound::Maximum)
        .find_map(|ground| {
            let text = ground.for_.as_ref()?;
            let period: Period = text.parse().ok()?;
            (slack_seconds > period.shortest_seconds() / 4).then(|| {
                format!(
                    "the schedule may be late by {}, more than a quarter of the {text} that ground `{}` promises as a maximum; run more often (spec.schedule) or for a shorter time (spec.activeDeadline)",
                    duration(slack_seconds, Language::English),
                    ground.name
                )
            })
        })
}
