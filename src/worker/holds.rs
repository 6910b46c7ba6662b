//! Legal holds as predicates over one row: whether some hold binds it. Two-valued, and in doubt a row is bound.
//!
//! [`unheld`] is all that a statement needs which disposes of rows of a table, under whatever name they stand there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use tokio_postgres::Client;

use super::catalogue::{Column, Kind, Table};
use super::condition;
use super::export::secret;
use super::judge::{Clock, Horizon, Judge, quoted};
use super::literals;
use super::related::{self, Missing, Scope, Tables};
use super::sql::{Parameter, Sql};
use super::sweep::Fault;
use crate::contract::holds::{HeldBy, HeldPath, PlannedHold};
use crate::contract::{Action, Operator, PlannedCascade, PlannedRelation, PlannedRule, Problem, Reason, WorkPlan};

/// Longest value of an identity, in bytes.
const LONGEST_VALUE: usize = 1024;

/// The holds of a plan, and the people whom they name. Those are never shown.
#[derive(Clone, Default)]
pub struct Holds {
    holds: Vec<PlannedHold>,
    /// Values by Secret and identity. None: the person has no such identity.
    people: BTreeMap<(String, String), Vec<String>>,
}

impl fmt::Debug for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Holds({})", self.holds.len())
    }
}

impl Holds {
    /// Reads who is meant: a directory for each Secret, a file for each identity. What is missing could name somebody
    /// whose rows must stay, so that nothing may run without it.
    pub fn read(directory: &Path, holds: &[PlannedHold]) -> Result<Self, Problem> {
        let mut people = BTreeMap::new();
        let of_people = || holds.iter().filter_map(|hold| Some((hold, hold.person.as_ref()?)));
        for (hold, person) in of_people() {
            for identity in identities(&person.paths) {
                let values = values(directory, &person.secret, identity, &field(hold, "subjectSecretRef"))?;
                people.insert((person.secret.clone(), identity.to_owned()), values);
            }
        }
        // Somebody without one identity may have another, by which another table knows them.
        for (hold, person) in of_people() {
            let names = |((secret, _), values): (&(String, String), &Vec<String>)| {
                *secret == person.secret && !values.is_empty()
            };
            if !people.iter().any(names) {
                let field = field(hold, "subjectSecretRef");
                let detail = format!("Secret {} names nobody: every identity in it is empty", person.secret);
                return Err(Problem::new(Reason::InvalidValue, field, detail));
            }
        }
        Ok(Self {
            holds: holds.to_vec(),
            people,
        })
    }

    /// Those on a table.
    pub fn on<'a>(&'a self, table: &Table) -> impl Iterator<Item = &'a PlannedHold> + use<'a> {
        let name = (table.name.schema.to_string(), table.name.name.to_string());
        self.holds
            .iter()
            .filter(move |hold| (&hold.schema, &hold.table) == (&name.0, &name.1))
    }

    fn values(&self, hold: &PlannedHold, identity: &str) -> &[String] {
        let secret = hold.person.as_ref().map(|person| person.secret.clone());
        let found = secret.and_then(|secret| self.people.get(&(secret, identity.to_owned())));
        found.map_or(&[], Vec::as_slice)
    }
}

