//! Rows of other datasets that rules look at: by `relation.column`, by `exists` and by `notExists`.

use std::collections::BTreeMap;

use super::columns::{self, named_by, split};
use super::reasons;
use super::validated::Invalid;
use crate::api::DataSource;
use crate::api::data_retention_policy::{RelatedRows, RetentionRule};
use crate::api::data_source::{Dataset, Relation};
use crate::contract::{PlannedExists, PlannedRelation};
use crate::domain::identifier::TableName;

/// The other rows that a rule looks at, planned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Related {
    /// By the name of the relation.
    pub relations: BTreeMap<String, PlannedRelation>,
    /// `exists`, by the name of the ground.
    pub exists: BTreeMap<String, PlannedExists>,
    /// `notExists`, by the name of the ground.
    pub not_exists: BTreeMap<String, PlannedExists>,
}

/// A mistake: the part of the field, the reason, what is wrong and what to do.
pub type Mistake = (&'static str, &'static str, String);

/// Resolves every other row that a rule looks at, or says which cannot be.
pub fn resolve(rule: &RetentionRule, dataset: &Dataset, source: &DataSource) -> Result<Related, Vec<Invalid>> {
    let mut related = Related::default();
    let mut invalid = Vec::new();
    for named in named_by(rule) {
        let Some((name, _)) = split(named.column) else {
            continue;
        };
        match relation(dataset, name).and_then(|relation| pointed_at(relation, source)) {
            Ok(planned) => {
                related.relations.insert(name.to_owned(), planned);
            }
            Err((_, reason, message)) => invalid.push(Invalid::new(reason, named.field, message)),
        }
    }
    for ground in &rule.keep_while {
        for (part, rows, planned) in [
            ("exists", &ground.exists, &mut related.exists),
            ("notExists", &ground.not_exists, &mut related.not_exists),
        ] {
            let Some(rows) = rows else { continue };
            match tied(rows, dataset, source) {
                Ok(relation) => {
                    let when = rows.when.clone();
                    planned.insert(ground.name.clone(), PlannedExists { relation, when });
                }
                Err((field, reason, message)) => {
                    let field = format!("keepWhile[{}].{part}.{field}", ground.name);
                    invalid.push(Invalid::new(reason, field, message));
                }
            }
        }
    }
    if invalid.is_empty() { Ok(related) } else { Err(invalid) }
}

/// A relation of a dataset.
pub fn relation<'a>(dataset: &'a Dataset, name: &str) -> Result<&'a Relation, Mistake> {
    dataset
        .relations
        .iter()
        .find(|relation| relation.name == name)
        .ok_or_else(|| {
            let known: Vec<String> = dataset.relations.iter().map(|relation| relation.name.clone()).collect();
            let has = match &known[..] {
                [] => "it has none".to_owned(),
                _ => format!("it has {}", super::join_words(&known, "and")),
            };
            let message = format!(
                "the dataset `{}` has no relation `{name}`, {has}; declare it under relations in the DataSource, or correct the name",
                dataset.name
            );
            ("relation", reasons::UNKNOWN_RELATION, message)
        })
}

/// A dataset of the source, and its table.
pub fn dataset<'a>(source: &'a DataSource, name: &str) -> Result<(&'a Dataset, TableName), Mistake> {
    let datasets = &source.spec.datasets;
    columns::dataset(source, name)
        .and_then(|dataset| Some((dataset, TableName::parse(&dataset.table).ok()?)))
        .ok_or_else(|| {
            let known: Vec<String> = datasets.iter().map(|dataset| dataset.name.clone()).collect();
            let message = format!(
                "the DataSource has no dataset `{name}`; it has {}",
                super::join_words(&known, "and")
            );
            ("dataset", reasons::UNKNOWN_DATASET, message)
        })
}

/// The row that a row points at.
pub fn pointed_at(relation: &Relation, source: &DataSource) -> Result<PlannedRelation, Mistake> {
    let (other, table) = dataset(source, &relation.dataset)?;
    Ok(planned(other, &table, relation.columns.clone().into_iter().collect()))
}

/// The rows of `exists`: those that point at this row, or those that point at the same row as this one.
fn tied(rows: &RelatedRows, own: &Dataset, source: &DataSource) -> Result<PlannedRelation, Mistake> {
    let (other, table) = dataset(source, &rows.dataset)?;
    if let Some(name) = &rows.same {
        return same(name, own, other, &table);
    }
    let relation = relation(other, rows.relation.as_deref().unwrap_or_default())?;
    if relation.dataset != own.name {
        let message = format!(
            "the relation `{}` of `{}` points at `{}`, not at `{}`; name a relation that points at the rule's dataset, or use same",
            relation.name, other.name, relation.dataset, own.name
        );
        return Err(("relation", reasons::UNKNOWN_RELATION, message));
    }
    Ok(planned(other, &table, turned(relation)))
}

/// The rows that point at a row by a relation of theirs.
pub fn pointing_at(relation: &Relation, theirs: &Dataset, source: &DataSource) -> Result<PlannedRelation, Mistake> {
    let (theirs, table) = dataset(source, &theirs.name)?;
    Ok(planned(theirs, &table, turned(relation)))
}

/// Pairs of a column that is pointed at, and the column that points.
fn turned(relation: &Relation) -> Vec<(String, String)> {
    let pairs = relation.columns.iter();
    pairs.map(|(theirs, ours)| (ours.clone(), theirs.clone())).collect()
}

/// Both relations of that name lead to one dataset by the same columns of it.
fn same(name: &str, own: &Dataset, other: &Dataset, table: &TableName) -> Result<PlannedRelation, Mistake> {
    let named = |(_, reason, message)| ("same", reason, message);
    let ours = relation(own, name).map_err(named)?;
    let theirs = relation(other, name).map_err(named)?;
    let by_target = |relation: &Relation| -> BTreeMap<String, String> {
        let pairs = relation.columns.iter();
        pairs.map(|(column, target)| (target.clone(), column.clone())).collect()
    };
    let (left, right) = (by_target(ours), by_target(theirs));
    if ours.dataset != theirs.dataset || left.keys().ne(right.keys()) {
        let message = format!(
            "the relations `{name}` of `{}` and `{}` must lead to the same dataset by the same columns of it; correct them in the DataSource, or name another",
            own.name, other.name
        );
        return Err(("same", reasons::UNKNOWN_RELATION, message));
    }
    let columns = left.into_values().zip(right.into_values()).collect();
    Ok(planned(other, table, columns))
}

fn planned(other: &Dataset, table: &TableName, columns: Vec<(String, String)>) -> PlannedRelation {
    PlannedRelation {
        schema: table.schema.to_string(),
        table: table.name.to_string(),
        columns,
        column_time_zones: column_time_zones(other),
    }
}

/// Zones of `timestamp` and `date` columns, by column.
#[must_use]
pub fn column_time_zones(dataset: &Dataset) -> BTreeMap<String, String> {
    dataset
        .fields
        .iter()
        .filter_map(|field| Some((field.column.clone(), field.time_zone.clone()?)))
        .collect()
}
