//! Requests of people: what is live, the ledger, and the shell around `plan::export`.

pub mod ledger;
mod live;
mod look;
mod record;
pub mod request;
pub mod rights_policy;
mod watch;
mod work;
