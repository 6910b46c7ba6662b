//! The one thing to do next for a request, decided from its status and from what is live.

use jiff::Timestamp;

use super::request::Dates;
use super::{Live, LiveJob, Work};
use crate::api::export_status::ExportRequestStatus;

/// What the next step depends on.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "facts, each on its own")]
pub struct Facts<'a> {
    /// The status, with every report in it.
    pub status: &'a ExportRequestStatus,
    /// What is live.
    pub live: &'a Live,
    /// The dates of `handling` that count today.
    pub dates: &'a Dates,
    /// The request is being deleted.
    pub deleting: bool,
    /// Its namespace is being deleted: no Job can be made there any more.
    pub terminating: bool,
    /// The finalizer is set.
    pub finalizer: bool,
    /// Request, policy and stores are as they must be.
    pub accepted: bool,
    /// The stop ConfigMap is there.
    pub stopped: bool,
    /// Hash of the plan by which the person would be identified now.
    pub identify_hash: Option<&'a str>,
    /// Hash of the plan by which an export would run now.
    pub export_hash: Option<&'a str>,
    /// `handling.retry`.
    pub retry: i32,
    /// The day on which the request object goes has come.
    pub outlived: bool,
    /// Now.
    pub now: Timestamp,
}

/// A step. Each is safe to repeat.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Nothing now.
    Nothing,
    /// End these Jobs.
    EndJobs(Vec<LiveJob>),
    /// Delete this finished Job, so that its name is free.
    DeleteJob(Box<LiveJob>),
    /// Start the worker that finds out who the person is.
    StartIdentify,
    /// Ask the ledger.
    Admit,
    /// Make sure that deleting the request deletes what an export leaves.
    AddFinalizer,
    /// Write down that an export may leave something, before it can.
    Announce,
    /// Start the export.
    StartExport,
    /// Start the worker that deletes the archive.
    StartExpire,
    /// Let the request go. `Some`: an archive stays behind at this location, because nothing can delete it any more.
    DropFinalizer(Option<String>),
    /// Delete the request object itself.
    DeleteRequest,
}

/// Whether the request has come to its end: the person has the answer, or was told of the refusal.
#[must_use]
pub fn is_closed(status: &ExportRequestStatus, dates: &Dates) -> bool {
    is_answered(status, dates) || dates.refused && dates.refusal_told.is_some()
}

/// Whether the answer counts: one that nothing was found needs somebody's word.
#[must_use]
pub fn is_answered(status: &ExportRequestStatus, dates: &Dates) -> bool {
    dates.answered.is_some() && (!status.nothing_found || dates.nothing_found_confirmed)
}

/// Whether an archive is there.
#[must_use]
pub fn has_archive(status: &ExportRequestStatus) -> bool {
    status
        .archive
        .as_ref()
        .is_some_and(|archive| archive.deleted_at.is_none())
}

/// Decides.
#[must_use]
pub fn decide(facts: &Facts<'_>) -> Step {
    let status = facts.status;
    let may_exist = has_archive(status) || status.uncertain;
    let working: Vec<LiveJob> = facts
        .live
        .unfinished()
        .filter(|job| job.work != Work::Expire)
        .cloned()
        .collect();
    if facts.deleting && !facts.finalizer {
        return Step::Nothing;
    }
    if facts.deleting && facts.terminating {
        return Step::DropFinalizer(may_exist.then(|| location(status)));
    }
    let closed = is_closed(status, facts.dates);
    let unwanted = facts.deleting || closed || facts.dates.refused || !facts.dates.confirmed || !facts.dates.approved;
    if unwanted && !working.is_empty() {
        let to_end: Vec<LiveJob> = working.into_iter().filter(|job| !job.deleting).collect();
        // Those that are being deleted are waited for: a worker that still writes could undo a deletion.
        return if to_end.is_empty() {
            Step::Nothing
        } else {
            Step::EndJobs(to_end)
        };
    }
    if facts.deleting {
        return if may_exist {
            expire(facts)
        } else {
            Step::DropFinalizer(None)
        };
    }
    let is_over = |archive: &crate::api::export_status::ArchiveStatus| {
        archive.deleted_at.is_none() && archive.expires_at.0 <= facts.now
    };
    let outlives = status.archive.as_ref().is_some_and(is_over);
    let unfinished_export = facts.live.unfinished().any(|job| job.work == Work::Export);
    let left_over = status.uncertain && !has_archive(status) && !unfinished_export;
    if outlives || facts.dates.refused && may_exist || closed && left_over {
        return expire(facts);
    }
    if facts.outlived {
        return Step::DeleteRequest;
    }
    if has_archive(status) {
        return Step::Nothing;
    }
    let again = facts.retry > status.retry;
    let done = closed || facts.dates.refused || !again && (status.archive.is_some() || status.nothing_found);
    if done {
        return if facts.finalizer && !may_exist {
            Step::DropFinalizer(None)
        } else {
            Step::Nothing
        };
    }
    carry_out(facts)
}

