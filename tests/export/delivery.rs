//! Delivery to an S3 server that nobody here wrote, and to a volume: whole or not at all, and gone when it expires.

use privacy_operator::contract::Reason;
use privacy_operator::contract::export::{Delivery, ExportResult, Volume};

use crate::harness::{REQUEST, Trial};
use crate::opened::Opened;
use crate::s3::bucket;
use crate::shop::shop;

async fn seventeen() -> Trial {
    shop().await.of(&[("user_id", "17"), ("email", "user17@example.org")])
}

#[tokio::test]
async fn an_archive_arrives_in_a_bucket_is_opened_and_expires() {
    let bucket = bucket();
    let trial = seventeen().await.into_bucket(&bucket);
    let report = trial.run().await;
    let archive = report.archive.clone().unwrap_or_else(|| panic!("{report:?}"));
    let key = format!("exports/{REQUEST}.zip.age");
    assert_eq!(archive.location, format!("s3://{}/{key}", bucket.name));
    assert_eq!(bucket.files(), std::slice::from_ref(&key));
    let opened = Opened::with_age(&bucket.path(&key), &trial.files.path().join("identity"));
    assert_eq!(opened.rows("orders").len(), 10);

    // Again: one archive, the same data, sealed anew.
    let again = trial.run().await.archive.unwrap();
    assert_eq!(bucket.files(), [key]);
    assert_eq!(again.content_sha256, archive.content_sha256);
    assert_ne!(again.sha256, archive.sha256);

    for _ in 0..2 {
        let expired = trial.expire().await;
        assert!(expired.gone, "{expired:?}");
        assert_eq!(bucket.files(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_archive_of_many_parts_is_one_object() {
    let bucket = bucket();
    let trial = seventeen().await.into_bucket(&bucket);
    let noise = "UPDATE users SET photo = (SELECT string_agg(sha256(convert_to(n::text, 'UTF8')), '') FROM generate_series(1, 700000) n) WHERE id = 17";
    trial.database.execute(noise).await;
    let archive = trial.run().await.archive.unwrap();
    assert_eq!(archive.parts, 3, "22 MB that cannot be compressed, in parts of 8 MiB");
    let path = bucket.path(&format!("exports/{REQUEST}.zip.age"));
    assert_eq!(
        std::fs::metadata(&path).unwrap().len(),
        u64::try_from(archive.bytes).unwrap()
    );
    let opened = Opened::with_age(&path, &trial.files.path().join("identity"));
    let photo = opened.rows("users")[0]["photo"].clone();
    assert_eq!(opened.members[photo["file"].as_str().unwrap()].len(), 22_400_000);
    assert_eq!(bucket.files().len(), 1);
}

#[tokio::test]
async fn what_a_bucket_refuses_is_told_with_its_reason() {
    let bucket = bucket();
    let mut trial = seventeen().await.into_bucket(&bucket);
    let Delivery::ObjectStore(good) = trial.plan.delivery.clone() else {
        unreachable!()
    };
    let mut with = |change: &dyn Fn(&mut privacy_operator::contract::export::ObjectStore)| {
        let mut store = good.clone();
        change(&mut store);
        trial.plan.delivery = Delivery::ObjectStore(store);
    };
    let mut cases = Vec::new();
    with(&|store| store.bucket = "no-such-bucket".to_owned());
    cases.push((trial.plan.delivery.clone(), Reason::DeliveryRefused));
    let mut with = |change: &dyn Fn(&mut privacy_operator::contract::export::ObjectStore)| {
        let mut store = good.clone();
        change(&mut store);
        cases.push((Delivery::ObjectStore(store), Reason::DeliveryUnavailable));
    };
    with(&|store| store.endpoint = "https://127.0.0.1:1".to_owned());
    for (delivery, reason) in cases {
        trial.plan.delivery = delivery;
        let report = trial.run().await;
        assert_eq!(report.result, ExportResult::Failed);
        let problem = report.problem.unwrap();
        assert_eq!(problem.reason, reason, "{problem:?}");
        assert!(problem.field.starts_with("delivery.objectStore"), "{problem:?}");
    }
    trial.plan.delivery = Delivery::ObjectStore(good.clone());
    std::fs::write(trial.files.path().join("delivery/credentials/secretAccessKey"), "wrong").unwrap();
    let problem = trial.run().await.problem.unwrap();
    assert_eq!(problem.reason, Reason::DeliveryRefused, "{problem:?}");
    std::fs::copy(
        trial.server.other_ca_path(),
        trial.files.path().join("delivery/ca/ca.crt"),
    )
    .unwrap();
    let problem = trial.run().await.problem.unwrap();
    assert_eq!(problem.reason, Reason::CertificateNotTrusted, "{problem:?}");
    std::fs::remove_file(trial.files.path().join("delivery/ca/ca.crt")).unwrap();
    let problem = trial.run().await.problem.unwrap();
    assert_eq!(problem.reason, Reason::MissingSecret);
    assert!(
        problem.detail.contains("Secret archive-ca has no key ca.crt"),
        "{problem:?}"
    );
    assert_eq!(bucket.files(), Vec::<String>::new());
}

#[tokio::test]
async fn an_archive_arrives_on_a_volume_and_expires() {
    let trial = seventeen().await;
    let (report, _) = trial.delivered().await;
    let name = format!("{REQUEST}.zip.age");
    assert_eq!(trial.volume(), std::slice::from_ref(&name));
    let again = trial.run().await;
    assert_eq!(trial.volume(), [name]);
    assert_eq!(
        again.archive.unwrap().content_sha256,
        report.archive.unwrap().content_sha256
    );
    for _ in 0..2 {
        assert!(trial.expire().await.gone);
        assert!(trial.volume().is_empty());
    }
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_or_a_volume_that_is_not_there_is_refused() {
    let mut trial = seventeen().await;
    let outside = trial.files.path().join("precious");
    std::fs::write(&outside, "keep").unwrap();
    for file in ["../precious", "a/b", "", ".hidden", "/etc/passwd", "a\0b"] {
        trial.plan.delivery = Delivery::Volume(Volume {
            claim: "archives".to_owned(),
            file: file.to_owned(),
        });
        assert_eq!(
            trial.run().await.problem.unwrap().reason,
            Reason::InvalidPlan,
            "{file:?}"
        );
        assert_eq!(
            trial.expire().await.problem.unwrap().reason,
            Reason::InvalidPlan,
            "{file:?}"
        );
    }
    assert_eq!(std::fs::read_to_string(outside).unwrap(), "keep");
    let trial = seventeen().await;
    std::fs::remove_dir(trial.files.path().join("volume")).unwrap();
    assert_eq!(trial.run().await.problem.unwrap().reason, Reason::DeliveryUnavailable);
    let expired = trial.expire().await;
    assert!(!expired.gone, "what cannot be looked at is not gone");
}
