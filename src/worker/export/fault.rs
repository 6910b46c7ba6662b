//! What ends an export early.

use crate::contract::{Problem, Reason};
use crate::worker::connection::StoreError;

/// What ends an export early. Nothing is delivered then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It cannot be done.
    Problem(Problem),
    /// It was ended on purpose.
    Stop(Problem),
}

impl Fault {
    /// A request to end.
    #[must_use]
    pub fn stop(reason: Reason) -> Self {
        Self::Stop(Problem::new(reason, "", ""))
    }

    /// An error of a store, stripped to its code.
    #[must_use]
    pub fn store(store: &str, error: &StoreError) -> Self {
        Self::Problem(error.problem(&format!("DataSource {store}")))
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}
