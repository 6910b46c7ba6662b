//! What was observed of runs, and how it enters the status: each Job once.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::status::compact_age;
use crate::api::data_retention_policy::Mode;
use crate::api::status::{DataRetentionPolicyStatus, LedgerStatus, ProblemStatus, RuleStatus, RunStatus, StoreStatus};
use crate::contract::progress::LiveProgress;
use crate::contract::{Problem, Reason, RuleReport, RunResult, WorkReport};

/// How many runs the status keeps.
const KEPT_RUNS: usize = 10;
/// Result of a run that ended without a report. It is never a success.
pub const UNKNOWN: &str = "Unknown";

/// A Job that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedRun {
    /// Name of the Job.
    pub job: String,
    /// Its uid.
    pub uid: String,
    /// Hash of its work plan.
    pub plan_hash: Option<String>,
    /// Hash of its rules.
    pub rules_hash: Option<String>,
    /// Names of the rules, in the order of the report.
    pub rule_names: Vec<String>,
    /// Whether it could write.
    pub mode: Mode,
    /// Start, as Kubernetes saw it.
    pub started_at: Option<Timestamp>,
    /// End, as Kubernetes saw it.
    pub finished_at: Timestamp,
    /// What it said, and the SHA-256 of the text.
    pub report: Option<(WorkReport, String)>,
    /// Why it ended, in a word of Kubernetes: `DeadlineExceeded`, `OOMKilled`, `Evicted`.
    pub cause: Option<String>,
}

/// A Job that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningRun {
    /// Name of the Job.
    pub job: String,
    /// When it was created.
    pub started_at: Timestamp,
    /// How far its worker says it is. `None`: it was not asked, or did not answer.
    pub progress: Option<LiveProgress>,
}

/// A worker's pod that does not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StuckWorker {
    /// Name of the pod.
    pub pod: String,
    /// Why, in a word of Kubernetes: `ImagePullBackOff`, `CreateContainerConfigError`, `Unschedulable`.
    pub cause: String,
}

/// Everything that was observed of a policy's runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observation {
    /// Ended, in the order of their ends.
    pub finished: Vec<FinishedRun>,
    /// Under way.
    pub running: Option<RunningRun>,
    /// Does not start.
    pub stuck: Option<StuckWorker>,
    /// The stop `ConfigMap` exists.
    pub stopped: bool,
}

/// Whether the status has this run already, or had it before it was trimmed.
#[must_use]
pub fn is_consumed(status: &DataRetentionPolicyStatus, uid: &str, finished_at: Timestamp) -> bool {
    let trimmed = status.runs.len() >= KEPT_RUNS
        && status
            .runs
            .last()
            .and_then(|run| run.finished_at.as_ref())
            .is_some_and(|oldest| finished_at < oldest.0);
    trimmed || status.runs.iter().any(|run| run.uid == uid)
}

/// Puts an ended run into the status: into the history, and, where it was about the present rules, into their numbers.
pub fn consume(status: &mut DataRetentionPolicyStatus, run: &FinishedRun) {
    status.runs.insert(0, history(run));
    status.runs.truncate(KEPT_RUNS);
    let Some((report, _)) = &run.report else {
        status.last_result = Some(UNKNOWN.to_owned());
        return;
    };
    status.last_result = Some(report.result.as_str().to_owned());
    status.last_run_at = Some(Time(report.finished_at));
    status.store = Some(store(report));
    if let Some(ledger) = &report.ledger {
        status.ledger = Some(LedgerStatus {
            sequence: ledger.sequence,
            head: ledger.head.clone(),
            deleted: ledger.totals.deleted,
            masked: ledger.totals.masked,
            set: ledger.totals.set,
        });
    }
    if run.rules_hash.is_some() && run.rules_hash == status.rules_hash {
        for (name, rule_report) in run.rule_names.iter().zip(&report.rules) {
            if let Some(rule) = status.rules.iter_mut().find(|rule| rule.name == *name) {
                number(rule, rule_report, report);
            }
        }
    }
}

