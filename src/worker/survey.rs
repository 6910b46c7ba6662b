//! Counting: what is due, what is overdue and what is kept for want of certainty. It writes nothing.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::anchor::Anchor;
use super::guard::Guard;
use super::judge::{Horizon, Judge, row};
use super::marks::Walk;
use super::session;
use super::sql::{Parameter, Sql};
use super::sweep::Fault;
use super::time_column::TimeColumn;
use super::window::{Place, Window, pages};
use crate::contract::{Problem, RuleReport};

/// One counting statement should take this long.
const TARGET: Duration = Duration::from_millis(150);

/// Longest time for a count along an index, which cannot be cut into windows.
pub const COUNT_TIMEOUT: &str = "10min";

/// The longest time of any other statement, as the session begins with.
pub const USUAL_TIMEOUT: &str = "5s";

/// What was counted of one rule.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// Rows of the table, where all were looked at.
    pub total: Option<i64>,
    /// The counts of the report.
    pub report: RuleReport,
    /// Start event of the oldest row that the rule is about.
    pub oldest: Option<Timestamp>,
    /// The same among rows that are not due: the oldest that a completed deletion leaves.
    pub oldest_kept: Option<Timestamp>,
}

/// The whole of a table: as many pages as its largest part has now. Rows that are added later are too young to be due.
pub async fn whole(client: &Client, judge: &Judge<'_>) -> Result<Window, Fault> {
    let sql = "SELECT (coalesce(max(pg_relation_size(relid)), 0) / current_setting('block_size')::int8)::int8
                 FROM (SELECT relid FROM pg_partition_tree($1::int8::oid::regclass) WHERE isleaf UNION SELECT $1::int8::oid::regclass) f";
    let row = client
        .query_typed_one(sql, &[(&judge.table.oid, Type::INT8)])
        .await
        .map_err(|error| Fault::of(&error, judge))?;
    Ok(Window {
        from: Place::page(0),
        to: Place::page(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0)),
    })
}

/// Whether another session locks the table or a partition against writes, or waits to. Asked without taking a lock.
pub async fn is_table_locked(client: &Client, judge: &Judge<'_>) -> Result<bool, Fault> {
    let sql = "WITH RECURSIVE family AS (SELECT $1::int8::oid AS oid
                 UNION SELECT i.inhrelid FROM family JOIN pg_inherits i ON i.inhparent = family.oid)
               SELECT EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'relation' AND l.pid <> pg_backend_pid()
                  AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
                  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                  AND l.relation IN (SELECT oid FROM family))";
    let row = client
        .query_typed_one(sql, &[(&judge.table.oid, Type::INT8)])
        .await
        .map_err(|error| Fault::of(&error, judge))?;
    Ok(row.get(0))
}

/// Counts everything, in one pass over the pages of the table.
pub async fn all(client: &Client, judge: &Judge<'_>, guard: &Guard) -> Result<Counts, Fault> {
    let mut sql = counting_statement(judge)?;
    sql.push(&format!(" FROM {} AS t WHERE t.ctid >= ", judge.table.name.quoted()));
    let window_at = sql.parameters.len();
    sql.bind_as(String::new(), "tid");
    sql.push(" AND t.ctid < ");
    sql.bind_as(String::new(), "tid");
    let oldest_column = judge.oldest()?;

    let mut counts = Counts {
        total: Some(0),
        ..Counts::default()
    };
    let mut size = pages(256);
    let mut rest = whole(client, judge).await?;
    while !rest.is_empty() {
        if let Some(reason) = guard.stop() {
            return Err(Fault::Stop(reason));
        }
        let window = rest.first(size);
        sql.parameters[window_at] = Parameter::Text(window.from.tid());
        sql.parameters[window_at + 1] = Parameter::Text(window.to.tid());
        let began = Instant::now();
        let row = match client.query_typed_one(&sql.text, &sql.values()).await {
            Ok(row) => row,
            // Far more to read than the windows before had.
            Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) && window.size() > pages(1) => {
                size = (window.size() / 8).max(pages(1));
                continue;
            }
            Err(error) => return Err(Fault::of(&error, judge)),
        };
        add(&mut counts, &row, oldest_column.as_ref());
        let elapsed = began.elapsed();
        size = if elapsed > TARGET {
            (size / 2).max(pages(1))
        } else {
            (size * 2).min(pages(65_536))
        };
        rest.from = window.to;
        tokio::time::sleep(elapsed / 5).await;
    }
    finish(&mut counts, judge);
    Ok(counts)
}

