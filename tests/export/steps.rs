//! What is checked before anything is read, and in which order.

use privacy_operator::contract::Reason;
use privacy_operator::contract::export::{ExportResult, Sealing};

use crate::harness::Trial;
use crate::shop::shop;

/// Runs and expects a refusal: nothing was delivered, and no session of the worker has been in the store.
async fn refused(trial: &Trial) -> (Reason, String) {
    let report = trial.run().await;
    assert_eq!(report.result, ExportResult::Failed, "{report:?}");
    assert_eq!(report.archive, None);
    assert!(trial.volume().is_empty());
    let problem = report.problem.unwrap();
    (problem.reason, problem.message())
}

/// A store that nobody can reach: what is refused before it is asked for does not notice.
async fn unreachable() -> Trial {
    let mut trial = shop().await.of(&[("user_id", "17"), ("email", "user17@example.org")]);
    trial.plan.stores[0].store.port = 1;
    assert_eq!(refused(&trial).await.0, Reason::Unreachable);
    trial
}

#[tokio::test]
async fn a_wrong_person_or_key_is_refused_before_the_store_is_asked() {
    let trial = unreachable().await;
    trial.set_subject(&[("user_id", "18"), ("email", "user17@example.org")]);
    assert_eq!(refused(&trial).await.0, Reason::SubjectChanged);
    trial.set_subject(&[("user_id", "17"), ("email", "user18@example.org")]);
    assert_eq!(refused(&trial).await.0, Reason::SubjectChanged);
    trial.set_subject(&[("user_id", "17")]);
    assert_eq!(refused(&trial).await.0, Reason::SubjectChanged);
    trial.set_subject(&[("user_id", "17\n"), ("email", "user17@example.org")]);
    assert_eq!(refused(&trial).await.0, Reason::SubjectChanged);
    trial.set_subject(&[("name", "somebody")]);
    assert_eq!(refused(&trial).await.0, Reason::MissingSecret);

    trial.set_subject(&[("user_id", "17"), ("email", "user17@example.org")]);
    assert_eq!(
        refused(&trial).await.0,
        Reason::Unreachable,
        "the right person gets as far as the store"
    );
    let key = trial.files.path().join("hash/key");
    std::fs::write(&key, "another key of thirty-two bytes!").unwrap();
    assert_eq!(refused(&trial).await.0, Reason::SubjectKeyChanged);
    std::fs::write(&key, "short").unwrap();
    assert_eq!(refused(&trial).await.0, Reason::WeakHashKey);
    std::fs::remove_file(&key).unwrap();
    let (reason, message) = refused(&trial).await;
    assert_eq!(reason, Reason::MissingSecret);
    assert!(message.contains("Secret hash has no key key"), "{message}");
}

#[tokio::test]
async fn a_wrong_or_weak_recipient_is_refused_before_the_store_is_asked() {
    let mut trial = unreachable().await;
    let good = trial.identity.to_public().to_string();
    // The point 0, encoded with its checksum: what is agreed with it is the same for everybody.
    let weak = "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z";
    for keys in [
        vec![],
        vec![weak.to_owned()],
        vec![good.clone(), "age1nonsense".to_owned()],
        vec![good.clone(), String::new()],
    ] {
        trial.plan.sealing = Sealing::Age(keys.clone());
        assert_eq!(refused(&trial).await.0, Reason::InvalidRecipient, "{keys:?}");
    }
}

#[tokio::test]
async fn missing_secrets_are_named() {
    let trial = shop().await.of(&[("user_id", "17")]);
    for (file, expected) in [
        (
            "stores/0/credentials/username",
            "Secret shop-export has no key username",
        ),
        ("stores/0/ca/ca.crt", "Secret db-ca has no key ca.crt"),
    ] {
        let path = trial.files.path().join(file);
        let content = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let (reason, message) = refused(&trial).await;
        assert_eq!(reason, Reason::MissingSecret);
        assert!(message.contains(expected), "{message}");
        std::fs::write(&path, content).unwrap();
    }
    assert_eq!(trial.run().await.result, ExportResult::Delivered);
}

