//! What the first page of an archive prints: the activities and the notice, from the record of processing.

use std::collections::BTreeSet;

use crate::api::common;
use crate::api::processing_activity as api;
use crate::api::{DataRetentionPolicy, DataSource, PrivacyNotice, ProcessingActivity, SubjectRightsPolicy};
use crate::contract::export::{
    Activity, AutomatedDecisions, Basis, Category, LegalBasis, Localized, Notice, Party, Recipient, Retention, Transfer,
};

/// The record of processing, as far as a namespace sees it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Record<'a> {
    /// Activities of the namespace.
    pub activities: &'a [&'a ProcessingActivity],
    /// Every notice.
    pub notices: &'a [&'a PrivacyNotice],
    /// Retention policies of the namespace.
    pub policies: &'a [&'a DataRetentionPolicy],
}

/// Every activity of the namespace: also one that no dataset serves has categories that would be missing. An activity
/// that a dataset names and that does not exist is printed by its name alone.
#[must_use]
pub fn activities(record: Record<'_>, sources: &[&DataSource]) -> Vec<Activity> {
    let mut activities: Vec<Activity> = record
        .activities
        .iter()
        .map(|activity| printed(activity, record))
        .collect();
    for name in unknown(record, sources) {
        activities.push(Activity {
            title: name.clone(),
            name,
            ..Activity::default()
        });
    }
    activities.sort_by(|one, other| one.name.cmp(&other.name));
    activities
}

/// Activities that datasets name and that do not exist.
#[must_use]
pub fn unknown(record: Record<'_>, sources: &[&DataSource]) -> BTreeSet<String> {
    let known: BTreeSet<&str> = record
        .activities
        .iter()
        .filter_map(|it| it.metadata.name.as_deref())
        .collect();
    let datasets = sources.iter().flat_map(|source| &source.spec.datasets);
    datasets
        .flat_map(|dataset| &dataset.activities)
        .filter(|name| !known.contains(name.as_str()))
        .cloned()
        .collect()
}

/// The notice that the policy names, or the one that the activities agree on.
#[must_use]
pub fn notice(record: Record<'_>, policy: &SubjectRightsPolicy) -> Notice {
    let referred: BTreeSet<&str> = record
        .activities
        .iter()
        .map(|it| it.spec.notice_ref.name.as_str())
        .collect();
    let agreed = if referred.len() == 1 {
        referred.first().copied()
    } else {
        None
    };
    let name = policy.spec.notice.as_deref().or(agreed);
    let found = record
        .notices
        .iter()
        .find(|notice| notice.metadata.name.as_deref() == name && name.is_some());
    found.map_or_else(Notice::default, |notice| Notice {
        version: Some(notice.spec.version.clone()),
        controllers: notice.spec.controllers.iter().map(party).collect(),
        representative: notice.spec.representative.as_ref().map(party),
        data_protection_officer: notice.spec.data_protection_officer.as_ref().map(party),
        supervisory_authority: notice.spec.supervisory_authority.as_ref().map(party),
    })
}

fn party(party: &common::Party) -> Party {
    let address = match (&party.address, &party.country) {
        (Some(address), Some(country)) => Some(format!("{address}, {country}")),
        (address, country) => address.clone().or(country.clone()),
    };
    Party {
        name: party.name.clone(),
        address,
        contact: party.contact.clone(),
    }
}

fn printed(activity: &ProcessingActivity, record: Record<'_>) -> Activity {
    let spec = &activity.spec;
    Activity {
        name: activity.metadata.name.clone().unwrap_or_default(),
        title: spec.title.clone(),
        on_behalf_of: spec
            .on_behalf_of
            .iter()
            .map(|principal| Party {
                name: principal.name.clone(),
                address: None,
                contact: principal.contact.clone(),
            })
            .collect(),
        purposes: spec
            .purposes
            .iter()
            .map(|purpose| purpose.description.clone().unwrap_or_else(|| purpose.key.clone()))
            .collect(),
        legal_bases: spec.legal_bases.iter().map(legal_basis).collect(),
        categories: spec
            .data_categories
            .iter()
            .map(|category| Category {
                key: category.key.clone(),
                required: category.required == Some(true),
                consequence: category.consequence.clone(),
            })
            .collect(),
        recipients: spec
            .recipients
            .iter()
            .map(|recipient| Recipient {
                name: recipient.name.clone(),
                category: recipient.category.clone(),
                role: recipient.role.map(|role| word(&role)),
            })
            .collect(),
        transfers: spec
            .transfers
            .iter()
            .map(|transfer| Transfer {
                recipient: transfer.recipient.clone(),
                countries: transfer.countries.clone(),
                // Nothing is made up: where no safeguard is recorded, none is printed.
                mechanism: transfer
                    .mechanism
                    .map_or_else(String::new, |mechanism| word(&mechanism)),
                reference: transfer.reference.clone(),
            })
            .collect(),
        retention: spec
            .retention
            .iter()
            .map(|line| retention(line, record.policies))
            .collect(),
        sources: spec.sources.iter().map(|source| source.name.clone()).collect(),
        automated_decisions: spec.automated_decisions.as_ref().map(|decisions| AutomatedDecisions {
            used: decisions.used,
            logic: decisions.logic.clone(),
            consequences: None,
        }),
    }
}

/// A word of the API, as users write it.
fn word<T: serde::Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn legal_basis(basis: &api::LegalBasis) -> LegalBasis {
    LegalBasis {
        basis: match basis.basis {
            api::LegalBasisKind::Consent => Basis::Consent,
            api::LegalBasisKind::Contract => Basis::Contract,
            api::LegalBasisKind::LegalObligation => Basis::LegalObligation,
            api::LegalBasisKind::VitalInterests => Basis::VitalInterests,
            api::LegalBasisKind::PublicTask => Basis::PublicTask,
            api::LegalBasisKind::LegitimateInterests => Basis::LegitimateInterests,
        },
        applies_to: basis.applies_to.clone(),
        reference: basis.reference.clone(),
        interest: basis.interest.clone(),
    }
}

/// A rule as the sentence that its policy shows; or the words of the notice.
fn retention(line: &api::RetentionLine, policies: &[&DataRetentionPolicy]) -> Retention {
    let text = match (&line.rule_ref, &line.stated) {
        (Some(reference), _) => rule_sentence(reference, policies).unwrap_or_default(),
        (None, Some(stated)) => Localized {
            en: stated.text.clone(),
            de: String::new(),
        },
        (None, None) => Localized::default(),
    };
    Retention {
        categories: line.categories.clone(),
        text,
    }
}

fn rule_sentence(reference: &api::RuleReference, policies: &[&DataRetentionPolicy]) -> Option<Localized> {
    let policy = policies
        .iter()
        .find(|policy| policy.metadata.name.as_deref() == Some(reference.policy.as_str()))?;
    let rules = &policy.status.as_ref()?.rules;
    let sentence = rules
        .iter()
        .find(|rule| rule.name == reference.rule)?
        .sentence
        .clone()?;
    Some(Localized {
        en: sentence.en,
        de: sentence.de,
    })
}