/// Counts everything by one statement of ten columns, which [`add`] reads.
pub async fn at_once(client: &Client, judge: &Judge<'_>, sql: &Sql) -> Result<Counts, Fault> {
    let fault = |error: tokio_postgres::Error| Fault::of(&error, judge);
    timeout(client, COUNT_TIMEOUT).await.map_err(fault)?;
    let row = client.query_typed_one(&sql.text, &sql.values()).await;
    timeout(client, USUAL_TIMEOUT).await.map_err(fault)?;
    let mut counts = Counts {
        total: Some(0),
        ..Counts::default()
    };
    add(&mut counts, &row.map_err(fault)?, judge.oldest()?.as_ref());
    finish(&mut counts, judge);
    Ok(counts)
}

/// How many rows of other tables would go with the due ones.
pub async fn cascaded(client: &Client, judge: &Judge<'_>) -> Result<i64, Fault> {
    let fault = |error: tokio_postgres::Error| Fault::of(&error, judge);
    timeout(client, COUNT_TIMEOUT).await.map_err(fault)?;
    let mut rows = 0;
    for sql in judge.cascade()?.counting_statements()? {
        let row = client.query_typed_one(&sql.text, &sql.values()).await.map_err(fault)?;
        rows += row.get::<_, i64>(0);
    }
    timeout(client, USUAL_TIMEOUT).await.map_err(fault)?;
    Ok(rows)
}

/// Counts along the index of the only ground: due rows lie before the anchor's last value, and NULLs, infinities and
/// starts in the future at the ends of the index.
pub async fn along_index(
    client: &Client,
    judge: &Judge<'_>,
    anchor: &mut Anchor,
    guard: &Guard,
) -> Result<Counts, Fault> {
    let column = row(&anchor.column);
    let table = judge.table.name.quoted();
    let cast = &judge.column(&anchor.column, "")?.cast;
    let fault = |error: tokio_postgres::Error| Fault::of(&error, judge);

    let mut odd = Sql::new("SELECT count(*) FILTER (WHERE ");
    judge.without_start_event(&mut odd)?;
    odd.push("), count(*) FILTER (WHERE ");
    judge.undetermined(&mut odd)?;
    odd.push(&format!(
        ") FROM {table} AS t WHERE {column} IS NULL OR {column} = '-infinity' OR {column} > "
    ));
    odd.bind_as(
        judge.time(judge.rule, &anchor.column, "")?.least_after(judge.clock.now),
        cast,
    );

    let mut oldest = Sql::new(&format!(
        "SELECT min({column})::text FROM {table} AS t WHERE {column} > '-infinity' AND "
    ));
    judge.covered(&mut oldest)?;

    let mut younger = Sql::new(&format!(
        "SELECT min({column})::text FROM {table} AS t WHERE {column} > "
    ));
    younger.bind_as(anchor.last.clone(), cast);
    younger.push(" AND ");
    judge.covered(&mut younger)?;

    timeout(client, COUNT_TIMEOUT).await.map_err(fault)?;
    let found = match judge.range(anchor)? {
        Some(range) => walk(client, judge, anchor, guard, range).await?,
        None => in_range(client, judge, anchor, cast).await?,
    };
    let odd = client.query_typed_one(&odd.text, &odd.values()).await.map_err(fault)?;
    let oldest = client
        .query_typed_one(&oldest.text, &oldest.values())
        .await
        .map_err(fault)?;
    let younger = client
        .query_typed_one(&younger.text, &younger.values())
        .await
        .map_err(fault)?;
    timeout(client, USUAL_TIMEOUT).await.map_err(fault)?;
    let mut counts = Counts {
        total: None,
        report: RuleReport {
            due: found.due,
            overdue: found.overdue,
            without_start_event: odd.get(0),
            undetermined: odd.get(1),
            ..RuleReport::default()
        },
        oldest: start(judge, &oldest, 0),
        oldest_kept: earlier(found.oldest_kept, start(judge, &younger, 0)),
    };
    if !judge.goes_alone() {
        counts.report.kept_by_dependent = kept_by_dependent(client, judge, anchor, cast).await? - counts.report.due;
    }
    finish(&mut counts, judge);
    Ok(counts)
}

