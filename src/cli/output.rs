//! Standard output, whoever reads it.

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

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
