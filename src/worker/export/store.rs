//! A store in one snapshot: opened, looked up, and walked level by level from the person's identities.

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
use super::query::{self, Known, Query, Select};
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
    /// Whether a value may have to be fetched piece by piece.
    pub long: bool,
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
        let select = if data { Select::Data } else { Select::Keys };
        let Some(mut cursor) = self.cursor(place, subject, select).await? else {
            walked.kept = Some(Vec::new());
            return Ok((walked, keys));
        };
        let mut kept = Vec::new();
        let mut size = 0;
        while let Some(found) = cursor.next().await.map_err(|error| self.fault(&error))? {
            walked.rows += 1;
            found.collect(dataset, &mut keys);
            if data {
                let record = cursor.record(&found).map_err(|error| self.fault(&error))?;
                size += record.size();
                kept.push(record.clone());
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

    /// The number of rows, whether one is long, and their keys, without what leaves the store.
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
        (walked.rows, walked.long) = self.count(dataset, subject).await?;
        live.add_rows(u64::try_from(walked.rows).unwrap_or(0));
        if keys.is_empty() {
            return Ok((walked, keys));
        }
        let mut seen = 0_u64;
        if let Some(mut cursor) = self.cursor(place, subject, Select::Keys).await? {
            while let Some(found) = cursor.next().await.map_err(|error| self.fault(&error))? {
                seen += 1;
                found.collect(dataset, &mut keys);
                if seen.is_multiple_of(1000) {
                    guard.stop().map_or(Ok(()), |reason| Err(Fault::stop(reason)))?;
                }
            }
        }
        Ok((walked, keys))
    }

    async fn count(&self, dataset: &Dataset, subject: &Subject) -> Result<(i64, bool), Fault> {
        let Some(query) = query::count(&self.known(subject), dataset) else {
            return Ok((0, false));
        };
        let row = self.client.query_typed_one(&query.sql, &query.values()).await;
        let row = row.map_err(|error| self.fault(&StoreError::of(&error)))?;
        Ok((row.get(0), row.get(1)))
    }

    const fn known<'b>(&'b self, subject: &'b Subject) -> Known<'b> {
        Known {
            subject,
            datasets: self.datasets.as_slice(),
            keys: self.keys.as_slice(),
        }
    }

    /// The rows of a dataset, a little at a time; `None` where no row can be the person's.
    pub async fn cursor(&self, place: usize, subject: &Subject, select: Select) -> Result<Option<Cursor<'_>>, Fault> {
        let Some((dataset, query)) = self.query(place, subject, select) else {
            return Ok(None);
        };
        let number = self.cursors.fetch_add(1, Ordering::Relaxed);
        let cursor = Cursor::open(&self.client, dataset, &query, select, number).await;
        cursor.map(Some).map_err(|error| self.fault_of(place, &error))
    }

    /// The same as one stream.
    async fn stream(&self, place: usize, subject: &Subject) -> Result<Option<Cursor<'_>>, Fault> {
        let Some((dataset, query)) = self.query(place, subject, Select::ShortData) else {
            return Ok(None);
        };
        let cursor = Cursor::stream(&self.client, dataset, &query, Select::ShortData).await;
        cursor.map(Some).map_err(|error| self.fault_of(place, &error))
    }

    fn query(&self, place: usize, subject: &Subject, select: Select) -> Option<(&Dataset, Query)> {
        let dataset = self.datasets[place].as_ref()?;
        Some((dataset, query::rows(&self.known(subject), dataset, select)?))
    }

    fn fault_of(&self, place: usize, error: &StoreError) -> Fault {
        let field = dataset::field(self.planned, &self.planned.datasets[place]);
        Fault::Problem(error.problem(&field))
    }

    /// The rows of a dataset as they leave the store: those that were kept, or read again from the same snapshot.
    /// `pieces`: values will be fetched piece by piece meanwhile, whatever their length.
    pub async fn records(&self, place: usize, subject: &Subject, pieces: bool) -> Result<Records<'_>, Fault> {
        let walked = &self.walked[place];
        if let Some(kept) = &walked.kept {
            return Ok(Records::Kept(kept.iter()));
        }
        let cursor = if pieces || walked.long {
            self.cursor(place, subject, Select::Data).await?
        } else {
            self.stream(place, subject).await?
        };
        Ok(match cursor {
            Some(cursor) => Records::Read(Box::new(cursor)),
            None => Records::Kept([].iter()),
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

impl Records<'_> {
    /// The next one.
    pub async fn next(&mut self) -> Result<Option<&Record>, StoreError> {
        match self {
            Self::Kept(kept) => Ok(kept.next()),
            Self::Read(cursor) => match cursor.next().await? {
                Some(found) => cursor.record(&found).map(Some),
                None => Ok(None),
            },
        }
    }

    /// Whether there is another one.
    pub async fn has_more(&mut self) -> Result<bool, StoreError> {
        match self {
            Self::Kept(kept) => Ok(kept.len() > 0),
            Self::Read(cursor) => cursor.has_more().await,
        }
    }
}
