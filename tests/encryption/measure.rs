//! Re-encryption measured against what everybody does by hand: `kubectl get secrets -A -o json | kubectl replace -f -`.
//! It prints ratios and whether each goal is met; only what must hold is asserted.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt as _, stream};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use privacy_operator::encryption::configuration::file_hash;
use serde_json::{Value, json};

use crate::support::kubernetes::{Cluster, Process, must};
use crate::support::wait::within;
use crate::wire::Wire;
use crate::world::{NAMESPACE, PROGRAM};

/// Secrets of 1 KB and of 100 KB; and how many there are in the end.
const SMALL: usize = 2000;
const LARGE: usize = 100;
const MANY: usize = 10_000;
const PATIENCE: Duration = Duration::from_mins(10);

/// With what each value begins, so that it can be found. Thirty bytes, so that its base64 is a piece of the whole.
const CANARY: &[u8] = b"canary of the value of Secrets";

fn configuration(keys: &[u8]) -> String {
    let keys: Vec<Value> = keys
        .iter()
        .map(|key| json!({"name": format!("k{key}"), "secret": STANDARD.encode([*key; 32])}))
        .collect();
    json!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": [{"secretbox": {"keys": keys}}, {"identity": {}}]}]})
    .to_string()
}

/// Bytes that cannot be compressed, as keys, certificates and tokens cannot.
fn value(index: usize, size: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64 ^ index as u64;
    let noise = std::iter::from_fn(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Some((state >> 32).to_le_bytes()[0])
    });
    CANARY.iter().copied().chain(noise).take(size).collect()
}

async fn create(cluster: &Cluster, numbers: std::ops::Range<usize>) {
    let api: Api<Secret> = Api::namespaced(cluster.client(0).await, "shop");
    let one = async |index: usize| {
        let is_large = (SMALL..SMALL + LARGE).contains(&index);
        let size = if is_large { 100 * 1024 } else { 1024 };
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(format!("s-{index}")),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([("value".to_owned(), ByteString(value(index, size)))])),
            ..Secret::default()
        };
        api.create(&PostParams::default(), &secret).await.unwrap();
    };
    stream::iter(numbers.map(one))
        .buffer_unordered(16)
        .collect::<()>()
        .await;
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
    let hash = file_hash(&text);
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

/// Memory of a process at its peak.
pub fn peak_megabytes(id: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// What a way of doing it took.
#[derive(Clone, Copy)]
struct Took {
    seconds: f64,
    bytes: f64,
}

impl Took {
    fn since(began: Instant, wire: &Wire) -> Self {
        Self {
            seconds: began.elapsed().as_secs_f64(),
            bytes: f64::from(u32::try_from(wire.taken()).unwrap()),
        }
    }
}

/// The migrator, behind a wire of its own.
struct Migrator<'a> {
    cluster: &'a Cluster,
    wire: Wire,
    process: Process,
}

impl<'a> Migrator<'a> {
    fn start(cluster: &'a Cluster) -> Self {
        let wire = Wire::to(&cluster.servers[0].address);
        let arguments: Vec<String> = ["migrate", "--interval-milliseconds=20", "--log-format=text"]
            .map(str::to_owned)
            .into();
        let environment = [("KUBECONFIG", kubeconfig(cluster, &wire, "migrator"))];
        let log = cluster.path().join("migrator.log");
        Self {
            cluster,
            process: Process::start(Path::new(PROGRAM), &arguments, &environment, &log),
            wire,
        }
    }

    async fn pass(&self, key: u8, step: &str) -> (Value, Took) {
        let id = format!("{key}-{step}");
        let api: Api<ConfigMap> = Api::namespaced(self.cluster.client(0).await, NAMESPACE);
        let order = json!({"id": id, "step": step, "resources": ["secrets"], "servers": [self.wire.address]});
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "migration-order"}, "data": {"order.json": order.to_string()}});
        self.wire.taken();
        let began = Instant::now();
        let parameters = PatchParams::apply("test").force();
        api.patch("migration-order", &parameters, &Patch::Apply(&map))
            .await
            .unwrap();
        let report = within(
            PATIENCE,
            &id,
            async || String::new(),
            async || {
                let report = api.get_opt("migration-report").await.ok()??;
                let report: Value = serde_json::from_str(&report.data?["report.json"]).ok()?;
                (report["order"] == id && report["complete"] == true).then_some(report)
            },
        )
        .await;
        (report, Took::since(began, &self.wire))
    }

    /// Whether these bytes are anywhere in its memory.
    fn holds(&self, text: &[u8]) -> bool {
        let folder = format!("/proc/{}", self.process.id());
        let maps = fs::read_to_string(format!("{folder}/maps")).unwrap();
        let mut memory = fs::File::open(format!("{folder}/mem")).unwrap();
        maps.lines().any(|line| {
            let (begin, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let address = |text: &str| u64::from_str_radix(text, 16).unwrap();
            let (begin, end) = (address(begin), address(end));
            let mut bytes = vec![0; usize::try_from(end - begin).unwrap()];
            // Some pages of the kernel cannot be read.
            let is_read = line.contains(" r") && memory.seek(SeekFrom::Start(begin)).is_ok();
            is_read && memory.read_exact(&mut bytes).is_ok() && bytes.windows(text.len()).any(|window| window == text)
        })
    }

    /// Nothing of any value, neither as it is nor as it is sent.
    fn assert_ignorant(&self) {
        assert!(self.holds(b"migration-order"), "its memory can be read");
        for canary in [CANARY.to_vec(), STANDARD.encode(CANARY).into_bytes()] {
            assert!(!self.holds(&canary), "a value of a Secret was in the migrator");
        }
    }
}

