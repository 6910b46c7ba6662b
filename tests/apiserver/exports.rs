//! A request from its first reconcile to its end, as the writes that it takes; also with replies that are lost.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::reflector::store;
use kube::runtime::watcher::Event;
use privacy_operator::api::{DataSource, ExportRequest, SubjectRightsPolicy};
use privacy_operator::controller::Stores;
use privacy_operator::controller::exports::request::reconcile;
use privacy_operator::controller::guarded::Guarded;
use serde_json::{Value, json};

use super::context::context;
use super::server::Server;

const REQUEST: &str = "/apis/privacy-operator.dev/v1alpha1/namespaces/shop/exportrequests/dsr";
const NAMESPACE: &str = "/api/v1/namespaces/shop";
const JOBS: &str = "/apis/batch/v1/namespaces/shop/jobs";
const PODS: &str = "/api/v1/namespaces/shop/pods";
const CONFIG_MAPS: &str = "/api/v1/namespaces/shop/configmaps";
const LEDGER: &str = "/api/v1/namespaces/privacy-operator/configmaps/rights-ledger-ab";
const KEY: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

fn now() -> Timestamp {
    "2026-11-22T05:10:00Z".parse().unwrap()
}

fn a_week_later() -> Timestamp {
    "2026-11-29T06:00:00Z".parse().unwrap()
}

fn source() -> DataSource {
    serde_json::from_value(json!({
        "apiVersion": "privacy-operator.dev/v1alpha1", "kind": "DataSource",
        "metadata": {"name": "db", "namespace": "shop", "uid": "source"},
        "spec": {
            "postgres": {"host": "db", "database": "shop", "tls": {"mode": "Disable"}, "credentialsSecretRef": {"name": "db"}},
            "network": {"cidrs": ["10.0.0.1/32"]},
            "datasets": [{"name": "users", "table": "public.users", "subjects": [{"identity": "user_id", "column": "id"}]}],
        },
    }))
    .unwrap()
}

fn policy() -> SubjectRightsPolicy {
    serde_json::from_value(json!({
        "apiVersion": "privacy-operator.dev/v1alpha1", "kind": "SubjectRightsPolicy",
        "metadata": {"name": "default", "namespace": "shop", "uid": "rights"},
        "spec": {
            "regime": "GDPR", "delivery": {"volume": {"claimName": "archives"}}, "sealTo": [KEY],
            "hashKeySecretRef": {"name": "hash-key", "key": "key"},
            "limits": [{"right": "Access", "max": 1, "window": "PT1H"}],
        },
    }))
    .unwrap()
}

fn request() -> Value {
    json!({
        "apiVersion": "privacy-operator.dev/v1alpha1", "kind": "ExportRequest",
        "metadata": {"name": "dsr", "namespace": "shop", "uid": "request-uid", "generation": 1, "resourceVersion": "1"},
        "spec": {
            "right": "Access", "rightsPolicyRef": {"name": "default"}, "subjectSecretRef": {"name": "person"},
            "receivedAt": "2026-11-20T09:00:00Z",
            "handling": {"identity": {"method": "LoggedIn", "confirmedOn": "2026-11-20"}, "approvedOn": "2026-11-21"},
        },
    })
}

/// A server that has the request, and a way to look at it.
struct World {
    server: Server,
    now: fn() -> Timestamp,
}

