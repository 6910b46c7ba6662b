//! Re-encryption measured against what everybody does by hand: `kubectl get secrets -A -o json | kubectl replace -f -`.
//! It prints; only what must hold is asserted.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::support::kubernetes::{Cluster, Process, must};
use crate::support::wait::within;
use crate::world::{NAMESPACE, PROGRAM};

/// Secrets of 1 KB and of 100 KB.
const SMALL: usize = 2000;
const LARGE: usize = 100;
const PATIENCE: Duration = Duration::from_mins(10);

fn configuration(keys: &[u8]) -> String {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    let keys: Vec<Value> = keys
        .iter()
        .map(|key| json!({"name": format!("k{key}"), "secret": engine.encode([*key; 32])}))
        .collect();
    json!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": [{"secretbox": {"keys": keys}}, {"identity": {}}]}]})
    .to_string()
}

/// How many Secrets are under a key, in etcd.
async fn under(cluster: &Cluster, key: u8) -> usize {
    let prefix = format!("k8s:enc:secretbox:v1:k{key}:");
    let stored = cluster.stored_secrets().await;
    stored
        .iter()
        .filter(|(_, value)| value.starts_with(prefix.as_bytes()))
        .count()
}

/// Puts a key first, and waits until each API server writes with it.
async fn promote(cluster: &Cluster, keys: &[u8]) {
    let text = configuration(keys);
    let hash = privacy_operator::encryption::configuration::file_hash(&text);
    for index in 0..2 {
        fs::write(cluster.servers[index].node.join("encryption-config.yaml"), &text).unwrap();
        let client = cluster.client(index).await;
        within(
            PATIENCE,
            "the file is loaded",
            async || String::new(),
            async || {
                let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
                let text = client.request_text(request).await.ok()?;
                text.contains(&hash).then_some(())
            },
        )
        .await;
    }
}

async fn pass(cluster: &Cluster, id: &str, step: &str) -> Value {
    let api: Api<ConfigMap> = Api::namespaced(cluster.client(0).await, NAMESPACE);
    let order = json!({"id": id, "step": step, "resources": ["secrets"], "servers": [cluster.servers[0].address]});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "migration-order"}, "data": {"order.json": order.to_string()}});
    api.patch(
        "migration-order",
        &PatchParams::apply("test").force(),
        &Patch::Apply(&map),
    )
    .await
    .unwrap();
    within(
        PATIENCE,
        id,
        async || String::new(),
        async || {
            let report = api.get_opt("migration-report").await.ok()??;
            let report: Value = serde_json::from_str(&report.data?["report.json"]).ok()?;
            (report["order"] == id && report["complete"] == true).then_some(report)
        },
    )
    .await
}

pub fn peak_megabytes(id: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: make bench-encryption"]
async fn two_thousand_small_and_a_hundred_large_secrets() {
    let cluster = Cluster::start(true, &configuration(&[1])).await;
    let client = cluster.client(0).await;
    for name in [NAMESPACE, "shop"] {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        Api::<Namespace>::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
    }
    let api: Api<Secret> = Api::namespaced(client, "shop");
    for index in 0..SMALL + LARGE {
        let size = if index < SMALL { 1024 } else { 100 * 1024 };
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(format!("s-{index}")),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([("value".to_owned(), ByteString(vec![b'x'; size]))])),
            ..Secret::default()
        };
        api.create(&PostParams::default(), &secret).await.unwrap();
    }
    let kubeconfig = cluster.kubeconfig(0).display().to_string();
    let arguments: Vec<String> = ["migrate", "--interval-milliseconds=20", "--log-format=text"]
        .map(str::to_owned)
        .into();
    let migrator = Process::start(
        Path::new(PROGRAM),
        &arguments,
        &[("KUBECONFIG", kubeconfig.clone())],
        &cluster.path().join("migrator.log"),
    );
    let total = SMALL + LARGE;
    let mut ratios = Vec::new();
    for round in 0..3_u8 {
        let (ours, theirs) = (2 + round * 2, 3 + round * 2);
        promote(&cluster, &[ours, ours - 1]).await;
        let began = Instant::now();
        let report = pass(&cluster, &format!("{ours}-Migrate"), "Migrate").await;
        let our_time = began.elapsed();
        assert_eq!(report["rewritten"], total);
        assert_eq!(under(&cluster, ours).await, total);
        let again = pass(&cluster, &format!("{ours}-Verify"), "Verify").await;
        assert_eq!(
            (&again["rewritten"], &again["unproven"]),
            (&json!(0), &json!(0)),
            "a second pass writes nothing"
        );
        promote(&cluster, &[theirs, ours]).await;
        let began = Instant::now();
        let pipe = format!(
            "{k} --kubeconfig={kubeconfig} get secrets -A -o json | {k} --kubeconfig={kubeconfig} replace -f - >/dev/null",
            k = cluster.kubectl.display()
        );
        must("sh", &["-c", &pipe], cluster.path());
        let their_time = began.elapsed();
        assert_eq!(under(&cluster, theirs).await, total);
        let ratio = their_time.as_secs_f64() / our_time.as_secs_f64();
        println!("round {round}: migrate {our_time:.1?}, get|replace {their_time:.1?}, {ratio:.1} times");
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "median: {:.1} times; the migrator's memory at its peak: {:.1} MB",
        ratios[1],
        peak_megabytes(migrator.id())
    );
}
