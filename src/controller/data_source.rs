//! Reconciles a `DataSource`: its survey, and its status from its declaration, its surveys, and what its policies' runs
//! found.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};

use super::context::{GuardedActivity, GuardedPolicy, GuardedSource};
use super::status::write;
use super::{Context, Error, surveys};
use crate::api::{DataRetentionPolicy, DataSource, ProcessingActivity};
use crate::plan::conditions::{find, source_status_unchanged};
use crate::plan::data_source::{Inputs, status};
use crate::plan::reasons;
use crate::plan::survey::plan;

/// With a survey under way or expected, its end is seen by the watch of its Job; this is for a watch that missed it.
const WITH_SURVEY: Duration = Duration::from_mins(10);

/// Brings survey and status in line.
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
    let (policies, activities) = (context.stores.policies(), context.stores.activities());
    let activities = of_namespace(&activities, source);
    // 2. plan (pure)
    let planned = plan(source, &activities);
    // 3. look at what is live, and apply (client). Without a survey, now or before, nothing is asked.
    let had_one = source.status.as_ref().is_some_and(|status| {
        find(&status.conditions, reasons::SURVEYED).is_some_and(|condition| condition.reason != reasons::NO_SURVEY)
    });
    let (mut finished, mut blocked) = (Vec::new(), None);
    if source.spec.survey.is_some() || had_one {
        let live = surveys::read(&context, source).await?;
        blocked = surveys::settle(&context, source, planned.as_ref(), &live).await?;
        finished = live.finished();
    }
    // 4. status (pure), written only when it says something new (client)
    let new = status(&Inputs {
        source,
        policies: &referring(&policies, source),
        activities: &activities,
        planned: planned.as_ref(),
        finished: &finished,
        blocked,
        now: (context.now)(),
    });
    if !source
        .status
        .as_ref()
        .is_some_and(|old| source_status_unchanged(old, &new))
    {
        write(&context, source, source.status.as_ref(), &new).await?;
    }
    context.backoff.lock().await.succeeded(source);
    Ok(Action::requeue(if planned.is_some() {
        WITH_SURVEY
    } else {
        Duration::from_hours(1)
    }))
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

/// The activities of the source's namespace, by name: their order decides about the text of a plan.
fn of_namespace<'a>(activities: &'a [Arc<GuardedActivity>], source: &DataSource) -> Vec<&'a ProcessingActivity> {
    let mut own: Vec<&ProcessingActivity> = activities
        .iter()
        .filter_map(|activity| activity.0.as_ref().ok())
        .filter(|activity| activity.namespace() == source.namespace())
        .collect();
    own.sort_by_key(|activity| activity.name_any());
    own
}
