//! The columns that a rule names, wherever they stand: in the row being judged (`t`), in a row that it points at (`r`), or
//! in a row of `exists` (`e`). SEMANTICS 1.4 is the meaning of what is missing.

use std::collections::BTreeMap;

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::catalogue::{self, Column, Table};
use super::connection::StoreError;
use super::judge::{Judge, quoted, row};
use super::sql::Sql;
use super::time_column::TimeColumn;
use crate::contract::holds::{HeldPath, PlannedHold};
use crate::contract::{
    OnMissingRelated, PlannedExists, PlannedGround, PlannedRelation, PlannedRule, Problem, Reason, WorkPlan,
};
use crate::domain::identifier::TableName;

/// Tables at whose rows rules look besides their own, as the catalogue has them, or why they cannot be looked at.
pub type Tables = BTreeMap<(String, String), Result<Table, Problem>>;

/// Where a column name of the spec belongs.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// To the row being judged, or to a row that it points at.
    Row,
    /// To a row of `exists`, or with `row.` to the row being judged.
    Other(&'a PlannedExists),
}

/// What a condition on a missing related row counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// As one that holds.
    Holds,
    /// As one that does not.
    Fails,
}

/// A column that a rule names, found in the catalogue.
#[derive(Debug, Clone)]
pub struct Referred<'a> {
    /// As the spec names it.
    pub name: &'a str,
    /// Its value, in SQL.
    pub sql: String,
    /// What the catalogue says of it.
    pub column: &'a Column,
    /// Its declared zone.
    pub zone: Option<&'a String>,
    /// There is no row that has it, in SQL.
    pub missing: Option<String>,
}

/// Looks up every table besides their own at whose rows the rules and holds of a plan look.
pub async fn tables(client: &Client, plan: &WorkPlan) -> Result<Tables, Problem> {
    let mut tables = Tables::new();
    let held = plan.holds.iter().flat_map(PlannedHold::paths);
    let rules = plan.rules.iter().chain(&plan.protections);
    for relation in rules.flat_map(relations).chain(held.flat_map(HeldPath::all_relations)) {
        let key = (relation.schema.clone(), relation.table.clone());
        if tables.contains_key(&key) {
            continue;
        }
        let found = match TableName::new(&relation.schema, &relation.table) {
            Err(error) => Err(Problem::new(Reason::InvalidPlan, "", error.to_string())),
            Ok(name) => catalogue::readable(client, &name, "").await,
        };
        match found {
            Err(problem) if problem.reason == Reason::Unreachable => return Err(problem),
            found => tables.insert(key, found),
        };
    }
    Ok(tables)
}

/// Every tie of a rule to rows of other tables.
pub fn relations(rule: &PlannedRule) -> impl Iterator<Item = &PlannedRelation> {
    let exists = rule
        .grounds
        .iter()
        .flat_map(exists_of)
        .map(|(_, exists)| &exists.relation);
    rule.relations.values().chain(exists).chain(rule.cascade.relations())
}

/// The `exists` and `notExists` of a ground.
pub fn exists_of(ground: &PlannedGround) -> impl Iterator<Item = (&'static str, &PlannedExists)> {
    let exists = ground.exists.iter().map(|exists| ("exists", exists));
    exists.chain(ground.not_exists.iter().map(|exists| ("notExists", exists)))
}

