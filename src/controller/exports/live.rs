//! The Jobs and pods of a request, read from the API server and not from a cache. Only what is our report is read; any
//! other text of a container is discarded.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};

use super::super::apply::is_controlled_by;
use super::super::jobs::{has_ended, label};
use super::super::observe::{ended_at, finish, message, pod_cause, stuck};
use super::super::{Context, Error, progress};
use crate::api::ExportRequest;
use crate::contract::export::{ExpireReport, ExportReport, IdentifyReport, TerminationMessage as _};
use crate::plan::export::children::selector;
use crate::plan::export::status::asks_for_progress;
use crate::plan::export::{Finished, Live, LiveJob, Report, Work};
use crate::plan::naming;

/// Reads what lives for a request. A long export is asked how far it is.
pub async fn read(context: &Context, request: &ExportRequest, now: Timestamp) -> Result<Live, Error> {
    let (namespace, uid) = (
        request.namespace().unwrap_or_default(),
        request.uid().unwrap_or_default(),
    );
    let ours = ListParams::default().labels(&selector(&uid));
    let jobs = Api::<Job>::namespaced(context.client.clone(), &namespace)
        .list(&ours)
        .await
        .map_err(|source| Error::request::<Job>("list", &uid, source))?;
    // A label alone proves nothing: a report counts only from a Job that ours made.
    let jobs: Vec<Job> = jobs
        .items
        .into_iter()
        .filter(|job| is_controlled_by(job, &uid))
        .collect();
    if jobs.is_empty() {
        return Ok(Live::default());
    }
    let job_uids: Vec<String> = jobs.iter().filter_map(kube::ResourceExt::uid).collect();
    let pods = Api::<Pod>::namespaced(context.client.clone(), &namespace)
        .list(&ours)
        .await
        .map_err(|source| Error::request::<Pod>("list", &uid, source))?;
    let is_ours = |pod: &Pod| job_uids.iter().any(|uid| is_controlled_by(pod, uid));
    let pods: Vec<Pod> = pods.items.into_iter().filter(is_ours).collect();
    let progress = if asks_for_progress(request.status.as_ref(), now) {
        progress::read(&pods).await
    } else {
        None
    };
    Ok(Live {
        jobs: jobs.iter().filter_map(|job| live_job(job, &pods)).collect(),
        pods: pods.iter().any(|pod| !has_ended(pod)),
        stuck: pods
            .iter()
            .find_map(|pod| stuck(pod, now))
            .map(|stuck| (stuck.pod, stuck.cause)),
        progress: progress.map(|live| (live.rows, live.bytes.unwrap_or(0))),
    })
}

fn live_job(job: &Job, pods: &[Pod]) -> Option<LiveJob> {
    let work = Work::of(&label(job, naming::LABEL_COMPONENT)?)?;
    let uid = job.uid().unwrap_or_default();
    let finished = finish(job).map(|(at, job_cause)| {
        let mut own: Vec<&Pod> = pods.iter().filter(|pod| is_controlled_by(*pod, &uid)).collect();
        own.sort_by_key(|pod| std::cmp::Reverse(ended_at(pod)));
        Finished {
            at,
            report: own.iter().find_map(|pod| report(work, message(pod)?)),
            cause: own.first().and_then(|pod| pod_cause(pod)).or(job_cause),
        }
    });
    Some(LiveJob {
        work,
        name: job.name_any(),
        uid,
        plan_hash: label(job, naming::LABEL_PLAN).unwrap_or_default(),
        started_at: job.creation_timestamp().map(|time| time.0),
        finished,
        deleting: job.metadata.deletion_timestamp.is_some(),
    })
}

fn report(work: Work, text: &str) -> Option<Report> {
    match work {
        Work::Identify => IdentifyReport::parse(text).map(Report::Identify),
        Work::Export => ExportReport::parse(text).map(|report| Report::Export(Box::new(report))),
        Work::Expire => ExpireReport::parse(text).map(Report::Expire),
    }
}