#[tokio::test]
async fn several_keys_can_each_open_the_archive_and_others_cannot() {
    let mut trial = shop().await.of(&[("user_id", "17")]);
    let second = age::x25519::Identity::generate();
    let stranger = age::x25519::Identity::generate();
    trial.plan.sealing = Sealing::Age(vec![
        trial.identity.to_public().to_string(),
        second.to_public().to_string(),
    ]);
    let (_, opened) = trial.delivered().await;
    let sealed = std::fs::read(trial.archive()).unwrap();
    let open = |identity: &age::x25519::Identity| {
        use std::io::Read as _;
        let mut reader = age::Decryptor::new(&sealed[..])
            .ok()?
            .decrypt(std::iter::once(identity as &dyn age::Identity))
            .ok()?;
        let mut clear = Vec::new();
        reader.read_to_end(&mut clear).ok()?;
        Some(clear)
    };
    assert!(open(&second).is_some());
    assert_eq!(open(&second), open(&trial.identity));
    assert_eq!(open(&stranger), None);
    assert!(!opened.members.is_empty());
    let text = String::from_utf8_lossy(&sealed);
    assert!(
        !text.contains("user17") && !text.contains("index.html"),
        "nothing of it can be read without a key"
    );
}

#[tokio::test]
async fn the_stop_configmap_and_the_deadline_end_an_export() {
    let mut trial = shop().await.of(&[("user_id", "17")]);
    let stop = trial.files.path().join("stop/reason");
    std::fs::write(&stop, "because").unwrap();
    let report = trial.run().await;
    assert_eq!(
        (report.result, report.problem.unwrap().reason),
        (ExportResult::Halted, Reason::StoppedByHand)
    );
    std::fs::remove_file(&stop).unwrap();
    trial.plan.active_deadline_seconds = 0;
    let report = trial.run().await;
    assert_eq!(
        (report.result, report.problem.unwrap().reason),
        (ExportResult::Halted, Reason::DeadlineReached)
    );
    assert!(trial.volume().is_empty());
}

#[tokio::test]
async fn an_archive_that_would_be_too_large_is_not_delivered() {
    let mut trial = shop().await.of(&[("user_id", "17")]);
    trial.plan.largest_bytes = 2000;
    let report = trial.run().await;
    let problem = report.problem.unwrap();
    assert_eq!(
        (report.result, problem.reason),
        (ExportResult::Halted, Reason::ArchiveTooLarge)
    );
    assert_eq!(problem.detail, "more than 2000 bytes");
    assert!(trial.volume().is_empty(), "{:?}", trial.volume());
}

#[tokio::test]
async fn all_stores_are_in_one_archive_each_with_its_time() {
    let mut trial = shop().await;
    let mut second = trial.plan.stores[0].clone();
    second.name = "warehouse".to_owned();
    trial.plan.stores.push(second);
    let copy = |from: &str, to: &str| {
        let to = trial.files.path().join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(trial.files.path().join(from), to).unwrap();
    };
    for file in ["credentials/username", "credentials/password", "ca/ca.crt"] {
        copy(&format!("stores/0/{file}"), &format!("stores/1/{file}"));
    }
    let trial = trial.of(&[("user_id", "17")]);
    let (report, opened) = trial.delivered().await;
    let data = opened.json("data.json");
    assert_eq!(data["stores"][0]["datasets"], {
        // Files lie in a folder of their store.
        let text = data["stores"][1]["datasets"]
            .to_string()
            .replace("files/warehouse/", "files/shop-db/");
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    });
    let manifest = opened.json("manifest.json");
    let first = manifest["stores"][0]["collectedAt"].as_str().unwrap();
    assert_eq!(first.parse::<jiff::Timestamp>().unwrap(), report.collected_at.unwrap());
    assert!(manifest["stores"][1]["collectedAt"].as_str().unwrap() >= first);
    assert_eq!(report.coverage.stores, 2);
}
