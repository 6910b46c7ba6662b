//! `privacy-operator worker`: executes a work plan.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::contract;
use crate::contract::progress::PROGRESS_PORT;
use crate::http;
use crate::worker::{self, Settings};

/// Execute a work plan against its store. Started by the CronJobs and Jobs that the operator makes.
#[derive(clap::Args)]
pub struct Arguments {
    /// The work plan.
    #[arg(long, default_value = contract::PLAN_PATH)]
    plan: PathBuf,

    /// Directory with the files `username` and `password`.
    #[arg(long, default_value = contract::CREDENTIALS_DIRECTORY)]
    credentials: PathBuf,

    /// File with the certificate authority of the store.
    #[arg(long, default_value = contract::CA_PATH)]
    ca: PathBuf,

    /// Directory that stops the run as soon as a file is in it.
    #[arg(long, default_value = contract::STOP_DIRECTORY)]
    stop: PathBuf,

    /// File for the short form of the report.
    #[arg(long, default_value = "/dev/termination-log")]
    termination_message: PathBuf,

    /// Name of the run, for the ledger and the server's list of sessions.
    #[arg(long, env = "PRIVACY_OPERATOR_RUN", default_value = "by-hand")]
    run: String,

    /// Where the run tells how far it is. When the port cannot be opened the run goes on without.
    #[arg(long, default_value_t = progress_address())]
    progress_address: SocketAddr,

    /// Count only and write nothing, whatever the plan says.
    #[arg(long)]
    observe: bool,
}

fn progress_address() -> SocketAddr {
    SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, PROGRESS_PORT))
}

/// Runs the worker on one thread: it waits for the store nearly all of the time.
pub fn main(arguments: Arguments) -> ExitCode {
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime cannot be started");
            return ExitCode::from(contract::EXIT_TRANSIENT);
        }
    };
    let settings = Settings {
        plan: arguments.plan,
        credentials: arguments.credentials,
        ca: arguments.ca,
        stop: arguments.stop,
        termination_message: Some(arguments.termination_message),
        run: arguments.run,
        observe: arguments.observe,
    };
    runtime.block_on(async {
        let listener = http::bind(arguments.progress_address).await;
        if let Err(error) = &listener {
            tracing::warn!(%error, address = %arguments.progress_address, "progress is not told");
        }
        worker::main(settings, listener.ok(), crate::clock::now).await
    })
}
