//! Asks a worker under way how far it is. Whatever is not our answer is discarded: progress is for people who wait, and
//! nothing is decided by it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::body::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::Pod;

use crate::contract::progress::{LONGEST_PROGRESS, LiveProgress, PROGRESS_PATH, PROGRESS_PORT_NAME};

/// A worker that does not answer within this time is not waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// How far the pod that runs is. `None`: none runs, or it does not say.
pub async fn read(pods: &[Pod]) -> Option<LiveProgress> {
    let address = pods.iter().find_map(address)?;
    tokio::time::timeout(PATIENCE, ask(address)).await.ok()?
}

/// Where a running pod tells its progress.
fn address(pod: &Pod) -> Option<SocketAddr> {
    let status = pod.status.as_ref()?;
    if status.phase.as_deref() != Some("Running") {
        return None;
    }
    let ip: IpAddr = status.pod_ip.as_ref()?.parse().ok()?;
    let ports = pod.spec.as_ref()?.containers.first()?.ports.as_ref()?;
    let port = ports
        .iter()
        .find(|port| port.name.as_deref() == Some(PROGRESS_PORT_NAME))?;
    Some(SocketAddr::from((ip, u16::try_from(port.container_port).ok()?)))
}

async fn ask(address: SocketAddr) -> Option<LiveProgress> {
    let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let answer = client
        .get(format!("http://{address}{PROGRESS_PATH}").parse().ok()?)
        .await
        .ok()?;
    let body = Limited::new(answer.into_body(), LONGEST_PROGRESS)
        .collect()
        .await
        .ok()?;
    serde_json::from_slice(&body.to_bytes()).ok()
}
