//! Chooses which tables become datasets, under which names, and where a first policy could begin.

use std::collections::BTreeSet;

use super::catalogue::{Catalogue, Column, Table, Unsupported};
use super::category::{guess, words};
use super::yaml::label;
use crate::domain::identifier::{Identifier, TableName};

/// Most datasets that a `DataSource` takes.
pub const MOST_DATASETS: usize = 64;

/// Longest name of a dataset.
const LONGEST_NAME: usize = 63;

/// What is printed of a catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice<'a> {
    /// The tables that are declared, by schema and name.
    pub datasets: Vec<Dataset<'a>>,
    /// The tables for which there was no room.
    pub left_out: Vec<&'a Table>,
    /// What cannot be declared.
    pub unsupported: Vec<Unsupported>,
    /// Where a first policy could begin: a dataset, and a time column of it.
    pub start: Option<(usize, &'a Column)>,
}

/// A table under the name that policies use.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset<'a> {
    /// Its name.
    pub name: String,
    /// The table.
    pub table: &'a Table,
}

/// Chooses.
#[must_use]
pub fn choose(catalogue: &Catalogue) -> Choice<'_> {
    let mut unsupported = catalogue.unsupported.clone();
    let mut tables: Vec<&Table> = Vec::new();
    for table in &catalogue.tables {
        match TableName::new(&table.schema, &table.name) {
            Ok(_) => tables.push(table),
            Err(problem) => unsupported.push(Unsupported {
                schema: table.schema.clone(),
                name: table.name.clone(),
                what: format!("not to be named in a policy: {problem}"),
            }),
        }
    }
    unsupported.sort_by(|one, other| (&one.schema, &one.name).cmp(&(&other.schema, &other.name)));
    tables.sort_by(|one, other| {
        relevance(other)
            .total_cmp(&relevance(one))
            .then_with(|| key(one).cmp(&key(other)))
    });
    let mut left_out = tables.split_off(tables.len().min(MOST_DATASETS));
    left_out.sort_by_key(|table| key(table));
    tables.sort_by_key(|table| key(table));
    let datasets = named(&tables);
    Choice {
        start: start(&datasets),
        datasets,
        left_out,
        unsupported,
    }
}

fn key(table: &Table) -> (&str, &str) {
    (&table.schema, &table.name)
}

/// Columns that suggest personal data count first, then a time from which a period could run, then size.
fn relevance(table: &Table) -> f64 {
    let guessed = table
        .columns
        .iter()
        .filter(|column| guess(&table.name, column).is_some())
        .count();
    let guessed = f64::from(u32::try_from(guessed).unwrap_or(u32::MAX));
    let timed = if table.columns.iter().any(|column| column.kind.is_time()) {
        1.0
    } else {
        0.0
    };
    guessed * 10.0 + timed * 5.0 + magnitude(table)
}

/// Number of digits of the row estimate, about.
fn magnitude(table: &Table) -> f64 {
    table.rows.unwrap_or(0.0).max(1.0).log10()
}

/// Names for the tables: that of the table where it is free, then with its schema, then with a number. Tables whose name
/// is a label already come first, so that `Users!` does not take the name of `users`.
fn named<'a>(tables: &[&'a Table]) -> Vec<Dataset<'a>> {
    let is_label = |table: &Table| label(&table.name, LONGEST_NAME) == table.name;
    let (exact, others): (Vec<&Table>, Vec<&Table>) = tables.iter().partition(|table| is_label(table));
    let mut taken = BTreeSet::new();
    let mut datasets: Vec<Dataset<'a>> = Vec::new();
    for table in exact.into_iter().chain(others) {
        let with_schema = label(&format!("{}-{}", table.schema, table.name), LONGEST_NAME);
        // Room for a hyphen and a number: there are at most 64 tables.
        let stem = label(&table.name, LONGEST_NAME - 3);
        let numbered = (2..=MOST_DATASETS + 1).map(|number| format!("{stem}-{number}"));
        let candidates = [label(&table.name, LONGEST_NAME), with_schema]
            .into_iter()
            .chain(numbered);
        let free = candidates.into_iter().find(|name| !taken.contains(name));
        // 64 numbers are enough for 64 tables: there is always one that is free.
        let Some(name) = free else { continue };
        taken.insert(name.clone());
        datasets.push(Dataset { name, table });
    }
    datasets.sort_by_key(|dataset| key(dataset.table));
    datasets
}

/// Words in names of tables whose rows are of use for a while only.
const PASSING: &[&str] = &[
    "log",
    "logs",
    "event",
    "events",
    "session",
    "sessions",
    "audit",
    "request",
    "requests",
    "access",
    "history",
    "token",
    "tokens",
    "visit",
    "visits",
    "tracking",
    "activity",
    "activities",
    "message",
    "messages",
    "notification",
    "notifications",
    "job",
    "jobs",
    "queue",
    "invitation",
    "invitations",
    "login",
    "logins",
    "telemetry",
];

/// Words among them that promise rows nobody will miss.
const LOGS: &[&str] = &[
    "log",
    "logs",
    "event",
    "events",
    "access",
    "audit",
    "telemetry",
    "tracking",
];

/// Words in names of columns with the time at which a row came to be.
const BEGINNINGS: &[&str] = &[
    "created",
    "occurred",
    "logged",
    "recorded",
    "inserted",
    "received",
    "started",
    "sent",
    "timestamp",
    "ts",
    "time",
    "at",
    "date",
    "day",
];

/// Words in names of columns with a time at which something else happened.
const OTHER_TIMES: &[&str] = &[
    "updated", "modified", "changed", "deleted", "expires", "expired", "expiry", "last", "next", "until", "birth",
    "born", "due",
];

/// The table and start event on which a first policy is most plausible.
fn start<'a>(datasets: &[Dataset<'a>]) -> Option<(usize, &'a Column)> {
    let mut best: Option<(f64, usize, &'a Column)> = None;
    for (index, dataset) in datasets.iter().enumerate() {
        let times = dataset.table.columns.iter().filter(|column| column.kind.is_time());
        for column in times.filter(|column| Identifier::parse(&column.name).is_ok()) {
            let score = plausibility(dataset.table, column);
            if best.is_none_or(|(highest, _, _)| score > highest) {
                best = Some((score, index, column));
            }
        }
    }
    best.map(|(_, index, column)| (index, column))
}

fn plausibility(table: &Table, column: &Column) -> f64 {
    let has = |name: &str, list: &[&str]| words(name).iter().any(|word| list.contains(&word.as_str()));
    let given = |condition: bool, points: f64| if condition { points } else { 0.0 };
    given(has(&table.name, PASSING), 4.0)
        + given(has(&table.name, LOGS), 1.0)
        + given(has(&column.name, BEGINNINGS), 2.0)
        + given(has(&column.name, OTHER_TIMES), -4.0)
        + given(column.indexed, 3.0)
        + given(column.kind.needs_zone(), -1.0)
        + given(
            table.columns.iter().any(|column| guess(&table.name, column).is_some()),
            2.0,
        )
        + given(!table.delete_obstacles().is_empty(), -6.0)
        + given(!table.referenced_by.is_empty(), -2.0)
        + given(table.row_security, -6.0)
        + magnitude(table) / 2.0
}
