//! The main job: a policy applied with kubectl, and minutes later exactly the right rows are gone or masked.

use serde_json::{Value, json};

use crate::cluster::{Place, condition, is, together};

/// A thousand log rows, an hour apart, and accounts in every state.
const SCHEMA: &str = "
CREATE TABLE logs (id int PRIMARY KEY, at timestamptz, ip inet, path text);
INSERT INTO logs SELECT i, now() - i * interval '1 hour' - interval '20 minutes',
    CASE i % 3 WHEN 0 THEN ('192.0.2.' || i % 250)::inet WHEN 1 THEN ('2001:db8:1:2::' || to_hex(i))::inet END,
    '/canary-7f3a-' || i FROM generate_series(1, 1000) i;
INSERT INTO logs VALUES (2001, NULL, NULL, 'no start'), (2002, 'infinity', NULL, 'never'), (2003, now() + interval '3 days', NULL, 'future');
CREATE INDEX ON logs (at);";

fn datasets() -> Value {
    json!([{"name": "logs", "table": "public.logs", "fields": [{"column": "ip", "category": "user.device.ip_address"}]}])
}

fn rules() -> Value {
    json!([
        {"name": "age", "dataset": "logs", "promise": {"clause": "L48", "quote": "logs are deleted after seven days"},
         "keepWhile": [{"name": "week", "from": "at", "for": "P7D"}], "then": {"delete": {}}},
        {"name": "addresses", "dataset": "logs", "always": {}, "then": {"mask": [{"column": "ip", "strategy": "TruncateIp"}]}}
    ])
}

/// Every row with what it must be, worked out by SQL that shares nothing with the worker.
const EXPECTED: &str = "
CREATE TABLE expected AS SELECT id, at, path,
    CASE WHEN ip IS NULL THEN NULL
         WHEN family(ip) = 4 THEN (split_part(host(ip), '.', 1) || '.' || split_part(host(ip), '.', 2) || '.' || split_part(host(ip), '.', 3) || '.0')::inet
         ELSE '2001:db8:1::'::inet END AS ip
  FROM logs WHERE at IS NULL OR at = 'infinity' OR now() - at < interval '168 hours';";

