//! What must not be told is told nowhere: not in the report, not in the log, not in the termination message.

use privacy_operator::contract::Reason;
use privacy_operator::contract::export::{ExportResult, TerminationMessage as _};
use serde_json::json;

use crate::harness::{Trial, trial};
use crate::program::Program;
use crate::s3::bucket;
use crate::shop::shop;

/// Everything that an export leaves but the archive.
async fn traces(trial: &Trial) -> (String, privacy_operator::contract::export::ExportReport) {
    let in_process = trial.run().await;
    let outcome = Program::export(trial).wait().await;
    let report = outcome.report();
    assert!(!outcome.output.is_empty() && !outcome.message.is_empty());
    let identified = trial.identify();
    let all = format!(
        "{in_process:?}{}{}{identified:?}{}",
        outcome.output,
        outcome.message,
        identified.clone().to_termination_message()
    );
    (all, report)
}

fn nothing_of(canaries: &[&str], text: &str) {
    for canary in canaries {
        assert!(!text.contains(canary), "{canary} in {text}");
    }
}

#[tokio::test]
async fn an_export_tells_counts_and_hashes_and_nothing_else() {
    let bucket = bucket();
    let trial = shop()
        .await
        .of(&[("user_id", "17"), ("email", "user17@example.org")])
        .into_bucket(&bucket);
    let (text, report) = traces(&trial).await;
    assert_eq!(report.result, ExportResult::Delivered);
    let key = "0123456789abcdef0123456789abcdef";
    nothing_of(
        &[
            "user17",
            "Person 17",
            "hash-canary",
            "token-canary",
            "s3cret-of-the-role",
            "test-secret-key",
            key,
            "order 16",
        ],
        &text,
    );
    assert!(text.contains(&trial.plan.expected.tag), "the tag is told");
}

#[tokio::test]
async fn what_the_server_says_about_rows_stays_with_the_server() {
    // A cast of its owner's that complains with the value in each part of the message.
    let schema = "CREATE TYPE loud AS (words text);
        CREATE FUNCTION shout(loud) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
          RAISE WARNING 'warning %', $1.words; RAISE EXCEPTION 'exception %', $1.words USING DETAIL = $1.words, HINT = $1.words; END $$;
        CREATE CAST (loud AS text) WITH FUNCTION shout(loud);
        CREATE TABLE t (id int PRIMARY KEY, mail text, words loud);
        INSERT INTO t VALUES (1, 'canary-4711@example.org', ROW('canary-words'))";
    let datasets = json!([{"name": "t", "schema": "public", "table": "t", "subjects": [{"identity": "email", "by": {"column": "mail"}}], "fields": [{"column": "words"}]}]);
    let trial = trial(schema, datasets, json!([]))
        .await
        .of(&[("email", "canary-4711@example.org")]);
    let (text, report) = traces(&trial).await;
    assert_eq!(report.result, ExportResult::Failed);
    let problem = report.problem.unwrap();
    assert_eq!(
        (problem.reason, problem.detail.as_str()),
        (Reason::StoreError, "SQLSTATE P0001")
    );
    nothing_of(&["canary"], &text);
    assert!(
        trial.server.log().contains("exception canary-words"),
        "the server did complain"
    );
}
