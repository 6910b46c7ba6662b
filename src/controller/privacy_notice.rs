//! Reconciles a `PrivacyNotice`: its status, from itself and from how many activities refer to it.

use std::sync::Arc;
use std::time::Duration;

use kube::api::Api;
use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};

use super::context::GuardedNotice;
use super::status::write_through;
use super::{Context, Error};
use crate::plan::records::status::{notice_unchanged, of_the_notice};

/// Brings the status in line.
pub async fn reconcile(notice: Arc<GuardedNotice>, context: Arc<Context>) -> Result<Action, Error> {
    let notice = match &notice.0 {
        Ok(notice) => notice,
        Err(invalid) => {
            tracing::error!(name = ?invalid.metadata.name, error = %invalid.error,
                "a PrivacyNotice cannot be read; are the CRDs of this release installed?");
            return Ok(Action::await_change());
        }
    };
    if notice.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    // 1. dereference (caches only)
    let activities = context.stores.activities();
    let referring = activities
        .iter()
        .filter_map(|activity| activity.0.as_ref().ok())
        .filter(|activity| activity.spec.notice_ref.name == notice.name_any())
        .count();
    // 2. status (pure)
    let new = of_the_notice(notice, referring, (context.now)());
    // 3. written only when it says something new (client)
    if !notice.status.as_ref().is_some_and(|old| notice_unchanged(old, &new)) {
        let api = Api::all(context.client.clone());
        write_through(&context, &api, notice, notice.status.as_ref(), &new).await?;
    }
    context.backoff.lock().await.succeeded(notice);
    Ok(Action::requeue(Duration::from_hours(1)))
}
