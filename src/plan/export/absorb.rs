//! Reports into the status: each once, and only what is a report of the plan that its Job ran.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::reasons;
use super::{Finished, Live, LiveJob, Report, Work};
use crate::api::export_status::{ArchiveStatus, CoverageStatus, ExportRequestStatus, FailureStatus, SubjectStatus};
use crate::contract::export::{Coverage, ExpireReport, ExportReport, ExportResult, IdentifyReport};
use crate::contract::{Problem, Reason};
use crate::domain::period::Period;

/// How many uids of Jobs are remembered.
const REMEMBERED: usize = 12;
/// Pauses between tries, in minutes: doubled up to this.
const LONGEST_PAUSE_MINUTES: i64 = 60;

/// By what reports are read.
#[derive(Debug, Clone)]
pub struct Terms {
    /// How long an archive stays.
    pub expire_after: Period,
    /// In which zone that is counted.
    pub zone: TimeZone,
    /// The identity by which limits count, where the policy names one.
    pub count_by: Option<String>,
    /// Names of the identities that the stores know now.
    pub identities: Vec<String>,
    /// Hash of the plan by which the person would be identified now.
    pub identify_hash: Option<String>,
    /// `handling.retry`.
    pub retry: i32,
}

/// The status with what the finished Jobs reported.
#[must_use]
pub fn absorb(status: &ExportRequestStatus, live: &Live, terms: &Terms) -> ExportRequestStatus {
    let mut status = status.clone();
    let mut jobs: Vec<(&LiveJob, &Finished)> = live
        .jobs
        .iter()
        .filter_map(|job| Some((job, job.finished.as_ref()?)))
        .collect();
    jobs.sort_by_key(|(_, finished)| finished.at);
    for (job, finished) in jobs {
        if status.reported.contains(&job.uid) {
            continue;
        }
        status.reported.push(job.uid.clone());
        if status.reported.len() > REMEMBERED {
            status.reported.remove(0);
        }
        if job.work != Work::Expire {
            status.retry = terms.retry;
        }
        match finished
            .report
            .as_ref()
            .filter(|report| report.plan_hash() == job.plan_hash)
        {
            // The stores name other identities by now: it is done again.
            Some(Report::Identify(_)) if terms.identify_hash.as_ref() != Some(&job.plan_hash) => {}
            Some(Report::Identify(report)) if job.work == Work::Identify => {
                identified(&mut status, job, finished, report, terms);
            }
            Some(Report::Export(report)) if job.work == Work::Export => {
                exported(&mut status, job, finished, report, terms);
            }
            Some(Report::Expire(report)) if job.work == Work::Expire => expired(&mut status, job, finished, report),
            _ => without_report(&mut status, job, finished),
        }
    }
    status
}

impl Report {
    fn plan_hash(&self) -> &str {
        match self {
            Self::Identify(report) => &report.plan_hash,
            Self::Export(report) => &report.plan_hash,
            Self::Expire(report) => &report.plan_hash,
        }
    }
}

fn identified(
    status: &mut ExportRequestStatus,
    job: &LiveJob,
    finished: &Finished,
    report: &IdentifyReport,
    terms: &Terms,
) {
    let Some(subject) = &report.subject else {
        return match &report.problem {
            Some(problem) => fail(status, job, finished, problem),
            None => without_report(status, job, finished),
        };
    };
    if terms
        .count_by
        .as_ref()
        .is_some_and(|identity| *identity != subject.identity)
    {
        let identity = terms.count_by.clone().unwrap_or_default();
        let message = format!(
            "the Secret lacks the key `{identity}`, by which the policy's limits count (countBy); add it to the Secret, then raise spec.handling.retry"
        );
        return failed(
            status,
            job,
            finished,
            reasons::MISSING_IDENTITY,
            "spec.subjectSecretRef",
            message,
            false,
        );
    }
    status.failure = None;
    status.subject = Some(SubjectStatus {
        tag: subject.tag.clone(),
        digest: subject.digest.clone(),
        key_id: subject.key_id.clone(),
        identity: subject.identity.clone(),
        identities: terms.identities.clone(),
    });
}

fn exported(
    status: &mut ExportRequestStatus,
    job: &LiveJob,
    finished: &Finished,
    report: &ExportReport,
    terms: &Terms,
) {
    match (report.result, &report.archive, &report.problem) {
        (ExportResult::Delivered, Some(archive), _) => {
            status.archive = Some(ArchiveStatus {
                location: archive.location.clone(),
                bytes: archive.bytes,
                files: archive.files,
                sha256: archive.sha256.clone(),
                content_sha256: archive.content_sha256.clone(),
                collected_at: report.collected_at.map(Time),
                delivered_at: Time(report.finished_at),
                expires_at: Time(expiry(report.finished_at, terms)),
                deleted_at: None,
            });
            status.size = Some(size(archive.bytes));
            found(status, report);
            status.nothing_found = false;
        }
        (ExportResult::SubjectNotFound, _, _) => {
            status.archive = None;
            status.size = None;
            found(status, report);
            status.nothing_found = true;
        }
        (ExportResult::Halted | ExportResult::Failed, _, Some(problem)) => {
            // By contract nothing of it is left.
            status.uncertain = false;
            (status.rows, status.size) = (None, None);
            fail(status, job, finished, problem);
        }
        _ => without_report(status, job, finished),
    }
}

