//! Starts the controllers of every watched scope and lets them run until they are told to stop.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, Shared, select};
use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{controller, watcher};
use kube::{Client, Resource, ResourceExt as _};

use super::caches::Caches;
use super::cluster_encryption::{self, GuardedEncryption};
use super::context::{
    GuardedActivity, GuardedHold, GuardedNotice, GuardedPolicy, GuardedRequest, GuardedRightsPolicy, GuardedSource,
};
use super::dereference::policies_on_store;
use super::jobs::label;
use super::{
    Context, Error, Stores, data_retention_policy, data_source, events, exports, legal_hold, privacy_notice,
    processing_activity, records, withdrawals,
};
use crate::contract::STOP_CONFIG_MAP;
use crate::plan::naming::{self, LABEL_POLICY, label_value};
use crate::plan::transitions::Transition;

/// Reconciles of one kind at the same time.
const CONCURRENCY: u16 = 4;
/// Changes within this time make one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(500);
/// Each step of a rotation is a reconcile, and nobody else makes changes in between: there is little to gather.
const ENCRYPTION_DEBOUNCE: Duration = Duration::from_millis(50);
/// Pause after a refusal: rights do not come back within seconds.
const FORBIDDEN_PAUSE: Duration = Duration::from_mins(5);
/// Until the pauses are this long, a refusal counts as any failure: an API server that has just started knows no rights yet.
const REFUSED_FOR_GOOD: Duration = Duration::from_secs(8);

/// Which namespaces are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scopes {
    /// The whole cluster.
    All,
    /// These only.
    Namespaces(Vec<String>),
}

impl Scopes {
    /// A handle for each scope.
    pub(super) fn apis<K>(&self, client: &Client) -> Vec<Api<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match self {
            Self::All => vec![Api::all(client.clone())],
            Self::Namespaces(names) => names.iter().map(|name| Api::namespaced(client.clone(), name)).collect(),
        }
    }
}

/// Reconciles under way may take so long to end. The library waits without end for a cache that was not filled yet; and
/// whoever leads no more must not look alive.
const GRACE: Duration = Duration::from_secs(15);

/// A signal to stop that everybody can wait for.
pub type Shutdown = Shared<BoxFuture<'static, ()>>;