/// What lies in the anchor's range.
struct InRange {
    due: i64,
    overdue: i64,
    oldest_kept: Option<Timestamp>,
}

/// Every row of the range is due.
async fn walk(
    client: &Client,
    judge: &Judge<'_>,
    anchor: &mut Anchor,
    guard: &Guard,
    (late, last): (Option<String>, String),
) -> Result<InRange, Fault> {
    let fault = |error: tokio_postgres::Error| Fault::of(&error, judge);
    session::keep_plans(client, true).await.map_err(fault)?;
    let mut walk = Walk::new(client, judge, anchor, guard).await?;
    let overdue = match late {
        Some(late) => walk.to(&late).await?,
        None => 0,
    };
    let due = overdue + walk.to(&last).await?;
    session::keep_plans(client, false).await.map_err(fault)?;
    anchor.marks = walk.marks;
    Ok(InRange {
        due,
        overdue,
        oldest_kept: None,
    })
}

/// Every row of the range is asked.
async fn in_range(client: &Client, judge: &Judge<'_>, anchor: &Anchor, cast: &str) -> Result<InRange, Fault> {
    let column = row(&anchor.column);
    let mut sql = Sql::new("SELECT count(*) FILTER (WHERE ");
    judge.due(&mut sql, Horizon::Due)?;
    sql.push("), count(*) FILTER (WHERE ");
    judge.due(&mut sql, Horizon::Overdue)?;
    sql.push(" AND ");
    judge.due(&mut sql, Horizon::Due)?;
    sql.push(&format!("), (min({column}) FILTER (WHERE "));
    kept(judge, &mut sql)?;
    sql.push(&format!(
        "))::text FROM {} AS t WHERE {column} > '-infinity' AND {column} <= ",
        judge.table.name.quoted()
    ));
    sql.bind_as(anchor.last.clone(), cast);
    let found = client.query_typed_one(&sql.text, &sql.values()).await;
    let found = found.map_err(|error| Fault::of(&error, judge))?;
    Ok(InRange {
        due: found.get(0),
        overdue: found.get(1),
        oldest_kept: start(judge, &found, 2),
    })
}

/// A start event that the server found.
fn start(judge: &Judge<'_>, row: &Row, index: usize) -> Option<Timestamp> {
    let text: Option<String> = row.get(index);
    judge.oldest().ok()??.read(&text?)
}

async fn kept_by_dependent(client: &Client, judge: &Judge<'_>, anchor: &Anchor, cast: &str) -> Result<i64, Fault> {
    let column = row(&anchor.column);
    let mut sql = Sql::new(&format!(
        "SELECT count(*) FROM {} AS t WHERE {column} > '-infinity' AND {column} <= ",
        judge.table.name.quoted()
    ));
    sql.bind_as(anchor.last.clone(), cast);
    sql.push(" AND ");
    judge.due_but_for_references(&mut sql, Horizon::Due)?;
    let row = client
        .query_typed_one(&sql.text, &sql.values())
        .await
        .map_err(|error| Fault::of(&error, judge))?;
    Ok(row.get(0))
}

/// Counts the rows of a table, for the limit in percent.
pub async fn total(client: &Client, judge: &Judge<'_>) -> Result<i64, Fault> {
    let fault = |error: tokio_postgres::Error| Fault::of(&error, judge);
    timeout(client, COUNT_TIMEOUT).await.map_err(fault)?;
    let sql = format!("SELECT count(*) FROM {}", judge.table.name.quoted());
    let row = client.query_typed_one(&sql, &[]).await.map_err(fault)?;
    timeout(client, USUAL_TIMEOUT).await.map_err(fault)?;
    Ok(row.get(0))
}

