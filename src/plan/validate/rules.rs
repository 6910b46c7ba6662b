//! The rules of a policy, each by itself and together.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;

use super::{Invalid, reasons};
use crate::api::DataSource;
use crate::api::data_retention_policy::{Condition, Ground, Operator, RetentionRule, StartsAt};
use crate::api::data_source::Dataset;
use crate::domain::identifier::{Identifier, TableName};
use crate::domain::period::Period;
use crate::plan::cascade;
use crate::plan::columns::{self, ROW, named_by, newest_columns, of_conditions, related_rows, split, written_by};
use crate::plan::relations::resolve;

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
        invalid.extend(each(rule, source));
    }
    invalid.extend(key_secrets(rules));
    invalid
}

/// Whoever writes a policy must be allowed to read the Secrets that it names, and an API server asks that of one.
fn key_secrets(rules: &[RetentionRule]) -> Option<Invalid> {
    let mut keys = rules.iter().flat_map(|rule| {
        let masks = rule.then.iter().flat_map(|then| &then.mask);
        masks.filter_map(move |mask| Some((rule, mask, &mask.key_secret_ref.as_ref()?.name)))
    });
    let (.., first) = keys.next()?;
    let (rule, mask, other) = keys.find(|(.., other)| *other != first)?;
    let invalid = Invalid::new(
        reasons::SEVERAL_KEY_SECRETS,
        format!("then.mask[{}].keySecretRef.name", mask.column),
        format!(
            "the masks of a policy name one Secret, and there are `{first}` and `{other}`; put the keys into one, or write two policies"
        ),
    );
    Some(invalid.in_rule(&rule.name))
}

/// Every mistake in one rule by itself.
pub(super) fn each(rule: &RetentionRule, source: &DataSource) -> Vec<Invalid> {
    let related = dataset(source, rule).and_then(|(dataset, _)| resolve(rule, dataset, source).err());
    let cascade = dataset(source, rule).and_then(|(dataset, _)| cascade::resolve(rule, dataset, source).err());
    known_dataset(rule, source)
        .into_iter()
        .chain(identifiers(rule))
        .chain(related.into_iter().flatten())
        .chain(cascade.into_iter().flatten())
        .chain(rule.keep_while.iter().flat_map(ground))
        .chain(conditions(&rule.rows, "rows"))
        .chain(duplicate_grounds(rule))
        .map(|mistake| mistake.in_rule(&rule.name))
        .collect()
}

/// The dataset of a rule and its table.
pub(super) fn dataset<'a>(source: &'a DataSource, rule: &RetentionRule) -> Option<(&'a Dataset, TableName)> {
    let dataset = columns::dataset(source, &rule.dataset)?;
    Some((dataset, TableName::parse(&dataset.table).ok()?))
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
    let named = named_by(rule).into_iter();
    let read = named.map(|named| {
        (
            split(named.column).map_or(named.column, |parts| parts.1).to_owned(),
            named.field,
        )
    });
    let written = written_by(rule).into_iter().map(|write| (write.column, write.field));
    let newest = newest_columns(rule).map(|(column, field)| (column.to_owned(), field));
    let mut invalid: Vec<Invalid> = read
        .chain(written)
        .chain(newest)
        .filter_map(|(column, field)| identifier(&column, field))
        .collect();
    for ground in &rule.keep_while {
        for (part, rows) in related_rows(ground) {
            let path = format!("keepWhile[{}].{part}.when", ground.name);
            invalid.extend(of_conditions(&rows.when, &path).filter_map(|(column, field)| match split(column) {
                None => identifier(column, field),
                Some((ROW, column)) => identifier(column, field),
                Some((relation, _)) => Some(Invalid::new(
                    reasons::UNKNOWN_RELATION,
                    field,
                    format!("`{relation}.` means nothing here: name a column of the dataset `{}`, or `row.` and a column of the row being judged", rows.dataset),
                )),
            }));
        }
    }
    invalid
}

fn identifier(column: &str, field: String) -> Option<Invalid> {
    let error = Identifier::parse(column).err()?;
    Some(Invalid::new(reasons::INVALID_IDENTIFIER, field, error.to_string()))
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
    for (part, rows) in related_rows(ground) {
        invalid.extend(conditions(&rows.when, &format!("{path}.{part}.when")));
    }
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
pub(super) fn conditions(conditions: &[Condition], path: &str) -> Vec<Invalid> {
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
