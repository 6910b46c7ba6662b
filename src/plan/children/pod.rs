//! What every run of a worker has in common: a restricted pod without a token, which cannot write but to its store.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EnvVar, EnvVarSource, KeyToPath,
    ObjectFieldSelector, PodSecurityContext, PodSpec, PodTemplateSpec, ResourceRequirements, SeccompProfile,
    SecretVolumeSource, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::run_metadata;
use crate::contract::holds::HOLDS_DIRECTORY;
use crate::contract::progress::{PROGRESS_PORT, PROGRESS_PORT_NAME};
use crate::contract::{
    CA_PATH, CREDENTIALS_DIRECTORY, EXIT_CONFIGURATION, KEYS_DIRECTORY, PLAN_PATH, STOP_CONFIG_MAP, STOP_DIRECTORY,
};
use crate::domain::hash;
use crate::plan::naming;
use crate::plan::settings::WorkerSettings;
use crate::plan::work_plan::Planned;

/// Name of the container.
const CONTAINER: &str = "worker";
/// User and group of the worker: `nonroot` of the usual minimal images.
const USER: i64 = 65_532;
/// Tries after the first for faults that may pass.
const BACKOFF_LIMIT: i32 = 2;

/// What differs between the runs of workers.
pub(crate) struct Run<'a> {
    /// Longest duration, in seconds.
    pub active_deadline_seconds: i64,
    /// Labels and annotations of the pod.
    pub metadata: ObjectMeta,
    /// Name of the `ConfigMap` with the plan.
    pub config_map: String,
    /// Name of the Secret with the credentials of the store.
    pub credentials_secret: &'a str,
    /// Name and key of the Secret with the certificate authority of the store.
    pub ca_secret: Option<&'a (String, String)>,
    /// Names of the Secrets in which holds name people.
    pub holds: BTreeSet<&'a str>,
    /// Names of the Secrets with keys of masks.
    pub keys: BTreeSet<&'a str>,
    /// Arguments of the program.
    pub arguments: &'a [&'a str],
}

/// The Job of a sweep.
pub(super) fn job_spec(planned: &Planned, settings: &WorkerSettings, arguments: &[&str]) -> JobSpec {
    let run = Run {
        active_deadline_seconds: planned.validated.active_deadline_seconds,
        metadata: run_metadata(planned),
        config_map: naming::config_map(&planned.validated.name, &planned.plan_hash),
        credentials_secret: &planned.validated.credentials_secret,
        ca_secret: planned.validated.store.ca_secret.as_ref(),
        holds: planned.validated.holds.secrets(),
        keys: planned.work_plan.key_secrets(),
        arguments,
    };
    run_spec(&run, settings)
}

/// The Job of any run on one store.
pub(crate) fn run_spec(run: &Run<'_>, settings: &WorkerSettings) -> JobSpec {
    worker_job_spec(
        run.active_deadline_seconds,
        run.metadata.clone(),
        volumes(run),
        settings,
        run.arguments,
    )
}

/// A Job that runs the worker with these arguments and volumes, whatever it works on.
pub(crate) fn worker_job_spec(
    active_deadline_seconds: i64,
    pod_metadata: ObjectMeta,
    volumes: Vec<(Volume, VolumeMount)>,
    settings: &WorkerSettings,
    arguments: &[&str],
) -> JobSpec {
    JobSpec {
        active_deadline_seconds: Some(active_deadline_seconds),
        backoff_limit: Some(BACKOFF_LIMIT),
        pod_failure_policy: Some(PodFailurePolicy {
            rules: vec![PodFailurePolicyRule {
                action: "FailJob".to_owned(),
                on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                    container_name: Some(CONTAINER.to_owned()),
                    operator: "In".to_owned(),
                    values: vec![i32::from(EXIT_CONFIGURATION)],
                }),
                on_pod_conditions: None,
            }],
        }),
        template: PodTemplateSpec {
            metadata: Some(pod_metadata),
            spec: Some(pod_spec(volumes, settings, arguments)),
        },
        ..JobSpec::default()
    }
}

/// A sweep and an export tell on a port how far they are; what is over in moments does not.
fn tells_progress(arguments: &[&str]) -> bool {
    matches!(arguments, ["worker"] | ["worker", "--observe" | "export"])
}

