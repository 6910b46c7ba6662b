//! Starts the program, nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    privacy_operator::cli::main()
}
