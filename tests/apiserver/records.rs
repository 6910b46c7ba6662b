//! Surveys and records of processing, as the writes that they take.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::reflector::store;
use kube::runtime::watcher::Event;
use privacy_operator::api::{DataRetentionPolicy, DataSource, PrivacyNotice, ProcessingActivity};
use privacy_operator::controller::guarded::Guarded;
use privacy_operator::controller::{Context, Stores, data_source, privacy_notice, processing_activity};
use serde_json::{Value, json};

use super::context::context;
use super::server::Server;

const SOURCE: &str = "/apis/privacy-operator.dev/v1alpha1/namespaces/shop/datasources/db";
const ACTIVITY: &str = "/apis/privacy-operator.dev/v1alpha1/namespaces/shop/processingactivities/logs";
const NOTICE: &str = "/apis/privacy-operator.dev/v1alpha1/privacynotices/shop";
const POLICY: &str = "/apis/privacy-operator.dev/v1alpha1/namespaces/shop/dataretentionpolicies/logs";
const ENCRYPTION: &str = "/apis/privacy-operator.dev/v1alpha1/clusterencryptions/cluster";
const JOBS: &str = "/apis/batch/v1/namespaces/shop/jobs";
const PODS: &str = "/api/v1/namespaces/shop/pods";
const CONFIG_MAPS: &str = "/api/v1/namespaces/shop/configmaps";

fn now() -> Timestamp {
    "2026-11-22T05:10:00Z".parse().unwrap()
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A server that has a store, an activity, its notice and its policy.
struct World(Server);

impl World {
    fn new() -> Self {
        let server = Server::default();
        let head = |kind: &str, name: &str, spec: Value| {
            json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": kind,
                "metadata": {"name": name, "namespace": "shop", "uid": format!("{name}-{kind}"), "generation": 1, "resourceVersion": "1"}, "spec": spec})
        };
        server.put(
            SOURCE,
            head(
                "DataSource",
                "db",
                json!({"postgres": {"host": "db", "database": "shop", "tls": {"mode": "Disable"}, "credentialsSecretRef": {"name": "db"}},
                    "survey": {"schedule": "7 * * * *"},
                    "datasets": [{"name": "logs", "table": "public.logs", "activities": ["logs"], "fields": [{"column": "at"}]}]}),
            ),
        );
        server.put(
            POLICY,
            head(
                "DataRetentionPolicy",
                "logs",
                json!({"dataSourceRef": {"name": "db"}, "schedule": "@hourly", "mode": "Enforce",
                    "rules": [{"name": "age", "dataset": "logs", "keepWhile": [{"name": "g", "from": "at", "for": "P7D"}], "then": {"delete": {}}}]}),
            ),
        );
        server.put(
            ACTIVITY,
            head(
                "ProcessingActivity",
                "logs",
                json!({"noticeRef": {"name": "shop"}, "title": "Logs", "role": "Controller",
                    "retention": [{"categories": ["user"], "ruleRef": {"policy": "logs", "rule": "age"}}],
                    "measures": [{"kind": "EncryptionAtRest", "of": "KubernetesSecrets"}]}),
            ),
        );
        let mut notice = head(
            "PrivacyNotice",
            "shop",
            json!({"version": "1", "controllers": [{"name": "Shop"}]}),
        );
        notice["metadata"].as_object_mut().unwrap().remove("namespace");
        server.put(NOTICE, notice);
        Self(server)
    }

    fn read<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        parse(self.0.get(path).unwrap())
    }

    /// What the operator knows of everything, as its caches do.
    fn context(&self) -> Arc<Context> {
        fn cache<K>(object: K) -> kube::runtime::reflector::Store<Guarded<K>>
        where
            K: kube::Resource<DynamicType = ()> + Clone + 'static,
        {
            let (reader, mut writer) = store();
            writer.apply_watcher_event(&Event::Apply(Guarded(Ok(object))));
            reader
        }
        Arc::new(context(
            self.0.client(),
            Stores {
                policies: vec![cache(self.read::<DataRetentionPolicy>(POLICY))],
                sources: vec![cache(self.read::<DataSource>(SOURCE))],
                activities: vec![cache(self.read::<ProcessingActivity>(ACTIVITY))],
                notices: vec![cache(self.read::<PrivacyNotice>(NOTICE))],
                ..Stores::default()
            },
            now,
        ))
    }

    async fn source(&self) -> Vec<String> {
        let object = Arc::new(Guarded(Ok(self.read::<DataSource>(SOURCE))));
        answered(data_source::reconcile(object, self.context())).await;
        self.0.writes()
    }

    async fn activity(&self) -> Vec<String> {
        let object = Arc::new(Guarded(Ok(self.read::<ProcessingActivity>(ACTIVITY))));
        answered(processing_activity::reconcile(object, self.context())).await;
        self.0.writes()
    }

    async fn notice(&self) -> Vec<String> {
        let object = Arc::new(Guarded(Ok(self.read::<PrivacyNotice>(NOTICE))));
        answered(privacy_notice::reconcile(object, self.context())).await;
        self.0.writes()
    }

    fn edit(&self, path: &str, edit: impl FnOnce(&mut Value)) {
        let mut object = self.0.get(path).unwrap();
        edit(&mut object);
        self.0.put(path, object);
    }

    fn condition(&self, path: &str, type_: &str) -> (String, String) {
        let object = self.0.get(path).unwrap();
        let conditions = object["status"]["conditions"].as_array().unwrap();
        let condition = conditions.iter().find(|it| it["type"] == type_).unwrap();
        let word = |key: &str| condition[key].as_str().unwrap().to_owned();
        (word("status"), word("reason"))
    }

    /// The only Job ends with this termination message.
    fn finish(&self, message: &str) {
        let path = self.0.paths(JOBS).remove(0);
        let name = path.rsplit('/').next().unwrap().to_owned();
        let mut job = self.0.get(&path).unwrap();
        job["status"] = json!({"completionTime": "2026-11-22T05:09:00Z",
            "conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-22T05:09:00Z"}]});
        let uid = job["metadata"]["uid"].clone();
        let mut pod = job["spec"]["template"].clone();
        pod["metadata"]["name"] = json!(format!("{name}-1"));
        pod["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "v1", "kind": "Job", "name": name, "uid": uid, "controller": true}]);
        pod["status"] = json!({"phase": "Succeeded", "containerStatuses": [{"name": "worker", "image": "i", "imageID": "i", "ready": false,
            "restartCount": 0, "state": {"terminated": {"exitCode": 0, "finishedAt": "2026-11-22T05:09:00Z", "message": message}}}]});
        self.0.put(&path, job);
        self.0.put(&format!("{PODS}/{name}-1"), pod);
    }
}

