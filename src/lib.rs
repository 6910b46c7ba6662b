//! privacy-operator: a Kubernetes operator that keeps a platform's privacy promises.
pub mod agent;
pub mod api;
pub mod cli;
mod clock;
pub mod contract;
pub mod controller;
pub mod discover;
pub mod domain;
pub mod encryption;
pub mod grants;
mod http;
mod lease;
pub mod metrics;
pub mod migrate;
pub mod plan;
mod report;
mod telemetry;
pub mod worker;
