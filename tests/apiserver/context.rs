//! What every reconcile of these tests can use.

use std::sync::Arc;

use jiff::Timestamp;
use privacy_operator::controller::{Context, Scopes, Stores, cluster_encryption};
use privacy_operator::metrics::Metrics;
use privacy_operator::plan::settings::WorkerSettings;

/// A context on an API server, at a time.
pub fn context(client: kube::Client, stores: Stores, now: fn() -> Timestamp) -> Context {
    Context {
        client,
        worker: WorkerSettings {
            image: "i".to_owned(),
            image_pull_policy: "Never".to_owned(),
            cpu_request: "50m".to_owned(),
            cpu_limit: String::new(),
            memory_request: "32Mi".to_owned(),
            memory_limit: "64Mi".to_owned(),
            export_memory_limit: "128Mi".to_owned(),
            operator_namespace: "privacy-operator".to_owned(),
        },
        metrics: Arc::new(Metrics::new(now)),
        stores,
        encryption: Arc::new(cluster_encryption::Settings {
            config: kube::Config::new("http://127.0.0.1:9".parse().unwrap()),
            enabled: false,
            settle: jiff::SignedDuration::ZERO,
            pace: std::time::Duration::from_secs(1),
            agents: Vec::new(),
            clients: tokio::sync::Mutex::default(),
        }),
        health: Arc::default(),
        may_write: Arc::new(|| true),
        now,
        instance: "test".to_owned(),
        backoff: tokio::sync::Mutex::default(),
        scopes: Scopes::All,
        planning: tokio::sync::RwLock::default(),
    }
}