/// Runs every controller until `shutdown`, and what it has begun for a short time after. `context` gets the caches that
/// these controllers fill.
#[allow(clippy::too_many_lines, reason = "a few lines for each kind")]
pub async fn run(client: Client, scopes: &Scopes, shutdown: Shutdown, context: impl FnOnce(Stores) -> Arc<Context>) {
    let policies: Vec<Controller<GuardedPolicy>> = scopes.apis(&client).into_iter().map(controller).collect();
    let sources: Vec<Controller<GuardedSource>> = scopes.apis(&client).into_iter().map(controller).collect();
    let rights: Vec<Controller<GuardedRightsPolicy>> = scopes.apis(&client).into_iter().map(controller).collect();
    let requests: Vec<Controller<GuardedRequest>> = scopes.apis(&client).into_iter().map(controller).collect();
    let activities: Vec<Controller<GuardedActivity>> = scopes.apis(&client).into_iter().map(controller).collect();
    let holds: Vec<Controller<GuardedHold>> = scopes.apis(&client).into_iter().map(controller).collect();
    // Cluster-scoped: one, whatever is watched.
    let notices: Controller<GuardedNotice> = controller(Api::all(client.clone()));
    let encryptions: Controller<GuardedEncryption> =
        controller(Api::all(client.clone())).with_config(config(ENCRYPTION_DEBOUNCE));
    let stores = Stores {
        encryptions: vec![encryptions.store()],
        policies: policies.iter().map(Controller::store).collect(),
        sources: sources.iter().map(Controller::store).collect(),
        rights: rights.iter().map(Controller::store).collect(),
        requests: requests.iter().map(Controller::store).collect(),
        activities: activities.iter().map(Controller::store).collect(),
        holds: holds.iter().map(Controller::store).collect(),
        notices: vec![notices.store()],
    };
    let context = context(stores.clone());
    let (caches, filling) = Caches::new(stores.clone());
    let mut running = vec![select(filling.boxed(), shutdown.clone()).map(drop).boxed()];
    running.push(
        drive(
            encryptions.graceful_shutdown_on(shutdown.clone()),
            cluster_encryption::reconcile,
            "ClusterEncryption",
            context.clone(),
            caches.clone(),
        )
        .boxed(),
    );
    for api in scopes.apis(&client) {
        let watching = withdrawals::watch(api, context.clone());
        running.push(select(watching.boxed(), shutdown.clone()).map(drop).boxed());
    }
    let of_people = rights.into_iter().zip(requests).zip(activities);
    let of_stores = policies.into_iter().zip(sources).zip(holds);
    for (index, (((policies, sources), holds), ((rights, requests), activities))) in
        of_stores.zip(of_people).enumerate()
    {
        let watched = Watched {
            client: &client,
            scopes,
            index,
            stores: &stores,
        };
        let policies = watched.by_policies(policies).graceful_shutdown_on(shutdown.clone());
        let sources = watched.by_sources(sources).graceful_shutdown_on(shutdown.clone());
        let rights = watched.by_rights(rights).graceful_shutdown_on(shutdown.clone());
        let requests = watched.by_requests(requests).graceful_shutdown_on(shutdown.clone());
        let activities = watched.by_activities(activities).graceful_shutdown_on(shutdown.clone());
        let holds = watched.by_holds(holds).graceful_shutdown_on(shutdown.clone());
        running.push(
            drive(
                holds,
                legal_hold::reconcile,
                "LegalHold",
                context.clone(),
                caches.clone(),
            )
            .boxed(),
        );
        running.push(
            drive(
                activities,
                processing_activity::reconcile,
                "ProcessingActivity",
                context.clone(),
                caches.clone(),
            )
            .boxed(),
        );
        running.push(
            drive(
                policies,
                data_retention_policy::reconcile,
                "DataRetentionPolicy",
                context.clone(),
                caches.clone(),
            )
            .boxed(),
        );
        running.push(
            drive(
                sources,
                data_source::reconcile,
                "DataSource",
                context.clone(),
                caches.clone(),
            )
            .boxed(),
        );
        running.push(
            drive(
                rights,
                exports::rights_policy::reconcile,
                "SubjectRightsPolicy",
                context.clone(),
                caches.clone(),
            )
            .boxed(),
        );
        running.push(
            drive(
                requests,
                exports::request::reconcile,
                "ExportRequest",
                context.clone(),
                caches.clone(),
            )
            .boxed(),
        );
    }
    let notices = records::by_notices(notices, &scopes.apis(&client)).graceful_shutdown_on(shutdown.clone());
    running.push(drive(notices, privacy_notice::reconcile, "PrivacyNotice", context, caches).boxed());
    to_the_end(running, shutdown).await;
}

/// Waits for all of it; once it is told to stop, not longer than [`GRACE`].
async fn to_the_end(running: Vec<BoxFuture<'_, ()>>, shutdown: Shutdown) {
    let mut running = futures::future::join_all(running);
    tokio::select! {
        _ = &mut running => return,
        () = shutdown => {}
    }
    if tokio::time::timeout(GRACE, running).await.is_err() {
        tracing::warn!("not everything that was under way came to its end; whoever leads next repeats it");
    }
}

fn controller<K>(api: Api<K>) -> Controller<K>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + Sync + 'static,
{
    Controller::new(api, watched()).with_config(config(DEBOUNCE))
}

fn config(debounce: Duration) -> controller::Config {
    controller::Config::default()
        .concurrency(CONCURRENCY)
        .debounce(debounce)
}

/// In small pages: each of some twenty watches has a connection whose buffer grows to the size of a page and stays so.
pub(super) fn watched() -> watcher::Config {
    watcher::Config::default().page_size(10)
}

/// What each controller looks at besides its own kind, in one scope.
pub(super) struct Watched<'a> {
    pub(super) client: &'a Client,
    scopes: &'a Scopes,
    index: usize,
    pub(super) stores: &'a Stores,
}

