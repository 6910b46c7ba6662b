//! A person's request on a real cluster: confirmed, approved, exported to a volume, opened with `age`, compared with SQL
//! written separately; held back by its limit; deleted with its archive; and a namespace that goes. The same with an
//! object store; and many requests at once.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::{
    OPERATOR, Place, STORE, alone, condition, kubectl, must, root, run, together, wait_for, wait_longer,
};
use crate::operator::{holder, wait_ready};

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

/// Everything that a request needs in its namespace, with the role that `grants` prints. Archives go to a volume.
fn set_up(name: &str, keys: &Keys) -> Place {
    let place = set_up_to(name, keys, &json!({"volume": {"claimName": "archives"}}), "P7D");
    place.apply(
        &json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "archives"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}}}}),
    );
    open_volume(&place);
    place
}

fn set_up_to(name: &str, keys: &Keys, delivery: &Value, expire_after: &str) -> Place {
    let place = Place::new(name, SCHEMA);
    let source = place.source(&datasets());
    let policy = json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "SubjectRightsPolicy",
        "metadata": {"name": "default", "namespace": place.namespace},
        "spec": {"regime": "GDPR", "timeZone": "Europe/Berlin", "delivery": delivery, "sealTo": [keys.public()], "expireAfter": expire_after,
                 "limits": [{"right": "Access", "max": 1, "window": "PT1H"}], "hashKeySecretRef": {"name": "hash-key", "key": "key"}}});
    place.grant(&[&source, &policy]);
    secret(&place, "hash-key", &json!({"key": "k".repeat(48)}));
    secret(&place, "person", &json!({"user_id": "7"}));
    place.apply(&source);
    place.apply(&policy);
    place
}

fn secret(place: &Place, name: &str, data: &Value) {
    place.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}));
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

/// The archive that a command prints, opened with the standard tool: valid against its own schema, with exactly the rows
/// that SQL written separately finds, and no secret.
fn has_the_rows_of_seven(place: &Place, keys: &Keys, command: &str) {
    let script = format!(
        "cd {folder} && {command} | age --decrypt -i {key} >zip && python3 - <<'END'
import json, jsonschema, zipfile
archive = zipfile.ZipFile('zip')
data = json.loads(archive.read('data.json'))
jsonschema.Draft202012Validator(json.loads(archive.read('schema.json'))).validate(data)
print(json.dumps(data))
END",
        folder = keys.0.path().display(),
        key = keys.file()
    );
    let data: Value = serde_json::from_str(&must("bash", &["-euo", "pipefail", "-c", &script], "")).unwrap();
    let sets = data["stores"][0]["datasets"].as_array().unwrap();
    let column = |dataset: &str, column: &str| -> Vec<String> {
        let rows = sets.iter().filter(|set| set["name"] == dataset);
        let rows = rows.flat_map(|set| set["rows"].as_array().unwrap());
        rows.map(|row| row[column].as_str().unwrap().to_owned()).collect()
    };
    for (dataset, name, sql) in [
        (
            "orders",
            "item",
            "SELECT item FROM orders WHERE user_id = 7 ORDER BY id",
        ),
        ("users", "email", "SELECT email FROM users WHERE id = 7"),
    ] {
        assert_eq!(column(dataset, name), place.sql(sql).lines().collect::<Vec<_>>());
    }
    assert!(!data.to_string().contains("canary"));
}

/// The object store, started once: name of its server in the namespace of the tests' stores, and its bucket.
const BUCKET: (&str, &str) = ("test-s3", "archives");

fn object_store() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let script = root().join("dev/s3/deploy.sh");
        must(script.to_str().unwrap(), &[STORE.0, BUCKET.0, BUCKET.1], "");
    });
}

/// A signed request to the object store, from outside of the cluster.
fn object_request(key: &str) -> String {
    let script = root().join("dev/s3/request.sh");
    format!("{} {} {} {}/{key}", script.display(), STORE.0, BUCKET.0, BUCKET.1)
}

fn object_status(key: &str) -> String {
    let command = format!(
        "{} --output /dev/null --write-out '%{{http_code}}'",
        object_request(key)
    );
    must("bash", &["-euo", "pipefail", "-c", &command], "")
}

fn scale(replicas: usize) {
    let count = format!("--replicas={replicas}");
    kubectl(&["-n", OPERATOR, "scale", "deployment", OPERATOR, &count]);
    wait_ready(replicas);
}

