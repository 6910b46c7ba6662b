//! The worker against real PostgreSQL: every sentence of the semantics that is built.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

mod canary;
mod catalogue;
mod connection;
mod disposal;
mod effects;
mod harness;
mod hostile;
mod program;
#[path = "../support/mod.rs"]
mod support;
mod trouble;
