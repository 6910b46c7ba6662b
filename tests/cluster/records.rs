//! A record of processing that becomes true: what it claims is looked at, and what changes is seen.

use serde_json::{Value, json};

use crate::cluster::{Place, condition, is, kubectl, must, run, together, wait_for};

const SCHEMA: &str = "
CREATE TABLE logs (id int PRIMARY KEY, at timestamptz, ip inet);
INSERT INTO logs SELECT i, now() - i * interval '1 day', '192.0.2.1' FROM generate_series(1, 30) i;
CREATE TABLE users (id int PRIMARY KEY, password_hash text);
INSERT INTO users VALUES (1, '$2b$10$' || repeat('A', 53)), (2, 'canary-9c1e-in-clear');
CREATE TABLE migrations (version int);
ANALYZE;";

fn source(place: &Place) -> Value {
    let mut source = place.source(&json!([
        {"name": "logs", "table": "public.logs", "activities": ["web-logs"],
         "fields": [{"column": "id"}, {"column": "at"}, {"column": "ip", "category": "user.device.ip_address"}]},
        {"name": "users", "table": "public.users", "activities": ["web-logs"],
         "fields": [{"column": "id"}, {"column": "password_hash", "secret": true}]},
    ]));
    source["spec"]["survey"] = json!({"schedule": "17 5 1 1 *", "withoutPersonalData": ["public.migrations"]});
    source["spec"]["backups"] = json!({"keptFor": "P3D"});
    source
}

fn notice(place: &Place) -> Value {
    json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "PrivacyNotice", "metadata": {"name": place.namespace},
        "spec": {"version": "1", "effectiveFrom": "2026-01-01", "allowedLegalBases": ["LegitimateInterests"],
            "controllers": [{"name": "Shop", "address": "Way 1", "contact": "privacy@shop.example", "country": "DE"}],
            "dataProtectionOfficer": {"name": "Officer"}, "supervisoryAuthority": {"name": "Authority"}}})
}

fn activity(place: &Place) -> Value {
    json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "ProcessingActivity",
        "metadata": {"name": "web-logs", "namespace": place.namespace},
        "spec": {"noticeRef": {"name": place.namespace}, "title": "Log files of the shop", "role": "Controller",
            "purposes": [{"key": "essential.service.security"}],
            "legalBases": [{"basis": "LegitimateInterests", "interest": "security"}],
            "dataSubjects": ["visitor"], "dataCategories": [{"key": "user.device"}], "recipientsClosed": true,
            "retention": [{"categories": ["user.device"], "ruleRef": {"policy": "logs", "rule": "age"}}],
            "measures": [
                {"kind": "EncryptionInTransit", "of": "Database"},
                {"kind": "PasswordHashing", "fields": [{"dataset": "users", "column": "password_hash", "scheme": "bcrypt"}]},
                {"kind": "EncryptionAtRest", "of": "Backup"},
                {"kind": "AccessControl", "secrets": ["db-worker"]}]}})
}

fn wait(place: &Place, kind: &str, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_for(
        what,
        || {
            place
                .get(kind, name)
                .map_or_else(|| "nothing".to_owned(), |object| object["status"].to_string())
        },
        || place.get(kind, name).filter(|object| wanted(object)),
    )
}

fn line(activity: &Value, list: &str, index: usize) -> (String, String) {
    let line = &activity["status"][list][index];
    let word = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    (word("observed"), word("reason"))
}

fn pair(observed: &str, reason: &str) -> (String, String) {
    (observed.to_owned(), reason.to_owned())
}

