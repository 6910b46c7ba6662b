//! privacy-operator: a Kubernetes operator that keeps a platform's privacy promises.
pub mod api;
pub mod cli;
mod clock;
pub mod contract;
pub mod controller;
pub mod discover;
pub mod domain;
pub mod grants;
mod http;
mod lease;
pub mod metrics;
pub mod plan;
pub mod register;
mod report;
mod telemetry;
pub mod worker;
