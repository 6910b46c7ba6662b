//! The status of activities and notices.

use super::notice::{disclosure_hash, of_notice};
use super::{Inputs, findings, found, measures, retention};
use crate::api::activity_status::{Disclosed, ProcessingActivityStatus};
use crate::api::findings::{Finding, ObservedLine, Severity};
use crate::api::privacy_notice::PrivacyNoticeStatus;
use crate::api::{PrivacyNotice, ProcessingActivity};
use crate::plan::conditions::{Judgement, Truth, merge, without_times};
use crate::plan::reasons;
use crate::plan::transitions::Transition;
use jiff::Timestamp;

/// Most findings that a status lists. The rest is counted: an object has room for so much.
const MOST_FINDINGS: usize = 100;

/// The new status of an activity.
#[must_use]
pub fn of_activity(inputs: &Inputs<'_>) -> ProcessingActivityStatus {
    let activity = inputs.activity;
    let old = activity.status.clone().unwrap_or_default();
    let all = findings(inputs);
    let retention = retention::observed(inputs);
    let measures = measures::observed(inputs);
    let purposes: Vec<&str> = activity
        .spec
        .purposes
        .iter()
        .map(|purpose| purpose.key.as_str())
        .collect();
    let judgements = vec![ready(&all), complete(&all), observed(&retention, &measures)];
    ProcessingActivityStatus {
        observed_generation: activity.metadata.generation,
        purposes: Some(purposes.join(", ")),
        observed: Some(observed_words(&retention, &measures)),
        findings_summary: Some(summary(&all)),
        disclosed: disclosed(inputs, old.disclosed),
        findings: all.into_iter().take(MOST_FINDINGS).collect(),
        retention,
        measures,
        conditions: merge(&old.conditions, judgements, activity.metadata.generation, inputs.now),
    }
}

/// What people were told. It moves with the version of the notice; under the same version it stays, so that a change of
/// the record shows.
fn disclosed(inputs: &Inputs<'_>, old: Option<Disclosed>) -> Option<Disclosed> {
    let Some(notice) = inputs.notice else { return old };
    match old {
        Some(old) if old.notice_version == notice.spec.version => Some(old),
        _ => Some(Disclosed {
            notice_version: notice.spec.version.clone(),
            hash: disclosure_hash(inputs.activity),
        }),
    }
}

/// A count for `kubectl get`: `0`, or `3 (1 Error)`.
#[must_use]
pub fn summary(findings: &[Finding]) -> String {
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .count();
    match errors {
        0 => findings.len().to_string(),
        errors => format!("{} ({errors} Error)", findings.len()),
    }
}

fn observed_words(retention: &[ObservedLine], measures: &[ObservedLine]) -> String {
    let lines = || retention.iter().chain(measures);
    let count = |word: &str| lines().filter(|line| line.observed == word).count();
    let (all, seen, not) = (lines().count(), count("True"), count("False"));
    match not {
        0 => format!("{seen}/{all}"),
        not => format!("{seen}/{all}, {not} not so"),
    }
}

fn ready(findings: &[Finding]) -> Judgement {
    let unknown = findings
        .iter()
        .find(|finding| finding.reason == found::UNKNOWN_NOTICE.word);
    match unknown {
        None => Judgement::new(reasons::READY, true, reasons::ACCEPTED, "the record is understood"),
        Some(finding) => Judgement::new(
            reasons::READY,
            false,
            &finding.reason,
            format!("{}: {}; {}", finding.field, finding.message, finding.remedy),
        ),
    }
}

fn complete(findings: &[Finding]) -> Judgement {
    let grave: Vec<&Finding> = findings
        .iter()
        .filter(|finding| finding.severity != Severity::Info)
        .collect();
    match grave.first() {
        None => Judgement::new(
            reasons::COMPLETE,
            true,
            reasons::NOTHING_FOUND,
            "nothing is missing or contradicts the notice",
        ),
        Some(first) => {
            let texts: Vec<String> = grave
                .iter()
                .take(5)
                .map(|finding| format!("{}: {}", finding.field, finding.message))
                .collect();
            let more = grave.len() - texts.len();
            let more = if more == 0 {
                String::new()
            } else {
                format!("; and {more} more")
            };
            Judgement::new(
                reasons::COMPLETE,
                false,
                &first.reason,
                format!("{}{more}; .status.findings has the remedies", texts.join("; ")),
            )
        }
    }
}