impl Watched<'_> {
    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let mut apis = self.scopes.apis(self.client);
        apis.swap_remove(self.index)
    }

    fn by_policies(&self, controller: Controller<GuardedPolicy>) -> Controller<GuardedPolicy> {
        let managed = || watched().labels(&naming::managed_selector());
        let stop = watched().fields(&format!("metadata.name={STOP_CONFIG_MAP}"));
        let own = controller.store();
        let (of_jobs, of_sources, of_stops) = (own.clone(), own.clone(), own.clone());
        let (neighbours, of_stores, of_holds) = (self.stores.clone(), self.stores.clone(), self.stores.clone());
        controller
            .owns::<PartialObjectMeta<CronJob>>(self.api_of_metadata(), managed())
            .owns::<PartialObjectMeta<ConfigMap>>(self.api_of_metadata(), managed())
            .owns::<PartialObjectMeta<NetworkPolicy>>(self.api_of_metadata(), managed())
            // Jobs belong to the CronJob, so their policy is told by a label.
            .watches::<PartialObjectMeta<Job>, _>(self.api_of_metadata(), managed(), move |job| {
                policies_of_label(&of_jobs, &job)
            })
            .watches::<GuardedSource, _>(self.api(), watched(), move |source| {
                // What another source of the same store declares is part of what its policies protect.
                let mut concerned = policies_of_source(&of_sources, &source);
                concerned.extend(on_store(&of_stores, &source));
                concerned
            })
            .watches::<PartialObjectMeta<ConfigMap>, _>(self.api_of_metadata(), stop, move |stop| {
                policies_of_namespace(&of_stops, &stop.namespace().unwrap_or_default())
            })
            .watches::<GuardedPolicy, _>(self.api(), watched(), move |policy| {
                policies_beside(&neighbours, &policy)
            })
            .watches::<GuardedHold, _>(self.api(), watched(), move |hold| policies_of_hold(&of_holds, &hold))
    }

    /// What runs is looked at again and again while a hold is being placed; what it binds depends on its source.
    fn by_holds(&self, controller: Controller<GuardedHold>) -> Controller<GuardedHold> {
        let own = controller.store();
        controller.watches::<GuardedSource, _>(self.api(), watched(), move |source| {
            let of_source = |hold: &Arc<GuardedHold>| {
                let named = hold
                    .0
                    .as_ref()
                    .is_ok_and(|hold| hold.spec.data_source_ref.name == source.name_any());
                named && hold.namespace() == source.namespace()
            };
            let holds = own.state().into_iter().filter(of_source);
            holds.map(|hold| ObjectRef::from_obj(hold.as_ref())).collect::<Vec<_>>()
        })
    }

    fn by_sources(&self, controller: Controller<GuardedSource>) -> Controller<GuardedSource> {
        let own = controller.store();
        let of_jobs = own.clone();
        let of_surveys = || watched().labels(&naming::survey_selector());
        controller
            .watches::<GuardedPolicy, _>(self.api(), watched(), |policy| {
                let policy = policy.0.ok()?;
                let namespace = policy.namespace()?;
                Some(ObjectRef::new(&policy.spec.data_source_ref.name).within(&namespace))
            })
            .owns::<PartialObjectMeta<CronJob>>(self.api_of_metadata(), of_surveys())
            .owns::<PartialObjectMeta<ConfigMap>>(self.api_of_metadata(), of_surveys())
            .owns::<PartialObjectMeta<NetworkPolicy>>(self.api_of_metadata(), of_surveys())
            // Jobs belong to the CronJob, so their source is told by a label.
            .watches::<PartialObjectMeta<Job>, _>(self.api_of_metadata(), of_surveys(), move |job| {
                records::sources_of_label(&of_jobs, &job)
            })
            .watches::<GuardedActivity, _>(self.api(), watched(), move |activity| {
                records::sources_of_activity(&own, &activity)
            })
    }

    pub(super) fn api_of_metadata<K>(&self) -> Api<PartialObjectMeta<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        self.api()
    }
}

/// The policies on the store of a hold; and those of its namespace, which do not run when it cannot be understood.
fn policies_of_hold(stores: &Stores, hold: &GuardedHold) -> Vec<ObjectRef<GuardedPolicy>> {
    let namespace = hold.namespace().unwrap_or_default();
    let source = hold
        .0
        .as_ref()
        .ok()
        .and_then(|hold| stores.source(&namespace, &hold.spec.data_source_ref.name));
    let beside = source.map_or_else(Vec::new, |source| on_store(stores, &source));
    let at_home = stores
        .policies
        .iter()
        .flat_map(|store| policies_of_namespace(store, &namespace));
    beside.into_iter().chain(at_home).collect()
}

fn policies_of_namespace(store: &Store<GuardedPolicy>, namespace: &str) -> Vec<ObjectRef<GuardedPolicy>> {
    references(store, |policy| policy.namespace().as_deref() == Some(namespace))
}

fn policies_of_label<K: Resource>(store: &Store<GuardedPolicy>, object: &K) -> Vec<ObjectRef<GuardedPolicy>> {
    let (namespace, value) = (object.namespace(), label(object, LABEL_POLICY));
    references(store, |policy| {
        policy.namespace() == namespace && Some(label_value(&policy.name_any())) == value
    })
}