async fn answered(
    reconcile: impl Future<Output = Result<kube::runtime::controller::Action, privacy_operator::controller::Error>>,
) {
    tokio::time::timeout(Duration::from_secs(5), reconcile)
        .await
        .expect("every request is answered")
        .expect("the reconcile succeeds");
}

/// Verb and kind of each write.
fn kinds(writes: &[String]) -> Vec<String> {
    writes
        .iter()
        .map(|write| {
            let (verb, path) = write.split_once(' ').unwrap();
            let kind = path.rsplit('/').nth(usize::from(!path.ends_with("/status"))).unwrap();
            format!("{verb} {kind}")
        })
        .collect()
}

const REPORT: &str = r#"{"version":1,"planHash":"x","finishedAt":"2026-11-22T05:08:59Z","serverVersion":"15.13","datasets":[{"r":12,"u":[1,["phone"]]}]}"#;

#[tokio::test]
async fn a_survey_gets_its_children_looks_once_and_reports_into_the_status() {
    let world = World::new();
    let first = world.source().await;
    assert_eq!(
        kinds(&first),
        ["PATCH configmaps", "PATCH cronjobs", "PATCH jobs", "PATCH status"]
    );
    assert_eq!(world.condition(SOURCE, "SchemaDrift").0, "Unknown");
    assert!(world.source().await.is_empty(), "nothing has changed");

    world.finish(REPORT);
    assert_eq!(kinds(&world.source().await), ["PATCH status"]);
    assert_eq!(
        world.condition(SOURCE, "SchemaDrift"),
        ("True".into(), "Undeclared".into())
    );
    assert_eq!(
        world.condition(SOURCE, "Surveyed"),
        ("True".into(), "SurveyDone".into())
    );
    assert_eq!(world.condition(SOURCE, "Reachable").0, "True");
    assert_eq!(world.0.get(SOURCE).unwrap()["status"]["serverVersion"], "15.13");
    assert!(world.source().await.is_empty(), "a report is read once");
    // Kubernetes removes the finished Job: the look is not repeated.
    for path in world.0.paths(JOBS) {
        world.0.remove(&path);
    }
    assert!(world.source().await.is_empty());
}

#[tokio::test]
async fn what_is_not_our_report_is_discarded() {
    let world = World::new();
    world.source().await;
    world.finish("panicked: duplicate key (email)=(jane@example.com)");
    world.source().await;
    let status = world.0.get(SOURCE).unwrap()["status"].to_string();
    assert!(!status.contains("jane"), "{status}");
    assert_eq!(world.condition(SOURCE, "Surveyed"), ("False".into(), "NoReport".into()));
}

#[tokio::test]
async fn a_changed_declaration_is_looked_at_at_once_and_an_old_plan_goes_when_nothing_runs() {
    let world = World::new();
    world.source().await;
    world.finish(REPORT);
    world.source().await;
    world.edit(SOURCE, |source| {
        source["spec"]["datasets"][0]["fields"] = json!([{"column": "at"}, {"column": "phone"}]);
        source["metadata"]["generation"] = json!(2);
    });
    let writes = world.source().await;
    assert!(kinds(&writes).contains(&"PATCH jobs".to_owned()), "{writes:?}");
    assert_eq!(world.0.paths(CONFIG_MAPS).len(), 2);
}

