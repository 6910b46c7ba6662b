//! What ends a run early: the stop ConfigMap, the active deadline, and the request to terminate. Looked at before every
//! batch.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::contract::Reason;

/// Left for the last batch, the ledger and the report before Kubernetes ends the pod.
const MARGIN: Duration = Duration::from_secs(20);

/// Watches over a run.
#[derive(Debug, Clone)]
pub struct Guard {
    stop_directory: PathBuf,
    deadline: Instant,
    terminated: Arc<AtomicBool>,
}

impl Guard {
    /// Watches the directory of the stop ConfigMap from now on, for at most `active` long.
    #[must_use]
    pub fn new(stop_directory: PathBuf, active: Duration) -> Self {
        // A deadline too short for a margin still gets half of its time.
        let usable = active.saturating_sub(MARGIN).max(active / 2);
        Self {
            stop_directory,
            deadline: Instant::now() + usable,
            terminated: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Notes a request to terminate.
    pub fn terminate(&self) {
        self.terminated.store(true, Ordering::Relaxed);
    }

    /// Why the run must end now, if it must.
    #[must_use]
    pub fn stop(&self) -> Option<Reason> {
        if self.stopped_by_hand() {
            Some(Reason::StoppedByHand)
        } else if self.terminated.load(Ordering::Relaxed) {
            Some(Reason::Interrupted)
        } else if Instant::now() >= self.deadline {
            Some(Reason::DeadlineReached)
        } else {
            None
        }
    }

    /// A key of the ConfigMap is a file; the kubelet's own entries begin with dots.
    fn stopped_by_hand(&self) -> bool {
        let Ok(entries) = std::fs::read_dir(&self.stop_directory) else {
            return false;
        };
        entries
            .flatten()
            .any(|entry| !entry.file_name().to_string_lossy().starts_with(".."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_the_stop_directory_stops_and_the_kubelets_own_entries_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let guard = Guard::new(directory.path().to_owned(), Duration::from_mins(1));
        std::fs::create_dir(directory.path().join("..data")).unwrap();
        assert_eq!(guard.stop(), None);
        std::fs::write(directory.path().join("reason"), "because").unwrap();
        assert_eq!(guard.stop(), Some(Reason::StoppedByHand));
    }

    #[test]
    fn a_request_to_terminate_and_the_deadline_end_a_run() {
        let guard = Guard::new("/nonexistent".into(), Duration::from_mins(1));
        assert_eq!(guard.stop(), None);
        guard.terminate();
        assert_eq!(guard.stop(), Some(Reason::Interrupted));
        assert_eq!(
            Guard::new("/nonexistent".into(), Duration::ZERO).stop(),
            Some(Reason::DeadlineReached)
        );
    }
}