/// Due and overdue rows within windows that a sweep had to leave.
pub async fn left_in(client: &Client, judge: &Judge<'_>, windows: &[Window]) -> Result<(i64, i64), Fault> {
    let mut left = (0, 0);
    for window in windows {
        let mut sql = Sql::new("SELECT count(*), count(*) FILTER (WHERE ");
        judge.due(&mut sql, Horizon::Overdue)?;
        sql.push(&format!(") FROM {} AS t WHERE t.ctid >= ", judge.table.name.quoted()));
        sql.bind_as(window.from.tid(), "tid");
        sql.push(" AND t.ctid < ");
        sql.bind_as(window.to.tid(), "tid");
        sql.push(" AND ");
        judge.due(&mut sql, Horizon::Due)?;
        let row = client
            .query_typed_one(&sql.text, &sql.values())
            .await
            .map_err(|error| Fault::of(&error, judge))?;
        left = (left.0 + row.get::<_, i64>(0), left.1 + row.get::<_, i64>(1));
    }
    Ok(left)
}

/// Sets how long a statement may take.
pub async fn timeout(client: &Client, value: &str) -> Result<(), tokio_postgres::Error> {
    session::set(client, "statement_timeout", value).await
}

/// `SELECT` of all counts, in the order that [`add`] reads them.
fn counting_statement(judge: &Judge<'_>) -> Result<Sql, Problem> {
    let mut sql = Sql::new("SELECT count(*), count(*) FILTER (WHERE ");
    judge.due(&mut sql, Horizon::Due)?;
    sql.push("), count(*) FILTER (WHERE ");
    judge.due(&mut sql, Horizon::Overdue)?;
    // Overdue is a part of due, which it is not by construction: a protecting ground may have ended in between.
    sql.push(" AND ");
    judge.due(&mut sql, Horizon::Due)?;
    sql.push("), count(*) FILTER (WHERE ");
    judge.without_start_event(&mut sql)?;
    sql.push("), count(*) FILTER (WHERE ");
    judge.undetermined(&mut sql)?;
    sql.push("), count(*) FILTER (WHERE ");
    judge.no_ground_applies(&mut sql)?;
    sql.push("), ");
    if judge.goes_alone() {
        sql.push("0::int8");
    } else {
        sql.push("count(*) FILTER (WHERE ");
        judge.due_but_for_references(&mut sql, Horizon::Due)?;
        sql.push(")");
    }
    sql.push(", count(*) FILTER (WHERE ");
    judge.missing_related(&mut sql)?;
    sql.push("), count(*) FILTER (WHERE ");
    judge.held(&mut sql)?;
    sql.push(")");
    match judge.oldest()? {
        None => sql.push(", NULL::text, NULL::text"),
        Some(time) => {
            let column = time.sql();
            sql.push(&format!(", (min({column}) FILTER (WHERE {column} > '-infinity' AND "));
            judge.covered(&mut sql)?;
            sql.push(&format!(
                "))::text, (min({column}) FILTER (WHERE {column} > '-infinity' AND "
            ));
            kept(judge, &mut sql)?;
            sql.push("))::text");
        }
    }
    Ok(sql)
}

/// The rule is about the row, and it is not due.
fn kept(judge: &Judge<'_>, sql: &mut Sql) -> Result<(), Problem> {
    judge.covered(sql)?;
    sql.push(" AND NOT (");
    judge.due(sql, Horizon::Due)?;
    sql.push(")");
    Ok(())
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn add(counts: &mut Counts, row: &Row, oldest: Option<&TimeColumn<'_>>) {
    let report = &mut counts.report;
    counts.total = counts.total.map(|total| total + row.get::<_, i64>(0));
    report.due += row.get::<_, i64>(1);
    report.overdue += row.get::<_, i64>(2);
    report.without_start_event += row.get::<_, i64>(3);
    report.undetermined += row.get::<_, i64>(4);
    report.no_ground_applies += row.get::<_, i64>(5);
    report.kept_by_dependent += (row.get::<_, i64>(6) - row.get::<_, i64>(1)).max(0);
    let found = |index: usize| oldest.and_then(|time| time.read(&row.get::<_, Option<String>>(index)?));
    report.missing_related += row.get::<_, i64>(7);
    report.held += row.get::<_, i64>(8);
    counts.oldest = earlier(counts.oldest, found(9));
    counts.oldest_kept = earlier(counts.oldest_kept, found(10));
}

fn finish(counts: &mut Counts, judge: &Judge<'_>) {
    counts.report.oldest_seconds = age(counts.oldest, judge);
}

/// Seconds since a start event, none for one in the future.
pub fn age(start: Option<Timestamp>, judge: &Judge<'_>) -> Option<i64> {
    start.map(|start| judge.clock.now.duration_since(start).as_secs().max(0))
}
