//! Arguments of `discover`, and what is printed for it.

use std::path::PathBuf;
use std::process::ExitCode;

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
    #[error("{file}: the password cannot be read: {source}")]
    PasswordFile {
        file: String,
        #[source]
        source: std::io::Error,
    },
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

#[allow(clippy::disallowed_methods, reason = "what comes from the environment comes in here")]
fn yaml(arguments: Arguments) -> Result<String, Error> {
    let password = match &arguments.password_file {
        Some(path) => Some(std::fs::read_to_string(path).map_err(|source| Error::PasswordFile {
            file: path.display().to_string(),
            source,
        })?),
        None => std::env::var("PGPASSWORD").ok(),
    };
    // Editors end a file with a line break, which is no part of the password.
    let password = password.as_deref().map(|text| text.trim_end_matches(['\r', '\n']));
    let target = Target::new(&arguments.url, password, arguments.ca, arguments.insecure_no_tls)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    Ok(runtime.block_on(discover(&target))?)
}
