//! Phase, clocks and conditions of a request.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::conditions::{Judgement, Truth, merge};
use super::super::reasons;
use super::super::validated::Invalid;
use super::absorb::size;
use super::policy::ParsedPolicy;
use super::request::Dates;
use super::steps::{has_archive, is_answered, is_closed};
use super::{Live, sentences};
use crate::api::ExportRequest;
use crate::api::export_status::{ExportRequestStatus, Phase, WorkStatus};
use crate::domain::deadlines::{self, Clock, after, days_between};
use crate::domain::working_days::Holidays;

/// From this many days before the due date on a request is due soon.
pub const SOON_DAYS: i64 = 7;
/// A request is looked at again at least this often.
const AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// How often progress is looked at, and written at most.
pub const PROGRESS: SignedDuration = SignedDuration::from_secs(10);

/// What a status is made of.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The request.
    pub request: &'a ExportRequest,
    /// Its status, with every report in it.
    pub absorbed: &'a ExportRequestStatus,
    /// What lives.
    pub live: &'a Live,
    /// The dates that count today.
    pub dates: &'a Dates,
    /// The policy's values. `None`: there is no usable policy.
    pub policy: Option<&'a ParsedPolicy>,
    /// When the request was received. `None`: it does not say.
    pub received: Option<Timestamp>,
    /// Public holidays.
    pub holidays: &'a Holidays,
    /// Everything that is wrong.
    pub mistakes: &'a [Invalid],
    /// Hash of the keys, once accepted.
    pub sealing_hash: Option<&'a str>,
    /// An object stands in the way, or the API server refuses one: reason and message.
    pub blocked: Option<(&'static str, &'a str)>,
    /// The stop ConfigMap is there.
    pub stopped: bool,
    /// What does not say where it is on the network.
    pub open: &'a [String],
    /// Activities that datasets name and that do not exist.
    pub unknown_activities: &'a [String],
    /// Now.
    pub now: Timestamp,
}

impl Inputs<'_> {
    fn zone(&self) -> TimeZone {
        self.policy.map_or(TimeZone::UTC, |policy| policy.zone.clone())
    }

    fn today(&self) -> Date {
        self.now.to_zoned(self.zone()).date()
    }

    /// The deadlines. `None`: without policy or time of receipt there are none.
    fn clock(&self) -> Option<Clock> {
        let received = self.received?.to_zoned(self.zone()).date();
        deadlines::clock(received, &self.policy?.rules, self.dates.extension, self.holidays)
    }
}

/// The new status.
#[must_use]
pub fn status(inputs: &Inputs<'_>) -> ExportRequestStatus {
    let mut status = inputs.absorbed.clone();
    let clock = inputs.clock();
    let closed_on = closed_on(inputs);
    status.observed_generation = inputs.request.metadata.generation;
    status.sealing_hash = status.sealing_hash.or_else(|| inputs.sealing_hash.map(str::to_owned));
    status.phase = Some(phase(inputs));
    if let Some(clock) = &clock {
        status.acknowledge_by = clock.acknowledge_by.map(|date| date.to_string());
        status.due_on = Some(clock.due_on.to_string());
        status.lawful_until = Some(clock.lawful_until.to_string());
    }
    let due = clock.as_ref().map(|clock| clock.due_on);
    status.days_left = due
        .filter(|_| closed_on.is_none())
        .map(|due| days_between(inputs.today(), due));
    status.closed_on = closed_on.map(|date| date.to_string());
    let delete_on = closed_on
        .zip(inputs.policy)
        .and_then(|(closed, policy)| after(closed, policy.delete_after));
    status.delete_on = delete_on.map(|date| date.to_string());
    status.running = inputs
        .live
        .unfinished()
        .find(|job| !job.deleting)
        .map(|job| WorkStatus {
            work: job.work.as_str().to_owned(),
            job: job.name.clone(),
            started_at: job.started_at.map(Time),
            asked_at: None,
        });
    let before = inputs.absorbed.running.as_ref();
    if let Some(running) = status
        .running
        .as_mut()
        .filter(|running| running.work == super::Work::Export.as_str())
    {
        running.asked_at = before
            .filter(|before| before.job == running.job)
            .and_then(|before| before.asked_at.clone());
        if let Some((rows, bytes)) = inputs.live.progress {
            running.asked_at = Some(Time(inputs.now));
            (status.rows, status.size) = (Some(rows), Some(size(bytes)));
        }
    }
    let judgements = judgements(inputs, &status, clock.as_ref(), closed_on);
    let old = &inputs.absorbed.conditions;
    status.conditions = merge(old, judgements, inputs.request.metadata.generation, inputs.now);
    status
}

/// The day on which the request came to its end.
fn closed_on(inputs: &Inputs<'_>) -> Option<Date> {
    if is_answered(inputs.absorbed, inputs.dates) {
        inputs.dates.answered
    } else if inputs.dates.refused {
        inputs.dates.refusal_told
    } else {
        None
    }
}

