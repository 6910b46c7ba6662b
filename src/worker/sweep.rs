//! Disposal in batches that move forward and never start again from the left: along an index where there is one, else
//! through the pages of the table. Every batch is one statement and one transaction with the whole predicate in it.

use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Statement};

use super::connection::StoreError;
use super::disposal;
use super::guard::Guard;
use super::judge::{Anchor, Judge, row};
use super::pace::Pace;
use super::sql::{Parameter, Sql};
use super::survey;
use super::window::{Place, Window, pages};
use crate::contract::{Action, Problem, Reason};

/// Rows of the first batch along an index.
const FIRST_ROWS: u64 = 200;
/// Rows of the largest batch along an index.
const LARGEST_ROWS: u64 = 20_000;
/// Pages of the first batch through the pages, and of the largest.
const FIRST_PAGES: u64 = 16;
const LARGEST_PAGES: u64 = 4096;

/// Deadlocks and the like are tried again so often.
const RETRIES: u32 = 5;

/// Windows in which rows were locked are tried again so often, at the end of the pass.
const LOCKED_ROUNDS: u32 = 3;
const LOCKED_REST: Duration = Duration::from_millis(400);

/// How often a long sweep says how far it is.
const PROGRESS: Duration = Duration::from_secs(10);

/// Why a sweep did not come to its end.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The connection is gone; whether the last batch was committed is unknown.
    Lost(Problem),
    /// The rule cannot go on.
    Problem(Problem),
    /// The run must end now.
    Stop(Reason),
}

impl Fault {
    /// Strips an error of a statement of this rule.
    pub fn of(error: &tokio_postgres::Error, judge: &Judge<'_>) -> Self {
        Self::of_stripped(&StoreError::of(error), judge)
    }

    fn of_stripped(error: &StoreError, judge: &Judge<'_>) -> Self {
        let problem = error.problem(&judge.field("dataset"));
        if error.lost {
            Self::Lost(problem)
        } else {
            Self::Problem(problem)
        }
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// A sweep of one rule.
pub struct Sweep<'a> {
    client: &'a Client,
    judge: &'a Judge<'a>,
    guard: &'a Guard,
    /// Rows disposed of so far. It survives a fault.
    pub affected: i64,
    /// Windows in which other sessions hold locks.
    pub locked: Vec<Window>,
    said: Instant,
}

/// How a batch ended.
enum Batch {
    Done(Duration),
    TooLarge,
}

impl<'a> Sweep<'a> {
    /// A sweep that has done nothing yet.
    #[must_use]
    pub fn new(client: &'a Client, judge: &'a Judge<'a>, guard: &'a Guard) -> Self {
        Self {
            client,
            judge,
            guard,
            affected: 0,
            locked: Vec::new(),
            said: Instant::now(),
        }
    }

    /// Disposes of every due row of the table, page by page.
    pub async fn through_pages(&mut self) -> Result<(), Fault> {
        let mut sql = disposal::statement(self.judge)?;
        sql.push(" AND t.ctid >= ");
        sql.bind_as(String::new(), "tid");
        sql.push(" AND t.ctid < ");
        sql.bind_as(String::new(), "tid");
        let statement = self.prepare(&sql).await?;
        let mut pace = Pace::new(pages(FIRST_PAGES), pages(LARGEST_PAGES));
        let whole = survey::whole(self.client, self.judge).await?;
        self.windows(&mut sql, &statement, &mut pace, whole).await?;
        for _ in 0..LOCKED_ROUNDS {
            if self.locked.is_empty() {
                break;
            }
            tokio::time::sleep(LOCKED_REST).await;
            for window in std::mem::take(&mut self.locked) {
                self.windows(&mut sql, &statement, &mut pace, window).await?;
            }
        }
        Ok(())
    }

    /// Runs the statement over a window, whose ends are its last two parameters.
    async fn windows(
        &mut self,
        sql: &mut Sql,
        statement: &Statement,
        pace: &mut Pace,
        whole: Window,
    ) -> Result<(), Fault> {
        let mut rest = whole;
        while !rest.is_empty() {
            let window = rest.first(pace.size());
            let last = sql.parameters.len() - 1;
            sql.parameters[last - 1] = Parameter::Text(window.from.tid());
            sql.parameters[last] = Parameter::Text(window.to.tid());
            match self.batch(statement, sql).await? {
                Batch::Done(elapsed) => {
                    rest.from = window.to;
                    self.rest(pace.took(elapsed)).await;
                }
                Batch::TooLarge => {
                    // A smaller window finds out which row it is, down to the tuple.
                    while pace.size() > window.size() && pace.halve() {}
                    if !pace.halve() {
                        self.locked.push(window);
                        rest.from = window.to;
                    }
                }
            }
        }
        Ok(())
    }