fn pod_spec(volumes: Vec<(Volume, VolumeMount)>, settings: &WorkerSettings, arguments: &[&str]) -> PodSpec {
    PodSpec {
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        restart_policy: Some("Never".to_owned()),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        containers: vec![Container {
            name: CONTAINER.to_owned(),
            image: Some(settings.image.clone()),
            image_pull_policy: Some(settings.image_pull_policy.clone()),
            args: Some(arguments.iter().map(|argument| (*argument).to_owned()).collect()),
            env: Some(vec![EnvVar {
                name: "PRIVACY_OPERATOR_RUN".to_owned(),
                value_from: Some(EnvVarSource {
                    field_ref: Some(ObjectFieldSelector {
                        api_version: Some("v1".to_owned()),
                        field_path: format!("metadata.labels['{}']", naming::LABEL_JOB_NAME),
                    }),
                    ..EnvVarSource::default()
                }),
                ..EnvVar::default()
            }]),
            ports: tells_progress(arguments).then(|| {
                vec![ContainerPort {
                    name: Some(PROGRESS_PORT_NAME.to_owned()),
                    container_port: i32::from(PROGRESS_PORT),
                    protocol: Some("TCP".to_owned()),
                    ..ContainerPort::default()
                }]
            }),
            resources: Some(resources(settings)),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                read_only_root_filesystem: Some(true),
                capabilities: Some(Capabilities {
                    drop: Some(vec!["ALL".to_owned()]),
                    add: None,
                }),
                ..SecurityContext::default()
            }),
            termination_message_policy: Some("File".to_owned()),
            volume_mounts: Some(volumes.iter().map(|(_, mount)| mount.clone()).collect()),
            ..Container::default()
        }],
        volumes: Some(volumes.into_iter().map(|(volume, _)| volume).collect()),
        ..PodSpec::default()
    }
}

fn resources(settings: &WorkerSettings) -> ResourceRequirements {
    let list = |cpu: &str, memory: &str| {
        [("cpu", cpu), ("memory", memory)]
            .into_iter()
            .filter(|(_, quantity)| !quantity.is_empty())
            .map(|(name, quantity)| (name.to_owned(), Quantity(quantity.to_owned())))
            .collect()
    };
    ResourceRequirements {
        requests: Some(list(&settings.cpu_request, &settings.memory_request)),
        limits: Some(list(&settings.cpu_limit, &settings.memory_limit)),
        claims: None,
    }
}

/// The plan, the credentials, the certificate authority and the stop `ConfigMap`, each with its mount. All but the plan
/// are optional: the worker says by name what is missing, while a pod would wait without a word.
fn volumes(run: &Run<'_>) -> Vec<(Volume, VolumeMount)> {
    let credentials = secret("credentials", run.credentials_secret, None);
    let mut volumes = vec![
        plan_volume(&run.config_map),
        mounted(credentials, CREDENTIALS_DIRECTORY),
        stop_volume(),
    ];
    if let Some((name, key)) = run.ca_secret {
        volumes.push(authority("ca", name, key, CA_PATH));
    }
    let named = |kind: &str, secret: &str, directory: &str| {
        // The name of a volume is shorter than that of a Secret may be.
        let volume = format!("{kind}-{}", hash::short(secret.as_bytes()));
        secret_volume(&volume, secret, &format!("{directory}/{secret}"))
    };
    volumes.extend(run.holds.iter().map(|secret| named("hold", secret, HOLDS_DIRECTORY)));
    volumes.extend(run.keys.iter().map(|secret| named("key", secret, KEYS_DIRECTORY)));
    volumes
}

/// The ConfigMap with the work plan.
pub(crate) fn plan_volume(config_map: &str) -> (Volume, VolumeMount) {
    let plan = Volume {
        name: "plan".to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: config_map.to_owned(),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    };
    mounted(plan, directory(PLAN_PATH))
}

/// The ConfigMap that stops all disposal and every export.
pub(crate) fn stop_volume() -> (Volume, VolumeMount) {
    let stop = Volume {
        name: "stop".to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: STOP_CONFIG_MAP.to_owned(),
            optional: Some(true),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    };
    mounted(stop, STOP_DIRECTORY)
}

/// A whole Secret, mounted into a folder.
pub(crate) fn secret_volume(volume: &str, name: &str, path: &str) -> (Volume, VolumeMount) {
    mounted(secret(volume, name, None), path)
}

/// One key of a Secret, mounted as this file: a certificate authority.
pub(crate) fn authority(volume: &str, name: &str, key: &str, path: &str) -> (Volume, VolumeMount) {
    let item = KeyToPath {
        key: key.to_owned(),
        path: file_name(path).to_owned(),
        mode: None,
    };
    mounted(secret(volume, name, Some(item)), directory(path))
}

fn secret(volume: &str, secret: &str, item: Option<KeyToPath>) -> Volume {
    Volume {
        name: volume.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            items: item.map(|item| vec![item]),
            // Readable for the worker's group only.
            default_mode: Some(0o440),
            optional: Some(true),
        }),
        ..Volume::default()
    }
}

fn mounted(volume: Volume, path: &str) -> (Volume, VolumeMount) {
    let mount = VolumeMount {
        name: volume.name.clone(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    (volume, mount)
}

fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(directory, _)| directory)
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
