//! The operator itself: restarts, leadership, readiness, and what Helm does to it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::{OPERATOR, Place, alone, install, kubectl, must, run, wait_for};

const SCHEMA: &str = "CREATE TABLE logs (id int PRIMARY KEY, at timestamptz); INSERT INTO logs SELECT i, now() - i * interval '1 day' FROM generate_series(1, 20) i;";

fn set_up(name: &str) -> Place {
    let place = Place::new(name, SCHEMA);
    let source = place.source(&json!([{"name": "logs", "table": "public.logs"}]));
    let rules = json!([{"name": "age", "dataset": "logs", "keepWhile": [{"name": "time", "from": "at", "for": "P7D"}], "then": {"delete": {}}}]);
    let policy = place.policy("logs", "Observe", &rules);
    place.grant(&[&source, &policy]);
    place.apply(&source);
    place.apply(&policy);
    place.wait_first_look("logs");
    place
}

fn pods() -> Vec<Value> {
    let list: Value = serde_json::from_str(&kubectl(&[
        "-n",
        OPERATOR,
        "get",
        "pods",
        "-l",
        "app.kubernetes.io/name=privacy-operator",
        "-o",
        "json",
    ]))
    .unwrap();
    list["items"].as_array().cloned().unwrap()
}

pub fn wait_ready(count: usize) {
    wait_for(
        &format!("{count} operators to be ready"),
        || kubectl(&["-n", OPERATOR, "get", "pods"]),
        || {
            let ready = pods()
                .iter()
                .filter(|pod| {
                    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
                    pod["metadata"]["deletionTimestamp"].is_null()
                        && conditions
                            .iter()
                            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
                })
                .count();
            (ready == count).then_some(())
        },
    );
}

pub fn holder() -> String {
    kubectl(&[
        "-n",
        OPERATOR,
        "get",
        "lease",
        OPERATOR,
        "-o",
        "jsonpath={.spec.holderIdentity}",
    ])
}

/// Resource versions of everything that the operator could write in a namespace.
fn versions(place: &Place) -> BTreeMap<String, String> {
    let list: Value = serde_json::from_str(&place.kubectl(&[
        "get",
        "drp,datasources,cronjobs,jobs,configmaps,networkpolicies,events",
        "-o",
        "json",
    ]))
    .unwrap();
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| {
            let name = format!(
                "{} {}",
                object["kind"].as_str().unwrap(),
                object["metadata"]["name"].as_str().unwrap()
            );
            (name, object["metadata"]["resourceVersion"].as_str().unwrap().to_owned())
        })
        .collect()
}

/// How often the new operator has looked at policies, from its metrics.
fn reconciled() -> f64 {
    let pod = pods()
        .iter()
        .find(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned());
    let Some(pod) = pod else { return 0.0 };
    let path = format!("/api/v1/namespaces/{OPERATOR}/pods/{pod}:8080/proxy/metrics");
    run("kubectl", &["get", "--raw", &path], "")
        .out
        .lines()
        .filter(|line| line.starts_with("privacy_operator_reconcile_total"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[test]
fn an_operator_that_starts_again_writes_nothing_when_nothing_changed() {
    let _guard = alone();
    let place = set_up("restart");
    // What follows the first look (the Job's own end, an event) must be over: nothing changes for five seconds.
    let (mut before, mut since) = (versions(&place), Instant::now());
    wait_for("the namespace to come to rest", String::new, || {
        let now = versions(&place);
        if now != before {
            (before, since) = (now, Instant::now());
        }
        (since.elapsed() > Duration::from_secs(5)).then_some(())
    });
    kubectl(&[
        "-n",
        OPERATOR,
        "delete",
        "pod",
        "-l",
        "app.kubernetes.io/name=privacy-operator",
        "--force",
        "--grace-period=0",
    ]);
    wait_ready(1);
    wait_for("the new operator to have looked at everything", String::new, || {
        (reconciled() >= 2.0).then_some(())
    });
    assert_eq!(versions(&place), before);
}

#[test]
fn of_two_operators_one_leads_and_the_other_takes_over() {
    let _guard = alone();
    let place = set_up("leader");
    kubectl(&["-n", OPERATOR, "scale", "deployment", OPERATOR, "--replicas=2"]);
    wait_ready(2);
    let first = holder();
    assert!(
        pods()
            .iter()
            .any(|pod| first.contains(pod["metadata"]["name"].as_str().unwrap())),
        "{first}"
    );
    kubectl(&["-n", OPERATOR, "delete", "pod", &first, "--force", "--grace-period=0"]);
    wait_for("the other to lead", holder, || {
        let now = holder();
        (!now.is_empty() && now != first).then_some(())
    });
    let name = place.cron_job("logs")["metadata"]["name"].as_str().unwrap().to_owned();
    place.kubectl(&["delete", "cronjob", &name]);
    wait_for("the new leader to work", holder, || place.get("cronjob", &name));
    kubectl(&["-n", OPERATOR, "scale", "deployment", OPERATOR, "--replicas=1"]);
    wait_ready(1);
}

#[test]
fn readiness_names_a_crd_that_is_older_than_the_operator() {
    let _guard = alone();
    let _place = set_up("outdated");
    let crd = "dataretentionpolicies.privacy-operator.dev";
    kubectl(&[
        "annotate",
        "crd",
        crd,
        "--overwrite",
        "privacy-operator.dev/schema-hash=older",
    ]);
    kubectl(&[
        "-n",
        OPERATOR,
        "delete",
        "pod",
        "-l",
        "app.kubernetes.io/name=privacy-operator",
    ]);
    let said = wait_for(
        "the operator to say so",
        || kubectl(&["-n", OPERATOR, "get", "pods"]),
        || {
            let pod = pods()
                .into_iter()
                .find(|pod| pod["metadata"]["deletionTimestamp"].is_null())?;
            let path = format!(
                "/api/v1/namespaces/{OPERATOR}/pods/{}:8080/proxy/readyz",
                pod["metadata"]["name"].as_str()?
            );
            let ready = run("kubectl", &["get", "--raw", &path], "").ok;
            let log = run(
                "kubectl",
                &["-n", OPERATOR, "logs", pod["metadata"]["name"].as_str()?],
                "",
            )
            .out;
            (!ready && log.contains(crd)).then_some(log)
        },
    );
    assert!(said.contains("privacy-operator crds | kubectl apply"), "{said}");
    kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "crds"]);
    wait_ready(1);
}

#[test]
fn helm_upgrade_and_uninstall_keep_promises_and_data() {
    let _guard = alone();
    let place = set_up("helm");
    install(&["--set", "log.level=debug"]);
    wait_ready(1);
    must("helm", &["uninstall", OPERATOR, "-n", OPERATOR, "--wait"], "");
    assert!(place.get("drp", "logs").is_some(), "the policies stay");
    assert!(place.get("datasource", "db").is_some());
    assert_eq!(place.number("SELECT count(*) FROM logs"), 20);
    install(&[]);
    wait_ready(1);
}
