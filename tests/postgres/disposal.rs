//! Exactly the due rows go, on every way through the table.

use privacy_operator::contract::{RunResult, WorkReport};
use serde_json::json;

use crate::harness::trial;

const LOGS: &str = "CREATE TABLE t (id int PRIMARY KEY, at timestamptz, ip inet);
    INSERT INTO t SELECT i, now() - i * interval '1 hour', ('10.0.0.' || (i % 250))::inet FROM generate_series(1, 1000) i;";

fn oldest_in_hours(report: &WorkReport) -> Option<i64> {
    report.rules[0].oldest_seconds.map(|seconds| seconds / 3600)
}

#[tokio::test]
async fn rows_past_their_period_go_and_no_others_through_the_pages() {
    let trial = trial(LOGS)
        .await
        .rules(&[json!({"grounds": [{"name": "age", "from": ["at"], "for": "P7D"}], "action": "delete"})]);
    let report = trial.run().await;
    assert_eq!(report.result, RunResult::Done, "{report:?}");
    assert_eq!(report.rules[0].affected, 833);
    assert_eq!(trial.ids().await, (1..168).collect::<Vec<_>>());
    assert_eq!(
        oldest_in_hours(&report),
        Some(167),
        "the oldest that is left, not the oldest that was"
    );
}

#[tokio::test]
async fn rows_past_their_period_go_and_no_others_along_an_index() {
    let trial = trial(&format!("{LOGS} CREATE INDEX ON t (at);"))
        .await
        .rules(&[json!({"grounds": [{"name": "age", "from": ["at"], "for": "P7D"}], "action": "delete"})]);
    let report = trial.run().await;
    assert_eq!(report.result, RunResult::Done, "{report:?}");
    assert_eq!(report.rules[0].affected, 833);
    assert_eq!(trial.ids().await, (1..168).collect::<Vec<_>>());
    assert_eq!(
        oldest_in_hours(&report),
        Some(167),
        "the oldest that is left, not the oldest that was"
    );
    let again = trial.run().await;
    assert_eq!(again.result, RunResult::NothingDue);
    assert_eq!(again.rules[0].affected, 0);
}
