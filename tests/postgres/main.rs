//! The worker against real PostgreSQL: every sentence of the semantics that is built.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::needless_pass_by_value,
    clippy::print_stdout,
    reason = "a test may fail loudly"
)]

mod actions;
mod addresses;
mod calendar;
mod canary;
mod cascade;
mod cascade_races;
mod cascade_reference;
mod catalogue;
mod clocked;
mod conditions;
mod connection;
mod dates;
mod disposal;
mod disturbers;
mod drift;
mod effects;
mod evidence;
mod failures;
mod grounds;
mod harness;
mod hold_races;
mod holds;
mod hostile;
mod kills;
mod newest;
mod program;
mod progress;
mod pseudonymise;
mod races;
mod reference;
mod reference_cases;
mod reference_model;
mod reference_random;
mod related;
mod related_races;
mod runs;
mod several;
mod source_survey;
mod steps;
#[path = "../support/mod.rs"]
mod support;
mod trouble;
