//! Rows of a person, fetched a little at a time through a cursor of the snapshot, so that memory does not grow with
//! their number; and long values piece by piece, so that it does not grow with their size.

use std::collections::VecDeque;
use std::fmt;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::dataset::{Dataset, OutputColumn};
use super::keys::KeySet;
use super::query::{self, Layout, Query};
use super::shape::Shape;
use crate::worker::connection::StoreError;

/// Rows of the first fetch, before their size is known.
const FIRST_FETCH: usize = 32;
/// Bytes that later fetches aim at, and the most rows of one.
const FETCH_BYTES: usize = 512 << 10;
const LARGEST_FETCH: usize = 2000;

/// Characters and bytes of one piece of a long value.
const TEXT_PIECE: i32 = 128 << 10;
const FILE_PIECE: i32 = 1 << 20;

/// A value.
#[derive(Clone, PartialEq, Eq)]
pub enum Cell {
    /// NULL.
    Null,
    /// It is about somebody else.
    OtherPerson,
    /// As the store writes it.
    Text(Box<str>),
    /// Too long to be kept: its length in bytes.
    Long(u64),
    /// Bytes: how many, and the first of them.
    File(u64, Box<[u8]>),
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cell(..)")
    }
}

/// A row.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its values, in the order of the dataset's columns.
    pub cells: Vec<Cell>,
    /// Where the row is, for pieces of its long values.
    pub place: Option<(String, i64)>,
}

impl Record {
    /// Roughly what it takes in memory.
    #[must_use]
    pub fn size(&self) -> usize {
        let cells = self.cells.iter().map(|cell| match cell {
            Cell::Text(text) => text.len() + 40,
            _ => 40,
        });
        cells.sum::<usize>() + 80
    }
}

/// A cursor of the store over the rows of a dataset.
pub struct Cursor<'a> {
    client: &'a Client,
    dataset: &'a Dataset,
    name: String,
    layout: Layout,
    data: bool,
    fetched: VecDeque<Row>,
    next_fetch: usize,
    exhausted: bool,
}

impl<'a> Cursor<'a> {
    /// Opens a cursor and fetches the first rows, in one round trip. `number` is used once in a snapshot.
    pub async fn open(
        client: &'a Client,
        dataset: &'a Dataset,
        query: &Query,
        data: bool,
        number: usize,
    ) -> Result<Self, StoreError> {
        let name = format!("rows_{number}");
        let declare = format!("DECLARE {name} NO SCROLL CURSOR FOR {}", query.sql);
        let fetch = format!("FETCH {FIRST_FETCH} FROM {name}");
        let values = query.values();
        let (declared, fetched) =
            tokio::join!(client.execute_typed(&declare, &values), client.query_typed(&fetch, &[]));
        declared?;
        let mut cursor = Self {
            client,
            dataset,
            name,
            layout: Layout::of(dataset, data),
            data,
            fetched: VecDeque::new(),
            next_fetch: FIRST_FETCH,
            exhausted: false,
        };
        cursor.take(fetched?);
        Ok(cursor)
    }

    fn take(&mut self, rows: Vec<Row>) {
        self.exhausted = rows.len() < self.next_fetch;
        let bytes: usize = rows.iter().map(Row::raw_size_bytes).sum();
        let one = bytes / rows.len().max(1) + 64;
        self.next_fetch = (FETCH_BYTES / one).clamp(1, LARGEST_FETCH);
        self.fetched = rows.into();
    }

    /// The next row, with which of the paths fit.
    pub async fn next(&mut self) -> Result<Option<Found>, StoreError> {
        if self.fetched.is_empty() && !self.exhausted {
            let fetch = format!("FETCH {} FROM {}", self.next_fetch, self.name);
            let rows = self.client.query_typed(&fetch, &[]).await?;
            self.take(rows);
            if self.exhausted {
                self.client.execute_typed(&format!("CLOSE {}", self.name), &[]).await?;
            }
        }
        let Some(row) = self.fetched.pop_front() else {
            return Ok(None);
        };
        let found = Found {
            fits: (0..self.layout.flags).map(|flag| row.get(flag)).collect(),
            row,
            layout: self.layout,
        };
        Ok(Some(found))
    }

    /// The row as it leaves the store.
    #[must_use]
    pub fn record(&self, found: &Found) -> Record {
        debug_assert!(self.data, "the query selects what leaves the store");
        let place = self.layout.place.then(|| {
            let at = self.layout.flags;
            (found.row.get(at), found.row.get(at + 1))
        });
        let mut at = self.layout.data_begin();
        let mut cells = Vec::with_capacity(self.dataset.columns.len());
        for (column, output) in self.dataset.columns.iter().enumerate() {
            let cell = cell(&found.row, &mut at, output);
            let hidden = found.is_about_another(self.dataset, column) && cell != Cell::Null;
            cells.push(if hidden { Cell::OtherPerson } else { cell });
        }
        Record { cells, place }
    }
}

