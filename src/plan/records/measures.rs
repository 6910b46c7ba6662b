//! Measures: what can be seen of them, and what is only written down.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

use super::access::Readers;
use super::{Inputs, Observed, found};
use crate::api::cluster_encryption::SECRETS;
use crate::api::data_source::{Dataset, HashedColumn, SurveyStatus, TlsMode};
use crate::api::findings::{Finding, ObservedLine};
use crate::api::measures::{HashedField, Measure, MeasureKind, Protected};
use crate::api::{ClusterEncryption, DataSource};
use crate::domain::{schedule::Schedule, zone};
use crate::plan::conditions::{Truth, find, is_true};
use crate::plan::reasons as conditions;

/// Condition of `ClusterEncryption`: every object was proven to be under the active key.
const ENCRYPTED: &str = "Encrypted";

/// Stores, datasets and columns that measures name and that are not declared.
pub(super) fn findings(inputs: &Inputs<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, measure) in inputs.activity.spec.measures.iter().enumerate() {
        let path = format!("spec.measures[{index}]");
        for name in &measure.data_sources {
            if !inputs.sources.iter().any(|source| source.name_any() == *name) {
                let message = format!("there is no DataSource {name} in this namespace");
                findings.push(found::UNKNOWN_DATASET.at(format!("{path}.dataSources"), message));
            }
        }
        for field in &measure.fields {
            let holders = holders(inputs.sources, field);
            let path = format!("{path}.fields[{}.{}]", field.dataset, field.column);
            if holders.is_empty() {
                let message = format!("no DataSource of this namespace declares the dataset {}", field.dataset);
                findings.push(found::UNKNOWN_DATASET.at(path, message));
            } else if !holders
                .iter()
                .any(|(_, dataset)| dataset.fields.iter().any(|known| known.column == field.column))
            {
                let message = format!(
                    "the dataset {} does not declare the column {}",
                    field.dataset, field.column
                );
                findings.push(found::UNKNOWN_DATASET.at(path, message));
            }
        }
    }
    findings
}

/// The datasets that a hashed field is about.
#[must_use]
pub fn holders<'a>(sources: &[&'a DataSource], field: &HashedField) -> Vec<(&'a DataSource, &'a Dataset)> {
    sources
        .iter()
        .filter(|source| field.data_source.as_ref().is_none_or(|name| source.name_any() == *name))
        .filter_map(|source| {
            let dataset = source
                .spec
                .datasets
                .iter()
                .find(|dataset| dataset.name == field.dataset)?;
            Some((*source, dataset))
        })
        .collect()
}

