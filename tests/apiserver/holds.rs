//! A hold is placed, refused to be deleted, and released: what the policy does, and when the hold says that it is in force.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::reflector::store;
use kube::runtime::watcher::Event;
use privacy_operator::api::LegalHold;
use privacy_operator::controller::Stores;
use privacy_operator::controller::guarded::Guarded;
use privacy_operator::controller::legal_hold::reconcile;
use serde_json::{Value, json};

use super::context::context;
use super::scenarios::{World, now, shorten, source};

const HOLD: &str = "/apis/privacy-operator.dev/v1alpha1/namespaces/shop/legalholds/claim";
const CRON_JOB: &str = "/apis/batch/v1/namespaces/shop/cronjobs/drp-logs";
const JOBS: &str = "/apis/batch/v1/namespaces/shop/jobs";
const JOB: &str = "/apis/batch/v1/namespaces/shop/jobs/run";
const POD: &str = "/api/v1/namespaces/shop/pods/run-1";
const CONFIG_MAPS: &str = "/api/v1/namespaces/shop/configmaps";

fn hold() -> Value {
    json!({
        "apiVersion": "privacy-operator.dev/v1alpha1", "kind": "LegalHold",
        "metadata": {"name": "claim", "namespace": "shop", "uid": "hold", "generation": 1, "resourceVersion": "1"},
        "spec": {"dataSourceRef": {"name": "db"}, "datasets": ["logs"], "matter": "M-1", "basis": "LegalClaims", "reviewAt": "2027-01-01",
            "when": [{"column": "status", "operator": "In", "values": ["disputed"]}]},
    })
}

impl World {
    /// One reconcile of the hold as it is now; its writes.
    async fn reconcile_hold(&self) -> Vec<String> {
        let hold: LegalHold = serde_json::from_value(self.0.get(HOLD).unwrap()).unwrap();
        let (sources, mut writer) = store();
        writer.apply_watcher_event(&Event::Apply(Guarded(Ok(source()))));
        let stores = Stores {
            sources: vec![sources],
            ..Stores::default()
        };
        let context = Arc::new(context(self.0.client(), stores, now));
        tokio::time::timeout(Duration::from_secs(5), reconcile(Arc::new(Guarded(Ok(hold))), context))
            .await
            .expect("every request is answered")
            .expect("the reconcile succeeds");
        shorten(&self.0.writes())
    }

    fn in_force(&self) -> (String, String) {
        let hold = self.0.get(HOLD).unwrap();
        let conditions = hold["status"]["conditions"].as_array().unwrap();
        let found = conditions.iter().find(|it| it["type"] == "InForce").unwrap();
        let word = |key: &str| found[key].as_str().unwrap().to_owned();
        (word("status"), word("reason"))
    }

    fn edit_hold(&self, edit: impl FnOnce(&mut Value)) {
        let mut hold = self.0.get(HOLD).unwrap();
        edit(&mut hold);
        self.0.put(HOLD, hold);
    }

