//! Our own programs beside the API servers, and what stands in for the kubelet.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use privacy_operator::encryption::custody::Custody;
use serde_json::{Value, json};

use crate::support::kubernetes::{Cluster, PLAIN, Process, free_port, mount, must};
use crate::support::wait::{until, within};

pub const NAMESPACE: &str = "privacy-operator-encryption";
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_privacy-operator");
/// Namespace, name and key of the Secret that agents get.
const KEY_SECRET: [&str; 3] = [NAMESPACE, "encryption-keys", "custody.json"];
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_mins(4);

/// The second node gets the Secret later than the first.
const LAG: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(700)];

/// One of our programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Operator,
    Agent(usize),
    Migrator,
    ApiServer(usize),
}

/// Everything that runs.
pub struct World {
    pub operator: Process,
    pub agents: Vec<Process>,
    pub migrator: Process,
    ports: [u16; 3],
    settle: u32,
    /// Whether the operator is told where the agents are, instead of looking for nodes.
    knows_agents: bool,
    kubelet: Arc<AtomicBool>,
    /// Last: our programs end before it.
    pub cluster: Cluster,
}

impl Drop for World {
    fn drop(&mut self) {
        self.kubelet.store(false, Ordering::Relaxed);
    }
}

impl World {
    pub async fn start(impatient: bool) -> Self {
        Self::start_with(impatient, PLAIN).await
    }

    pub async fn start_with(impatient: bool, configuration: &str) -> Self {
        let cluster = Cluster::start(impatient, configuration).await;
        let path = cluster.path().to_owned();
        let client = cluster.client(0).await;
        for name in [NAMESPACE, "shop"] {
            let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
            Api::<Namespace>::all(client.clone())
                .create(&PostParams::default(), &namespace)
                .await
                .unwrap();
        }
        let crds = path.join("crds.yaml");
        fs::write(&crds, must(PROGRAM, &["crds"], &path)).unwrap();
        cluster.kubectl(&["apply", "--server-side", "-f", crds.to_str().unwrap()]);
        cluster.kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd/clusterencryptions.privacy-operator.dev",
            "--timeout=60s",
        ]);
        cluster.kubectl(&[
            "create",
            "clusterrolebinding",
            "operator",
            "--clusterrole=operator",
            "--user=operator",
        ]);
        allow_metrics(&cluster, true).await;
        let ports = [free_port(), free_port(), free_port()];
        let settle = if impatient { 1 } else { 5 };
        let kubelet = Arc::new(AtomicBool::new(true));
        mounts(&cluster, &kubelet).await;
        Self {
            operator: operator(&cluster, ports, settle, true),
            agents: (0..2).map(|index| agent(&cluster, ports, index)).collect(),
            migrator: migrator(&cluster),
            cluster,
            ports,
            settle,
            knows_agents: true,
            kubelet,
        }
    }

    /// Gives the operator the right to `/metrics`, or takes it; both API servers know.
    pub async fn allow_metrics(&self, allowed: bool) {
        allow_metrics(&self.cluster, allowed).await;
    }

    /// Starts the operator anew, and tells it where the agents are, or has it look for nodes.
    pub fn restart_operator(&mut self, knows_agents: bool) {
        self.knows_agents = knows_agents;
        self.kill(Part::Operator);
    }

    /// The record in the key Secret.
    pub async fn record(&self) -> Option<Custody> {
        let secret = self.secrets().await.get("encryption-keys").await.ok()?;
        Custody::parse(&secret.data?.get("custody.json")?.0).ok()
    }

    /// The object, with both API servers named.
    pub async fn encrypt(&self, changes: &Value) {
        let endpoints: Vec<&String> = self.cluster.servers.iter().map(|server| &server.address).collect();
        let mut object = json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "ClusterEncryption", "metadata": {"name": "cluster"},
            "spec": {"mode": "Apply", "escrow": {"none": {}}, "rotation": {"keepOldKeys": 1}, "controlPlane": {"endpoints": endpoints}}});
        for (key, value) in changes.as_object().unwrap() {
            object["spec"][key] = value.clone();
        }
        let parameters = PatchParams::apply("test").force();
        self.encryptions()
            .await
            .patch("cluster", &parameters, &Patch::Apply(&object))
            .await
            .unwrap();
    }

    async fn encryptions(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("privacy-operator.dev", "v1alpha1", "ClusterEncryption");
        let resource = ApiResource::from_gvk_with_plural(&kind, "clusterencryptions");
        Api::all_with(self.cluster.client(0).await, &resource)
    }

    /// Asks for a rotation.
    pub async fn request(&self, text: &str, keep: i32) {
        self.encrypt(&json!({"rotation": {"keepOldKeys": keep, "request": text}}))
            .await;
    }

    pub async fn status(&self) -> Value {
        match self.encryptions().await.get("cluster").await {
            Ok(object) => object.data["status"].clone(),
            Err(error) => json!({"error": error.to_string()}),
        }
    }

    /// The status, as soon as it fits.
    pub async fn wait(&self, what: &str, check: impl Fn(&Value) -> bool) -> Value {
        let log = self.cluster.path().join("operator.log");
        let seen = async || format!("{:#}\noperator: {}", self.status().await, tail(&log));
        within(PATIENCE, what, seen, async || {
            let status = self.status().await;
            check(&status).then_some(status)
        })
        .await
    }

    /// The end of the rotation that was asked for last.
    pub async fn wait_settled(&self, key: &str) -> Value {
        self.wait(&format!("a rotation after {key}"), |status| {
            status["phase"] == "Settled"
                && status["activeKey"] != key
                && status["activeKey"].is_string()
                && condition(status, "Encrypted")["status"] == "True"
                && status["verified"]["key"] == status["activeKey"]
        })
        .await
    }

    /// A stop or a wait with this reason.
    pub async fn wait_reason(&self, reason: &str) -> Value {
        self.wait(reason, |status| condition(status, "Ready")["reason"] == reason)
            .await
    }

    /// Kills one of the programs and starts it again.
    pub fn kill(&mut self, part: Part) {
        match part {
            Part::Operator => {
                self.operator.kill();
                self.operator = operator(&self.cluster, self.ports, self.settle, self.knows_agents);
            }
            Part::Agent(index) => {
                self.agents[index].kill();
                self.agents[index] = agent(&self.cluster, self.ports, index);
            }
            Part::Migrator => {
                self.migrator.kill();
                self.migrator = migrator(&self.cluster);
            }
            Part::ApiServer(index) => self.cluster.restart(index),
        }
    }

    pub async fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.cluster.client(0).await, NAMESPACE)
    }

    pub async fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.cluster.client(0).await, NAMESPACE)
    }

    /// Where the Secret is mounted for a node's agent.
    pub fn keys(&self, index: usize) -> PathBuf {
        keys(self.cluster.path(), index)
    }

    /// The API server's file on a node.
    pub fn file(&self, index: usize) -> PathBuf {
        self.cluster.servers[index].node.join("encryption-config.yaml")
    }

    /// Stops what stands in for the kubelet, so that a test can mount what it wants.
    pub fn freeze_mounts(&self) {
        self.kubelet.store(false, Ordering::Relaxed);
    }

    /// Mounts again, as before.
    pub async fn thaw_mounts(&mut self) {
        self.kubelet = Arc::new(AtomicBool::new(true));
        mounts(&self.cluster, &self.kubelet).await;
    }
}

