//! What a policy refers to: its `DataSource`, and the policies that share a table with it.

use std::sync::Arc;

use kube::ResourceExt as _;

use super::Stores;
use super::context::{GuardedPolicy, GuardedSource};
use crate::api::{DataRetentionPolicy, DataSource};
use crate::plan::sharing::{Neighbour, Other, beside, is_same_store, neighbours};

/// What was found.
pub struct Dereferenced {
    source: Option<Arc<GuardedSource>>,
    /// Policies that share a table.
    pub neighbours: Vec<Neighbour>,
    /// Every policy on the store, with the source that it names.
    on_store: Vec<(Arc<GuardedSource>, Arc<GuardedPolicy>)>,
}

impl Dereferenced {
    /// The `DataSource`, if it exists and can be read.
    pub fn source(&self) -> Option<&DataSource> {
        self.source.as_ref().and_then(|source| source.0.as_ref().ok())
    }

    /// The other policies of its namespace on the same store.
    pub fn others<'a>(&'a self, policy: &DataRetentionPolicy) -> Vec<Other<'a>> {
        self.source()
            .map_or_else(Vec::new, |own| beside(policy, own, readable(&self.on_store)))
    }
}

/// Looks up what the policy refers to. References never leave its namespace; neighbours may be anywhere.
pub fn dereference(stores: &Stores, policy: &DataRetentionPolicy) -> Dereferenced {
    let source = stores.source(
        &policy.namespace().unwrap_or_default(),
        &policy.spec.data_source_ref.name,
    );
    let own = source.as_ref().and_then(|source| source.0.as_ref().ok());
    let on_store = own.map_or_else(Vec::new, |own| policies_on_store(stores, own));
    let neighbours = own.map_or_else(Vec::new, |own| neighbours(policy, own, readable(&on_store)));
    Dereferenced {
        source,
        neighbours,
        on_store,
    }
}

/// Every policy whose source names the store of this one, with that source.
pub fn policies_on_store(stores: &Stores, own: &DataSource) -> Vec<(Arc<GuardedSource>, Arc<GuardedPolicy>)> {
    // Of a thousand sources few name one store, so what costs is done for those alone.
    let mut sources = stores.sources();
    sources.retain(|other| other.0.as_ref().is_ok_and(|other| is_same_store(own, other)));
    let source_of = |policy: &GuardedPolicy| {
        let policy = policy.0.as_ref().ok()?;
        let named = sources.iter().find(|source| {
            let named = source.0.as_ref().map(|source| &source.metadata);
            named.is_ok_and(|named| {
                named.name.as_deref() == Some(policy.spec.data_source_ref.name.as_str())
                    && named.namespace == policy.metadata.namespace
            })
        });
        named.cloned()
    };
    let policies = stores.policies().into_iter();
    policies
        .filter_map(|policy| Some((source_of(&policy)?, policy)))
        .collect()
}

fn readable(
    all: &[(Arc<GuardedSource>, Arc<GuardedPolicy>)],
) -> impl Iterator<Item = (&DataRetentionPolicy, &DataSource)> {
    all.iter()
        .filter_map(|(source, policy)| Some((policy.0.as_ref().ok()?, source.0.as_ref().ok()?)))
}
