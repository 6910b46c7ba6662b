//! privacy-operator: a Kubernetes operator that keeps a platform's privacy promises.
pub mod api;
pub mod cli;
mod clock;
pub mod contract;
pub mod discover;
pub mod domain;
pub mod grants;
mod report;
pub mod worker;