/// The Secrets that measures of access control name.
#[must_use]
pub fn secrets(measures: &[Measure]) -> Vec<String> {
    let mut names: Vec<String> = measures
        .iter()
        .filter(|measure| measure.kind == MeasureKind::AccessControl)
        .flat_map(|measure| measure.secrets.iter().cloned())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// How each measure stands.
#[must_use]
pub fn observed(inputs: &Inputs<'_>) -> Vec<ObservedLine> {
    let measures = inputs.activity.spec.measures.iter().enumerate();
    measures
        .map(|(index, measure)| of_measure(inputs, measure).line(index, subject(measure)))
        .collect()
}

/// What a measure is about, in a few words.
#[must_use]
pub fn subject(measure: &Measure) -> String {
    let kind = format!("{:?}", measure.kind);
    match (measure.kind, measure.of) {
        (MeasureKind::Described, _) => measure.description.clone().unwrap_or(kind),
        (_, Some(of)) => format!("{kind} of {of:?}"),
        (MeasureKind::PasswordHashing, _) => {
            let fields: Vec<String> = measure
                .fields
                .iter()
                .map(|field| format!("{}.{}", field.dataset, field.column))
                .collect();
            format!("{kind} of {}", fields.join(", "))
        }
        _ => format!("{kind} of {}", measure.secrets.join(", ")),
    }
}

/// Whether Secrets are encrypted in etcd, as the state machine of `ClusterEncryption` has proven it.
#[must_use]
pub fn of_cluster_encryption(encryption: &ClusterEncryption) -> Observed {
    let spec = &encryption.spec;
    let listed = [&spec.resources, &spec.allowed_resources];
    if !listed
        .iter()
        .any(|list| list.iter().any(|resource| resource == SECRETS))
    {
        let text = "ClusterEncryption lists secrets neither in spec.resources nor in spec.allowedResources";
        return Observed::new(false, "SecretsNotListed", text);
    }
    let condition = encryption
        .status
        .as_ref()
        .and_then(|status| find(&status.conditions, ENCRYPTED));
    match condition {
        None => Observed::unknown(
            "NotVerified",
            "ClusterEncryption has not said yet whether every Secret is encrypted",
        ),
        Some(condition) => {
            let truth = match condition.status.as_str() {
                "True" => Truth::True,
                "False" => Truth::False,
                _ => Truth::Unknown,
            };
            Observed::new(
                truth,
                &condition.reason,
                format!("ClusterEncryption: {}", condition.message),
            )
        }
    }
}

fn of_measure(inputs: &Inputs<'_>, measure: &Measure) -> Observed {
    match (measure.kind, measure.of) {
        (MeasureKind::EncryptionAtRest, Some(Protected::KubernetesSecrets)) => {
            inputs.encryption.clone().unwrap_or_else(|| {
                Observed::unknown(
                    "NoClusterEncryption",
                    "no ClusterEncryption says how the API servers store Secrets",
                )
            })
        }
        (MeasureKind::EncryptionAtRest, _) => Observed::unknown(
            "Recorded",
            "files, volumes and backups cannot be seen from here; it is written down and checked by nothing",
        ),
        (MeasureKind::EncryptionInTransit, Some(Protected::Database)) => {
            let sources = databases(inputs, measure);
            if sources.is_empty() {
                let text =
                    "no DataSource of this namespace has a dataset that serves this activity; name it in dataSources";
                return Observed::unknown("NoDataSource", text);
            }
            worst(
                &sources
                    .into_iter()
                    .map(|source| in_transit(source, inputs.now))
                    .collect::<Vec<_>>(),
            )
        }
        (MeasureKind::EncryptionInTransit, _) => Observed::unknown(
            "Recorded",
            "the way between people and the platform cannot be seen from here; it is written down and checked by nothing",
        ),
        (MeasureKind::PasswordHashing, _) => worst(
            &measure
                .fields
                .iter()
                .map(|field| hashed(inputs, field))
                .collect::<Vec<_>>(),
        ),
        (MeasureKind::AccessControl, _) => worst(
            &measure
                .secrets
                .iter()
                .map(|secret| readable(inputs, measure, secret))
                .collect::<Vec<_>>(),
        ),
        (MeasureKind::Described, _) => {
            Observed::unknown("Recorded", "a measure in words is written down and checked by nothing")
        }
    }
}

/// Of several observations: all messages, and the worst truth with its reason.
fn worst(all: &[Observed]) -> Observed {
    let rank = |truth: Truth| match truth {
        Truth::False => 0,
        Truth::Unknown => 1,
        Truth::True => 2,
    };
    let messages: Vec<&str> = all.iter().map(|one| one.message.as_str()).collect();
    let message = messages.join("; ");
    match all.iter().min_by_key(|one| rank(one.truth)) {
        Some(worst) => Observed {
            message,
            ..worst.clone()
        },
        None => Observed::unknown("Recorded", "nothing is named"),
    }
}

fn databases<'a>(inputs: &Inputs<'a>, measure: &Measure) -> Vec<&'a DataSource> {
    let name = inputs.activity.name_any();
    inputs
        .sources
        .iter()
        .filter(|source| {
            if measure.data_sources.is_empty() {
                source
                    .spec
                    .datasets
                    .iter()
                    .any(|dataset| dataset.activities.contains(&name))
            } else {
                measure.data_sources.contains(&source.name_any())
            }
        })
        .copied()
        .collect()
}

/// The last survey that still says something about now, or why there is none.
fn survey(source: &DataSource, now: Timestamp) -> Result<&SurveyStatus, Observed> {
    let name = source.name_any();
    let found = source.status.as_ref().and_then(|status| status.survey.as_ref());
    let Some(survey) = found else {
        let text = format!("no survey has looked at {name} yet; set spec.survey of the DataSource");
        return Err(Observed::unknown("NotSurveyed", text));
    };
    if now.duration_since(survey.finished_at.0) > longest_gap(source, now) {
        let text = format!("the last survey of {name} is too old; kubectl describe datasource {name} says why");
        return Err(Observed::unknown("SurveyOutdated", text));
    }
    Ok(survey)
}