async fn mounts(cluster: &Cluster, kubelet: &Arc<AtomicBool>) {
    for (index, lag) in LAG.iter().enumerate() {
        let (client, directory) = (cluster.client(0).await, keys(cluster.path(), index));
        tokio::spawn(mount(client, KEY_SECRET, directory, *lag, kubelet.clone()));
    }
}

async fn allow_metrics(cluster: &Cluster, allowed: bool) {
    let mut rules = vec![json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})];
    if allowed {
        rules.push(json!({"nonResourceURLs": ["/metrics"], "verbs": ["get"]}));
    }
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "operator"}, "rules": rules});
    let path = cluster.path().join("role.json");
    fs::write(&path, role.to_string()).unwrap();
    cluster.kubectl(&["apply", "--server-side", "-f", path.to_str().unwrap()]);
    for index in 0..2 {
        let client = Client::try_from(cluster.operator_config(index).await).unwrap();
        until("the right is known", async || {
            let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
            client.request_text(request).await.is_ok() == allowed
        })
        .await;
    }
}

/// A condition of a status.
pub fn condition(status: &Value, kind: &str) -> Value {
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    conditions
        .into_iter()
        .find(|condition| condition["type"] == kind)
        .unwrap_or_default()
}

fn keys(path: &Path, index: usize) -> PathBuf {
    path.join(format!("keys-{index}"))
}

fn operator(cluster: &Cluster, ports: [u16; 3], settle: u32, knows_agents: bool) -> Process {
    let mut arguments: Vec<String> = [
        "operator".to_owned(),
        "--worker-image=none".to_owned(),
        "--leader-elect=false".to_owned(),
        "--encryption=true".to_owned(),
        format!("--encryption-settle-seconds={settle}"),
        "--encryption-pace-milliseconds=100".to_owned(),
        format!("--metrics-address=127.0.0.1:{}", ports[2]),
        "--log-format=text".to_owned(),
    ]
    .into();
    if knows_agents {
        arguments.push(format!(
            "--encryption-agents=node-0=127.0.0.1:{},node-1=127.0.0.1:{}",
            ports[0], ports[1]
        ));
    }
    let environment = [("KUBECONFIG", cluster.operator_kubeconfig().display().to_string())];
    Process::start(
        Path::new(PROGRAM),
        &arguments,
        &environment,
        &cluster.path().join("operator.log"),
    )
}

fn agent(cluster: &Cluster, ports: [u16; 3], index: usize) -> Process {
    let arguments: Vec<String> = [
        "agent".to_owned(),
        format!("--directory={}", cluster.servers[index].node.display()),
        format!("--keys={}", keys(cluster.path(), index).display()),
        format!("--address=127.0.0.1:{}", ports[index]),
        "--interval-milliseconds=100".to_owned(),
        "--log-format=text".to_owned(),
    ]
    .into();
    Process::start(
        Path::new(PROGRAM),
        &arguments,
        &[],
        &cluster.path().join(format!("agent-{index}.log")),
    )
}

fn migrator(cluster: &Cluster) -> Process {
    let arguments: Vec<String> = ["migrate", "--interval-milliseconds=100", "--log-format=text"]
        .map(str::to_owned)
        .into();
    let environment = [("KUBECONFIG", cluster.kubeconfig(0).display().to_string())];
    Process::start(
        Path::new(PROGRAM),
        &arguments,
        &environment,
        &cluster.path().join("migrator.log"),
    )
}

fn tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(15).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