impl Judge<'_> {
    /// A column that a rule names. `field` is the place in the spec where it does.
    pub fn refer<'b>(
        &'b self,
        rule: &'b PlannedRule,
        scope: Scope<'b>,
        name: &'b str,
        field: &str,
    ) -> Result<Referred<'b>, Problem> {
        match scope {
            Scope::Other(exists) => match name.strip_prefix("row.") {
                Some(column) => self.own(rule, name, column, field),
                None => {
                    let table = self.other(&exists.relation, field)?;
                    Ok(Referred {
                        name,
                        sql: format!("e.{}", quoted(name)),
                        column: table.column(name, field)?,
                        zone: exists.relation.column_time_zones.get(name),
                        missing: None,
                    })
                }
            },
            Scope::Row => {
                let parts = name.split_once('.');
                match parts.and_then(|(relation, column)| Some((rule.relations.get(relation)?, column))) {
                    None => self.own(rule, name, name, field),
                    Some((relation, column)) => self.through(relation, name, column, field),
                }
            }
        }
    }

    /// A column that holds times.
    pub fn time<'b>(&'b self, rule: &'b PlannedRule, name: &'b str, field: &str) -> Result<TimeColumn<'b>, Problem> {
        TimeColumn::new(self.refer(rule, Scope::Row, name, field)?, field)
    }

    fn own<'b>(
        &'b self,
        rule: &'b PlannedRule,
        name: &'b str,
        column: &str,
        field: &str,
    ) -> Result<Referred<'b>, Problem> {
        Ok(Referred {
            name,
            sql: row(column),
            column: self.table.column(column, field)?,
            zone: rule.column_time_zones.get(column),
            missing: None,
        })
    }

    /// A column of the one row that the row points at.
    fn through<'b>(
        &'b self,
        relation: &'b PlannedRelation,
        name: &'b str,
        column: &str,
        field: &str,
    ) -> Result<Referred<'b>, Problem> {
        let table = self.other(relation, field)?;
        let known = table.column(column, field)?;
        leads_to_one(table, relation.columns.iter().map(|(_, theirs)| theirs), field)?;
        let tie = self.tie(relation, table, "r", field)?;
        let from = format!("FROM {} AS r WHERE {tie}", table.name.quoted());
        Ok(Referred {
            name,
            sql: format!("(SELECT r.{} {from})", quoted(column)),
            column: known,
            zone: relation.column_time_zones.get(column),
            missing: Some(format!("NOT EXISTS (SELECT {from})")),
        })
    }

    /// The other table of a relation.
    pub fn other(&self, relation: &PlannedRelation, field: &str) -> Result<&Table, Problem> {
        looked_up(self.related, relation, field)
    }

    /// The other row is tied to the row being judged.
    pub fn tie(&self, relation: &PlannedRelation, table: &Table, alias: &str, field: &str) -> Result<String, Problem> {
        let mut pairs = Vec::with_capacity(relation.columns.len());
        for (ours, theirs) in &relation.columns {
            let (left, right) = (self.table.column(ours, field)?, table.column(theirs, field)?);
            if !are_equatable(left, right) {
                let detail = format!(
                    "{ours} of {} is {} and {theirs} of {} is {}",
                    self.table.name, left.cast, table.name, right.cast
                );
                return Err(Problem::new(Reason::NotComparable, field, detail));
            }
            pairs.push(format!("{alias}.{} = {}", quoted(theirs), row(ours)));
        }
        if pairs.is_empty() {
            return Err(Problem::new(Reason::InvalidPlan, field, "a relation without columns"));
        }
        Ok(pairs.join(" AND "))
    }

    /// `exists` and `notExists` of a ground hold.
    pub fn ties_hold(&self, sql: &mut Sql, rule: &PlannedRule, ground: &PlannedGround) -> Result<(), Problem> {
        for (part, exists) in exists_of(ground) {
            let path = format!("rules[{}].keepWhile[{}].{part}", rule.name, ground.name);
            let table = self.other(&exists.relation, &format!("{path}.dataset"))?;
            let tie = self.tie(&exists.relation, table, "e", &path)?;
            let negated = if part == "notExists" { "NOT " } else { "" };
            sql.push(&format!(
                " AND {negated}EXISTS (SELECT FROM {} AS e WHERE {tie} AND ",
                table.name.quoted()
            ));
            self.conditions(
                sql,
                rule,
                Scope::Other(exists),
                Missing::Fails,
                &exists.when,
                &format!("keepWhile[{}].{part}.when", ground.name),
            )?;
            sql.push(")");
        }
        Ok(())
    }

    /// A related row that the ground needs is missing: one in a condition, one with an end, or the one from which the
    /// start would be taken.
    pub fn misses(&self, sql: &mut Sql, rule: &PlannedRule, ground: &PlannedGround) -> Result<(), Problem> {
        let place = |part: &str| format!("rules[{}].keepWhile[{}].{part}", rule.name, ground.name);
        let mut parts = self.missing_in_when(rule, ground)?;
        for column in &ground.until {
            parts.extend(self.refer(rule, Scope::Row, column, &place("until"))?.missing);
        }
        let mut before = Vec::new();
        for column in &ground.from {
            let start = self.refer(rule, Scope::Row, column, &place("from"))?;
            if let Some(missing) = start.missing {
                before.push(missing);
                parts.push(format!("({})", before.join(" AND ")));
                before.pop();
            }
            // Where this one has a value, or its row is missing, the next is not asked.
            before.push(format!("{} IS NULL", start.sql));
        }
        sql.join(" OR ", "false", &parts, |sql, _, part| {
            sql.push(part);
            Ok(())
        })
    }

    /// What can be missing in the ground's conditions.
    pub fn missing_in_when(&self, rule: &PlannedRule, ground: &PlannedGround) -> Result<Vec<String>, Problem> {
        let mut parts = Vec::new();
        let path = format!("rules[{}].keepWhile[{}].when", rule.name, ground.name);
        for condition in &ground.when {
            for name in std::iter::once(&condition.column).chain(&condition.other_column) {
                parts.extend(self.refer(rule, Scope::Row, name, &path)?.missing);
            }
        }
        Ok(parts)
    }

    /// Kept because a related row that is needed is missing, and nothing is said about that: the rule may not be about
    /// the row, a ground goes on holding it, or none can be said to have applied.
    pub fn missing_related(&self, sql: &mut Sql) -> Result<(), Problem> {
        let rule = self.rule;
        if rule.relations.is_empty() {
            sql.push("false");
            return Ok(());
        }
        let unsaid = |ground: &&PlannedGround| ground.on_missing_related.is_none();
        let grounds: Vec<&PlannedGround> = rule.grounds.iter().filter(unsaid).collect();
        sql.push("(");
        self.conditions(sql, rule, Scope::Row, Missing::Holds, &rule.rows, "rows")?;
        sql.push(" AND (NOT ");
        self.covered(sql)?;
        sql.push(" OR ");
        sql.join(" OR ", "false", &grounds, |sql, _, ground| {
            sql.push("(");
            self.may_apply(sql, rule, ground)?;
            sql.push(" AND ");
            self.misses(sql, rule, ground)?;
            sql.push(" AND (NOT ");
            self.ended(sql, rule, ground, super::judge::Horizon::Due)?;
            sql.push(" OR NOT ");
            self.any_ground_applies(sql)?;
            sql.push("))");
            Ok(())
        })?;
        sql.push("))");
        Ok(())
    }

    /// Whether rows of other tables decide about this rule's rows: its own look there, or a ground's that protects them.
    #[must_use]
    pub fn looks_elsewhere(&self) -> bool {
        self.elsewhere().next().is_some()
    }

    /// Every tie to a row that decides about the rule's rows.
    pub fn elsewhere(&self) -> impl Iterator<Item = &PlannedRelation> {
        let own = ties(self.rule, &self.rule.grounds);
        own.chain(self.protecting_elsewhere())
    }

    /// Every tie to a row that decides whether a ground of another rule, or a hold, keeps a row.
    fn protecting_elsewhere(&self) -> impl Iterator<Item = &PlannedRelation> {
        let protectors = self.protectors();
        let grounds = protectors.flat_map(|(rule, ground)| ties(rule, std::slice::from_ref(ground)));
        grounds.chain(self.legal_holds().flat_map(PlannedHold::relations))
    }

    /// Whether some table at which the rule looks is tied to its own by no foreign key: what commits there while a batch
    /// is under way then stands against nothing. The same of what goes with its rows.
    pub async fn has_race_window(&self, client: &Client) -> Result<bool, StoreError> {
        for relation in self.elsewhere() {
            if !self.is_tied(client, relation).await? {
                return Ok(true);
            }
        }
        let Ok(cascade) = self.cascade() else {
            return Ok(false);
        };
        for (judge, relation) in cascade.ties() {
            if !judge.is_tied(client, relation).await? {
                return Ok(true);
            }
        }
        for node in cascade.dependents.iter().chain(&cascade.parents) {
            for relation in node.judge.protecting_elsewhere() {
                if !node.judge.is_tied(client, relation).await? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// A foreign key ties the two tables by exactly these columns. What could not be looked up is told elsewhere.
    async fn is_tied(&self, client: &Client, relation: &PlannedRelation) -> Result<bool, StoreError> {
        let Some(Ok(other)) = self.related.get(&(relation.schema.clone(), relation.table.clone())) else {
            return Ok(true);
        };
        let (ours, theirs): (Vec<&str>, Vec<&str>) = relation
            .columns
            .iter()
            .map(|(ours, theirs)| (ours.as_str(), theirs.as_str()))
            .unzip();
        let tied = client
            .query_typed_one(
                TIED_SQL,
                &[
                    (&self.table.oid, Type::INT8),
                    (&other.oid, Type::INT8),
                    (&ours, Type::TEXT_ARRAY),
                    (&theirs, Type::TEXT_ARRAY),
                ],
            )
            .await
            .map_err(|error| StoreError::of(&error))?;
        Ok(tied.get(0))
    }
}

/// The ties by which these grounds of a rule, or its own conditions, look at other rows.
fn ties<'a>(rule: &'a PlannedRule, grounds: &'a [PlannedGround]) -> impl Iterator<Item = &'a PlannedRelation> {
    let exists = grounds.iter().flat_map(exists_of).map(|(_, exists)| &exists.relation);
    let through = rule.relations.iter();
    let through = through.filter(move |(name, _)| reads_through(rule, grounds, name));
    through.map(|(_, relation)| relation).chain(exists)
}

/// The other table of a relation, among those that were looked up.
pub fn looked_up<'a>(tables: &'a Tables, relation: &PlannedRelation, field: &str) -> Result<&'a Table, Problem> {
    let key = (relation.schema.clone(), relation.table.clone());
    match tables.get(&key) {
        Some(Ok(table)) => Ok(table),
        Some(Err(problem)) => Err(Problem::new(problem.reason, field, problem.detail.clone())),
        None => Err(Problem::new(Reason::InvalidPlan, field, "a table was not looked up")),
    }
}

