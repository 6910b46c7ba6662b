//! What became of the runs: Jobs and pods in, observations out. Only what is our report is read; any other text of a
//! container is discarded.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt as _;

use super::apply::is_controlled_by;
use super::jobs::{LiveObjects, label};
use crate::api::data_retention_policy::Mode;
use crate::api::status::DataRetentionPolicyStatus;
use crate::contract::{WorkReport, parse_termination_message};
use crate::domain::hash;
use crate::plan::naming;
use crate::plan::runs::{FinishedRun, Observation, RunningRun, StuckWorker, is_consumed};

/// How long a worker's pod may take to start.
const START: SignedDuration = SignedDuration::from_mins(2);

/// What the live objects say of the runs that the status does not know yet.
pub fn observe(live: &LiveObjects, status: &DataRetentionPolicyStatus, stopped: bool, now: Timestamp) -> Observation {
    let mut finished: Vec<FinishedRun> = live
        .jobs
        .iter()
        .filter_map(|job| {
            let (finished_at, cause) = finish(job)?;
            let uid = job.uid().unwrap_or_default();
            (!is_consumed(status, &uid, finished_at)).then(|| finished_run(job, uid, finished_at, cause, &live.pods))
        })
        .collect();
    finished.sort_by_key(|run| run.finished_at);
    let unfinished: Vec<&Job> = live
        .jobs
        .iter()
        .filter(|job| finish(job).is_none() && job.metadata.deletion_timestamp.is_none())
        .collect();
    Observation {
        finished,
        running: unfinished
            .iter()
            .filter_map(|job| {
                Some(RunningRun {
                    job: job.name_any(),
                    started_at: job.creation_timestamp()?.0,
                    progress: None,
                })
            })
            .min_by_key(|run| run.started_at),
        stuck: live.pods.iter().find_map(|pod| stuck(pod, now)),
        stopped,
    }
}

/// When and why a Job ended. `None`: it has not.
pub fn finish(job: &Job) -> Option<(Timestamp, Option<String>)> {
    let status = job.status.as_ref()?;
    let condition =
        status.conditions.iter().flatten().find(|condition| {
            matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True"
        })?;
    let at = status
        .completion_time
        .as_ref()
        .or(condition.last_transition_time.as_ref())
        .map(|time| time.0)?;
    let cause = (condition.type_ == "Failed")
        .then(|| condition.reason.clone())
        .flatten();
    Some((at, cause))
}

fn finished_run(
    job: &Job,
    uid: String,
    finished_at: Timestamp,
    job_cause: Option<String>,
    pods: &[Pod],
) -> FinishedRun {
    let mut own: Vec<&Pod> = pods.iter().filter(|pod| is_controlled_by(*pod, &uid)).collect();
    own.sort_by_key(|pod| std::cmp::Reverse(ended_at(pod)));
    let report = own.iter().find_map(|pod| report(pod));
    let cause = own.first().and_then(|pod| pod_cause(pod)).or(job_cause);
    FinishedRun {
        job: job.name_any(),
        plan_hash: label(job, naming::LABEL_PLAN),
        rules_hash: label(job, naming::LABEL_RULES),
        rule_names: job
            .annotations()
            .get(naming::ANNOTATION_RULE_NAMES)
            .map(|names| names.split(',').map(str::to_owned).collect())
            .unwrap_or_default(),
        mode: if label(job, naming::LABEL_COMPONENT).as_deref() == Some("first-look") {
            Mode::Observe
        } else {
            Mode::Enforce
        },
        started_at: job
            .status
            .as_ref()
            .and_then(|status| status.start_time.as_ref())
            .map(|time| time.0),
        finished_at,
        report,
        cause,
        uid,
    }
}

fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

fn ended_at(pod: &Pod) -> Option<Timestamp> {
    let terminated = container(pod)?.state.as_ref()?.terminated.as_ref()?;
    terminated.finished_at.as_ref().map(|time| time.0)
}

/// The report of a pod and its SHA-256.
fn report(pod: &Pod) -> Option<(WorkReport, String)> {
    let text = container(pod)?.state.as_ref()?.terminated.as_ref()?.message.as_ref()?;
    Some((parse_termination_message(text)?, hash::sha256(text.as_bytes())))
}

/// Why a pod ended, in a word of Kubernetes.
fn pod_cause(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let of_container = container(pod)
        .and_then(|container| container.state.as_ref()?.terminated.as_ref()?.reason.clone())
        .filter(|reason| reason != "Completed" && reason != "Error");
    status.reason.clone().or(of_container)
}

/// A pod that has not started for two minutes, and why.
fn stuck(pod: &Pod, now: Timestamp) -> Option<StuckWorker> {
    let status = pod.status.as_ref()?;
    let age = now.duration_since(pod.creation_timestamp()?.0);
    if status.phase.as_deref() != Some("Pending") || pod.metadata.deletion_timestamp.is_some() || age < START {
        return None;
    }
    let waiting = container(pod).and_then(|container| container.state.as_ref()?.waiting.as_ref()?.reason.clone());
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status != "True")
        .and_then(|condition| condition.reason.clone());
    Some(StuckWorker {
        pod: pod.name_any(),
        cause: waiting.or(unscheduled).unwrap_or_else(|| "Pending".to_owned()),
    })
}
