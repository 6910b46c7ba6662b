//! The live children that run: CronJob, Jobs and their pods; and how they are held and ended.

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::{Resource as _, ResourceExt as _};

use super::apply::is_controlled_by;
use super::{Context, Error, FIELD_MANAGER};
use crate::plan::naming;
use crate::plan::steps::{Live, LiveCronJob, LiveJob, LivePod};

/// What runs for a policy now, read from the API server and not from a cache.
pub struct LiveObjects {
    /// The CronJob, if it is controlled by the policy.
    pub cron_job: Option<CronJob>,
    /// Jobs of the CronJob and of the policy.
    pub jobs: Vec<Job>,
    /// Pods of these Jobs.
    pub pods: Vec<Pod>,
}

/// Reads what runs for a policy.
pub async fn read(context: &Context, namespace: &str, policy: &str, uid: &str) -> Result<LiveObjects, Error> {
    let name = naming::cron_job(policy);
    let cron_job: Option<CronJob> = Api::<CronJob>::namespaced(context.client.clone(), namespace)
        .get_opt(&name)
        .await
        .map_err(|source| Error::request::<CronJob>("read", &name, source))?
        .filter(|cron_job| is_controlled_by(cron_job, uid));
    let ours = ListParams::default().labels(&naming::policy_selector(policy));
    let cron_job_uid = cron_job.as_ref().and_then(kube::ResourceExt::uid);
    let jobs: Vec<Job> = Api::<Job>::namespaced(context.client.clone(), namespace)
        .list(&ours)
        .await
        .map_err(|source| Error::request::<Job>("list", policy, source))?
        .items
        .into_iter()
        // A label alone proves nothing: a report counts only from a Job that ours made.
        .filter(|job| is_owned(job.owner_references(), uid, cron_job_uid.as_deref()))
        .collect();
    let job_uids: Vec<String> = jobs.iter().filter_map(kube::ResourceExt::uid).collect();
    let pods = Api::<Pod>::namespaced(context.client.clone(), namespace)
        .list(&ours)
        .await
        .map_err(|source| Error::request::<Pod>("list", policy, source))?
        .items
        .into_iter()
        .filter(|pod| job_uids.iter().any(|uid| is_controlled_by(pod, uid)))
        .collect();
    Ok(LiveObjects { cron_job, jobs, pods })
}

fn is_owned(owners: &[OwnerReference], policy: &str, cron_job: Option<&str>) -> bool {
    owners
        .iter()
        .any(|owner| owner.controller == Some(true) && (owner.uid == policy || Some(owner.uid.as_str()) == cron_job))
}

impl LiveObjects {
    /// The same in the words of the pure core.
    pub fn to_live(&self) -> Live {
        Live {
            cron_job: self.cron_job.as_ref().map(|cron_job| LiveCronJob {
                plan: label(cron_job, naming::LABEL_PLAN),
                suspended: cron_job.spec.as_ref().and_then(|spec| spec.suspend) == Some(true),
            }),
            jobs: self
                .jobs
                .iter()
                .map(|job| LiveJob {
                    name: job.name_any(),
                    uid: job.uid().unwrap_or_default(),
                    plan: label(job, naming::LABEL_PLAN),
                    finished: super::observe::finish(job).is_some(),
                    deleting: job.meta().deletion_timestamp.is_some(),
                })
                .collect(),
            pods: self
                .pods
                .iter()
                .filter(|pod| !has_ended(pod))
                .map(|pod| LivePod {
                    plan: label(pod, naming::LABEL_PLAN),
                })
                .collect(),
        }
    }
}

/// Whether a pod has come to its end.
pub fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// The value of a label.
pub fn label<K: kube::Resource>(object: &K, key: &str) -> Option<String> {
    object.labels().get(key).cloned()
}

/// Lets the CronJob start nothing more.
pub async fn suspend(context: &Context, cron_job: &CronJob) -> Result<(), Error> {
    context.ensure_leading()?;
    let name = cron_job.name_any();
    let api: Api<CronJob> = Api::namespaced(context.client.clone(), &cron_job.namespace().unwrap_or_default());
    let patch = serde_json::json!({"metadata": {"uid": cron_job.uid()}, "spec": {"suspend": true}});
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api.patch(&name, &parameters, &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        Err(error) if is_gone(&error) => Ok(()),
        Err(source) => Err(Error::request::<CronJob>("suspend", &name, source)),
    }
}

/// Ends a Job: its pods go first, and it vanishes with the last of them.
pub async fn end(context: &Context, namespace: &str, job: &LiveJob) -> Result<(), Error> {
    context.ensure_leading()?;
    let parameters = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Foreground),
        preconditions: Some(Preconditions {
            uid: Some(job.uid.clone()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    delete::<Job>(context, namespace, &job.name, &parameters).await
}

/// Deletes the work plans of a policy that no run needs any more.
pub async fn delete_old_plans(
    context: &Context,
    namespace: &str,
    policy: &str,
    uid: &str,
    needed: &[String],
) -> Result<(), Error> {
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), namespace);
    let plans = api
        .list_metadata(&ListParams::default().labels(&naming::policy_selector(policy)))
        .await
        .map_err(|source| Error::request::<ConfigMap>("list", policy, source))?;
    for plan in plans.items {
        let hash = plan.labels().get(naming::LABEL_PLAN).cloned().unwrap_or_default();
        if is_controlled_by(&plan, uid) && !needed.contains(&hash) {
            delete_if_same::<ConfigMap>(context, namespace, &plan.name_any(), plan.uid()).await?;
        }
    }
    Ok(())
}

/// Deletes an object, provided that it is still the one that was looked at.
pub async fn delete_if_same<K>(context: &Context, namespace: &str, name: &str, uid: Option<String>) -> Result<(), Error>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid,
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    context.ensure_leading()?;
    delete::<K>(context, namespace, name, &parameters).await
}

async fn delete<K>(context: &Context, namespace: &str, name: &str, parameters: &DeleteParams) -> Result<(), Error>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    match Api::<K>::namespaced(context.client.clone(), namespace)
        .delete(name, parameters)
        .await
    {
        Ok(_) => Ok(()),
        // Gone already, or replaced by one that we have not looked at.
        Err(error) if is_gone(&error) => Ok(()),
        Err(source) => Err(Error::request::<K>("delete", name, source)),
    }
}

fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404 || status.code == 409)
}
