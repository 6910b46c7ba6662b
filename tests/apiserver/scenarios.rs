//! Created, unchanged, foreign, changed, restored, held: each as the writes that it takes.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::reflector::store;
use kube::runtime::watcher::Event;
use privacy_operator::api::{DataRetentionPolicy, DataSource};
use privacy_operator::contract::progress::Step;
use privacy_operator::controller::Stores;
use privacy_operator::controller::data_retention_policy::reconcile;
use privacy_operator::controller::guarded::Guarded;
use privacy_operator::worker::progress::{Progress, serve};
use serde_json::{Value, json};

use super::context::context;
use super::server::Server;

const POLICY: &str = "/apis/privacy-operator.dev/v1alpha1/namespaces/shop/dataretentionpolicies/logs";
const CRON_JOB: &str = "/apis/batch/v1/namespaces/shop/cronjobs/drp-logs";
const JOBS: &str = "/apis/batch/v1/namespaces/shop/jobs";
const PODS: &str = "/api/v1/namespaces/shop/pods";
const CONFIG_MAPS: &str = "/api/v1/namespaces/shop/configmaps";
const NETWORK_POLICY: &str = "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies/drp-logs-worker";

pub fn now() -> Timestamp {
    "2026-11-22T05:10:00Z".parse().unwrap()
}

pub fn source() -> DataSource {
    serde_json::from_value(json!({
        "apiVersion": "privacy-operator.dev/v1alpha1", "kind": "DataSource",
        "metadata": {"name": "db", "namespace": "shop", "uid": "source"},
        "spec": {
            "postgres": {"host": "db", "database": "shop", "tls": {"mode": "Disable"}, "credentialsSecretRef": {"name": "db"}},
            "network": {"cidrs": ["10.0.0.1/32"]},
            "datasets": [{"name": "logs", "table": "public.logs"}],
        },
    }))
    .unwrap()
}

fn policy() -> Value {
    json!({
        "apiVersion": "privacy-operator.dev/v1alpha1", "kind": "DataRetentionPolicy",
        "metadata": {"name": "logs", "namespace": "shop", "uid": "policy", "generation": 1, "resourceVersion": "1"},
        "spec": {
            "dataSourceRef": {"name": "db"}, "schedule": "@hourly",
            "rules": [{"name": "age", "dataset": "logs", "keepWhile": [{"name": "g", "from": "at", "for": "P7D"}], "then": {"delete": {}}}],
        },
    })
}

/// A server that has the policy, and a way to look at it.
pub struct World(pub Server);

impl World {
    pub fn new() -> Self {
        let server = Server::default();
        server.put(POLICY, policy());
        Self(server)
    }

    /// One reconcile of the policy as it is now; a call that is never answered fails the test.
    pub async fn reconcile(&self) -> Vec<String> {
        let policy: DataRetentionPolicy = serde_json::from_value(self.0.get(POLICY).unwrap()).unwrap();
        let (policies, mut policy_writer) = store();
        let (sources, mut source_writer) = store();
        policy_writer.apply_watcher_event(&Event::Apply(Guarded(Ok(policy.clone()))));
        source_writer.apply_watcher_event(&Event::Apply(Guarded(Ok(source()))));
        let context = context(
            self.0.client(),
            Stores {
                policies: vec![policies],
                sources: vec![sources],
                ..Stores::default()
            },
            now,
        );
        let guarded = Arc::new(Guarded(Ok(policy)));
        tokio::time::timeout(Duration::from_secs(5), reconcile(guarded, Arc::new(context)))
            .await
            .expect("every request is answered")
            .expect("the reconcile succeeds");
        self.0.writes()
    }

    fn edit(&self, edit: impl FnOnce(&mut Value)) {
        let mut policy = self.0.get(POLICY).unwrap();
        edit(&mut policy);
        let generation = policy["metadata"]["generation"].as_i64().unwrap() + 1;
        policy["metadata"]["generation"] = json!(generation);
        self.0.put(POLICY, policy);
    }

    fn edit_status(&self, edit: impl FnOnce(&mut Value)) {
        let mut policy = self.0.get(POLICY).unwrap();
        edit(&mut policy["status"]);
        self.0.put(POLICY, policy);
    }

