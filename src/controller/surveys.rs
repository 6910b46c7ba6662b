//! The survey of a `DataSource`: its children are applied, its Jobs are read. What is right is decided in `plan`.

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};

use super::apply::{Applied, apply, is_controlled_by};
use super::jobs::{delete_if_same, end, label};
use super::observe::{ended_at, finish, message, pod_cause};
use super::{Context, Error};
use crate::api::DataSource;
use crate::contract::survey::parse_survey_message;
use crate::plan::naming;
use crate::plan::reasons;
use crate::plan::steps::LiveJob;
use crate::plan::survey::status::FinishedSurvey;
use crate::plan::survey::{PlannedSurvey, children};

/// What runs of a survey now.
pub struct Live {
    jobs: Vec<Job>,
    pods: Vec<Pod>,
}

/// Reads the Jobs of a survey and their pods, from the API server and not from a cache.
pub async fn read(context: &Context, source: &DataSource) -> Result<Live, Error> {
    let (namespace, name) = (source.namespace().unwrap_or_default(), source.name_any());
    let uid = source.uid().unwrap_or_default();
    let cron_job_name = naming::survey_cron_job(&name);
    let cron_job = Api::<CronJob>::namespaced(context.client.clone(), &namespace)
        .get_metadata_opt(&cron_job_name)
        .await
        .map_err(|source| Error::request::<CronJob>("read", &cron_job_name, source))?
        .filter(|cron_job| is_controlled_by(cron_job, &uid))
        .and_then(|cron_job| cron_job.uid());
    let ours = ListParams::default().labels(&naming::source_selector(&name));
    let jobs: Vec<Job> = Api::<Job>::namespaced(context.client.clone(), &namespace)
        .list(&ours)
        .await
        .map_err(|source| Error::request::<Job>("list", &name, source))?
        .items
        .into_iter()
        // A label alone proves nothing: a report counts only from a Job that ours made.
        .filter(|job| {
            is_controlled_by(job, &uid)
                || cron_job
                    .as_ref()
                    .is_some_and(|cron_job| is_controlled_by(job, cron_job))
        })
        .collect();
    let pods = Api::<Pod>::namespaced(context.client.clone(), &namespace)
        .list(&ours)
        .await
        .map_err(|source| Error::request::<Pod>("list", &name, source))?
        .items;
    Ok(Live { jobs, pods })
}

impl Live {
    /// The surveys that have ended.
    pub fn finished(&self) -> Vec<FinishedSurvey> {
        self.jobs.iter().filter_map(|job| finished(job, &self.pods)).collect()
    }

    fn runs(&self) -> bool {
        self.jobs.iter().any(|job| finish(job).is_none())
    }
}

fn finished(job: &Job, pods: &[Pod]) -> Option<FinishedSurvey> {
    let (finished_at, job_cause) = finish(job)?;
    let uid = job.uid()?;
    let mut own: Vec<&Pod> = pods.iter().filter(|pod| is_controlled_by(*pod, &uid)).collect();
    own.sort_by_key(|pod| std::cmp::Reverse(ended_at(pod)));
    Some(FinishedSurvey {
        job: job.name_any(),
        finished_at,
        plan_hash: label(job, naming::LABEL_PLAN),
        report: own.iter().find_map(|pod| parse_survey_message(message(pod)?)),
        cause: own.first().and_then(|pod| pod_cause(pod)).or(job_cause),
        uid,
    })
}

/// Brings the children in line. What stands in the way comes back as reason and message.
pub async fn settle(
    context: &Context,
    source: &DataSource,
    planned: Option<&PlannedSurvey>,
    live: &Live,
) -> Result<Option<(&'static str, String)>, Error> {
    let Some(planned) = planned else {
        remove(context, source, live).await?;
        return Ok(None);
    };
    match apply_children(context, source, planned, live).await {
        Ok(None) => Ok(None),
        Ok(Some(name)) => Ok(Some((
            reasons::FOREIGN_OBJECT,
            format!("{name} exists and does not belong to this DataSource, so it was not touched; delete or rename it"),
        ))),
        Err(error) if error.is_refused() => Ok(Some((
            reasons::OBJECT_REFUSED,
            format!("the API server refuses an object: {}", error.chain()),
        ))),
        Err(error) => Err(error),
    }
}

