//! The child objects of a policy, one builder a file. They cannot fail: everything was judged before.

mod config_map;
mod cron_job;
mod first_look;
pub(crate) mod network_policy;
pub(crate) mod pod;

pub use config_map::config_map;
pub use cron_job::cron_job;
pub use first_look::first_look;
pub use network_policy::network_policy;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;

use super::naming;
use super::work_plan::Planned;
use crate::api::DataRetentionPolicy;

/// Name, namespace, owner and labels of a child.
fn metadata(planned: &Planned, name: String, component: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(planned.validated.namespace.clone()),
        labels: Some(labels(planned, component)),
        owner_references: Some(vec![owner(planned)]),
        ..ObjectMeta::default()
    }
}

fn labels(planned: &Planned, component: &str) -> BTreeMap<String, String> {
    [
        (naming::LABEL_NAME, naming::APPLICATION.to_owned()),
        (naming::LABEL_MANAGED_BY, naming::APPLICATION.to_owned()),
        (naming::LABEL_COMPONENT, component.to_owned()),
        (naming::LABEL_POLICY, naming::label_value(&planned.validated.name)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// [`labels`], and which plan and rules a run executes.
fn run_labels(planned: &Planned) -> BTreeMap<String, String> {
    let mut labels = labels(planned, "sweep");
    labels.insert(naming::LABEL_PLAN.to_owned(), planned.plan_hash.clone());
    labels.insert(naming::LABEL_RULES.to_owned(), planned.rules.hash.clone());
    labels
}

/// [`run_labels`] and the names of the rules, so that a report can be read after the plan has changed.
fn run_metadata(planned: &Planned) -> ObjectMeta {
    ObjectMeta {
        labels: Some(run_labels(planned)),
        annotations: Some(BTreeMap::from([(
            naming::ANNOTATION_RULE_NAMES.to_owned(),
            planned.rule_names(),
        )])),
        ..ObjectMeta::default()
    }
}

fn owner(planned: &Planned) -> OwnerReference {
    OwnerReference {
        api_version: DataRetentionPolicy::api_version(&()).into_owned(),
        kind: DataRetentionPolicy::kind(&()).into_owned(),
        name: planned.validated.name.clone(),
        uid: planned.validated.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}
