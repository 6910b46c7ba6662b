//! A batch of a rule that looks at rows of other tables. In one statement it would not be safe: a related row that commits
//! after the statement's snapshot, and before the row is locked, is not seen. So the rows are locked first, and judged
//! again by a statement of its own, whose snapshot is younger than the locks (SEMANTICS 3.2). Rows that go with them are locked
//! before that as well, and go in the same transaction. Values that become pseudonyms are read and written under the same locks.

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};

use super::cascade::Cascade;
use super::disposal;
use super::hash_key::HashKey;
use super::judge::{Horizon, Judge};
use super::newest::Newest;
use super::pseudonymise::{Pseudonymise, asked_of_place};
use super::sql::{Parameter, Sql};
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
    /// What goes with them.
    along: Option<Along>,
    /// What is written is computed from what they hold.
    pseudonymise: Option<Pseudonymise>,
}

enum Find {
    /// By a statement.
    By(Statement),
    /// They are known.
    Given(Keys),
}

/// The steps of a cascade. Of the rows in question the first two parameters of each are the places.
struct Along {
    lock_dependents: Vec<Statement>,
    lock_parents: Vec<Statement>,
    /// Which of the locked rows may go with all that hangs on them.
    judge: Statement,
    delete_dependents: Vec<(Statement, Vec<Parameter>)>,
    delete: Statement,
    delete_parents: Vec<(Statement, Vec<Parameter>)>,
}

/// What a batch did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disposed {
    /// Rows disposed of.
    pub rows: u64,
    /// Rows of other tables that went with them.
    pub along: u64,
    /// Due rows that other sessions had locked.
    pub left: usize,
}

impl Prepared {
    /// Prepares a statement of [`disposal::statement`], with whatever window follows its predicate.
    pub async fn new(client: &Client, judge: &Judge<'_>, keys: &[HashKey], sql: &Sql) -> Result<Self, Fault> {
        let fault = |error: Error| Fault::of(&error, judge);
        if !judge.locks_first() {
            let dispose = client.prepare(&sql.text).await.map_err(fault)?;
            return Ok(Self { dispose, steps: None });
        }
        let table = judge.table.name.quoted();
        let place = place(judge.table.partitioned);
        let head = disposal::head(judge)?;
        let predicate = &sql.text[head.text.len()..];
        let mentioned = disposal::mentioned(&head);
        let find = format!("SELECT {place} FROM {table} AS t WHERE {predicate}{mentioned}");
        let find = Find::By(client.prepare(&find).await.map_err(fault)?);
        Self::with_steps(client, judge, keys, find, sql).await
    }

    /// Prepares the disposal of rows whose places are known and given later. They are ranked once more when they are locked.
    pub async fn of_newest(
        client: &Client,
        judge: &Judge<'_>,
        keys: &[HashKey],
        newest: &Newest<'_>,
    ) -> Result<(Self, Sql), Fault> {
        let mut sql = disposal::head(judge)?;
        judge.due_by_itself(&mut sql, Horizon::Due)?;
        judge.not_pointed_at(&mut sql)?;
        // The places are the last two parameters, and stand before others in the text.
        let mut ranked = Sql {
            parameters: sql.parameters.clone(),
            ..Sql::default()
        };
        newest.is_still_beyond(&mut ranked, PLACES)?;
        sql.parameters = ranked.parameters;
        let among = among("t", judge.table.partitioned, sql.parameters.len() + 1);
        sql.push(&format!(" AND {}", ranked.text.replace(PLACES, &among)));
        let prepared = Self::with_steps(client, judge, keys, Find::Given(Keys::default()), &sql).await?;
        Ok((prepared, sql))
    }

    /// Disposes of rows by their places, which are two more parameters of the statement.
    async fn with_steps(
        client: &Client,
        judge: &Judge<'_>,
        keys: &[HashKey],
        find: Find,
        sql: &Sql,
    ) -> Result<Self, Fault> {
        let fault = |error: Error| Fault::of(&error, judge);
        let table = judge.table.name.quoted();
        let place = place(judge.table.partitioned);
        let given = among("t", judge.table.partitioned, 1);
        let lock = format!("SELECT {place} FROM {table} AS t WHERE {given} FOR UPDATE SKIP LOCKED");
        let lock = client.prepare(&lock).await.map_err(fault)?;
        let places = sql.parameters.len() + 1;
        let among = among("t", judge.table.partitioned, places);
        let (head, due) = sql.text.split_at(disposal::head(judge)?.text.len());
        let predicate = format!("{due} AND {among}");
        let pseudonymise = Pseudonymise::new(client, judge, keys, &predicate).await?;
        let dispose = match &pseudonymise {
            None => format!("{head}{predicate}"),
            // It has its places from what was computed.
            Some(_) => format!("{head}{} AND {}", asked_of_place(judge, due), mentioned(places)),
        };
        let cascade = judge.cascade()?;
        let cascaded = if cascade.is_empty() {
            None
        } else {
            let judged = format!("SELECT {place} FROM {table} AS t WHERE {predicate}");
            Some(Along::new(client, judge, &cascade, &judged).await?)
        };
        Ok(Self {
            dispose: client.prepare(&dispose).await.map_err(fault)?,
            steps: Some(Steps {
                find,
                lock,
                along: cascaded,
                pseudonymise,
            }),
        })
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
            return Ok(Disposed {
                rows,
                ..Disposed::default()
            });
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
            return Ok(Disposed::default());
        }
        client.query_typed("BEGIN", &[]).await?;
        let done = self.locked(client, steps, found, parameters).await;
        let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = client.query_typed(end, &[]).await;
        let disposed = done?;
        ended.map(|_| disposed)
    }

    async fn locked(
        &self,
        client: &Client,
        steps: &Steps,
        found: &Keys,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Disposed, Error> {
        let locked = keys(client, &steps.lock, &[&found.0, &found.1]).await?;
        let left = found.0.len().saturating_sub(locked.0.len());
        if let Some(pseudonymise) = &steps.pseudonymise {
            let rows = pseudonymise.execute(client, &self.dispose, &locked, parameters).await?;
            return Ok(Disposed { rows, along: 0, left });
        }
        let mut parameters = parameters.to_vec();
        parameters.extend([&locked.0 as &(dyn ToSql + Sync), &locked.1]);
        if let Some(along) = &steps.along {
            let disposed = along.execute(client, &locked, &parameters).await?;
            return Ok(Disposed { left, ..disposed });
        }
        let rows = client.execute(&self.dispose, &parameters).await?;
        Ok(Disposed { rows, along: 0, left })
    }
}

