//! Rows of a person, so that memory does not grow with their number: as one stream where nothing else is asked meanwhile,
//! else a little at a time through a cursor of the snapshot; and long values piece by piece, so that memory does not grow
//! with their size.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::pin::Pin;

use futures::TryStreamExt as _;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row, RowStream};

use super::dataset::{Dataset, OutputColumn};
use super::keys::KeySet;
use super::query::{self, Layout, Query, Select};
use super::shape::Shape;
use super::wire::Raw;
use crate::worker::connection::StoreError;

/// Rows of the first fetch, before their size is known.
const FIRST_FETCH: usize = 32;
/// Bytes that later fetches aim at, and the most rows of one.
const FETCH_BYTES: usize = 512 << 10;
const LARGEST_FETCH: usize = 2000;

/// Characters and bytes of one piece of a long value.
const TEXT_PIECE: i32 = 128 << 10;
const FILE_PIECE: i32 = 512 << 10;

/// The first bytes of a file, by which its kind is told.
pub type FirstBytes = [u8; 16];

/// A value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    /// NULL.
    Null,
    /// It is about somebody else.
    OtherPerson,
    /// As it is written in the archive.
    Text(&'a str),
    /// Too long to be kept: its length in bytes.
    Long(u64),
    /// Bytes: how many, and the first of them.
    File(u64, FirstBytes),
}

impl fmt::Debug for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cell(..)")
    }
}

/// The same with texts that lie one behind the other in one place: a row takes no memory of its own for each value.
#[derive(Clone)]
enum Slot {
    Text(Range<usize>),
    Other(Cell<'static>),
}

/// A row.
#[derive(Clone, Default)]
pub struct Record {
    texts: String,
    slots: Vec<Slot>,
    /// Where the row is, for pieces of its long values.
    pub place: Option<Place>,
}

/// Where a row is within a snapshot.
#[derive(Clone, Copy)]
pub struct Place {
    block: u32,
    row: u16,
    /// Its partition, or 0.
    table: i64,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Record(..)")
    }
}

impl Record {
    /// Its values, in the order of the dataset's columns.
    pub fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        self.slots.iter().map(|slot| self.cell(slot))
    }

    fn cell(&self, slot: &Slot) -> Cell<'_> {
        match slot {
            Slot::Text(range) => Cell::Text(&self.texts[range.clone()]),
            Slot::Other(cell) => *cell,
        }
    }

    /// Roughly what it takes in memory.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.texts.len() + self.slots.len() * size_of::<Slot>() + size_of::<Self>()
    }

    /// Takes the values of a row that was found.
    fn fill(&mut self, found: &Found, dataset: &Dataset) -> Result<(), StoreError> {
        self.texts.clear();
        self.slots.clear();
        let layout = found.layout;
        self.place = layout.place.then(|| place(&found.row, layout.flags)).flatten();
        let mut at = layout.data_begin();
        let hides = dataset.paths.iter().any(|path| !path.hides.is_empty());
        for (place, column) in dataset.columns.iter().enumerate() {
            let begin = self.texts.len();
            let mut slot = self.slot(&found.row, &mut at, column, layout)?;
            if hides && found.is_about_another(dataset, place) && !matches!(slot, Slot::Other(Cell::Null)) {
                self.texts.truncate(begin);
                slot = Slot::Other(Cell::OtherPerson);
            }
            self.slots.push(slot);
        }
        Ok(())
    }

    fn slot(&mut self, row: &Row, at: &mut usize, column: &OutputColumn, layout: Layout) -> Result<Slot, StoreError> {
        let value: Option<Raw<'_>> = row.get(*at);
        *at += 1;
        let length: Option<i64> = if layout.lengths && column.can_be_long() {
            *at += 1;
            row.get(*at - 1)
        } else {
            None
        };
        Ok(match (value, length) {
            (Some(Raw(value)), _) if column.shape == Shape::Bytes => Slot::Other(file(value)),
            (Some(Raw(value)), _) => {
                let begin = self.texts.len();
                if !column.wire.write(&mut self.texts, value) {
                    return Err(not_understood(column));
                }
                Slot::Text(begin..self.texts.len())
            }
            (None, Some(length)) => Slot::Other(Cell::Long(length.try_into().unwrap_or_default())),
            (None, None) => Slot::Other(Cell::Null),
        })
    }
}

/// What came is no value of the column's type.
fn not_understood(column: &OutputColumn) -> StoreError {
    StoreError {
        // invalid_binary_representation
        code: Some("22P03".to_owned()),
        object: column.name.clone(),
        lost: false,
    }
}

/// Place of a row: the number of its block and that within it, and the table.
fn place(row: &Row, at: usize) -> Option<Place> {
    let Raw(raw) = row.get(at);
    let (block, within) = raw.split_at_checked(4)?;
    Some(Place {
        block: u32::from_be_bytes(block.try_into().ok()?),
        row: u16::from_be_bytes(within.try_into().ok()?),
        table: row.get::<_, Option<i64>>(at + 1).unwrap_or_default(),
    })
}

/// `17:89504e47`: the length, and the first bytes in hexadecimal.
fn file(value: &[u8]) -> Cell<'static> {
    let (length, digits) = std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.split_once(':'))
        .unwrap_or_default();
    let mut first = FirstBytes::default();
    let pairs = digits.as_bytes().chunks_exact(2);
    for (byte, pair) in first.iter_mut().zip(pairs) {
        *byte = std::str::from_utf8(pair)
            .ok()
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
            .unwrap_or_default();
    }
    Cell::File(length.parse().unwrap_or_default(), first)
}

