//! A person's request on a real cluster: confirmed, approved, exported to a volume, opened with `age`, compared with SQL
//! written separately; held back by its limit; deleted with its archive; and a namespace that goes.

use serde_json::{Value, json};

use crate::cluster::{Place, condition, kubectl, must, run, together, wait_for};

/// A hundred people with ten orders each; canaries in a secret column.
const SCHEMA: &str = "
CREATE TABLE users (id int PRIMARY KEY, email text, password_hash text);
CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users, item text);
INSERT INTO users SELECT i, 'u' || i || '@example.org', 'hash-canary-' || i FROM generate_series(1, 100) i;
INSERT INTO orders SELECT i, i % 100 + 1, 'item ' || i FROM generate_series(1, 1000) i;";

fn datasets() -> Value {
    json!([
        {"name": "users", "table": "public.users", "subjects": [{"identity": "user_id", "column": "id"}],
         "fields": [{"column": "id"}, {"column": "email", "category": "user.contact.email", "origin": "Provided"}, {"column": "password_hash", "secret": true}]},
        {"name": "orders", "table": "public.orders", "relations": [{"name": "buyer", "dataset": "users", "columns": {"user_id": "id"}}],
         "subjects": [{"identity": "user_id", "through": "buyer"}], "fields": [{"column": "id"}, {"column": "item", "origin": "Provided"}]}
    ])
}

/// The folder of keys of this test.
struct Keys(tempfile::TempDir);

impl Keys {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        must("age-keygen", &["-o", folder.path().join("key").to_str().unwrap()], "");
        Self(folder)
    }

    fn file(&self) -> String {
        self.0.path().join("key").to_str().unwrap().to_owned()
    }

    fn public(&self) -> String {
        must("age-keygen", &["-y", &self.file()], "").trim().to_owned()
    }
}

/// Everything that a request needs in its namespace.
fn set_up(name: &str, keys: &Keys) -> Place {
    let place = Place::new(name, SCHEMA);
    let role = format!("worker_{}", place.database);
    place.sql(&format!(
        "CREATE ROLE \"{role}\" LOGIN PASSWORD 'worker-s3cret'; GRANT SELECT ON users, orders TO \"{role}\""
    ));
    let secret = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
    place.apply(&secret(
        "db-worker",
        json!({"username": role, "password": "worker-s3cret"}),
    ));
    place.apply(&secret("hash-key", json!({"key": "k".repeat(48)})));
    place.apply(&secret("person", json!({"user_id": "7"})));
    place.apply(
        &json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "archives"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}}}}),
    );
    place.apply(&place.source(&datasets()));
    place.apply(&json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "SubjectRightsPolicy", "metadata": {"name": "default"},
        "spec": {"regime": "GDPR", "timeZone": "Europe/Berlin", "delivery": {"volume": {"claimName": "archives"}}, "sealTo": [keys.public()],
                 "limits": [{"right": "Access", "max": 1, "window": "PT1H"}], "hashKeySecretRef": {"name": "hash-key", "key": "key"}}}));
    open_volume(&place);
    place
}

fn request(place: &Place, name: &str) {
    place.apply(&json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "ExportRequest", "metadata": {"name": name},
        "spec": {"right": "Access", "rightsPolicyRef": {"name": "default"}, "subjectSecretRef": {"name": "person"}, "receivedAt": "2026-11-20T09:00:00Z"}}));
}

fn handle(place: &Place, name: &str, handling: &Value) {
    let patch = json!({"spec": {"handling": handling}}).to_string();
    place.kubectl(&["patch", "xr", name, "--type", "merge", "-p", &patch]);
}

fn confirm_and_approve(place: &Place, name: &str) {
    let identity = json!({"method": "LoggedIn", "confirmedOn": "2026-11-20"});
    handle(place, name, &json!({"identity": identity, "approvedOn": "2026-11-21"}));
}

/// Opens the volume for the worker's user: the provisioner of a kind cluster makes folders for root only, when the first
/// pod asks for one, and no kubelet changes the owner of a host's folder.
fn open_volume(place: &Place) {
    place.apply(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "first"}, "spec": {"restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "first", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}, "image": "privacy-operator.dev/privacy-operator:0.1.0", "imagePullPolicy": "Never",
                        "args": ["crds"], "volumeMounts": [{"name": "archives", "mountPath": "/archives"}]}],
        "volumes": [{"name": "archives", "persistentVolumeClaim": {"claimName": "archives"}}]}}));
    wait_for(
        "the volume to be there",
        || place.kubectl(&["get", "pods,pvc"]),
        || (place.get("pod", "first")?["status"]["phase"] == "Succeeded").then_some(()),
    );
    on_node(&["chmod", "0777", &folder(place).unwrap()]);
}

/// The request when it is in a phase.
fn wait_phase(place: &Place, name: &str, phase: &str) -> Value {
    wait_for(
        &format!("request {name} to be {phase}"),
        || {
            place
                .get("xr", name)
                .map_or_else(String::new, |request| request["status"].to_string())
        },
        || {
            place
                .get("xr", name)
                .filter(|request| request["status"]["phase"] == phase)
        },
    )
}

