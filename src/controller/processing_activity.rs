//! Reconciles a `ProcessingActivity`: its status, from everything that its namespace has. What is right is decided in
//! `plan::records`; this only fetches and writes. Nothing is made for an activity, so nothing is undone with it.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::{Api, ListParams};
use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};

use super::context::GuardedActivity;
use super::guarded::Guarded;
use super::status::write;
use super::{Context, Error, events};
use crate::api::cluster_encryption::CLUSTER_ENCRYPTION_NAME;
use crate::api::measures::{MeasureKind, Protected};
use crate::api::{ClusterEncryption, ProcessingActivity};
use crate::plan::records::access::{Rbac, Readers};
use crate::plan::records::measures::{of_cluster_encryption, secrets};
use crate::plan::records::status::{activity_unchanged, of_activity, transitions};
use crate::plan::records::{Inputs, Observed};

/// The clock alone changes a status by days: a review that is due, a survey that is too old.
const LONGEST: Duration = Duration::from_hours(1);
/// Role bindings are not watched but looked at.
const WITH_ACCESS: Duration = Duration::from_mins(10);

/// Brings the status in line.
pub async fn reconcile(activity: Arc<GuardedActivity>, context: Arc<Context>) -> Result<Action, Error> {
    let activity = match &activity.0 {
        Ok(activity) => activity,
        Err(invalid) => {
            tracing::error!(name = ?invalid.metadata.name, namespace = ?invalid.metadata.namespace, error = %invalid.error,
                "a ProcessingActivity cannot be read; are the CRDs of this release installed?");
            return Ok(Action::await_change());
        }
    };
    if activity.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let namespace = activity.namespace();
    // 1. dereference (caches only)
    let stores = &context.stores;
    let (activities, sources, policies) = (stores.activities(), stores.sources(), stores.policies());
    let notices = stores.notices();
    let notice = readable(&notices)
        .into_iter()
        .find(|notice| notice.name_any() == activity.spec.notice_ref.name);
    let mut activities = readable(&activities);
    activities.retain(|other| other.namespace() == namespace);
    let mut sources = readable(&sources);
    sources.retain(|source| source.namespace() == namespace);
    sources.sort_by_key(|source| source.name_any());
    let mut policies = readable(&policies);
    policies.retain(|policy| policy.namespace() == namespace);
    // 2. look (client): only for measures that ask for it
    let encryption = encryption(&context, activity).await?;
    let readers = readers(&context, activity).await?;
    // 3. status (pure), written only when it says something new (client)
    let inputs = Inputs {
        activity,
        notice,
        activities: &activities,
        sources: &sources,
        policies: &policies,
        encryption,
        readers: &readers,
        now: (context.now)(),
    };
    let new = of_activity(&inputs);
    if !activity
        .status
        .as_ref()
        .is_some_and(|old| activity_unchanged(old, &new))
    {
        let told = transitions(activity, &new);
        write(&context, activity, activity.status.as_ref(), &new).await?;
        for transition in told {
            events::publish(&context, &activity.object_ref(&()), transition).await;
        }
    }
    context.backoff.lock().await.succeeded(activity);
    Ok(Action::requeue(if readers.is_empty() { LONGEST } else { WITH_ACCESS }))
}

fn readable<K>(objects: &[Arc<Guarded<K>>]) -> Vec<&K> {
    objects.iter().filter_map(|object| object.0.as_ref().ok()).collect()
}

/// Whether a measure claims that Secrets are encrypted in etcd.
#[must_use]
pub fn asks_for_encryption(activity: &ProcessingActivity) -> bool {
    activity.spec.measures.iter().any(|measure| {
        measure.kind == MeasureKind::EncryptionAtRest && measure.of == Some(Protected::KubernetesSecrets)
    })
}

async fn encryption(context: &Context, activity: &ProcessingActivity) -> Result<Option<Observed>, Error> {
    if !asks_for_encryption(activity) {
        return Ok(None);
    }
    let api: Api<ClusterEncryption> = Api::all(context.client.clone());
    match api.get_opt(CLUSTER_ENCRYPTION_NAME).await {
        Ok(found) => Ok(found.as_ref().map(of_cluster_encryption)),
        Err(error) if is_forbidden(&error) => Ok(Some(Observed::unknown(
            "NotReadable",
            "the operator may not read ClusterEncryption",
        ))),
        Err(source) => Err(Error::request::<ClusterEncryption>(
            "read",
            CLUSTER_ENCRYPTION_NAME,
            source,
        )),
    }
}

/// Who may read each Secret that a measure of access control names. The Secrets themselves are not touched.
async fn readers(context: &Context, activity: &ProcessingActivity) -> Result<Vec<(String, Readers)>, Error> {
    let names = secrets(&activity.spec.measures);
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let namespace = activity.namespace().unwrap_or_default();
    let rbac = match rbac(context, &namespace).await {
        Ok(rbac) => rbac,
        Err(error) if error.is_forbidden() => {
            let why = "the operator may not read roles and their bindings (value rbac.readRoleBindings of the chart)";
            return Ok(names
                .into_iter()
                .map(|name| (name, Readers::Unreadable(why.to_owned())))
                .collect());
        }
        Err(error) => return Err(error),
    };
    Ok(names
        .into_iter()
        .map(|name| {
            let readers = rbac.readers(&name);
            (name, Readers::Known(readers))
        })
        .collect())
}

async fn rbac(context: &Context, namespace: &str) -> Result<Rbac, Error> {
    let client = &context.client;
    Ok(Rbac {
        roles: list::<Role>(&Api::namespaced(client.clone(), namespace)).await?,
        role_bindings: list::<RoleBinding>(&Api::namespaced(client.clone(), namespace)).await?,
        cluster_roles: list::<ClusterRole>(&Api::all(client.clone())).await?,
        cluster_role_bindings: list::<ClusterRoleBinding>(&Api::all(client.clone())).await?,
    })
}

async fn list<K>(api: &Api<K>) -> Result<Vec<K>, Error>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let kind = K::kind(&()).into_owned();
    api.list(&ListParams::default())
        .await
        .map(|list| list.items)
        .map_err(|source| Error::request::<K>("list", &kind, source))
}

fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}
