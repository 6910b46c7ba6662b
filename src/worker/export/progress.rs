//! How far an export has come: rows and bytes, and nothing else.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts that another task may read at any time.
#[derive(Debug, Default)]
pub struct Counts {
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Counts {
    /// Notes rows that were written.
    pub fn written(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Notes how many bytes were delivered so far.
    pub fn delivered(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Rows and bytes so far.
    #[must_use]
    pub fn so_far(&self) -> (u64, u64) {
        (self.rows.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}
