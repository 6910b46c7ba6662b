//! The whole system on a real kind cluster, as its users meet it: kubectl, Helm, CronJobs, pods, PostgreSQL with TLS.
//!
//! Run by `make cluster-test`, which brings up the cluster, the images and kubectl. Every test has a namespace and a
//! database of its own; tests that stop the operator run alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may fail loudly"
)]

mod bad_input;
mod cluster;
mod examples;
mod exports;
mod lifecycle;
mod operator;
mod promise;
mod records;
