//! What a `SubjectRightsPolicy` must be, with reason, field and remedy; and its texts as values.

use std::collections::HashSet;

use jiff::civil::date;
use jiff::tz::TimeZone;

use super::super::reasons;
use super::super::validated::Invalid;
use crate::api::SubjectRightsPolicy;
use crate::api::subject_rights_policy::{OnExceed, Regime, Right};
use crate::domain::deadlines::{Rules, after};
use crate::domain::period::Period;
use crate::domain::window::Window;
use crate::domain::zone;

/// Shortest export that is worth starting, and the longest, in seconds.
const RUN_SECONDS: (i64, i64) = (60, 86_400);

/// A limit, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedLimit {
    /// The right.
    pub right: Right,
    /// How many.
    pub max: usize,
    /// Within which window.
    pub window: Window,
    /// What happens to one more.
    pub on_exceed: OnExceed,
}

/// A policy whose texts are values.
#[derive(Debug, Clone)]
pub struct ParsedPolicy {
    /// Zone of dates.
    pub zone: TimeZone,
    /// Its name.
    pub time_zone: String,
    /// How deadlines are counted.
    pub rules: Rules,
    /// Limits.
    pub limits: Vec<ParsedLimit>,
    /// How long an archive stays.
    pub expire_after: Period,
    /// How long a closed request stays.
    pub delete_after: Period,
    /// Longest export.
    pub active_deadline_seconds: i64,
}

/// Reads a policy. Every mistake is told, not only the first.
pub fn parse(policy: &SubjectRightsPolicy) -> Result<ParsedPolicy, Vec<Invalid>> {
    let spec = &policy.spec;
    let mut invalid = Vec::new();
    let zone = zone::parse(&spec.time_zone).unwrap_or_else(|error| {
        invalid.push(Invalid::new(
            reasons::INVALID_TIME_ZONE,
            "spec.timeZone",
            error.to_string(),
        ));
        TimeZone::UTC
    });
    let mut period = |field: &str, text: &str, takes_hours: bool| {
        let read = text.parse::<Period>().map_err(|error| error.to_string());
        let read = read.and_then(|period| {
            if period.has_time_part() && !takes_hours {
                Err(format!("`{text}` must be written in days, weeks, months or years"))
            } else {
                Ok(period)
            }
        });
        read.map_err(|message| {
            invalid.push(Invalid::new(
                reasons::INVALID_DURATION,
                format!("spec.{field}"),
                message,
            ));
        })
        .ok()
    };
    let (respond, max_extension, acknowledge) = defaults(spec.regime);
    let deadlines = &spec.deadlines;
    let respond = period(
        "deadlines.respond",
        deadlines.respond.as_deref().unwrap_or(respond),
        false,
    );
    let max_extension = deadlines.max_extension.as_deref().or(max_extension);
    let max_extension = max_extension.map(|text| period("deadlines.maxExtension", text, false));
    let expire_after = period("expireAfter", &spec.expire_after, true);
    let delete_after = period("deleteAfter", &spec.delete_after, false);
    let active_deadline = period("activeDeadline", &spec.active_deadline, true);
    let active_deadline_seconds = active_deadline.map_or(0, |period| period.exact_seconds().unwrap_or(i64::MAX));
    if active_deadline.is_some() && !(RUN_SECONDS.0..=RUN_SECONDS.1).contains(&active_deadline_seconds) {
        invalid.push(Invalid::new(
            reasons::INVALID_DURATION,
            "spec.activeDeadline",
            format!("`{}` must lie between PT1M and PT24H", spec.active_deadline),
        ));
    }
    let limits = limits(policy, &mut invalid);
    repeated(policy, &mut invalid);
    let acknowledge = deadlines
        .acknowledge
        .as_ref()
        .map(|ack| ack.business_days)
        .or(acknowledge);
    let (Some(respond), Some(expire_after), Some(delete_after)) = (respond, expire_after, delete_after) else {
        return Err(invalid);
    };
    if !invalid.is_empty() {
        return Err(invalid);
    }
    Ok(ParsedPolicy {
        zone,
        time_zone: spec.time_zone.clone(),
        rules: Rules {
            acknowledge: acknowledge.and_then(|days| u32::try_from(days).ok()),
            respond,
            max_extension: max_extension.flatten(),
            rolls: spec.regime == Regime::Gdpr,
        },
        limits,
        expire_after,
        delete_after,
        active_deadline_seconds,
    })
}

