//! What the workers of a request may reach: its stores, the object store, and the cluster's DNS.

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::super::children::network_policy::{DNS_PORT, from_the_operator, peers, port};
use super::super::naming;
use super::super::settings::WorkerSettings;
use super::children::{LABEL_REQUEST, metadata, network_policy_name};
use super::plans::Identity;
use crate::api::data_source::Network;
use crate::api::subject_rights_policy::ObjectStoreDelivery;
use crate::api::{DataSource, SubjectRightsPolicy};

/// What does not say where it is on the network, so that workers may open connections anywhere.
#[must_use]
pub fn unknown_places(sources: &[&DataSource], policy: &SubjectRightsPolicy) -> Vec<String> {
    let stores = sources.iter().filter(|source| source.spec.network.is_none());
    let stores = stores.map(|source| format!("DataSource {}", source.metadata.name.as_deref().unwrap_or_default()));
    let object_store = policy.spec.delivery.object_store.as_ref();
    let object_store = object_store.filter(|store| store.network.is_none());
    stores
        .chain(object_store.map(|_| "delivery.objectStore of the SubjectRightsPolicy".to_owned()))
        .collect()
}

/// Builds the `NetworkPolicy`. `None`: something does not say where it is.
#[must_use]
pub fn network_policy(
    identity: Identity<'_>,
    sources: &[&DataSource],
    policy: &SubjectRightsPolicy,
    settings: &WorkerSettings,
) -> Option<NetworkPolicy> {
    let mut egress = Vec::new();
    for source in sources {
        egress.push(way(source.spec.network.as_ref()?, source.spec.postgres.port));
    }
    if let Some(store) = &policy.spec.delivery.object_store {
        egress.push(way(store.network.as_ref()?, endpoint_port(store)));
    }
    egress.push(NetworkPolicyEgressRule {
        ports: Some(vec![port("UDP", DNS_PORT), port("TCP", DNS_PORT)]),
        to: None,
    });
    let labels = [
        (naming::LABEL_MANAGED_BY, naming::APPLICATION),
        (LABEL_REQUEST, identity.uid),
    ];
    Some(NetworkPolicy {
        metadata: metadata(identity, network_policy_name(identity.uid), "export", None),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_labels: Some(
                    labels
                        .into_iter()
                        .map(|(key, value)| (key.to_owned(), value.to_owned()))
                        .collect(),
                ),
                match_expressions: None,
            }),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![from_the_operator(settings)]),
            egress: Some(egress),
        }),
    })
}

fn way(network: &Network, to_port: i32) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        ports: Some(vec![port("TCP", to_port)]),
        to: Some(peers(network)),
    }
}

/// The port of an endpoint, or that of its scheme.
fn endpoint_port(store: &ObjectStoreDelivery) -> i32 {
    let (scheme, rest) = store.endpoint.split_once("://").unwrap_or(("https", &store.endpoint));
    let written = rest.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    written.unwrap_or(if scheme == "http" { 80 } else { 443 })
}
