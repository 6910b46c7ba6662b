//! Reconciles a `SubjectRightsPolicy`: its status, from its spec, its holidays and its requests.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::Api;
use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};

use super::super::context::GuardedRightsPolicy;
use super::super::status::write;
use super::super::{Context, Error};
use crate::api::{ExportRequest, SubjectRightsPolicy};
use crate::domain::working_days::Holidays;
use crate::plan::conditions::rights_status_unchanged;
use crate::plan::export::rights_status::{Calendar, status};

/// Brings the status in line.
pub async fn reconcile(policy: Arc<GuardedRightsPolicy>, context: Arc<Context>) -> Result<Action, Error> {
    let policy = match &policy.0 {
        Ok(policy) => policy,
        Err(invalid) => {
            tracing::error!(name = ?invalid.metadata.name, namespace = ?invalid.metadata.namespace, error = %invalid.error,
                "a SubjectRightsPolicy cannot be read; are the CRDs of this release installed?");
            return Ok(Action::await_change());
        }
    };
    if policy.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let calendar = calendar(&context, policy).await?;
    let requests = context.stores.requests();
    let referring: Vec<&ExportRequest> = requests
        .iter()
        .filter_map(|request| request.0.as_ref().ok())
        .filter(|request| {
            request.namespace() == policy.namespace() && request.spec.rights_policy_ref.name == policy.name_any()
        })
        .collect();
    let new = status(policy, &referring, &calendar, (context.now)());
    if !policy
        .status
        .as_ref()
        .is_some_and(|old| rights_status_unchanged(old, &new))
    {
        write(&context, policy, policy.status.as_ref(), &new).await?;
    }
    context.backoff.lock().await.succeeded(policy);
    Ok(Action::requeue(Duration::from_hours(1)))
}

/// The holidays that a policy names.
pub async fn calendar(context: &Context, policy: &SubjectRightsPolicy) -> Result<Calendar, Error> {
    let Some(reference) = &policy.spec.deadlines.holidays_ref else {
        return Ok(Calendar::None);
    };
    let found = Api::<ConfigMap>::namespaced(context.client.clone(), &policy.namespace().unwrap_or_default())
        .get_opt(&reference.name)
        .await
        .map_err(|source| Error::request::<ConfigMap>("read", &reference.name, source))?;
    Ok(match found {
        None => Calendar::Missing(reference.name.clone()),
        Some(config_map) => match Holidays::parse(&config_map.data.unwrap_or_default()) {
            Ok(holidays) => Calendar::Read(holidays),
            Err(error) => Calendar::Broken(error),
        },
    })
}
