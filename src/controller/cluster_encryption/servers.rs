//! Asks each API server, by its own address and with its certificate verified, which file it has loaded.

use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::{Client, Config};

use super::super::Context;
use crate::encryption::observation::ServerState;
use crate::encryption::scrape::{self, Scraped};

/// Longest wait for one API server.
const PATIENCE: Duration = Duration::from_secs(15);

/// What one API server says.
pub async fn ask(context: &Context, address: &str) -> (ServerState, Scraped) {
    match tokio::time::timeout(PATIENCE, scraped(context, address)).await {
        Err(_) => (unreachable("it does not answer in time"), Scraped::default()),
        Ok(Err(state)) => (state, Scraped::default()),
        Ok(Ok(scraped)) => {
            let state = scraped
                .config_hash
                .clone()
                .map_or(ServerState::NotConfigured, ServerState::Loaded);
            (state, scraped)
        }
    }
}

fn unreachable(why: impl std::fmt::Display) -> ServerState {
    ServerState::Unreachable(why.to_string().chars().take(200).collect())
}

async fn scraped(context: &Context, address: &str) -> Result<Scraped, ServerState> {
    let client = client(context, address).await?;
    let request = Request::get("/metrics").body(Body::empty()).map_err(unreachable)?;
    let response = client.send(request).await.map_err(unreachable)?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(ServerState::Forbidden),
        other => return Err(unreachable(format!("it answers {other}"))),
    }
    read(response.into_body()).await
}

/// Megabytes, of which two lines count: whatever else is there is dropped as it comes.
async fn read(mut body: Body) -> Result<Scraped, ServerState> {
    let (mut kept, mut line) = (String::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(unreachable)?;
        let Some(bytes) = frame.data_ref() else { continue };
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                if scrape::is_wanted(&line) {
                    kept.push_str(&String::from_utf8_lossy(&line));
                }
                line.clear();
            }
        }
    }
    Ok(scrape::scrape(&kept))
}

async fn client(context: &Context, address: &str) -> Result<Client, ServerState> {
    let settings = &context.encryption;
    let mut clients = settings.clients.lock().await;
    if let Some(client) = clients.get(address) {
        return Ok(client.clone());
    }
    let mut config: Config = settings.config.clone();
    config.cluster_url = address.parse().map_err(unreachable)?;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.read_timeout = Some(PATIENCE);
    config.default_retry = false;
    let client = Client::try_from(config).map_err(unreachable)?;
    clients.insert(address.to_owned(), client.clone());
    Ok(client)
}
