//! The rules of a policy, each by itself and together.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;

use super::{Invalid, reasons};
use crate::api::DataSource;
use crate::api::data_retention_policy::{Condition, Ground, Operator, RetentionRule, StartsAt};
use crate::api::data_source::Dataset;
use crate::domain::identifier::{Identifier, TableName};
use crate::domain::period::Period;
use crate::plan::columns::{deletes, read_by, written_by};

/// Every mistake in the rules.
pub(super) fn check(rules: &[RetentionRule], source: &DataSource) -> Vec<Invalid> {
    let mut invalid = Vec::new();
    let mut names = HashSet::new();
    for rule in rules {
        if !names.insert(&rule.name) {
            invalid.push(
                Invalid::new(reasons::DUPLICATE_NAME, "name", "two rules have this name; rename one")
                    .in_rule(&rule.name),
            );
        }
        let own = known_dataset(rule, source)
            .into_iter()
            .chain(identifiers(rule))
            .chain(rule.keep_while.iter().flat_map(ground))
            .chain(conditions(&rule.rows, "rows"))
            .chain(duplicate_grounds(rule));
        invalid.extend(own.map(|mistake| mistake.in_rule(&rule.name)));
    }
    invalid.extend(two_deletes(rules, source));
    invalid.extend(columns_in_use(rules, source));
    invalid.extend(columns_written_twice(rules, source));
    invalid
}

/// The dataset of a rule and its table.
pub(super) fn dataset<'a>(source: &'a DataSource, rule: &RetentionRule) -> Option<(&'a Dataset, TableName)> {
    let dataset = source
        .spec
        .datasets
        .iter()
        .find(|dataset| dataset.name == rule.dataset)?;
    Some((dataset, TableName::parse(&dataset.table).ok()?))
}

/// Zones of `timestamp` and `date` columns, by column.
pub(super) fn column_time_zones(dataset: &Dataset) -> BTreeMap<String, String> {
    dataset
        .fields
        .iter()
        .filter_map(|field| Some((field.column.clone(), field.time_zone.clone()?)))
        .collect()
}

/// Categories of personal data, each once, sorted.
pub(super) fn categories(dataset: &Dataset) -> Vec<String> {
    let categories: BTreeSet<String> = dataset
        .fields
        .iter()
        .filter_map(|field| field.category.clone())
        .collect();
    categories.into_iter().collect()
}

fn known_dataset(rule: &RetentionRule, source: &DataSource) -> Option<Invalid> {
    if source.spec.datasets.iter().any(|dataset| dataset.name == rule.dataset) {
        return None;
    }
    let known: Vec<String> = source
        .spec
        .datasets
        .iter()
        .map(|dataset| dataset.name.clone())
        .collect();
    Some(Invalid::new(
        reasons::UNKNOWN_DATASET,
        "dataset",
        format!(
            "the DataSource has no dataset `{}`; it has {}",
            rule.dataset,
            crate::plan::join_words(&known, "and")
        ),
    ))
}

fn identifiers(rule: &RetentionRule) -> Vec<Invalid> {
    let read = read_by(rule).into_iter().map(|used| (used.column, used.field));
    let written = written_by(rule).into_iter().map(|write| (write.column, write.field));
    read.chain(written)
        .filter_map(|(column, field)| {
            let error = Identifier::parse(&column).err()?;
            Some(Invalid::new(reasons::INVALID_IDENTIFIER, field, error.to_string()))
        })
        .collect()
}

fn duplicate_grounds(rule: &RetentionRule) -> Vec<Invalid> {
    let mut names = HashSet::new();
    rule.keep_while
        .iter()
        .filter(|ground| !names.insert(&ground.name))
        .map(|ground| {
            Invalid::new(
                reasons::DUPLICATE_NAME,
                format!("keepWhile[{}].name", ground.name),
                "two grounds have this name; rename one",
            )
        })
        .collect()
}

fn ground(ground: &Ground) -> Vec<Invalid> {
    let path = format!("keepWhile[{}]", ground.name);
    let mut invalid = conditions(&ground.when, &format!("{path}.when"));
    if let Some(text) = &ground.for_ {
        match text.parse::<Period>() {
            Err(error) => invalid.push(Invalid::new(
                reasons::INVALID_DURATION,
                format!("{path}.for"),
                error.to_string(),
            )),
            Ok(period) if period.has_time_part() && ground.starts_at.unwrap_or_default() != StartsAt::Event => {
                invalid.push(Invalid::new(
                    reasons::INVALID_DURATION,
                    format!("{path}.for"),
                    format!(
                        "`{text}` has hours, minutes or seconds; with startsAt write whole days, weeks, months or years"
                    ),
                ));
            }
            Ok(_) => {}
        }
    }
    invalid
}