/// How far the request has come.
fn phase(inputs: &Inputs<'_>) -> Phase {
    let (status, dates) = (inputs.absorbed, inputs.dates);
    let refused_by_limit =
        status.limited_by.is_some() && status.deferred_until.is_none() && status.admitted_at.is_none();
    if is_answered(status, dates) {
        Phase::Answered
    } else if dates.refused || refused_by_limit {
        Phase::Refused
    } else if has_archive(status) || status.nothing_found && dates.nothing_found_confirmed {
        Phase::ReadyForDelivery
    } else if status.nothing_found {
        Phase::WaitingForApproval
    } else if inputs.live.unfinished().any(|job| job.work != super::Work::Expire) {
        Phase::Running
    } else if status.archive.is_some() {
        Phase::Expired
    } else if !inputs.mistakes.is_empty() {
        Phase::Received
    } else if !dates.confirmed {
        Phase::WaitingForIdentity
    } else if !dates.approved {
        Phase::WaitingForApproval
    } else if status.deferred_until.as_ref().is_some_and(|until| until.0 > inputs.now) {
        Phase::Deferred
    } else if status
        .failure
        .as_ref()
        .is_some_and(|failure| failure.retry_at.is_none())
    {
        Phase::Failed
    } else if inputs.stopped || inputs.blocked.is_some() {
        Phase::Received
    } else {
        Phase::Running
    }
}

fn judgements(
    inputs: &Inputs<'_>,
    status: &ExportRequestStatus,
    clock: Option<&Clock>,
    closed_on: Option<Date>,
) -> Vec<Judgement> {
    let mut judgements = vec![ready(inputs, status)];
    if let Some(clock) = clock {
        judgements.extend(timely(inputs, clock, closed_on));
    }
    judgements.extend(coverage(inputs, status));
    let unknown_place = !inputs.open.is_empty() && !is_closed(inputs.absorbed, inputs.dates);
    if unknown_place {
        judgements.push(Judgement::new(
            reasons::EGRESS_OPEN,
            true,
            reasons::NO_NETWORK,
            format!(
                "workers of this request may open connections anywhere: set `network` of {}",
                inputs.open.join(", ")
            ),
        ));
    }
    judgements
}

fn ready(inputs: &Inputs<'_>, status: &ExportRequestStatus) -> Judgement {
    let not = |reason: &str, message: String| Judgement::new(reasons::READY, false, reason, message);
    let closed = is_closed(inputs.absorbed, inputs.dates);
    if let (Some(failure), true) = (&status.failure, has_archive(status) || !closed || status.uncertain) {
        return not(&failure.reason, sentences::failure(failure, inputs.request));
    }
    if let (Some(first), false) = (inputs.mistakes.first(), closed) {
        let texts: Vec<String> = inputs.mistakes.iter().map(Invalid::text).collect();
        return not(first.reason, texts.join(". "));
    }
    if let Some((reason, message)) = inputs.blocked {
        return not(reason, message.to_owned());
    }
    if let Some((pod, cause)) = &inputs.live.stuck {
        let message = format!("pod {pod} does not start ({cause}): kubectl describe pod {pod}");
        return not(reasons::WORKER_STUCK, message);
    }
    let phase = status.phase.unwrap_or(Phase::Received);
    if inputs.stopped && phase == Phase::Received {
        return not(
            reasons::STOPPED_BY_HAND,
            format!(
                "nothing is read: delete the ConfigMap {} in this namespace to go on",
                crate::contract::STOP_CONFIG_MAP
            ),
        );
    }
    if phase == Phase::Refused && !inputs.dates.refused {
        return not(reasons::LIMIT_EXCEEDED, sentences::next(inputs.request, status, phase));
    }
    let reason = match phase {
        Phase::WaitingForApproval if status.nothing_found => reasons::SUBJECT_NOT_FOUND,
        Phase::Deferred => status.limited_by.as_deref().unwrap_or(reasons::LIMIT_EXCEEDED),
        _ => phase.as_str(),
    };
    Judgement::new(
        reasons::READY,
        true,
        reason,
        sentences::next(inputs.request, status, phase),
    )
}

