//! Secrets that are written fifty times a second, and read, all of them, every second, through both API servers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use sha2_like::digest;

use crate::support::kubernetes::Cluster;

/// Written once, and only migrated from then on.
const STILL: u32 = 60;
/// Requests side by side.
const AT_ONCE: usize = 16;
/// Written again and again.
const LIVELY: u32 = 25;

/// A value that proves itself: its number, and a hash of name and number.
mod sha2_like {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};

    pub fn digest(name: &str, number: u64) -> String {
        let mut hasher = DefaultHasher::new();
        (name, number).hash(&mut hasher);
        format!("{number} {:016x}", hasher.finish()).repeat(8)
    }
}

/// Writers and readers, until they are told to stop.
pub struct Traffic {
    goes_on: Arc<AtomicBool>,
    /// The highest number that was confirmed, by name.
    confirmed: Arc<Mutex<BTreeMap<String, u64>>>,
    pub faults: Arc<Mutex<Vec<String>>>,
    pub reads: Arc<AtomicU64>,
    pub writes: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

fn secret(name: &str, number: u64) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(
            "value".to_owned(),
            ByteString(digest(name, number).into_bytes()),
        )])),
        ..Secret::default()
    }
}

impl Traffic {
    /// Writes all Secrets once.
    pub async fn prepare(cluster: &Cluster) -> Self {
        Self::prepare_many(cluster, STILL).await
    }

    /// As [`Self::prepare`], with so many that are only migrated.
    pub async fn prepare_many(cluster: &Cluster, still: u32) -> Self {
        let api: Api<Secret> = Api::namespaced(cluster.client(0).await, "shop");
        let names = (0..still)
            .map(|index| format!("still-{index}"))
            .chain((0..LIVELY).map(|index| format!("lively-{index}")));
        let create = async |name: String| {
            api.create(&PostParams::default(), &secret(&name, 1)).await.unwrap();
            (name, 1)
        };
        let confirmed = stream::iter(names.map(create))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        Self {
            goes_on: Arc::new(AtomicBool::new(true)),
            confirmed: Arc::new(Mutex::new(confirmed)),
            faults: Arc::default(),
            reads: Arc::default(),
            writes: Arc::default(),
            tasks: Vec::new(),
        }
    }

    /// What the Secret with this name held first.
    pub fn first_value(name: &str) -> String {
        digest(name, 1)
    }

    /// Begins to write and read.
    pub async fn begin(&mut self, cluster: &Cluster) {
        for index in 0..2 {
            let client = cluster.client(index).await;
            let reader = (
                client.clone(),
                self.goes_on.clone(),
                self.confirmed.clone(),
                self.faults.clone(),
                self.reads.clone(),
            );
            self.tasks.push(tokio::spawn(read(index, reader)));
            self.tasks.push(tokio::spawn(write(
                index,
                client,
                self.goes_on.clone(),
                self.confirmed.clone(),
                self.faults.clone(),
                self.writes.clone(),
            )));
        }
    }

    /// Stops, and tells what went wrong.
    pub async fn end(self) -> (u64, u64) {
        self.goes_on.store(false, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        let faults = self.faults.lock().unwrap();
        assert!(
            faults.is_empty(),
            "{} faults, the first: {:#?}",
            faults.len(),
            faults.iter().take(5).collect::<Vec<_>>()
        );
        (self.reads.load(Ordering::Relaxed), self.writes.load(Ordering::Relaxed))
    }

    /// Every Secret once, through both API servers.
    pub async fn read_all(&self, cluster: &Cluster) {
        for index in 0..2 {
            let api: Api<Secret> = Api::namespaced(cluster.client(index).await, "shop");
            let confirmed = self.confirmed.lock().unwrap().clone();
            let read = async |(name, number): (String, u64)| {
                let found = api
                    .get(&name)
                    .await
                    .unwrap_or_else(|error| panic!("{name} through server {index}: {error}"));
                if let Some(fault) = judge(&name, &found, number) {
                    panic!("server {index}: {fault}");
                }
            };
            let reads = stream::iter(confirmed.into_iter().map(read)).buffer_unordered(AT_ONCE);
            reads.collect::<()>().await;
        }
    }
}

type Reader = (
    Client,
    Arc<AtomicBool>,
    Arc<Mutex<BTreeMap<String, u64>>>,
    Arc<Mutex<Vec<String>>>,
    Arc<AtomicU64>,
);

/// Whether what was read is a value that was written, and not older than what was confirmed before the read.
fn judge(name: &str, found: &Secret, at_least: u64) -> Option<String> {
    let value = found
        .data
        .as_ref()
        .and_then(|data| data.get("value"))
        .map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned());
    let value = value.unwrap_or_default();
    let number: u64 = value.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0);
    if value != digest(name, number) {
        return Some(format!("{name} has a value that nobody wrote"));
    }
    (number < at_least).then(|| format!("{name} lost an update: {number} after {at_least}"))
}

/// An API server that is not there is no fault; one that answers and cannot read is.
fn is_absent(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => {
            [429, 503].contains(&status.code)
                || status.message.contains("not yet")
                || status.code == 401
                || status.code == 403
        }
        _ => true,
    }
}

async fn read(index: usize, (client, goes_on, confirmed, faults, reads): Reader) {
    let api: Api<Secret> = Api::namespaced(client, "shop");
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    while goes_on.load(Ordering::Relaxed) {
        ticks.tick().await;
        let expected = confirmed.lock().unwrap().clone();
        for (name, number) in expected {
            match api.get(&name).await {
                Ok(found) => {
                    reads.fetch_add(1, Ordering::Relaxed);
                    if let Some(fault) = judge(&name, &found, number) {
                        faults.lock().unwrap().push(format!("server {index}: {fault}"));
                    }
                }
                Err(error) if is_absent(&error) => break,
                Err(error) => faults.lock().unwrap().push(format!("server {index}: {name}: {error}")),
            }
        }
    }
}

async fn write(
    index: usize,
    client: Client,
    goes_on: Arc<AtomicBool>,
    confirmed: Arc<Mutex<BTreeMap<String, u64>>>,
    faults: Arc<Mutex<Vec<String>>>,
    writes: Arc<AtomicU64>,
) {
    let api: Api<Secret> = Api::namespaced(client, "shop");
    // Each server has its own Secrets to write, twenty-five a second.
    let mut ticks = tokio::time::interval(Duration::from_millis(40));
    let mut number = 1;
    let mut at = 0;
    while goes_on.load(Ordering::Relaxed) {
        ticks.tick().await;
        let mine: Vec<u32> = (0..LIVELY).filter(|secret| (*secret as usize) % 2 == index).collect();
        let name = format!("lively-{}", mine[at % mine.len()]);
        if at % mine.len() == 0 {
            number += 1;
        }
        let body = serde_json::json!({"data": secret(&name, number).data});
        match api.patch(&name, &PatchParams::default(), &Patch::Merge(&body)).await {
            Ok(_) => {
                writes.fetch_add(1, Ordering::Relaxed);
                confirmed.lock().unwrap().insert(name, number);
                at += 1;
            }
            Err(error) if is_absent(&error) => {}
            Err(error) => {
                faults
                    .lock()
                    .unwrap()
                    .push(format!("server {index}: writing {name}: {error}"));
                at += 1;
            }
        }
    }
}