#[tokio::test]
async fn without_a_survey_its_children_go() {
    let world = World::new();
    world.source().await;
    world.finish(REPORT);
    world.source().await;
    world.edit(SOURCE, |source| {
        source["spec"].as_object_mut().unwrap().remove("survey");
    });
    let writes = world.source().await;
    assert_eq!(kinds(&writes), ["DELETE cronjobs", "DELETE configmaps", "PATCH status"]);
    assert_eq!(
        world.condition(SOURCE, "Surveyed"),
        ("Unknown".into(), "NoSurvey".into())
    );
    assert!(world.0.get(SOURCE).unwrap()["status"]["survey"].is_null());
    assert!(world.source().await.is_empty());
}

#[tokio::test]
async fn a_survey_that_is_given_up_before_its_first_report_leaves_nothing_behind() {
    let world = World::new();
    world.source().await;
    world.edit(SOURCE, |source| {
        source["spec"].as_object_mut().unwrap().remove("survey");
    });
    let writes = world.source().await;
    assert_eq!(
        kinds(&writes),
        ["DELETE cronjobs", "DELETE jobs", "DELETE configmaps", "PATCH status"]
    );
    assert!(world.source().await.is_empty());
}

#[tokio::test]
async fn an_object_of_somebody_else_is_not_touched_and_is_named() {
    let world = World::new();
    world.0.put(
        "/apis/batch/v1/namespaces/shop/cronjobs/dsrc-db",
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "dsrc-db", "namespace": "shop"}}),
    );
    let writes = world.source().await;
    assert!(
        !writes
            .iter()
            .any(|write| write.contains("/jobs/") || write.contains("cronjobs")),
        "{writes:?}"
    );
    assert_eq!(
        world.condition(SOURCE, "Surveyed"),
        ("False".into(), "ForeignObject".into())
    );
}

#[tokio::test]
async fn an_activity_writes_its_status_and_nothing_else_and_only_when_it_says_something_new() {
    let world = World::new();
    assert_eq!(kinds(&world.activity().await), ["PATCH status"]);
    assert!(world.activity().await.is_empty());
    let line = |world: &World| world.0.get(ACTIVITY).unwrap()["status"]["retention"][0].clone();
    assert_eq!(
        (line(&world)["observed"].clone(), line(&world)["reason"].clone()),
        (json!("Unknown"), json!("NoRunYet"))
    );

    let kept = |on_time: &str, reason: &str| {
        json!({"observedGeneration": 1, "rules": [{"name": "age", "onTime": on_time}],
            "conditions": [{"type": "PromiseKept", "status": on_time, "reason": reason, "message": "", "lastTransitionTime": "2026-11-22T05:00:00Z"}]})
    };
    world.edit(POLICY, |policy| policy["status"] = kept("True", "OnTime"));
    assert_eq!(kinds(&world.activity().await), ["PATCH status"]);
    assert_eq!(line(&world)["observed"], "True");
    world.edit(POLICY, |policy| policy["status"] = kept("False", "Overdue"));
    world.activity().await;
    assert_eq!(
        (line(&world)["observed"].clone(), line(&world)["reason"].clone()),
        (json!("False"), json!("Overdue"))
    );
    assert_eq!(
        world.condition(ACTIVITY, "Observed"),
        ("False".into(), "Overdue".into())
    );
    assert!(world.activity().await.is_empty());
}

#[tokio::test]
async fn a_claim_about_secrets_is_what_cluster_encryption_has_proven() {
    let world = World::new();
    let measure = |world: &World| world.0.get(ACTIVITY).unwrap()["status"]["measures"][0].clone();
    world.activity().await;
    assert_eq!(measure(&world)["reason"], "NoClusterEncryption");
    for (status, observed) in [("True", "True"), ("False", "False"), ("Unknown", "Unknown")] {
        world.0.put(
            ENCRYPTION,
            json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "ClusterEncryption", "metadata": {"name": "cluster"},
                "spec": {"mode": "Observe", "resources": ["secrets"]},
                "status": {"conditions": [{"type": "Encrypted", "status": status, "reason": "Verified", "message": "m", "lastTransitionTime": "2026-11-22T05:00:00Z"}]}}),
        );
        world.activity().await;
        assert_eq!(
            (measure(&world)["observed"].clone(), measure(&world)["reason"].clone()),
            (json!(observed), json!("Verified"))
        );
    }
}

#[tokio::test]
async fn a_notice_counts_its_activities_and_lists_what_is_missing_in_it() {
    let world = World::new();
    assert_eq!(kinds(&world.notice().await), ["PATCH status"]);
    let status = world.0.get(NOTICE).unwrap()["status"].clone();
    assert_eq!(status["activities"], 1);
    assert_eq!(
        usize::try_from(status["findingsCount"].as_u64().unwrap()).unwrap(),
        status["findings"].as_array().unwrap().len()
    );
    assert_eq!(world.condition(NOTICE, "Complete").0, "False");
    assert!(world.notice().await.is_empty());
}
