//! Encryption in a real kind cluster: the chart's agent and migrator, the stock API server, etcd read without Kubernetes.
//!
//! It changes how the cluster stores its Secrets, so it runs only in the development cluster that this checkout made.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    dead_code,
    reason = "a test may fail loudly; of the cluster's helpers only some are needed"
)]

#[path = "cluster/cluster.rs"]
mod cluster;

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::{OPERATOR, condition, install, kubectl, must, root, run, wait_longer};
use serde_json::{Value, json};

const KEYS: &str = "privacy-operator-encryption";

fn apply(object: &Value) {
    must(
        "kubectl",
        &["apply", "--server-side", "--force-conflicts", "-f", "-"],
        &object.to_string(),
    );
}

fn get() -> Value {
    let output = run("kubectl", &["get", "ce", "cluster", "-o", "json"], "");
    serde_json::from_str(&output.out).unwrap_or_default()
}

/// API servers look for a new file once a minute, and a rotation has up to three of them.
fn wait(what: &str, check: impl Fn(&Value) -> bool) -> Value {
    let seen = || {
        let pods = run("kubectl", &["-n", KEYS, "get", "pods"], "").out;
        format!("{:#}\n{pods}", get()["status"])
    };
    wait_longer(Duration::from_mins(8), what, seen, || {
        let object = get();
        check(&object).then_some(object)
    })
}

fn is_settled(object: &Value) -> bool {
    let status = &object["status"];
    status["phase"] == "Settled"
        && status["observedGeneration"] == object["metadata"]["generation"]
        && status["verified"]["key"] == status["activeKey"]
        && condition(object, "Encrypted").is_some_and(|condition| condition["status"] == "True")
}

/// Name and beginning of every Secret in etcd.
fn stored() -> BTreeMap<String, String> {
    let script = root().join("dev/encryption/stored.sh");
    must(script.to_str().unwrap(), &[], "")
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, head)| (name.to_owned(), head.to_owned()))
        .collect()
}

fn encryption(request: &str, recipient: &str) -> Value {
    json!({"apiVersion": "privacy-operator.dev/v1alpha1", "kind": "ClusterEncryption", "metadata": {"name": "cluster"},
        "spec": {"mode": "Apply", "rotation": {"request": request, "keepOldKeys": 2}, "escrow": {"ageRecipients": [recipient]}}})
}

fn secret_value() -> String {
    kubectl(&[
        "get",
        "secret",
        "canary",
        "-n",
        "default",
        "-o",
        "jsonpath={.data.value}",
    ])
}