/// The rows of a dataset.
pub struct Cursor<'a> {
    dataset: &'a Dataset,
    layout: Layout,
    source: Source<'a>,
    record: Record,
    ahead: Option<Row>,
}

enum Source<'a> {
    Fetched(Fetched<'a>),
    /// Gone at its end: it must not be asked again.
    Streamed(Option<Pin<Box<RowStream>>>),
}

/// A cursor of the store. Between two fetches something else may be asked.
struct Fetched<'a> {
    client: &'a Client,
    name: String,
    rows: VecDeque<Row>,
    next_fetch: usize,
    exhausted: bool,
}

impl<'a> Cursor<'a> {
    /// Opens a cursor and fetches the first rows, in one round trip. `number` is used once in a snapshot.
    pub async fn open(
        client: &'a Client,
        dataset: &'a Dataset,
        query: &Query,
        select: Select,
        number: usize,
    ) -> Result<Self, StoreError> {
        let name = format!("rows_{number}");
        let declare = format!("DECLARE {name} NO SCROLL CURSOR FOR {}", query.sql);
        let fetch = format!("FETCH {FIRST_FETCH} FROM {name}");
        let values = query.values();
        let (declared, fetched) =
            tokio::join!(client.execute_typed(&declare, &values), client.query_typed(&fetch, &[]));
        declared?;
        let mut source = Fetched {
            client,
            name,
            rows: VecDeque::new(),
            next_fetch: FIRST_FETCH,
            exhausted: false,
        };
        source.take(fetched?);
        Ok(Self::of(dataset, select, Source::Fetched(source)))
    }

    /// Opens a stream: the store sends on while rows are written. Until its end nothing else can be asked over the
    /// connection.
    pub async fn stream(
        client: &'a Client,
        dataset: &'a Dataset,
        query: &Query,
        select: Select,
    ) -> Result<Self, StoreError> {
        let rows = client.query_typed_raw(&query.sql, query.values()).await?;
        Ok(Self::of(dataset, select, Source::Streamed(Some(Box::pin(rows)))))
    }

    fn of(dataset: &'a Dataset, select: Select, source: Source<'a>) -> Self {
        Self {
            dataset,
            layout: Layout::of(dataset, select),
            source,
            record: Record::default(),
            ahead: None,
        }
    }

    /// Whether there is another row.
    pub async fn has_more(&mut self) -> Result<bool, StoreError> {
        if self.ahead.is_none() {
            self.ahead = self.next_row().await?;
        }
        Ok(self.ahead.is_some())
    }

    async fn next_row(&mut self) -> Result<Option<Row>, StoreError> {
        if let Some(row) = self.ahead.take() {
            return Ok(Some(row));
        }
        match &mut self.source {
            Source::Streamed(stream) => {
                let Some(rows) = stream else { return Ok(None) };
                let row = rows.try_next().await?;
                if row.is_none() {
                    *stream = None;
                }
                Ok(row)
            }
            Source::Fetched(rows) => rows.next().await,
        }
    }

    /// The next row, with which of the paths fit.
    pub async fn next(&mut self) -> Result<Option<Found>, StoreError> {
        let row = self.next_row().await?;
        Ok(row.map(|row| Found {
            fits: (0..self.layout.flags).map(|flag| row.get(flag)).collect(),
            row,
            layout: self.layout,
        }))
    }

    /// The row as it leaves the store.
    pub fn record(&mut self, found: &Found) -> Result<&Record, StoreError> {
        self.record.fill(found, self.dataset)?;
        Ok(&self.record)
    }
}

impl Fetched<'_> {
    fn take(&mut self, rows: Vec<Row>) {
        self.exhausted = rows.len() < self.next_fetch;
        let bytes: usize = rows.iter().map(Row::raw_size_bytes).sum();
        let one = bytes / rows.len().max(1) + 64;
        self.next_fetch = (FETCH_BYTES / one).clamp(1, LARGEST_FETCH);
        self.rows = rows.into();
    }

    async fn next(&mut self) -> Result<Option<Row>, StoreError> {
        if self.rows.is_empty() && !self.exhausted {
            let fetch = format!("FETCH {} FROM {}", self.next_fetch, self.name);
            let rows = self.client.query_typed(&fetch, &[]).await?;
            self.take(rows);
            if self.exhausted {
                self.client.execute_typed(&format!("CLOSE {}", self.name), &[]).await?;
            }
        }
        Ok(self.rows.pop_front())
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

impl Place {
    /// As the store writes it.
    fn text(self) -> String {
        format!("({},{})", self.block, self.row)
    }
}

/// Pieces of a long text.
pub struct TextPieces<'a> {
    client: &'a Client,
    sql: String,
    place: Place,
    next: i32,
    done: bool,
}

impl<'a> TextPieces<'a> {
    /// Of a column of a row.
    #[must_use]
    pub fn new(client: &'a Client, dataset: &Dataset, column: usize, place: Place) -> Self {
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
        let at = self.place.text();
        let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] = [
            (&at, Type::TEXT),
            (&self.place.table, Type::INT8),
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
    place: Place,
    next: i32,
    done: bool,
}

impl<'a> FilePieces<'a> {
    /// Of a column of a row.
    #[must_use]
    pub fn new(client: &'a Client, dataset: &Dataset, column: usize, place: Place) -> Self {
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
        let at = self.place.text();
        let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] = [
            (&at, Type::TEXT),
            (&self.place.table, Type::INT8),
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
