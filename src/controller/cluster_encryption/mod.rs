//! Reconciles the `ClusterEncryption`: looks at every API server and agent, lets the machine decide one step, takes it.

mod custody;
mod look;
mod servers;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use kube::api::Api;
use kube::runtime::controller::Action;
use kube::{Client, Config, Resource as _, ResourceExt as _};
use tokio::sync::Mutex;

use super::context::GuardedActivity;
use super::guarded::Guarded;
use super::processing_activity::asks_for_encryption;
use super::status::write_through;
use super::{Context, Error, events};
use crate::api::ClusterEncryption;
use crate::api::cluster_encryption::{ClusterEncryptionStatus, EncryptionMode, SECRETS};
use crate::encryption::machine::{Decision, Halt, decide};
use crate::encryption::observation::{Found, Observation, Wanted};
use crate::encryption::status::{self, Inputs};
use crate::encryption::wanted::{Requirement, wanted};
use crate::encryption::{custody as record, reasons};
use crate::plan::conditions::{find, without_times};
use crate::plan::transitions::Transition;
use crate::plan::validated::Invalid;

/// A `ClusterEncryption` that may not be readable.
pub type GuardedEncryption = Guarded<ClusterEncryption>;

/// What this controller needs besides the cluster.
pub struct Settings {
    /// The way to the cluster, from which the ways to its API servers are made.
    pub config: Config,
    /// The chart has given the rights for it.
    pub enabled: bool,
    /// Time from the agreement of all API servers to the first pass.
    pub settle: SignedDuration,
    /// Pause between two looks while a rotation is under way.
    pub pace: Duration,
    /// Where agents are, as `NODE=ADDRESS:PORT`, instead of in pods.
    pub agents: Vec<String>,
    /// Clients of API servers and agents, by address.
    pub clients: Mutex<HashMap<String, Client>>,
}

/// Pause between two looks while nothing is under way: an API server that changes its file is noticed within it.
const QUIET: Duration = Duration::from_mins(1);

/// Brings the cluster one step closer to what is wanted.
pub async fn reconcile(encryption: Arc<GuardedEncryption>, context: Arc<Context>) -> Result<Action, Error> {
    let cached = match &encryption.0 {
        Ok(encryption) => encryption,
        Err(invalid) => {
            tracing::error!(name = ?invalid.metadata.name, error = %invalid.error,
                "the ClusterEncryption cannot be read; are the CRDs of this release installed?");
            return Ok(Action::await_change());
        }
    };
    // A cache can be ahead of an etcd that was restored: what stands there now counts, and what the status remembers.
    let api: Api<ClusterEncryption> = Api::all(context.client.clone());
    let name = cached.name_any();
    let live = api.get_opt(&name).await;
    let live = live.map_err(|source| Error::request::<ClusterEncryption>("read", &name, source))?;
    let Some(encryption) = live.as_ref() else {
        return Ok(Action::await_change());
    };
    if encryption.meta().deletion_timestamp.is_some() {
        // Keys, files and objects stay as they are.
        return Ok(Action::await_change());
    }
    let settings = &context.encryption;
    let now = (context.now)();
    let wanted = match wanted(&encryption.spec, &requirements(&context), settings.settle) {
        Ok(_) if !settings.enabled => Err(not_enabled()),
        other => other,
    };
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(invalid) => {
            publish(&context, encryption, status::refused(encryption, &invalid, now)).await?;
            return Ok(Action::requeue(Duration::from_hours(1)));
        }
    };
    // 1. look (client)
    let (seen, writes) = look::look(&context, encryption, &wanted).await?;
    // 2. decide one step (pure)
    let decision = decide(&wanted, &seen, &random()?);
    // 3. take it (client)
    let decision = take(&context, &wanted, &seen, decision).await?;
    // 4. status (pure), written only when it says something new (client)
    let new = status::status(&Inputs {
        encryption,
        wanted: &wanted,
        seen: &seen,
        decision: &decision,
        writes: &writes,
    });
    publish(&context, encryption, new).await?;
    context.backoff.lock().await.succeeded(encryption);
    Ok(Action::requeue(match decision {
        Decision::Write(_) | Decision::Seal | Decision::Order(_) => settings.pace.min(Duration::from_secs(1)),
        Decision::Settled => QUIET,
        Decision::Wait(Halt { reason, .. }) if reason == reasons::OBSERVING => QUIET,
        Decision::Wait(_) | Decision::Stop(_) => settings.pace,
    }))
}

