//! A table that is not what its dataset says: what is gone stops the rule before its first write, what came does not.

use privacy_operator::contract::{DeclaredTable, Reason, RunResult};
use serde_json::json;

use crate::harness::{Trial, trial};
use crate::trouble::{age, fingerprint, problem_of};

const TABLES: &str = "CREATE TABLE t (id int, at timestamptz, note text); CREATE TABLE u (id int, at timestamptz);
    INSERT INTO t SELECT i, now() - interval '1 year', 'x' FROM generate_series(1, 5) i; INSERT INTO u SELECT id, at FROM t;";

async fn declared(columns: &[&str]) -> Trial<'static> {
    let mut of_u = age();
    (of_u["name"], of_u["table"]) = (json!("other"), json!("u"));
    let mut trial = trial(TABLES).await.rules(&[age(), of_u]);
    trial.plan.declared = vec![DeclaredTable {
        schema: "public".to_owned(),
        table: "t".to_owned(),
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
    }];
    trial
}

#[tokio::test]
async fn a_declared_column_that_is_gone_stops_its_rule_though_the_rule_does_not_use_it() {
    let trial = declared(&["at", "consent", "id", "note", "withdrawn_at"]).await;
    let before = fingerprint(&trial).await;
    let report = trial.run().await;
    let problem = problem_of(&report, 0, Reason::SchemaDrift, "rules[rule].dataset");
    assert!(
        problem.detail.contains("no column consent, withdrawn_at"),
        "{problem:?}"
    );
    assert_eq!(
        (report.rules[1].affected, report.result),
        (5, RunResult::Failed),
        "the other table is as it was"
    );
    assert_eq!(before["public.t"], fingerprint(&trial).await["public.t"]);
    // Brought back, the rule goes on.
    trial
        .database
        .execute("ALTER TABLE t ADD consent text, ADD withdrawn_at timestamptz")
        .await;
    assert_eq!(trial.run().await.rules[0].affected, 5);
}

#[tokio::test]
async fn a_column_that_came_stops_nothing() {
    let trial = declared(&["at", "id"]).await;
    let report = trial.run().await;
    assert_eq!(
        (report.rules[0].affected, report.result),
        (5, RunResult::Done),
        "{report:?}"
    );
}
