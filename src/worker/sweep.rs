//! Disposal in batches that move forward and never start again from the left: along an index where there is one, else
//! through the pages of the table. Every batch is one transaction, and its last statement has the whole predicate in it.

use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::anchor::Anchor;
use super::connection::StoreError;
use super::disposal;
use super::durable::Durable;
use super::guard::Guard;
use super::hash_key::HashKey;
use super::judge::Judge;
use super::pace::Pace;
use super::progress::Progress;
use super::session;
use super::sql::{Parameter, Sql};
use super::survey;
use super::two_step::Prepared;
use super::window::{Window, pages};
use crate::contract::{Action, Problem, Reason};

mod along_index;
mod beyond_newest;

/// Rows of the first batch along an index, and of the smallest on a busy machine.
const FIRST_ROWS: u64 = 500;
/// Rows of the largest batch along an index.
const LARGEST_ROWS: u64 = 20_000;
/// Pages of the first and smallest batch through the pages, and of the largest.
const FIRST_PAGES: u64 = 8;
const LARGEST_PAGES: u64 = 4096;

/// Deadlocks and the like are tried again so often.
const RETRIES: u32 = 5;

/// Windows in which rows were locked are tried again so often, at the end of the pass.
const LOCKED_ROUNDS: u32 = 3;
const LOCKED_REST: Duration = Duration::from_millis(400);
/// While locked rows are being found, one by one, nobody waits for them.
const SEARCH_LOCK_TIMEOUT: &str = "15ms";
const LOCK_TIMEOUT: &str = "100ms";
/// More locked rows than this are not looked for one by one: the next run tries them again.
const MOST_LOCKED: usize = 1000;
/// So often a sweep waits for a lock on the whole table to pass.
const TABLE_LOCK_ROUNDS: u32 = 20;

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

    /// The same of an error that is stripped already.
    pub fn of_stripped(error: &StoreError, judge: &Judge<'_>) -> Self {
        let problem = error.problem(&judge.field("dataset"));
        if error.lost {
            Self::Lost(problem)
        } else {
            Self::Problem(problem)
        }
    }
}

impl From<Problem> for Fault {
    /// Of an open session, what cannot be reached was lost.
    fn from(problem: Problem) -> Self {
        if problem.reason == Reason::Unreachable {
            Self::Lost(problem)
        } else {
            Self::Problem(problem)
        }
    }
}

/// A sweep of one rule.
pub struct Sweep<'a> {
    client: &'a Client,
    judge: &'a Judge<'a>,
    keys: &'a [HashKey],
    guard: &'a Guard,
    live: &'a Progress,
    /// Rows disposed of so far. It survives a fault.
    pub affected: i64,
    /// Rows of other tables that went with them.
    pub along: i64,
    /// Windows in which other sessions hold locks.
    pub locked: Vec<Window>,
    /// Rows had to stay that are in no window.
    pub rows_left: bool,
    /// Rows among the affected that would survive a crash of the server.
    pub durable: Durable,
    table_waits: u32,
    searching: bool,
    said: Instant,
}

/// A statement that disposes of the due rows in a window, whose ends are its last two parameters.
struct ByPage {
    statement: Prepared,
    sql: Sql,
    pace: Pace,
}

/// How a batch ended.
enum Batch {
    Done(Duration),
    /// Rows that others have locked are left in it.
    Part,
    TooLarge,
    /// Nothing was done; the same batch may be tried again.
    Again,
}

impl<'a> Sweep<'a> {
    /// A sweep that has done nothing yet, with the keys of the masks that pseudonymise.
    #[must_use]
    pub fn new(
        client: &'a Client,
        judge: &'a Judge<'a>,
        keys: &'a [HashKey],
        guard: &'a Guard,
        live: &'a Progress,
    ) -> Self {
        Self {
            client,
            judge,
            keys,
            guard,
            live,
            affected: 0,
            along: 0,
            locked: Vec::new(),
            rows_left: false,
            durable: Durable::default(),
            table_waits: 0,
            searching: false,
            said: Instant::now(),
        }
    }

    /// Disposes of every due row of the table: along the anchor's index, else page by page. One plan serves all batches.
    pub async fn run(&mut self, anchor: Option<&Anchor>) -> Result<(), Fault> {
        let judge = self.judge;
        let fault = |error: tokio_postgres::Error| Fault::of(&error, judge);
        session::keep_plans(self.client, true).await.map_err(fault)?;
        let swept = self.all_batches(anchor).await;
        let usual = session::keep_plans(self.client, false).await;
        swept.and(usual.map_err(fault))?;
        self.lock_timeout(false).await?;
        let durable = self.durable.wait(self.client, (self.affected, self.along)).await;
        durable.map_err(fault)
    }

    async fn all_batches(&mut self, anchor: Option<&Anchor>) -> Result<(), Fault> {
        if let Some(newest) = self.judge.newest()? {
            let swept = self.beyond_newest(&newest).await;
            let usual = survey::timeout(self.client, survey::USUAL_TIMEOUT).await;
            swept?;
            return usual.map_err(|error| Fault::of(&error, self.judge));
        }
        let mut pages = self.by_page(disposal::statement(self.judge)?).await?;
        if let Some(anchor) = anchor {
            self.along_index(anchor, &mut pages).await?;
        } else {
            let whole = survey::whole(self.client, self.judge).await?;
            self.windows(&mut pages, whole).await?;
        }
        for _ in 0..LOCKED_ROUNDS {
            if self.locked.is_empty() {
                break;
            }
            tokio::time::sleep(LOCKED_REST).await;
            for window in std::mem::take(&mut self.locked) {
                self.windows(&mut pages, window).await?;
            }
        }
        Ok(())
    }

