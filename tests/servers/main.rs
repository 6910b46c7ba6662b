//! The operator's reconciles on real API servers: two of them on one etcd, an operator on each, and no election between
//! the two. Run by `make encryption-test`, which builds the binaries once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may fail loudly"
)]

#[path = "../apiserver/context.rs"]
mod context;
mod races;
#[path = "../support/mod.rs"]
mod support;
mod world;