/// A row of the result.
pub struct Found {
    row: Row,
    /// For each path, whether it fits; empty where there is only one.
    fits: Vec<bool>,
    layout: Layout,
}

impl Found {
    fn fits(&self, path: usize) -> bool {
        self.fits.get(path).copied().unwrap_or(true)
    }

    /// Whether each way in which the row is the person's says that the column is about somebody else.
    fn is_about_another(&self, dataset: &Dataset, column: usize) -> bool {
        let mut fitting = (0..dataset.paths.len()).filter(|path| self.fits(*path)).peekable();
        fitting.peek().is_some() && fitting.all(|path| dataset.paths[path].hides.contains(&column))
    }

    /// Adds the keys that other datasets want of this row.
    pub fn collect(&self, dataset: &Dataset, keys: &mut [KeySet]) {
        let mut at = self.layout.keys_begin();
        for (wanted, set) in dataset.wanted.iter().zip(keys) {
            let begin = at;
            at += wanted.columns.len();
            let by_this_identity =
                (0..dataset.paths.len()).any(|path| self.fits(path) && dataset.paths[path].identity == wanted.identity);
            let key: Option<Vec<&str>> = (begin..at)
                .map(|column| self.row.get::<_, Option<&str>>(column))
                .collect();
            if let Some(key) = key.filter(|_| by_this_identity) {
                set.push(&key);
            }
        }
    }
}

fn cell(row: &Row, at: &mut usize, column: &OutputColumn) -> Cell {
    let text: Option<&str> = row.get(*at);
    *at += 1;
    let length: Option<i64> = if column.shape.can_be_long() {
        *at += 1;
        row.get(*at - 1)
    } else {
        None
    };
    match (text, length) {
        (Some(text), _) if column.shape == Shape::Bytes => {
            let (length, first) = text.split_once(':').unwrap_or(("0", ""));
            Cell::File(length.parse().unwrap_or_default(), from_hex(first))
        }
        (Some(text), _) => Cell::Text(text.into()),
        (None, Some(length)) => Cell::Long(length.try_into().unwrap_or_default()),
        (None, None) => Cell::Null,
    }
}

fn from_hex(text: &str) -> Box<[u8]> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| digit.to_le_bytes()[0])
        .collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Pieces of a long text.
pub struct TextPieces<'a> {
    client: &'a Client,
    sql: String,
    place: &'a (String, i64),
    next: i32,
    done: bool,
}

impl<'a> TextPieces<'a> {
    /// Of a column of a row.
    #[must_use]
    pub fn new(client: &'a Client, dataset: &Dataset, column: usize, place: &'a (String, i64)) -> Self {
        Self {
            client,
            sql: query::piece_of_text(dataset, column),
            place,
            next: 1,
            done: false,
        }
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<String>, StoreError> {
        if self.done {
            return Ok(None);
        }
        let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] = [
            (&self.place.0, Type::TEXT),
            (&self.place.1, Type::INT8),
            (&self.next, Type::INT4),
            (&TEXT_PIECE, Type::INT4),
        ];
        let row = self.client.query_typed_one(&self.sql, &values).await?;
        let piece: String = row.get(0);
        let characters = i32::try_from(piece.chars().count()).unwrap_or(i32::MAX);
        self.done = characters < TEXT_PIECE;
        self.next = self.next.saturating_add(characters);
        Ok((!piece.is_empty()).then_some(piece))
    }
}

/// Pieces of a file.
pub struct FilePieces<'a> {
    client: &'a Client,
    sql: String,
    place: &'a (String, i64),
    next: i32,
    done: bool,
}

impl<'a> FilePieces<'a> {
    /// Of a column of a row.
    #[must_use]
    pub fn new(client: &'a Client, dataset: &Dataset, column: usize, place: &'a (String, i64)) -> Self {
        Self {
            client,
            sql: query::piece_of_file(dataset, column),
            place,
            next: 1,
            done: false,
        }
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Row>, StoreError> {
        if self.done {
            return Ok(None);
        }
        let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] = [
            (&self.place.0, Type::TEXT),
            (&self.place.1, Type::INT8),
            (&self.next, Type::INT4),
            (&FILE_PIECE, Type::INT4),
        ];
        let row = self.client.query_typed_one(&self.sql, &values).await?;
        let length = i32::try_from(row.get::<_, &[u8]>(0).len()).unwrap_or(i32::MAX);
        self.done = length < FILE_PIECE;
        self.next = self.next.saturating_add(length);
        Ok((length > 0).then_some(row))
    }
}