/// A kubeconfig by way of a wire.
fn kubeconfig(cluster: &Cluster, wire: &Wire, name: &str) -> String {
    let text = fs::read_to_string(cluster.kubeconfig(0)).unwrap();
    let path = cluster.path().join(format!("kubeconfig-{name}"));
    fs::write(&path, text.replace(&cluster.servers[0].address, &wire.address)).unwrap();
    path.display().to_string()
}

/// As it is done by hand.
fn by_hand(cluster: &Cluster, wire: &Wire) -> Took {
    let kubectl = format!(
        "{} --kubeconfig={}",
        cluster.kubectl.display(),
        kubeconfig(cluster, wire, "hand")
    );
    let pipe = format!("{kubectl} get secrets -A -o json | {kubectl} replace -f - >/dev/null");
    wire.taken();
    let began = Instant::now();
    must("sh", &["-c", &pipe], cluster.path());
    Took::since(began, wire)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn row(what: &str, ours: &str, theirs: &str, result: &str, goal: &str, is_met: bool) {
    let word = if is_met { "met" } else { "MISSED" };
    println!("| {what} | {ours} | {theirs} | {result} | {goal} | {word} |");
}

/// The table that the documents show.
fn print(rounds: &[(Took, Took)], few: f64, (many, many_megabytes): (Took, f64)) {
    let middle = |of: fn(&(Took, Took)) -> f64| median(rounds.iter().map(of));
    let times = middle(|(ours, theirs)| theirs.seconds / ours.seconds);
    let fewer = middle(|(ours, theirs)| theirs.bytes / ours.bytes);
    let seconds = [middle(|(ours, _)| ours.seconds), middle(|(_, theirs)| theirs.seconds)];
    let megabytes = [middle(|(ours, _)| ours.bytes), middle(|(_, theirs)| theirs.bytes)].map(|bytes| bytes / 1e6);
    println!(
        "| {SMALL} Secrets of 1 KB, {LARGE} of 100 KB | privacy-operator | kubectl get, replace | ratio | goal | |"
    );
    println!("|---|---|---|---|---|---|");
    row(
        "time",
        &format!("{:.1} s", seconds[0]),
        &format!("{:.1} s", seconds[1]),
        &format!("{times:.1} times faster"),
        "3 times",
        times >= 3.0,
    );
    row(
        "bytes on the wire",
        &format!("{:.1} MB", megabytes[0]),
        &format!("{:.1} MB", megabytes[1]),
        &format!("{fewer:.1} times fewer"),
        "15 times",
        fewer >= 15.0,
    );
    row(
        "memory of the client",
        &format!("{few:.1} MB"),
        "",
        "",
        "25 MB",
        few <= 25.0,
    );
    row(
        &format!(
            "memory with {MANY} Secrets ({:.1} s, {:.1} MB on the wire)",
            many.seconds,
            many.bytes / 1e6
        ),
        &format!("{many_megabytes:.1} MB"),
        "",
        &format!("{:+.1} MB", many_megabytes - few),
        "flat: 2 MB",
        many_megabytes - few <= 2.0,
    );
    row("values of Secrets in the client", "none", "all", "", "none", true);
    row("written by a second pass", "nothing", "everything", "", "nothing", true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: make bench-encryption"]
async fn two_thousand_small_and_a_hundred_large_secrets_and_ten_thousand() {
    let cluster = Cluster::start(true, &configuration(&[1])).await;
    let client = cluster.client(0).await;
    for name in [NAMESPACE, "shop"] {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        Api::<Namespace>::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
    }
    create(&cluster, 0..SMALL + LARGE).await;
    let migrator = Migrator::start(&cluster);
    let hand = Wire::to(&cluster.servers[0].address);
    let mut rounds = Vec::new();
    for round in 0..3_u8 {
        let (first, second) = (2 + round * 2, 3 + round * 2);
        promote(&cluster, &[first, first - 1]).await;
        let (report, ours) = migrator.pass(first, "Migrate").await;
        assert_eq!(report["rewritten"], SMALL + LARGE);
        assert_eq!(under(&cluster, first).await, SMALL + LARGE);
        let revisions = cluster.secret_revisions().await;
        let (again, verified) = migrator.pass(first, "Verify").await;
        assert_eq!((&again["rewritten"], &again["unproven"]), (&json!(0), &json!(0)));
        assert_eq!(
            cluster.secret_revisions().await,
            revisions,
            "a second pass writes nothing"
        );
        promote(&cluster, &[second, first]).await;
        let theirs = by_hand(&cluster, &hand);
        assert_eq!(under(&cluster, second).await, SMALL + LARGE);
        println!(
            "round {round}: migrate {:.1} s, {:.2} MB; a second pass {:.1} s, {:.2} MB; get and replace {:.1} s, {:.1} MB",
            ours.seconds,
            ours.bytes / 1e6,
            verified.seconds,
            verified.bytes / 1e6,
            theirs.seconds,
            theirs.bytes / 1e6
        );
        rounds.push((ours, theirs));
    }
    let few = peak_megabytes(migrator.process.id());
    create(&cluster, SMALL + LARGE..MANY).await;
    promote(&cluster, &[8, 7]).await;
    let (report, many) = migrator.pass(8, "Migrate").await;
    assert_eq!(report["rewritten"], MANY);
    assert_eq!(under(&cluster, 8).await, MANY);
    let many_megabytes = peak_megabytes(migrator.process.id());
    // Last: a look at all of its memory brings pages of the program in, which would count as its own.
    migrator.assert_ignorant();
    print(&rounds, few, (many, many_megabytes));
}
