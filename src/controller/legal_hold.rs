//! Reconciles a `LegalHold`. It starts and ends nothing itself: the policies do, since a hold is part of their plans. It
//! looks until nothing runs any more that does not know it, and says so.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::ListParams;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use super::context::{GuardedHold, GuardedSource};
use super::jobs::{has_ended, label};
use super::observe::finish;
use super::status::write;
use super::{Context, Error, events, finalizer};
use crate::api::{DataSource, LegalHold};
use crate::plan::holds::waiting::{LivePlan, Runner, waiting_for};
use crate::plan::holds::{FINALIZER, Listed, binds, status};
use crate::plan::naming;
use crate::plan::sharing::store_key;

/// Brings the finalizer and the status in line.
pub async fn reconcile(hold: Arc<GuardedHold>, context: Arc<Context>) -> Result<Action, Error> {
    let hold = match &hold.0 {
        Ok(hold) => hold,
        Err(invalid) => {
            // The policies of its namespace see it too, and do not run.
            tracing::error!(name = ?invalid.metadata.name, namespace = ?invalid.metadata.namespace, error = %invalid.error,
                "a LegalHold cannot be read; are the CRDs of this release installed?");
            return Ok(Action::await_change());
        }
    };
    let now = (context.now)();
    let is_bound = binds(hold, now);
    let has_finalizer = hold.finalizers().iter().any(|name| name == FINALIZER);
    let is_going = hold.meta().deletion_timestamp.is_some();
    // 1. the finalizer, before it is said to bind (client). One that is going already takes none any more.
    if is_going && !has_finalizer {
        return Ok(Action::await_change());
    }
    if is_going && !is_bound {
        finalizer::set(&context, hold, FINALIZER, false).await?;
        return Ok(Action::await_change());
    }
    if !is_going && !has_finalizer {
        finalizer::set(&context, hold, FINALIZER, true).await?;
        return Ok(Action::requeue(Duration::from_secs(1)));
    }
    // 2. dereference (caches only)
    let namespace = hold.namespace().unwrap_or_default();
    let source = context.stores.source(&namespace, &hold.spec.data_source_ref.name);
    let source = source.as_ref().and_then(|source| source.0.as_ref().ok());
    // 3. look at what runs (client)
    let understood = source.filter(|source| is_bound && status::mistakes(hold, Some(source)).is_empty());
    let waiting = match understood {
        Some(source) => Some(look(&context, hold, source).await?),
        None => None,
    };
    // 4. status (pure), written only when it says something new (client)
    let inputs = status::Inputs {
        hold,
        source,
        waiting_for: waiting.as_ref(),
        now,
    };
    let new = status::status(&inputs);
    if !status::is_unchanged(hold.status.as_ref(), &new) {
        let told = status::transitions(hold.status.as_ref(), &new);
        write(&context, hold, hold.status.as_ref(), &new).await?;
        for transition in told {
            events::publish(&context, &hold.object_ref(&()), transition).await;
        }
    }
    context.backoff.lock().await.succeeded(hold);
    let next = status::next_look(&new, &inputs);
    Ok(Action::requeue(
        Duration::try_from(next).unwrap_or(Duration::from_mins(1)),
    ))
}

