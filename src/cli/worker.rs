//! `privacy-operator worker`: executes a work plan; with `survey` a look at a store, with `export`, `identify` or
//! `expire` a plan about one person.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use tokio::net::TcpListener;

use crate::contract;
use crate::contract::export as contract_export;
use crate::contract::progress::PROGRESS_PORT;
use crate::http;
use crate::worker::{self, Settings, export};

/// Execute a work plan against its store. Started by the CronJobs and Jobs that the operator makes.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// What to do; absent: sweep.
    #[command(subcommand)]
    program: Option<Program>,

    #[command(flatten)]
    store: OneStore,

    /// Where the run tells how far it is. When the port cannot be opened the run goes on without.
    #[arg(long, default_value_t = progress_address())]
    progress_address: SocketAddr,

    /// Count only and write nothing, whatever the plan says.
    #[arg(long)]
    observe: bool,
}

/// Where the files of a plan about one store are.
#[derive(clap::Args)]
struct OneStore {
    /// The work plan.
    #[arg(long, default_value = contract::PLAN_PATH)]
    plan: PathBuf,

    /// Directory with the files `username` and `password`.
    #[arg(long, default_value = contract::CREDENTIALS_DIRECTORY)]
    credentials: PathBuf,

    /// File with the certificate authority of the store.
    #[arg(long, default_value = contract::CA_PATH)]
    ca: PathBuf,

    /// Directory with a directory for each Secret in which a hold names a person.
    #[arg(long, default_value = contract::holds::HOLDS_DIRECTORY)]
    holds: PathBuf,

    /// Directory with a directory for each Secret with keys of masks, and in it a file for each key.
    #[arg(long, default_value = contract::KEYS_DIRECTORY)]
    keys: PathBuf,

    /// Directory that stops the run as soon as a file is in it.
    #[arg(long, default_value = contract::STOP_DIRECTORY)]
    stop: PathBuf,

    /// File for the short form of the report.
    #[arg(long, default_value = "/dev/termination-log")]
    termination_message: PathBuf,

    /// Name of the run, for the ledger and the server's list of sessions.
    #[arg(long, env = "PRIVACY_OPERATOR_RUN", default_value = "by-hand")]
    run: String,
}

impl OneStore {
    fn settings(self, observe: bool) -> Settings {
        Settings {
            plan: self.plan,
            credentials: self.credentials,
            ca: self.ca,
            holds: self.holds,
            keys: self.keys,
            stop: self.stop,
            termination_message: Some(self.termination_message),
            run: self.run,
            observe,
        }
    }
}

/// What a worker can do besides sweeping.
#[derive(Subcommand)]
enum Program {
    /// Look whether the declaration of a store is still true. Writes nothing.
    Survey(OneStore),
    /// Put one person's data into a sealed archive.
    Export(OnePerson),
    /// Find out who a request is about, as a keyed hash.
    Identify(OnePerson),
    /// Delete an archive.
    Expire(OnePerson),
}

/// Where the files of a plan about one person are.
#[derive(clap::Args)]
struct OnePerson {
    /// The plan.
    #[arg(long, default_value = contract::PLAN_PATH)]
    plan: PathBuf,

    /// Directory with one file for each identity of the person.
    #[arg(long, default_value = contract_export::SUBJECT_DIRECTORY)]
    subject: PathBuf,

    /// Directory with the hash key.
    #[arg(long, default_value = contract_export::HASH_KEY_DIRECTORY)]
    hash_key: PathBuf,

    /// Directory with a directory for each store, by its place in the plan.
    #[arg(long, default_value = contract_export::STORES_DIRECTORY)]
    stores: PathBuf,

    /// Directory with the credentials of the object store.
    #[arg(long, default_value = contract_export::DELIVERY_CREDENTIALS_DIRECTORY)]
    delivery_credentials: PathBuf,

    /// File with the certificate authority of the object store.
    #[arg(long, default_value = contract_export::DELIVERY_CA_PATH)]
    delivery_ca: PathBuf,

    /// Directory of the volume that takes the archives.
    #[arg(long, default_value = contract_export::DELIVERY_VOLUME_DIRECTORY)]
    volume: PathBuf,

    /// Directory that stops the run as soon as a file is in it.
    #[arg(long, default_value = contract::STOP_DIRECTORY)]
    stop: PathBuf,

    /// File for the short form of the report.
    #[arg(long, default_value = "/dev/termination-log")]
    termination_message: PathBuf,

    /// Name of the run, for the servers' lists of sessions.
    #[arg(long, env = "PRIVACY_OPERATOR_RUN", default_value = "by-hand")]
    run: String,

    /// Where an export tells how far it is. When the port cannot be opened it goes on without.
    #[arg(long, default_value_t = progress_address())]
    progress_address: SocketAddr,
}

impl OnePerson {
    fn settings(self) -> export::Settings {
        export::Settings {
            plan: self.plan,
            subject: self.subject,
            hash_key: self.hash_key,
            stores: self.stores,
            delivery: export::Mounts {
                credentials: self.delivery_credentials,
                ca: self.delivery_ca,
                volume: self.volume,
            },
            stop: self.stop,
            termination_message: Some(self.termination_message),
            run: self.run,
        }
    }
}

fn progress_address() -> SocketAddr {
    SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, PROGRESS_PORT))
}

/// Runs the worker on one thread, since it waits for the store nearly all of the time; an export packs on one of its own.
pub fn main(arguments: Arguments) -> ExitCode {
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime cannot be started");
            return ExitCode::from(contract::EXIT_TRANSIENT);
        }
    };
    match arguments.program {
        Some(Program::Survey(store)) => {
            runtime.block_on(worker::source_survey::main(store.settings(true), crate::clock::now))
        }
        Some(Program::Export(arguments)) => runtime.block_on(async {
            let listener = listener(arguments.progress_address).await;
            export::main(arguments.settings(), listener, crate::clock::now).await
        }),
        Some(Program::Identify(arguments)) => export::identify_main(&arguments.settings()),
        Some(Program::Expire(arguments)) => runtime.block_on(export::expire_main(arguments.settings())),
        None => runtime.block_on(async {
            let listener = listener(arguments.progress_address).await;
            let settings = arguments.store.settings(arguments.observe);
            worker::main(settings, listener, crate::clock::now).await
        }),
    }
}

async fn listener(address: SocketAddr) -> Option<TcpListener> {
    let listener = http::bind(address).await;
    if let Err(error) = &listener {
        tracing::warn!(%error, %address, "progress is not told");
    }
    listener.ok()
}