fn found(status: &mut ExportRequestStatus, report: &ExportReport) {
    status.uncertain = false;
    status.failure = None;
    status.rows = Some(report.rows);
    status.coverage = Some(coverage(report.coverage));
}

fn coverage(coverage: Coverage) -> CoverageStatus {
    CoverageStatus {
        stores: coverage.stores,
        stores_not_included: coverage.stores_not_included,
        datasets: coverage.datasets,
        datasets_left_out: coverage.datasets_left_out,
        categories: coverage.categories,
        categories_missing: coverage.categories_missing,
        columns_withheld: coverage.columns_withheld,
        columns_undeclared: coverage.columns_undeclared,
    }
}

fn expired(status: &mut ExportRequestStatus, job: &LiveJob, finished: &Finished, report: &ExpireReport) {
    if report.gone {
        if let Some(archive) = &mut status.archive {
            archive.deleted_at = Some(Time(finished.at));
        }
        status.uncertain = false;
        status.failure = None;
    } else {
        match &report.problem {
            Some(problem) => fail(status, job, finished, problem),
            None => without_report(status, job, finished),
        }
    }
}

/// A Job that ended without a word: evicted, killed, or never started. What an export left behind is not known.
fn without_report(status: &mut ExportRequestStatus, job: &LiveJob, finished: &Finished) {
    let cause = finished.cause.as_deref().unwrap_or("no cause given");
    let message = format!(
        "{} ended without a report ({cause}); it is tried again by itself. If it repeats: kubectl describe job {}",
        job.name, job.name
    );
    failed(status, job, finished, reasons::NO_REPORT, "", message, true);
}

fn fail(status: &mut ExportRequestStatus, job: &LiveJob, finished: &Finished, problem: &Problem) {
    // An archive that must go is tried for as long as it is there, whatever the reason is.
    let passes = !problem.reason.is_permanent() || problem.reason == Reason::StoppedByHand || job.work == Work::Expire;
    let message = match problem.reason {
        Reason::DeadlineReached => {
            "nothing was delivered; it begins anew by itself. If it repeats, raise activeDeadline in the SubjectRightsPolicy".to_owned()
        }
        Reason::Interrupted => "nothing was delivered; it begins anew by itself".to_owned(),
        _ => problem.message(),
    };
    failed(
        status,
        job,
        finished,
        problem.reason.as_str(),
        &problem.field,
        message,
        passes,
    );
}

fn failed(
    status: &mut ExportRequestStatus,
    job: &LiveJob,
    finished: &Finished,
    reason: &str,
    field: &str,
    message: String,
    passes: bool,
) {
    let before = status
        .failure
        .as_ref()
        .filter(|failure| failure.work == job.work.as_str());
    let attempts = before.map_or(0, |failure| failure.attempts).saturating_add(1);
    let minutes = 1_i64 << (attempts - 1).clamp(0, 6);
    let pause = SignedDuration::from_mins(minutes.min(LONGEST_PAUSE_MINUTES));
    status.failure = Some(FailureStatus {
        work: job.work.as_str().to_owned(),
        reason: reason.to_owned(),
        field: field.to_owned(),
        message,
        attempts,
        retry_at: passes.then(|| Time(finished.at.saturating_add(pause).unwrap_or(finished.at))),
        plan_hash: job.plan_hash.clone(),
    });
}

/// When an archive is to be deleted. Where the calendar ends, at once: nothing stays for ever.
fn expiry(delivered: Timestamp, terms: &Terms) -> Timestamp {
    let after = || {
        let months = Span::new().try_months(terms.expire_after.months()).ok()?;
        let local = delivered.to_zoned(terms.zone.clone()).checked_add(months).ok()?;
        let rest = SignedDuration::from_secs(terms.expire_after.exact_part_seconds());
        local.timestamp().checked_add(rest).ok()
    };
    after().unwrap_or(delivered)
}

/// A size for people: three digits and a unit.
#[must_use]
pub fn size(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut tenths, mut unit) = (bytes.saturating_mul(10) / 1024, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    if tenths < 1000 {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    } else {
        format!("{} {}", tenths / 10, UNITS[unit])
    }
}

#[cfg(test)]
#[path = "absorb_tests.rs"]
mod tests;
