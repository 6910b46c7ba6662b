//! Exports against real PostgreSQL, a real S3 server, Debian's `age` and a real browser.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may fail loudly"
)]

mod canary;
mod catalogue;
mod delivery;
mod harness;
mod hostile;
mod kills;
mod opened;
mod pages;
mod program;
mod right;
mod s3;
mod shop;
mod size;
mod steps;
#[path = "../support/mod.rs"]
mod support;
mod values;
mod walk;
mod written;
