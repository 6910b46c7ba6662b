//! What a policy refers to: its `DataSource`, and the policies that share a table with it.

use std::sync::Arc;

use kube::ResourceExt as _;

use super::Stores;
use super::context::GuardedSource;
use crate::api::{DataRetentionPolicy, DataSource};
use crate::plan::sharing::{Neighbour, neighbours};

/// What was found.
pub struct Dereferenced {
    source: Option<Arc<GuardedSource>>,
    /// Policies that share a table.
    pub neighbours: Vec<Neighbour>,
}

impl Dereferenced {
    /// The `DataSource`, if it exists and can be read.
    pub fn source(&self) -> Option<&DataSource> {
        self.source.as_ref().and_then(|source| source.0.as_ref().ok())
    }
}

/// Looks up what the policy refers to. References never leave its namespace; neighbours may be anywhere.
pub fn dereference(stores: &Stores, policy: &DataRetentionPolicy) -> Dereferenced {
    let source = source_of(stores, policy);
    let all = stores.policies();
    let others: Vec<(Arc<GuardedSource>, &DataRetentionPolicy)> = all
        .iter()
        .filter_map(|other| other.0.as_ref().ok())
        .filter_map(|other| Some((source_of(stores, other)?, other)))
        .collect();
    let neighbours = match source.as_ref().and_then(|source| source.0.as_ref().ok()) {
        Some(own) => neighbours(
            policy,
            own,
            others
                .iter()
                .filter_map(|(source, other)| Some((*other, source.0.as_ref().ok()?))),
        ),
        None => Vec::new(),
    };
    Dereferenced { source, neighbours }
}

fn source_of(stores: &Stores, policy: &DataRetentionPolicy) -> Option<Arc<GuardedSource>> {
    stores.source(
        &policy.namespace().unwrap_or_default(),
        &policy.spec.data_source_ref.name,
    )
}
