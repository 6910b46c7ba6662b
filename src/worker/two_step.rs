//! A batch of a rule that looks at rows of other tables. In one statement it would not be safe: a related row that commits
//! after the statement's snapshot, and before the row is locked, is not seen. So the rows are locked first, and judged
//! again by a statement of its own, whose snapshot is younger than the locks (SEMANTICS 3.2).

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};

use super::disposal;
use super::judge::{Horizon, Judge};
use super::newest::Newest;
use super::sql::Sql;
use super::sweep::Fault;

/// A statement that disposes of due rows, ready to run.
pub struct Prepared {
    dispose: Statement,
    /// What comes before it, where it cannot stand alone.
    steps: Option<Steps>,
}

struct Steps {
    /// The due rows, without a lock.
    find: Find,
    /// Locks them, and leaves out those that others have locked.
    lock: Statement,
}

enum Find {
    /// By a statement.
    By(Statement),
    /// They are known.
    Given(Keys),
}

/// What a batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disposed {
    /// Rows disposed of.
    pub rows: u64,
    /// Due rows that other sessions had locked.
    pub left: usize,
}

impl Prepared {
    /// Prepares a statement of [`disposal::statement`], with whatever window follows its predicate.
    pub async fn new(client: &Client, judge: &Judge<'_>, sql: &Sql) -> Result<Self, Fault> {
        let fault = |error: Error| Fault::of(&error, judge);
        if !judge.looks_elsewhere() {
            let dispose = client.prepare(&sql.text).await.map_err(fault)?;
            return Ok(Self { dispose, steps: None });
        }
        let table = judge.table.name.quoted();
        let (place, among) = places(judge.table.partitioned);
        let head = disposal::head(judge)?;
        let predicate = &sql.text[head.text.len()..];
        // What the row would become is bound as well, and a parameter that is not mentioned has no type.
        let mentioned: Vec<String> = (1..=head.parameters.len())
            .map(|unused| format!(" AND (${unused}::text IS NULL) IS NOT NULL"))
            .collect();
        let find = format!(
            "SELECT {place} FROM {table} AS t WHERE {predicate}{}",
            mentioned.concat()
        );
        let lock = format!(
            "SELECT {place} FROM {table} AS t WHERE {} FOR UPDATE SKIP LOCKED",
            among(1)
        );
        let dispose = format!("{} AND {}", sql.text, among(sql.parameters.len() + 1));
        let find = Find::By(client.prepare(&find).await.map_err(fault)?);
        let lock = client.prepare(&lock).await.map_err(fault)?;
        Ok(Self {
            dispose: client.prepare(&dispose).await.map_err(fault)?,
            steps: Some(Steps { find, lock }),
        })
    }

    /// Prepares the disposal of rows whose places are known and given later. They are ranked once more when they are locked.
    pub async fn of_newest(client: &Client, judge: &Judge<'_>, newest: &Newest<'_>) -> Result<(Self, Sql), Fault> {
        let fault = |error: Error| Fault::of(&error, judge);
        let (place, among) = places(judge.table.partitioned);
        let mut sql = disposal::head(judge)?;
        judge.due_by_itself(&mut sql, Horizon::Due)?;
        judge.not_pointed_at(&mut sql)?;
        // The places are the last two parameters, and stand before others in the text.
        let mut ranked = Sql {
            text: String::new(),
            parameters: sql.parameters.clone(),
        };
        newest.is_still_beyond(&mut ranked, PLACES)?;
        sql.parameters = ranked.parameters;
        let among_these = among(sql.parameters.len() + 1);
        sql.push(&format!(" AND {among_these} AND "));
        sql.push(&ranked.text.replace(PLACES, &among_these));
        let table = judge.table.name.quoted();
        let lock = format!(
            "SELECT {place} FROM {table} AS t WHERE {} FOR UPDATE SKIP LOCKED",
            among(1)
        );
        let steps = Steps {
            find: Find::Given(Keys::default()),
            lock: client.prepare(&lock).await.map_err(fault)?,
        };
        let dispose = client.prepare(&sql.text).await.map_err(fault)?;
        let steps = Some(steps);
        Ok((Self { dispose, steps }, sql))
    }

    /// The rows of the next batch, where their places are known.
    pub fn give(&mut self, keys: Keys) {
        if let Some(steps) = &mut self.steps {
            steps.find = Find::Given(keys);
        }
    }

    /// Runs it: one statement in a transaction of its own, or the steps.
    pub async fn execute(&self, client: &Client, parameters: &[&(dyn ToSql + Sync)]) -> Result<Disposed, Error> {
        let Some(steps) = &self.steps else {
            let rows = client.execute(&self.dispose, parameters).await?;
            return Ok(Disposed { rows, left: 0 });
        };
        let by_statement;
        let found = match &steps.find {
            Find::Given(found) => found,
            Find::By(find) => {
                by_statement = keys(client, find, parameters).await?;
                &by_statement
            }
        };
        if found.0.is_empty() {
            return Ok(Disposed { rows: 0, left: 0 });
        }
        client.query_typed("BEGIN", &[]).await?;
        let done = self.locked(client, &steps.lock, found, parameters).await;
        let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = client.query_typed(end, &[]).await;
        let disposed = done?;
        ended.map(|_| disposed)
    }

    async fn locked(
        &self,
        client: &Client,
        lock: &Statement,
        found: &Keys,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Disposed, Error> {
        let locked = keys(client, lock, &[&found.0, &found.1]).await?;
        let mut parameters = parameters.to_vec();
        parameters.extend([&locked.0 as &(dyn ToSql + Sync), &locked.1]);
        let rows = client.execute(&self.dispose, &parameters).await?;
        let left = found.0.len().saturating_sub(locked.0.len());
        Ok(Disposed { rows, left })
    }
}

/// Where rows lie: tuple identifiers, and the partitions in which they are meant. While a row is locked it stays there.
pub type Keys = (Vec<String>, Vec<String>);

/// Stands for "its place is among the given" while it is not known yet which parameters these are. No identifier or
/// literal can hold it.
const PLACES: &str = "\0";

/// The places of a statement's rows.
pub async fn keys(client: &Client, statement: &Statement, parameters: &[&(dyn ToSql + Sync)]) -> Result<Keys, Error> {
    let rows = client.query(statement, parameters).await?;
    Ok(rows
        .iter()
        .map(|row| (row.get::<_, String>(0), row.get::<_, String>(1)))
        .unzip())
}

/// The place of a row, as columns `place` and `part`.
#[must_use]
pub const fn named_place(partitioned: bool) -> &'static str {
    if partitioned {
        "t.ctid::text AS place, t.tableoid::int8::text AS part"
    } else {
        "t.ctid::text AS place, '' AS part"
    }
}

/// The place of a row as two texts, and "its place is among those bound from this parameter on".
fn places(partitioned: bool) -> (&'static str, impl Fn(usize) -> String) {
    let place = if partitioned {
        "t.ctid::text, t.tableoid::int8::text"
    } else {
        "t.ctid::text, ''"
    };
    let among = move |first: usize| {
        let tids = format!("${first}::text[]::tid[]");
        let second = first + 1;
        if partitioned {
            format!(
                "t.ctid = ANY ({tids}) AND (t.tableoid::int8, t.ctid) IN (SELECT p, c FROM unnest(${second}::text[]::int8[], {tids}) AS u (p, c))"
            )
        } else {
            format!("t.ctid = ANY ({tids}) AND ${second}::text[] IS NOT NULL")
        }
    };
    (place, among)
}