    /// Disposes of every due row along an index. `lo` only ever grows within a run; every run begins at the left end, so
    /// that rows which arrive late with an old start are not missed.
    pub async fn along_index(&mut self, anchor: &Anchor) -> Result<(), Fault> {
        let cast = self.judge.column(&anchor.column, "")?.cast.clone();
        let column = row(&anchor.column);
        let table = self.judge.table.name.quoted();
        let mut sql = disposal::statement(self.judge)?;
        sql.push(&format!(" AND {column} > "));
        sql.bind_as(String::new(), &cast);
        sql.push(&format!(" AND {column} <= "));
        sql.bind_as(String::new(), &cast);
        let statement = self.prepare(&sql).await?;
        let probe = format!(
            "WITH s AS (SELECT {column} AS v FROM {table} AS t WHERE {column} > $1::{cast} AND {column} <= $2::{cast} \
             ORDER BY {column} LIMIT $3) \
             SELECT min(v)::text, max(v)::text, count(*), (SELECT max(v)::text FROM s WHERE v < (SELECT max(v) FROM s)) FROM s"
        );
        let probe = self
            .client
            .prepare_typed(&probe, &[Type::TEXT, Type::TEXT, Type::INT8])
            .await
            .map_err(|error| Fault::of(&error, self.judge))?;

        let mut pace = Pace::new(FIRST_ROWS, LARGEST_ROWS);
        let mut lo = "-infinity".to_owned();
        loop {
            let rows = i64::try_from(pace.size()).unwrap_or(i64::MAX);
            let found = self
                .client
                .query_one(&probe, &[&lo, &anchor.last, &rows])
                .await
                .map_err(|error| Fault::of(&error, self.judge))?;
            let (first, last): (Option<String>, Option<String>) = (found.get(0), found.get(1));
            let (Some(first), Some(last)) = (first, last) else {
                return Ok(());
            };
            let everything = found.get::<_, i64>(2) < rows;
            let hi = match found.get::<_, Option<String>>(3) {
                _ if everything => last,
                // The last value may have more rows than were looked at: it begins the next batch.
                Some(before) => before,
                None => {
                    self.ties(anchor, &cast, &first).await?;
                    lo = first;
                    pace = Pace::new(FIRST_ROWS, LARGEST_ROWS);
                    continue;
                }
            };
            let end = sql.parameters.len() - 1;
            sql.parameters[end - 1] = Parameter::Text(lo.clone());
            sql.parameters[end] = Parameter::Text(hi.clone());
            match self.batch(&statement, &sql).await? {
                Batch::Done(elapsed) => {
                    lo = hi;
                    if everything {
                        return Ok(());
                    }
                    self.rest(pace.took(elapsed)).await;
                }
                // At a batch of one row, the probe above finds a tie group, whose tuples are tried one by one.
                Batch::TooLarge if everything && first == hi => {
                    self.ties(anchor, &cast, &hi).await?;
                    lo = hi;
                }
                Batch::TooLarge => {
                    pace.halve();
                }
            }
        }
    }

    /// Rows of one start event that do not fit into a batch: by tuple identifiers, from the first to the last of them.
    async fn ties(&mut self, anchor: &Anchor, cast: &str, value: &str) -> Result<(), Fault> {
        let column = row(&anchor.column);
        let range = format!(
            "SELECT min(t.ctid)::text, max(t.ctid)::text FROM {} AS t WHERE {column} = $1::{cast}",
            self.judge.table.name.quoted()
        );
        let found = self
            .client
            .query_typed_one(&range, &[(&value, Type::TEXT)])
            .await
            .map_err(|error| Fault::of(&error, self.judge))?;
        let tuple = |index: usize| found.get::<_, Option<String>>(index).and_then(|tid| Place::of(&tid));
        let (Some(from), Some(last)) = (tuple(0), tuple(1)) else {
            return Ok(());
        };
        let mut sql = disposal::statement(self.judge)?;
        sql.push(&format!(" AND {column} = "));
        sql.bind_as(value, cast);
        sql.push(" AND t.ctid >= ");
        sql.bind_as(String::new(), "tid");
        sql.push(" AND t.ctid < ");
        sql.bind_as(String::new(), "tid");
        let statement = self.prepare(&sql).await?;
        let mut pace = Pace::new(pages(FIRST_PAGES), pages(LARGEST_PAGES));
        let whole = Window { from, to: last.next() };
        self.windows(&mut sql, &statement, &mut pace, whole).await
    }

    async fn prepare(&self, sql: &Sql) -> Result<Statement, Fault> {
        let types: Vec<Type> = sql.values().into_iter().map(|(_, kind)| kind).collect();
        self.client
            .prepare_typed(&sql.text, &types)
            .await
            .map_err(|error| Fault::of(&error, self.judge))
    }

    /// One batch. What may pass by itself is tried again; what a smaller batch may avoid says so.
    async fn batch(&mut self, statement: &Statement, sql: &Sql) -> Result<Batch, Fault> {
        let values = sql.values();
        let parameters: Vec<_> = values.iter().map(|(value, _)| *value).collect();
        for attempt in 0.. {
            if let Some(reason) = self.guard.stop() {
                return Err(Fault::Stop(reason));
            }
            let began = Instant::now();
            let error = match self.client.execute(statement, &parameters).await {
                Ok(rows) => {
                    self.affected = self.affected.saturating_add_unsigned(rows);
                    self.say_progress();
                    return Ok(Batch::Done(began.elapsed()));
                }
                Err(error) => StoreError::of(&error),
            };
            let waits = error.is(&SqlState::T_R_DEADLOCK_DETECTED) || error.is(&SqlState::T_R_SERIALIZATION_FAILURE);
            if waits && attempt < RETRIES {
                tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
                continue;
            }
            // A row that began to point here after the statement looked makes the server refuse the whole batch. A mask
            // or set that breaks a foreign key would break it for every row.
            let pointed_at = self.judge.rule.action == Action::Delete && error.is(&SqlState::FOREIGN_KEY_VIOLATION);
            let smaller =
                waits || pointed_at || error.is(&SqlState::LOCK_NOT_AVAILABLE) || error.is(&SqlState::QUERY_CANCELED);
            return if smaller {
                Ok(Batch::TooLarge)
            } else {
                Err(Fault::of_stripped(&error, self.judge))
            };
        }
        Ok(Batch::TooLarge)
    }

    async fn rest(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn say_progress(&mut self) {
        if self.said.elapsed() >= PROGRESS {
            self.said = Instant::now();
            tracing::info!(rule = self.judge.rule.name, affected = self.affected, "sweeping");
        }
    }
}
