//! How large a batch is and how long to rest after it: by the latency that the store shows, not by a fixed rate.

use std::time::Duration;

/// A batch should take this long: short enough that nobody waits noticeably for its locks.
const TARGET: Duration = Duration::from_millis(12);

/// The store rests for this part of the time that a batch took.
const REST: f64 = 0.5;

/// Longest rest after one batch.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Sizes batches.
#[derive(Debug, Clone)]
pub struct Pace {
    size: u64,
    largest: u64,
}

impl Pace {
    /// Begins with batches of `size`, and never makes them larger than `largest`.
    #[must_use]
    pub const fn new(size: u64, largest: u64) -> Self {
        Self { size, largest }
    }

    /// Size of the next batch.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// A batch took so long: sizes the next one, and tells how long to rest.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a batch size is far below 2^52, and the product is positive"
    )]
    pub fn took(&mut self, elapsed: Duration) -> Duration {
        let factor = (TARGET.as_secs_f64() / elapsed.as_secs_f64().max(1e-6)).clamp(0.5, 2.0);
        self.size = ((self.size as f64 * factor).ceil() as u64).clamp(1, self.largest);
        elapsed.mul_f64(REST).min(LONGEST_REST)
    }

    /// A batch ran into a lock or a time limit: halves the next one. False: it cannot be made smaller.
    pub const fn halve(&mut self) -> bool {
        let can = self.size > 1;
        self.size = if can { self.size / 2 } else { 1 };
        can
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_while_the_store_is_fast_and_shrink_when_it_is_slow() {
        let mut pace = Pace::new(100, 1000);
        for _ in 0..10 {
            pace.took(Duration::from_millis(1));
        }
        assert_eq!(pace.size(), 1000);
        assert_eq!(pace.took(Duration::from_millis(100)), Duration::from_millis(50));
        assert_eq!(pace.size(), 500);
        assert_eq!(pace.took(Duration::from_mins(1)), LONGEST_REST);
    }

    #[test]
    fn halving_ends_at_one() {
        let mut pace = Pace::new(5, 10);
        assert!(pace.halve() && pace.halve());
        assert_eq!(pace.size(), 1);
        assert!(!pace.halve());
    }
}
