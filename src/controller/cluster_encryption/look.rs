//! Everything that the machine is told: which API servers there must be, what each one and each agent says.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{Api, ListParams};
use kube::core::Selector;
use kube::{Client, Config, ResourceExt as _};

use super::super::{Context, Error};
use super::{NAMESPACE, custody, has_agents, servers};
use crate::api::ClusterEncryption;
use crate::encryption::configuration::file_hash;
use crate::encryption::custody::Step;
use crate::encryption::observation::{Agent, AgentReport, Baseline, Found, Observation, Server, Wanted};
use crate::encryption::seal::open_baseline;

/// Label of control-plane nodes.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";
/// Label of the agents' pods, and the port of their report.
const AGENTS: &str = "app.kubernetes.io/component=encryption-agent";
const AGENT_PORT: u16 = 8089;
/// Longest wait for an agent.
const AGENT_PATIENCE: Duration = Duration::from_secs(3);

/// With what each API server writes, by its name.
pub type Writes = Vec<(String, Vec<String>)>;

/// Looks at everything.
pub async fn look(
    context: &Context,
    encryption: &ClusterEncryption,
    wanted: &Wanted,
) -> Result<(Observation, Writes), Error> {
    // Where no step is taken, nobody is asked for more than what is shown.
    let observes = wanted.mode == crate::api::cluster_encryption::EncryptionMode::Observe;
    let custody = custody::read(context).await?;
    let escrow = custody::read_sealed(context).await?;
    let (order, report) = if observes {
        (None, None)
    } else {
        custody::read_pass(context).await?
    };
    let control_plane = &encryption.spec.control_plane;
    let nodes = nodes(context, control_plane.node_selector.as_ref()).await?;
    let mut missing = Vec::new();
    let endpoints = if control_plane.endpoints.is_empty() {
        let endpoints = endpoints(context).await?;
        missing.extend(nodes_without_endpoint(&nodes, &endpoints));
        endpoints
    } else {
        control_plane.endpoints.clone()
    };
    let scraped = join_all(endpoints.iter().map(|address| servers::ask(context, address))).await;
    let identities: BTreeSet<String> = scraped
        .iter()
        .filter_map(|(_, scraped)| scraped.id_hash.clone())
        .collect();
    let now = (context.now)();
    missing.extend(leases_without_server(&leases(context).await?, &identities, now));
    let writes = endpoints
        .iter()
        .zip(&scraped)
        .map(|(name, (_, scraped))| (name.clone(), writes_of(&scraped.writes, &wanted.resources)))
        .collect();
    let agents = if has_agents(wanted) {
        Some(agents(context, &nodes).await?)
    } else {
        None
    };
    let baseline = baseline(context, &custody, agents.as_deref(), observes).await?;
    let observation = Observation {
        now,
        custody,
        remembered: encryption
            .status
            .iter()
            .flat_map(|status| status.keys.iter().map(|key| key.name.clone()))
            .collect(),
        escrow,
        servers: endpoints
            .into_iter()
            .zip(scraped)
            .map(|(name, (state, _))| Server { name, state })
            .collect(),
        missing,
        agents,
        baseline,
        report,
        order,
    };
    Ok((observation, writes))
}

fn writes_of(writes: &BTreeSet<String>, resources: &[String]) -> Vec<String> {
    writes
        .iter()
        .filter(|line| {
            let resource = line.split(' ').next().unwrap_or_default();
            resources.iter().any(|wanted| wanted == resource)
        })
        .cloned()
        .collect()
}

async fn nodes(context: &Context, selector: Option<&LabelSelector>) -> Result<Vec<Node>, Error> {
    let api: Api<Node> = Api::all(context.client.clone());
    let parameters = match selector.map(|selector| Selector::try_from(selector.clone())) {
        None => ListParams::default().labels(CONTROL_PLANE),
        Some(Ok(selector)) => ListParams::default().labels_from(&selector),
        Some(Err(_)) => return Ok(Vec::new()),
    };
    api.list(&parameters)
        .await
        .map(|list| list.items)
        .map_err(|source| Error::request::<Node>("list", CONTROL_PLANE, source))
}