/// What the law says where the policy is silent: time for the answer, longest extension, working days to acknowledge.
const fn defaults(regime: Regime) -> (&'static str, Option<&'static str>, Option<i32>) {
    match regime {
        Regime::Gdpr => ("P1M", Some("P2M"), None),
        Regime::Ccpa => ("P45D", Some("P45D"), Some(10)),
        Regime::ShineTheLight => ("P30D", None, None),
    }
}

fn limits(policy: &SubjectRightsPolicy, invalid: &mut Vec<Invalid>) -> Vec<ParsedLimit> {
    let mut limits = Vec::new();
    for (index, limit) in policy.spec.limits.iter().enumerate() {
        let field = format!("spec.limits[{index}]");
        if limit.on_exceed == OnExceed::Refuse && policy.spec.regime == Regime::Gdpr {
            invalid.push(Invalid::new(
                reasons::REFUSAL_NOT_LAWFUL,
                format!("{field}.onExceed"),
                "under the GDPR a request is not refused for its number (Art. 12(5)); use Defer",
            ));
        }
        match limit.window.parse() {
            Err(error) => invalid.push(Invalid::new(
                reasons::INVALID_DURATION,
                format!("{field}.window"),
                format!("{error}"),
            )),
            Ok(window) => limits.push(ParsedLimit {
                right: limit.right,
                max: usize::try_from(limit.max).unwrap_or(1),
                window,
                on_exceed: limit.on_exceed,
            }),
        }
    }
    limits
}

fn repeated(policy: &SubjectRightsPolicy, invalid: &mut Vec<Invalid>) {
    let words = |list: Vec<String>, field: &str, invalid: &mut Vec<Invalid>| {
        let distinct: HashSet<&String> = list.iter().collect();
        if distinct.len() != list.len() {
            invalid.push(Invalid::new(
                reasons::DUPLICATE_NAME,
                format!("spec.{field}"),
                "names one thing twice; keep one",
            ));
        }
    };
    let spec = &policy.spec;
    words(
        spec.formats.iter().map(|format| format!("{format:?}")).collect(),
        "formats",
        invalid,
    );
    words(
        spec.languages.iter().map(|language| format!("{language:?}")).collect(),
        "languages",
        invalid,
    );
    words(spec.seal_to.clone(), "sealTo", invalid);
}

/// Where the policy promises more time than the law gives. Each is a sentence.
#[must_use]
pub fn beyond_law(policy: &SubjectRightsPolicy, parsed: &ParsedPolicy) -> Vec<String> {
    let regime = policy.spec.regime;
    let (lawful_respond, lawful_extension, lawful_acknowledge) = defaults(regime);
    let period = |text: &str| text.parse::<Period>().ok();
    let both =
        |first: Period, extension: Option<Period>| -> Vec<Period> { std::iter::once(first).chain(extension).collect() };
    let mut sentences = Vec::new();
    let Some(lawful) = period(lawful_respond) else {
        return sentences;
    };
    if ever_later(&[parsed.rules.respond], &[lawful]) {
        sentences.push(format!(
            "deadlines.respond {} is longer than the {lawful_respond} of the law",
            parsed.rules.respond
        ));
    }
    let ours = both(parsed.rules.respond, parsed.rules.max_extension);
    let theirs = both(lawful, lawful_extension.and_then(period));
    if ever_later(&ours, &theirs) {
        sentences.push(format!(
            "deadlines.respond and maxExtension together are longer than the {} of the law",
            theirs.iter().map(Period::to_string).collect::<Vec<_>>().join(" and ")
        ));
    }
    let acknowledged = parsed.rules.acknowledge.and_then(|days| i32::try_from(days).ok());
    if let (Some(days), Some(lawful)) = (acknowledged, lawful_acknowledge)
        && days > lawful
    {
        sentences.push(format!(
            "deadlines.acknowledge takes {days} business days, and the law gives {lawful}"
        ));
    }
    sentences
}

/// Whether some day of four years makes the first sum of periods end later than the second: a month has 28 to 31 days.
fn ever_later(ours: &[Period], theirs: &[Period]) -> bool {
    let end = |day, periods: &[Period]| periods.iter().try_fold(day, |day, period| after(day, *period));
    let mut day = date(2023, 1, 1);
    for _ in 0..1461 {
        match (end(day, ours), end(day, theirs)) {
            (Some(ours), Some(theirs)) if ours > theirs => return true,
            (None, Some(_)) => return true,
            _ => {}
        }
        let Ok(next) = day.tomorrow() else { return false };
        day = next;
    }
    false
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