/// A foreign key between two tables, in either direction, over exactly these pairs of columns.
const TIED_SQL: &str = "
WITH wanted AS (SELECT array_agg(o || ' ' || t ORDER BY o, t) AS pairs FROM unnest($3::text[], $4::text[]) AS w (o, t)),
keys AS (
  SELECT f.oid, a.attname AS ours, b.attname AS theirs
    FROM pg_constraint f
    CROSS JOIN LATERAL unnest(f.conkey, f.confkey) AS k (child, parent)
    JOIN pg_attribute c ON c.attrelid = f.conrelid AND c.attnum = k.child
    JOIN pg_attribute p ON p.attrelid = f.confrelid AND p.attnum = k.parent
    JOIN pg_attribute a ON a.attrelid = $1::int8::oid AND a.attname = CASE WHEN f.conrelid = $1::int8::oid THEN c.attname ELSE p.attname END
    JOIN pg_attribute b ON b.attrelid = $2::int8::oid AND b.attname = CASE WHEN f.conrelid = $1::int8::oid THEN p.attname ELSE c.attname END
   WHERE f.contype = 'f' AND f.convalidated AND (f.conrelid, f.confrelid) IN (($1::int8::oid, $2::int8::oid), ($2::int8::oid, $1::int8::oid)))
SELECT EXISTS (SELECT FROM keys GROUP BY oid
               HAVING array_agg(ours || ' ' || theirs ORDER BY ours, theirs) = (SELECT pairs FROM wanted))";