/// Times that stand in conditions. Other values are judged against the column's type, by the worker.
fn conditions(conditions: &[Condition], path: &str) -> Vec<Invalid> {
    let compares_times = |operator| {
        matches!(
            operator,
            Operator::Before | Operator::NotBefore | Operator::After | Operator::NotAfter
        )
    };
    conditions
        .iter()
        .enumerate()
        .filter(|(_, condition)| compares_times(condition.operator))
        .flat_map(|(index, condition)| condition.values.iter().map(move |value| (index, value)))
        .filter(|(_, value)| *value != "now" && value.parse::<Timestamp>().is_err())
        .map(|(index, _)| {
            // The value is not repeated: it is the one place of a policy into which a person's data could be written.
            Invalid::new(
                reasons::INVALID_VALUE,
                format!("{path}[{index}].values[0]"),
                "the value is not a time; write `now`, or a time with its offset such as 2026-01-31T00:00:00+01:00",
            )
        })
        .collect()
}

/// Rules by table, in the order of the spec.
fn by_table<'a>(rules: &'a [RetentionRule], source: &DataSource) -> Vec<Vec<&'a RetentionRule>> {
    let mut tables: BTreeMap<TableName, Vec<&RetentionRule>> = BTreeMap::new();
    for rule in rules {
        if let Some((_, table)) = dataset(source, rule) {
            tables.entry(table).or_default().push(rule);
        }
    }
    tables.into_values().collect()
}

fn two_deletes(rules: &[RetentionRule], source: &DataSource) -> Vec<Invalid> {
    let mut invalid = Vec::new();
    for table_rules in by_table(rules, source) {
        let mut deleting = table_rules.into_iter().filter(|rule| deletes(rule));
        if let Some(first) = deleting.next() {
            invalid.extend(deleting.map(|rule| {
                Invalid::new(
                    reasons::TWO_DELETES,
                    "then.delete",
                    format!(
                        "the rule `{}` deletes from the same table; write both as grounds of one rule",
                        first.name
                    ),
                )
                .in_rule(&rule.name)
            }));
        }
    }
    invalid
}

/// A mask or set may not change by what a row is judged: the rule would judge its own doing. A set may write a column
/// of its own `rows`: it records the very state that it sets.
fn columns_in_use(rules: &[RetentionRule], source: &DataSource) -> Vec<Invalid> {
    let mut invalid = Vec::new();
    for table_rules in by_table(rules, source) {
        for rule in &table_rules {
            for write in written_by(rule) {
                let conflict = table_rules.iter().find_map(|other| {
                    let used = read_by(other).into_iter().find(|used| {
                        let records_state = write.by_set && used.in_rows && other.name == rule.name;
                        used.column == write.column && !records_state
                    })?;
                    Some((other.name.clone(), used.field))
                });
                if let Some((other, field)) = conflict {
                    invalid.push(
                        Invalid::new(
                            reasons::COLUMN_IN_USE,
                            write.field,
                            format!(
                                "the column `{}` decides about rows in spec.rules[{other}].{field} and may not be written; write another column, or decide by another one",
                                write.column
                            ),
                        )
                        .in_rule(&rule.name),
                    );
                }
            }
        }
    }
    invalid
}

/// Two rules that set one column would overwrite each other in every run, for ever.
fn columns_written_twice(rules: &[RetentionRule], source: &DataSource) -> Vec<Invalid> {
    let mut invalid = Vec::new();
    for table_rules in by_table(rules, source) {
        let mut written: BTreeMap<String, (&str, bool)> = BTreeMap::new();
        for rule in table_rules {
            for write in written_by(rule) {
                match written.get(&write.column) {
                    Some((other, other_sets)) if *other_sets || write.by_set => invalid.push(
                        Invalid::new(
                            reasons::COLUMN_IN_USE,
                            write.field,
                            format!(
                                "the rule `{other}` writes the column `{}` as well, and the two would undo each other's work; keep one of them",
                                write.column
                            ),
                        )
                        .in_rule(&rule.name),
                    ),
                    Some(_) => {}
                    None => {
                        written.insert(write.column, (&rule.name, write.by_set));
                    }
                }
            }
        }
    }
    invalid
}