/// Two gaps of the schedule and an hour: a survey that was missed once is not worth a word.
fn longest_gap(source: &DataSource, now: Timestamp) -> SignedDuration {
    let gap = source.spec.survey.as_ref().and_then(|survey| {
        let schedule: Schedule = survey.schedule.parse().ok()?;
        let zone = zone::parse(&survey.time_zone).ok()?;
        Some(schedule.largest_gap_seconds(now, &zone))
    });
    SignedDuration::from_secs(gap.unwrap_or(86_400).saturating_mul(2).saturating_add(3600))
}

fn in_transit(source: &DataSource, now: Timestamp) -> Observed {
    let name = source.name_any();
    if source.spec.postgres.tls.mode == TlsMode::Disable {
        let text = format!("{name}: tls.mode is Disable, so passwords and data go in clear");
        return Observed::new(false, "TlsDisabled", text);
    }
    let limit = "of other clients' connections nothing is known";
    match survey(source, now) {
        Ok(survey) if survey.problem.is_none() => match &survey.tls {
            Some(protocol) => Observed::new(
                true,
                "TlsInUse",
                format!("{name}: the survey's connection used {protocol}, with a verified certificate; {limit}"),
            ),
            None => Observed::new(
                false,
                "TlsNotInUse",
                format!("{name}: the survey's connection was not encrypted"),
            ),
        },
        // A worker never falls back to an unencrypted connection.
        _ if source
            .status
            .as_ref()
            .is_some_and(|status| is_true(&status.conditions, conditions::REACHABLE)) =>
        {
            Observed::new(
                true,
                "TlsInUse",
                format!("{name}: the last run connected, and it does so with a verified certificate only; {limit}"),
            )
        }
        Ok(_) => Observed::unknown(
            "NotReachable",
            format!("{name}: the last survey did not reach the store"),
        ),
        Err(why) => why,
    }
}

fn hashed(inputs: &Inputs<'_>, field: &HashedField) -> Observed {
    let place = format!("{}.{}", field.dataset, field.column);
    let holders = holders(inputs.sources, field);
    if holders.is_empty() {
        return Observed::unknown(found::UNKNOWN_DATASET.word, format!("{place} is not declared"));
    }
    worst(
        &holders
            .into_iter()
            .map(|(source, _)| match survey(source, inputs.now) {
                Ok(survey) => {
                    let same = |column: &&HashedColumn| {
                        column.dataset == field.dataset
                            && column.column == field.column
                            && column.scheme == field.scheme
                    };
                    counted(&place, survey.hashed.iter().find(same))
                }
                Err(why) => why,
            })
            .collect::<Vec<_>>(),
    )
}

fn counted(place: &str, column: Option<&HashedColumn>) -> Observed {
    let Some(column) = column else {
        return Observed::unknown("NotSurveyed", format!("the last survey did not look at {place} yet"));
    };
    let scheme = format!("{:?}", column.scheme).to_lowercase();
    match (&column.problem, column.checked, column.others) {
        (Some(problem), _, _) => Observed::unknown(&problem.reason, format!("{place}: {}", problem.message)),
        (None, Some(0), _) => Observed::unknown("NoValues", format!("{place} has no values to look at")),
        (None, Some(checked), Some(0)) => Observed::new(
            true,
            "FormMatches",
            format!("{place}: all {checked} values have the form of {scheme}"),
        ),
        (None, Some(checked), Some(others)) => Observed::new(
            false,
            "NotHashed",
            format!("{place}: {others} of {checked} values do not have the form of {scheme}"),
        ),
        _ => Observed::unknown("NotSurveyed", format!("{place}: the survey told no counts")),
    }
}

fn readable(inputs: &Inputs<'_>, measure: &Measure, secret: &str) -> Observed {
    let namespace = inputs.activity.namespace().unwrap_or_default();
    match inputs.readers.iter().find(|(name, _)| name == secret) {
        None => Observed::unknown(
            "NotEvaluated",
            format!("who may read Secret {secret} was not looked at"),
        ),
        Some((_, Readers::Unreadable(why))) => Observed::unknown(
            "RightsNotReadable",
            format!("who may read Secret {secret} cannot be told: {why}"),
        ),
        Some((_, Readers::Known(all))) => super::access::judge(secret, &namespace, &measure.allowed, all),
    }
}
