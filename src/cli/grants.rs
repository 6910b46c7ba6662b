//! Arguments of `grants`, and what is read and printed for it.

use std::path::PathBuf;
use std::process::ExitCode;

use super::files::{FileError, read_manifests};
use super::output::print;
use crate::domain::comment::single_line;
use crate::grants::{GrantsError, grants};

/// Arguments of `grants`.
#[derive(clap::Args)]
pub struct Arguments {
    /// YAML files with `DataSource` and `DataRetentionPolicy` objects, in any order; `-` reads standard input.
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,

    /// Name of the role; it is created, without a password, where it does not exist.
    #[arg(long, default_value = "privacy_operator", value_name = "NAME")]
    role: String,

    /// Print the rights for this `DataSource` alone.
    #[arg(long, value_name = "NAME")]
    data_source: Option<String>,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Grants(#[from] GrantsError),
}

/// Prints the SQL to standard output and remarks to standard error.
pub fn run(arguments: &Arguments) -> ExitCode {
    match sql(arguments) {
        Ok(result) => {
            for remark in &result.remarks {
                eprintln!("note: {}", single_line(remark));
            }
            print(&result.sql)
        }
        Err(error) => {
            eprintln!("error: {}", single_line(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

fn sql(arguments: &Arguments) -> Result<crate::grants::Grants, Error> {
    let manifests = read_manifests(&arguments.files)?;
    Ok(grants(&manifests, &arguments.role, arguments.data_source.as_deref())?)
}