/// The way from a request to its archive.
fn carry_out(facts: &Facts<'_>) -> Step {
    let status = facts.status;
    let (Some(identify_hash), true) = (facts.identify_hash, facts.accepted) else {
        return Step::Nothing;
    };
    if !facts.dates.confirmed || !facts.dates.approved || facts.stopped {
        return Step::Nothing;
    }
    if status.subject.is_none() {
        return work(facts, Work::Identify, identify_hash, Step::StartIdentify);
    }
    if status.admitted_at.is_none() {
        let is_free = status.deferred_until.as_ref().is_none_or(|until| until.0 <= facts.now);
        let is_refused = status.limited_by.is_some() && status.deferred_until.is_none();
        return if is_free && !is_refused {
            Step::Admit
        } else {
            Step::Nothing
        };
    }
    let Some(export_hash) = facts.export_hash else {
        return Step::Nothing;
    };
    if !facts.finalizer {
        return Step::AddFinalizer;
    }
    match work(facts, Work::Export, export_hash, Step::StartExport) {
        Step::StartExport if !status.uncertain => Step::Announce,
        step => step,
    }
}

/// Starts a worker whose Job is not there; makes room for another try where the last one failed and may be repeated.
fn work(facts: &Facts<'_>, work: Work, plan_hash: &str, start: Step) -> Step {
    match facts.live.job(work) {
        Some(job) if job.deleting || job.finished.is_none() => Step::Nothing,
        _ if !may_try(facts, work, plan_hash) => Step::Nothing,
        Some(job) => Step::DeleteJob(Box::new(job.clone())),
        None => start,
    }
}

fn may_try(facts: &Facts<'_>, work: Work, plan_hash: &str) -> bool {
    let failure = facts
        .status
        .failure
        .as_ref()
        .filter(|failure| failure.work == work.as_str());
    failure.is_none_or(|failure| {
        let passed = failure.retry_at.as_ref().is_some_and(|at| at.0 <= facts.now);
        passed || failure.plan_hash != plan_hash || facts.retry > facts.status.retry
    })
}

fn expire(facts: &Facts<'_>) -> Step {
    match facts.live.job(Work::Expire) {
        Some(job) if job.deleting || job.finished.is_none() => Step::Nothing,
        _ if !may_try_to_expire(facts) => Step::Nothing,
        Some(job) => Step::DeleteJob(Box::new(job.clone())),
        None => Step::StartExpire,
    }
}

fn may_try_to_expire(facts: &Facts<'_>) -> bool {
    let failure = facts.status.failure.as_ref();
    let failure = failure.filter(|failure| failure.work == Work::Expire.as_str());
    failure
        .and_then(|failure| failure.retry_at.as_ref())
        .is_none_or(|at| at.0 <= facts.now)
}

/// Where an archive is, or would be.
fn location(status: &ExportRequestStatus) -> String {
    status.archive.as_ref().map_or_else(
        || "the place of delivery, under the uid of the request".to_owned(),
        |archive| archive.location.clone(),
    )
}

#[cfg(test)]
#[path = "steps_tests.rs"]
mod tests;