#[test]
#[allow(clippy::too_many_lines, reason = "one story, and a rotation takes minutes")]
fn secrets_are_plain_before_and_encrypted_after_and_a_lost_key_secret_comes_back() {
    let engine = std::fs::read_to_string(root().join(".dev/engine")).unwrap_or_default();
    assert_ne!(
        engine.trim(),
        "current",
        "this test changes how a cluster stores Secrets: it needs one of its own, make cluster-up"
    );
    // The demo, or an earlier run, may have left it encrypted.
    must(root().join("dev/encryption/reset.sh").to_str().unwrap(), &[], "");
    let folder = tempfile::tempdir().unwrap();
    let identity = folder.path().join("escrow.txt");
    must("age-keygen", &["-o", identity.to_str().unwrap()], "");
    let recipient = must("age-keygen", &["-y", identity.to_str().unwrap()], "")
        .trim()
        .to_owned();
    run(
        "kubectl",
        &[
            "create",
            "secret",
            "generic",
            "canary",
            "-n",
            "default",
            "--from-literal=value=canary",
        ],
        "",
    );
    let value = secret_value();

    // Installed without the rights, it says so and does nothing.
    install(&["--set", "encryption.enabled=false"]);
    apply(&encryption("first", &recipient));
    wait("the rights are missing", |object| {
        condition(object, "Ready").is_some_and(|condition| condition["reason"] == "NotEnabled")
    });
    assert_eq!(stored()["default/canary"], "k8s", "before, it is plain");

    let values = "encryption.enabled=true,encryption.apply=true,encryption.migrator.enabled=true";
    install(&["--set", values]);
    let first = wait("the first rotation", is_settled);
    let key = first["status"]["activeKey"].as_str().unwrap().to_owned();
    assert_eq!(
        first["status"]["safeToRestartApiServer"], "True",
        "{:#}",
        first["status"]
    );
    assert_eq!(secret_value(), value);
    let prefix = format!("k8s:enc:secretbox:v1:{key}");
    let wrong: Vec<_> = stored().into_iter().filter(|(_, head)| *head != prefix).collect();
    assert!(wrong.is_empty(), "{wrong:?}");

    // A second rotation; the old key stays readable.
    apply(&encryption("second", &recipient));
    let second = wait("the second rotation", |object| {
        is_settled(object) && object["status"]["activeKey"] != key.as_str()
    });
    let prefix = format!(
        "k8s:enc:secretbox:v1:{}",
        second["status"]["activeKey"].as_str().unwrap()
    );
    let wrong: Vec<_> = stored().into_iter().filter(|(_, head)| *head != prefix).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(
        second["status"]["keys"].as_array().unwrap().len(),
        2,
        "the old key is kept"
    );
    assert_eq!(secret_value(), value);
    assert_silent(&second);

    // The key Secret is lost. Nothing is minted; the sealed copy brings it back, and the machine goes on.
    let sealed = kubectl(&[
        "get",
        "configmap",
        "encryption-escrow",
        "-n",
        KEYS,
        "-o",
        "jsonpath={.data.keys\\.age}",
    ]);
    let escrow = folder.path().join("keys.age");
    std::fs::write(&escrow, sealed).unwrap();
    kubectl(&["delete", "secret", "encryption-keys", "-n", KEYS]);
    wait("the loss is told", |object| {
        condition(object, "Stopped")
            .is_some_and(|condition| condition["status"] == "True" && condition["reason"] == "KeyMaterialMissing")
    });
    assert_eq!(secret_value(), value);
    let recovered = must(
        env!("CARGO_BIN_EXE_privacy-operator"),
        &[
            "recover",
            "--escrow",
            escrow.to_str().unwrap(),
            "--identity",
            identity.to_str().unwrap(),
        ],
        "",
    );
    must(
        "kubectl",
        &["apply", "--server-side", "--force-conflicts", "-f", "-"],
        &recovered,
    );
    wait("the recovered file is everywhere", |object| {
        object["status"]["fileGeneration"].as_i64() > Some(1000)
            && condition(object, "Agreed").is_some_and(|condition| condition["status"] == "True")
    });
    assert_eq!(secret_value(), value);
}

/// Nothing that any part says holds a key.
fn assert_silent(object: &Value) {
    for workload in [
        "deployment/privacy-operator-migrator",
        "daemonset/privacy-operator-agent",
    ] {
        kubectl(&["-n", KEYS, "rollout", "status", workload, "--timeout=60s"]);
    }
    let record = kubectl(&[
        "get",
        "secret",
        "encryption-keys",
        "-n",
        KEYS,
        "-o",
        "jsonpath={.data.custody\\.json}",
    ]);
    let record: Value = {
        use base64::Engine as _;
        serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(record).unwrap()).unwrap()
    };
    let mut said = kubectl(&["-n", OPERATOR, "logs", "deployment/privacy-operator"]);
    said += &kubectl(&[
        "-n",
        KEYS,
        "logs",
        "-l",
        "app.kubernetes.io/component=encryption-agent",
        "--tail=-1",
    ]);
    said += &kubectl(&["get", "events", "-A", "-o", "json"]);
    said += &object.to_string();
    for key in record["keys"].as_array().unwrap() {
        assert!(!said.contains(key["secret"].as_str().unwrap()));
    }
}
