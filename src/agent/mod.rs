//! The agent on a control-plane node: it writes the file that the API server of its node reads, and nothing else.
//!
//! It has no token and talks to nobody. The key Secret is mounted into its pod; what it did and what it refuses to do
//! is read from its port. Which file may follow which is decided in [`crate::encryption::intake`].

mod files;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router, serve};

use crate::encryption::configuration::{Configuration, file_hash};
use crate::encryption::custody::Custody;
use crate::encryption::intake::{Verdict, judge};
use crate::encryption::observation::{AgentProblem, AgentReport};
use crate::encryption::seal::seal_baseline;
use crate::http;

use files::Files;

/// Where everything is.
pub struct Settings {
    /// The directory of the node in which the API server's file is.
    pub directory: PathBuf,
    /// Name of that file.
    pub file: String,
    /// Where the key Secret is mounted.
    pub keys: PathBuf,
    /// Where the report is served.
    pub address: SocketAddr,
    /// Pause between two looks.
    pub interval: Duration,
}

type Shared = Arc<RwLock<AgentReport>>;

/// Runs until `stop`.
pub async fn run(settings: Settings, stop: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    let listener = http::bind(settings.address).await?;
    let shared = Shared::default();
    let router = Router::new()
        .route("/report", get(report))
        .route("/livez", get(async || "ok\n"))
        .with_state(shared.clone());
    let looking = tokio::spawn(look_again_and_again(settings, shared));
    let outcome = serve(listener, router).with_graceful_shutdown(stop).await;
    looking.abort();
    outcome
}

async fn report(State(shared): State<Shared>) -> Response {
    let report = shared.read().unwrap_or_else(PoisonError::into_inner).clone();
    Json(report).into_response()
}

async fn look_again_and_again(settings: Settings, shared: Shared) {
    let files = Files::new(&settings.directory, &settings.file);
    loop {
        let new = look(&files, &settings.keys);
        let changed = {
            let mut report = shared.write().unwrap_or_else(PoisonError::into_inner);
            let changed = *report != new;
            *report = new.clone();
            changed
        };
        if changed {
            match &new.problem {
                None => tracing::info!(generation = new.generation, hash = new.file_hash, "the file is right"),
                Some(problem) => tracing::error!(reason = problem.reason, "{}", problem.message),
            }
        }
        tokio::time::sleep(settings.interval).await;
    }
}

/// One look: judge, write where that is right, and say what came of it.
fn look(files: &Files, keys: &std::path::Path) -> AgentReport {
    let offered = files::read_offered(keys);
    let last = files.last();
    let disk = match files.disk() {
        Ok(disk) => disk,
        Err(error) => {
            return AgentReport {
                problem: Some(problem("FileUnreadable", &error)),
                ..said(None, last.as_ref())
            };
        }
    };
    let verdict = judge(offered.as_ref().map_err(String::as_str), last.as_ref(), disk.as_deref());
    let outcome = match (&verdict, &offered, &last) {
        (Verdict::Right | Verdict::Replace { .. }, Ok(offered), _) => act(files, &verdict, offered, last.as_ref()),
        (Verdict::PutBack, _, Some(last)) => act(files, &verdict, last, Some(last)),
        _ => Ok(()),
    };
    let mut report = said(files.disk().ok().flatten().as_deref(), files.last().as_ref());
    match (verdict, offered, outcome) {
        (_, _, Err(error)) => report.problem = Some(problem("CannotWrite", &error)),
        (Verdict::Keep(problem), ..) => report.problem = Some(problem),
        (Verdict::PutBack, Err(what), _) => {
            report.problem = Some(AgentProblem {
                reason: "NoKeySecret".to_owned(),
                message: what,
            });
        }
        (Verdict::Show, Ok(offered), _) => {
            report.baseline = disk.and_then(|disk| seal_baseline(&offered.import_key, &disk).ok());
        }
        _ => {}
    }
    report
}

fn act(files: &Files, verdict: &Verdict, record: &Custody, last: Option<&Custody>) -> Result<(), std::io::Error> {
    // The record goes first: after a crash in between, the file is one that the record knows.
    if last != Some(record)
        && last.is_none_or(|last| record.next_number >= last.next_number || record.generation > last.generation)
    {
        files.remember(record)?;
    }
    let Some(file) = record.file.as_deref().filter(|_| *verdict != Verdict::Right) else {
        return Ok(());
    };
    if matches!(verdict, Verdict::PutBack | Verdict::Replace { heals: true }) {
        tracing::warn!(
            "the API server's file was changed or damaged by somebody, and lacked nothing but ours: it is put right"
        );
    }
    files.write(file)
}

fn said(disk: Option<&str>, last: Option<&Custody>) -> AgentReport {
    let keys_of = |text: &str| {
        Configuration::parse(text)
            .map(|file| file.our_keys())
            .unwrap_or_default()
    };
    let mut keys = disk.map(keys_of).unwrap_or_default();
    if let Some(file) = last.and_then(|last| last.file.as_deref()) {
        keys.extend(keys_of(file));
    }
    AgentReport {
        generation: last.map(|last| last.generation),
        file_hash: disk.map(file_hash),
        keys,
        problem: None,
        baseline: None,
    }
}

fn problem(reason: &str, error: &std::io::Error) -> AgentProblem {
    AgentProblem {
        reason: reason.to_owned(),
        message: format!("the API server's file: {error}; the agent needs the node's directory writable for root"),
    }
}
