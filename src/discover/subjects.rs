//! Guesses which rows point at which, and whose rows they are: what an export needs to find one person's data.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::catalogue::{ForeignKey, Table};
use super::category::{guess, words};
use super::choose::Dataset;
use super::yaml::{label, scalar};
use crate::domain::identifier::Identifier;

/// Most relations, and most subjects, that a dataset takes.
const MOST: usize = 16;
/// Most pairs of columns in a relation.
const MOST_PAIRS: usize = 8;
/// Longest name of a relation.
const LONGEST_NAME: usize = 63;

/// Words that name people, in names of tables.
const PEOPLE: &[&str] = &[
    "user",
    "users",
    "account",
    "accounts",
    "customer",
    "customers",
    "member",
    "members",
    "person",
    "persons",
    "people",
    "contact",
    "contacts",
    "patient",
    "patients",
    "applicant",
    "applicants",
    "subscriber",
    "subscribers",
    "profile",
    "profiles",
    "employee",
    "employees",
];

/// A dataset of the draft that a row points at.
struct Relation {
    name: String,
    dataset: String,
    /// Own column, and the column of the other table.
    columns: Vec<(String, String)>,
}

/// Writes the relations and subjects of a dataset, each to be checked.
pub fn print(text: &mut String, dataset: &Dataset<'_>, all: &[Dataset<'_>]) {
    let relations = relations(dataset.table, all);
    if !relations.is_empty() {
        text.push_str("    relations:  # from the foreign keys\n");
    }
    for relation in &relations {
        let columns: Vec<String> = relation
            .columns
            .iter()
            .map(|(own, other)| format!("{}: {}", scalar(own), scalar(other)))
            .collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "    - name: {}\n      dataset: {}\n      columns: {{{}}}",
            scalar(&relation.name),
            scalar(&relation.dataset),
            columns.join(", ")
        );
    }
    let subjects = subjects(dataset.table, all);
    if !subjects.is_empty() {
        text.push_str("    subjects:\n");
    }
    for (identity, column) in subjects {
        let _ = writeln!(
            text,
            "    - identity: {}  # guessed from names: check that it is this person's row\n      column: {}",
            scalar(&identity),
            scalar(&column)
        );
    }
}

fn relations(table: &Table, all: &[Dataset<'_>]) -> Vec<Relation> {
    let mut taken = BTreeSet::new();
    let mut relations = Vec::new();
    for key in &table.foreign_keys {
        let Some(other) = target(key, all) else { continue };
        let names = key.from.iter().chain(&key.to);
        let usable = !key.from.is_empty() && key.from.len() <= MOST_PAIRS && key.from.len() == key.to.len();
        if !usable || names.clone().any(|name| Identifier::parse(name).is_err()) {
            continue;
        }
        let stem = label(key.from[0].trim_end_matches("_id"), LONGEST_NAME - 3);
        let numbered = (2..=MOST + 1).map(|number| format!("{stem}-{number}"));
        let free = std::iter::once(stem.clone())
            .chain(numbered)
            .find(|name| !taken.contains(name));
        let Some(name) = free.filter(|_| relations.len() < MOST) else {
            break;
        };
        taken.insert(name.clone());
        relations.push(Relation {
            name,
            dataset: other.name.clone(),
            columns: key.from.iter().cloned().zip(key.to.iter().cloned()).collect(),
        });
    }
    relations
}

fn target<'a>(key: &ForeignKey, all: &'a [Dataset<'a>]) -> Option<&'a Dataset<'a>> {
    all.iter()
        .find(|dataset| key.other.0 == dataset.table.schema && key.other.1 == dataset.table.name)
}

/// Columns that may say whose row it is: the key of a table of people, a foreign key to one, an e-mail address.
fn subjects(table: &Table, all: &[Dataset<'_>]) -> Vec<(String, String)> {
    let own = identity(table).map(|(identity, key)| (identity, key.to_owned()));
    let pointing = table.foreign_keys.iter().filter_map(|key| {
        let (identity, column) = identity(target(key, all)?.table)?;
        let is_key = key.from.len() == 1 && key.to.len() == 1 && key.to[0] == column;
        is_key.then(|| (identity, key.from[0].clone()))
    });
    let mails = table
        .columns
        .iter()
        .filter(|column| guess(&table.name, column) == Some("user.contact.email"))
        .map(|column| ("email".to_owned(), column.name.clone()));
    let mut subjects: Vec<(String, String)> = Vec::new();
    for subject in own.into_iter().chain(pointing).chain(mails) {
        if Identifier::parse(&subject.1).is_ok() && !subjects.contains(&subject) && subjects.len() < MOST {
            subjects.push(subject);
        }
    }
    subjects
}

/// The name by which other tables know the people of a table, and the column of its key.
fn identity(table: &Table) -> Option<(String, &str)> {
    let [key] = table.primary_key.as_slice() else {
        return None;
    };
    let words = words(&table.name);
    // `users` and `app_users` are people; `user_sessions` are not.
    let last = words.last().filter(|word| PEOPLE.contains(&word.as_str()))?;
    let singular = match last.as_str() {
        "people" | "persons" => "person",
        other => other.strip_suffix('s').unwrap_or(other),
    };
    Some((format!("{singular}_id"), key))
}