/// The addresses behind the Service `kubernetes`.
async fn endpoints(context: &Context) -> Result<Vec<String>, Error> {
    let api: Api<EndpointSlice> = Api::namespaced(context.client.clone(), "default");
    let slices = api
        .list(&ListParams::default().labels("kubernetes.io/service-name=kubernetes"))
        .await
        .map_err(|source| Error::request::<EndpointSlice>("list", "kubernetes", source))?;
    let mut all = BTreeSet::new();
    for slice in slices {
        let port = slice.ports.iter().flatten().find_map(|port| port.port).unwrap_or(6443);
        for address in slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses) {
            all.insert(if address.contains(':') {
                format!("https://[{address}]:{port}")
            } else {
                format!("https://{address}:{port}")
            });
        }
    }
    Ok(all.into_iter().collect())
}

fn nodes_without_endpoint(nodes: &[Node], endpoints: &[String]) -> Vec<String> {
    let has_endpoint = |node: &Node| {
        let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
        addresses.into_iter().any(|address| {
            endpoints.iter().any(|endpoint| {
                endpoint.contains(&format!("//{}:", address.address))
                    || endpoint.contains(&format!("[{}]", address.address))
            })
        })
    };
    nodes
        .iter()
        .filter(|node| !has_endpoint(node))
        .map(|node| {
            format!("the control-plane node {} has no API server among the endpoints of the Service kubernetes: is it down?", node.name_any())
        })
        .collect()
}

async fn leases(context: &Context) -> Result<Vec<Lease>, Error> {
    let api: Api<Lease> = Api::namespaced(context.client.clone(), "kube-system");
    api.list(&ListParams::default().labels("apiserver.kubernetes.io/identity=kube-apiserver"))
        .await
        .map(|list| list.items)
        .map_err(|source| Error::request::<Lease>("list", "kube-apiserver", source))
}

/// API servers that say they live, by their Lease, and that were not among those that were asked.
fn leases_without_server(leases: &[Lease], identities: &BTreeSet<String>, now: Timestamp) -> Vec<String> {
    let is_alive = |lease: &Lease| {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = i64::from(spec.lease_duration_seconds.unwrap_or(3600));
        spec.renew_time
            .is_none_or(|renewed| now.duration_since(renewed.0).as_secs() < seconds)
    };
    leases
        .iter()
        .filter(|lease| is_alive(lease) && !identities.contains(&file_hash(&lease.name_any())))
        .map(|lease| {
            let host = lease.labels().get("kubernetes.io/hostname").cloned().unwrap_or_default();
            format!(
                "the API server of the Lease {} (host {host}) was not found at any endpoint: is there a load balancer in between? Name every API server in spec.controlPlane.endpoints. A Lease of a server that is gone for good ends by itself within an hour",
                lease.name_any()
            )
        })
        .collect()
}

/// One for each control-plane node, whether it answers or not.
async fn agents(context: &Context, nodes: &[Node]) -> Result<Vec<Agent>, Error> {
    let given: Vec<(String, String)> = context
        .encryption
        .agents
        .iter()
        .filter_map(|text| text.split_once('='))
        .map(|(node, address)| (node.to_owned(), address.to_owned()))
        .collect();
    let places: Vec<(String, Option<String>)> = if given.is_empty() {
        let pods = Api::<Pod>::namespaced(context.client.clone(), NAMESPACE)
            .list(&ListParams::default().labels(AGENTS))
            .await
            .map_err(|source| Error::request::<Pod>("list", AGENTS, source))?
            .items;
        nodes
            .iter()
            .map(|node| (node.name_any(), address_on(&pods, &node.name_any())))
            .collect()
    } else {
        given.into_iter().map(|(node, address)| (node, Some(address))).collect()
    };
    Ok(join_all(places.into_iter().map(|(node, address)| async move {
        let report = match address {
            Some(address) => ask_agent(context, &address).await,
            None => None,
        };
        Agent { node, report }
    }))
    .await)
}

