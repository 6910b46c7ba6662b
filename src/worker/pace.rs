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
    /// On a machine that is busy with other things every batch is slow, and a smaller one not faster.
    smallest: u64,
    largest: u64,
}

impl Pace {
    /// Begins with batches of `smallest`, and never makes them larger than `largest`.
    #[must_use]
    pub const fn new(smallest: u64, largest: u64) -> Self {
        Self {
            size: smallest,
            smallest,
            largest,
        }
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
        self.size = if self.size < self.smallest {
            (self.size * 2).min(self.smallest)
        } else {
            ((self.size as f64 * factor).ceil() as u64).clamp(self.smallest, self.largest)
        };
        elapsed.mul_f64(REST).min(LONGEST_REST)
    }

    /// A batch of this size ran into a lock or a time limit: the next one is at most so large.
    pub const fn shrink(&mut self, size: u64) {
        self.size = if size == 0 { 1 } else { size };
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
    fn a_busy_machine_makes_no_batch_smaller_than_the_smallest() {
        let mut pace = Pace::new(100, 1000);
        pace.took(Duration::from_secs(1));
        assert_eq!(pace.size(), 100);
    }

    #[test]
    fn after_a_lock_batches_grow_again_from_one_row() {
        let mut pace = Pace::new(5, 10);
        pace.shrink(0);
        assert_eq!(pace.size(), 1);
        pace.took(Duration::from_secs(1));
        pace.took(Duration::from_secs(1));
        pace.took(Duration::from_secs(1));
        assert_eq!(pace.size(), 5);
    }
}
