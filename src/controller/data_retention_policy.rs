//! Reconciles a `DataRetentionPolicy`. What is right is decided in `plan`; this only fetches and writes.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::Api;
use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};

use super::apply::{Applied, apply, is_controlled_by};
use super::context::GuardedPolicy;
use super::dereference::{Dereferenced, dereference};
use super::jobs::{self, LiveObjects};
use super::legal_hold::{self, Holds};
use super::observe::observe;
use super::status::write;
use super::{Context, Error, events, progress};
use crate::api::status::DataRetentionPolicyStatus;
use crate::api::{DataRetentionPolicy, DataSource};
use crate::contract::STOP_CONFIG_MAP;
use crate::plan::runs::Observation;
use crate::plan::status::{self, Progress};
use crate::plan::steps::{Goal, Steps, decide};
use crate::plan::transitions::transitions;
use crate::plan::validate::{Inputs, validate};
use crate::plan::validated::Invalid;
use crate::plan::work_plan::{Planned, plan};
use crate::plan::{children, naming, reasons};

/// The holds are listed again so soon after that failed.
const SOON: jiff::SignedDuration = jiff::SignedDuration::from_secs(15);

/// What one reconcile gathers on its way.
struct Progressed {
    progress: Progress,
    first_look: Option<String>,
}

/// Brings what exists in line with the policy, and the policy's status in line with what exists.
pub async fn reconcile(policy: Arc<GuardedPolicy>, context: Arc<Context>) -> Result<Action, Error> {
    let policy = match &policy.0 {
        Ok(policy) => policy,
        Err(invalid) => {
            tracing::error!(name = ?invalid.metadata.name, namespace = ?invalid.metadata.namespace, error = %invalid.error,
                "a DataRetentionPolicy cannot be read; are the CRDs of this release installed?");
            return Ok(Action::await_change());
        }
    };
    if policy.meta().deletion_timestamp.is_some() {
        // The children go with their owner. No row is touched.
        return Ok(Action::await_change());
    }
    let (namespace, name) = (policy.namespace().unwrap_or_default(), policy.name_any());
    let uid = policy.uid().unwrap_or_default();
    let now = (context.now)();

    // 1. dereference (caches only)
    let found = dereference(&context.stores, policy);
    // 2. list the holds (client), and plan by them (pure). No hold is said to be in force between this and the end of 4.
    let planning = context.planning.read().await;
    let holds = legal_hold::all(&context).await;
    let planned = planned(policy, &found, holds.as_ref(), now);
    // 3. look at what is live (client)
    let live = jobs::read(&context, &namespace, &name, &uid).await?;
    let stopped = is_stopped(&context, &namespace).await?;
    let steps = decide(goal(policy, planned.as_ref().ok(), stopped), &live.to_live());
    // 4. apply (client)
    let progressed = act(&context, policy, &planned, found.source(), &live, &steps, stopped).await?;
    drop(planning);
    // 5. observe (pure, from what is live; a long run is asked how far it is)
    let mut observation = observe(&live, &policy.status.clone().unwrap_or_default(), stopped, now);
    if let Some(run) = &mut observation.running
        && status::asks_for_progress(policy.status.as_ref(), run, now)
    {
        run.progress = progress::read(&live.pods).await;
    }
    // 6. status (pure), written only when it says something new (client)
    let inputs = status::Inputs {
        policy,
        planned: planned.as_ref().map_err(Vec::as_slice),
        source: found.source(),
        neighbours: &found.neighbours,
        observation: &observation,
        progress: progressed.progress,
        first_look: progressed.first_look,
        now,
    };
    let new = status::status(&inputs);
    let next = match &holds {
        Ok(_) => status::next_look(&new, &inputs),
        Err(_) => SOON.min(status::next_look(&new, &inputs)),
    };
    publish(&context, policy, new, &observation).await?;
    context.backoff.lock().await.succeeded(policy);
    Ok(Action::requeue(
        Duration::try_from(next).unwrap_or(Duration::from_mins(1)),
    ))
}

/// What cannot be told of holds counts as held: then there is no plan, so that nothing starts and what runs is ended.
fn planned(
    policy: &DataRetentionPolicy,
    found: &Dereferenced,
    holds: Result<&Holds, &Error>,
    now: jiff::Timestamp,
) -> Result<Planned, Vec<Invalid>> {
    let holds = holds.map_err(|error| {
        let message = format!(
            "the LegalHolds cannot be listed, and one of them may bind rows here: {}",
            error.chain()
        );
        vec![Invalid::new(reasons::HOLDS_UNKNOWN, "spec.dataSourceRef", message)]
    })?;
    let validated = validate(&Inputs {
        policy,
        source: found.source(),
        others: &found.others(policy),
        holds: &holds.listed(),
        now,
    })?;
    plan(policy, validated, now).map_err(|invalid| vec![invalid])
}

fn goal<'a>(policy: &DataRetentionPolicy, planned: Option<&'a Planned>, stopped: bool) -> Goal<'a> {
    Goal {
        plan: planned.map(|planned| planned.plan_hash.as_str()),
        runs: planned.is_some_and(Planned::has_work) && !policy.spec.suspend && !stopped,
    }
}

async fn is_stopped(context: &Context, namespace: &str) -> Result<bool, Error> {
    Api::<ConfigMap>::namespaced(context.client.clone(), namespace)
        .get_metadata_opt(STOP_CONFIG_MAP)
        .await
        .map(|found| found.is_some())
        .map_err(|source| Error::request::<ConfigMap>("read", STOP_CONFIG_MAP, source))
}