/// Whose runs do not know the hold yet. A reconcile of a policy that listed the holds before this one was there may still be
/// about to apply its plan: so it is waited for first, and whoever begins after that lists this hold too.
async fn look(context: &Context, hold: &LegalHold, source: &DataSource) -> Result<BTreeSet<String>, Error> {
    drop(context.planning.write().await);
    let sweeps = ListParams::default().labels(&naming::managed_selector());
    // Runners first: a plan that is applied in between would else be missed as one that is not there.
    let cron_jobs: Vec<CronJob> = list(context, &sweeps).await?;
    let jobs: Vec<Job> = list(context, &sweeps).await?;
    let pods: Vec<Pod> = list(context, &sweeps).await?;
    let is_suspended = |cron_job: &&CronJob| cron_job.spec.as_ref().and_then(|spec| spec.suspend) == Some(true);
    let runners: Vec<Runner> = cron_jobs
        .iter()
        .filter(|cron_job| !is_suspended(cron_job))
        .filter_map(runner)
        .chain(jobs.iter().filter(|job| finish(job).is_none()).filter_map(runner))
        .chain(pods.iter().filter(|pod| !has_ended(pod)).filter_map(runner))
        .collect();
    let plans = plans(context).await?;
    let uid = hold.uid().unwrap_or_default();
    Ok(waiting_for(&uid, &store_key(source), &plans, &runners))
}

/// What sweeps have, and surveys and exports do not, is the label of a policy.
fn runner<K: Resource>(object: &K) -> Option<Runner> {
    Some(Runner {
        namespace: object.namespace().unwrap_or_default(),
        policy: label(object, naming::LABEL_POLICY)?,
        plan: label(object, naming::LABEL_PLAN),
    })
}

async fn plans(context: &Context) -> Result<Vec<LivePlan>, Error> {
    let selector = format!(
        "{},{}={}",
        naming::managed_selector(),
        naming::LABEL_COMPONENT,
        naming::WORK_PLAN
    );
    let parameters = ListParams::default().labels(&selector);
    let mut plans = Vec::new();
    for api in context.scopes.apis::<ConfigMap>(&context.client) {
        let found = api.list_metadata(&parameters).await;
        let found = found.map_err(|source| Error::request::<ConfigMap>("list", "", source))?;
        plans.extend(found.items.iter().map(|plan| {
            LivePlan {
                namespace: plan.namespace().unwrap_or_default(),
                hash: label(plan, naming::LABEL_PLAN).unwrap_or_default(),
                store: label(plan, naming::LABEL_STORE),
                holds: plan
                    .annotations()
                    .get(naming::ANNOTATION_HOLDS)
                    .map(|uids| uids.split(',').map(str::to_owned).collect())
                    .unwrap_or_default(),
            }
        }));
    }
    Ok(plans)
}

/// Every object of all scopes, from the API server and not from a cache.
async fn list<K>(context: &Context, parameters: &ListParams) -> Result<Vec<K>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let mut all = Vec::new();
    for api in context.scopes.apis::<K>(&context.client) {
        let found = api.list(parameters).await;
        all.extend(found.map_err(|source| Error::request::<K>("list", "", source))?.items);
    }
    Ok(all)
}

/// Every hold of all scopes, as it is now: what a cache does not know yet would be deleted. With what each names.
pub async fn all(context: &Context) -> Result<Holds, Error> {
    let mut holds = Holds::default();
    for api in context.scopes.apis::<GuardedHold>(&context.client) {
        let found = api.list(&ListParams::default()).await;
        for hold in found
            .map_err(|source| Error::request::<LegalHold>("list", "", source))?
            .items
        {
            let name = hold.0.as_ref().ok().map(|hold| hold.spec.data_source_ref.name.clone());
            let namespace = hold.namespace().unwrap_or_default();
            let source = name.and_then(|name| context.stores.source(&namespace, &name));
            holds.0.push((namespace, hold.name_any(), hold, source));
        }
    }
    Ok(holds)
}

/// Holds with their namespaces, names and sources.
#[derive(Default)]
pub struct Holds(Vec<(String, String, GuardedHold, Option<Arc<GuardedSource>>)>);

impl Holds {
    /// The same in the words of the pure core.
    #[must_use]
    pub fn listed(&self) -> Vec<Listed<'_>> {
        self.0
            .iter()
            .map(|(namespace, name, hold, source)| Listed {
                namespace,
                name,
                hold: hold.0.as_ref().ok(),
                source: source.as_ref().and_then(|source| source.0.as_ref().ok()),
            })
            .collect()
    }
}
