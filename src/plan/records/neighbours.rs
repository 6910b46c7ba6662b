//! What stands beside an object in its namespace, and nothing of others.

use kube::ResourceExt;

use crate::api::{DataRetentionPolicy, DataSource, ProcessingActivity};

/// The objects of one namespace. Objects of files without a namespace count as in one.
#[derive(Default)]
pub struct Neighbours<'a> {
    /// Its activities.
    pub activities: Vec<&'a ProcessingActivity>,
    /// Its stores.
    pub sources: Vec<&'a DataSource>,
    /// Its policies.
    pub policies: Vec<&'a DataRetentionPolicy>,
}

impl<'a> Neighbours<'a> {
    /// Those of an object, of all that there are; the object itself is among them.
    pub fn of(
        object: &impl ResourceExt,
        activities: impl IntoIterator<Item = &'a ProcessingActivity>,
        sources: impl IntoIterator<Item = &'a DataSource>,
        policies: impl IntoIterator<Item = &'a DataRetentionPolicy>,
    ) -> Self {
        let namespace = object.namespace();
        Self {
            activities: within(namespace.as_deref(), activities),
            sources: within(namespace.as_deref(), sources),
            policies: within(namespace.as_deref(), policies),
        }
    }
}

fn within<'a, K: ResourceExt>(namespace: Option<&str>, all: impl IntoIterator<Item = &'a K>) -> Vec<&'a K> {
    all.into_iter()
        .filter(|object| object.namespace().as_deref() == namespace)
        .collect()
}