fn observed(retention: &[ObservedLine], measures: &[ObservedLine]) -> Judgement {
    let lines = || retention.iter().chain(measures);
    let of = |word: &str| lines().find(|line| line.observed == word && line.reason != "Recorded");
    let (truth, line) = match (of("False"), of("Unknown"), of("True")) {
        (Some(line), _, _) => (Truth::False, line),
        (None, Some(line), _) => (Truth::Unknown, line),
        (None, None, Some(_)) => {
            let text = "every line that can be seen from here is so";
            return Judgement::new(reasons::OBSERVED, true, reasons::ALL_SEEN, text);
        }
        (None, None, None) => {
            let text = "no line of this record can be seen from here: it is written down only";
            return Judgement::new(reasons::OBSERVED, Truth::Unknown, "Recorded", text);
        }
    };
    Judgement::new(
        reasons::OBSERVED,
        truth,
        &line.reason,
        format!("{}: {}", line.subject, line.message),
    )
}

/// The new status of a notice. `activities` are those that refer to it.
#[must_use]
pub fn of_the_notice(notice: &PrivacyNotice, activities: usize, now: Timestamp) -> PrivacyNoticeStatus {
    let old = notice.status.clone().unwrap_or_default();
    let all = of_notice(notice);
    let judgements = vec![
        Judgement::new(reasons::READY, true, reasons::ACCEPTED, "the notice is understood"),
        complete(&all),
    ];
    PrivacyNoticeStatus {
        observed_generation: notice.metadata.generation,
        activities: i64::try_from(activities).unwrap_or(i64::MAX),
        findings_count: i64::try_from(all.len()).unwrap_or(i64::MAX),
        findings: all,
        conditions: merge(&old.conditions, judgements, notice.metadata.generation, now),
    }
}

/// Whether two statuses differ in nothing but the times of conditions.
#[must_use]
pub fn activity_unchanged(old: &ProcessingActivityStatus, new: &ProcessingActivityStatus) -> bool {
    let timeless = |status: &ProcessingActivityStatus| ProcessingActivityStatus {
        conditions: without_times(&status.conditions),
        ..status.clone()
    };
    timeless(old) == timeless(new)
}

/// The same for a notice.
#[must_use]
pub fn notice_unchanged(old: &PrivacyNoticeStatus, new: &PrivacyNoticeStatus) -> bool {
    let timeless = |status: &PrivacyNoticeStatus| PrivacyNoticeStatus {
        conditions: without_times(&status.conditions),
        ..status.clone()
    };
    timeless(old) == timeless(new)
}

/// Events: one for the findings that are new, and one when something is no longer seen to be so.
#[must_use]
pub fn transitions(activity: &ProcessingActivity, new: &ProcessingActivityStatus) -> Vec<Transition> {
    let old = activity.status.clone().unwrap_or_default();
    let mut told = Vec::new();
    let fresh: Vec<&Finding> = new
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error && !old.findings.contains(finding))
        .collect();
    if let Some(first) = fresh.first() {
        let more = match fresh.len() {
            1 => String::new(),
            many => format!(" (and {} more)", many - 1),
        };
        told.push(Transition::new(
            true,
            &first.reason,
            &format!("{}: {}; {}{more}", first.field, first.message, first.remedy),
        ));
    }
    let was_false = |line: &ObservedLine, old: &[ObservedLine]| {
        old.iter()
            .any(|before| before.line == line.line && before.subject == line.subject && before.observed == "False")
    };
    for (lines, before) in [(&new.retention, &old.retention), (&new.measures, &old.measures)] {
        for line in lines
            .iter()
            .filter(|line| line.observed == "False" && !was_false(line, before))
        {
            told.push(Transition::new(
                true,
                "NotObserved",
                &format!("{}: {}: {}", line.subject, line.reason, line.message),
            ));
        }
    }
    told
}
