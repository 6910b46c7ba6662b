//! Which columns a mask or set may write: none by which rows are judged, and none that two rules would fight for.

use super::{Invalid, reasons, rules};
use crate::api::DataSource;
use crate::api::data_retention_policy::RetentionRule;
use crate::api::data_source::Dataset;
use crate::domain::identifier::TableName;
use crate::plan::columns::{Write, read_by, written_by};

/// The rules of a policy.
#[derive(Clone, Copy)]
pub(super) struct Party<'a> {
    /// Name of the policy; `None`: the one that is validated.
    pub policy: Option<&'a str>,
    /// Its rules.
    pub rules: &'a [RetentionRule],
    /// Its store.
    pub source: &'a DataSource,
}

impl Party<'_> {
    fn place(&self, rule: &str, field: &str) -> String {
        match self.policy {
            None => format!("spec.rules[{rule}].{field}"),
            Some(policy) => format!("spec.rules[{rule}].{field} of the policy `{policy}`"),
        }
    }
}

/// Every write of the first party that may not be, seen with the rules of all.
pub(super) fn check(parties: &[Party<'_>]) -> Vec<Invalid> {
    let Some(own) = parties.first() else { return Vec::new() };
    let mut invalid = Vec::new();
    for (index, rule) in own.rules.iter().enumerate() {
        let Some((dataset, table)) = rules::dataset(own.source, rule) else {
            continue;
        };
        for write in written_by(rule) {
            let mistake = identifies(dataset, &write)
                .or_else(|| decides(parties, rule, &table, &write))
                .or_else(|| written_twice(parties, index, &table, &write));
            invalid.extend(
                mistake.map(|text| Invalid::new(reasons::COLUMN_IN_USE, write.field.clone(), text).in_rule(&rule.name)),
            );
        }
    }
    invalid
}

/// The declaration of the dataset needs the column: it says which row it is, whose, or at which row it points. Emptying
/// the last two is unlinking, and means what it says.
fn identifies(dataset: &Dataset, write: &Write) -> Option<String> {
    let is_key = dataset.key.contains(&write.column);
    let leads = dataset
        .relations
        .iter()
        .any(|relation| relation.columns.contains_key(&write.column));
    let names = dataset
        .subjects
        .iter()
        .any(|subject| subject.column.as_ref() == Some(&write.column));
    (is_key || !write.to_null && (leads || names)).then(|| {
        let what = if is_key {
            "key"
        } else if leads {
            "relations"
        } else {
            "subjects"
        };
        format!(
            "the column `{}` stands in {what} of the dataset `{}` and may not be written; write another column{}",
            write.column,
            dataset.name,
            if is_key {
                ""
            } else {
                ", or empty it with strategy Nullify"
            }
        )
    })
}

/// A mask or set may not change by what a row is judged: the rule would judge its own doing. A set may write a column
/// of its own `rows`: it records the very state that it sets. A column that leads to a related row may be emptied where
/// every rule that reads it says what a missing row means.
fn decides(parties: &[Party<'_>], rule: &RetentionRule, table: &TableName, write: &Write) -> Option<String> {
    parties.iter().find_map(|party| {
        party.rules.iter().find_map(|other| {
            let used = read_by(other, party.source).into_iter().find(|used| {
                let records_state = write.by_set && used.in_rows && party.policy.is_none() && other.name == rule.name;
                let unlinks = write.to_null && used.may_be_missing;
                used.column == write.column && used.table == *table && !records_state && !unlinks
            })?;
            Some(format!(
                "the column `{}` decides about rows in {} and may not be written; write another column, or decide by another one",
                write.column,
                party.place(&other.name, &used.field)
            ))
        })
    })
}

/// Two rules that set one column would overwrite each other in every run, for ever. Of one policy the later rule is told.
fn written_twice(parties: &[Party<'_>], index: usize, table: &TableName, write: &Write) -> Option<String> {
    parties.iter().find_map(|party| {
        let before = if party.policy.is_none() {
            index
        } else {
            party.rules.len()
        };
        party.rules[..before].iter().find_map(|other| {
            let (_, its_table) = rules::dataset(party.source, other)?;
            let its = written_by(other).into_iter().find(|its| its.column == write.column)?;
            (its_table == *table && (its.by_set || write.by_set)).then(|| {
                format!(
                    "{} writes the column `{}` as well, and the two would undo each other's work; keep one of them",
                    party.place(&other.name, &its.field),
                    write.column
                )
            })
        })
    })
}