    /// A Job of the CronJob's present plan, with a pod that runs.
    pub fn start_run(&self, name: &str) {
        let cron_job = self.0.get(CRON_JOB).unwrap();
        let template = &cron_job["spec"]["jobTemplate"];
        let mut metadata = template["metadata"].clone();
        metadata["name"] = json!(name);
        metadata["namespace"] = json!("shop");
        metadata["uid"] = json!(format!("job-{name}"));
        metadata["ownerReferences"] = owner("CronJob", cron_job["metadata"]["uid"].as_str().unwrap());
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"], "status": {"active": 1}});
        self.0.put(&format!("{JOBS}/{name}"), job);
        let mut pod = template["spec"]["template"].clone();
        pod["metadata"]["name"] = json!(format!("{name}-1"));
        pod["metadata"]["namespace"] = json!("shop");
        pod["metadata"]["ownerReferences"] = owner("Job", &format!("job-{name}"));
        pod["status"] = json!({"phase": "Running"});
        self.0.put(&format!("{PODS}/{name}-1"), pod);
    }

    /// The run ends with this termination message.
    fn finish_run(&self, name: &str, message: &str) {
        let job_path = format!("{JOBS}/{name}");
        let mut job = self.0.get(&job_path).unwrap();
        job["status"] = json!({"completionTime": "2026-11-22T05:09:00Z",
            "conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-22T05:09:00Z"}]});
        self.0.put(&job_path, job);
        let pod_path = format!("{PODS}/{name}-1");
        let mut pod = self.0.get(&pod_path).unwrap();
        pod["status"] = json!({"phase": "Succeeded", "containerStatuses": [{"name": "worker", "image": "i", "imageID": "i", "ready": false,
            "restartCount": 0, "state": {"terminated": {"exitCode": 0, "finishedAt": "2026-11-22T05:09:00Z", "message": message}}}]});
        self.0.put(&pod_path, pod);
    }

    pub fn condition(&self, type_: &str) -> Value {
        let policy = self.0.get(POLICY).unwrap();
        let conditions = policy["status"]["conditions"].as_array().unwrap();
        conditions
            .iter()
            .find(|it| it["type"] == type_)
            .cloned()
            .unwrap_or_default()
    }
}

fn owner(kind: &str, uid: &str) -> Value {
    json!([{"apiVersion": "v1", "kind": kind, "name": "x", "uid": uid, "controller": true}])
}

/// Writes without the hashes that end their names.
pub fn shorten(writes: &[String]) -> Vec<String> {
    writes
        .iter()
        .map(|write| {
            let (verb, path) = write.split_once(' ').unwrap();
            let mut parts = path.rsplit('/');
            let name = parts.next().unwrap();
            let kind = parts.next().unwrap();
            if name == "status" {
                format!("{verb} status")
            } else {
                format!("{verb} {kind}")
            }
        })
        .collect()
}

#[tokio::test]
async fn a_new_policy_gets_its_children_a_first_look_and_a_status() {
    let world = World::new();
    let writes = world.reconcile().await;
    assert_eq!(
        shorten(&writes),
        [
            "PATCH networkpolicies",
            "PATCH configmaps",
            "PATCH cronjobs",
            "PATCH jobs",
            "PATCH status"
        ]
    );
    assert_eq!(world.condition("Ready")["reason"], "Accepted");
}

