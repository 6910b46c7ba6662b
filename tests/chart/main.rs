//! What the Helm chart renders, for several sets of values.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod alerts;
mod encryption;
mod helm;
mod pods;
mod rights;
mod values;
