//! Requests of people about their data: from what a request says, what its policy and stores say, and what is live, to
//! one next step and a status. Pure: no client and no clock.
//!
//! ```text
//! request + policy + stores --request--> Accepted --plans--> work plans --children--> Jobs, ConfigMaps, NetworkPolicy
//! finished Jobs --absorb--> status --steps--> the one thing to do next          status --status--> phase, conditions
//! ```
//!
//! The status is written before anything is done on its word, so that a crash between two steps repeats the second one
//! and never the first. Every step leads to the same objects however often it is done.

pub mod absorb;
pub mod activities;
pub mod children;
pub mod ledger;
pub mod network;
pub mod plans;
pub mod policy;
pub mod request;
pub mod rights_status;
pub mod sentences;
pub mod status;
pub mod steps;
pub mod transitions;

#[cfg(test)]
pub(crate) mod fixtures;

use jiff::Timestamp;

use crate::contract::export::{ExpireReport, ExportReport, IdentifyReport};

/// Finalizer of a request of which something may lie at the place of delivery.
pub const FINALIZER: &str = "privacy-operator.dev/archive";

/// What a worker does for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    /// Finds out under which tag the person counts.
    Identify,
    /// Gathers the data and delivers the archive.
    Export,
    /// Deletes the archive.
    Expire,
}

impl Work {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Identify, Self::Export, Self::Expire];

    /// The word in status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identify => "Identify",
            Self::Export => "Export",
            Self::Expire => "Expire",
        }
    }

    /// The argument of the worker, also the value of the label that tells Jobs apart.
    #[must_use]
    pub const fn argument(self) -> &'static str {
        match self {
            Self::Identify => "identify",
            Self::Export => "export",
            Self::Expire => "expire",
        }
    }

    /// Name of the Job for a request: the same however often it is started.
    #[must_use]
    pub fn job(self, request_uid: &str) -> String {
        format!("{}-{request_uid}", self.argument())
    }

    /// The work of an argument.
    #[must_use]
    pub fn of(argument: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|work| work.argument() == argument)
    }
}

/// A Job of a request as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveJob {
    /// What it does.
    pub work: Work,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Hash of its plan.
    pub plan_hash: String,
    /// When it was made.
    pub started_at: Option<Timestamp>,
    /// How it ended. `None`: it has not.
    pub finished: Option<Finished>,
    /// It is being deleted and vanishes with its last pod.
    pub deleting: bool,
}

/// How a Job ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// When.
    pub at: Timestamp,
    /// What it reported, if anything that is ours.
    pub report: Option<Report>,
    /// Why it ended, in a word of Kubernetes.
    pub cause: Option<String>,
}

/// A report of any of the three.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// Of an identification.
    Identify(IdentifyReport),
    /// Of an export.
    Export(Box<ExportReport>),
    /// Of a deletion.
    Expire(ExpireReport),
}

/// Everything of a request that lives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Live {
    /// Its Jobs.
    pub jobs: Vec<LiveJob>,
    /// A pod of it has not ended.
    pub pods: bool,
    /// A pod of it does not start: its name, and why.
    pub stuck: Option<(String, String)>,
    /// Rows and bytes so far, as the worker told last.
    pub progress: Option<(i64, i64)>,
}

impl Live {
    /// The Job of a work.
    #[must_use]
    pub fn job(&self, work: Work) -> Option<&LiveJob> {
        self.jobs.iter().find(|job| job.work == work)
    }

    /// Jobs that have not ended.
    pub fn unfinished(&self) -> impl Iterator<Item = &LiveJob> {
        self.jobs.iter().filter(|job| job.finished.is_none())
    }
}
