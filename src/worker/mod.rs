//! The worker: runs a work plan against its store. It knows no Kubernetes; plan, credentials and the stop signal are
//! files, the report is a line of its log and the container's termination message.

mod anchor;
mod cascade;
pub mod catalogue;
mod check;
mod condition;
pub mod connection;
mod count;
mod disposal;
mod drift;
mod durable;
pub mod explain;
pub mod export;
mod guard;
mod hash_key;
mod holds;
mod judge;
mod ledger;
mod limits;
mod literals;
mod marks;
mod newest;
mod pace;
pub mod progress;
mod pseudonymise;
mod related;
mod run;
mod session;
pub mod source_survey;
mod sql;
mod survey;
mod sweep;
mod time_column;
mod two_step;
mod window;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;

use self::connection::Credentials;
use self::explain::{ExplainedRule, Wanted};
use self::guard::Guard;
use self::holds::Holds;
use self::progress::Progress;
use self::pseudonymise::MaskKeys;
use self::run::Task;
use self::session::Access;
use crate::contract::{
    self, EXIT_CONFIGURATION, EXIT_OK, EXIT_TRANSIENT, Mode, Problem, Reason, RunResult, Store, WorkPlan, WorkReport,
};
use crate::domain::hash;

/// Where a worker finds its inputs and leaves its report.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The work plan.
    pub plan: PathBuf,
    /// Directory with `username` and `password`.
    pub credentials: PathBuf,
    /// The certificate authority.
    pub ca: PathBuf,
    /// Directory with a directory for each Secret in which a hold names a person.
    pub holds: PathBuf,
    /// Directory with a directory for each Secret with keys of masks.
    pub keys: PathBuf,
    /// Directory of the stop ConfigMap.
    pub stop: PathBuf,
    /// Where the short report goes.
    pub termination_message: Option<PathBuf>,
    /// Name of the run, for the ledger and the server's list of sessions.
    pub run: String,
    /// Count only, whatever the plan says.
    pub observe: bool,
}

/// Runs the plan and reports. The clock is read by the caller, so that nothing below does.
/// Progress is told on the listener, where there is one.
pub async fn main(settings: Settings, listener: Option<TcpListener>, now: fn() -> Timestamp) -> ExitCode {
    silence_panics();
    let progress = Progress::default();
    let teller = listener.map(|listener| tokio::spawn(progress::serve(listener, progress.clone())));
    let report = execute_telling(&settings, &progress, now).await;
    if let Some(teller) = teller {
        teller.abort();
    }
    publish(&settings, &report);
    ExitCode::from(exit_code(&report))
}

/// Runs the plan.
pub async fn execute(settings: &Settings, now: fn() -> Timestamp) -> WorkReport {
    execute_telling(settings, &Progress::default(), now).await
}

async fn execute_telling(settings: &Settings, progress: &Progress, now: fn() -> Timestamp) -> WorkReport {
    let begin = now();
    let (plan, plan_hash) = match read_plan(&settings.plan) {
        Ok(read) => read,
        Err(problem) => return failed(String::new(), Mode::Observe, begin, problem),
    };
    let mode = if settings.observe { Mode::Observe } else { plan.mode };
    let access = read_access(settings, &plan.store, &plan.credentials_secret);
    let access = access.and_then(|access| {
        let holds = Holds::read(&settings.holds, &plan.holds)?;
        Ok(Access { holds, ..access })
    });
    let access = match access {
        Ok(access) => access,
        Err(problem) => return failed(plan_hash, mode, begin, problem),
    };
    let active = Duration::from_secs(u64::try_from(plan.active_deadline_seconds).unwrap_or(0));
    let guard = Guard::new(settings.stop.clone(), active);
    let watcher = tokio::spawn(note_termination(guard.clone()));
    let task = Task { mode, as_of: None };
    let report = run::run(&plan, &plan_hash, task, &access, &guard, progress, now).await;
    watcher.abort();
    report
}

/// A plan that a person runs from a command line.
pub struct ByHand<'a> {
    /// The plan.
    pub plan: &'a WorkPlan,
    /// Its hash, for the report.
    pub plan_hash: &'a str,
    /// As whom.
    pub credentials: Credentials,
    /// The certificate authority; none where there is no TLS.
    pub ca: Option<PathBuf>,
    /// Directory with a directory for each Secret in which a hold names a person.
    pub holds: PathBuf,
    /// Directory with a directory for each Secret with keys of masks, where somebody named one.
    pub keys: Option<PathBuf>,
    /// The instant by which rows are judged; none: the store's clock.
    pub as_of: Option<Timestamp>,
}

