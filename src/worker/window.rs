//! Windows on a table: a range of tuple identifiers, as small as one tuple.

/// More than the tuples that the largest page, of 32 kB, can hold.
const SLOTS: u64 = 2048;

/// More than the tuples of an ordinary page of 8 kB.
const DENSE_SLOTS: u64 = 288;

/// A place between two tuples of the heap: page times [`SLOTS`] plus line pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u64);

impl Place {
    /// The beginning of a page.
    #[must_use]
    pub const fn page(page: u64) -> Self {
        Self(page * SLOTS)
    }

    /// The tuple identifier here, as the server reads one.
    #[must_use]
    pub fn tid(self) -> String {
        format!("({},{})", self.0 / SLOTS, self.0 % SLOTS)
    }

    /// The place of a tuple identifier that the server printed.
    #[must_use]
    pub fn of(tid: &str) -> Option<Self> {
        let (page, slot) = tid.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
        Some(Self(
            page.parse::<u64>().ok()? * SLOTS + slot.parse::<u64>().ok()?.min(SLOTS - 1),
        ))
    }

    /// The place just after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The tuples from `from` up to, but without, `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First place.
    pub from: Place,
    /// Place after the last.
    pub to: Place,
}

impl Window {
    /// The first part of it, of at most `size` places. Windows larger than a page end with a page.
    #[must_use]
    pub fn first(self, size: u64) -> Self {
        let end = self.from.0 + size.max(1);
        let end = if size >= SLOTS {
            end / SLOTS * SLOTS
        } else {
            end.min((self.from.0 / SLOTS + 1) * SLOTS)
        };
        Self {
            from: self.from,
            to: Place(end.max(self.from.0 + 1).min(self.to.0)),
        }
    }

    /// Its parts, first to last, in the search for a row that stops a batch: pages, then parts of a page, then a tuple.
    /// Hardly a page holds more than a few hundred rows: what is beyond is one part.
    #[must_use]
    pub fn parts(self) -> Vec<Self> {
        let size = self.size();
        let (step, dense) = match size {
            0..=4 => (1, u64::MAX),
            5..=32 => (4, u64::MAX),
            33..=SLOTS => (32, DENSE_SLOTS),
            _ => ((size / 8).div_ceil(SLOTS) * SLOTS, u64::MAX),
        };
        let mut parts = Vec::new();
        let mut rest = self;
        while !rest.is_empty() {
            let sparse = rest.from.0 % SLOTS >= dense;
            let part = rest.first(if sparse { SLOTS - 1 } else { step });
            rest.from = part.to;
            parts.push(part);
        }
        parts
    }

    /// Nothing in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.from >= self.to
    }

    /// How many places it has.
    #[must_use]
    pub const fn size(self) -> u64 {
        self.to.0.saturating_sub(self.from.0)
    }
}

/// Places of so many pages.
#[must_use]
pub const fn pages(pages: u64) -> u64 {
    pages * SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tuple_identifiers_are_written_and_read() {
        assert_eq!(Place::page(7).tid(), "(7,0)");
        assert_eq!(Place::of("(7,3)").unwrap().tid(), "(7,3)");
        assert_eq!(Place::of("(7,3)").unwrap().next().tid(), "(7,4)");
        assert_eq!(Place::of("7,3"), None);
    }

    proptest! {
        #[test]
        fn parts_cover_a_window_once_and_end_with_single_tuples(start in 0_u64..300_000, length in 1_u64..100_000) {
            let mut stack = vec![Window { from: Place(start), to: Place(start + length) }];
            let mut covered = start;
            while let Some(window) = stack.pop() {
                let parts = window.parts();
                if parts.len() == 1 {
                    prop_assert_eq!(parts[0], window);
                    prop_assert!(window.size() == 1 || window.from.0 % SLOTS >= DENSE_SLOTS);
                    prop_assert_eq!(window.from.0, covered);
                    covered = window.to.0;
                }
                if parts.len() > 1 {
                    stack.extend(parts.into_iter().rev());
                }
            }
            prop_assert_eq!(covered, start + length);
        }

        #[test]
        fn windows_of_any_size_cover_everything_once(start in 0_u64..3000, length in 0_u64..5000, sizes in proptest::collection::vec(0_u64..3000, 1..8)) {
            let mut rest = Window { from: Place(start), to: Place(start + length) };
            let mut covered = start;
            for round in 0.. {
                if rest.is_empty() { break; }
                let window = rest.first(sizes[round % sizes.len()]);
                prop_assert_eq!(window.from.0, covered);
                prop_assert!(window.to > window.from && window.to <= rest.to);
                covered = window.to.0;
                rest.from = window.to;
            }
            prop_assert_eq!(covered, start + length);
        }
    }
}
