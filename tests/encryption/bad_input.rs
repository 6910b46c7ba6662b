//! Files and Secrets that somebody broke, lost or put back: a condition each, and every Secret still readable.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::readers::Traffic;
use crate::support::kubernetes::must;
use crate::support::wait::until;
use crate::world::{PROGRAM, Part, World, condition};

async fn settled() -> (World, Traffic) {
    let world = World::start(true).await;
    let traffic = Traffic::prepare(&world.cluster).await;
    world.encrypt(&json!({})).await;
    world.wait_settled("").await;
    (world, traffic)
}

async fn is_settled(world: &World) {
    world
        .wait("the end", |status| {
            status["phase"] == "Settled"
                && condition(status, "Encrypted")["status"] == "True"
                && condition(status, "Agreed")["status"] == "True"
        })
        .await;
}

/// Puts a recovered Secret in.
fn recover(world: &World, arguments: &[&str]) {
    let mut all = vec!["recover"];
    all.extend(arguments);
    let path = world.cluster.path().join("recovered.json");
    fs::write(&path, must(PROGRAM, &all, world.cluster.path())).unwrap();
    world.cluster.kubectl(&[
        "apply",
        "--server-side",
        "--force-conflicts",
        "-f",
        path.to_str().unwrap(),
    ]);
}