#[test]
fn an_archive_in_an_object_store_goes_in_time_though_the_operator_was_away() {
    let _guard = alone();
    object_store();
    let keys = Keys::new();
    let delivery = json!({"objectStore": {"endpoint": format!("https://{}.{}.svc:7070", BUCKET.0, STORE.0), "bucket": BUCKET.1,
        "prefix": "exports/", "credentialsSecretRef": {"name": "bucket"}, "caSecretRef": {"name": "bucket", "key": "ca.crt"}}});
    let place = set_up_to("exports-s3", &keys, &delivery, "PT1M");
    let of_store = |name: &str, key: &str| {
        let template = format!("go-template={{{{index .data \"{key}\" | base64decode}}}}");
        kubectl(&["-n", STORE.0, "get", "secret", name, "-o", &template])
    };
    let credentials = format!("{}-credentials", BUCKET.0);
    let bucket = json!({"ca.crt": of_store(&format!("{}-ca", BUCKET.0), "ca.crt"),
        "accessKeyId": of_store(&credentials, "accessKeyId"), "secretAccessKey": of_store(&credentials, "secretAccessKey")});
    secret(&place, "bucket", &bucket);
    request(&place, "first");
    confirm_and_approve(&place, "first");
    let ready = wait_phase(&place, "first", "ReadyForDelivery");
    scale(0);
    let archive = &ready["status"]["archive"];
    let key = format!("exports/{}.zip.age", ready["metadata"]["uid"].as_str().unwrap());
    assert!(archive["location"].as_str().unwrap().ends_with(&key), "{archive}");
    has_the_rows_of_seven(&place, &keys, &object_request(&key));

    // Its time comes while nobody is there to see it.
    let expires = archive["expiresAt"]
        .as_str()
        .unwrap()
        .parse::<jiff::Timestamp>()
        .unwrap();
    wait_for("the archive's time to be over", String::new, || {
        (jiff::Timestamp::now() > expires).then_some(())
    });
    assert_eq!(object_status(&key), "200");
    scale(1);
    let gone = wait_phase(&place, "first", "Expired");
    assert!(gone["status"]["archive"]["deletedAt"].is_string());
    assert_eq!(object_status(&key), "404");
}

/// Two requests of each of twenty people at once, between two operators of which the leader is killed on the way.
#[test]
#[ignore = "sixty pods take minutes: make soak"]
fn twenty_races_with_real_pods_export_each_person_once() {
    const PEOPLE: usize = 20;
    let _guard = alone();
    let place = set_up("exports-races", &Keys::new());
    scale(2);
    let mut objects = Vec::new();
    for person in 1..=PEOPLE {
        let name = format!("person-{person}");
        objects.push(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"user_id": person.to_string()}}));
        for copy in ["a", "b"] {
            objects.push(json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "ExportRequest", "metadata": {"name": format!("{name}-{copy}")},
                "spec": {"right": "Access", "rightsPolicyRef": {"name": "default"}, "subjectSecretRef": {"name": name}, "receivedAt": "2026-11-20T09:00:00Z",
                    "handling": {"identity": {"method": "LoggedIn", "confirmedOn": "2026-11-20"}, "approvedOn": "2026-11-21"}}}));
        }
    }
    place.apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects}));
    let phases = || -> BTreeMap<String, String> {
        let requests = place.list("xr");
        let phase = |request: &Value| request["status"]["phase"].as_str().unwrap_or_default().to_owned();
        requests
            .iter()
            .map(|request| (request["metadata"]["name"].as_str().unwrap().to_owned(), phase(request)))
            .collect()
    };
    let seen = || format!("{:?}", phases());
    wait_for("the first archive", seen, || {
        phases().values().any(|phase| phase == "ReadyForDelivery").then_some(())
    });
    let leader = holder();
    kubectl(&["-n", OPERATOR, "delete", "pod", &leader, "--force", "--grace-period=0"]);
    let rest = wait_longer(Duration::from_mins(10), "all requests to come to rest", seen, || {
        let phases = phases();
        phases
            .values()
            .all(|phase| phase == "ReadyForDelivery" || phase == "Deferred")
            .then_some(phases)
    });
    for person in 1..=PEOPLE {
        let mut both = ["a", "b"].map(|copy| rest[&format!("person-{person}-{copy}")].as_str());
        both.sort_unstable();
        assert_eq!(both, ["Deferred", "ReadyForDelivery"], "person {person}");
    }
    let exports = place
        .list("jobs")
        .iter()
        .filter(|job| job["metadata"]["name"].as_str().unwrap().starts_with("export-"))
        .count();
    assert_eq!(exports, PEOPLE);
    assert_eq!(on_node(&["ls", &folder(&place).unwrap()]).lines().count(), PEOPLE);
    scale(1);
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

    let copy = format!("docker exec {} sh -c 'cat {}/*.age'", node(), folder(&place).unwrap());
    has_the_rows_of_seven(&place, &keys, &copy);

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
