//! What exports read of a store: the columns that leave it, those that say whose a row is, and nothing that is a secret.

use std::collections::BTreeSet;

use super::manifests::{Located, Manifests};
use super::needs::{NeedsError, SourceNeeds, identifier, table_name};
use crate::api::DataSource;
use crate::api::data_source::Dataset;
use crate::domain::identifier::{Identifier, TableName};

/// A dataset of which rows are exported, as far as only the catalogue can tell what is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Its table.
    pub table: TableName,
    /// The primary key identifies a row, since the dataset declares no key.
    pub by_primary_key: bool,
    /// Columns that are never read, not even as a part of the key.
    pub secrets: BTreeSet<Identifier>,
}

/// Names of the policies under which a store is exported: those of its namespace, if some row of it is somebody's.
#[must_use]
pub fn policies<'a>(source: &Located<DataSource>, manifests: &'a Manifests) -> Vec<&'a str> {
    if source
        .object
        .spec
        .datasets
        .iter()
        .all(|dataset| dataset.subjects.is_empty())
    {
        return Vec::new();
    }
    let rights = manifests.rights.iter().filter(|policy| {
        policy.namespace == source.namespace || policy.namespace.is_none() || source.namespace.is_none()
    });
    rights.map(|policy| policy.name.as_str()).collect()
}

/// Adds what exports under these policies read.
pub fn add(needs: &mut SourceNeeds<'_>, policies: &[&str]) -> Result<(), NeedsError> {
    let source = needs.source;
    let datasets = &source.object.spec.datasets;
    for (position, dataset) in datasets.iter().enumerate() {
        if dataset.subjects.is_empty() {
            continue;
        }
        let table = table_name(source, position)?;
        let entry = needs.tables.entry(table.clone()).or_default();
        entry.by_place = true;
        entry.select.extend(own_columns(source, position, dataset)?);
        entry
            .rules
            .extend(policies.iter().map(|policy| format!("exports, for {policy}")));
        for (target, columns) in followed(source, position, dataset)? {
            let table = table_name(source, target)?;
            needs.tables.entry(table).or_default().select.extend(columns);
        }
        let secrets = dataset.fields.iter().filter(|field| field.secret);
        let secrets =
            secrets.map(|field| identifier(source, &format!("spec.datasets[{position}].fields"), &field.column));
        needs.exported.push(Exported {
            table,
            by_primary_key: dataset.key.is_empty(),
            secrets: secrets.collect::<Result<_, _>>()?,
        });
    }
    needs.rights = policies.iter().map(|policy| (*policy).to_owned()).collect();
    Ok(())
}

/// The columns of a dataset that leave the store, and those by which it is said whose a row is. Such a column may be a
/// secret: it is compared then, and does not leave.
fn own_columns(
    source: &Located<DataSource>,
    position: usize,
    dataset: &Dataset,
) -> Result<BTreeSet<Identifier>, NeedsError> {
    let is_secret = |column: &String| {
        let mut fields = dataset.fields.iter();
        fields.any(|field| &field.column == column && field.secret)
    };
    let field = |part: &str| format!("spec.datasets[{position}].{part}");
    let key = dataset.key.iter().filter(|column| !is_secret(column));
    let declared = dataset
        .fields
        .iter()
        .filter(|field| !field.secret)
        .map(|field| &field.column);
    let identities = dataset.subjects.iter().filter_map(|subject| subject.column.as_ref());
    let through = dataset.subjects.iter().filter_map(|subject| subject.through.as_ref());
    let relations = dataset
        .relations
        .iter()
        .filter(|relation| through.clone().any(|name| *name == relation.name));
    let named = (key.map(|column| ("key", column)))
        .chain(declared.map(|column| ("fields", column)))
        .chain(identities.map(|column| ("subjects", column)))
        .chain(
            relations
                .flat_map(|relation| relation.columns.keys())
                .map(|column| ("relations", column)),
        );
    named
        .map(|(part, column)| identifier(source, &field(part), column))
        .collect()
}

/// The datasets that the rows of this one point at to say whose they are: each one's place, and the columns there.
fn followed(
    source: &Located<DataSource>,
    position: usize,
    dataset: &Dataset,
) -> Result<Vec<(usize, BTreeSet<Identifier>)>, NeedsError> {
    let datasets = &source.object.spec.datasets;
    let mut found = Vec::new();
    for (index, subject) in dataset.subjects.iter().enumerate() {
        let Some(name) = &subject.through else { continue };
        let field = format!("spec.datasets[{position}].subjects[{index}].through");
        let relation = dataset.relations.iter().find(|relation| &relation.name == name);
        let target = relation.and_then(|relation| datasets.iter().position(|other| other.name == relation.dataset));
        let (Some(relation), Some(target)) = (relation, target) else {
            return Err(NeedsError::UnknownRelation {
                object: source.to_string(),
                field,
                name: name.clone(),
            });
        };
        let columns = relation
            .columns
            .values()
            .map(|column| identifier(source, &field, column));
        found.push((target, columns.collect::<Result<_, _>>()?));
    }
    Ok(found)
}
