//! The imperative shell: it looks, lets the pure core decide, and does what was decided.

pub mod apply;
mod caches;
pub mod cluster_encryption;
pub mod context;
pub mod data_retention_policy;
pub mod data_source;
mod dereference;
mod error;
mod events;
pub mod exports;
mod finalizer;
pub mod guarded;
mod jobs;
pub mod legal_hold;
mod observe;
pub mod privacy_notice;
pub mod processing_activity;
pub mod progress;
pub mod readiness;
mod records;
mod run;
mod status;
mod surveys;
mod withdrawals;

pub use context::{Context, Health, Stores};
pub use error::Error;
pub use run::{Scopes, Shutdown, run};

/// Field manager of everything that this operator applies.
pub const FIELD_MANAGER: &str = "privacy-operator";
