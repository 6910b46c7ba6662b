//! Sets of keys that rows of other tables point at, kept small: texts in one buffer each column, bound as arrays without
//! another copy.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type};

/// Beyond this a set is not collected, and the rows are found by a join in the store instead.
const MOST_KEYS: usize = 50_000;
const MOST_BYTES: usize = 4 << 20;

/// Keys of one or several columns, sorted and each once. Its values are never shown.
#[derive(Clone, Default)]
pub struct KeySet {
    /// One text after the other: the columns of the first key, then those of the second.
    text: Vec<u8>,
    /// Where each text begins and ends.
    spans: Vec<(u32, u32)>,
    width: usize,
    /// Too many to be collected.
    overflown: bool,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({} keys)", self.len())
    }
}

impl KeySet {
    /// An empty set of keys of so many columns.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self {
            width: width.max(1),
            ..Self::default()
        }
    }

    /// Adds a key. Beyond the largest size everything is forgotten.
    pub fn push(&mut self, key: &[&str]) {
        if self.overflown {
            return;
        }
        if self.len() >= MOST_KEYS || self.text.len() >= MOST_BYTES {
            (self.text, self.spans, self.overflown) = (Vec::new(), Vec::new(), true);
            return;
        }
        for part in key {
            let begin = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
            self.text.extend_from_slice(part.as_bytes());
            self.spans
                .push((begin, u32::try_from(self.text.len()).unwrap_or(u32::MAX)));
        }
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len() / self.width.max(1)
    }

    /// Whether there were too many.
    #[must_use]
    pub const fn is_overflown(&self) -> bool {
        self.overflown
    }

    fn part(&self, key: usize, column: usize) -> &[u8] {
        let (begin, end) = self.spans[key * self.width + column];
        &self.text[begin as usize..end as usize]
    }

    /// The keys of which every column fits, sorted and each once.
    #[must_use]
    pub fn select(self: &Arc<Self>, fits: impl Fn(usize, &str) -> bool) -> Selection {
        let mut keys: Vec<usize> = (0..self.len())
            .filter(|key| {
                (0..self.width)
                    .all(|column| std::str::from_utf8(self.part(*key, column)).is_ok_and(|text| fits(column, text)))
            })
            .collect();
        let order = |one: &usize, other: &usize| {
            let parts = (0..self.width).map(|column| self.part(*one, column).cmp(self.part(*other, column)));
            parts
                .into_iter()
                .find(|order| order.is_ne())
                .unwrap_or(std::cmp::Ordering::Equal)
        };
        keys.sort_unstable_by(order);
        keys.dedup_by(|one, other| order(one, other).is_eq());
        Selection {
            set: Arc::clone(self),
            keys: keys.into(),
        }
    }
}

/// Some keys of a set.
#[derive(Debug, Clone)]
pub struct Selection {
    set: Arc<KeySet>,
    keys: Arc<[usize]>,
}

impl Selection {
    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// One column of the keys, as a value to bind to `text[]`.
    #[must_use]
    pub fn column(&self, column: usize) -> KeyColumn {
        KeyColumn {
            keys: self.clone(),
            column,
        }
    }
}

/// One column of some keys. Binds as `text[]`.
#[derive(Debug, Clone)]
pub struct KeyColumn {
    keys: Selection,
    column: usize,
}

impl ToSql for KeyColumn {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        // One dimension, no NULL, elements of type text, from index 1.
        out.put_i32(1);
        out.put_i32(0);
        out.put_u32(Type::TEXT.oid());
        out.put_i32(i32::try_from(self.keys.keys.len())?);
        out.put_i32(1);
        for key in self.keys.keys.iter() {
            let part = self.keys.set.part(*key, self.column);
            out.put_i32(i32::try_from(part.len())?);
            out.put_slice(part);
        }
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TEXT_ARRAY
    }

    tokio_postgres::types::to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_each_is_there_once() {
        let mut set = KeySet::new(2);
        for key in [["b", "1"], ["a", "2"], ["b", "1"], ["ab", ""], ["a", "b"]] {
            set.push(&key);
        }
        let set = Arc::new(set);
        let selection = set.select(|_, _| true);
        let texts: Vec<(&[u8], &[u8])> = selection
            .keys
            .iter()
            .map(|key| (set.part(*key, 0), set.part(*key, 1)))
            .collect();
        assert_eq!(
            texts,
            [(&b"a"[..], &b"2"[..]), (b"a", b"b"), (b"ab", b""), (b"b", b"1")]
        );
        assert_eq!(set.select(|column, text| column == 0 || text == "1").keys.len(), 1);
        assert_eq!(format!("{selection:?}").matches("ab").count(), 0);
    }

    #[test]
    fn a_set_that_grows_too_large_forgets_all_and_says_so() {
        let mut set = KeySet::new(1);
        for number in 0..=MOST_KEYS {
            set.push(&[&number.to_string()]);
        }
        assert!(set.is_overflown());
        assert_eq!(set.len(), 0);
    }
}
