//! The CronJob that runs the sweep.

use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, JobTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{metadata, pod, run_metadata};
use crate::plan::naming;
use crate::plan::settings::WorkerSettings;
use crate::plan::validate::STARTING_DEADLINE_SECONDS;
use crate::plan::work_plan::Planned;

/// Builds the CronJob.
#[must_use]
pub fn cron_job(planned: &Planned, schedule: &str, suspend: bool, settings: &WorkerSettings) -> CronJob {
    let name = naming::cron_job(&planned.validated.name);
    let mut metadata = metadata(planned, name, "sweep");
    // The plan that it runs, to be seen at a glance and by the next reconcile.
    metadata
        .labels
        .get_or_insert_default()
        .insert(naming::LABEL_PLAN.to_owned(), planned.plan_hash.clone());
    let job_metadata: ObjectMeta = run_metadata(planned);
    CronJob {
        metadata,
        spec: Some(CronJobSpec {
            schedule: schedule.to_owned(),
            time_zone: Some(planned.validated.time_zone.clone()),
            suspend: Some(suspend),
            concurrency_policy: Some("Forbid".to_owned()),
            starting_deadline_seconds: Some(STARTING_DEADLINE_SECONDS),
            successful_jobs_history_limit: Some(1),
            failed_jobs_history_limit: Some(1),
            job_template: JobTemplateSpec {
                metadata: Some(job_metadata),
                spec: Some(pod::job_spec(planned, settings, &["worker"])),
            },
        }),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Volume;

    use super::*;
    use crate::plan::fixtures;

    #[test]
    fn it_reads_as_expected() {
        let planned = fixtures::planned(&fixtures::policy());
        insta::assert_yaml_snapshot!(cron_job(&planned, "23 * * * *", false, &fixtures::settings()));
    }

    #[test]
    fn keys_of_masks_are_mounted_each_secret_once_and_optionally() {
        let mut policy = fixtures::policy();
        let mask = |column: &str, key: &str| serde_json::json!({"column": column, "strategy": "Pseudonymise", "keySecretRef": {"name": "masks", "key": key}});
        let masks = serde_json::json!([mask("member", "one"), mask("visitor", "two")]);
        policy.spec.rules[1].then.as_mut().unwrap().mask = serde_json::from_value(masks).unwrap();
        let built = cron_job(&fixtures::planned(&policy), "@hourly", false, &fixtures::settings());
        let pod = built.spec.unwrap().job_template.spec.unwrap().template.spec.unwrap();
        let of_keys = |volume: &&Volume| {
            volume
                .secret
                .as_ref()
                .is_some_and(|secret| secret.secret_name.as_deref() == Some("masks"))
        };
        let volumes = pod.volumes.unwrap();
        let volumes: Vec<_> = volumes.iter().filter(of_keys).collect();
        assert_eq!(volumes.len(), 1);
        assert_eq!(volumes[0].secret.as_ref().unwrap().optional, Some(true));
        let mounts = pod.containers[0].volume_mounts.as_ref().unwrap();
        let mount = mounts.iter().find(|mount| mount.name == volumes[0].name).unwrap();
        assert_eq!(mount.mount_path, format!("{}/masks", crate::contract::KEYS_DIRECTORY));
        assert_eq!(mount.read_only, Some(true));
    }

    #[test]
    fn every_secret_is_optional_so_that_the_worker_can_say_what_is_missing() {
        let planned = fixtures::planned(&fixtures::policy());
        let built = serde_json::to_value(cron_job(&planned, "@hourly", true, &fixtures::settings())).unwrap();
        let volumes = built["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"]
            .as_array()
            .unwrap();
        let secrets: Vec<_> = volumes.iter().filter_map(|volume| volume.get("secret")).collect();
        assert_eq!(secrets.len(), 2);
        assert!(secrets.iter().all(|secret| secret["optional"] == true));
    }
}
