//! A store in one snapshot: opened, looked up, and walked level by level from the person's identities.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::dataset::{self, Dataset};
use super::fault::Fault;
use super::keys::KeySet;
use super::lookup;
use super::query::{self, Known};
use super::rows::{Cursor, Record};
use super::subject::Subject;
use crate::contract::export::{Activity, ExportStore, Right};
use crate::contract::{Problem, Reason};
use crate::worker::connection::StoreError;
use crate::worker::guard::Guard;
use crate::worker::progress::Progress;
use crate::worker::session::{Access, Session};

/// Datasets of one level that are walked at the same time, over the one connection.
const TOGETHER: usize = 16;

/// Rows are kept for all formats as long as they take less than this, for each store; else each format reads them again.
const CACHE_BYTES: usize = 2 << 20;

/// How long a statement may take, and how long to wait for a table that somebody else has locked as a whole.
const LIMITS_SQL: &str = "SELECT set_config('statement_timeout', $1, false), set_config('lock_timeout', '10s', false),
       set_config('idle_in_transaction_session_timeout', '10min', false)";

const BEGIN_SQL: &str = "START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";

const TIME_SQL: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8";

/// A store in one snapshot.
pub struct StoreSnapshot<'a> {
    /// As planned.
    pub planned: &'a ExportStore,
    /// Version of the server.
    pub server_version: String,
    /// Time of the snapshot, by the store's clock.
    pub collected_at: Timestamp,
    /// The datasets, in the order of the plan; none for those that do not say whose their rows are.
    pub datasets: Vec<Option<Dataset>>,
    /// What was found of each.
    pub walked: Vec<Walked>,
    keys: Vec<Vec<Arc<KeySet>>>,
    client: Client,
    cursors: AtomicUsize,
}

/// What was found of a dataset.
#[derive(Debug, Default)]
pub struct Walked {
    /// Rows of the person.
    pub rows: i64,
    /// The rows themselves, where they are few.
    pub kept: Option<Vec<Record>>,
}

impl<'a> StoreSnapshot<'a> {
    /// Opens the snapshot and looks the tables up.
    pub async fn open(
        planned: &'a ExportStore,
        access: &Access,
        right: Right,
        activities: &[Activity],
        longest: Duration,
        now: fn() -> Timestamp,
    ) -> Result<Self, Fault> {
        let named = |problem: Problem| Problem {
            field: format!("DataSource {}: {}", planned.name, problem.field),
            ..problem
        };
        let session = Session::open(&planned.store, access, now(), false)
            .await
            .map_err(named)?;
        let client = session.client;
        let stripped = |error: tokio_postgres::Error| Fault::store(&planned.name, &StoreError::of(&error));
        // Sent together and answered in order: one round trip. The first SELECT of the transaction takes the snapshot.
        let longest = longest.as_millis().to_string();
        let limits = [(&longest as &(dyn ToSql + Sync), Type::TEXT)];
        let (limited, begun, time, tables) = tokio::join!(
            client.query_typed(LIMITS_SQL, &limits),
            client.execute_typed(BEGIN_SQL, &[]),
            client.query_typed_one(TIME_SQL, &[]),
            lookup::tables(&client, planned)
        );
        limited.map_err(stripped)?;
        begun.map_err(stripped)?;
        let time: i64 = time.map_err(stripped)?.get(0);
        let collected_at = Timestamp::from_microsecond(time)
            .map_err(|_| Problem::new(Reason::ClockSkew, "postgres.host", "the store's time is out of range"))?;
        let datasets = dataset::resolve(planned, tables?, right, activities)?;
        Ok(Self {
            planned,
            server_version: session.server_version,
            collected_at,
            walked: datasets.iter().map(|_| Walked::default()).collect(),
            keys: datasets.iter().map(|_| Vec::new()).collect(),
            datasets,
            client,
            cursors: AtomicUsize::new(0),
        })
    }

    /// The connection, for pieces of long values.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Finds the person's rows, level by level: those of one level over the connection at once.
    pub async fn walk(&mut self, subject: &Subject, guard: &Guard, live: &Progress) -> Result<(), Fault> {
        let levels = self
            .datasets
            .iter()
            .flatten()
            .map(|dataset| dataset.level)
            .max()
            .unwrap_or(0);
        let mut room = CACHE_BYTES;
        for level in 0..=levels {
            let places: Vec<usize> = (0..self.datasets.len())
                .filter(|place| {
                    self.datasets[*place]
                        .as_ref()
                        .is_some_and(|dataset| dataset.level == level)
                })
                .collect();
            let share = room / places.len().max(1);
            let this = &*self;
            let found: Vec<(usize, Walked, Vec<KeySet>)> = stream::iter(places)
                .map(|place| async move {
                    let (walked, keys) = this.walk_one(place, subject, (guard, live), share).await?;
                    Ok::<_, Fault>((place, walked, keys))
                })
                .buffer_unordered(TOGETHER)
                .try_collect()
                .await?;
            for (place, walked, keys) in found {
                let kept = walked.kept.iter().flatten().map(Record::size).sum::<usize>();
                room = room.saturating_sub(kept);
                self.walked[place] = walked;
                self.keys[place] = keys.into_iter().map(Arc::new).collect();
            }
        }
        Ok(())
    }