impl Along {
    async fn new(client: &Client, judge: &Judge<'_>, cascade: &Cascade<'_>, judged: &str) -> Result<Self, Fault> {
        let fault = |error: Error| Fault::of(&error, judge);
        let root = |alias: &str| among(alias, judge.table.partitioned, 1);
        let mut steps = Self {
            lock_dependents: Vec::new(),
            lock_parents: Vec::new(),
            judge: client.prepare(judged).await.map_err(fault)?,
            delete_dependents: Vec::new(),
            delete: client
                .prepare(&format!(
                    "DELETE FROM {} AS t WHERE {}",
                    judge.table.name.quoted(),
                    root("t")
                ))
                .await
                .map_err(fault)?,
            delete_parents: Vec::new(),
        };
        for index in 0..cascade.dependents.len() {
            let sql = cascade.lock_dependents(index, &root("c0"));
            steps.lock_dependents.push(client.prepare(&sql).await.map_err(fault)?);
        }
        for index in cascade.order()? {
            let sql = cascade.delete_dependents(index, &root("c0"))?;
            let statement = client.prepare(&sql.text).await.map_err(fault)?;
            steps.delete_dependents.push((statement, sql.parameters));
        }
        for (index, parent) in cascade.parents.iter().enumerate() {
            let partitioned = parent.judge.table.partitioned;
            let sql = cascade.lock_parents(index, place(partitioned), &root("c0"));
            steps.lock_parents.push(client.prepare(&sql).await.map_err(fault)?);
            let sql = cascade.delete_parents(index, &among("t", partitioned, 1))?;
            let statement = client.prepare(&sql.text).await.map_err(fault)?;
            steps.delete_parents.push((statement, sql.parameters));
        }
        Ok(steps)
    }

    /// Everything is locked before anything is judged, so that what is judged stays as it is.
    async fn execute(
        &self,
        client: &Client,
        locked: &Keys,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Disposed, Error> {
        for lock in &self.lock_dependents {
            client.query(lock, &[&locked.0, &locked.1]).await?;
        }
        let mut parents = Vec::with_capacity(self.lock_parents.len());
        for lock in &self.lock_parents {
            parents.push(keys(client, lock, &[&locked.0, &locked.1]).await?);
        }
        let going = keys(client, &self.judge, parameters).await?;
        let mut along = 0;
        for (delete, values) in &self.delete_dependents {
            along += at(client, delete, &going, values).await?;
        }
        let rows = at(client, &self.delete, &going, &[]).await?;
        for ((delete, values), parents) in self.delete_parents.iter().zip(&parents) {
            along += at(client, delete, parents, values).await?;
        }
        Ok(Disposed { rows, along, left: 0 })
    }
}

/// Runs a statement about rows at these places; the values begin with two that stand for the places.
async fn at(client: &Client, statement: &Statement, places: &Keys, values: &[Parameter]) -> Result<u64, Error> {
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&places.0, &places.1];
    parameters.extend(values.iter().skip(2).map(|value| value as &(dyn ToSql + Sync)));
    client.execute(statement, &parameters).await
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

/// The place of a row as two texts.
#[must_use]
pub const fn place(partitioned: bool) -> &'static str {
    if partitioned {
        "t.ctid::text, t.tableoid::int8::text"
    } else {
        "t.ctid::text, ''"
    }
}

/// Mentions the places bound from this parameter on, without asking anything of a row.
fn mentioned(first: usize) -> String {
    format!("${first}::text[] IS NOT NULL AND ${}::text[] IS NOT NULL", first + 1)
}

/// The place of a row is among those bound from this parameter on.
fn among(alias: &str, partitioned: bool, first: usize) -> String {
    let tids = format!("${first}::text[]::tid[]");
    let second = first + 1;
    if partitioned {
        format!(
            "{alias}.ctid = ANY ({tids}) AND ({alias}.tableoid::int8, {alias}.ctid) IN (SELECT p, c FROM unnest(${second}::text[]::int8[], {tids}) AS u (p, c))"
        )
    } else {
        format!("{alias}.ctid = ANY ({tids}) AND ${second}::text[] IS NOT NULL")
    }
}