fn address_on(pods: &[Pod], node: &str) -> Option<String> {
    let pod = pods.iter().find(|pod| {
        pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node)
            && pod.metadata.deletion_timestamp.is_none()
            && pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
    })?;
    let address = pod.status.as_ref()?.pod_ip.clone()?;
    Some(if address.contains(':') {
        format!("[{address}]:{AGENT_PORT}")
    } else {
        format!("{address}:{AGENT_PORT}")
    })
}

/// Reads an agent's report. No token goes along.
async fn ask_agent(context: &Context, address: &str) -> Option<AgentReport> {
    let address = format!("http://{address}");
    let mut clients = context.encryption.clients.lock().await;
    let client = match clients.get(&address) {
        Some(client) => client.clone(),
        None => {
            let mut config = Config::new(address.parse().ok()?);
            // Not used, but without one the client looks for those of the machine, and an image has none.
            config.root_cert.clone_from(&context.encryption.config.root_cert);
            config.connect_timeout = Some(AGENT_PATIENCE);
            config.read_timeout = Some(AGENT_PATIENCE);
            config.default_retry = false;
            let client = Client::try_from(config)
                .inspect_err(|error| tracing::error!(%address, %error, "an agent cannot be asked"))
                .ok()?;
            clients.insert(address.clone(), client.clone());
            client
        }
    };
    drop(clients);
    let request = http::Request::get("/report").body(Vec::new()).ok()?;
    let answer = tokio::time::timeout(AGENT_PATIENCE, client.request::<AgentReport>(request)).await;
    answer.ok()?.ok()
}

/// The file that was there before us: what the agents show, or what a person shows.
async fn baseline(
    context: &Context,
    custody: &Found,
    agents: Option<&[Agent]>,
    observes: bool,
) -> Result<Baseline, Error> {
    let Found::Present(custody) = custody else {
        return Ok(Baseline::Unknown);
    };
    if custody.step != Step::Import || observes {
        return Ok(Baseline::Unknown);
    }
    let Some(agents) = agents else {
        return custody::read_baseline(context).await;
    };
    let shown: Vec<Option<String>> = agents
        .iter()
        .map(|agent| {
            let sealed = agent.report.as_ref()?.baseline.as_ref()?;
            open_baseline(&custody.import_key, sealed).ok()
        })
        .collect();
    Ok(match shown.first() {
        Some(Some(first)) if shown.iter().all(|shown| shown.as_ref() == Some(first)) => Baseline::Text(first.clone()),
        Some(_) if shown.iter().all(Option::is_some) => {
            Baseline::Different(agents.iter().map(|agent| agent.node.clone()).collect())
        }
        _ => Baseline::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(name: &str, renewed: &str) -> Lease {
        serde_json::from_value(serde_json::json!({"metadata": {"name": name}, "spec": {"leaseDurationSeconds": 3600, "renewTime": renewed}})).unwrap()
    }

    #[test]
    fn a_living_lease_whose_server_was_not_met_is_missing_and_a_dead_one_is_not() {
        let now = "2026-11-22T05:00:00Z".parse().unwrap();
        let leases = [
            lease("apiserver-met", "2026-11-22T04:59:50.000000Z"),
            lease("apiserver-hidden", "2026-11-22T04:59:50.000000Z"),
            lease("apiserver-gone", "2026-11-22T03:00:00.000000Z"),
        ];
        let met = BTreeSet::from([file_hash("apiserver-met")]);
        let missing = leases_without_server(&leases, &met, now);
        assert_eq!(missing.len(), 1);
        assert!(missing[0].contains("apiserver-hidden"));
    }

    #[test]
    fn a_control_plane_node_without_an_endpoint_is_missing() {
        let node = |name: &str, address: &str| -> Node {
            serde_json::from_value(serde_json::json!({"metadata": {"name": name}, "status": {"addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]}})).unwrap()
        };
        let nodes = [node("a", "10.0.0.1"), node("b", "10.0.0.11"), node("c", "fd00::1")];
        let endpoints = ["https://10.0.0.1:6443".to_owned(), "https://[fd00::1]:6443".to_owned()];
        let missing = nodes_without_endpoint(&nodes, &endpoints);
        assert_eq!(missing.len(), 1);
        assert!(missing[0].contains("node b "), "{missing:?}");
    }
}
