//! Standard output, whoever reads it.

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

/// For whom a result is printed.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Text,
    Json,
}

/// Prints a result as JSON.
pub fn print_json(result: &impl serde::Serialize) -> ExitCode {
    print(&(serde_json::to_string_pretty(result).unwrap_or_default() + "\n"))
}

/// Prints a result. A reader who has seen enough (`| head`) is no error.
pub fn print(text: &str) -> ExitCode {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: the result cannot be written: {error}");
            ExitCode::FAILURE
        }
    }
}
