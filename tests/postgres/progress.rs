//! What a worker under way tells on its port.

use serde_json::Value;

use crate::program::Program;
use crate::runs::{YOUNG, minutes, trial_with_ledger};
use crate::support::http;
use crate::support::postgres::server;
use crate::support::wait;
use crate::trouble::age;

const ROWS: i64 = 10_000;

/// The answer of the worker's port, if it answers.
fn told(port: u16) -> Option<Value> {
    serde_json::from_str(&http::get(port, "/progress")?).ok()
}

#[tokio::test]
async fn a_run_under_way_tells_its_step_and_counts_and_nothing_else() {
    let trial = trial_with_ledger(server(), &minutes(ROWS, "")).await.rules(&[age()]);
    let session = trial.server.connect("postgres", trial.database.name()).await;
    // Rows that others hold keep the run under way for some seconds.
    let lock = "BEGIN; SELECT FROM t WHERE id % 1000 = 0 FOR UPDATE";
    session.batch_execute(lock).await.unwrap();
    let worker = Program::of(&trial);
    let mut last = Value::Null;
    wait::until("the sweep tells of rows", async || {
        last = told(worker.progress_port()).unwrap_or_default();
        last["step"] == "Disposing" && last["rows"].as_i64() > Some(0)
    })
    .await;
    session.batch_execute("COMMIT").await.unwrap();
    let due = ROWS - YOUNG;
    assert_eq!(last["of"], due);
    assert!(last["rows"].as_i64().unwrap() < due, "{last}");
    let names: Vec<&String> = last.as_object().unwrap().keys().collect();
    assert_eq!(names, ["of", "rows", "step"]);
    let report = worker.wait().await.report();
    assert!(report.rules[0].affected >= last["rows"].as_i64().unwrap());
}

#[tokio::test]
async fn a_port_that_is_taken_does_not_keep_a_run_from_its_work() {
    let trial = trial_with_ledger(server(), &minutes(2000, "")).await.rules(&[age()]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let outcome = Program::with_progress_port(&trial, taken.local_addr().unwrap().port())
        .wait()
        .await;
    assert_eq!(outcome.report().rules[0].affected, 2000 - YOUNG, "{}", outcome.output);
    assert!(outcome.output.contains("progress is not told"), "{}", outcome.output);
}
