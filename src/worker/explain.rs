//! Why single rows are due or stay: what a person at a command line wants to see before a policy is applied. It reads
//! keys and dates of rows, so it is never part of a run in the cluster.

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::{Client, Row};

use super::catalogue;
use super::connection::StoreError;
use super::holds::{self, Holds};
use super::judge::{Clock, Horizon, Judge, quoted, row};
use super::related::{self, Scope};
use super::session::{Access, Session};
use super::sql::Sql;
use crate::contract::{PlannedRule, Problem, Reason, WorkPlan};
use crate::domain::identifier::TableName;

/// Which rows are to be explained.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// So many due rows of each rule.
    Due(i64),
    /// The row with this primary key, its columns in the order of the key, due or not.
    Key(Vec<String>),
}

/// The rows of one rule.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedRule {
    /// Name of the rule.
    pub rule: String,
    /// Its rows.
    pub rows: Vec<ExplainedRow>,
    /// Why nothing can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// One row.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_excessive_bools, reason = "answers, each on its own")]
pub struct ExplainedRow {
    /// Columns of its primary key with their values; `ctid` where the table has none.
    pub key: Vec<Dated>,
    /// The rule is about it.
    pub covered: bool,
    /// It is due.
    pub due: bool,
    /// Each ground of the rule.
    pub grounds: Vec<ExplainedGround>,
    /// Grounds of other rules that keep it, as `rule/ground`.
    pub protected_by: Vec<String>,
    /// Holds that bind it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held_by: Vec<String>,
    /// A row of another table points at it.
    pub pointed_at: bool,
    /// It is among the newest rows that stay, or in no group of them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub among_newest: bool,
}

/// A column with its value, as the server prints it in UTC.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Dated {
    /// The column.
    pub column: String,
    /// Its value; none: NULL.
    pub value: Option<String>,
}

/// How a ground stands to a row.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct ExplainedGround {
    /// Name of the ground.
    pub name: String,
    /// How it stands.
    pub state: GroundState,
    /// Its start columns and its ends.
    pub dates: Vec<Dated>,
    /// Its period.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
}

/// How a ground stands to a row.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
pub enum GroundState {
    /// Its conditions do not hold.
    DoesNotApply,
    /// It applies and keeps the row.
    Holds,
    /// It applied and has ended.
    Ended,
}