    /// The plans that there are, as text.
    fn plans(&self) -> Vec<String> {
        let plans = self.0.paths(CONFIG_MAPS);
        plans
            .iter()
            .map(|path| {
                self.0.get(path).unwrap()["data"]["plan.json"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }

    fn is_suspended(&self) -> bool {
        self.0.get(CRON_JOB).unwrap()["spec"]["suspend"] == true
    }

    /// The policy has its children, and its first look is over and cleaned up.
    async fn settle(&self) {
        self.reconcile().await;
        for job in self.0.paths(JOBS) {
            self.0.remove(&job);
        }
    }

    /// A policy that has settled, and a hold that is in force.
    async fn placed() -> Self {
        let world = Self::new();
        world.0.put(HOLD, hold());
        world.reconcile_hold().await;
        world.settle().await;
        world.reconcile_hold().await;
        assert_eq!(world.in_force(), words("True", "Placed"));
        world
    }
}

fn words(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[tokio::test]
async fn a_hold_is_in_force_only_when_the_run_without_it_is_gone_and_the_new_plan_is_there() {
    let world = World::new();
    world.settle().await;
    world.start_run("run");
    world.0.put(HOLD, hold());

    assert_eq!(
        world.reconcile_hold().await,
        ["PATCH legalholds"],
        "the finalizer comes first"
    );
    assert_eq!(world.reconcile_hold().await, ["PATCH status"]);
    assert_eq!(world.in_force(), words("False", "Placing"));
    assert_eq!(world.0.get(HOLD).unwrap()["status"]["waitingFor"], json!(["shop/logs"]));

    // The policy ends what runs; the hold waits for its pod.
    assert_eq!(
        shorten(&world.reconcile().await),
        ["PATCH cronjobs", "DELETE jobs", "PATCH status"]
    );
    assert!(world.is_suspended());
    assert_eq!(world.reconcile_hold().await, [""; 0]);
    world.0.remove(JOB);
    world.reconcile().await;
    assert!(!world.is_suspended(), "runs go on, by a plan that knows the hold");
    let plans = world.plans();
    assert_eq!(plans.len(), 1, "{plans:?}");
    assert!(plans[0].contains("disputed"));
    world.reconcile_hold().await;
    assert_eq!(
        world.in_force(),
        words("False", "Placing"),
        "a pod that outlives its Job is waited for too"
    );

    world.0.remove(POD);
    assert_eq!(world.reconcile_hold().await, ["PATCH status"]);
    assert_eq!(world.in_force(), words("True", "Placed"));
    assert_eq!(world.0.get(HOLD).unwrap()["status"]["since"], "2026-11-22T05:10:00Z");
    // In silence nothing is written.
    assert_eq!(world.reconcile_hold().await, [""; 0]);
    assert_eq!(world.reconcile().await, [""; 0]);
}

#[tokio::test]
async fn while_the_holds_cannot_be_listed_nothing_runs() {
    let world = World::placed().await;
    world.start_run("run");
    world.0.refuse(Some("/legalholds"));
    let writes = shorten(&world.reconcile().await);
    assert_eq!(writes, ["PATCH cronjobs", "DELETE jobs", "PATCH status"]);
    assert!(world.is_suspended());
    assert_eq!(world.condition("Ready")["reason"], "HoldsUnknown");
    world.0.remove(JOB);
    world.0.remove(POD);
    world.reconcile().await;
    assert!(world.is_suspended());
    world.0.refuse(None);
    world.reconcile().await;
    assert!(!world.is_suspended());
    assert_eq!(world.condition("Ready")["reason"], "Accepted");
}

#[tokio::test]
async fn deleting_a_hold_does_not_release_it_and_releasing_it_does() {
    let world = World::placed().await;
    world.edit_hold(|hold| hold["metadata"]["deletionTimestamp"] = json!("2026-11-22T05:10:00Z"));
    assert_eq!(world.reconcile_hold().await, ["PATCH status"], "the finalizer stays");
    assert_eq!(world.in_force(), words("True", "DeletionRefused"));
    assert_eq!(world.reconcile().await, [""; 0], "the plan is the same");

    world.edit_hold(|hold| hold["spec"]["released"] = json!(true));
    assert_eq!(world.reconcile_hold().await, ["PATCH legalholds"]);
    assert_eq!(world.0.get(HOLD).unwrap()["metadata"]["finalizers"], json!([]));
    world.reconcile().await;
    assert!(!world.plans()[0].contains("disputed"));
}

#[tokio::test]
async fn a_hold_that_cannot_be_understood_is_not_in_force_and_lets_nothing_run() {
    let world = World::new();
    world.settle().await;
    let mut unclear = hold();
    unclear["spec"]["datasets"] = json!(["gone"]);
    world.0.put(HOLD, unclear);
    world.reconcile_hold().await;
    world.reconcile_hold().await;
    assert_eq!(world.in_force(), words("False", "UnknownDataset"));
    world.reconcile().await;
    assert!(world.is_suspended());
    assert_eq!(world.condition("Ready")["reason"], "HoldUnclear");
}