impl World {
    fn new() -> Self {
        let server = Server::default();
        server.put(REQUEST, request());
        server.put(
            NAMESPACE,
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "uid": "namespace-uid"}}),
        );
        Self { server, now }
    }

    /// One reconcile of the request as it is now. False: a request to the API server failed, as the test wanted.
    async fn try_reconcile(&self) -> bool {
        let Some(object) = self.server.get(REQUEST) else {
            return true;
        };
        let request: ExportRequest = serde_json::from_value(object).unwrap();
        let (sources, mut source_writer) = store();
        let (rights, mut rights_writer) = store();
        let (requests, mut request_writer) = store();
        source_writer.apply_watcher_event(&Event::Apply(Guarded(Ok(source()))));
        rights_writer.apply_watcher_event(&Event::Apply(Guarded(Ok(policy()))));
        request_writer.apply_watcher_event(&Event::Apply(Guarded(Ok(request.clone()))));
        let stores = Stores {
            sources: vec![sources],
            rights: vec![rights],
            requests: vec![requests],
            ..Stores::default()
        };
        let context = context(self.server.client(), stores, self.now);
        let guarded = Arc::new(Guarded(Ok(request)));
        let outcome = tokio::time::timeout(Duration::from_secs(5), reconcile(guarded, Arc::new(context)));
        outcome.await.expect("every request is answered").is_ok()
    }

    async fn reconcile(&self) -> Vec<String> {
        assert!(self.try_reconcile().await, "the reconcile succeeds");
        self.server.writes()
    }

    /// Reconciles until nothing is written any more.
    async fn settle(&self) -> Vec<String> {
        let mut writes = Vec::new();
        for _ in 0..20 {
            let more = self.reconcile().await;
            if more.is_empty() {
                return writes;
            }
            writes.extend(more);
        }
        panic!("it never comes to rest: {writes:#?}");
    }

    fn edit(&self, edit: impl FnOnce(&mut Value)) {
        let mut request = self.server.get(REQUEST).unwrap();
        edit(&mut request);
        self.server.put(REQUEST, request);
    }

    fn status(&self) -> Value {
        self.server.get(REQUEST).unwrap()["status"].clone()
    }

    fn condition(&self, type_: &str) -> Value {
        let status = self.status();
        let conditions = status["conditions"].as_array().unwrap();
        conditions
            .iter()
            .find(|it| it["type"] == type_)
            .cloned()
            .unwrap_or_default()
    }

    /// The Job of a work ends, and its pod leaves a report about the plan that it ran.
    fn finish(&self, work: &str, report: Value) {
        let path = format!("{JOBS}/{work}-request-uid");
        let mut job = self.server.get(&path).unwrap_or_else(|| panic!("no Job {work}"));
        let (uid, plan) = (
            job["metadata"]["uid"].clone(),
            job["metadata"]["labels"]["privacy-operator.dev/plan"].clone(),
        );
        let labels = job["metadata"]["labels"].clone();
        job["status"] = json!({"completionTime": "2026-11-22T05:09:00Z", "conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-22T05:09:00Z"}]});
        self.server.put(&path, job);
        let mut report = report;
        report["version"] = json!(1);
        report["planHash"] = plan;
        let message = json!({"program": work, "report": report}).to_string();
        self.server.put(
            &format!("{PODS}/{work}-1"),
            json!({"metadata": {"name": format!("{work}-1"), "namespace": "shop", "labels": labels,
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "x", "uid": uid, "controller": true}]},
                "status": {"phase": "Succeeded", "containerStatuses": [{"name": "worker", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                    "state": {"terminated": {"exitCode": 0, "finishedAt": "2026-11-22T05:09:00Z", "message": message}}}]}}),
        );
    }

    fn identified(&self) {
        self.finish(
            "identify",
            json!({"subject": {"tag": format!("ab{}", "0".repeat(30)), "digest": "1".repeat(32), "keyId": "2".repeat(16), "identity": "user_id"}}),
        );
    }

    fn exported(&self) {
        let none = json!({"stores": 1, "storesNotIncluded": 0, "datasets": 1, "datasetsLeftOut": 0, "categories": 0, "categoriesMissing": 0, "columnsWithheld": 0, "columnsUndeclared": 0});
        self.finish(
            "export",
            json!({"result": "Delivered", "startedAt": "2026-11-22T05:08:00Z", "finishedAt": "2026-11-22T05:09:00Z", "rows": 7, "coverage": none,
                "archive": {"location": "volume://archives/request-uid.zip.age", "bytes": 2048, "parts": 1, "sha256": "f", "contentSha256": "e", "files": 4}}),
        );
    }

    /// Everything that lives on is deleted as a garbage collector would.
    fn collect(&self) {
        for path in self.server.paths(JOBS) {
            if self.server.get(&path).unwrap()["metadata"]["deletionTimestamp"].is_string() {
                let uid = self.server.get(&path).unwrap()["metadata"]["uid"].clone();
                self.server.remove(&path);
                for pod in self.server.paths(PODS) {
                    if self.server.get(&pod).unwrap()["metadata"]["ownerReferences"][0]["uid"] == uid {
                        self.server.remove(&pod);
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_request_becomes_one_archive_step_by_step() {
    let world = World::new();
    world.settle().await;
    assert_eq!(world.server.paths(JOBS), [format!("{JOBS}/identify-request-uid")]);
    assert_eq!(world.status()["phase"], "Running");
    assert_eq!(world.server.get(LEDGER), None, "nobody is known yet");

    world.identified();
    world.settle().await;
    let jobs = world.server.paths(JOBS);
    assert_eq!(
        jobs,
        [
            format!("{JOBS}/export-request-uid"),
            format!("{JOBS}/identify-request-uid")
        ]
    );
    assert!(world.status()["admittedAt"].is_string());
    let request = world.server.get(REQUEST).unwrap();
    assert_eq!(
        request["metadata"]["finalizers"],
        json!(["privacy-operator.dev/archive"])
    );
    assert!(
        world
            .server
            .get(&format!("{CONFIG_MAPS}/xr-request-uid-expire"))
            .is_some()
    );

    world.exported();
    world.settle().await;
    let status = world.status();
    assert_eq!(
        (&status["phase"], &status["rows"], &status["size"], &status["dueOn"]),
        (
            &json!("ReadyForDelivery"),
            &json!(7),
            &json!("2.0 KiB"),
            &json!("2026-12-20")
        )
    );
    assert_eq!(
        world.server.get(LEDGER).unwrap()["data"]["entries"]
            .as_str()
            .unwrap()
            .lines()
            .count(),
        1
    );
    assert_eq!(world.condition("Ready")["status"], "True");
}

#[tokio::test]
async fn nothing_is_started_before_identity_and_approval() {
    for (field, phase) in [("identity", "WaitingForIdentity"), ("approvedOn", "WaitingForApproval")] {
        let world = World::new();
        world.edit(|request| {
            request["spec"]["handling"].as_object_mut().unwrap().remove(field);
        });
        world.settle().await;
        assert!(world.server.paths(JOBS).is_empty());
        assert_eq!(world.status()["phase"], phase);
    }
}

#[tokio::test]
async fn an_archive_whose_time_is_over_is_deleted_and_the_request_let_go() {
    let mut world = delivered().await;
    world.now = a_week_later;
    world.settle().await;
    assert!(world.server.get(&format!("{JOBS}/expire-request-uid")).is_some());
    world.finish("expire", json!({"gone": true}));
    world.settle().await;
    world.collect();
    world.settle().await;
    assert_eq!(world.status()["phase"], "Expired");
    assert!(world.status()["archive"]["deletedAt"].is_string());
    let finalizers = world.server.get(REQUEST).unwrap()["metadata"]["finalizers"].clone();
    assert_eq!(finalizers, json!([]));
    assert!(world.server.paths(CONFIG_MAPS).is_empty(), "plans go with the archive");
}

async fn delivered() -> World {
    let world = World::new();
    world.settle().await;
    world.identified();
    world.settle().await;
    world.exported();
    world.settle().await;
    world
}

#[tokio::test]
async fn a_request_that_is_deleted_takes_its_archive_along() {
    let world = delivered().await;
    world.edit(|request| request["metadata"]["deletionTimestamp"] = json!("2026-11-22T05:10:00Z"));
    world.settle().await;
    assert!(world.server.get(&format!("{JOBS}/expire-request-uid")).is_some());
    let finalizers = || world.server.get(REQUEST).unwrap()["metadata"]["finalizers"].clone();
    assert_eq!(
        finalizers().as_array().unwrap().len(),
        1,
        "it waits for the archive to be gone"
    );
    world.finish("expire", json!({"gone": true}));
    world.reconcile().await;
    world.reconcile().await;
    assert_eq!(finalizers(), json!([]));
}

#[tokio::test]
async fn a_request_that_is_deleted_while_it_runs_ends_the_worker_first() {
    let world = World::new();
    world.settle().await;
    world.identified();
    world.settle().await;
    world.edit(|request| request["metadata"]["deletionTimestamp"] = json!("2026-11-22T05:10:00Z"));
    let writes = world.settle().await;
    assert!(
        writes.contains(&format!("DELETE {JOBS}/export-request-uid")),
        "{writes:?}"
    );
    assert!(
        world.server.get(&format!("{JOBS}/expire-request-uid")).is_none(),
        "not while a pod may still write"
    );
    world.collect();
    world.settle().await;
    assert!(world.server.get(&format!("{JOBS}/expire-request-uid")).is_some());
}

#[tokio::test]
async fn a_namespace_that_is_being_deleted_does_not_hang() {
    let world = delivered().await;
    world.edit(|request| request["metadata"]["deletionTimestamp"] = json!("2026-11-22T05:10:00Z"));
    let mut namespace = world.server.get(NAMESPACE).unwrap();
    namespace["metadata"]["deletionTimestamp"] = json!("2026-11-22T05:10:00Z");
    world.server.put(NAMESPACE, namespace);
    world.reconcile().await;
    assert_eq!(world.server.get(REQUEST).unwrap()["metadata"]["finalizers"], json!([]));
    let events = world.server.paths("/apis/events.k8s.io/v1/namespaces/default/events");
    let told = events.iter().filter_map(|path| world.server.get(path)).any(|event| {
        event["reason"] == "ArchiveAbandoned"
            && event["note"]
                .as_str()
                .unwrap()
                .contains("volume://archives/request-uid.zip.age")
    });
    assert!(told, "an event names what is left");
}

#[tokio::test]
async fn a_second_request_of_the_same_person_waits_for_its_window() {
    let world = delivered().await;
    world.server.remove(&format!("{JOBS}/identify-request-uid"));
    world.server.remove(&format!("{JOBS}/export-request-uid"));
    let mut second = request();
    second["metadata"]["uid"] = json!("second-uid");
    world.server.put(REQUEST, second);
    world.settle().await;
    // The Job of the second request is named after its own uid; its pod tells the same tag.
    let path = format!("{JOBS}/identify-second-uid");
    let mut job = world.server.get(&path).unwrap();
    job["metadata"]["name"] = json!("identify-request-uid");
    world.server.put(&format!("{JOBS}/identify-request-uid"), job);
    world.server.remove(&path);
    world.identified();
    world.settle().await;
    let status = world.status();
    assert_eq!(
        (&status["phase"], &status["limitedBy"]),
        (&json!("Deferred"), &json!("LimitExceeded"))
    );
    assert_eq!(status["deferredUntil"], "2026-11-22T06:10:00Z");
    assert!(world.server.get(&format!("{JOBS}/export-second-uid")).is_none());
}

#[tokio::test]
async fn lost_replies_at_any_write_lead_to_the_same_one_archive() {
    for number in 0..40 {
        let world = World::new();
        world.server.lose_reply(number);
        let settle = async || {
            for _ in 0..40 {
                let before = world.server.get(REQUEST);
                let fine = world.try_reconcile().await;
                if fine && world.server.writes().is_empty() && world.server.get(REQUEST) == before {
                    return;
                }
            }
            panic!("write {number}: it never comes to rest");
        };
        settle().await;
        world.identified();
        settle().await;
        world.exported();
        settle().await;
        assert_eq!(world.status()["phase"], "ReadyForDelivery", "write {number}");
        assert_eq!(world.server.paths(JOBS).len(), 2, "write {number}");
        let entries = world.server.get(LEDGER).unwrap()["data"]["entries"]
            .as_str()
            .unwrap()
            .lines()
            .count();
        assert_eq!(entries, 1, "write {number}");
        if world.server.will_lose_a_reply() {
            assert!(number > 10, "only {number} writes were seen");
            return;
        }
    }
    panic!("there are more than 40 writes");
}

#[tokio::test]
async fn a_mistake_starts_nothing_and_is_named_with_its_remedy() {
    let world = World::new();
    world.edit(|request| request["spec"]["dataSourceRefs"] = json!([{"name": "nobody"}]));
    world.settle().await;
    assert!(world.server.paths(JOBS).is_empty());
    let ready = world.condition("Ready");
    assert_eq!(
        (&ready["status"], &ready["reason"]),
        (&json!("False"), &json!("UnknownDataSource"))
    );
    assert!(
        ready["message"]
            .as_str()
            .unwrap()
            .contains("spec.dataSourceRefs[0].name")
    );
}
