//! What a reconcile asks of the API server, and in which order: against a small one that lives in memory and remembers
//! every write.

mod scenarios;
mod server;