impl ByHand<'_> {
    fn access(&self) -> Result<Access, Problem> {
        Ok(Access {
            credentials: self.credentials.clone(),
            ca: self.ca.clone(),
            run: "by-hand".to_owned(),
            holds: Holds::read(&self.holds, &self.plan.holds)?,
            keys: MaskKeys {
                directory: self.keys.clone(),
            },
        })
    }

    /// Runs the plan in the plan's mode.
    pub async fn run(&self, now: fn() -> Timestamp) -> WorkReport {
        let active = Duration::from_secs(u64::try_from(self.plan.active_deadline_seconds).unwrap_or(0));
        let guard = Guard::new(PathBuf::new(), active);
        let watcher = tokio::spawn(note_termination(guard.clone()));
        let task = Task {
            mode: self.plan.mode,
            as_of: self.as_of,
        };
        let progress = Progress::default();
        let report = match self.access() {
            Ok(access) => run::run(self.plan, self.plan_hash, task, &access, &guard, &progress, now).await,
            Err(problem) => failed(self.plan_hash.to_owned(), task.mode, now(), problem),
        };
        watcher.abort();
        report
    }

    /// Says of single rows why they are due or stay.
    pub async fn explain(&self, wanted: &Wanted, now: fn() -> Timestamp) -> Result<Vec<ExplainedRule>, Problem> {
        explain::explain(self.plan, &self.access()?, self.as_of, wanted, now()).await
    }
}

/// A report of a run that did not get to the store.
fn failed(plan_hash: String, mode: Mode, at: Timestamp, problem: Problem) -> WorkReport {
    WorkReport {
        version: contract::VERSION,
        plan_hash,
        mode,
        generation: None,
        result: RunResult::Failed,
        started_at: at,
        finished_at: at,
        server_version: None,
        rules: Vec::new(),
        ledger: None,
        problem: Some(problem),
    }
}

fn read_plan(path: &Path) -> Result<(WorkPlan, String), Problem> {
    let invalid = |detail: &str| Problem::new(Reason::InvalidPlan, "", detail);
    let bytes = std::fs::read(path).map_err(|_| invalid("the work plan cannot be read"))?;
    let plan: WorkPlan = serde_json::from_slice(&bytes).map_err(|_| invalid("the work plan cannot be understood"))?;
    if plan.version != contract::VERSION {
        return Err(invalid("the work plan is of another version"));
    }
    Ok((plan, hash::short(&bytes)))
}

/// Credentials and certificate authority. All Secret volumes are optional, so that a missing Secret is told here and not
/// by a pod that waits without a word.
fn read_access(settings: &Settings, store: &Store, credentials_secret: &str) -> Result<Access, Problem> {
    let read = |key: &str| {
        let path = settings.credentials.join(key);
        let text = std::fs::read_to_string(path).map_err(|_| {
            let detail = format!("Secret {credentials_secret} has no key {key}, or does not exist");
            Problem::new(Reason::MissingSecret, "postgres.credentialsSecretRef", detail)
        })?;
        Ok(text.trim_end_matches(['\n', '\r']).to_owned())
    };
    let ca = store.verify_tls.then(|| settings.ca.clone());
    if let Some(path) = &ca
        && !path.is_file()
    {
        let (name, key) = store.ca_secret.clone().unwrap_or_default();
        let detail = format!("Secret {name} has no key {key}, or does not exist");
        return Err(Problem::new(Reason::MissingSecret, "postgres.tls.caSecretRef", detail));
    }
    Ok(Access {
        credentials: Credentials {
            username: read("username")?,
            password: read("password")?,
        },
        ca,
        run: settings.run.chars().take(60).collect(),
        holds: Holds::default(),
        keys: MaskKeys {
            directory: Some(settings.keys.clone()),
        },
    })
}

/// Kubernetes asks a pod to end by SIGTERM: the run then ends with the batch under way, and reports.
async fn note_termination(guard: Guard) {
    use tokio::signal::unix::{SignalKind, signal};
    if let Ok(mut terminate) = signal(SignalKind::terminate()) {
        terminate.recv().await;
        guard.terminate();
    }
}

/// A panic's text may quote a value: only its place is told.
fn silence_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        eprintln!("{{\"level\":\"ERROR\",\"message\":\"the worker panicked\",\"place\":\"{place}\"}}");
    }));
}

fn publish(settings: &Settings, report: &WorkReport) {
    publish_text(settings, &report.to_termination_message(), report);
}

/// Writes the short form where Kubernetes finds it, and the long one to the log.
#[allow(clippy::print_stdout, reason = "the report is the last line of the worker's log")]
fn publish_text(settings: &Settings, short: &str, report: &impl serde::Serialize) {
    if let Some(path) = &settings.termination_message
        && std::fs::write(path, short).is_err()
    {
        tracing::error!("the termination message cannot be written");
    }
    if let Ok(line) = serde_json::to_string(report) {
        println!("{line}");
    }
}

/// Zero for a run that ended as it should, [`EXIT_CONFIGURATION`] where trying again is no use.
fn exit_code(report: &WorkReport) -> u8 {
    let problems = || {
        report
            .problem
            .iter()
            .chain(report.rules.iter().filter_map(|rule| rule.problem.as_ref()))
    };
    match report.result {
        RunResult::Failed if problems().any(|problem| problem.reason.is_permanent()) => EXIT_CONFIGURATION,
        RunResult::Failed => EXIT_TRANSIENT,
        _ if problems().any(|problem| problem.reason == Reason::Interrupted) => EXIT_TRANSIENT,
        RunResult::Done | RunResult::NothingDue | RunResult::Halted => EXIT_OK,
    }
}
