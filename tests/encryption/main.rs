//! Rotations on real API servers: two of them on one etcd, one of which learns of everything later.
//!
//! Run by `make encryption-test`, which builds the binaries once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may fail loudly"
)]

mod bad_input;
mod measure;
mod readers;
mod rotations;
mod scale;
mod wire;
mod world;

#[path = "../support/mod.rs"]
mod support;