    async fn walk_one(
        &self,
        place: usize,
        subject: &Subject,
        (guard, live): (&Guard, &Progress),
        room: usize,
    ) -> Result<(Walked, Vec<KeySet>), Fault> {
        let mut walked = Walked::default();
        let Some(dataset) = &self.datasets[place] else {
            return Ok((walked, Vec::new()));
        };
        let mut keys = dataset.key_sets();
        let data = dataset.left_out.is_none();
        let Some(mut cursor) = self.cursor(place, subject, data).await? else {
            walked.kept = Some(Vec::new());
            return Ok((walked, keys));
        };
        let mut kept = Vec::new();
        let mut size = 0;
        while let Some(found) = cursor.next().await.map_err(|error| self.fault(&error))? {
            walked.rows += 1;
            found.collect(dataset, &mut keys);
            if data {
                let record = cursor.record(&found);
                size += record.size();
                kept.push(record);
                if size > room {
                    // Too many to be kept: they are read again when they are written. Here only their keys count.
                    drop(kept);
                    return self.walk_keys(place, subject, (guard, live)).await;
                }
            }
            if walked.rows % 1000 == 0 {
                guard.stop().map_or(Ok(()), |reason| Err(Fault::stop(reason)))?;
            }
        }
        live.add_rows(u64::try_from(walked.rows).unwrap_or(0));
        walked.kept = Some(kept);
        Ok((walked, keys))
    }

    /// The number of rows and their keys, without what leaves the store.
    async fn walk_keys(
        &self,
        place: usize,
        subject: &Subject,
        (guard, live): (&Guard, &Progress),
    ) -> Result<(Walked, Vec<KeySet>), Fault> {
        let mut walked = Walked::default();
        let Some(dataset) = &self.datasets[place] else {
            return Ok((walked, Vec::new()));
        };
        let mut keys = dataset.key_sets();
        if keys.is_empty() {
            walked.rows = self.count(dataset, subject).await?;
            live.add_rows(u64::try_from(walked.rows).unwrap_or(0));
            return Ok((walked, keys));
        }
        if let Some(mut cursor) = self.cursor(place, subject, false).await? {
            while let Some(found) = cursor.next().await.map_err(|error| self.fault(&error))? {
                walked.rows += 1;
                live.add_rows(1);
                found.collect(dataset, &mut keys);
                if walked.rows % 1000 == 0 {
                    guard.stop().map_or(Ok(()), |reason| Err(Fault::stop(reason)))?;
                }
            }
        }
        Ok((walked, keys))
    }

    async fn count(&self, dataset: &Dataset, subject: &Subject) -> Result<i64, Fault> {
        let Some(query) = query::count(&self.known(subject), dataset) else {
            return Ok(0);
        };
        let row = self.client.query_typed_one(&query.sql, &query.values()).await;
        Ok(row.map_err(|error| self.fault(&StoreError::of(&error)))?.get(0))
    }

    const fn known<'b>(&'b self, subject: &'b Subject) -> Known<'b> {
        Known {
            subject,
            datasets: self.datasets.as_slice(),
            keys: self.keys.as_slice(),
        }
    }

    /// The rows of a dataset; `None` where no row can be the person's. `data`: with what leaves the store.
    pub async fn cursor(&self, place: usize, subject: &Subject, data: bool) -> Result<Option<Cursor<'_>>, Fault> {
        let Some(dataset) = &self.datasets[place] else {
            return Ok(None);
        };
        let Some(query) = query::rows(&self.known(subject), dataset, data) else {
            return Ok(None);
        };
        let number = self.cursors.fetch_add(1, Ordering::Relaxed);
        let cursor = Cursor::open(&self.client, dataset, &query, data, number).await;
        cursor.map(Some).map_err(|error| {
            let field = dataset::field(self.planned, &self.planned.datasets[place]);
            Fault::Problem(error.problem(&field))
        })
    }

    /// The rows of a dataset as they leave the store: those that were kept, or read again from the same snapshot.
    pub async fn records(&self, place: usize, subject: &Subject) -> Result<Records<'_>, Fault> {
        Ok(match &self.walked[place].kept {
            Some(kept) => Records::Kept(kept.iter()),
            None => match self.cursor(place, subject, true).await? {
                Some(cursor) => Records::Read(Box::new(cursor)),
                None => Records::Kept([].iter()),
            },
        })
    }

    /// An error of the store as a fault.
    #[must_use]
    pub fn fault(&self, error: &StoreError) -> Fault {
        Fault::store(&self.planned.name, error)
    }
}

/// Rows as they leave the store.
pub enum Records<'a> {
    /// Kept in memory.
    Kept(std::slice::Iter<'a, Record>),
    /// Read from the store.
    Read(Box<Cursor<'a>>),
}

impl<'a> Records<'a> {
    /// The next one.
    pub async fn next(&mut self) -> Result<Option<Cow<'a, Record>>, StoreError> {
        match self {
            Self::Kept(kept) => Ok(kept.next().map(Cow::Borrowed)),
            Self::Read(cursor) => {
                let found = cursor.next().await?;
                Ok(found.map(|found| Cow::Owned(cursor.record(&found))))
            }
        }
    }
}
