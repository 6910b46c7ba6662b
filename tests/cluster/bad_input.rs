//! Bad input: each with a condition whose message names the field and the remedy, and nothing deleted.

use serde_json::{Value, json};

use crate::cluster::{Place, condition, kubectl, run, together};

const SCHEMA: &str = "
CREATE TABLE logs (id int PRIMARY KEY, at timestamptz, local timestamp, words text, doc jsonb);
INSERT INTO logs SELECT i, now() - i * interval '1 day', localtimestamp, 'canary-7f3a', '{}' FROM generate_series(1, 20) i;";

fn datasets() -> Value {
    json!([{"name": "logs", "table": "public.logs"}, {"name": "gone", "table": "public.gone"}])
}

fn rule(from: &str, period: &str) -> Value {
    json!([{"name": "age", "dataset": "logs", "keepWhile": [{"name": "time", "from": from, "for": period}], "then": {"delete": {}}}])
}

fn set_up(name: &str) -> Place {
    let place = Place::new(name, SCHEMA);
    let source = place.source(&datasets());
    place.apply(&source);
    place.grant(&[&source, &place.policy("role", "Enforce", &rule("at", "P7D"))]);
    place
}

/// Waits for a condition with this reason; its message must contain all of these words.
fn expect(place: &Place, policy: &str, reason: &str, words: &[&str]) {
    let object = place.wait_policy(policy, reason, |object| {
        object["status"]["conditions"]
            .as_array()
            .is_some_and(|all| all.iter().any(|condition| condition["reason"] == reason))
    });
    let all = object["status"]["conditions"].as_array().unwrap();
    let said = all.iter().find(|condition| condition["reason"] == reason).unwrap();
    let message = said["message"].as_str().unwrap();
    for word in words {
        assert!(message.contains(word), "{reason}: no {word:?} in {message:?}");
    }
    assert!(!message.contains("canary"), "{message}");
}

#[test]
fn what_the_schema_can_judge_is_refused_by_kubectl_with_a_reason() {
    let _guard = together();
    let place = Place::new("refused", SCHEMA);
    let refuse = |rules: Value, words: &str| {
        let output = place.try_apply(&place.policy("refused", "Observe", &rules));
        assert!(
            !output.ok && output.err.contains(words),
            "{words:?} expected in {:?}",
            output.err
        );
    };
    let ground = json!({"name": "time", "from": "at", "for": "P7D"});
    refuse(json!([]), "rules");
    refuse(
        json!([{"name": "a", "dataset": "logs", "then": {"delete": {}}}]),
        "set either what keeps a row",
    );
    refuse(
        json!([{"name": "a", "dataset": "logs", "always": {}, "then": {"delete": {}}}]),
        "nothing is deleted on sight",
    );
    refuse(
        json!([{"name": "a", "dataset": "logs", "keepWhile": [ground]}]),
        "then may be absent only",
    );
    refuse(
        json!([{"name": "a", "dataset": "logs", "keepWhile": [{"name": "t", "for": "P7D"}], "then": {"delete": {}}}]),
        "for needs from",
    );
    refuse(
        json!([{"name": "a", "dataset": "logs", "keepWhile": [ground], "then": {"delete": {}, "set": [{"column": "x", "value": "y"}]}}]),
        "exactly one of delete, mask and set",
    );
    refuse(
        json!([{"name": "a", "dataset": "logs", "rows": [{"column": "x", "operator": "In"}], "keepWhile": [ground], "then": {"delete": {}}}]),
        "take values",
    );
    refuse(
        json!([{"name": "a", "dataset": "logs", "keepWhile": [ground], "then": {"delete": {}}, "whn": []}]),
        "whn",
    );
    refuse(
        json!([{"name": "a", "dataset": "logs", "keepWhile": [ground], "then": {"delete": {}}}, {"name": "a", "dataset": "logs", "always": {}, "then": {"mask": []}}]),
        "rules",
    );
}