/// No two rows of the table have the same values in these columns.
pub fn leads_to_one<'a>(table: &Table, columns: impl Iterator<Item = &'a String>, field: &str) -> Result<(), Problem> {
    let columns: Vec<&str> = columns.map(String::as_str).collect();
    let is_unique = |key: &Vec<String>| key.iter().all(|part| columns.contains(&part.as_str()));
    if table.unique.iter().any(is_unique) {
        return Ok(());
    }
    let detail = format!("({}) is not unique in {}", columns.join(", "), table.name);
    Err(Problem::new(Reason::RelationNotUnique, field, detail))
}

/// Whether the rule's own conditions or these grounds name a column through the relation.
fn reads_through(rule: &PlannedRule, grounds: &[PlannedGround], relation: &str) -> bool {
    let through = |column: &String| column.split_once('.').is_some_and(|(name, _)| name == relation);
    let conditions = rule.rows.iter().chain(grounds.iter().flat_map(|ground| &ground.when));
    conditions
        .flat_map(|condition| std::iter::once(&condition.column).chain(&condition.other_column))
        .chain(
            grounds
                .iter()
                .flat_map(|ground| ground.from.iter().chain(&ground.until)),
        )
        .any(through)
}

/// Values of the two columns can be compared by `=` without a cast.
pub fn are_equatable(left: &Column, right: &Column) -> bool {
    let name = |column: &Column| {
        let name = column.cast.strip_prefix("\"pg_catalog\".\"").unwrap_or_default();
        name.trim_end_matches('"').to_owned()
    };
    let both = |names: &[&str]| names.contains(&name(left).as_str()) && names.contains(&name(right).as_str());
    let has_equality = !both(&["json", "xml", "point"]);
    left.cast == right.cast && has_equality || both(&["int2", "int4", "int8"]) || both(&["text", "varchar"])
}

/// A ground that ends where a related row is missing.
#[must_use]
pub fn ends_when_missing(ground: &PlannedGround) -> bool {
    ground.on_missing_related == Some(OnMissingRelated::Ended)
}