/// Every identity by which rows are found.
fn identities(paths: &[HeldPath]) -> Vec<&str> {
    let mut all: Vec<&str> = paths.iter().map(|path| path.identity.as_str()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The value of an identity; and without the blanks around it, where there are any, since whoever wrote the Secret may not
/// have meant the line break at its end.
fn values(directory: &Path, name: &str, identity: &str, field: &str) -> Result<Vec<String>, Problem> {
    let invalid = |what: &str| {
        let detail = format!("the value of key {identity} in Secret {name} {what}");
        Problem::new(Reason::InvalidValue, field, detail)
    };
    if name.contains('/') || name.starts_with('.') {
        return Err(secret::missing(name, identity, field));
    }
    let bytes = secret::required(&directory.join(name), identity, name, field)?;
    let value = String::from_utf8(bytes).map_err(|_| invalid("is not UTF-8"))?;
    if value.len() > LONGEST_VALUE || value.contains('\0') {
        return Err(invalid("is too long or contains NUL"));
    }
    let trimmed = value.trim().to_owned();
    let mut values = Vec::new();
    if !trimmed.is_empty() {
        if value != trimmed {
            values.push(value);
        }
        values.push(trimmed);
    }
    Ok(values)
}

/// `LegalHold name: spec.part`, as the message names the field.
fn field(hold: &PlannedHold, part: &str) -> String {
    format!("LegalHold {}: spec.{part}", hold.name)
}

/// What holds are judged by, besides the table.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The plan of the run.
    pub plan: &'a WorkPlan,
    /// The holds.
    pub holds: &'a Holds,
    /// Tables at whose rows they look.
    pub related: &'a Tables,
    /// The time, for conditions.
    pub clock: &'a Clock,
}

/// No hold binds the row of the table that stands under this name.
pub fn unheld(sql: &mut Sql, known: Known<'_>, table: &Table, alias: &str) -> Result<(), Problem> {
    let holds: Vec<&PlannedHold> = known.holds.on(table).collect();
    if holds.is_empty() {
        sql.push("true");
        return Ok(());
    }
    sql.push("NOT ");
    sql.join(" OR ", "false", &holds, |sql, _, hold| {
        bound(sql, known, hold, table, alias)
    })
}

/// The hold binds the row that stands under this name.
pub fn bound(sql: &mut Sql, known: Known<'_>, hold: &PlannedHold, table: &Table, alias: &str) -> Result<(), Problem> {
    if let Some(person) = &hold.person {
        let level = Level {
            known,
            hold,
            table,
            alias,
            depth: 0,
        };
        return sql.join(" OR ", "false", &person.paths, |sql, _, path| level.path(sql, path));
    }
    let columns = columns_of(hold);
    // A condition speaks of `t`: where the row stands under another name, that gets its columns.
    let renamed = alias != "t" && !columns.is_empty();
    if renamed {
        let columns: Vec<String> = columns
            .iter()
            .map(|column| format!("{alias}.{}", quoted(column)))
            .collect();
        sql.push(&format!(
            "EXISTS (SELECT FROM (SELECT {}) AS t WHERE ",
            columns.join(", ")
        ));
    }
    conditions(sql, known, hold, table)?;
    if renamed {
        sql.push(")");
    }
    Ok(())
}

/// The columns that its conditions name.
fn columns_of(hold: &PlannedHold) -> Vec<&str> {
    let conditions = hold.when.iter();
    let mut columns: Vec<&str> = conditions
        .flat_map(|condition| std::iter::once(&condition.column).chain(&condition.other_column))
        .map(String::as_str)
        .collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

fn conditions(sql: &mut Sql, known: Known<'_>, hold: &PlannedHold, table: &Table) -> Result<(), Problem> {
    let rule = as_rule(hold);
    let judge = Judge {
        plan: known.plan,
        rule: &rule,
        table,
        related: known.related,
        others: Vec::new(),
        clock: known.clock,
        holds: known.holds,
    };
    sql.join(" AND ", "true", &hold.when, |sql, index, condition| {
        let field = field(hold, &format!("when[{index}]"));
        condition::write(sql, &judge, &rule, (Scope::Row, Missing::Holds), condition, &field)
    })
}

/// As much of a rule as conditions are written by.
fn as_rule(hold: &PlannedHold) -> PlannedRule {
    PlannedRule {
        name: hold.name.clone(),
        schema: hold.schema.clone(),
        table: hold.table.clone(),
        column_time_zones: hold.column_time_zones.clone(),
        time_zone: None,
        relations: BTreeMap::new(),
        within_seconds: 0,
        rows: hold.when.clone(),
        grounds: Vec::new(),
        keep_newest: None,
        cascade: PlannedCascade::default(),
        action: Action::Protect,
    }
}

/// A row on the way to a person: of the held table, or one that it points at.
#[derive(Clone, Copy)]
struct Level<'a> {
    known: Known<'a>,
    hold: &'a PlannedHold,
    table: &'a Table,
    alias: &'a str,
    depth: usize,
}

impl Level<'_> {
    fn path(self, sql: &mut Sql, path: &HeldPath) -> Result<(), Problem> {
        match &path.by {
            HeldBy::Column(column) => self.names(sql, &path.identity, column),
            HeldBy::Through(relation, next) => self.points_at(sql, relation, next),
        }
    }

    /// The column holds the identity. In doubt it does: capitals and blanks around it make no other person.
    fn names(self, sql: &mut Sql, identity: &str, column: &str) -> Result<(), Problem> {
        let facts = self.table.column(column, &field(self.hold, "subjectSecretRef"))?;
        let values = self.known.holds.values(self.hold, identity);
        if values.is_empty() {
            sql.push("false");
            return Ok(());
        }
        let place = format!("{}.{}", self.alias, quoted(column));
        if let Some(cast) = typed(facts) {
            sql.push(&format!("({place} = ANY ("));
            sql.bind(Parameter::Texts(values.to_vec()));
            sql.push(&format!("::{cast}[])) IS TRUE"));
        } else {
            sql.push(&format!(
                "(lower(btrim({place}::text, E' \\t\\r\\n')) = ANY (ARRAY(SELECT lower(v) FROM unnest("
            ));
            sql.bind(Parameter::Texts(values.to_vec()));
            sql.push("::text[]) AS u (v)))) IS TRUE");
        }
        Ok(())
    }

    /// The row points at one of the person's; or at one that is gone, and nobody knows whose it was.
    fn points_at(self, sql: &mut Sql, relation: &PlannedRelation, next: &[HeldPath]) -> Result<(), Problem> {
        let field = field(self.hold, "subjectSecretRef");
        let table = related::looked_up(self.known.related, relation, &field)?;
        let alias = format!("h{}", self.depth);
        let mut ties = Vec::new();
        let mut points = Vec::new();
        for (ours, theirs) in &relation.columns {
            let (left, right) = (self.table.column(ours, &field)?, table.column(theirs, &field)?);
            let (ours, theirs) = (
                format!("{}.{}", self.alias, quoted(ours)),
                format!("{alias}.{}", quoted(theirs)),
            );
            ties.push(if related::are_equatable(left, right) {
                format!("{theirs} = {ours}")
            } else {
                format!("{theirs}::text = {ours}::text")
            });
            points.push(format!("{ours} IS NOT NULL"));
        }
        if ties.is_empty() {
            return Err(Problem::new(Reason::InvalidPlan, field, "a relation without columns"));
        }
        let there = format!(
            "SELECT FROM {} AS {alias} WHERE {}",
            table.name.quoted(),
            ties.join(" AND ")
        );
        sql.push(&format!(
            "({} AND NOT EXISTS ({there}) OR EXISTS ({there} AND ",
            points.join(" AND ")
        ));
        let level = Level {
            table,
            alias: &alias,
            depth: self.depth + 1,
            ..self
        };
        sql.join(" OR ", "false", next, |sql, _, path| level.path(sql, path))?;
        sql.push("))");
        Ok(())
    }
}

