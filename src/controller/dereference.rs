//! What a policy refers to: its `DataSource`, and the policies that share a table with it.

use std::sync::Arc;

use kube::ResourceExt as _;

use super::Stores;
use super::context::{GuardedPolicy, GuardedSource};
use crate::api::{DataRetentionPolicy, DataSource};
use crate::plan::sharing::{Neighbour, Other, beside, neighbours};

/// What was found.
pub struct Dereferenced {
    source: Option<Arc<GuardedSource>>,
    /// Policies that share a table.
    pub neighbours: Vec<Neighbour>,
    /// Every policy whose source can be found.
    all: Vec<(Arc<GuardedSource>, Arc<GuardedPolicy>)>,
}

impl Dereferenced {
    /// The `DataSource`, if it exists and can be read.
    pub fn source(&self) -> Option<&DataSource> {
        self.source.as_ref().and_then(|source| source.0.as_ref().ok())
    }

    /// The other policies of its namespace on the same store.
    pub fn others<'a>(&'a self, policy: &DataRetentionPolicy) -> Vec<Other<'a>> {
        self.source()
            .map_or_else(Vec::new, |own| beside(policy, own, readable(&self.all)))
    }
}

/// Looks up what the policy refers to. References never leave its namespace; neighbours may be anywhere.
pub fn dereference(stores: &Stores, policy: &DataRetentionPolicy) -> Dereferenced {
    let source = source_of(stores, policy);
    let all: Vec<(Arc<GuardedSource>, Arc<GuardedPolicy>)> = stores
        .policies()
        .into_iter()
        .filter_map(|other| Some((source_of(stores, other.0.as_ref().ok()?)?, other)))
        .collect();
    let neighbours = match source.as_ref().and_then(|source| source.0.as_ref().ok()) {
        Some(own) => neighbours(policy, own, readable(&all)),
        None => Vec::new(),
    };
    Dereferenced {
        source,
        neighbours,
        all,
    }
}

fn readable(
    all: &[(Arc<GuardedSource>, Arc<GuardedPolicy>)],
) -> impl Iterator<Item = (&DataRetentionPolicy, &DataSource)> {
    all.iter()
        .filter_map(|(source, policy)| Some((policy.0.as_ref().ok()?, source.0.as_ref().ok()?)))
}

fn source_of(stores: &Stores, policy: &DataRetentionPolicy) -> Option<Arc<GuardedSource>> {
    stores.source(
        &policy.namespace().unwrap_or_default(),
        &policy.spec.data_source_ref.name,
    )
}
