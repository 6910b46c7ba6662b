//! Starts and ends the workers of a request. Names are the same at every try, so that nothing is made twice.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};

use super::super::apply::{Applied, apply, is_controlled_by};
use super::super::jobs;
use super::super::{Context, Error};
use crate::api::{DataSource, SubjectRightsPolicy};
use crate::contract::export::{Delivery, ExpirePlan, ExportPlan, IdentifyPlan};
use crate::plan::export::children::{self, PLAN_KEY};
use crate::plan::export::network::network_policy;
use crate::plan::export::plans::{self, Identity, Plan};
use crate::plan::export::{LiveJob, children::network_policy_name};
use crate::plan::reasons;
use crate::plan::steps;

/// Something stands in the way of a worker: reason and message.
pub type Blocked = Option<(&'static str, String)>;

/// Starts the worker that finds out who the person is.
pub async fn start_identify(
    context: &Context,
    identity: Identity<'_>,
    plan: &Plan<IdentifyPlan>,
    network: (&[&DataSource], &SubjectRightsPolicy),
) -> Result<Blocked, Error> {
    let result = async {
        let mut outcomes = vec![fence(context, identity, network).await?];
        outcomes.push(put_plan(context, identity, &plan.hash, &plan.json).await?);
        outcomes.push(
            put_job(
                context,
                identity,
                &outcomes,
                children::identify(identity, plan, &context.worker),
            )
            .await?,
        );
        Ok(outcomes)
    };
    blocked(result.await)
}

/// Starts the export. How its archive is deleted is written down first.
pub async fn start_export(
    context: &Context,
    identity: Identity<'_>,
    plan: &Plan<ExportPlan>,
    deadline_seconds: i64,
    network: (&[&DataSource], &SubjectRightsPolicy),
) -> Result<Blocked, Error> {
    let result = async {
        let expire = plans::expire(identity.uid, &plan.plan.delivery);
        let name = children::expire_plan_name(identity.uid);
        let expire = children::config_map(identity, name, &expire.json, false);
        let mut outcomes = vec![fence(context, identity, network).await?];
        outcomes.push(apply(context, identity.namespace, identity.uid, expire).await?);
        outcomes.push(put_plan(context, identity, &plan.hash, &plan.json).await?);
        let job = children::export(identity, plan, deadline_seconds, &context.worker);
        outcomes.push(put_job(context, identity, &outcomes, job).await?);
        Ok(outcomes)
    };
    blocked(result.await)
}

/// Starts the worker that deletes the archive.
pub async fn start_expire(
    context: &Context,
    identity: Identity<'_>,
    plan: &Plan<ExpirePlan>,
) -> Result<Blocked, Error> {
    let result = async {
        let name = children::expire_plan_name(identity.uid);
        let config_map = children::config_map(identity, name, &plan.json, false);
        let mut outcomes = vec![apply(context, identity.namespace, identity.uid, config_map).await?];
        let job = children::expire(identity, plan, &context.worker);
        outcomes.push(put_job(context, identity, &outcomes, job).await?);
        Ok(outcomes)
    };
    blocked(result.await)
}

/// How the archive is deleted: as written down when the export was started, else as the policy says now.
pub async fn expire_plan(
    context: &Context,
    identity: Identity<'_>,
    by_policy: Option<Delivery>,
) -> Result<Option<Plan<ExpirePlan>>, Error> {
    let name = children::expire_plan_name(identity.uid);
    let found = Api::<ConfigMap>::namespaced(context.client.clone(), identity.namespace)
        .get_opt(&name)
        .await
        .map_err(|source| Error::request::<ConfigMap>("read", &name, source))?;
    let written = found
        .filter(|config_map| is_controlled_by(config_map, identity.uid))
        .and_then(|config_map| plans::read_expire(config_map.data?.get(PLAN_KEY)?));
    Ok(written.or_else(|| Some(plans::expire(identity.uid, &by_policy?))))
}

/// Ends a Job: its pods go first, and it vanishes with the last of them.
pub async fn end(context: &Context, namespace: &str, job: &LiveJob) -> Result<(), Error> {
    let job = steps::LiveJob {
        name: job.name.clone(),
        uid: job.uid.clone(),
        plan: Some(job.plan_hash.clone()),
        finished: job.finished.is_some(),
        deleting: job.deleting,
    };
    jobs::end(context, namespace, &job).await
}

/// Deletes what a request no longer needs: Jobs that have ended, plans, the NetworkPolicy.
pub async fn clean_up(context: &Context, identity: Identity<'_>, jobs_left: &[LiveJob]) -> Result<(), Error> {
    for job in jobs_left.iter().filter(|job| job.finished.is_some() && !job.deleting) {
        end(context, identity.namespace, job).await?;
    }
    let ours = ListParams::default().labels(&children::selector(identity.uid));
    let plans = Api::<ConfigMap>::namespaced(context.client.clone(), identity.namespace)
        .list_metadata(&ours)
        .await
        .map_err(|source| Error::request::<ConfigMap>("list", identity.name, source))?;
    for plan in plans.items.iter().filter(|plan| is_controlled_by(*plan, identity.uid)) {
        jobs::delete_if_same::<ConfigMap>(context, identity.namespace, &plan.name_any(), plan.uid()).await?;
    }
    remove_fence(context, identity).await
}

/// The NetworkPolicy, where everything says where it is; else none.
async fn fence(
    context: &Context,
    identity: Identity<'_>,
    (sources, policy): (&[&DataSource], &SubjectRightsPolicy),
) -> Result<Applied, Error> {
    match network_policy(identity, sources, policy, &context.worker) {
        Some(desired) => apply(context, identity.namespace, identity.uid, desired).await,
        None => remove_fence(context, identity).await.map(|()| Applied::Unchanged),
    }
}

async fn remove_fence(context: &Context, identity: Identity<'_>) -> Result<(), Error> {
    let name = network_policy_name(identity.uid);
    let live = Api::<NetworkPolicy>::namespaced(context.client.clone(), identity.namespace)
        .get_metadata_opt(&name)
        .await
        .map_err(|source| Error::request::<NetworkPolicy>("read", &name, source))?;
    match live.filter(|live| is_controlled_by(live, identity.uid)) {
        Some(live) => jobs::delete_if_same::<NetworkPolicy>(context, identity.namespace, &name, live.uid()).await,
        None => Ok(()),
    }
}

async fn put_plan(context: &Context, identity: Identity<'_>, hash: &str, json: &str) -> Result<Applied, Error> {
    let name = children::plan_name(identity.uid, hash);
    let config_map = children::config_map(identity, name, json, true);
    apply(context, identity.namespace, identity.uid, config_map).await
}

/// The Job comes last, and only if nothing foreign stands in the way of what it needs.
async fn put_job(context: &Context, identity: Identity<'_>, before: &[Applied], job: Job) -> Result<Applied, Error> {
    if before.iter().any(|applied| matches!(applied, Applied::Foreign(_))) {
        return Ok(Applied::Unchanged);
    }
    apply(context, identity.namespace, identity.uid, job).await
}

fn blocked(result: Result<Vec<Applied>, Error>) -> Result<Blocked, Error> {
    match result {
        Ok(outcomes) => Ok(outcomes.into_iter().find_map(|outcome| match outcome {
            Applied::Foreign(name) => Some((
                reasons::FOREIGN_OBJECT,
                format!(
                    "{name} exists and does not belong to this request, so it was not touched; delete or rename it"
                ),
            )),
            Applied::Unchanged | Applied::Written => None,
        })),
        Err(error) if error.is_refused() => Ok(Some((
            reasons::OBJECT_REFUSED,
            format!("the API server refuses an object: {}", error.chain()),
        ))),
        Err(error) => Err(error),
    }
}
