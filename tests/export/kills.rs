//! Killed at any point and run again: one archive with the same content, or none and nothing half-written.

use privacy_operator::contract::Reason;
use privacy_operator::contract::export::ExportResult;

use serde_json::Value;

use crate::harness::{REQUEST, Trial};
use crate::program::Program;
use crate::s3::bucket;
use crate::shop::shop;
use crate::support::wait;

/// A person with 40 MB that cannot be compressed, so that an archive has several parts.
async fn large() -> Trial {
    let trial = shop().await.of(&[("user_id", "17"), ("email", "user17@example.org")]);
    let noise = "UPDATE users SET photo = (SELECT string_agg(sha256(convert_to(n::text, 'UTF8')), '') FROM generate_series(1, 1250000) n) WHERE id = 17";
    trial.database.execute(noise).await;
    trial
}

#[tokio::test]
async fn killed_at_any_step_into_a_bucket_and_run_again_it_is_one_archive() {
    let bucket = bucket();
    let trial = large().await.into_bucket(&bucket);
    let key = format!("exports/{REQUEST}.zip.age");
    let whole = trial.run().await.archive.unwrap();
    assert!(trial.expire().await.gone);

    // While it waits for the store.
    let blocker = trial.database.admin().await;
    blocker
        .batch_execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let program = Program::export(&trial);
    waits_for_a_lock(&trial).await;
    program.kill();
    blocker.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(bucket.files(), Vec::<String>::new());

    // While parts are on their way: when the first is there, when three are.
    for parts in [1, 3] {
        let mut program = Program::export(&trial);
        wait::until("parts arrive", async || {
            bucket.files().len() >= parts || !program.is_running()
        })
        .await;
        assert!(program.is_running(), "it was killed too late to show anything");
        program.kill();
        assert!(!bucket.path(&key).exists(), "an archive that is not whole is not seen");
        assert!(!bucket.files().is_empty(), "the killed one could not tidy up");
    }

    let again = trial.run().await.archive.unwrap();
    assert_eq!(again.content_sha256, whole.content_sha256);
    assert_eq!(bucket.files(), [key], "what the killed ones left is gone");
}

#[tokio::test]
async fn what_a_killed_export_left_goes_when_the_archive_expires() {
    let bucket = bucket();
    let trial = large().await.into_bucket(&bucket);
    let mut program = Program::export(&trial);
    wait::until("a part arrives", async || {
        !bucket.files().is_empty() || !program.is_running()
    })
    .await;
    program.kill();
    assert!(!bucket.files().is_empty());
    assert!(trial.expire().await.gone);
    assert_eq!(bucket.files(), Vec::<String>::new());
}

#[tokio::test]
async fn killed_while_it_writes_to_a_volume_and_run_again_it_is_one_archive() {
    let trial = large().await;
    let whole = trial.run().await.archive.unwrap();
    assert!(trial.expire().await.gone);
    let partial = trial.files.path().join(format!("volume/.{REQUEST}.zip.age.partial"));
    let mut program = Program::export(&trial);
    wait::until("something is written", async || {
        std::fs::metadata(&partial).is_ok_and(|metadata| metadata.len() > 0) || !program.is_running()
    })
    .await;
    assert!(program.is_running(), "it was killed too late to show anything");
    // Meanwhile another worker of the same request keeps away.
    let report = trial.run().await;
    assert_eq!(
        (report.result, report.problem.unwrap().reason),
        (ExportResult::Failed, Reason::ExportInProgress)
    );
    program.kill();
    assert!(!trial.archive().exists());
    assert_eq!(trial.run().await.archive.unwrap().content_sha256, whole.content_sha256);
    assert_eq!(trial.volume(), [format!("{REQUEST}.zip.age")]);
}

#[tokio::test]
async fn it_tells_how_far_it_is_in_counts_and_nothing_else() {
    let bucket = bucket();
    let trial = large().await.into_bucket(&bucket);
    let mut program = Program::export(&trial);
    let mut last = Value::Null;
    wait::until("bytes are told", async || {
        last = program.progress().unwrap_or_default();
        last["bytes"].as_i64() > Some(0) || !program.is_running()
    })
    .await;
    assert_eq!(last["step"], "Collecting", "{last}");
    let report = program.wait().await.report();
    assert!(
        last["rows"].as_i64() == Some(report.rows),
        "all rows are found before the first part: {last}"
    );
    assert!(last["bytes"].as_i64().unwrap() <= report.archive.unwrap().bytes);
    let names: Vec<&String> = last.as_object().unwrap().keys().collect();
    assert_eq!(names, ["bytes", "rows", "step"]);
}

#[tokio::test]
async fn asked_to_end_it_tidies_up_and_says_so() {
    let bucket = bucket();
    let trial = large().await.into_bucket(&bucket);
    let mut program = Program::export(&trial);
    wait::until("a part arrives", async || {
        !bucket.files().is_empty() || !program.is_running()
    })
    .await;
    program.terminate();
    let outcome = program.wait().await;
    let report = outcome.report();
    assert_eq!(
        (report.result, report.problem.unwrap().reason),
        (ExportResult::Halted, Reason::Interrupted)
    );
    assert_eq!(outcome.code, Some(1), "the Job tries again");
    assert_eq!(bucket.files(), Vec::<String>::new());
}

#[tokio::test]
async fn a_store_that_goes_away_fails_the_export_and_leaves_nothing() {
    let trial = large().await;
    let blocker = trial.database.admin().await;
    blocker
        .batch_execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let program = Program::export(&trial);
    waits_for_a_lock(&trial).await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename LIKE 'exporter%'";
    blocker.query(end, &[]).await.unwrap();
    let outcome = program.wait().await;
    let report = outcome.report();
    assert_eq!(
        (report.result, report.problem.unwrap().reason),
        (ExportResult::Failed, Reason::Unreachable)
    );
    assert_eq!(outcome.code, Some(1), "the Job tries again");
    assert!(trial.volume().is_empty());
}

async fn waits_for_a_lock(trial: &Trial) {
    let admin = trial.database.admin().await;
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND usename LIKE 'exporter%'";
    wait::until("the export waits for the lock", async || {
        admin.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) > 0
    })
    .await;
}
