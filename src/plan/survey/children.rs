//! The child objects of a survey. They cannot fail: everything was judged before.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, Job, JobSpec, JobTemplateSpec};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource as _, ResourceExt as _};

use super::PlannedSurvey;
use crate::api::DataSource;
use crate::contract::survey::ACTIVE_DEADLINE_SECONDS;
use crate::plan::children::network_policy::only_to_the_store;
use crate::plan::children::pod::{Run, run_spec};
use crate::plan::naming;
use crate::plan::settings::WorkerSettings;
use crate::plan::validate::STARTING_DEADLINE_SECONDS;

/// Key of the plan in its `ConfigMap`.
const PLAN_KEY: &str = "plan.json";
/// How long the Job that was started at once stays to be looked at, in seconds.
const KEPT_SECONDS: i32 = 600;

fn metadata(source: &DataSource, planned: &PlannedSurvey, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: source.namespace(),
        labels: Some(labels(source, planned)),
        owner_references: Some(vec![OwnerReference {
            api_version: DataSource::api_version(&()).into_owned(),
            kind: DataSource::kind(&()).into_owned(),
            name: source.name_any(),
            uid: source.uid().unwrap_or_default(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }]),
        ..ObjectMeta::default()
    }
}

fn labels(source: &DataSource, planned: &PlannedSurvey) -> BTreeMap<String, String> {
    [
        (naming::LABEL_NAME, naming::APPLICATION.to_owned()),
        (naming::LABEL_MANAGED_BY, naming::APPLICATION.to_owned()),
        (naming::LABEL_COMPONENT, naming::SURVEY.to_owned()),
        (naming::LABEL_SOURCE, naming::label_value(&source.name_any())),
        (naming::LABEL_PLAN, planned.plan_hash.clone()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// The `ConfigMap` with the plan: immutable and named by its content.
#[must_use]
pub fn config_map(source: &DataSource, planned: &PlannedSurvey) -> ConfigMap {
    let name = naming::survey_config_map(&source.name_any(), &planned.plan_hash);
    ConfigMap {
        metadata: metadata(source, planned, name),
        data: Some(BTreeMap::from([(PLAN_KEY.to_owned(), planned.json.clone())])),
        immutable: Some(true),
        ..ConfigMap::default()
    }
}

/// What survey pods may reach. `None`: the `DataSource` does not say where the store is.
#[must_use]
pub fn network_policy(source: &DataSource, planned: &PlannedSurvey) -> Option<NetworkPolicy> {
    let mut metadata = metadata(source, planned, naming::survey_network_policy(&source.name_any()));
    // The rule is the same whatever the plan.
    metadata.labels.get_or_insert_default().remove(naming::LABEL_PLAN);
    let label = (naming::LABEL_SOURCE, naming::label_value(&source.name_any()));
    only_to_the_store(metadata, label, source, None)
}

fn job_spec(source: &DataSource, planned: &PlannedSurvey, settings: &WorkerSettings) -> JobSpec {
    let run = Run {
        active_deadline_seconds: ACTIVE_DEADLINE_SECONDS,
        metadata: ObjectMeta {
            labels: Some(labels(source, planned)),
            ..ObjectMeta::default()
        },
        config_map: naming::survey_config_map(&source.name_any(), &planned.plan_hash),
        credentials_secret: &planned.plan.credentials_secret,
        ca_secret: planned.plan.store.ca_secret.as_ref(),
        holds: BTreeSet::new(),
        keys: BTreeSet::new(),
        arguments: &["worker", "survey"],
    };
    run_spec(&run, settings)
}

/// The CronJob that looks again and again.
#[must_use]
pub fn cron_job(source: &DataSource, planned: &PlannedSurvey, settings: &WorkerSettings) -> Option<CronJob> {
    let survey = source.spec.survey.as_ref()?;
    let name = naming::survey_cron_job(&source.name_any());
    Some(CronJob {
        metadata: metadata(source, planned, name),
        spec: Some(CronJobSpec {
            schedule: survey.schedule.clone(),
            time_zone: Some(survey.time_zone.clone()),
            suspend: Some(survey.suspend),
            concurrency_policy: Some("Forbid".to_owned()),
            starting_deadline_seconds: Some(STARTING_DEADLINE_SECONDS),
            successful_jobs_history_limit: Some(1),
            failed_jobs_history_limit: Some(1),
            job_template: JobTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels(source, planned)),
                    ..ObjectMeta::default()
                }),
                spec: Some(job_spec(source, planned, settings)),
            },
        }),
        status: None,
    })
}

/// The Job that looks at once, when the plan is new.
#[must_use]
pub fn first_look(source: &DataSource, planned: &PlannedSurvey, settings: &WorkerSettings) -> Job {
    let name = naming::survey_first_look(&source.name_any(), &planned.plan_hash);
    Job {
        metadata: metadata(source, planned, name),
        spec: Some(JobSpec {
            ttl_seconds_after_finished: Some(KEPT_SECONDS),
            ..job_spec(source, planned, settings)
        }),
        status: None,
    }
}