/// `DueSoon`, `Overdue`, `AcknowledgementOverdue` and `ExtensionInvalid`.
fn timely(inputs: &Inputs<'_>, clock: &Clock, closed_on: Option<Date>) -> Vec<Judgement> {
    let today = inputs.today();
    let left = days_between(today, clock.due_on);
    let mut judgements = Vec::new();
    let overdue = match closed_on {
        Some(day) if day > clock.due_on => Judgement::new(
            reasons::OVERDUE,
            false,
            reasons::ANSWERED_LATE,
            format!("it was due on {} and came to its end on {day}", clock.due_on),
        ),
        Some(_) => Judgement::new(reasons::OVERDUE, false, reasons::ON_TIME, "it came to its end in time"),
        None if left < 0 => Judgement::new(
            reasons::OVERDUE,
            true,
            reasons::OVERDUE,
            format!(
                "it was due on {}; by law until {}. Answer it, or say in spec.handling why not",
                clock.due_on, clock.lawful_until
            ),
        ),
        None => Judgement::new(
            reasons::OVERDUE,
            false,
            reasons::ON_TIME,
            format!("it is due on {}", clock.due_on),
        ),
    };
    judgements.push(overdue);
    let soon = closed_on.is_none() && (0..=SOON_DAYS).contains(&left);
    judgements.push(Judgement::new(
        reasons::DUE_SOON,
        soon,
        if soon {
            reasons::DUE_SOON
        } else {
            reasons::NOT_APPLICABLE
        },
        if soon {
            format!("it is due on {}, and nobody has answered yet", clock.due_on)
        } else {
            format!("not within the {SOON_DAYS} days before {}", clock.due_on)
        },
    ));
    if let Some(by) = clock.acknowledge_by {
        let day = inputs.dates.acknowledged.or(closed_on);
        let late = day.unwrap_or(today) > by;
        let message = match day {
            Some(day) => format!("the person was told on {day}; promised until {by}"),
            None if late => format!(
                "the person was to be told until {by} that the request has come; tell them and set spec.handling.acknowledgedOn"
            ),
            None => format!("the person is to be told until {by} that the request has come"),
        };
        judgements.push(Judgement::new(
            reasons::ACKNOWLEDGEMENT_OVERDUE,
            late && day.is_none(),
            if late { reasons::OVERDUE } else { reasons::ON_TIME },
            message,
        ));
    }
    if let Some(problem) = clock.extension_problem {
        judgements.push(Judgement::new(
            reasons::EXTENSION_INVALID,
            true,
            reasons::EXTENSION_INVALID,
            sentences::extension(problem),
        ));
    }
    judgements
}

/// What an archive lacks: never silently.
fn coverage(inputs: &Inputs<'_>, status: &ExportRequestStatus) -> Option<Judgement> {
    let coverage = status.coverage.as_ref()?;
    let mut parts = Vec::new();
    let mut part = |count: i64, what: &str| {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    };
    part(
        coverage.stores_not_included,
        "stores or groups of stores were not looked into",
    );
    part(
        coverage.datasets_left_out,
        "datasets do not say whose their rows are, or the right leaves them out",
    );
    part(
        coverage.categories_missing,
        "categories of an activity are in no dataset",
    );
    part(coverage.columns_undeclared, "columns are not declared");
    if !inputs.unknown_activities.is_empty() {
        parts.push(format!(
            "there is no ProcessingActivity {}",
            inputs.unknown_activities.join(", ")
        ));
    }
    let partial = !parts.is_empty();
    let (reason, message) = if partial {
        (
            reasons::PARTIAL_COVERAGE,
            format!("{}; the manifest of the archive names each", parts.join("; ")),
        )
    } else {
        (
            reasons::COMPLETE,
            "every declared dataset and category was looked into".to_owned(),
        )
    };
    Some(Judgement::new(reasons::PARTIAL_COVERAGE, partial, reason, message))
}

/// Whether the day on which the request object goes has come.
#[must_use]
pub fn is_outlived(status: &ExportRequestStatus, today: Date) -> bool {
    let day = status
        .delete_on
        .as_deref()
        .and_then(crate::domain::working_days::parse_date);
    day.is_some_and(|day| day <= today)
}

/// How long nothing changes by the clock alone.
#[must_use]
pub fn next_look(status: &ExportRequestStatus, inputs: &Inputs<'_>) -> SignedDuration {
    let now = inputs.now;
    let midnight = inputs
        .today()
        .tomorrow()
        .ok()
        .and_then(|day| day.to_zoned(inputs.zone()).ok());
    let times = [
        midnight.map(|zoned| zoned.timestamp()),
        status.deferred_until.as_ref().map(|time| time.0),
        status
            .failure
            .as_ref()
            .and_then(|failure| failure.retry_at.as_ref())
            .map(|time| time.0),
        status
            .archive
            .as_ref()
            .filter(|archive| archive.deleted_at.is_none())
            .map(|archive| archive.expires_at.0),
    ];
    let soonest = times
        .into_iter()
        .flatten()
        .map(|at| at.duration_since(now))
        .filter(jiff::SignedDuration::is_positive)
        .min()
        .map_or(AGAIN, |left| left + SignedDuration::from_secs(1));
    let pace = if status.running.is_some() || inputs.live.jobs.iter().any(|job| job.deleting) {
        PROGRESS
    } else {
        AGAIN
    };
    soonest.min(pace)
}

/// Whether a worker is to be asked how far it is: at most every ten seconds, and not in its first ten.
#[must_use]
pub fn asks_for_progress(status: Option<&ExportRequestStatus>, now: Timestamp) -> bool {
    let running = status.and_then(|status| status.running.as_ref());
    running.is_some_and(|running| {
        running.work == super::Work::Export.as_str()
            && [&running.started_at, &running.asked_at]
                .into_iter()
                .flatten()
                .all(|before| now.duration_since(before.0) >= PROGRESS)
    })
}

/// The truth of a condition, for metrics and counts.
#[must_use]
pub fn is_true(status: Option<&ExportRequestStatus>, type_: &str) -> bool {
    status.is_some_and(|status| {
        status
            .conditions
            .iter()
            .any(|condition| condition.type_ == type_ && condition.status == Truth::True.as_str())
    })
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
