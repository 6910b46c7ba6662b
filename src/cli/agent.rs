//! `privacy-operator agent`: writes the file that the API server of its node reads.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::service;
use crate::agent;
use crate::http;
use crate::telemetry::LogFormat;

/// Write the API server's encryption configuration on this node. Started by the chart's DaemonSet.
#[derive(clap::Args)]
pub struct Arguments {
    /// The directory of the node in which the file is.
    #[arg(long, default_value = "/etc/kubernetes/encryption")]
    directory: PathBuf,

    /// Name of the file.
    #[arg(long, default_value = "encryption-config.yaml")]
    file: String,

    /// Where the key Secret is mounted.
    #[arg(long, default_value = "/etc/privacy-operator/keys")]
    keys: PathBuf,

    /// Where the report is served.
    #[arg(long, default_value = ":8089", value_parser = http::address)]
    address: SocketAddr,

    /// Pause between two looks, in milliseconds.
    #[arg(long, default_value_t = 5000)]
    interval_milliseconds: u64,

    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
}

/// Runs the agent until it is told to stop.
pub fn run(arguments: Arguments) -> ExitCode {
    let settings = agent::Settings {
        directory: arguments.directory,
        file: arguments.file,
        keys: arguments.keys,
        address: arguments.address,
        interval: Duration::from_millis(arguments.interval_milliseconds.max(10)),
    };
    service::run(arguments.log_format, "info", async |stop| {
        agent::run(settings, stop).await.map_err(|error| error.to_string())
    })
}