    /// Completes a statement with a window of pages.
    async fn by_page(&self, mut sql: Sql) -> Result<ByPage, Fault> {
        sql.push(" AND t.ctid >= ");
        sql.bind_as(String::new(), "tid");
        sql.push(" AND t.ctid < ");
        sql.bind_as(String::new(), "tid");
        Ok(ByPage {
            statement: Prepared::new(self.client, self.judge, self.keys, &sql).await?,
            sql,
            pace: Pace::new(pages(FIRST_PAGES), pages(LARGEST_PAGES)),
        })
    }

    /// Runs the statement over a window. Where a part of it is locked, smaller parts find out which rows those are.
    async fn windows(&mut self, by: &mut ByPage, whole: Window) -> Result<(), Fault> {
        let mut rest = whole;
        let mut parts: Vec<Window> = Vec::new();
        loop {
            let part = parts.pop();
            let is_part = part.is_some();
            let window = match part {
                Some(part) => part,
                None if rest.is_empty() => return Ok(()),
                None => {
                    let window = rest.first(by.pace.size());
                    rest.from = window.to;
                    window
                }
            };
            let last = by.sql.parameters.len() - 1;
            by.sql.parameters[last - 1] = Parameter::Text(window.from.tid());
            by.sql.parameters[last] = Parameter::Text(window.to.tid());
            let smaller = window.parts();
            match self.batch(&by.statement, &by.sql, smaller.len() == 1).await? {
                // How fast a part went says nothing about a whole batch.
                Batch::Done(_) if is_part => {}
                Batch::Done(elapsed) => self.rest(by.pace.took(elapsed)).await,
                Batch::TooLarge if smaller.len() > 1 => {
                    by.pace.shrink(pages(FIRST_PAGES));
                    parts.extend(smaller.into_iter().rev());
                }
                Batch::TooLarge | Batch::Part => {
                    if self.locked.len() >= MOST_LOCKED {
                        let detail = format!("more than {MOST_LOCKED} rows are locked by other sessions");
                        return Err(Problem::new(Reason::RowsLocked, self.judge.field("dataset"), detail).into());
                    }
                    self.locked.push(window);
                }
                Batch::Again => parts.push(window),
            }
        }
    }

    /// One batch. What may pass by itself is tried again; what a smaller batch may avoid says so.
    async fn batch(&mut self, statement: &Prepared, sql: &Sql, smallest: bool) -> Result<Batch, Fault> {
        let values = sql.values();
        let parameters: Vec<_> = values.iter().map(|(value, _)| *value).collect();
        for attempt in 0.. {
            if let Some(reason) = self.guard.stop() {
                return Err(Fault::Stop(reason));
            }
            let began = Instant::now();
            let error = match statement.execute(self.client, &parameters).await {
                Ok(disposed) => {
                    let rows = disposed.rows;
                    let elapsed = began.elapsed();
                    self.affected = self.affected.saturating_add_unsigned(rows);
                    self.along = self.along.saturating_add_unsigned(disposed.along);
                    self.live.add_rows(rows);
                    self.say_progress();
                    let noted = self.durable.note(self.client, (self.affected, self.along)).await;
                    noted.map_err(|error| Fault::of(&error, self.judge))?;
                    return Ok(if disposed.left > 0 {
                        Batch::Part
                    } else {
                        Batch::Done(elapsed)
                    });
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
            return if error.is(&SqlState::LOCK_NOT_AVAILABLE) {
                self.locked_out(smallest).await
            } else if smaller {
                Ok(Batch::TooLarge)
            } else {
                Err(Fault::of_stripped(&error, self.judge))
            };
        }
        Ok(Batch::TooLarge)
    }

    /// A lock on the whole table is waited for; to locked rows the batch closes in.
    async fn locked_out(&mut self, smallest: bool) -> Result<Batch, Fault> {
        // In the middle of a search the answer would be the same as at its beginning and its end.
        let asks = smallest || !self.searching;
        if !(asks && survey::is_table_locked(self.client, self.judge).await?) {
            self.lock_timeout(true).await?;
            return Ok(Batch::TooLarge);
        }
        self.table_waits += 1;
        if self.table_waits > TABLE_LOCK_ROUNDS {
            let detail = "another session locks the whole table";
            return Err(Problem::new(Reason::RowsLocked, self.judge.field("dataset"), detail).into());
        }
        tokio::time::sleep(LOCKED_REST).await;
        Ok(Batch::Again)
    }

    async fn lock_timeout(&mut self, searching: bool) -> Result<(), Fault> {
        if self.searching != searching {
            let value = if searching { SEARCH_LOCK_TIMEOUT } else { LOCK_TIMEOUT };
            let set = session::set(self.client, "lock_timeout", value).await;
            set.map_err(|error| Fault::of(&error, self.judge))?;
            self.searching = searching;
        }
        Ok(())
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
