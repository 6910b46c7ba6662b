//! Arguments of `discover`, and what is printed for it.

use std::path::PathBuf;
use std::process::ExitCode;

use super::files::{FileError, password};
use super::output::print;
use crate::discover::connect::{ConnectError, Target};
use crate::discover::{DiscoverError, discover};
use crate::domain::comment::single_line;

/// Arguments of `discover`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The database: `postgres://USER@HOST:PORT/DATABASE`, or `postgres:///DATABASE?host=/DIRECTORY` for a socket.
    url: String,

    /// File with the password. Otherwise the variable PGPASSWORD or the URL, which other users of this machine may see.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// File (PEM) with the authority that signed the server's certificate; certificate and host name are verified.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure_no_tls")]
    ca: Option<PathBuf>,

    /// Connect without TLS: everyone on the way can read the password and the catalogue.
    #[arg(long)]
    insecure_no_tls: bool,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the runtime cannot be started: {0}")]
    Runtime(#[source] std::io::Error),
    #[error(transparent)]
    Target(#[from] ConnectError),
    #[error(transparent)]
    Discover(#[from] DiscoverError),
}

/// Prints the YAML to standard output.
pub fn run(arguments: Arguments) -> ExitCode {
    match yaml(arguments) {
        Ok(text) => print(&text),
        Err(error) => {
            eprintln!("error: {}", single_line(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

fn yaml(arguments: Arguments) -> Result<String, Error> {
    let password = password(arguments.password_file.as_deref())?;
    let target = Target::new(
        &arguments.url,
        password.as_deref(),
        arguments.ca,
        arguments.insecure_no_tls,
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    Ok(runtime.block_on(discover(&target))?)
}