/// Explains rows of every rule of a plan, as of an instant. `None`: the store's clock.
pub async fn explain(
    plan: &WorkPlan,
    access: &Access,
    as_of: Option<Timestamp>,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Vec<ExplainedRule>, Problem> {
    // Nobody asks for keys, and the role of a worker may not read them.
    if matches!(wanted, Wanted::Due(0)) {
        return Ok(plan.rules.iter().map(|rule| unexplained(rule, None)).collect());
    }
    let session = Session::open(&plan.store, access, now, false).await?;
    let clock = Clock::of(plan, as_of.unwrap_or(session.store_time))?;
    let mut explained = Vec::with_capacity(plan.rules.len());
    for rule in &plan.rules {
        let rows = rows(&session.client, plan, rule, (&clock, &access.holds), wanted).await;
        explained.push(match rows {
            Ok(rows) => ExplainedRule {
                rows,
                ..unexplained(rule, None)
            },
            Err(problem) => unexplained(rule, Some(problem)),
        });
    }
    Ok(explained)
}

fn unexplained(rule: &PlannedRule, problem: Option<Problem>) -> ExplainedRule {
    ExplainedRule {
        rule: rule.name.clone(),
        rows: Vec::new(),
        problem,
    }
}

async fn rows(
    client: &Client,
    plan: &WorkPlan,
    rule: &PlannedRule,
    (clock, holds): (&Clock, &Holds),
    wanted: &Wanted,
) -> Result<Vec<ExplainedRow>, Problem> {
    let field = format!("rules[{}].dataset", rule.name);
    let name = TableName::new(&rule.schema, &rule.table)
        .map_err(|error| Problem::new(Reason::InvalidPlan, &field, error.to_string()))?;
    let table = catalogue::table(client, &name, &field).await?;
    let related = related::tables(client, plan).await?;
    let judge = Judge::new(plan, rule, &table, &related, clock, holds);
    let stripped = |error: tokio_postgres::Error| StoreError::of(&error).problem(&field);
    // A table without a key: the tuple's place.
    let key = if table.key.is_empty() {
        vec!["ctid".to_owned()]
    } else {
        table.key.clone()
    };
    let sql = statement(&judge, &key, wanted)?;
    let found = client.query_typed(&sql.text, &sql.values()).await.map_err(stripped)?;
    Ok(found.iter().map(|row| explained(&judge, &key, row)).collect())
}

/// Key, covered, due, due but for rows that point at it, among the newest; then for each ground whether it applies, whether
/// it has ended, and its dates; then for each ground of other rules whether it protects, and for each hold whether it binds.
fn statement(judge: &Judge<'_>, key: &[String], wanted: &Wanted) -> Result<Sql, Problem> {
    let mut sql = Sql::new("SELECT ");
    for column in key {
        sql.push(&format!("{}::text, ", row(column)));
    }
    judge.covered(&mut sql)?;
    sql.push(", ");
    judge.due(&mut sql, Horizon::Due)?;
    sql.push(", (");
    judge.due_but_for_references(&mut sql, Horizon::Due)?;
    sql.push("), NOT ");
    match judge.newest()? {
        None => sql.push("true"),
        Some(newest) => newest.is_beyond(&mut sql)?,
    }
    for ground in &judge.rule.grounds {
        sql.push(", ");
        judge.may_apply(&mut sql, judge.rule, ground)?;
        sql.push(", ");
        judge.ended(&mut sql, judge.rule, ground, Horizon::Due)?;
        for column in ground.from.iter().chain(&ground.until) {
            let field = judge.field(&format!("keepWhile[{}]", ground.name));
            let found = judge.refer(judge.rule, Scope::Row, column, &field)?;
            sql.push(&format!(", {}::text", found.sql));
        }
    }
    for (other, ground) in judge.protectors() {
        sql.push(", ");
        judge.protects(&mut sql, other, ground)?;
    }
    for hold in judge.legal_holds() {
        sql.push(", ");
        holds::bound(&mut sql, judge.known(), hold, judge.table, "t")?;
    }
    sql.push(&format!(" FROM {} AS t WHERE ", judge.table.name.quoted()));
    match wanted {
        Wanted::Due(rows) => {
            judge.due(&mut sql, Horizon::Due)?;
            let order: Vec<String> = key.iter().map(|column| row(column)).collect();
            sql.push(&format!(" ORDER BY {} LIMIT {rows}", order.join(", ")));
        }
        Wanted::Key(values) => {
            if values.len() != key.len() {
                let names: Vec<String> = key.iter().map(|column| quoted(column)).collect();
                let detail = format!("the key of {} is ({})", judge.table.name, names.join(", "));
                return Err(Problem::new(Reason::InvalidValue, "--explain", detail));
            }
            for (index, (column, value)) in key.iter().zip(values).enumerate() {
                sql.push(if index > 0 { " AND " } else { "" });
                sql.push(&format!("{}::text = ", row(column)));
                sql.bind_as(value, "text");
            }
        }
    }
    Ok(sql)
}

fn explained(judge: &Judge<'_>, key: &[String], row: &Row) -> ExplainedRow {
    let mut place = 0;
    let mut next = || {
        place += 1;
        place - 1
    };
    let key = key
        .iter()
        .map(|column| Dated {
            column: column.clone(),
            value: row.get(next()),
        })
        .collect();
    let mut flag = || row.get::<_, bool>(next());
    let (covered, due, due_but_for_references, among_newest) = (flag(), flag(), flag(), flag());
    let grounds = judge
        .rule
        .grounds
        .iter()
        .map(|ground| {
            let (applies, ended): (bool, bool) = (row.get(next()), row.get(next()));
            let dates = ground.from.iter().chain(&ground.until).map(|column| Dated {
                column: column.clone(),
                value: row.get(next()),
            });
            ExplainedGround {
                name: ground.name.clone(),
                dates: dates.collect(),
                period: ground.period.clone(),
                state: match (applies, ended) {
                    (false, _) => GroundState::DoesNotApply,
                    (true, false) => GroundState::Holds,
                    (true, true) => GroundState::Ended,
                },
            }
        })
        .collect();
    let protected_by = judge
        .protectors()
        .filter(|_| row.get::<_, bool>(next()))
        .map(|(other, ground)| format!("{}/{}", other.name, ground.name))
        .collect();
    let held_by = judge
        .legal_holds()
        .filter(|_| row.get::<_, bool>(next()))
        .map(|hold| hold.name.clone())
        .collect();
    ExplainedRow {
        key,
        covered,
        due,
        grounds,
        protected_by,
        held_by,
        pointed_at: due_but_for_references && !due,
        among_newest: covered && among_newest,
    }
}
