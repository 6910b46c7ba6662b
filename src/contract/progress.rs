//! How far a run is: counts that a worker tells on a port of its own while it is under way. They are for people who
//! wait; what counts in the end is the report.

use serde::{Deserialize, Serialize};

/// Port on which a worker tells its progress.
pub const PROGRESS_PORT: u16 = 8090;
/// Name of that port in the pod.
pub const PROGRESS_PORT_NAME: &str = "progress";
/// Path under which it does.
pub const PROGRESS_PATH: &str = "/progress";
/// An answer longer than this, in bytes, is not ours.
pub const LONGEST_PROGRESS: usize = 1024;

/// How far a run is.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LiveProgress {
    /// What the worker is doing.
    pub step: Step,
    /// Rows done so far.
    pub rows: i64,
    /// Rows that there are to do, once they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<i64>,
    /// Bytes written so far, where the run writes an archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
}

/// What a worker is doing.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Step {
    /// Opening the connection, also again after it was lost.
    #[default]
    Connecting,
    /// Counting what is due.
    Counting,
    /// Deleting, masking or setting rows.
    Disposing,
    /// Gathering rows into an archive.
    Collecting,
}

impl Step {
    /// The word in status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "Connecting",
            Self::Counting => "Counting",
            Self::Disposing => "Disposing",
            Self::Collecting => "Collecting",
        }
    }
}
