//! What a hold must be, judged without the store.

use kube::ResourceExt as _;

use super::{begin_of, datasets};
use crate::api::data_retention_policy::{Condition, Operator};
use crate::api::data_source::Dataset;
use crate::api::{DataSource, LegalHold};
use crate::domain::identifier::Identifier;
use crate::plan::columns::{dataset, split};
use crate::plan::reasons;
use crate::plan::validate::{source as of_source, times};
use crate::plan::validated::Invalid;

/// Categories of data that say who somebody is: how to reach them, and what they are called.
const NAMING: [&str; 4] = ["user.contact", "user.name", "user.unique_id", "user.government_id"];

/// The mistake of a hold whose `DataSource` is not there.
#[must_use]
pub fn unknown_source(hold: &LegalHold) -> Invalid {
    Invalid::new(
        reasons::UNKNOWN_DATA_SOURCE,
        "spec.dataSourceRef.name",
        format!(
            "there is no DataSource `{}` in namespace {}; create it, or release the hold and create another",
            hold.spec.data_source_ref.name,
            hold.namespace().unwrap_or_default()
        ),
    )
}

/// Every mistake that leaves open what a hold binds.
#[must_use]
pub fn judge(hold: &LegalHold, source: &DataSource) -> Vec<Invalid> {
    if let Some(mistake) = of_source::check(source).first() {
        let message = format!(
            "the DataSource `{}` is invalid, correct it first: {}",
            source.name_any(),
            mistake.text()
        );
        return vec![Invalid::new(
            reasons::INVALID_DATA_SOURCE,
            "spec.dataSourceRef.name",
            message,
        )];
    }
    let mut invalid: Vec<Invalid> = hold
        .spec
        .datasets
        .iter()
        .enumerate()
        .filter(|(_, name)| dataset(source, name).is_none())
        .map(|(index, name)| unknown_dataset(index, name, source))
        .collect();
    invalid.extend(times(&hold.spec.when, "spec.when"));
    for (index, condition) in hold.spec.when.iter().enumerate() {
        invalid.extend(judge_condition(condition, &format!("spec.when[{index}]"), hold, source));
    }
    if hold.spec.subject_secret_ref.is_some() {
        let nobodys = datasets(hold, source)
            .into_iter()
            .filter(|dataset| dataset.subjects.is_empty());
        invalid.extend(nobodys.map(|dataset| {
            let message = format!(
                "the dataset `{}` does not say whose its rows are; add subjects to it in the DataSource, or hold it by another LegalHold with when",
                dataset.name
            );
            Invalid::new(reasons::NO_SUBJECTS, "spec.datasets", message)
        }));
    }
    invalid
}

/// Days that are none. They leave open when somebody looks, not what is bound.
#[must_use]
pub fn days(hold: &LegalHold) -> Vec<Invalid> {
    let days = [
        ("spec.reviewAt", Some(&hold.spec.review_at)),
        ("spec.subjectInformedOn", hold.spec.subject_informed_on.as_ref()),
    ];
    days.into_iter()
        .filter_map(|(field, day)| {
            let day = day.filter(|day| begin_of(day).is_none())?;
            let message = format!("`{day}` is not a day; write it as YYYY-MM-DD");
            Some(Invalid::new(reasons::INVALID_VALUE, field, message))
        })
        .collect()
}

fn unknown_dataset(index: usize, name: &str, source: &DataSource) -> Invalid {
    let known: Vec<String> = source
        .spec
        .datasets
        .iter()
        .map(|dataset| dataset.name.clone())
        .collect();
    let message = format!(
        "the DataSource has no dataset `{name}`; it has {}: declare it there, or release the hold and create another",
        crate::plan::join_words(&known, "and")
    );
    Invalid::new(reasons::UNKNOWN_DATASET, format!("spec.datasets[{index}]"), message)
}

fn judge_condition(condition: &Condition, path: &str, hold: &LegalHold, source: &DataSource) -> Vec<Invalid> {
    let mut invalid = Vec::new();
    let other = condition.other_column.as_ref().map(|column| (column, "otherColumn"));
    for (column, part) in std::iter::once((&condition.column, "column")).chain(other) {
        let field = format!("{path}.{part}");
        if split(column).is_some() {
            let message =
                "name a column of the dataset itself: what a row of another table says can change while the hold lasts";
            invalid.push(Invalid::new(reasons::INVALID_VALUE, field, message));
        } else if let Err(error) = Identifier::parse(column) {
            invalid.push(Invalid::new(reasons::INVALID_IDENTIFIER, field, error.to_string()));
        } else if compares(condition.operator)
            && let Some(dataset) = hold
                .spec
                .datasets
                .iter()
                .filter_map(|name| dataset(source, name))
                .find(|dataset| names_somebody(dataset, column))
        {
            let message = format!(
                "`{column}` of `{}` says who somebody is, and values of it do not belong into this object; name the person in a Secret, by subjectSecretRef",
                dataset.name
            );
            invalid.push(Invalid::new(reasons::NAMES_A_PERSON, field, message));
        }
    }
    if condition.values.iter().any(|value| value == "now") {
        let message = "`now` is a condition that moves, and a hold does not; write the time itself";
        invalid.push(Invalid::new(
            reasons::INVALID_VALUE,
            format!("{path}.values[0]"),
            message,
        ));
    }
    invalid
}

const fn compares(operator: Operator) -> bool {
    !matches!(operator, Operator::Exists | Operator::DoesNotExist)
}

/// The column is one by which people are told apart, or is declared to hold what they are called or how they are reached.
fn names_somebody(dataset: &Dataset, column: &str) -> bool {
    let is_naming = |category: &String| {
        NAMING
            .iter()
            .any(|naming| category == naming || category.starts_with(&format!("{naming}.")))
    };
    let identifies = dataset
        .subjects
        .iter()
        .any(|subject| subject.column.as_deref() == Some(column));
    let declared = dataset.fields.iter().filter(|field| field.column == column);
    identifies || declared.filter_map(|field| field.category.as_ref()).any(is_naming)
}
