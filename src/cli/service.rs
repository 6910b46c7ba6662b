//! What the small programs that run until they are told to stop have in common.

use std::process::ExitCode;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::signal::unix::{SignalKind, signal};

use crate::telemetry::{self, LogFormat};

/// Runs `program` on one thread. It gets what comes with SIGTERM or SIGINT.
pub fn run(
    format: LogFormat,
    level: &str,
    program: impl AsyncFnOnce(BoxFuture<'static, ()>) -> Result<(), String>,
) -> ExitCode {
    if let Err(message) = telemetry::start(format, level) {
        eprintln!("{message}");
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
        runtime.block_on(async {
            let stop = stopped().map_err(|error| error.to_string())?;
            program(stop).await
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn stopped() -> std::io::Result<BoxFuture<'static, ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    .boxed())
}