/// The type as which a value is compared, where values of it can be written in more than one way.
fn typed(column: &Column) -> Option<&str> {
    (column.kind == Kind::Plain).then_some(column.cast.as_str())
}

impl Judge<'_> {
    /// Holds on the rule's table.
    pub fn legal_holds(&self) -> impl Iterator<Item = &PlannedHold> {
        self.holds.on(self.table)
    }

    /// By what holds are judged.
    pub fn known(&self) -> Known<'_> {
        Known {
            plan: self.plan,
            holds: self.holds,
            related: self.related,
            clock: self.clock,
        }
    }

    /// The row would be disposed of now if no hold bound it.
    pub fn held(&self, sql: &mut Sql) -> Result<(), Problem> {
        self.held_though(sql, Self::due_but_for_holds)
    }

    /// The same, whether or not it is among the newest.
    pub fn held_by_itself(&self, sql: &mut Sql) -> Result<(), Problem> {
        self.held_though(sql, Self::due_by_grounds)
    }

    fn held_though(
        &self,
        sql: &mut Sql,
        due: impl FnOnce(&Self, &mut Sql, Horizon) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        if self.legal_holds().next().is_none() {
            sql.push("false");
            return Ok(());
        }
        due(self, sql, Horizon::Due)?;
        sql.push(" AND NOT (");
        unheld(sql, self.known(), self.table, "t")?;
        sql.push(")");
        Ok(())
    }
}

