//! What worker pods may reach: the store on its port, and the cluster's DNS; and who may reach them: the operator, which
//! asks how far they are.

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata;
use crate::api::DataSource;
use crate::api::data_source::Network;
use crate::contract::progress::PROGRESS_PORT;
use crate::plan::naming;
use crate::plan::settings::WorkerSettings;
use crate::plan::work_plan::Planned;

const DNS_PORT: i32 = 53;

/// Builds the `NetworkPolicy`. `None`: the `DataSource` does not say where the store is.
#[must_use]
pub fn network_policy(planned: &Planned, source: &DataSource, settings: &WorkerSettings) -> Option<NetworkPolicy> {
    let network = source.spec.network.as_ref()?;
    let name = naming::network_policy(&planned.validated.name);
    Some(NetworkPolicy {
        metadata: metadata(planned, name, "sweep"),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_labels: Some(
                    [
                        (naming::LABEL_MANAGED_BY, naming::APPLICATION.to_owned()),
                        (naming::LABEL_POLICY, naming::label_value(&planned.validated.name)),
                    ]
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect(),
                ),
                match_expressions: None,
            }),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                from: Some(vec![NetworkPolicyPeer {
                    namespace_selector: Some(of_namespace(&settings.operator_namespace)),
                    ..NetworkPolicyPeer::default()
                }]),
                ports: Some(vec![port("TCP", i32::from(PROGRESS_PORT))]),
            }]),
            egress: Some(vec![
                NetworkPolicyEgressRule {
                    ports: Some(vec![port("TCP", source.spec.postgres.port)]),
                    to: Some(store(network)),
                },
                NetworkPolicyEgressRule {
                    ports: Some(vec![port("UDP", DNS_PORT), port("TCP", DNS_PORT)]),
                    to: None,
                },
            ]),
        }),
    })
}

fn of_namespace(name: &str) -> LabelSelector {
    let label = ("kubernetes.io/metadata.name".to_owned(), name.to_owned());
    LabelSelector {
        match_labels: Some([label].into()),
        match_expressions: None,
    }
}

fn store(network: &Network) -> Vec<NetworkPolicyPeer> {
    match &network.cidrs {
        Some(cidrs) => cidrs
            .iter()
            .map(|cidr| NetworkPolicyPeer {
                ip_block: Some(IPBlock {
                    cidr: cidr.clone(),
                    except: None,
                }),
                ..NetworkPolicyPeer::default()
            })
            .collect(),
        None => vec![NetworkPolicyPeer {
            pod_selector: network.pod_selector.clone(),
            namespace_selector: network.namespace_selector.clone(),
            ip_block: None,
        }],
    }
}

fn port(protocol: &str, port: i32) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(port)),
        end_port: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixtures;

    #[test]
    fn it_opens_the_way_to_the_store_and_to_dns_and_to_nothing_else() {
        let planned = fixtures::planned(&fixtures::policy());
        insta::assert_yaml_snapshot!(network_policy(&planned, &fixtures::source(), &fixtures::settings()).unwrap());
    }

    #[test]
    fn address_ranges_become_one_peer_each() {
        let mut source = fixtures::source();
        source.spec.network = Some(Network {
            pod_selector: None,
            namespace_selector: None,
            cidrs: Some(vec!["10.0.0.0/8".to_owned(), "2001:db8::/32".to_owned()]),
        });
        let built = network_policy(&fixtures::planned(&fixtures::policy()), &source, &fixtures::settings()).unwrap();
        let egress = built.spec.unwrap().egress.unwrap();
        assert_eq!(egress[0].to.as_ref().unwrap().len(), 2);
    }

    #[test]
    fn without_a_network_there_is_none() {
        let mut source = fixtures::source();
        source.spec.network = None;
        assert!(network_policy(&fixtures::planned(&fixtures::policy()), &source, &fixtures::settings()).is_none());
    }
}
