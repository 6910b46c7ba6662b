//! What cannot be exported exactly is refused, with the place where it stands and the reason.

use privacy_operator::contract::Reason;
use privacy_operator::contract::export::{ExportReport, ExportResult};
use serde_json::{Value, json};

use crate::harness::trial;

async fn refused(schema: &str, datasets: Value) -> (Reason, String, String) {
    let trial = trial(schema, datasets, json!([])).await.of(&[("user_id", "1")]);
    let report: ExportReport = trial.run().await;
    assert_eq!(report.result, ExportResult::Failed, "{report:?}");
    assert!(trial.volume().is_empty());
    let problem = report.problem.unwrap();
    (problem.reason, problem.field, problem.detail)
}

fn one(table: &str, mut rest: Value) -> Value {
    let mut dataset = json!({"name": "t", "schema": "public", "table": table, "subjects": [{"identity": "user_id", "by": {"column": "id"}}]});
    for (key, value) in rest.as_object_mut().unwrap() {
        dataset[key] = value.take();
    }
    json!([dataset])
}

#[tokio::test]
async fn each_mistake_is_refused_with_its_place() {
    let table = "CREATE TABLE t (id int PRIMARY KEY, secret text)";
    for (schema, datasets, reason, place) in [
        (
            table,
            one("missing", json!({})),
            Reason::UnknownTable,
            "datasets[t].table",
        ),
        (
            table,
            one("t", json!({"fields": [{"column": "Secret"}]})),
            Reason::UnknownColumn,
            "datasets[t].fields[Secret]",
        ),
        (
            table,
            one("t", json!({"key": ["nr"]})),
            Reason::UnknownColumn,
            "datasets[t].key",
        ),
        (
            "CREATE TABLE s (id int); CREATE VIEW t AS SELECT * FROM s",
            one("t", json!({})),
            Reason::UnsupportedTable,
            "datasets[t].table",
        ),
        (
            "CREATE TABLE t (id int); ALTER TABLE t ENABLE ROW LEVEL SECURITY",
            one("t", json!({})),
            Reason::RowLevelSecurity,
            "datasets[t].table",
        ),
        (
            table,
            one(
                "t",
                json!({"subjects": [{"identity": "user_id", "by": {"through": "nobody"}}]}),
            ),
            Reason::InvalidPlan,
            "datasets[t].subjects[0]",
        ),
        (
            table,
            one(
                "t",
                json!({"subjects": [{"identity": "user_id", "by": {"through": "self"}}],
            "relations": [{"name": "self", "dataset": "t", "columns": {"id": "id"}}]}),
            ),
            Reason::InvalidPlan,
            "datasets[t]",
        ),
        (
            table,
            one(
                "t",
                json!({"subjects": [{"identity": "user_id", "by": {"column": "id"}, "otherPartyColumns": ["nobody"]}]}),
            ),
            Reason::UnknownColumn,
            "otherPartyColumns",
        ),
    ] {
        let (found, field, detail) = refused(schema, datasets.clone()).await;
        assert_eq!(found, reason, "{datasets}: {field}: {detail}");
        assert!(
            field.contains(place) && field.starts_with("DataSource shop-db"),
            "{field}"
        );
    }
}

#[tokio::test]
async fn a_right_that_is_missing_is_named() {
    let trial = trial(
        "CREATE TABLE t (id int PRIMARY KEY, words text)",
        one("t", json!({"fields": [{"column": "words"}]})),
        json!([]),
    )
    .await;
    trial
        .database
        .execute(&format!(
            "REVOKE SELECT ON t FROM \"{0}\"; GRANT SELECT (id, ctid) ON t TO \"{0}\"",
            trial.role
        ))
        .await;
    let trial = trial.of(&[("user_id", "1")]);
    let problem = trial.run().await.problem.unwrap();
    assert_eq!(
        (problem.reason, problem.detail.as_str()),
        (Reason::MissingGrant, "GRANT SELECT (\"words\") ON \"public\".\"t\"")
    );
}

/// A secret column needs no right: it is never read.
#[tokio::test]
async fn a_secret_is_never_read_and_needs_no_right() {
    let fields = json!({"fields": [{"column": "words"}, {"column": "token", "secret": true}]});
    let trial = trial(
        "CREATE TABLE t (id int PRIMARY KEY, words text, token text); INSERT INTO t VALUES (1, 'hello', 'canary')",
        one("t", fields),
        json!([]),
    )
    .await;
    trial
        .database
        .execute(&format!(
            "REVOKE SELECT ON t FROM \"{0}\"; GRANT SELECT (id, ctid, words) ON t TO \"{0}\"",
            trial.role
        ))
        .await;
    let (_, opened) = trial.of(&[("user_id", "1")]).delivered().await;
    assert_eq!(opened.column("t", "words"), ["hello"]);
}

/// Partitions, names in need of quotes, a table without a key.
#[tokio::test]
async fn unusual_tables_are_exported_like_others() {
    let schema = "CREATE TABLE \"Odd \"\"name\" (\"Wer?\" text, \"a.b\" text, long text) PARTITION BY HASH (\"Wer?\");
        CREATE TABLE p0 PARTITION OF \"Odd \"\"name\" FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE p1 PARTITION OF \"Odd \"\"name\" FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        INSERT INTO \"Odd \"\"name\" SELECT 'p' || i % 10, 'v' || i, repeat('x' || i, 10000) FROM generate_series(1, 100) i";
    let datasets = json!([{"name": "odd", "schema": "public", "table": "Odd \"name", "subjects": [{"identity": "user_id", "by": {"column": "Wer?"}}],
        "fields": [{"column": "a.b"}, {"column": "long"}]}]);
    let trial = trial(schema, datasets, json!([])).await.of(&[("user_id", "p7")]);
    let (_, opened) = trial.delivered().await;
    let mut found = opened.column("odd", "a.b");
    found.sort();
    assert_eq!(
        found,
        ["v17", "v27", "v37", "v47", "v57", "v67", "v7", "v77", "v87", "v97"]
    );
    for row in opened.rows("odd") {
        let number = row["a.b"].as_str().unwrap().trim_start_matches('v').to_owned();
        assert!(
            row["long"] == format!("x{number}").repeat(10_000),
            "a long value is that of its row"
        );
    }
}
