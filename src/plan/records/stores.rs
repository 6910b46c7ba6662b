//! Records held against the stores: what serves which activity, and what nobody declares.

use kube::ResourceExt as _;

use super::{Inputs, covers, found, sorted};
use crate::api::findings::Finding;
use crate::api::{DataSource, ProcessingActivity};

/// An activity held against the datasets that serve it.
pub(super) fn of_activity(inputs: &Inputs<'_>) -> Vec<Finding> {
    let spec = &inputs.activity.spec;
    let name = inputs.activity.name_any();
    let mut findings = Vec::new();
    exclusive(inputs, &mut findings);
    for source in inputs.sources {
        for dataset in source
            .spec
            .datasets
            .iter()
            .filter(|dataset| dataset.activities.contains(&name))
        {
            let place = format!("{}/{}", source.name_any(), dataset.name);
            for field in &dataset.fields {
                let Some(category) = &field.category else { continue };
                if !spec.data_categories.iter().any(|known| covers(&known.key, category)) {
                    findings.push(found::UNDECLARED_CATEGORY.at(
                        "spec.dataCategories",
                        format!("column {} of {place} holds {category}", field.column),
                    ));
                }
            }
            for other in neighbours(inputs, &dataset.activities) {
                closed(spec, other, &place, &mut findings);
                apart(spec, other, &place, &mut findings);
            }
        }
    }
    findings
}

/// The other activities that a dataset serves.
fn neighbours<'a>(inputs: &Inputs<'a>, served: &[String]) -> Vec<&'a ProcessingActivity> {
    let own = inputs.activity.name_any();
    inputs
        .activities
        .iter()
        .filter(|other| other.name_any() != own && served.contains(&other.name_any()))
        .copied()
        .collect()
}

type Spec = crate::api::ProcessingActivitySpec;

/// Nobody else receives the data, and yet the same rows serve an activity that passes them on.
fn closed(spec: &Spec, other: &ProcessingActivity, place: &str, findings: &mut Vec<Finding>) {
    if !spec.recipients_closed {
        return;
    }
    for recipient in &other.spec.recipients {
        let known = spec
            .recipients
            .iter()
            .any(|own| own.category == recipient.category && own.name == recipient.name);
        if !known {
            let who = recipient.name.as_ref().unwrap_or(&recipient.category);
            findings.push(found::RECIPIENTS_CLOSED.at(
                "spec.recipientsClosed",
                format!(
                    "{place} also serves {}, which passes data on to {who}",
                    other.name_any()
                ),
            ));
        }
    }
}

/// The data is for these purposes only, and yet the same rows serve another one.
fn apart(spec: &Spec, other: &ProcessingActivity, place: &str, findings: &mut Vec<Finding>) {
    let Some(exclusive) = spec.purposes.iter().find(|purpose| purpose.exclusive) else {
        return;
    };
    for purpose in &other.spec.purposes {
        if !spec.purposes.iter().any(|own| covers(&own.key, &purpose.key)) {
            findings.push(found::EXCLUSIVE_PURPOSE_VIOLATED.at(
                format!("spec.purposes[{}].exclusive", exclusive.key),
                format!("{place} also serves {} for {}", other.name_any(), purpose.key),
            ));
        }
    }
}

/// Purposes of one activity, of which some exclude the others.
fn exclusive(inputs: &Inputs<'_>, findings: &mut Vec<Finding>) {
    let purposes = &inputs.activity.spec.purposes;
    let Some(exclusive) = purposes.iter().find(|purpose| purpose.exclusive) else {
        return;
    };
    for purpose in purposes.iter().filter(|purpose| !purpose.exclusive) {
        findings.push(found::EXCLUSIVE_PURPOSE_VIOLATED.at(
            format!("spec.purposes[{}].exclusive", exclusive.key),
            format!("the activity is also for {}, which is not exclusive", purpose.key),
        ));
    }
}

/// A store held against the activities of its namespace: datasets that serve none, and names of activities that are not
/// there. Where a namespace has no activity at all, nothing was promised, and nothing is found.
#[must_use]
pub fn of_source(source: &DataSource, activities: &[&ProcessingActivity]) -> Vec<Finding> {
    if activities.is_empty() && source.spec.datasets.iter().all(|dataset| dataset.activities.is_empty()) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for dataset in &source.spec.datasets {
        let path = format!("spec.datasets[{}].activities", dataset.name);
        if dataset.activities.is_empty() {
            let message = format!("the dataset {} serves no activity", dataset.name);
            findings.push(found::DATASET_WITHOUT_ACTIVITY.at(path.clone(), message));
        }
        for name in &dataset.activities {
            if !activities.iter().any(|activity| activity.name_any() == *name) {
                let message = format!("there is no ProcessingActivity {name} in this namespace");
                findings.push(found::UNKNOWN_ACTIVITY.at(path.clone(), message));
            }
        }
    }
    sorted(findings)
}
