//! etcd and two API servers as plain processes, and what stands in for the kubelet: for tests in which one API server
//! must lag behind, restart or die. The binaries are named by `dev/encryption/servers.sh`.
//!
//! Every process has a watchdog that reads from a pipe which only the test process holds: when the test ends, however
//! it ends, the process is killed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A process that ends with the test.
pub struct Process {
    child: Child,
    watchdog: Child,
    _lifeline: Option<ChildStdin>,
}

impl Process {
    /// Starts a program; what it says goes to a file.
    pub fn start(program: &Path, arguments: &[String], environment: &[(&str, String)], log: &Path) -> Self {
        let file = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (*name, value.clone())))
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut watchdog = Command::new("sh")
            .args(["-c", &format!("cat >/dev/null; kill -KILL {}", child.id())])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            _lifeline: watchdog.stdin.take(),
            child,
            watchdog,
        }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// As a power cut.
    pub fn kill(&mut self) {
        // The watchdog first: the number of a process that is gone may be given anew.
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn binaries() -> (PathBuf, PathBuf) {
    let name = |variable: &str| {
        PathBuf::from(std::env::var(variable).unwrap_or_else(|_| {
            panic!(
                "{variable} is not set: run these tests with make encryption-test, which asks dev/encryption/servers.sh"
            )
        }))
    };
    (name("KUBERNETES_BINARIES"), name("IMPATIENT_APISERVER"))
}

/// Runs a program that must succeed.
pub fn must(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str], directory: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// One of the two API servers, on a node of its own: a directory.
pub struct ApiServer {
    pub address: String,
    /// Where its encryption configuration is.
    pub node: PathBuf,
    pub process: Process,
    arguments: Vec<String>,
    program: PathBuf,
}

/// etcd, two API servers, and all that belongs to them.
pub struct Cluster {
    pub servers: Vec<ApiServer>,
    pub etcd_address: String,
    pub kubectl: PathBuf,
    etcd: Process,
    etcd_program: PathBuf,
    etcd_arguments: Vec<String>,
    /// Last: what is in it goes when nobody writes there any more.
    pub directory: TempDir,
}

/// The encryption configuration that both begin with.
pub const PLAIN: &str = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n  - identity: {}\n";

impl Cluster {
    /// Starts everything. Impatient API servers look for a new file every second.
    pub async fn start(impatient: bool, configuration: &str) -> Self {
        let (folder, fast) = binaries();
        let directory = tempfile::Builder::new()
            .prefix("po-kubernetes-")
            .tempdir_in("/tmp")
            .unwrap();
        let path = directory.path();
        certificates(path);
        let (client_port, peer_port) = (free_port(), free_port());
        let etcd_address = format!("http://127.0.0.1:{client_port}");
        let etcd_arguments: Vec<String> = [
            format!("--data-dir={}", path.join("etcd").display()),
            format!("--listen-client-urls={etcd_address}"),
            format!("--advertise-client-urls={etcd_address}"),
            format!("--listen-peer-urls=http://127.0.0.1:{peer_port}"),
            format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer_port}"),
            format!("--initial-cluster=default=http://127.0.0.1:{peer_port}"),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=error".to_owned(),
        ]
        .into();
        let etcd_program = folder.join("server");
        let etcd = Process::start(&etcd_program, &etcd_arguments, &[], &path.join("etcd.log"));
        let program = if impatient { fast } else { folder.join("kube-apiserver") };
        let servers = (0..2)
            .map(|index| api_server(path, index, &etcd_address, &program, configuration))
            .collect();
        let cluster = Self {
            kubectl: folder.join("kubectl"),
            directory,
            servers,
            etcd_address,
            etcd,
            etcd_program,
            etcd_arguments,
        };
        for index in 0..2 {
            cluster.until_ready(index).await;
        }
        cluster
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Kills one API server and starts it again.
    pub fn restart(&mut self, index: usize) {
        let log = self.path().join(format!("apiserver-{index}.log"));
        let server = &mut self.servers[index];
        server.process.kill();
        server.process = Process::start(&server.program, &server.arguments, &[], &log);
    }

    /// Stops everything but the files, and starts it again on the data that `change` left.
    pub async fn restore(&mut self, change: impl FnOnce(&Path)) {
        for server in &mut self.servers {
            server.process.kill();
        }
        self.etcd.kill();
        change(&self.path().join("etcd"));
        self.etcd = Process::start(
            &self.etcd_program,
            &self.etcd_arguments,
            &[],
            &self.path().join("etcd.log"),
        );
        for index in 0..2 {
            self.restart(index);
        }
        for index in 0..2 {
            self.until_ready(index).await;
        }
    }

    /// The way to one API server, as an administrator.
    pub fn kubeconfig(&self, index: usize) -> PathBuf {
        self.path().join(format!("kubeconfig-{index}"))
    }

    /// The way for the operator, who has only the rights that the test gives it.
    pub fn operator_kubeconfig(&self) -> PathBuf {
        self.path().join("kubeconfig-operator")
    }

    pub async fn config(&self, index: usize) -> Config {
        Self::config_of(&self.kubeconfig(index)).await
    }

    /// The way to one API server, as the operator.
    pub async fn operator_config(&self, index: usize) -> Config {
        let mut config = Self::config_of(&self.operator_kubeconfig()).await;
        config.cluster_url = self.servers[index].address.parse().unwrap();
        config
    }

    async fn config_of(path: &Path) -> Config {
        let kubeconfig = Kubeconfig::read_from(path).unwrap();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
        config.read_timeout = Some(Duration::from_secs(10));
        config.connect_timeout = Some(Duration::from_secs(2));
        config.default_retry = false;
        config
    }

    pub async fn client(&self, index: usize) -> Client {
        Client::try_from(self.config(index).await).unwrap()
    }

    async fn until_ready(&self, index: usize) {
        let client = self.client(index).await;
        let began = Instant::now();
        loop {
            let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
            if client.request_text(request).await.is_ok() {
                return;
            }
            assert!(
                began.elapsed() < Duration::from_mins(2),
                "API server {index} does not get ready: {}",
                self.log(index)
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn log(&self, index: usize) -> String {
        let text = fs::read_to_string(self.path().join(format!("apiserver-{index}.log"))).unwrap_or_default();
        text.lines().rev().take(5).collect::<Vec<_>>().join("\n")
    }

    /// kubectl that must succeed.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let kubeconfig = format!("--kubeconfig={}", self.kubeconfig(0).display());
        let mut all = vec![kubeconfig.as_str()];
        all.extend(arguments);
        must(&self.kubectl, &all, self.path())
    }

    /// What etcd holds of all Secrets: key and value, read without Kubernetes.
    pub async fn stored_secrets(&self) -> Vec<(String, Vec<u8>)> {
        let of = |pair: &Value| (String::from_utf8(bytes(&pair["key"])).unwrap(), bytes(&pair["value"]));
        self.secrets(false).await.iter().map(of).collect()
    }

    /// When each Secret was written last, in etcd's count.
    pub async fn secret_revisions(&self) -> Vec<(Value, Value)> {
        let of = |pair: &Value| (pair["key"].clone(), pair["mod_revision"].clone());
        self.secrets(true).await.iter().map(of).collect()
    }

    async fn secrets(&self, keys_only: bool) -> Vec<Value> {
        let range = json!({"key": STANDARD.encode("/registry/secrets/"), "range_end": STANDARD.encode("/registry/secrets0"), "keys_only": keys_only});
        let answer = self.etcd("/v3/kv/range", &range).await;
        answer["kvs"].as_array().cloned().unwrap_or_default()
    }

    /// Compaction and defragmentation: what is not current goes out of etcd's file.
    pub async fn forget_the_past(&self) {
        let answer = self.etcd("/v3/kv/range", &json!({"key": STANDARD.encode("/")})).await;
        let compaction = json!({"revision": answer["header"]["revision"], "physical": true});
        self.etcd("/v3/kv/compaction", &compaction).await;
        self.etcd("/v3/maintenance/defragment", &json!({})).await;
    }

    /// Whether etcd's file holds these bytes anywhere.
    pub fn file_holds(&self, text: &[u8]) -> bool {
        let file = fs::read(self.path().join("etcd/member/snap/db")).unwrap();
        file.windows(text.len()).any(|window| window == text)
    }

    async fn etcd(&self, path: &str, body: &Value) -> Value {
        let config = Config::new(self.etcd_address.parse().unwrap());
        let client = Client::try_from(config).unwrap();
        let request = http::Request::post(path).body(body.to_string().into_bytes()).unwrap();
        client.request(request).await.unwrap()
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

fn api_server(path: &Path, index: usize, etcd: &str, program: &Path, configuration: &str) -> ApiServer {
    let port = free_port();
    let address = format!("https://127.0.0.1:{port}");
    let node = path.join(format!("node-{index}"));
    fs::create_dir(&node).unwrap();
    let file = node.join("encryption-config.yaml");
    fs::write(&file, configuration).unwrap();
    let at = |name: &str| path.join(name).display().to_string();
    let arguments: Vec<String> = [
        format!("--etcd-servers={etcd}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=198.18.0.1".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--secure-port={port}"),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", at("sa.pub")),
        format!("--service-account-signing-key-file={}", at("sa.key")),
        format!("--client-ca-file={}", at("ca.crt")),
        format!("--tls-cert-file={}", at("server.crt")),
        format!("--tls-private-key-file={}", at("server.key")),
        "--authorization-mode=Node,RBAC".to_owned(),
        format!("--encryption-provider-config={}", file.display()),
        "--encryption-provider-config-automatic-reload=true".to_owned(),
    ]
    .into();
    let kubeconfig = |user: &str| {
        json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": address, "certificate-authority": at("ca.crt")}}],
            "users": [{"name": "u", "user": {"client-certificate": at(&format!("{user}.crt")), "client-key": at(&format!("{user}.key"))}}]})
        .to_string()
    };
    fs::write(path.join(format!("kubeconfig-{index}")), kubeconfig("admin")).unwrap();
    if index == 0 {
        fs::write(path.join("kubeconfig-operator"), kubeconfig("operator")).unwrap();
    }
    let process = Process::start(program, &arguments, &[], &path.join(format!("apiserver-{index}.log")));
    ApiServer {
        address,
        node,
        process,
        arguments,
        program: program.to_owned(),
    }
}

/// An authority, a server that it vouches for, an administrator, an operator, and the key of service accounts.
fn certificates(path: &Path) {
    let openssl = |arguments: &str| {
        let words: Vec<&str> = arguments.split(' ').collect();
        must("openssl", &words, path);
    };
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!(
        "req -x509 {new} -days 2 -subj /CN=test-ca -keyout ca.key -out ca.crt"
    ));
    for (name, subject, extension) in [
        (
            "server",
            "/CN=kube-apiserver",
            "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n",
        ),
        ("admin", "/O=system:masters/CN=admin", "extendedKeyUsage=clientAuth\n"),
        ("operator", "/CN=operator", "extendedKeyUsage=clientAuth\n"),
    ] {
        fs::write(path.join("extension"), extension).unwrap();
        openssl(&format!("req {new} -subj {subject} -keyout {name}.key -out {name}.csr"));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extension -out {name}.crt"
        ));
    }
    openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out sa.key");
    openssl("pkey -in sa.key -pubout -out sa.pub");
}

/// Stands in for a kubelet: mounts one key of a Secret into a directory, after a while, as a kubelet does.
pub async fn mount(
    client: Client,
    [namespace, name, key]: [&'static str; 3],
    directory: PathBuf,
    lag: Duration,
    goes_on: Arc<AtomicBool>,
) {
    fs::create_dir_all(&directory).unwrap();
    let api: Api<Secret> = Api::namespaced(client, namespace);
    let mut mounted = None;
    while goes_on.load(Ordering::Relaxed) {
        if let Ok(found) = api.get_opt(name).await {
            let version = found
                .as_ref()
                .and_then(|secret| secret.metadata.resource_version.clone());
            if version != mounted {
                tokio::time::sleep(lag).await;
                let data = found.and_then(|secret| secret.data).unwrap_or_default();
                let path = directory.join(key);
                match data.get(key) {
                    Some(text) if goes_on.load(Ordering::Relaxed) => {
                        let next = directory.join(".next");
                        fs::write(&next, &text.0).unwrap();
                        fs::rename(&next, &path).unwrap();
                    }
                    _ => {
                        let _ = fs::remove_file(&path);
                    }
                }
                mounted = version;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
