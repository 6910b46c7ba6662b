//! The migrator: it writes every object anew, and proves under which key each one is, without keeping a value.
//!
//! It needs `list` and `patch` on the resources, and no more. A patch that changes nothing makes the API server read the
//! object from etcd and write it if it is not under the first key of its file; if it is, nothing is written and the
//! resourceVersion stays. So a patch that answers with the same resourceVersion is a proof.
//!
//! The order comes from a ConfigMap, the report goes into another one. Killed and started again, it begins the pass
//! anew: what is done costs a read.

mod api;
mod pass;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ObjectMeta, Patch, PatchParams};
use kube::{Client, Config};

use crate::encryption::custody::NAMESPACE;
use crate::encryption::observation::{PassOrder, PassReport};

use api::Server;

/// ConfigMap with the order, and the key in it.
pub const ORDER: (&str, &str) = ("migration-order", "order.json");
/// ConfigMap with the report, and the key in it.
pub const REPORT: (&str, &str) = ("migration-report", "report.json");

/// What the migrator needs.
pub struct Settings {
    /// The way to the cluster.
    pub config: Config,
    /// Pause between two looks at the order.
    pub interval: Duration,
    /// Patches at the same time, at most.
    pub width: usize,
    /// The time.
    pub now: fn() -> Timestamp,
}

/// Why a look at the order came to nothing.
#[derive(thiserror::Error, Debug)]
pub enum Error {
    /// The API server refused or did not answer.
    #[error("{0}: {1}")]
    Request(&'static str, kube::Error),
    /// A report cannot be written as JSON.
    #[error("the report cannot be written: {0}")]
    Serialise(serde_json::Error),
}

/// Runs until it is dropped.
pub async fn run(settings: Settings) -> Result<(), Error> {
    let client = client(&settings.config).map_err(|error| Error::Request("there is no way to the cluster", error))?;
    let orders: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
    let mut servers = HashMap::new();
    let mut told = String::new();
    loop {
        if let Err(error) = look(&settings, &orders, &mut servers).await {
            let words = error.to_string();
            if words != told {
                tracing::warn!("{words}");
                told = words;
            }
        }
        tokio::time::sleep(settings.interval).await;
    }
}

/// Works on the order, if there is one that is not done.
async fn look(
    settings: &Settings,
    orders: &Api<ConfigMap>,
    servers: &mut HashMap<String, Client>,
) -> Result<(), Error> {
    let Some(order) = read::<PassOrder>(orders, ORDER).await? else {
        return Ok(());
    };
    let done = read::<PassReport>(orders, REPORT).await?;
    if done.is_some_and(|report| report.order == order.id && report.complete) {
        return Ok(());
    }
    let mut through = Vec::new();
    for address in &order.servers {
        let client = match servers.get(address) {
            Some(client) => client.clone(),
            None => {
                let client = client_of(&settings.config, address)?;
                servers.insert(address.clone(), client.clone());
                client
            }
        };
        through.push(Server::new(address, client));
    }
    tracing::info!(order = order.id, "a pass begins");
    let report = pass::run(&order, &through, settings.width, settings.now, async |progress| {
        write(orders, progress).await
    })
    .await;
    let report = PassReport {
        at: Some((settings.now)()),
        ..report
    };
    tracing::info!(
        order = order.id,
        done = report.done,
        rewritten = report.rewritten,
        unproven = report.unproven,
        refused = report.refused.len(),
        unreadable = report.unreadable.len(),
        problem = report.problem,
        "the pass has ended"
    );
    write(orders, &report).await
}

/// A client of one API server, by its own address; its certificate is verified.
fn client_of(config: &Config, address: &str) -> Result<Client, Error> {
    let mut config = config.clone();
    config.cluster_url = address.parse().map_err(|_| {
        Error::Request(
            "the order names an address that is none",
            kube::Error::LinesCodecMaxLineLengthExceeded,
        )
    })?;
    client(&config).map_err(|error| Error::Request("there is no way to an API server", error))
}

fn client(config: &Config) -> Result<Client, kube::Error> {
    let mut config = config.clone();
    config.connect_timeout = Some(Duration::from_secs(5));
    config.read_timeout = Some(Duration::from_mins(1));
    config.write_timeout = Some(Duration::from_secs(30));
    Client::try_from(config)
}

/// What a ConfigMap holds.
async fn read<T: serde::de::DeserializeOwned>(
    api: &Api<ConfigMap>,
    (name, key): (&str, &str),
) -> Result<Option<T>, Error> {
    let found = api
        .get_opt(name)
        .await
        .map_err(|error| Error::Request("the order cannot be read", error))?;
    Ok(found
        .and_then(|map| map.data?.remove(key))
        .and_then(|text| serde_json::from_str(&text).ok()))
}

async fn write(api: &Api<ConfigMap>, report: &PassReport) -> Result<(), Error> {
    let text = serde_json::to_string(report).map_err(Error::Serialise)?;
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(REPORT.0.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(REPORT.1.to_owned(), text)])),
        ..ConfigMap::default()
    };
    api.patch(
        REPORT.0,
        &PatchParams::apply("privacy-operator-migrator").force(),
        &Patch::Apply(&map),
    )
    .await
    .map(drop)
    .map_err(|error| Error::Request("the report cannot be written", error))
}