/// What activities ask for: a measure `EncryptionAtRest` of `KubernetesSecrets` is about every Secret of the cluster.
fn requirements(context: &Context) -> Vec<Requirement> {
    let asks = |activity: &GuardedActivity| activity.0.as_ref().is_ok_and(asks_for_encryption);
    let some = context.stores.activities().iter().any(|activity| asks(activity));
    some.then(|| Requirement(SECRETS.to_owned())).into_iter().collect()
}

fn not_enabled() -> Invalid {
    Invalid::new(
        reasons::NOT_ENABLED,
        "spec",
        "the operator was installed without the rights for this: helm upgrade with encryption.enabled=true (docs/encryption.md)",
    )
}

fn random() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Randomness)?;
    Ok(bytes)
}

/// Takes a step. A sealed copy that cannot be made holds the machine.
async fn take(context: &Context, wanted: &Wanted, seen: &Observation, decision: Decision) -> Result<Decision, Error> {
    match &decision {
        Decision::Write(next) => {
            custody::write(context, &seen.custody, next).await?;
            tracing::info!(
                step = next.step.as_str(),
                generation = next.generation,
                pass = next.pass,
                active = next.active,
                agreed = next.agreed_at.is_some(),
                "the key Secret is written"
            );
        }
        Decision::Seal => {
            if let Found::Present(record) = &seen.custody
                && let Err(failure) = custody::seal(context, record, &wanted.recipients).await?
            {
                return Ok(Decision::Stop(Halt {
                    reason: reasons::ESCROW_FAILED,
                    message: failure.to_string(),
                }));
            }
        }
        Decision::Order(order) => custody::order(context, order).await?,
        Decision::Wait(_) | Decision::Stop(_) | Decision::Settled => {}
    }
    Ok(decision)
}

/// Writes the status if it says something new, and tells what happened.
async fn publish(context: &Context, encryption: &ClusterEncryption, new: ClusterEncryptionStatus) -> Result<(), Error> {
    let old = encryption.status.clone().unwrap_or_default();
    let is_same = without_times(&old.conditions) == without_times(&new.conditions)
        && ClusterEncryptionStatus {
            conditions: vec![],
            ..old.clone()
        } == ClusterEncryptionStatus {
            conditions: vec![],
            ..new.clone()
        };
    if is_same {
        return Ok(());
    }
    let told = told(&old, &new);
    let api: Api<ClusterEncryption> = Api::all(context.client.clone());
    write_through(context, &api, encryption, encryption.status.as_ref(), &new).await?;
    for transition in told {
        events::publish(context, &encryption.object_ref(&()), transition).await;
    }
    Ok(())
}

/// Each new step, and each stop, once.
fn told(old: &ClusterEncryptionStatus, new: &ClusterEncryptionStatus) -> Vec<Transition> {
    let mut all = Vec::new();
    if let Some(step) = new.step.as_ref().filter(|_| new.step != old.step) {
        let key = new.keys.first().map(|key| key.name.clone()).unwrap_or_default();
        all.push(Transition::new(
            false,
            step,
            &format!(
                "the newest key is {key}; {}",
                new.next_action.clone().unwrap_or_default()
            ),
        ));
    }
    let stop = |status: &ClusterEncryptionStatus| {
        find(&status.conditions, reasons::STOPPED)
            .filter(|condition| condition.status == "True")
            .map(|condition| (condition.reason.clone(), condition.message.clone()))
    };
    if let Some((reason, message)) =
        stop(new).filter(|(reason, _)| stop(old).is_none_or(|(before, _)| before != *reason))
    {
        all.push(Transition::new(true, &reason, &message));
    }
    all
}

/// Whether agents are expected.
fn has_agents(wanted: &Wanted) -> bool {
    wanted.mode == EncryptionMode::Apply
}

/// Namespace of everything here.
const NAMESPACE: &str = record::NAMESPACE;