fn history(run: &FinishedRun) -> RunStatus {
    let report = run.report.as_ref().map(|(report, _)| report);
    let total = |count: fn(&RuleReport) -> i64| {
        report.map(|report| report.rules.iter().map(count).fold(0, i64::saturating_add))
    };
    RunStatus {
        job: run.job.clone(),
        uid: run.uid.clone(),
        mode: mode_word(report.map_or(run.mode, |report| report.mode)).to_owned(),
        result: report.map_or(UNKNOWN, |report| report.result.as_str()).to_owned(),
        plan_hash: run.plan_hash.clone(),
        generation: report.and_then(|report| report.generation),
        started_at: report.map(|report| report.started_at).or(run.started_at).map(Time),
        finished_at: Some(Time(report.map_or(run.finished_at, |report| report.finished_at))),
        affected: total(|rule| rule.affected),
        due: total(|rule| rule.due),
        problem: match report {
            Some(report) => report.problem.as_ref().map(problem_status),
            None => Some(no_report(run)),
        },
        report_hash: run.report.as_ref().map(|(_, hash)| hash.clone()),
    }
}

/// A run without a report is a problem by itself.
fn no_report(run: &FinishedRun) -> ProblemStatus {
    let cause = run
        .cause
        .as_deref()
        .map(|cause| format!(" ({cause})"))
        .unwrap_or_default();
    ProblemStatus {
        reason: super::reasons::NO_REPORT.to_owned(),
        field: String::new(),
        message: format!(
            "the run {} ended without a report{cause}, so it is not known what it did; the next run reports all that is in the ledger",
            run.job
        ),
    }
}

fn number(rule: &mut RuleStatus, found: &RuleReport, report: &WorkReport) {
    rule.problem = found.problem.as_ref().map(problem_status);
    // A run that failed before it looked at a rule has no numbers to offer: the old ones stay.
    rule.affected = Some(found.affected);
    let trouble = found.problem.is_some() || report.problem.is_some();
    if report.server_version.is_none() || (trouble && is_empty(found)) {
        return;
    }
    rule.due = Some(found.due);
    rule.overdue = Some(found.overdue);
    rule.without_start_event = Some(found.without_start_event);
    rule.undetermined = Some(found.undetermined);
    rule.no_ground_applies = Some(found.no_ground_applies);
    rule.kept_by_dependent = Some(found.kept_by_dependent);
    rule.missing_related = Some(found.missing_related).filter(|count| *count > 0 || rule.missing_related.is_some());
    rule.cascaded = Some(found.cascaded).filter(|count| *count > 0 || rule.cascaded.is_some());
    rule.held = Some(found.held).filter(|count| *count > 0 || rule.held.is_some());
    rule.race_window = found.race_window;
    rule.oldest = found.oldest_seconds.map(compact_age);
    rule.access_path = found.access_path.map(|path| path.as_str().to_owned());
    rule.counted_at = Some(Time(report.finished_at));
    if let Some(level) = found.level {
        rule.level = Some(level.as_str().to_owned());
    }
    if found.due == 0 && !trouble {
        rule.clean_at = Some(Time(report.finished_at));
    }
}

/// No count at all: with a problem this means that the run did not get as far as counting.
fn is_empty(found: &RuleReport) -> bool {
    RuleReport {
        problem: None,
        ..found.clone()
    } == RuleReport::default()
}

fn store(report: &WorkReport) -> StoreStatus {
    let reached = report.server_version.is_some();
    StoreStatus {
        looked_at: Time(report.finished_at),
        server_version: report.server_version.clone(),
        problem: report.problem.as_ref().filter(|_| !reached).map(problem_status),
    }
}

/// A problem of a report as the status shows it.
#[must_use]
pub fn problem_status(problem: &Problem) -> ProblemStatus {
    ProblemStatus {
        reason: problem.reason.as_str().to_owned(),
        field: problem.field.clone(),
        message: problem.message(),
    }
}

/// The reason of a status's problem, if a report can have said it.
#[must_use]
pub fn reported_reason(problem: &ProblemStatus) -> Option<Reason> {
    Reason::ALL
        .iter()
        .copied()
        .find(|reason| reason.as_str() == problem.reason)
}

/// The word of a mode.
#[must_use]
pub const fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "Observe",
        Mode::Enforce => "Enforce",
    }
}

/// Whether a result word of the history says that the run did its work.
#[must_use]
pub fn succeeded(result: &str) -> bool {
    result == RunResult::Done.as_str() || result == RunResult::NothingDue.as_str()
}