/// As it says itself: nothing of what is printed may be key material.
fn assert_silent(world: &World) {
    let mut keys = Vec::new();
    for entry in fs::read_dir(world.cluster.servers[0].node.join("privacy-operator-history")).unwrap() {
        let record: Value = serde_json::from_slice(&fs::read(entry.unwrap().path()).unwrap()).unwrap();
        keys.extend(
            record["keys"]
                .as_array()
                .unwrap()
                .iter()
                .map(|key| key["secret"].as_str().unwrap().to_owned()),
        );
    }
    assert!(!keys.is_empty());
    for log in ["operator.log", "agent-0.log", "agent-1.log", "migrator.log"] {
        let text = fs::read_to_string(world.cluster.path().join(log)).unwrap();
        assert!(keys.iter().all(|key| !text.contains(key)), "{log} shows a key");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_files_are_put_right_or_left_alone_and_told() {
    let (mut world, traffic) = settled().await;
    let file = fs::read_to_string(world.file(1)).unwrap();

    // Truncated: no API server can have loaded it, so it is put right.
    fs::write(world.file(1), &file[..file.len() / 2]).unwrap();
    until("the truncated file is put right", async || {
        fs::read_to_string(world.file(1)).unwrap() == file
    })
    .await;

    // An administrator's own provider, which may already be in use: it is left alone, and nothing goes on.
    let mine = file.replace(
        "- identity: {}",
        "- identity: {}\n      - aescbc: {keys: [{name: mine, secret: MDEyMzQ1Njc4OWFiY2RlZg==}]}",
    );
    fs::write(world.file(1), &mine).unwrap();
    let status = world.wait_reason("UnknownFile").await;
    assert_eq!(status["phase"], "Stopped");
    assert_eq!(fs::read_to_string(world.file(1)).unwrap(), mine);
    traffic.read_all(&world.cluster).await;
    fs::write(world.file(1), &file).unwrap();
    is_settled(&world).await;

    // A directory that cannot be written, while a rotation wants to.
    let obstacle = world.cluster.servers[1].node.join(".encryption-config.yaml.next");
    fs::create_dir(&obstacle).unwrap();
    world.request("while it cannot be written", 1).await;
    let status = world.wait_reason("AgentRefuses").await;
    assert!(status["nextAction"].as_str().unwrap().contains("node-1"), "{status:#}");
    traffic.read_all(&world.cluster).await;
    fs::remove_dir(&obstacle).unwrap();
    is_settled(&world).await;

    // No agent.
    world.agents[0].kill();
    world.wait_reason("AgentMissing").await;
    traffic.read_all(&world.cluster).await;
    world.kill(Part::Agent(0));
    is_settled(&world).await;
    // No API server.
    world.cluster.servers[1].process.kill();
    world.wait_reason("ServerUnreachable").await;
    world.cluster.restart(1);
    is_settled(&world).await;
    traffic.read_all(&world.cluster).await;
    assert_silent(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_secret_that_is_edited_deleted_or_of_last_week_stops_everything_and_is_recovered() {
    let (world, traffic) = settled().await;
    let secrets = world.secrets().await;
    let saved = secrets.get("encryption-keys").await.unwrap();
    let mut record: Value = serde_json::from_slice(&saved.data.as_ref().unwrap()["custody.json"].0).unwrap();

    // Edited: another key under the same name, and a key of the wrong length.
    for wrong in [[7_u8; 32].as_slice(), [7_u8; 16].as_slice()] {
        record["keys"][0]["secret"] = STANDARD.encode(wrong).into();
        let edit = json!({"data": {"custody.json": STANDARD.encode(record.to_string())}});
        secrets
            .patch("encryption-keys", &PatchParams::default(), &Patch::Merge(&edit))
            .await
            .unwrap();
        world.wait_reason("KeyMaterialDamaged").await;
        traffic.read_all(&world.cluster).await;
        let back = json!({"data": saved.data});
        secrets
            .patch("encryption-keys", &PatchParams::default(), &Patch::Merge(&back))
            .await
            .unwrap();
        is_settled(&world).await;
    }

    // Deleted, also together with the status.
    secrets
        .delete("encryption-keys", &DeleteParams::default())
        .await
        .unwrap();
    world.wait_reason("KeyMaterialMissing").await;
    world.cluster.kubectl(&["delete", "ce", "cluster"]);
    world.encrypt(&json!({})).await;
    let status = world.wait_reason("KeyMaterialMissing").await;
    assert_eq!(condition(&status, "Stopped")["status"], "True");
    traffic.read_all(&world.cluster).await;
    assert!(
        secrets.get_opt("encryption-keys").await.unwrap().is_none(),
        "nothing was minted"
    );
    let history = world.cluster.servers[0].node.join("privacy-operator-history");
    recover(&world, &["--record", history.to_str().unwrap()]);
    is_settled(&world).await;

    // Of last week.
    let last_week = secrets.get("encryption-keys").await.unwrap();
    let key = world.status().await["activeKey"].as_str().unwrap().to_owned();
    world.request("this week", 1).await;
    world.wait_settled(&key).await;
    let back = json!({"data": last_week.data});
    secrets
        .patch("encryption-keys", &PatchParams::default(), &Patch::Merge(&back))
        .await
        .unwrap();
    world.wait_reason("KeyMaterialMissing").await;
    traffic.read_all(&world.cluster).await;
    recover(&world, &["--record", history.to_str().unwrap()]);
    world.wait_settled(&key).await;
    traffic.read_all(&world.cluster).await;
    assert_silent(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_all_files_and_the_key_secret_lost_the_sealed_copy_brings_every_secret_back() {
    let mut world = World::start(true).await;
    let traffic = Traffic::prepare(&world.cluster).await;
    let path = world.cluster.path().to_owned();
    let identity = path.join("identity.txt");
    must("age-keygen", &["-o", identity.to_str().unwrap()], &path);
    let recipient = must("age-keygen", &["-y", identity.to_str().unwrap()], &path)
        .trim()
        .to_owned();
    // As long as the new key does not come first everywhere, the status says that Secrets are written in plain text.
    let obstacle = world.cluster.servers[1].node.join(".encryption-config.yaml.next");
    fs::create_dir(&obstacle).unwrap();
    world.encrypt(&json!({"escrow": {"ageRecipients": [recipient]}})).await;
    let status = world.wait_reason("AgentRefuses").await;
    let encrypted = condition(&status, "Encrypted");
    assert_eq!(
        (&encrypted["status"], &encrypted["reason"]),
        (&json!("False"), &json!("InPlainText")),
        "{status:#}"
    );
    assert_eq!(status["plaintext"], encrypted["message"]);
    fs::remove_dir(&obstacle).unwrap();
    let status = world.wait_settled("").await;
    assert_eq!(status["escrow"]["recipients"], 1);

    let sealed = world.config_maps().await.get("encryption-escrow").await.unwrap();
    let escrow = path.join("keys.age");
    fs::write(&escrow, &sealed.data.unwrap()["keys.age"]).unwrap();
    // Everything is lost at once, and the API servers are down.
    world.freeze_mounts();
    for index in 0..2 {
        world.agents[index].kill();
        world.cluster.servers[index].process.kill();
        fs::remove_dir_all(&world.cluster.servers[index].node).unwrap();
        fs::create_dir(&world.cluster.servers[index].node).unwrap();
        let _ = fs::remove_file(world.keys(index).join("custody.json"));
    }
    let (escrow, identity) = (escrow.to_str().unwrap(), identity.to_str().unwrap());
    let file = must(
        PROGRAM,
        &["recover", "--escrow", escrow, "--identity", identity, "--file"],
        &path,
    );
    for index in 0..2 {
        fs::write(world.file(index), &file).unwrap();
        world.cluster.restart(index);
    }
    let secrets = world.secrets().await;
    until("the API server is back", async || {
        secrets.get_opt("encryption-keys").await.is_ok()
    })
    .await;
    // With the file alone, what is new is encrypted from the first moment on.
    create_secret(&world, "after-the-loss").await;
    let stored = world.cluster.stored_secrets().await;
    let (_, new) = stored
        .iter()
        .find(|(name, _)| name.ends_with("/after-the-loss"))
        .unwrap();
    assert!(new.starts_with(b"k8s:enc:secretbox:v1:privacy-operator-1-"));
    secrets
        .delete("encryption-keys", &DeleteParams::default())
        .await
        .unwrap();
    recover(&world, &["--escrow", escrow, "--identity", identity]);
    let recovered = secrets.get("encryption-keys").await.unwrap();
    for index in 0..2 {
        fs::write(
            world.keys(index).join("custody.json"),
            &recovered.data.as_ref().unwrap()["custody.json"].0,
        )
        .unwrap();
        world.kill(Part::Agent(index));
    }
    world.thaw_mounts().await;
    world
        .wait("the end of the recovery", |status| {
            status["fileGeneration"].as_i64() > Some(1000)
                && status["phase"] == "Settled"
                && condition(status, "Encrypted")["status"] == "True"
        })
        .await;
    traffic.read_all(&world.cluster).await;
    let stored = world.cluster.stored_secrets().await;
    assert!(
        stored
            .iter()
            .all(|(_, value)| value.starts_with(b"k8s:enc:secretbox:v1:privacy-operator-1-"))
    );
}

async fn create_secret(world: &World, name: &str) {
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": name}, "stringData": {"value": name}})).unwrap();
    let shop: Api<Secret> = Api::namespaced(world.cluster.client(0).await, "shop");
    shop.create(&PostParams::default(), &secret).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_to_metrics_or_a_control_plane_node_no_step_is_taken() {
    let (mut world, traffic) = settled().await;
    let before = world.record().await.unwrap();
    let key = before.active.clone().unwrap();

    world.allow_metrics(false).await;
    world.request("while it is forbidden", 1).await;
    let status = world.wait_reason("MetricsForbidden").await;
    let action = status["nextAction"].as_str().unwrap();
    assert!(
        action.contains("/metrics") && action.contains("helm upgrade"),
        "{action}"
    );
    assert_eq!(status["readable"], "Unknown", "what is not seen is not claimed");
    assert_eq!(condition(&status, "Agreed")["status"], "False");
    for server in status["servers"].as_array().unwrap() {
        assert_eq!(server["agrees"], "Unknown");
        assert!(server["message"].as_str().unwrap().contains("/metrics"), "{server}");
    }
    assert_eq!(world.record().await.unwrap(), before, "no step is taken");
    traffic.read_all(&world.cluster).await;
    world.allow_metrics(true).await;
    world.wait_settled(&key).await;
    traffic.read_all(&world.cluster).await;

    // Nobody says where agents are, and there are no nodes.
    world.restart_operator(false);
    let before = world.record().await.unwrap();
    world.request("without a node", 1).await;
    let status = world.wait_reason("AgentMissing").await;
    let action = status["nextAction"].as_str().unwrap();
    assert!(action.contains("no control-plane node was found"), "{action}");
    // Nor does anybody name the API servers: they are known by their Leases only.
    world
        .encrypt(&json!({"controlPlane": {}, "rotation": {"keepOldKeys": 1, "request": "without an endpoint"}}))
        .await;
    let status = world.wait_reason("ServerMissing").await;
    let action = status["nextAction"].as_str().unwrap();
    assert!(action.contains("spec.controlPlane.endpoints"), "{action}");
    assert_eq!(world.record().await.unwrap(), before, "no step is taken");
    traffic.read_all(&world.cluster).await;
    world.restart_operator(true);
    world.request("with all of them", 1).await;
    world.wait_settled(&before.active.unwrap()).await;
    traffic.read_all(&world.cluster).await;
    assert_silent(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_of_two_rotations_ago_is_readable_and_migrated_again() {
    let (mut world, traffic) = settled().await;
    // As the status says: what was plain before is in etcd's file until that is compacted and defragmented.
    let plain = Traffic::first_value("still-7");
    assert!(world.cluster.file_holds(plain.as_bytes()));
    let plaintext = world.status().await["plaintext"].as_str().unwrap().to_owned();
    assert!(plaintext.contains("compaction and defragmentation"), "{plaintext}");
    world.cluster.forget_the_past().await;
    assert!(!world.cluster.file_holds(plain.as_bytes()));
    let backup = world.cluster.path().join("backup");
    world
        .cluster
        .restore(|data| {
            drop(must(
                "cp",
                &["-r", data.to_str().unwrap(), backup.to_str().unwrap()],
                data,
            ));
        })
        .await;
    is_settled(&world).await;
    let mut key = world.status().await["activeKey"].as_str().unwrap().to_owned();
    for rotation in 0..2 {
        world.request(&format!("number {rotation}"), 2).await;
        let status = world.wait_settled(&key).await;
        status["activeKey"].as_str().unwrap().clone_into(&mut key);
    }
    world
        .cluster
        .restore(|data| {
            fs::remove_dir_all(data).unwrap();
            must(
                "cp",
                &["-r", backup.to_str().unwrap(), data.to_str().unwrap()],
                data.parent().unwrap(),
            );
        })
        .await;
    world.wait_reason("KeyMaterialMissing").await;
    traffic.read_all(&world.cluster).await;
    let history = world.cluster.servers[0].node.join("privacy-operator-history");
    recover(&world, &["--record", history.to_str().unwrap()]);
    world
        .wait("the newest key is active again", |status| {
            status["activeKey"] == key.as_str() && status["phase"] == "Settled"
        })
        .await;
    traffic.read_all(&world.cluster).await;
    let prefix = format!("k8s:enc:secretbox:v1:{key}:");
    let shop: Vec<_> = world
        .cluster
        .stored_secrets()
        .await
        .into_iter()
        .filter(|(name, _)| name.contains("/shop/"))
        .collect();
    assert!(!shop.is_empty() && shop.iter().all(|(_, value)| value.starts_with(prefix.as_bytes())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_administrator_had_before_stays_and_objects_that_refuse_are_named() {
    let theirs = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets, configmaps]\n  providers:\n  - aescbc: {keys: [{name: theirs, secret: MDEyMzQ1Njc4OWFiY2RlZg==}]}\n  - identity: {}\n";
    let world = World::start_with(true, theirs).await;
    let traffic = Traffic::prepare(&world.cluster).await;
    assert!(
        world
            .cluster
            .stored_secrets()
            .await
            .iter()
            .any(|(_, value)| value.starts_with(b"k8s:enc:aescbc:v1:theirs:"))
    );
    // One that refuses every change.
    let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "refuse"},
        "spec": {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["secrets"]}]},
            "validations": [{"expression": "object.metadata.name != 'still-7'", "message": "canary of a webhook"}]}});
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "refuse"},
        "spec": {"policyName": "refuse", "validationActions": ["Deny"]}});
    let path = world.cluster.path().join("policy.json");
    fs::write(
        &path,
        json!({"apiVersion": "v1", "kind": "List", "items": [policy, binding]}).to_string(),
    )
    .unwrap();
    world.cluster.kubectl(&["apply", "-f", path.to_str().unwrap()]);
    let probe = json!({"metadata": {"labels": {"probe": "yes"}}});
    let shop: Api<Secret> = Api::namespaced(world.cluster.client(0).await, "shop");
    until("the policy is in force", async || {
        shop.patch("still-7", &PatchParams::default(), &Patch::Merge(&probe))
            .await
            .is_err()
    })
    .await;

    world.encrypt(&json!({})).await;
    let status = world.wait_reason("ObjectsRefused").await;
    let action = status["nextAction"].as_str().unwrap();
    assert!(
        action.contains("shop/still-7") && !action.contains("canary"),
        "{action}"
    );
    assert_eq!(condition(&status, "Encrypted")["status"], "False");
    traffic.read_all(&world.cluster).await;
    world
        .cluster
        .kubectl(&["delete", "validatingadmissionpolicybinding", "refuse"]);
    is_settled(&world).await;
    traffic.read_all(&world.cluster).await;
    let file = fs::read_to_string(world.file(0)).unwrap();
    assert!(
        file.contains("theirs") && file.contains("[\"configmaps\"]"),
        "{}",
        file.len()
    );
    let stored = world.cluster.stored_secrets().await;
    assert!(
        stored
            .iter()
            .all(|(_, value)| value.starts_with(b"k8s:enc:secretbox:v1:privacy-operator-"))
    );
}