#[tokio::test]
async fn a_long_run_is_asked_how_far_it_is_at_most_every_ten_seconds() {
    let world = World::new();
    world.reconcile().await;
    let progress = Progress::default();
    progress.step(Step::Disposing, 40, Some(100));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let teller = tokio::spawn(serve(listener, progress.clone()));
    world.start_run("run");
    let pod_path = format!("{PODS}/run-1");
    let mut pod = world.0.get(&pod_path).unwrap();
    pod["status"]["podIP"] = json!("127.0.0.1");
    pod["spec"]["containers"][0]["ports"][0]["containerPort"] = json!(port);
    world.0.put(&pod_path, pod);

    let created = |seconds: i64| (now() - jiff::SignedDuration::from_secs(seconds)).to_string();
    let job_path = format!("{JOBS}/run");
    let mut job = world.0.get(&job_path).unwrap();
    job["metadata"]["creationTimestamp"] = json!(created(9));
    world.0.put(&job_path, job.clone());
    world.reconcile().await;
    assert_eq!(running(&world), Value::Null, "a short run shows nothing");

    job["metadata"]["creationTimestamp"] = json!(created(30));
    world.0.put(&job_path, job);
    assert_eq!(shorten(&world.reconcile().await), ["PATCH status"]);
    let said = running(&world);
    assert_eq!(
        (&said["step"], &said["affected"], &said["due"]),
        (&json!("Disposing"), &json!(40), &json!(100))
    );

    progress.add_rows(20);
    assert!(world.reconcile().await.is_empty(), "asked again within ten seconds");
    world.edit_status(|status| status["running"]["askedAt"] = json!(created(11)));
    assert_eq!(shorten(&world.reconcile().await), ["PATCH status"]);
    assert_eq!(running(&world)["affected"], 60);

    // What does not answer changes nothing.
    teller.abort();
    let _ = teller.await;
    world.edit_status(|status| status["running"]["askedAt"] = json!(created(11)));
    assert!(world.reconcile().await.is_empty());
    assert_eq!(running(&world)["affected"], 60);
}

fn running(world: &World) -> Value {
    world.0.get(POLICY).unwrap()["status"]["running"].clone()
}

#[tokio::test]
async fn a_second_look_at_an_unchanged_policy_writes_nothing() {
    let world = World::new();
    world.reconcile().await;
    assert!(world.reconcile().await.is_empty());
    // The API server's defaults are no difference.
    let mut cron_job = world.0.get(CRON_JOB).unwrap();
    cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["dnsPolicy"] = json!("ClusterFirst");
    cron_job["status"] = json!({"lastScheduleTime": "2026-11-22T05:00:00Z"});
    world.0.put(CRON_JOB, cron_job);
    assert!(world.reconcile().await.is_empty());
}

#[tokio::test]
async fn a_deleted_or_edited_child_is_put_right() {
    let world = World::new();
    world.reconcile().await;
    world.0.remove(NETWORK_POLICY);
    assert_eq!(shorten(&world.reconcile().await), ["PATCH networkpolicies"]);
    let mut cron_job = world.0.get(CRON_JOB).unwrap();
    cron_job["spec"]["schedule"] = json!("* * * * *");
    world.0.put(CRON_JOB, cron_job);
    assert_eq!(shorten(&world.reconcile().await), ["PATCH cronjobs"]);
    assert_eq!(world.0.get(CRON_JOB).unwrap()["spec"]["schedule"], "@hourly");
}

#[tokio::test]
async fn the_first_look_is_not_repeated_for_the_same_rules() {
    let world = World::new();
    world.reconcile().await;
    for path in world.0.paths(JOBS) {
        world.0.remove(&path);
    }
    assert!(world.reconcile().await.is_empty());
}

#[tokio::test]
async fn an_object_of_somebody_else_is_not_touched_and_is_named() {
    let world = World::new();
    world.0.put(
        CRON_JOB,
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "drp-logs", "namespace": "shop"}}),
    );
    let writes = world.reconcile().await;
    assert!(
        !writes
            .iter()
            .any(|write| write.contains("cronjobs") || write.contains("/jobs/")),
        "{writes:?}"
    );
    let ready = world.condition("Ready");
    assert_eq!(ready["reason"], "ForeignObject");
    assert!(ready["message"].as_str().unwrap().contains("CronJob drp-logs"));
}

#[tokio::test]
async fn a_plan_change_suspends_ends_waits_and_only_then_applies() {
    let world = World::new();
    world.reconcile().await;
    let old_plan = world.0.paths(CONFIG_MAPS);
    for path in world.0.paths(JOBS) {
        world.0.remove(&path);
    }
    world.start_run("sweep");
    world.edit(|policy| policy["spec"]["rules"][0]["keepWhile"][0]["for"] = json!("P8D"));

    let first = world.reconcile().await;
    assert_eq!(shorten(&first), ["PATCH cronjobs", "DELETE jobs", "PATCH status"]);
    assert_eq!(world.0.get(CRON_JOB).unwrap()["spec"]["suspend"], true);
    assert_eq!(world.condition("Ready")["reason"], "Changing");
    assert!(world.reconcile().await.is_empty(), "it waits for the pod");
    assert_eq!(world.0.paths(CONFIG_MAPS), old_plan);

    world.0.remove(&format!("{JOBS}/sweep"));
    world.0.remove(&format!("{PODS}/sweep-1"));
    let last = world.reconcile().await;
    assert_eq!(
        shorten(&last),
        [
            "PATCH configmaps",
            "PATCH cronjobs",
            "PATCH jobs",
            "DELETE configmaps",
            "PATCH status"
        ]
    );
    assert_eq!(world.0.get(CRON_JOB).unwrap()["spec"]["suspend"], false);
    assert_ne!(world.0.paths(CONFIG_MAPS), old_plan);
}

