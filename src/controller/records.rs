//! What the controllers of records look at besides their own kind, and which records a change is about.

use k8s_openapi::NamespaceResourceScope;
use kube::api::Api;
use kube::runtime::controller::Controller;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt as _};

use super::context::{GuardedActivity, GuardedNotice, GuardedPolicy, GuardedSource};
use super::guarded::Guarded;
use super::jobs::label;
use super::processing_activity::asks_for_encryption;
use super::run::{Watched, watched};
use crate::api::{ClusterEncryption, ProcessingActivity};
use crate::plan::naming::{LABEL_SOURCE, label_value};

impl Watched<'_> {
    /// An activity looks at its notice, the stores and policies of its namespace, the activities that share a dataset
    /// with it, and the encryption of the cluster.
    pub(super) fn by_activities(&self, controller: Controller<GuardedActivity>) -> Controller<GuardedActivity> {
        let own = controller.store();
        let (of_notices, of_policies, of_sources) = (own.clone(), own.clone(), own.clone());
        let (of_encryption, stores) = (own.clone(), self.stores.clone());
        controller
            .watches::<GuardedNotice, _>(Api::all(self.client.clone()), watched(), move |notice| {
                let name = notice.name_any();
                matching(&of_notices, None, |activity| activity.spec.notice_ref.name == name)
            })
            .watches::<GuardedPolicy, _>(self.api(), watched(), move |policy| {
                let name = policy.name_any();
                matching(&of_policies, policy.namespace().as_deref(), |activity| {
                    let lines = activity.spec.retention.iter();
                    lines
                        .filter_map(|line| line.rule_ref.as_ref())
                        .any(|rule| rule.policy == name)
                })
            })
            .watches::<GuardedSource, _>(self.api(), watched(), move |source| {
                matching(&of_sources, source.namespace().as_deref(), |_| true)
            })
            .watches::<GuardedActivity, _>(self.api(), watched(), move |activity| {
                let sources = stores.sources();
                beside(&own, &sources, &activity)
            })
            .watches::<Guarded<ClusterEncryption>, _>(Api::all(self.client.clone()), watched(), move |_| {
                matching(&of_encryption, None, asks_for_encryption)
            })
    }
}

/// A notice counts the activities that refer to it.
pub fn by_notices(
    mut controller: Controller<GuardedNotice>,
    activities: &[Api<GuardedActivity>],
) -> Controller<GuardedNotice> {
    for api in activities {
        controller = controller.watches::<GuardedActivity, _>(api.clone(), watched(), |activity| {
            let activity = activity.0.ok()?;
            Some(ObjectRef::new(&activity.spec.notice_ref.name))
        });
    }
    controller
}

/// The activities of a namespace (or of all) for which something holds.
fn matching(
    store: &Store<GuardedActivity>,
    namespace: Option<&str>,
    wanted: impl Fn(&ProcessingActivity) -> bool,
) -> Vec<ObjectRef<GuardedActivity>> {
    store
        .state()
        .iter()
        .filter(|activity| namespace.is_none() || activity.namespace().as_deref() == namespace)
        .filter(|activity| activity.0.as_ref().is_ok_and(&wanted))
        .map(|activity| ObjectRef::from_obj(activity.as_ref()))
        .collect()
}

/// The activities that share a dataset with the one that changed.
fn beside(
    store: &Store<GuardedActivity>,
    sources: &[std::sync::Arc<GuardedSource>],
    changed: &GuardedActivity,
) -> Vec<ObjectRef<GuardedActivity>> {
    let (namespace, name) = (changed.namespace(), changed.name_any());
    let shared: Vec<&String> = sources
        .iter()
        .filter(|source| source.namespace() == namespace)
        .filter_map(|source| source.0.as_ref().ok())
        .flat_map(|source| &source.spec.datasets)
        .filter(|dataset| dataset.activities.contains(&name))
        .flat_map(|dataset| &dataset.activities)
        .filter(|other| **other != name)
        .collect();
    matching(store, namespace.as_deref(), |activity| {
        shared.contains(&&activity.name_any())
    })
}

/// The sources whose survey a Job belongs to.
pub fn sources_of_label<K: Resource>(store: &Store<GuardedSource>, object: &K) -> Vec<ObjectRef<GuardedSource>> {
    let (namespace, value) = (object.namespace(), label(object, LABEL_SOURCE));
    references(store, |source| {
        source.namespace() == namespace && Some(label_value(&source.name_any())) == value
    })
}

/// The sources that an activity is about, or could be: those of its namespace.
pub fn sources_of_activity(store: &Store<GuardedSource>, activity: &GuardedActivity) -> Vec<ObjectRef<GuardedSource>> {
    let namespace = activity.namespace();
    references(store, |source| source.namespace() == namespace)
}

fn references<K>(store: &Store<Guarded<K>>, wanted: impl Fn(&Guarded<K>) -> bool) -> Vec<ObjectRef<Guarded<K>>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + 'static,
{
    store
        .state()
        .iter()
        .filter(|object| wanted(object))
        .map(|object| ObjectRef::from_obj(object.as_ref()))
        .collect()
}
