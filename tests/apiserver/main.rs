//! What a reconcile asks of the API server, and in which order: against a small one that lives in memory and remembers
//! every write.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test may fail loudly"
)]

mod caches;
mod context;
mod exports;
mod holds;
mod races;
mod records;
mod scenarios;
mod server;

#[allow(dead_code, reason = "of the ways to wait only one is needed")]
#[path = "../support/wait.rs"]
mod wait;