fn policies_of_source(store: &Store<GuardedPolicy>, source: &GuardedSource) -> Vec<ObjectRef<GuardedPolicy>> {
    let (namespace, name) = (source.namespace(), source.name_any());
    references(store, |policy| {
        policy.namespace() == namespace
            && policy
                .0
                .as_ref()
                .is_ok_and(|policy| policy.spec.data_source_ref.name == name)
    })
}

/// The policies on the store of the one that changed, as it is now or was: what it keeps they must keep, and those that
/// no longer share a table with it must know that too.
fn policies_beside(stores: &Stores, changed: &GuardedPolicy) -> Vec<ObjectRef<GuardedPolicy>> {
    let source_of = |policy: &GuardedPolicy| {
        let policy = policy.0.as_ref().ok()?;
        stores.source(&policy.namespace()?, &policy.spec.data_source_ref.name)
    };
    let Some(own) = source_of(changed) else {
        return Vec::new();
    };
    let mut beside = on_store(stores, &own);
    beside.retain(|other| *other != ObjectRef::from_obj(changed));
    beside
}

/// Every policy on the store that this source names.
fn on_store(stores: &Stores, own: &GuardedSource) -> Vec<ObjectRef<GuardedPolicy>> {
    let Ok(own) = &own.0 else { return Vec::new() };
    let policies = policies_on_store(stores, own).into_iter();
    policies
        .map(|(_, policy)| ObjectRef::from_obj(policy.as_ref()))
        .collect()
}

fn references(store: &Store<GuardedPolicy>, wanted: impl Fn(&GuardedPolicy) -> bool) -> Vec<ObjectRef<GuardedPolicy>> {
    store
        .state()
        .iter()
        .filter(|policy| wanted(policy))
        .map(|policy| ObjectRef::from_obj(policy.as_ref()))
        .collect()
}

/// Runs one controller: waits until every cache is filled, so that nothing is decided on half of what is known, then
/// reconciles, measures, and turns failures into pauses.
async fn drive<K, F>(
    controller: Controller<K>,
    reconcile: fn(Arc<K>, Arc<Context>) -> F,
    kind: &'static str,
    context: Arc<Context>,
    caches: Caches,
) where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + Sync + 'static,
    F: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let reconciler = move |object: Arc<K>, context: Arc<Context>| {
        let mut caches = caches.clone();
        async move {
            caches.filled(kind == "ProcessingActivity").await;
            let begin = (context.now)();
            context.health.begin(begin);
            let timer = std::time::Instant::now();
            let result = reconcile(object.clone(), context.clone()).await;
            context.health.end((context.now)());
            context.metrics.reconciled(
                kind,
                result.as_ref().map_or_else(Error::result_word, |_| "success"),
                timer.elapsed(),
            );
            match result {
                Ok(action) => Ok::<Action, Error>(action),
                Err(error) => Ok(after_failure(&context, object.as_ref(), kind, &error).await),
            }
        }
    };
    controller
        .run(reconciler, |_, _, _| Action::requeue(FORBIDDEN_PAUSE), context)
        .for_each(|outcome| {
            if let Err(error) = outcome {
                match error {
                    controller::Error::ObjectNotFound(_) => {}
                    other => tracing::warn!(kind, error = %other, "a watch was interrupted; it is taken up again"),
                }
            }
            std::future::ready(())
        })
        .await;
}

async fn after_failure<K>(context: &Context, object: &K, kind: &'static str, error: &Error) -> Action
where
    K: Resource<DynamicType = ()>,
{
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let pause = context.backoff.lock().await.failed(object);
    if error.is_conflict() {
        tracing::debug!(kind, %namespace, %name, error = %error.chain(), "somebody else wrote in between; looking again");
        return Action::requeue(Duration::from_secs(1));
    }
    tracing::warn!(kind, %namespace, %name, error = %error.chain(), "the reconcile failed; it is tried again");
    if error.is_forbidden() && pause >= REFUSED_FOR_GOOD {
        let transition = Transition {
            warning: true,
            reason: "Forbidden".to_owned(),
            note: format!(
                "{}; give the operator's service account this right (helm upgrade does)",
                error.chain()
            ),
        };
        events::publish(context, &object.object_ref(&()), transition).await;
        return Action::requeue(FORBIDDEN_PAUSE);
    }
    Action::requeue(pause)
}
