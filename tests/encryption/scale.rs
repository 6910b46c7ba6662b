//! The operator's memory with a thousand policies. It stands here because here an API server runs as a plain process, and
//! so does the operator.

use std::fs;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::api::{Api, ListParams};
use serde_json::json;

use crate::measure::peak_megabytes;
use crate::support::http;
use crate::support::kubernetes::{Cluster, PLAIN, Process, free_port, must};
use crate::support::wait::within;
use crate::world::PROGRAM;

const POLICIES: usize = 1000;
const NAMESPACES: usize = 10;
/// Megabytes.
const GOAL: f64 = 40.0;

/// A policy with three rules, and the `DataSource` that it names.
fn objects(index: usize) -> String {
    let (namespace, name) = (format!("shop-{}", index % NAMESPACES), format!("logs-{index}"));
    let source = json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "DataSource", "metadata": {"namespace": namespace, "name": name},
        "spec": {"postgres": {"host": format!("db-{index}.{namespace}.svc"), "database": "shop", "tls": {"mode": "VerifyFull", "caSecretRef": {"name": "ca", "key": "ca.crt"}},
                 "credentialsSecretRef": {"name": "db"}},
            "datasets": [{"name": "logs", "table": "public.access_log"}, {"name": "accounts", "table": "public.accounts"}]}});
    let age = |period: &str| json!([{"name": "age", "from": "created_at", "for": period}]);
    let policy = json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "DataRetentionPolicy", "metadata": {"namespace": namespace, "name": name},
        "spec": {"dataSourceRef": {"name": name}, "schedule": "23 * * * *", "timeZone": "Europe/Berlin", "rules": [
            {"name": "logs", "promise": {"clause": "4.2", "quote": "Log files are deleted after seven days."}, "dataset": "logs", "keepWhile": age("P7D"), "then": {"delete": {}}},
            {"name": "addresses", "dataset": "logs", "keepWhile": age("P1D"), "then": {"mask": [{"column": "ip", "strategy": "TruncateIp"}]}},
            {"name": "accounts", "dataset": "accounts", "keepWhile": age("P6M"), "then": {"delete": {}}}]}});
    format!("---\n{source}\n---\n{policy}\n")
}

/// How many reconciles of policies ended well so far, as the operator tells it.
fn reconciled_policies(port: u16) -> Option<usize> {
    let text = http::get(port, "/metrics")?;
    let wanted = |line: &&str| {
        line.starts_with("privacy_operator_reconcile_total{kind=\"DataRetentionPolicy\",result=\"success\"}")
    };
    text.lines().find(wanted)?.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: make bench-operator"]
async fn a_thousand_policies() {
    let cluster = Cluster::start(false, PLAIN).await;
    let path = cluster.path().to_owned();
    let apply = |name: &str, text: &str| {
        let file = path.join(name);
        fs::write(&file, text).unwrap();
        cluster.kubectl(&["apply", "--server-side", "-f", file.to_str().unwrap()]);
    };
    apply("crds.yaml", &must(PROGRAM, &["crds"], &path));
    cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]);
    let namespaces: Vec<String> = (0..NAMESPACES)
        .map(|index| format!("---\n{{apiVersion: v1, kind: Namespace, metadata: {{name: shop-{index}}}}}\n"))
        .collect();
    apply("namespaces.yaml", &namespaces.concat());
    apply("policies.yaml", &(0..POLICIES).map(objects).collect::<String>());

    let kubeconfig = cluster.kubeconfig(0).display().to_string();
    let client = cluster.client(0).await;
    let mut peaks = Vec::new();
    for start in ["first", "second"] {
        let port = free_port();
        let arguments = [
            "operator".to_owned(),
            "--worker-image=none".to_owned(),
            "--leader-elect=false".to_owned(),
            format!("--metrics-address=127.0.0.1:{port}"),
            "--log-format=text".to_owned(),
        ];
        // As the chart sets it.
        let environment = [("KUBECONFIG", kubeconfig.clone()), ("MALLOC_ARENA_MAX", "1".to_owned())];
        let log = path.join("operator.log");
        let operator = Process::start(Path::new(PROGRAM), &arguments, &environment, &log);
        let tail = async || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            text.lines().last().unwrap_or_default().to_owned()
        };
        // The schedule of each policy, its first look, and nothing more to do: also where all of it was there before.
        let ready = async || {
            let everything = ListParams::default();
            let (schedules, looks) = (Api::<CronJob>::all(client.clone()), Api::<Job>::all(client.clone()));
            let schedules = schedules.list_metadata(&everything).await.ok()?;
            let looks = looks.list_metadata(&everything).await.ok()?;
            let counts = [schedules.items.len(), looks.items.len()];
            (counts == [POLICIES, POLICIES] && reconciled_policies(port)? >= POLICIES).then_some(())
        };
        within(
            Duration::from_mins(10),
            "a CronJob and a Job for each policy",
            tail,
            ready,
        )
        .await;
        let peak = peak_megabytes(operator.id());
        println!("{start} start, {POLICIES} policies: {peak:.1} MB at the peak");
        peaks.push(peak);
    }
    let verdict = if peaks.iter().all(|peak| *peak <= GOAL) {
        "ok"
    } else {
        "MISSED"
    };
    println!("operator memory, goal {GOAL} MB: {verdict}");
}