#[test]
fn what_the_policy_alone_gets_wrong_is_told_before_anything_runs() {
    let _guard = together();
    let place = set_up("wrong");
    let mut zone = place.policy("zone", "Enforce", &rule("at", "P7D"));
    zone["spec"]["timeZone"] = json!("Europe/Nowhere");
    let mut schedule = place.policy("schedule", "Enforce", &rule("at", "P7D"));
    schedule["spec"]["schedule"] = json!("61 * * * *");
    let mut dataset = rule("at", "P7D");
    dataset[0]["dataset"] = json!("nobody");
    let hostile = "x".repeat(60) + "\u{e4}\u{e4}";
    let cases: [(Value, &str, &[&str]); 6] = [
        (
            place.policy("duration", "Enforce", &rule("at", "7 days")),
            "InvalidDuration",
            &["rules[age]", "for", "P7D"],
        ),
        (zone, "InvalidTimeZone", &["timeZone", "Europe/Nowhere"]),
        (schedule, "InvalidSchedule", &["schedule", "61"]),
        (
            place.policy("dataset", "Enforce", &dataset),
            "UnknownDataset",
            &["rules[age].dataset", "nobody"],
        ),
        (
            place.policy("break", "Enforce", &rule("a\nb", "P7D")),
            "InvalidIdentifier",
            &["rules[age]", "from"],
        ),
        (
            place.policy("long", "Enforce", &rule(&hostile, "P7D")),
            "InvalidIdentifier",
            &["rules[age]", "63"],
        ),
    ];
    for (policy, reason, words) in &cases {
        let name = policy["metadata"]["name"].as_str().unwrap();
        place.apply(policy);
        expect(&place, name, reason, words);
        assert!(
            place
                .list("jobs")
                .iter()
                .all(|job| job["metadata"]["labels"]["privacy-operator.dev/policy"] != name)
        );
    }
    assert_eq!(place.number("SELECT count(*) FROM logs"), 20);
}

#[test]
fn what_only_the_store_can_tell_becomes_a_condition_after_the_first_look() {
    let _guard = together();
    let place = set_up("drift");
    let quotes = "at\"; DROP TABLE logs; --";
    let mut table = rule("at", "P7D");
    table[0]["dataset"] = json!("gone");
    let cases: [(&str, Value, &str, &[&str]); 5] = [
        ("table", table, "UnknownTable", &["rules[age].dataset", "public.gone"]),
        (
            "quotes",
            rule(quotes, "P7D"),
            "UnknownColumn",
            &["rules[age].keepWhile[time].from", "DROP TABLE"],
        ),
        (
            "words",
            rule("words", "P7D"),
            "NotATime",
            &["rules[age].keepWhile[time].from", "words"],
        ),
        (
            "local",
            rule("local", "P7D"),
            "TimeZoneRequired",
            &["local", "timeZone"],
        ),
        (
            "doc",
            json!([{"name": "age", "dataset": "logs", "rows": [{"column": "doc", "operator": "In", "values": ["{}"]}],
                "keepWhile": [{"name": "time", "from": "at", "for": "P7D"}], "then": {"delete": {}}}]),
            "NotComparable",
            &["rules[age].rows[0]", "doc"],
        ),
    ];
    for (name, rules, reason, words) in &cases {
        // One at a time: two policies on one table would both be refused.
        place.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC");
        place.apply(&place.policy(name, "Enforce", rules));
        expect(&place, name, reason, words);
        place.kubectl(&["delete", "drp", name, "--timeout=60s"]);
    }
    assert_eq!(place.number("SELECT count(*) FROM logs"), 20);
}

