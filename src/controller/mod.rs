//! The imperative shell: it looks, lets the pure core decide, and does what was decided.

pub mod apply;
pub mod cluster_encryption;
pub mod context;
pub mod data_retention_policy;
pub mod data_source;
mod dereference;
mod error;
mod events;
pub mod guarded;
mod jobs;
mod observe;
pub mod progress;
pub mod readiness;
mod run;
mod status;

pub use context::{Context, Health, Stores};
pub use error::Error;
pub use run::{Scopes, Shutdown, run};

/// Field manager of everything that this operator applies.
pub const FIELD_MANAGER: &str = "privacy-operator";