#[test]
fn what_a_record_claims_is_seen_and_what_changes_is_noticed() {
    let _guard = together();
    let place = Place::new("records", SCHEMA);
    let (source, notice, activity) = (source(&place), notice(&place), activity(&place));
    let rules = json!([{"name": "age", "dataset": "logs", "within": "P1D", "keepWhile": [{"name": "week", "from": "at", "for": "P7D"}], "then": {"delete": {}}}]);
    let policy = place.policy("logs", "Observe", &rules);
    place.grant(&[&source, &policy, &activity]);
    for object in [&notice, &activity, &source, &policy] {
        place.apply(object);
    }

    // The survey looks at once, and the record shows what it saw. The policy only counts, and rows are overdue.
    let surveyed = wait(&place, "dsrc", "db", "the survey", |source| {
        is(source, "Surveyed", "True")
    });
    assert!(is(&surveyed, "SchemaDrift", "False"), "{}", surveyed["status"]);
    assert!(is(&surveyed, "Recorded", "True"), "{}", surveyed["status"]);
    assert_eq!(surveyed["status"]["survey"]["datasets"][0]["rows"], 30);
    place.wait_first_look("logs");
    let seen = wait(&place, "pa", "web-logs", "the record to be judged", |activity| {
        line(activity, "retention", 0).0 == "False" && line(activity, "measures", 1).0 == "False"
    });
    assert_eq!(line(&seen, "retention", 0), pair("False", "OnlyObserving"));
    assert_eq!(line(&seen, "measures", 0), pair("True", "TlsInUse"));
    assert_eq!(line(&seen, "measures", 1), pair("False", "NotHashed"));
    assert_eq!(line(&seen, "measures", 2), pair("Unknown", "Recorded"));
    assert_eq!(line(&seen, "measures", 3), pair("Unknown", "RightsNotReadable"));
    assert_eq!(seen["status"]["findings"], Value::Null, "{}", seen["status"]);
    let table = place.kubectl(&["get", "pa"]);
    assert!(table.contains("OBSERVED") && table.contains("1/5, 2 not so"), "{table}");

    // The policy enforces: the promise is kept, and the record says so.
    place.apply(&place.policy("logs", "Enforce", &rules));
    let generation = place.get("drp", "logs").unwrap()["metadata"]["generation"].clone();
    place.wait_policy("logs", "the change is seen", |policy| {
        policy["status"]["observedGeneration"] == generation
    });
    place.run_now("logs");
    let kept = wait(&place, "pa", "web-logs", "the promise to be kept", |activity| {
        line(activity, "retention", 0).0 == "True"
    });
    assert_eq!(line(&kept, "retention", 0), pair("True", "OnTime"));
    assert_eq!(
        kept["status"]["retention"][0]["goneFromBackups"],
        "at the latest P3D after it is gone from the store"
    );

    // A column comes, and a password is hashed; the next survey sees both.
    place.sql("ALTER TABLE logs ADD COLUMN phone text; UPDATE users SET password_hash = '$2b$10$' || repeat('B', 53) WHERE id = 2;");
    place.kubectl(&["create", "job", "survey-now", "--from=cronjob/dsrc-db"]);
    let drifted = wait(&place, "dsrc", "db", "the drift", |source| {
        is(source, "SchemaDrift", "True")
    });
    let said = condition(&drifted, "SchemaDrift").unwrap();
    assert_eq!(said["reason"], "Undeclared");
    assert!(said["message"].as_str().unwrap().contains("logs (phone)"), "{said}");
    wait(&place, "pa", "web-logs", "the hashes", |activity| {
        line(activity, "measures", 1) == pair("True", "FormMatches")
    });

    // The register of the cluster has it all, and no value is anywhere.
    let program = env!("CARGO_BIN_EXE_privacy-operator");
    let register = must(program, &["register", "-n", &place.namespace, "-o", "json"], "");
    let register: Value = serde_json::from_str(&register).unwrap();
    let entry = &register["parts"][0]["entries"][0];
    assert_eq!(entry["title"], "Log files of the shop");
    let sections = entry["sections"].as_array().unwrap();
    let limits = sections.iter().find(|section| section["key"] == "retention").unwrap();
    assert_eq!(limits["lines"][0]["observed"]["observed"], "True", "{limits}");
    let html = must(program, &["register", "-n", &place.namespace, "--language", "de"], "");
    assert!(html.contains("Log files of the shop") && html.contains("Fristen für die Löschung"));
    for kind in ["pa", "dsrc", "jobs", "cronjobs", "configmaps", "pods", "events"] {
        let everything = place.kubectl(&["get", kind, "-o", "json"]);
        assert!(!everything.contains("canary-9c1e"), "{kind}");
    }
    kubectl(&["delete", "privacynotice", &place.namespace]);
    let without = wait(&place, "pa", "web-logs", "the notice to be missed", |activity| {
        is(activity, "Ready", "False")
    });
    assert_eq!(condition(&without, "Ready").unwrap()["reason"], "UnknownNotice");
}

#[test]
fn what_contradicts_itself_in_a_record_is_refused_with_the_field() {
    let _guard = together();
    let place = Place::new("bad-records", "SELECT 1;");
    for (path, value, said) in [
        (
            "/spec/onBehalfOf",
            json!([{"name": "Client"}]),
            "spec.onBehalfOf goes only with role Processor",
        ),
        (
            "/spec/jointControllers",
            json!([{"name": "Sister"}]),
            "spec.jointControllers goes only with role",
        ),
        (
            "/spec/retention/0/stated",
            json!({"text": "x", "storedBy": "Device"}),
            "exactly one of ruleRef",
        ),
        ("/spec/measures/0/of", Value::Null, "of says what is encrypted"),
        ("/spec/measures/0/of", json!("Backup"), "EncryptionInTransit takes of"),
        ("/spec/measures/1/fields", Value::Null, "fields name the hashed columns"),
        (
            "/spec/measures/3/secrets",
            Value::Null,
            "secrets go with the kind AccessControl",
        ),
        ("/spec/measures/0/kind", json!("Described"), "of says what is encrypted"),
        ("/spec/purposes/0/key", json!("Not A Key"), "spec.purposes[0].key"),
        (
            "/spec/review",
            json!({"every": "P1Y", "lastOn": "soon"}),
            "spec.review.lastOn",
        ),
    ] {
        let mut wrong = activity(&place);
        let (parent, last) = path.rsplit_once('/').unwrap();
        let parent = wrong.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        if value.is_null() {
            parent.remove(last);
        } else {
            parent.insert(last.to_owned(), value);
        }
        let output = place.try_apply(&wrong);
        assert!(!output.ok, "{path} was taken");
        assert!(output.err.contains(said), "{path}: {}", output.err);
    }
    // Every example is taken as it is.
    for company in [
        "kubermatic",
        "ranching-farm",
        "banzai-cloud",
        "cloudwerk",
        "kirim-email",
    ] {
        for file in ["notice", "activities"] {
            let file = format!("examples/{company}/{file}.yaml");
            let namespace = ["create", "namespace", company];
            let _ = run("kubectl", &namespace, "");
            kubectl(&["apply", "--server-side", "--dry-run=server", "-f", &file]);
        }
        kubectl(&["delete", "namespace", company, "--wait=false"]);
    }
}