/// The volume's folder on the node.
fn folder(place: &Place) -> Option<String> {
    let claim = place.get("pvc", "archives")?;
    let volume = kubectl(&["get", "pv", claim["spec"]["volumeName"].as_str()?, "-o", "json"]);
    let volume: Value = serde_json::from_str(&volume).ok()?;
    let path = volume["spec"]["hostPath"]["path"]
        .as_str()
        .or(volume["spec"]["local"]["path"].as_str())?;
    Some(path.to_owned())
}

fn node() -> String {
    kubectl(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"])
}

fn on_node(command: &[&str]) -> String {
    let node = node();
    let mut arguments = vec!["exec", node.as_str()];
    arguments.extend(command);
    run("docker", &arguments, "").out
}

#[test]
fn a_confirmed_and_approved_request_becomes_an_archive_that_age_opens() {
    let _guard = together();
    let keys = Keys::new();
    let place = set_up("exports", &keys);
    request(&place, "first");
    wait_phase(&place, "first", "WaitingForIdentity");
    handle(
        &place,
        "first",
        &json!({"identity": {"method": "LoggedIn", "confirmedOn": "2026-11-20"}}),
    );
    wait_phase(&place, "first", "WaitingForApproval");
    assert!(place.list("jobs").is_empty(), "nothing is started before the approval");
    handle(&place, "first", &json!({"approvedOn": "2026-11-21"}));
    let ready = wait_phase(&place, "first", "ReadyForDelivery");
    assert_eq!(ready["status"]["rows"], 11);

    // The archive, opened with the standard tool, has what SQL written separately says, and nothing else.
    let script = format!(
        "docker exec {} sh -c 'cat {}/*.age' | age --decrypt -i {} > {}/zip && python3 -c \
         'import sys, zipfile; sys.stdout.write(zipfile.ZipFile(sys.argv[1]).read(\"data.json\").decode())' {}/zip",
        node(),
        folder(&place).unwrap(),
        keys.file(),
        keys.0.path().display(),
        keys.0.path().display()
    );
    let data: Value = serde_json::from_str(&must("bash", &["-euo", "pipefail", "-c", &script], "")).unwrap();
    let sets = data["stores"][0]["datasets"].as_array().unwrap();
    let items: Vec<&str> = sets
        .iter()
        .filter(|set| set["name"] == "orders")
        .flat_map(|set| set["rows"].as_array().unwrap())
        .map(|row| row["item"].as_str().unwrap())
        .collect();
    let expected = place.sql("SELECT item FROM orders WHERE user_id = 7 ORDER BY id");
    assert_eq!(items, expected.lines().collect::<Vec<_>>());
    assert!(!data.to_string().contains("canary"));

    // The same person once more within the hour: later, not now.
    request(&place, "second");
    confirm_and_approve(&place, "second");
    let second = wait_phase(&place, "second", "Deferred");
    assert_eq!(second["status"]["limitedBy"], "LimitExceeded");

    // Nothing of the person is in the API.
    let everything = place.kubectl(&["get", "xr,jobs,pods,configmaps,events", "-o", "yaml"]);
    assert!(!everything.contains("u7@example.org") && !everything.contains("canary"));

    // Deleted with its archive.
    place.kubectl(&["delete", "xr", "first", "--timeout=120s"]);
    assert_eq!(on_node(&["ls", &folder(&place).unwrap()]).trim(), "");
}

#[test]
fn a_store_that_lacks_a_secret_is_named_and_tried_again() {
    let _guard = together();
    let place = set_up("exports-secret", &Keys::new());
    place.kubectl(&["delete", "secret", "db-worker"]);
    request(&place, "first");
    confirm_and_approve(&place, "first");
    let failed = wait_for("the failure to be told", String::new, || {
        place
            .get("xr", "first")
            .filter(|request| request["status"]["failure"].is_object())
    });
    let ready = condition(&failed, "Ready").unwrap();
    assert_eq!(
        (&ready["status"], &ready["reason"]),
        (&json!("False"), &json!("MissingSecret"))
    );
    assert!(ready["message"].as_str().unwrap().contains("db-worker"), "{ready}");
    assert!(failed["status"]["failure"]["retryAt"].is_string());
}

#[test]
fn a_namespace_with_an_archive_goes_without_hanging_and_says_what_stays() {
    let _guard = together();
    let place = set_up("exports-gone", &Keys::new());
    request(&place, "first");
    confirm_and_approve(&place, "first");
    let ready = wait_phase(&place, "first", "ReadyForDelivery");
    let location = ready["status"]["archive"]["location"].as_str().unwrap().to_owned();
    kubectl(&["delete", "namespace", &place.namespace, "--timeout=120s"]);
    let events = kubectl(&["get", "events", "-n", "default", "-o", "yaml"]);
    assert!(events.contains("ArchiveAbandoned") && events.contains(&location));
}