async fn apply_children(
    context: &Context,
    source: &DataSource,
    planned: &PlannedSurvey,
    live: &Live,
) -> Result<Option<String>, Error> {
    let namespace = source.namespace().unwrap_or_default();
    let uid = source.uid().unwrap_or_default();
    let mut outcomes = Vec::new();
    match children::network_policy(source, planned) {
        Some(desired) => outcomes.push(apply(context, &namespace, &uid, desired).await?),
        None => {
            let name = naming::survey_network_policy(&source.name_any());
            delete_ours::<NetworkPolicy>(context, &namespace, &name, &uid).await?;
        }
    }
    outcomes.push(apply(context, &namespace, &uid, children::config_map(source, planned)).await?);
    if let Some(cron_job) = children::cron_job(source, planned, &context.worker) {
        outcomes.push(apply(context, &namespace, &uid, cron_job).await?);
    }
    let is_foreign = |outcome: &Applied| matches!(outcome, Applied::Foreign(_));
    let known = source
        .status
        .as_ref()
        .and_then(|status| status.survey.as_ref()?.plan_hash.as_deref());
    let rests = source.spec.survey.as_ref().is_some_and(|survey| survey.suspend);
    let looked = |job: &Job| label(job, naming::LABEL_PLAN).as_deref() == Some(planned.plan_hash.as_str());
    let is_new = known != Some(&planned.plan_hash) && !live.jobs.iter().any(looked);
    if is_new && !rests && !outcomes.iter().any(is_foreign) {
        let job = children::first_look(source, planned, &context.worker);
        outcomes.push(apply(context, &namespace, &uid, job).await?);
    }
    if !live.runs() && !is_new {
        delete_plans(context, source, Some(&planned.plan_hash)).await?;
    }
    Ok(outcomes.into_iter().find_map(|outcome| match outcome {
        Applied::Foreign(name) => Some(name),
        Applied::Unchanged | Applied::Written => None,
    }))
}

/// No survey is wanted any more, or the declaration is not usable: what there is goes.
async fn remove(context: &Context, source: &DataSource, live: &Live) -> Result<(), Error> {
    let (namespace, name) = (source.namespace().unwrap_or_default(), source.name_any());
    let uid = source.uid().unwrap_or_default();
    delete_ours::<CronJob>(context, &namespace, &naming::survey_cron_job(&name), &uid).await?;
    for job in live.jobs.iter().filter(|job| finish(job).is_none()) {
        let job = LiveJob {
            name: job.name_any(),
            uid: job.uid().unwrap_or_default(),
            plan: None,
            finished: false,
            deleting: false,
        };
        end(context, &namespace, &job).await?;
    }
    delete_ours::<NetworkPolicy>(context, &namespace, &naming::survey_network_policy(&name), &uid).await?;
    delete_plans(context, source, None).await
}

async fn delete_ours<K>(context: &Context, namespace: &str, name: &str, uid: &str) -> Result<(), Error>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let live = Api::<K>::namespaced(context.client.clone(), namespace)
        .get_metadata_opt(name)
        .await
        .map_err(|source| Error::request::<K>("read", name, source))?;
    match live.filter(|live| is_controlled_by(live, uid)) {
        Some(live) => delete_if_same::<K>(context, namespace, name, live.uid()).await,
        None => Ok(()),
    }
}

async fn delete_plans(context: &Context, source: &DataSource, but: Option<&str>) -> Result<(), Error> {
    let (namespace, name) = (source.namespace().unwrap_or_default(), source.name_any());
    let uid = source.uid().unwrap_or_default();
    let plans = Api::<ConfigMap>::namespaced(context.client.clone(), &namespace)
        .list_metadata(&ListParams::default().labels(&naming::source_selector(&name)))
        .await
        .map_err(|source| Error::request::<ConfigMap>("list", &name, source))?;
    for plan in plans.items {
        let hash = plan.labels().get(naming::LABEL_PLAN).map(String::as_str);
        if is_controlled_by(&plan, &uid) && hash != but {
            delete_if_same::<ConfigMap>(context, &namespace, &plan.name_any(), plan.uid()).await?;
        }
    }
    Ok(())
}
