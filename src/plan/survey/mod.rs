//! The survey of a `DataSource`: its plan, its children, and what its reports say in status. Pure.

pub mod children;
pub mod status;

#[cfg(test)]
mod tests;

use kube::ResourceExt as _;

use super::records::measures::holders;
use super::validate::store;
use crate::api::data_source::Dataset;
use crate::api::measures::{HashScheme, HashedField, MeasureKind};
use crate::api::{DataSource, ProcessingActivity};
use crate::contract::survey::{MOST_HASHED, PlannedDataset, PlannedHash, SurveyPlan, VERSION};
use crate::domain::hash;
use crate::domain::identifier::TableName;

/// A survey with everything that is to be applied for it.
#[derive(Debug, Clone)]
pub struct PlannedSurvey {
    /// What the worker gets.
    pub plan: SurveyPlan,
    /// The same as text.
    pub json: String,
    /// Hash of the text.
    pub plan_hash: String,
}

/// Plans the survey of a source whose declaration is usable. `None`: none is wanted, or the declaration is not usable.
/// `activities` are those of its namespace.
#[must_use]
pub fn plan(source: &DataSource, activities: &[&ProcessingActivity]) -> Option<PlannedSurvey> {
    let survey = source.spec.survey.as_ref()?;
    if !super::validate::source::check(source).is_empty() {
        return None;
    }
    let datasets: Option<Vec<PlannedDataset>> = source.spec.datasets.iter().map(dataset).collect();
    let plan = SurveyPlan {
        version: VERSION,
        namespace: source.namespace().unwrap_or_default(),
        source: source.name_any(),
        store: store(source),
        credentials_secret: source.spec.postgres.credentials_secret_ref.name.clone(),
        datasets: datasets?,
        without_personal_data: survey
            .without_personal_data
            .iter()
            .filter_map(|table| TableName::parse(table).ok())
            .map(|table| (table.schema.to_string(), table.name.to_string()))
            .collect(),
        hashed: hashed(source, activities),
    };
    // These types have string keys and finite numbers only: serialisation cannot fail.
    let json = serde_json::to_string(&plan).unwrap_or_default();
    Some(PlannedSurvey {
        plan_hash: hash::short(json.as_bytes()),
        plan,
        json,
    })
}

/// A table with every column that its dataset names, wherever it speaks of it.
#[must_use]
pub fn dataset(dataset: &Dataset) -> Option<PlannedDataset> {
    let table = TableName::parse(&dataset.table).ok()?;
    let fields = dataset.fields.iter().map(|field| field.column.clone());
    let relations = dataset
        .relations
        .iter()
        .flat_map(|relation| relation.columns.keys().cloned());
    let subjects = dataset
        .subjects
        .iter()
        .flat_map(|subject| subject.column.iter().chain(&subject.other_party_columns).cloned());
    let mut columns: Vec<String> = fields
        .chain(dataset.key.iter().cloned())
        .chain(relations)
        .chain(subjects)
        .collect();
    columns.sort();
    columns.dedup();
    Some(PlannedDataset {
        schema: table.schema.to_string(),
        table: table.name.to_string(),
        columns,
    })
}

/// The columns of this source that some activity claims to hold hashes, in one order whatever the order of activities.
fn hashed(source: &DataSource, activities: &[&ProcessingActivity]) -> Vec<PlannedHash> {
    let mut all: Vec<PlannedHash> = activities
        .iter()
        .flat_map(|activity| &activity.spec.measures)
        .filter(|measure| measure.kind == MeasureKind::PasswordHashing)
        .flat_map(|measure| &measure.fields)
        .filter_map(|field| planned_hash(source, field))
        .collect();
    all.sort();
    all.dedup();
    all.truncate(MOST_HASHED);
    all
}

fn planned_hash(source: &DataSource, field: &HashedField) -> Option<PlannedHash> {
    let (_, holder) = holders(&[source], field).into_iter().next()?;
    // A column that is not declared is no column of ours: the activity has a finding about it.
    holder.fields.iter().find(|known| known.column == field.column)?;
    Some(PlannedHash {
        dataset: source
            .spec
            .datasets
            .iter()
            .position(|dataset| dataset.name == field.dataset)?,
        column: field.column.clone(),
        scheme: scheme_word(field.scheme).to_owned(),
    })
}

/// The scheme's name in the API and the contract.
#[must_use]
pub const fn scheme_word(scheme: HashScheme) -> &'static str {
    match scheme {
        HashScheme::Bcrypt => "bcrypt",
        HashScheme::Argon2 => "argon2",
        HashScheme::Scrypt => "scrypt",
        HashScheme::Pbkdf2 => "pbkdf2",
    }
}