#[tokio::test]
async fn suspending_and_the_stop_config_map_end_what_runs() {
    for by_hand in [false, true] {
        let world = World::new();
        world.reconcile().await;
        world.start_run("sweep");
        if by_hand {
            // Empty, as a user in a hurry makes it.
            world.0.put(
                &format!("{CONFIG_MAPS}/privacy-operator-stop"),
                json!({"metadata": {"name": "privacy-operator-stop"}}),
            );
        } else {
            world.edit(|policy| policy["spec"]["suspend"] = json!(true));
        }
        let writes = world.reconcile().await;
        assert!(writes.contains(&format!("DELETE {JOBS}/sweep")), "{writes:?}");
        assert_eq!(world.0.get(CRON_JOB).unwrap()["spec"]["suspend"], true);
        assert_eq!(world.condition("Halted").is_null(), !by_hand);
    }
}

#[tokio::test]
async fn an_invalid_policy_runs_nothing_on_its_old_plan() {
    let world = World::new();
    world.reconcile().await;
    world.start_run("sweep");
    world.edit(|policy| policy["spec"]["schedule"] = json!("never"));
    let writes = world.reconcile().await;
    assert!(writes.contains(&format!("DELETE {JOBS}/sweep")), "{writes:?}");
    assert_eq!(world.0.get(CRON_JOB).unwrap()["spec"]["suspend"], true);
    assert_eq!(world.condition("Ready")["reason"], "InvalidSchedule");
}

#[tokio::test]
async fn a_report_enters_the_status_once() {
    let world = World::new();
    world.reconcile().await;
    world.start_run("sweep");
    world.finish_run(
        "sweep",
        r#"{"v":1,"plan":"p","mode":"Enforce","result":"Done","at":["2026-11-22T05:08:00Z","2026-11-22T05:08:59Z"],"server":"15.13","rules":["7"]}"#,
    );
    assert_eq!(shorten(&world.reconcile().await), ["PATCH status"]);
    let status = world.0.get(POLICY).unwrap()["status"].clone();
    assert_eq!(
        (&status["lastResult"], &status["rules"][0]["affected"], &status["due"]),
        (&json!("Done"), &json!(7), &json!(0))
    );
    assert_eq!(world.condition("PromiseKept")["status"], "True");
    assert!(world.reconcile().await.is_empty());
}

#[tokio::test]
async fn what_is_not_a_report_is_discarded_and_nothing_of_it_is_kept() {
    let world = World::new();
    world.reconcile().await;
    world.start_run("sweep");
    world.finish_run("sweep", "panicked at Key (email)=(canary@example.org)");
    world.reconcile().await;
    let policy = world.0.get(POLICY).unwrap();
    assert_eq!(policy["status"]["lastResult"], "Unknown");
    assert!(!policy.to_string().contains("canary"));
}

#[tokio::test]
async fn a_job_that_only_wears_our_labels_is_not_believed() {
    let world = World::new();
    world.reconcile().await;
    world.start_run("sweep");
    let path = format!("{JOBS}/sweep");
    let mut job = world.0.get(&path).unwrap();
    job["metadata"]["ownerReferences"] = owner("CronJob", "somebody-else");
    world.0.put(&path, job);
    world.finish_run("sweep", r#"{"v":1,"plan":"p","mode":"Enforce","result":"Done","at":["2026-11-22T05:08:00Z","2026-11-22T05:08:59Z"],"server":"15.13","rules":["7"]}"#);
    assert!(world.reconcile().await.is_empty());
}
