//! `privacy-operator migrate`: writes every object anew and proves under which key it is.

use std::process::ExitCode;
use std::time::Duration;

use kube::Config;

use super::service;
use crate::telemetry::LogFormat;
use crate::{clock, migrate};

/// Work on the passes that the operator orders. Started by the chart, with a service account of its own.
#[derive(clap::Args)]
pub struct Arguments {
    /// Pause between two looks at the order, in milliseconds.
    #[arg(long, default_value_t = 5000)]
    interval_milliseconds: u64,

    /// Patches at the same time, at most.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=64))]
    in_flight: u16,

    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
}

/// Runs the migrator until it is told to stop.
pub fn run(arguments: &Arguments) -> ExitCode {
    let (interval, width) = (arguments.interval_milliseconds.max(10), arguments.in_flight);
    service::run(arguments.log_format, "info", async |stop| {
        let config = Config::infer()
            .await
            .map_err(|error| format!("there is no way to a cluster: {error}"))?;
        let settings = migrate::Settings {
            config,
            interval: Duration::from_millis(interval),
            width: usize::from(width),
            now: clock::now,
        };
        tokio::select! {
            outcome = migrate::run(settings) => outcome.map_err(|error| error.to_string()),
            () = stop => Ok(()),
        }
    })
}