/// Does the steps, in their order.
async fn act(
    context: &Context,
    policy: &DataRetentionPolicy,
    planned: &Result<Planned, Vec<Invalid>>,
    source: Option<&DataSource>,
    live: &LiveObjects,
    steps: &Steps,
    stopped: bool,
) -> Result<Progressed, Error> {
    let namespace = policy.namespace().unwrap_or_default();
    let mut first_look = policy
        .status
        .as_ref()
        .and_then(|status| status.first_look_rules_hash.clone());
    if let Some(cron_job) = live.cron_job.as_ref().filter(|_| steps.suspend_first) {
        jobs::suspend(context, cron_job).await?;
    }
    for job in &steps.end_jobs {
        tracing::info!(%namespace, policy = %policy.name_any(), job = %job.name, "ending a run whose plan is not current");
        jobs::end(context, &namespace, job).await?;
        if first_look
            .as_deref()
            .is_some_and(|hash| job.name == naming::first_look(&policy.name_any(), hash))
        {
            // It did not come to its end: it is done again with the new plan.
            first_look = None;
        }
    }
    let progress = match planned {
        _ if steps.wait => Progress::Waiting,
        Ok(planned) if steps.apply => {
            let runs = goal(policy, Some(planned), stopped).runs;
            let applied = apply_children(context, policy, planned, source, runs, &mut first_look).await;
            match applied {
                Ok(None) => {
                    delete_old_plans(context, policy, planned, steps).await?;
                    Progress::Settled
                }
                Ok(Some(foreign)) => Progress::Blocked(
                    reasons::FOREIGN_OBJECT,
                    format!(
                        "{foreign} exists and does not belong to this policy, so it was not touched; delete or rename it"
                    ),
                ),
                Err(error) if error.is_refused() => Progress::Blocked(
                    reasons::OBJECT_REFUSED,
                    format!("the API server refuses an object: {}", error.chain()),
                ),
                Err(error) => return Err(error),
            }
        }
        _ => Progress::Settled,
    };
    Ok(Progressed { progress, first_look })
}

/// Applies the children in the order in which they are needed. `Some`: a foreign object stands in the way.
async fn apply_children(
    context: &Context,
    policy: &DataRetentionPolicy,
    planned: &Planned,
    source: Option<&DataSource>,
    runs: bool,
    first_look: &mut Option<String>,
) -> Result<Option<String>, Error> {
    let (namespace, uid) = (&planned.validated.namespace, &planned.validated.uid);
    let network_policy = source.and_then(|source| children::network_policy(planned, source, &context.worker));
    let mut outcomes = Vec::new();
    match network_policy {
        Some(desired) => outcomes.push(apply(context, namespace, uid, desired).await?),
        None => delete_network_policy(context, namespace, &planned.validated.name, uid).await?,
    }
    outcomes.push(apply(context, namespace, uid, children::config_map(planned)).await?);
    let foreign = |outcomes: &[Applied]| {
        outcomes.iter().find_map(|outcome| match outcome {
            Applied::Foreign(name) => Some(name.clone()),
            Applied::Unchanged | Applied::Written => None,
        })
    };
    if let Some(name) = foreign(&outcomes) {
        return Ok(Some(name));
    }
    let cron_job = children::cron_job(planned, &policy.spec.schedule, !runs, &context.worker);
    outcomes.push(apply(context, namespace, uid, cron_job).await?);
    if runs && first_look.as_deref() != Some(&planned.rules.hash) && foreign(&outcomes).is_none() {
        outcomes.push(apply(context, namespace, uid, children::first_look(planned, &context.worker)).await?);
        *first_look = Some(planned.rules.hash.clone());
    }
    Ok(foreign(&outcomes))
}

/// The `DataSource` no longer says where the store is: the `NetworkPolicy` goes, if it is ours.
async fn delete_network_policy(context: &Context, namespace: &str, policy: &str, uid: &str) -> Result<(), Error> {
    let name = naming::network_policy(policy);
    let live = Api::<NetworkPolicy>::namespaced(context.client.clone(), namespace)
        .get_metadata_opt(&name)
        .await
        .map_err(|source| Error::request::<NetworkPolicy>("read", &name, source))?;
    match live.filter(|live| is_controlled_by(live, uid)) {
        Some(live) => jobs::delete_if_same::<NetworkPolicy>(context, namespace, &name, live.uid()).await,
        None => Ok(()),
    }
}

async fn delete_old_plans(
    context: &Context,
    policy: &DataRetentionPolicy,
    planned: &Planned,
    steps: &Steps,
) -> Result<(), Error> {
    debug_assert!(!steps.wait, "runs of old plans are gone before their plans are deleted");
    jobs::delete_old_plans(
        context,
        &planned.validated.namespace,
        &policy.name_any(),
        &planned.validated.uid,
        std::slice::from_ref(&planned.plan_hash),
    )
    .await
}

/// Writes the status if it says something new, and tells what happened.
async fn publish(
    context: &Context,
    policy: &DataRetentionPolicy,
    new: DataRetentionPolicyStatus,
    observation: &Observation,
) -> Result<(), Error> {
    if status::is_unchanged(policy.status.as_ref(), &new) {
        return Ok(());
    }
    let told = transitions(policy.status.as_ref(), &new);
    write(context, policy, policy.status.as_ref(), &new).await?;
    for run in &observation.finished {
        context.metrics.count_run(policy, run);
        tracing::info!(namespace = policy.namespace(), policy = %policy.name_any(), job = %run.job, result = ?run.report.as_ref().map(|(report, _)| report.result),
            cause = ?run.cause, "a run has ended");
    }
    for transition in told {
        events::publish(context, &policy.object_ref(&()), transition).await;
    }
    Ok(())
}