/// Asks the server whether it can read each value as the type of its column. One that it cannot read binds nothing.
pub async fn check(client: &Client, judge: &Judge<'_>) -> Result<(), Fault> {
    for hold in judge.legal_holds() {
        for (index, condition) in hold.when.iter().enumerate() {
            if matches!(condition.operator, Operator::In | Operator::NotIn) {
                let field = field(hold, &format!("when[{index}].values"));
                let column = judge.table.column(&condition.column, &field)?;
                let values: Vec<&str> = condition.values.iter().map(String::as_str).collect();
                literals::readable(client, judge, &values, &column.cast, &field).await?;
            }
        }
        let mut waiting: Vec<(&Table, &HeldPath)> = hold.paths().iter().map(|path| (judge.table, path)).collect();
        while let Some((table, path)) = waiting.pop() {
            let field = field(hold, &format!("subjectSecretRef (key {})", path.identity));
            match &path.by {
                HeldBy::Column(column) => {
                    let values = judge.holds.values(hold, &path.identity);
                    let values: Vec<&str> = values.iter().map(String::as_str).collect();
                    if let Some(cast) = typed(table.column(column, &field)?) {
                        literals::readable(client, judge, &values, cast, &field).await?;
                    }
                }
                HeldBy::Through(relation, next) => {
                    let other = related::looked_up(judge.related, relation, &field)?;
                    waiting.extend(next.iter().map(|path| (other, path)));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(paths: &[&str]) -> PlannedHold {
        let paths: Vec<_> = paths
            .iter()
            .map(|identity| serde_json::json!({"identity": identity, "by": {"column": "c"}}))
            .collect();
        serde_json::from_value(serde_json::json!(
            {"name": "claim", "schema": "public", "table": "t", "person": {"secret": "person", "paths": paths}}
        ))
        .unwrap()
    }

    fn read(files: &[(&str, &[u8])], identities: &[&str]) -> Result<Holds, Problem> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("person")).unwrap();
        for (name, value) in files {
            std::fs::write(directory.path().join("person").join(name), value).unwrap();
        }
        Holds::read(directory.path(), &[hold(identities)])
    }

    #[test]
    fn a_person_is_bound_with_and_without_the_blanks_around_the_value() {
        let holds = read(
            &[("email", b"canary@example.org\n"), ("user_id", b"7")],
            &["email", "user_id"],
        )
        .unwrap();
        let value = |identity: &str| holds.values(&holds.holds[0], identity).to_vec();
        assert_eq!(value("email"), ["canary@example.org\n", "canary@example.org"]);
        assert_eq!(value("user_id"), ["7"]);
        assert!(!format!("{holds:?}").contains("canary"));
    }

    #[test]
    fn an_empty_value_says_that_there_is_none_and_a_missing_one_stops_everything() {
        let holds = read(&[("email", b""), ("user_id", b"7")], &["email", "user_id"]).unwrap();
        assert!(holds.values(&holds.holds[0], "email").is_empty());
        let reason = |files: &[(&str, &[u8])]| {
            let problem = read(files, &["email", "user_id"]).unwrap_err();
            assert!(problem.field.starts_with("LegalHold claim"), "{problem:?}");
            assert!(!format!("{problem:?}").contains("canary"));
            problem.reason
        };
        assert_eq!(reason(&[]), Reason::MissingSecret);
        assert_eq!(reason(&[("user_id", b"canary")]), Reason::MissingSecret);
        assert_eq!(reason(&[("email", b" "), ("user_id", b"\n")]), Reason::InvalidValue);
        assert_eq!(
            reason(&[("email", b"canary\xff"), ("user_id", b"7")]),
            Reason::InvalidValue
        );
        assert_eq!(
            reason(&[("email", b"canary\0"), ("user_id", b"7")]),
            Reason::InvalidValue
        );
    }
}
