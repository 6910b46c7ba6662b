//! Two API servers with an operator on each, and what stands in for the Job controller and the workers: every Job that
//! is made ends at once, with the report that the test wants.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::reflector::store;
use kube::runtime::watcher::Event;
use kube::{Client, ResourceExt as _};
use privacy_operator::api::{DataSource, ExportRequest, SubjectRightsPolicy};
use privacy_operator::controller::exports::request::reconcile;
use privacy_operator::controller::guarded::Guarded;
use privacy_operator::controller::{Context, Stores};
use serde_json::{Value, json};

use crate::context::context;
use crate::support::kubernetes::{Cluster, PLAIN, must};
use crate::support::wait::until_within;

const PROGRAM: &str = env!("CARGO_BIN_EXE_privacy-operator");
pub const NAMESPACE: &str = "shop";
const OPERATOR_NAMESPACE: &str = "privacy-operator";
/// For one request, beside many others.
const PATIENCE: Duration = Duration::from_mins(5);
const KEY: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
/// Highest limit of a policy here; there is one for each.
pub const LARGEST_LIMIT: usize = 3;

pub struct World {
    operators: [Arc<Context>; 2],
    clients: [Client; 2],
    /// Last: everything else ends before it.
    _cluster: Cluster,
}

impl World {
    pub async fn start() -> Self {
        let cluster = Cluster::start(false, PLAIN).await;
        let path = cluster.path().to_owned();
        let clients = [client(&cluster, 0).await, client(&cluster, 1).await];
        for name in [NAMESPACE, OPERATOR_NAMESPACE] {
            let namespace: Namespace = parse(json!({"metadata": {"name": name}}));
            let api = Api::<Namespace>::all(clients[0].clone());
            api.create(&PostParams::default(), &namespace).await.unwrap();
        }
        // A controller makes it elsewhere; without it no pod is taken.
        let account: ServiceAccount = parse(json!({"metadata": {"name": "default"}}));
        let api = Api::<ServiceAccount>::namespaced(clients[0].clone(), NAMESPACE);
        api.create(&PostParams::default(), &account).await.unwrap();
        let crds = path.join("crds.yaml");
        fs::write(&crds, must(PROGRAM, &["crds"], &path)).unwrap();
        cluster.kubectl(&["apply", "--server-side", "-f", crds.to_str().unwrap()]);
        cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]);
        let operators = clients
            .clone()
            .map(|client| Arc::new(context(client, stores(), Timestamp::now)));
        Self {
            operators,
            clients,
            _cluster: cluster,
        }
    }

    fn requests(&self, operator: usize) -> Api<ExportRequest> {
        Api::namespaced(self.clients[operator].clone(), NAMESPACE)
    }

    /// Creates a request under the policy with this limit, and returns its uid.
    pub async fn request(&self, name: &str, limit: usize) -> String {
        let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let request: ExportRequest = parse(json!({
            "apiVersion": "privacy-operator.dev/v1alpha1", "kind": "ExportRequest", "metadata": {"name": name},
            "spec": {"right": "Access", "rightsPolicyRef": {"name": policy_name(limit)}, "subjectSecretRef": {"name": "person"},
                "receivedAt": Timestamp::now().to_string(),
                "handling": {"identity": {"method": "LoggedIn", "confirmedOn": today.to_string()}, "approvedOn": today.to_string()}},
        }));
        let created = self.requests(0).create(&PostParams::default(), &request).await.unwrap();
        created.uid().unwrap()
    }

    /// Reconciles a request again and again, as one of the operators, until it has come to rest: its phase.
    pub async fn operate(&self, operator: usize, name: &str) -> String {
        let mut phase = String::new();
        until_within(PATIENCE, &format!("{name} comes to rest"), async || {
            let request = self.requests(operator).get(name).await.unwrap();
            let status = serde_json::to_value(&request.status).unwrap();
            status["phase"].as_str().unwrap_or_default().clone_into(&mut phase);
            let rests = phase == "ReadyForDelivery" || phase == "Deferred";
            if !rests {
                // A conflict with the other operator is an error of a reconcile, which begins anew then.
                let guarded = Arc::new(Guarded(Ok(request)));
                let _ = Box::pin(reconcile(guarded, self.operators[operator].clone())).await;
            }
            rests
        })
        .await;
        phase
    }

    /// Ends each Job of a request, with a report about this person, until the request has come to rest. The uids of all
    /// Jobs by which it was exported.
    pub async fn work(&self, uid: &str, tag: &str, rests: &AtomicBool) -> BTreeSet<String> {
        let jobs = Api::<Job>::namespaced(self.clients[0].clone(), NAMESPACE);
        let mut exports = BTreeSet::new();
        until_within(PATIENCE, &format!("request {uid} comes to rest"), async || {
            for work in ["identify", "export"] {
                let Some(job) = jobs.get_opt(&format!("{work}-{uid}")).await.unwrap() else {
                    continue;
                };
                if work == "export" {
                    exports.insert(job.uid().unwrap());
                }
                let status = job.status.as_ref();
                if status.is_none_or(|status| status.completion_time.is_none()) {
                    self.finish(&job, work, tag).await;
                }
            }
            rests.load(Ordering::Relaxed)
        })
        .await;
        exports
    }

    async fn finish(&self, job: &Job, work: &str, tag: &str) {
        let now = Timestamp::now().to_string();
        let plan = &job.labels()["privacy-operator.dev/plan"];
        let mut report = if work == "identify" {
            json!({"subject": {"tag": tag, "digest": "1".repeat(32), "keyId": "2".repeat(16), "identity": "user_id"}})
        } else {
            let none = json!({"stores": 1, "storesNotIncluded": 0, "datasets": 1, "datasetsLeftOut": 0, "categories": 0, "categoriesMissing": 0, "columnsWithheld": 0, "columnsUndeclared": 0});
            json!({"result": "Delivered", "startedAt": now, "finishedAt": now, "rows": 7, "coverage": none,
                "archive": {"location": "volume://archives/x.zip.age", "bytes": 2048, "parts": 1, "sha256": "f", "contentSha256": "e", "files": 4}})
        };
        report["version"] = json!(1);
        report["planHash"] = json!(plan);
        let message = json!({"program": work, "report": report}).to_string();
        let pod: Pod = parse(json!({
            "metadata": {"name": job.name_any(), "labels": job.labels(), "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job",
                "name": job.name_any(), "uid": job.uid(), "controller": true}]},
            "spec": {"automountServiceAccountToken": false, "restartPolicy": "Never", "containers": [{"name": "worker", "image": "i"}]},
        }));
        let pods = Api::<Pod>::namespaced(self.clients[0].clone(), NAMESPACE);
        pods.create(&PostParams::default(), &pod).await.unwrap();
        let status = json!({"status": {"phase": "Succeeded", "containerStatuses": [{"name": "worker", "image": "i", "imageID": "",
            "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 0, "finishedAt": now, "message": message}}}]}});
        patch_status(&pods, &job.name_any(), &status).await;
        let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now, "lastProbeTime": now, "reason": "", "message": ""});
        let status = json!({"status": {"startTime": now, "completionTime": now, "succeeded": 1,
            "conditions": [condition("SuccessCriteriaMet"), condition("Complete")]}});
        let jobs = Api::<Job>::namespaced(self.clients[0].clone(), NAMESPACE);
        patch_status(&jobs, &job.name_any(), &status).await;
    }

    /// How often the ledger says that a person's request was admitted.
    pub async fn admitted(&self, tag: &str) -> usize {
        let api = Api::<ConfigMap>::namespaced(self.clients[0].clone(), OPERATOR_NAMESPACE);
        let ledger = api.get(&format!("rights-ledger-{}", &tag[..2])).await.unwrap();
        let entries = &ledger.data.unwrap()["entries"];
        entries.lines().filter(|line| line.contains(tag)).count()
    }
}

/// A client that is patient: the machine is busy.
async fn client(cluster: &Cluster, index: usize) -> Client {
    let mut config = cluster.config(index).await;
    config.read_timeout = Some(Duration::from_mins(2));
    config.connect_timeout = Some(Duration::from_secs(30));
    Client::try_from(config).unwrap()
}

async fn patch_status<K>(api: &Api<K>, name: &str, status: &Value)
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn policy_name(limit: usize) -> String {
    format!("at-most-{limit}")
}

/// What both operators know of the namespace.
fn stores() -> Stores {
    let source: DataSource = parse(json!({
        "apiVersion": "privacy-operator.dev/v1alpha1", "kind": "DataSource", "metadata": {"name": "db", "namespace": NAMESPACE, "uid": "source"},
        "spec": {"postgres": {"host": "db", "database": "shop", "tls": {"mode": "Disable"}, "credentialsSecretRef": {"name": "db"}},
            "network": {"cidrs": ["10.0.0.1/32"]},
            "datasets": [{"name": "users", "table": "public.users", "subjects": [{"identity": "user_id", "column": "id"}]}]},
    }));
    let (sources, mut source_writer) = store();
    source_writer.apply_watcher_event(&Event::Apply(Guarded(Ok(source))));
    let (rights, mut rights_writer) = store();
    for limit in 1..=LARGEST_LIMIT {
        let policy: SubjectRightsPolicy = parse(json!({
            "apiVersion": "privacy-operator.dev/v1alpha1", "kind": "SubjectRightsPolicy",
            "metadata": {"name": policy_name(limit), "namespace": NAMESPACE, "uid": policy_name(limit)},
            "spec": {"regime": "GDPR", "delivery": {"volume": {"claimName": "archives"}}, "sealTo": [KEY],
                "hashKeySecretRef": {"name": "hash-key", "key": "key"}, "limits": [{"right": "Access", "max": limit, "window": "PT1H"}]},
        }));
        rights_writer.apply_watcher_event(&Event::Apply(Guarded(Ok(policy))));
    }
    Stores {
        sources: vec![sources],
        rights: vec![rights],
        ..Stores::default()
    }
}
