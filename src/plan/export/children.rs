//! The Jobs and plans of a request, built from exactly the paths of the contract.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaimVolumeSource, Volume as PodVolume, VolumeMount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource as _;

use super::super::children::pod::{authority, plan_volume, secret_volume, stop_volume, worker_job_spec};
use super::super::naming;
use super::super::settings::WorkerSettings;
use super::Work;
use super::plans::{Identity, Plan};
use crate::api::ExportRequest;
use crate::contract::export::{
    DELIVERY_CA_PATH, DELIVERY_CREDENTIALS_DIRECTORY, DELIVERY_VOLUME_DIRECTORY, Delivery, ExpirePlan, ExportPlan,
    HASH_KEY_DIRECTORY, IdentifyPlan, SUBJECT_DIRECTORY, SubjectSource, store_ca_path, store_credentials_directory,
};

/// Label: uid of the request.
pub const LABEL_REQUEST: &str = "privacy-operator.dev/request";
/// Key of a plan, the file name of [`crate::contract::PLAN_PATH`].
pub const PLAN_KEY: &str = "plan.json";
/// Longest identification, in seconds.
const IDENTIFY_SECONDS: i64 = 300;
/// Longest deletion, in seconds.
const EXPIRE_SECONDS: i64 = 600;

/// Selects everything that belongs to a request.
#[must_use]
pub fn selector(uid: &str) -> String {
    format!("{},{LABEL_REQUEST}={uid}", naming::managed_selector())
}

/// Name of the ConfigMap with a plan that never changes: by its content.
#[must_use]
pub fn plan_name(uid: &str, hash: &str) -> String {
    format!("xr-{uid}-{hash}")
}

/// Name of the ConfigMap that says how the archive is deleted.
#[must_use]
pub fn expire_plan_name(uid: &str) -> String {
    format!("xr-{uid}-expire")
}

/// Name of the `NetworkPolicy`.
#[must_use]
pub fn network_policy_name(uid: &str) -> String {
    format!("xr-{uid}")
}

/// Name, labels and owner of a child.
#[must_use]
pub fn metadata(identity: Identity<'_>, name: String, component: &str, hash: Option<&str>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(identity.namespace.to_owned()),
        labels: Some(labels(identity, component, hash)),
        owner_references: Some(vec![OwnerReference {
            api_version: ExportRequest::api_version(&()).into_owned(),
            kind: ExportRequest::kind(&()).into_owned(),
            name: identity.name.to_owned(),
            uid: identity.uid.to_owned(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }]),
        ..ObjectMeta::default()
    }
}

fn labels(identity: Identity<'_>, component: &str, hash: Option<&str>) -> BTreeMap<String, String> {
    let fixed = [
        (naming::LABEL_NAME, naming::APPLICATION),
        (naming::LABEL_MANAGED_BY, naming::APPLICATION),
        (naming::LABEL_COMPONENT, component),
        (LABEL_REQUEST, identity.uid),
    ];
    let plan = hash.map(|hash| (naming::LABEL_PLAN, hash));
    let all = fixed.into_iter().chain(plan);
    all.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The ConfigMap with a plan. One that is named by its content never changes.
#[must_use]
pub fn config_map(identity: Identity<'_>, name: String, json: &str, immutable: bool) -> ConfigMap {
    ConfigMap {
        metadata: metadata(identity, name, "work-plan", None),
        data: Some(BTreeMap::from([(PLAN_KEY.to_owned(), json.to_owned())])),
        immutable: immutable.then_some(true),
        ..ConfigMap::default()
    }
}

type Mounted = (PodVolume, VolumeMount);

/// The Job that finds out who the person is.
#[must_use]
pub fn identify(identity: Identity<'_>, plan: &Plan<IdentifyPlan>, settings: &WorkerSettings) -> Job {
    let mut volumes = vec![plan_volume(&plan_name(identity.uid, &plan.hash))];
    volumes.extend(subject(&plan.plan.subject));
    job(
        identity,
        Work::Identify,
        &plan.hash,
        IDENTIFY_SECONDS,
        volumes,
        settings,
    )
}

/// The Job that gathers the data.
#[must_use]
pub fn export(
    identity: Identity<'_>,
    plan: &Plan<ExportPlan>,
    deadline_seconds: i64,
    settings: &WorkerSettings,
) -> Job {
    let mut volumes = vec![plan_volume(&plan_name(identity.uid, &plan.hash)), stop_volume()];
    volumes.extend(subject(&plan.plan.subject));
    for (index, store) in plan.plan.stores.iter().enumerate() {
        volumes.push(secret_volume(
            &format!("store-{index}"),
            &store.credentials_secret,
            &store_credentials_directory(index),
        ));
        if let Some((name, key)) = &store.store.ca_secret {
            volumes.push(authority(
                &format!("store-{index}-ca"),
                name,
                key,
                &store_ca_path(index),
            ));
        }
    }
    volumes.extend(delivery(&plan.plan.delivery));
    job(identity, Work::Export, &plan.hash, deadline_seconds, volumes, settings)
}

/// The Job that deletes the archive.
#[must_use]
pub fn expire(identity: Identity<'_>, plan: &Plan<ExpirePlan>, settings: &WorkerSettings) -> Job {
    let mut volumes = vec![plan_volume(&expire_plan_name(identity.uid))];
    volumes.extend(delivery(&plan.plan.delivery));
    job(identity, Work::Expire, &plan.hash, EXPIRE_SECONDS, volumes, settings)
}

fn job(
    identity: Identity<'_>,
    work: Work,
    hash: &str,
    deadline_seconds: i64,
    volumes: Vec<Mounted>,
    settings: &WorkerSettings,
) -> Job {
    let component = work.argument();
    let pod = ObjectMeta {
        labels: Some(labels(identity, component, Some(hash))),
        ..ObjectMeta::default()
    };
    Job {
        metadata: metadata(identity, work.job(identity.uid), component, Some(hash)),
        spec: Some(worker_job_spec(
            deadline_seconds,
            pod,
            volumes,
            &settings.for_exports(),
            &["worker", component],
        )),
        status: None,
    }
}

fn subject(source: &SubjectSource) -> [Mounted; 2] {
    [
        secret_volume("subject", &source.secret, SUBJECT_DIRECTORY),
        secret_volume("hash-key", &source.hash_key_secret, HASH_KEY_DIRECTORY),
    ]
}

fn delivery(delivery: &Delivery) -> Vec<Mounted> {
    match delivery {
        Delivery::ObjectStore(store) => {
            let credentials = secret_volume("delivery", &store.credentials_secret, DELIVERY_CREDENTIALS_DIRECTORY);
            let ca = store.ca_secret.as_ref();
            let ca = ca.map(|(name, key)| authority("delivery-ca", name, key, DELIVERY_CA_PATH));
            std::iter::once(credentials).chain(ca).collect()
        }
        Delivery::Volume(volume) => vec![(
            PodVolume {
                name: "archives".to_owned(),
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name: volume.claim.clone(),
                    read_only: None,
                }),
                ..PodVolume::default()
            },
            VolumeMount {
                name: "archives".to_owned(),
                mount_path: DELIVERY_VOLUME_DIRECTORY.to_owned(),
                ..VolumeMount::default()
            },
        )],
    }
}

#[cfg(test)]
#[path = "children_tests.rs"]
mod tests;