#[test]
fn faults_of_the_connection_are_told_apart() {
    let _guard = together();
    let place = set_up("connection");
    let good = place.source(&datasets());
    let with = |pointer: &str, value: Value| {
        let mut source = good.clone();
        *source.pointer_mut(pointer).unwrap() = value;
        source
    };
    // A certificate authority that is not the server's.
    let other = kubectl(&[
        "-n",
        "kube-system",
        "get",
        "configmap",
        "kube-root-ca.crt",
        "-o",
        "jsonpath={.data.ca\\.crt}",
    ]);
    place.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other-ca"}, "stringData": {"ca.crt": other}}));
    place.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wrong-password"}, "stringData": {"username": format!("worker_{}", place.database), "password": "no"}}));
    let cases: [(&str, Value, &str, &[&str]); 5] = [
        (
            "down",
            with("/spec/postgres/port", json!(5999)),
            "Unreachable",
            &["postgres.host", "5999"],
        ),
        (
            "password",
            with("/spec/postgres/credentialsSecretRef/name", json!("wrong-password")),
            "AuthenticationFailed",
            &["credentialsSecretRef", "password"],
        ),
        (
            "secret",
            with("/spec/postgres/credentialsSecretRef/name", json!("nowhere")),
            "MissingSecret",
            &["nowhere", "username"],
        ),
        (
            "key",
            with("/spec/postgres/tls/caSecretRef/key", json!("no.crt")),
            "MissingSecret",
            &["db-ca", "no.crt"],
        ),
        (
            "trust",
            with("/spec/postgres/tls/caSecretRef/name", json!("other-ca")),
            "CertificateNotTrusted",
            &["tls", "unknown issuer"],
        ),
    ];
    for (name, source, reason, words) in &cases {
        place.apply(source);
        place.apply(&place.policy(name, "Enforce", &rule("at", "P7D")));
        expect(&place, name, reason, words);
        place.kubectl(&["delete", "drp", name, "--timeout=60s"]);
    }
    assert_eq!(place.number("SELECT count(*) FROM logs"), 20);
}

#[test]
fn very_long_names_and_very_large_objects_do_not_break_anything() {
    let _guard = together();
    let place = set_up("large");
    let name = "n".repeat(253);
    place.apply(&place.policy(&name, "Observe", &rule("at", "P7D")));
    let looked = place.wait_first_look(&name);
    assert_eq!(looked["status"]["rules"][0]["due"], 14);
    place.kubectl(&["delete", "drp", &name, "--timeout=60s"]);

    // As large as the bounds allow: refused by the API server or judged, in any case answered.
    let values: Vec<String> = (0..256).map(|number| format!("{number:0>250}")).collect();
    let conditions: Vec<Value> = (0..16)
        .map(|_| json!({"column": "words", "operator": "NotIn", "values": values}))
        .collect();
    let mut large = place.policy("large", "Observe", &rule("at", "P7D"));
    large["spec"]["rules"][0]["rows"] = json!(conditions);
    place.apply(&large);
    expect(&place, "large", "PlanTooLarge", &["900"]);
}

#[test]
fn a_tenant_cannot_borrow_a_secret_that_he_may_not_read() {
    let _guard = together();
    let place = set_up("tenant");
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "writer"},
        "rules": [{"apiGroups": ["privacy-operator.dev"], "resources": ["*"], "verbs": ["*"]}]});
    place.apply(&role);
    place.kubectl(&["create", "rolebinding", "writer", "--role=writer", "--user=tenant"]);
    let mut source = place.source(&datasets());
    source["metadata"]["name"] = json!("borrowed");
    let apply = || {
        run(
            "kubectl",
            &["-n", &place.namespace, "apply", "--as=tenant", "-f", "-"],
            &source.to_string(),
        )
    };
    let refused = apply();
    assert!(
        !refused.ok && refused.err.contains("credentialsSecretRef"),
        "{}",
        refused.err
    );
    place.kubectl(&["create", "role", "reader", "--verb=get", "--resource=secrets"]);
    place.kubectl(&["create", "rolebinding", "reader", "--role=reader", "--user=tenant"]);
    crate::cluster::wait_for("the right to count", String::new, || apply().ok.then_some(()));
    assert!(condition(&place.get("datasource", "borrowed").unwrap(), "never").is_none());
}
