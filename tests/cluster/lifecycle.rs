//! What happens when objects change, vanish or are stopped.

use serde_json::{Value, json};

use crate::cluster::{Place, alone, condition, is, kubectl, together, wait_for};

/// Rows that take long to delete: a pile of indexes, and a policy that deletes them all.
/// Many rows, all due: see [`while_held`].
const SLOW: &str = "
CREATE TABLE logs (id int PRIMARY KEY, at timestamptz, ip inet, a text, b text, c text);
INSERT INTO logs SELECT i, now() - interval '30 days' - i * interval '1 second', NULL, md5(i::text), md5((i+1)::text), md5((i+2)::text)
  FROM generate_series(1, 400000) i;
CREATE INDEX ON logs (at); CREATE INDEX ON logs (a); CREATE INDEX ON logs (b, c); CREATE INDEX ON logs (c, a); CREATE INDEX ON logs (b, a, c);";

const SMALL: &str = "
CREATE TABLE logs (id int PRIMARY KEY, at timestamptz, ip inet);
INSERT INTO logs SELECT i, now() - i * interval '1 day' - interval '1 hour', NULL FROM generate_series(1, 20) i;";

fn datasets() -> Value {
    json!([{"name": "logs", "table": "public.logs"}])
}

fn rules(period: &str) -> Value {
    json!([{"name": "age", "dataset": "logs", "keepWhile": [{"name": "time", "from": "at", "for": period}], "then": {"delete": {}}}])
}

fn set_up(name: &str, schema: &str, mode: &str) -> Place {
    let place = Place::new(name, schema);
    let (source, policy) = (place.source(&datasets()), place.policy("logs", mode, &rules("P7D")));
    place.grant(&[&source, &policy]);
    place.apply(&source);
    place.apply(&policy);
    place.wait_first_look("logs");
    place
}

fn active_jobs(place: &Place) -> Vec<String> {
    place
        .list("jobs")
        .into_iter()
        .filter(|job| job["status"]["active"].as_i64().unwrap_or(0) > 0)
        .map(|job| job["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Rows that [`while_held`] keeps: one in a thousand.
const HELD: i64 = 400;

/// Another session holds rows meanwhile. A run that begins then is under way for long, however fast store and machine are.
fn while_held(place: &Place, act: impl FnOnce()) {
    place.sql("CREATE TABLE released ()");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            place.sql(
                "BEGIN; SELECT FROM logs WHERE id % 1000 = 0 FOR UPDATE;
                 DO $$ BEGIN FOR i IN 1..600 LOOP EXIT WHEN EXISTS (SELECT FROM released); PERFORM pg_sleep(0.1); END LOOP; END $$;
                 COMMIT",
            );
        });
        wait_for("the rows to be held", String::new, || {
            (place.number(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'",
            ) > 0)
                .then_some(())
        });
        act();
        place.sql("INSERT INTO released DEFAULT VALUES");
    });
}

fn wait_sweeping(place: &Place) {
    wait_for(
        "the sweep to delete rows",
        || place.kubectl(&["get", "jobs,pods"]),
        || (place.number("SELECT count(*) FROM logs") < 400_000).then_some(()),
    );
}

#[test]
fn deleting_a_child_brings_it_back() {
    let _guard = together();
    let place = set_up("children", SMALL, "Observe");
    let cron_job = place.cron_job("logs");
    let name = cron_job["metadata"]["name"].as_str().unwrap();
    place.kubectl(&["delete", "cronjob", name]);
    let back = wait_for("the CronJob to come back", String::new, || place.get("cronjob", name));
    assert_ne!(back["metadata"]["uid"], cron_job["metadata"]["uid"]);

    let map = place
        .list("configmaps")
        .into_iter()
        .find(|map| map["metadata"]["labels"]["privacy-operator.dev/policy"] == "logs")
        .unwrap();
    let map = map["metadata"]["name"].as_str().unwrap();
    place.kubectl(&["delete", "configmap", map]);
    wait_for("the work plan to come back", String::new, || {
        place.get("configmap", map)
    });

    place.kubectl(&[
        "patch",
        "cronjob",
        name,
        "--type=merge",
        "-p",
        "{\"spec\":{\"schedule\":\"* * * * *\"}}",
    ]);
    wait_for("the schedule to be put right", String::new, || {
        (place.get("cronjob", name)?["spec"]["schedule"] == "17 5 1 1 *").then_some(())
    });
}

#[test]
fn deleting_the_policy_removes_its_children_and_no_row() {
    let _guard = together();
    let place = set_up("deletion", SMALL, "Enforce");
    place.kubectl(&["delete", "drp", "logs", "--timeout=60s"]);
    wait_for(
        "the last report of the policy",
        || place.kubectl(&["get", "events"]),
        || {
            let is_last =
                |event: &Value| event["reason"] == "PromiseWithdrawn" && event["involvedObject"]["name"] == "logs";
            place.list("events").iter().any(is_last).then_some(())
        },
    );
    for kind in ["cronjobs", "jobs", "configmaps"] {
        wait_for(
            &format!("no {kind} to be left"),
            || place.kubectl(&["get", kind]),
            || {
                place
                    .list(kind)
                    .iter()
                    .all(|object| object["metadata"]["labels"]["privacy-operator.dev/policy"].is_null())
                    .then_some(())
            },
        );
    }
    assert_eq!(place.number("SELECT count(*) FROM logs"), 20);
}