#[test]
fn a_policy_removes_and_masks_exactly_the_due_rows() {
    let _guard = together();
    let place = Place::new("promise", SCHEMA);
    let (source, policy) = (place.source(&datasets()), place.policy("logs", "Observe", &rules()));
    place.grant(&[&source, &policy]);
    place.apply(&source);
    place.apply(&policy);

    // A first look starts at once, and writes nothing.
    let before = place.sql("SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM logs t");
    let looked = place.wait_first_look("logs");
    assert_eq!(
        before,
        place.sql("SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM logs t")
    );
    let due = place.number("SELECT count(*) FROM logs WHERE at > '-infinity' AND at <= now() - interval '168 hours'");
    assert_eq!(looked["status"]["rules"][0]["due"], due);
    assert_eq!(looked["status"]["rules"][0]["withoutStartEvent"], 1);
    assert_eq!(looked["status"]["rules"][0]["undetermined"], 2);
    assert_eq!(
        looked["status"]["rules"][0]["quote"],
        "logs are deleted after seven days"
    );
    assert!(
        looked["status"]["rules"][0]["sentence"]["de"]
            .as_str()
            .is_some_and(|text| text.contains("logs"))
    );
    assert_eq!(
        looked["status"]["rules"][0]["categories"],
        json!(["user.device.ip_address"])
    );
    assert!(is(&looked, "Ready", "True"), "{looked}");
    let kept = condition(&looked, "PromiseKept").unwrap();
    assert_eq!(
        (&kept["status"], &kept["reason"]),
        (&json!("False"), &json!("OnlyObserving")),
        "{kept}"
    );

    // The CronJob has the schedule and the zone.
    let cron_job = place.cron_job("logs");
    assert_eq!(cron_job["spec"]["schedule"], "17 5 1 1 *");
    assert_eq!(cron_job["spec"]["timeZone"], "Europe/Berlin");
    assert_eq!(cron_job["spec"]["concurrencyPolicy"], "Forbid");

    // Enforce, and one run.
    place.sql(EXPECTED);
    place.apply(&place.policy("logs", "Enforce", &rules()));
    let generation = place.get("drp", "logs").unwrap()["metadata"]["generation"].clone();
    place.wait_policy("logs", "the change is seen", |policy| {
        policy["status"]["observedGeneration"] == generation
    });
    let done = place.run_now("logs");
    let difference = place.sql(
        "SELECT count(*) FROM (TABLE expected EXCEPT SELECT id, at, path, ip FROM logs) missing
        UNION ALL SELECT count(*) FROM (SELECT id, at, path, ip FROM logs EXCEPT TABLE expected) surplus",
    );
    assert_eq!(difference.trim(), "0\n0");

    // The proof in the status.
    let status = &done["status"];
    assert_eq!(status["lastResult"], "Done", "{status}");
    assert_eq!(status["rules"][0]["affected"], due);
    assert_eq!(status["rules"][0]["due"], 0);
    assert_eq!(status["due"], 0);
    assert_eq!(status["overdue"], 0);
    assert_eq!(status["rules"][0]["onTime"], "True");
    assert_eq!(status["ledger"]["deleted"], due);
    assert_eq!(status["ledger"]["sequence"], 1);
    assert!(is(&done, "PromiseKept", "True"), "{status}");
    assert!(
        status["rules"][0]["overdueFrom"].is_string()
            && status["nextRunAt"].is_string()
            && status["oldest"].is_string()
    );

    // Nothing of the data is anywhere in the API or in the logs.
    for kind in ["drp", "datasources", "jobs", "cronjobs", "configmaps", "pods", "events"] {
        let everything = place.kubectl(&["get", kind, "-o", "json"]);
        assert!(
            !everything.contains("canary-7f3a") && !everything.contains("worker-s3cret"),
            "{kind}"
        );
    }
    let logs = place.kubectl(&["logs", "-l", "privacy-operator.dev/policy=logs", "--tail=-1"]);
    assert!(
        logs.contains("\"affected\"") && !logs.contains("canary-7f3a") && !logs.contains("192.0.2."),
        "{logs}"
    );
}

#[test]
fn a_halted_run_says_how_to_go_on_and_an_approval_lets_it_through() {
    let _guard = together();
    let place = Place::new("limits", SCHEMA);
    let source = place.source(&datasets());
    let mut policy = place.policy("logs", "Enforce", &rules());
    policy["spec"]["limits"] = json!({"maxRows": 10});
    place.grant(&[&source, &policy]);
    place.apply(&source);
    place.apply(&policy);
    place.wait_first_look("logs");
    let halted = place.run_now("logs");
    let said = condition(&halted, "Halted").unwrap();
    assert_eq!(
        (&said["status"], &said["reason"]),
        (&json!("True"), &json!("LimitExceeded")),
        "{said}"
    );
    assert!(said["message"].as_str().unwrap().contains("kubectl"), "{said}");
    assert_eq!(halted["status"]["lastResult"], "Halted");
    assert_eq!(place.number("SELECT count(*) FROM logs"), 1003);

    policy["spec"]["approve"] =
        json!({"upToRows": 2000, "generation": halted["metadata"]["generation"], "until": "2999-12-31"});
    place.apply(&policy);
    let generation = place.get("drp", "logs").unwrap()["metadata"]["generation"].clone();
    place.wait_policy("logs", "the approval is seen", |policy| {
        policy["status"]["observedGeneration"] == generation
    });
    let done = place.run_now("logs");
    assert!(is(&done, "Halted", "False"), "{}", done["status"]);
    assert_eq!(
        place.number("SELECT count(*) FROM logs WHERE at <= now() - interval '168 hours'"),
        0
    );
}
