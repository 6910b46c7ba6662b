//! `worker export`: one person's data, from every declared store into a sealed archive. `worker identify` finds out who a
//! request is about, `worker expire` deletes an archive.
//!
//! Rows -> JSON, HTML, CSV -> zip -> age -> parts, streaming all the way: memory does not grow with the data, and nothing
//! is on disk in clear. The order of things is the safety: keys and the person are checked before a store is opened, and
//! the archive appears whole or not at all.

mod archive;
mod context;
mod coverage;
mod csv;
mod dataset;
mod deliver;
mod fault;
mod html;
mod json;
mod keys;
mod lookup;
mod manifest;
mod pack;
mod query;
mod recipient;
mod rows;
mod run;
pub(super) mod secret;
mod send;
mod shape;
mod store;
mod subject;
mod wire;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;

pub use self::deliver::Mounts;
use self::subject::Subject;
use super::progress::{self, Progress};
use crate::contract::export::{
    Coverage, ExpirePlan, ExpireReport, ExportPlan, ExportReport, ExportResult, IdentifyPlan, IdentifyReport,
    TerminationMessage, VERSION,
};
use crate::contract::{EXIT_CONFIGURATION, EXIT_OK, EXIT_TRANSIENT, Problem, Reason};
use crate::domain::hash;

/// Where a worker finds its inputs and leaves its report.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The plan.
    pub plan: PathBuf,
    /// Directory with the subject's Secret.
    pub subject: PathBuf,
    /// Directory with the hash key's Secret.
    pub hash_key: PathBuf,
    /// Directory with what each store needs.
    pub stores: PathBuf,
    /// What is mounted for the delivery.
    pub delivery: Mounts,
    /// Directory of the stop ConfigMap.
    pub stop: PathBuf,
    /// Where the short report goes.
    pub termination_message: Option<PathBuf>,
    /// Name of the run, for the servers' lists of sessions.
    pub run: String,
}

/// Exports and reports.
/// Progress is told on the listener, where there is one.
pub async fn main(settings: Settings, listener: Option<TcpListener>, now: fn() -> Timestamp) -> ExitCode {
    super::silence_panics();
    let progress = Progress::default();
    let teller = listener.map(|listener| tokio::spawn(progress::serve(listener, progress.clone())));
    let report = execute(&settings, now, &progress).await;
    if let Some(teller) = teller {
        teller.abort();
    }
    let code = exit_code(report.problem.as_ref(), report.result == ExportResult::Halted);
    publish(&settings, report);
    code
}

/// Exports. How far it is may be read meanwhile.
pub async fn execute(settings: &Settings, now: fn() -> Timestamp, live: &Progress) -> ExportReport {
    let begin = now();
    match read_plan::<ExportPlan>(&settings.plan, |plan| plan.version) {
        Ok((plan, plan_hash)) => run::run(settings, &plan, plan_hash, now, live).await,
        Err(problem) => ExportReport {
            version: VERSION,
            plan_hash: String::new(),
            result: ExportResult::Failed,
            started_at: begin,
            finished_at: begin,
            collected_at: None,
            rows: 0,
            coverage: Coverage::default(),
            archive: None,
            problem: Some(problem),
        },
    }
}

/// Finds out who a request is about, and reports.
#[must_use]
pub fn identify_main(settings: &Settings) -> ExitCode {
    super::silence_panics();
    let report = identify(settings);
    let code = exit_code(report.problem.as_ref(), false);
    publish(settings, report);
    code
}

/// Finds out who a request is about.
#[must_use]
pub fn identify(settings: &Settings) -> IdentifyReport {
    let mut report = IdentifyReport {
        version: VERSION,
        plan_hash: String::new(),
        subject: None,
        problem: None,
    };
    let found = read_plan::<IdentifyPlan>(&settings.plan, |plan| plan.version).and_then(|(plan, plan_hash)| {
        report.plan_hash = plan_hash;
        let key = subject::hash_key(&settings.hash_key, &plan.subject)?;
        let subject = Subject::read(&settings.subject, &plan.subject)?;
        Ok(subject.tag(&key, &plan.namespace_uid))
    });
    match found {
        Ok(tag) => report.subject = Some(tag),
        Err(problem) => report.problem = Some(problem),
    }
    report
}

/// Deletes an archive, and reports.
pub async fn expire_main(settings: Settings) -> ExitCode {
    super::silence_panics();
    let report = expire(&settings).await;
    let code = exit_code(report.problem.as_ref(), false);
    publish(&settings, report);
    code
}

/// Deletes an archive. One that is not there is gone too.
pub async fn expire(settings: &Settings) -> ExpireReport {
    let mut report = ExpireReport {
        version: VERSION,
        plan_hash: String::new(),
        gone: false,
        problem: None,
    };
    let gone = match read_plan::<ExpirePlan>(&settings.plan, |plan| plan.version) {
        Ok((plan, plan_hash)) => {
            report.plan_hash = plan_hash;
            match deliver::Place::open(&plan.delivery, &settings.delivery) {
                Ok(place) => place.delete().await,
                Err(problem) => Err(problem),
            }
        }
        Err(problem) => Err(problem),
    };
    report.gone = gone.is_ok();
    report.problem = gone.err();
    report
}

fn read_plan<P: DeserializeOwned>(path: &Path, version: fn(&P) -> u32) -> Result<(P, String), Problem> {
    let invalid = |detail: &str| Problem::new(Reason::InvalidPlan, "", detail);
    let bytes = std::fs::read(path).map_err(|_| invalid("the plan cannot be read"))?;
    let plan: P = serde_json::from_slice(&bytes).map_err(|_| invalid("the plan cannot be understood"))?;
    if version(&plan) != VERSION {
        return Err(invalid("the plan is of another version"));
    }
    Ok((plan, hash::short(&bytes)))
}

#[allow(clippy::print_stdout, reason = "the report is the last line of the worker's log")]
fn publish<R: TerminationMessage>(settings: &Settings, report: R) {
    let line = serde_json::to_string(&report);
    if let Some(path) = &settings.termination_message
        && std::fs::write(path, report.to_termination_message()).is_err()
    {
        tracing::error!("the termination message cannot be written");
    }
    if let Ok(line) = line {
        println!("{line}");
    }
}

/// Zero for a run that ended as it should, [`EXIT_CONFIGURATION`] where trying again is no use.
fn exit_code(problem: Option<&Problem>, halted: bool) -> ExitCode {
    ExitCode::from(match problem {
        Some(problem) if matches!(problem.reason, Reason::Interrupted | Reason::DeadlineReached) => EXIT_TRANSIENT,
        None => EXIT_OK,
        Some(_) if halted => EXIT_OK,
        Some(problem) if problem.reason.is_permanent() => EXIT_CONFIGURATION,
        Some(_) => EXIT_TRANSIENT,
    })
}