#[test]
fn a_change_of_the_rules_ends_the_run_of_the_old_plan_and_changes_the_cron_job() {
    let _guard = together();
    let place = set_up("change", SLOW, "Enforce");
    let old = place.cron_job("logs")["metadata"]["labels"]["privacy-operator.dev/plan"].clone();
    while_held(&place, || {
        place.start("logs", "old-plan");
        wait_sweeping(&place);
        place.apply(&place.policy("logs", "Enforce", &rules("P1Y")));
        wait_for(
            "the old run to be ended",
            || place.kubectl(&["get", "jobs,pods"]),
            || place.get("job", "old-plan").is_none().then_some(()),
        );
    });
    wait_for(
        "the new plan",
        || place.kubectl(&["get", "cronjobs", "-o", "yaml"]),
        || {
            let cron_job = place.cron_job("logs");
            let current = &cron_job["metadata"]["labels"]["privacy-operator.dev/plan"];
            (*current != old && cron_job["spec"]["suspend"] == false).then_some(())
        },
    );
    let left = place.number("SELECT count(*) FROM logs");
    assert!(left > HELD, "the run of the old plan went on to its end");
    place.run_now("logs");
    assert_eq!(
        place.number("SELECT count(*) FROM logs"),
        left,
        "by the new plan nothing is due"
    );
}

#[test]
fn suspend_ends_the_run_under_way() {
    let _guard = together();
    let place = set_up("suspend", SLOW, "Enforce");
    while_held(&place, || {
        place.start("logs", "to-be-ended");
        wait_sweeping(&place);
        let suspend = "{\"spec\":{\"suspend\":true}}";
        place.kubectl(&["patch", "drp", "logs", "--type=merge", "-p", suspend]);
        wait_for(
            "no job to be active",
            || place.kubectl(&["get", "jobs,pods"]),
            || active_jobs(&place).is_empty().then_some(()),
        );
    });
    assert_eq!(place.cron_job("logs")["spec"]["suspend"], true);
    assert!(place.number("SELECT count(*) FROM logs") > HELD);
}

#[test]
fn a_long_run_shows_how_far_it_is() {
    let _guard = together();
    let place = set_up("progress", SLOW, "Enforce");
    while_held(&place, || {
        place.start("logs", "long");
        let seen = place.wait_policy("logs", "progress is told", |policy| {
            policy["status"]["running"]["affected"].as_i64() > Some(0)
        });
        let running = &seen["status"]["running"];
        assert_eq!(
            (&running["job"], &running["step"]),
            (&json!("long"), &json!("Disposing"))
        );
        assert_eq!(running["due"], 400_000);
        assert!(running["affected"].as_i64() < Some(400_000), "{running}");
    });
    let ended = place.wait_policy("logs", "the run has ended", |policy| {
        policy["status"]["running"].is_null()
    });
    assert_eq!(ended["status"]["runs"][0]["job"], "long");
}

#[test]
fn the_stop_config_map_halts_a_run_while_the_operator_is_away() {
    let _guard = alone();
    let place = set_up("stop", SLOW, "Enforce");
    kubectl(&[
        "-n",
        "privacy-operator",
        "scale",
        "deployment",
        "privacy-operator",
        "--replicas=0",
    ]);
    kubectl(&[
        "-n",
        "privacy-operator",
        "wait",
        "--for=delete",
        "pod",
        "-l",
        "app.kubernetes.io/name=privacy-operator",
        "--timeout=90s",
    ]);
    while_held(&place, || {
        place.start("logs", "to-be-stopped");
        wait_sweeping(&place);
        place.kubectl(&[
            "create",
            "configmap",
            "privacy-operator-stop",
            "--from-literal=reason=test",
        ]);
        wait_for(
            "the run to end",
            || place.kubectl(&["get", "jobs,pods"]),
            || (place.get("job", "to-be-stopped")?["status"]["succeeded"] == 1).then_some(()),
        );
    });
    let left = place.number("SELECT count(*) FROM logs");
    let log = place.kubectl(&["logs", "job/to-be-stopped", "--tail=1"]);
    assert!(log.contains("StoppedByHand"), "{log}");
    assert!(left > HELD, "the run was over before it was stopped");

    kubectl(&[
        "-n",
        "privacy-operator",
        "scale",
        "deployment",
        "privacy-operator",
        "--replicas=1",
    ]);
    let halted = place.wait_policy("logs", "the stop is told", |policy| is(policy, "Halted", "True"));
    assert_eq!(condition(&halted, "Halted").unwrap()["reason"], "StoppedByHand");
    assert_eq!(place.cron_job("logs")["spec"]["suspend"], true);
    place.kubectl(&["delete", "configmap", "privacy-operator-stop"]);
    wait_for(
        "the schedule to go on",
        || place.kubectl(&["get", "cronjobs"]),
        || (place.cron_job("logs")["spec"]["suspend"] == false).then_some(()),
    );
}
