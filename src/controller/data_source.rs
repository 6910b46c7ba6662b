//! Reconciles a `DataSource`: its status, from its declaration and from what its policies' runs found.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};

use super::context::{GuardedPolicy, GuardedSource};
use super::status::write;
use super::{Context, Error};
use crate::api::{DataRetentionPolicy, DataSource};
use crate::plan::conditions::source_status_unchanged;
use crate::plan::data_source::status;

/// Brings the status in line.
pub async fn reconcile(source: Arc<GuardedSource>, context: Arc<Context>) -> Result<Action, Error> {
    let source = match &source.0 {
        Ok(source) => source,
        Err(invalid) => {
            tracing::error!(name = ?invalid.metadata.name, namespace = ?invalid.metadata.namespace, error = %invalid.error,
                "a DataSource cannot be read; are the CRDs of this release installed?");
            return Ok(Action::await_change());
        }
    };
    if source.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    // 1. dereference (caches only)
    let policies = context.stores.policies();
    // 2. status (pure)
    let new = status(source, &referring(&policies, source), (context.now)());
    // 3. written only when it says something new (client)
    if !source
        .status
        .as_ref()
        .is_some_and(|old| source_status_unchanged(old, &new))
    {
        write(&context, source, source.status.as_ref(), &new).await?;
    }
    context.backoff.lock().await.succeeded(source);
    Ok(Action::requeue(Duration::from_hours(1)))
}

fn referring<'a>(policies: &'a [Arc<GuardedPolicy>], source: &DataSource) -> Vec<&'a DataRetentionPolicy> {
    policies
        .iter()
        .filter_map(|policy| policy.0.as_ref().ok())
        .filter(|policy| {
            policy.namespace() == source.namespace() && policy.spec.data_source_ref.name == source.name_any()
        })
        .collect()
}
