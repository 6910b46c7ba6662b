//! Conditions: which rows a rule is about. On the real clock; times are far from it unless a test says so.

use privacy_operator::contract::Reason;
use serde_json::{Value, json};

use crate::harness::trial;

const TABLE: &str = "CREATE TYPE mood AS ENUM ('good', 'bad');
    CREATE TABLE t (id int PRIMARY KEY, kind text, flag bool, number int, big bigint, mood mood, code varchar(9), fixed char(4), ref uuid,
                    amount numeric, at timestamptz, other timestamptz, wall timestamp, day date, day2 date, hit bool DEFAULT false);";

/// The rows for which the condition holds: those that a rule with it in `rows` sets.
async fn holds(rows: &str, condition: Value) -> Vec<String> {
    let trial = trial(&format!("{TABLE} {rows}")).await.rules(&[json!({
        "rows": [condition], "grounds": [], "action": {"set": [{"column": "hit", "value": "true"}]},
        "columnTimeZones": {"wall": "Europe/Berlin", "day": "Europe/Berlin", "day2": "Europe/Berlin"}
    })]);
    let report = trial.run().await;
    assert_eq!(
        (&report.problem, &report.rules[0].problem),
        (&None, &None),
        "{condition}: {report:?}"
    );
    trial.texts("SELECT id::text FROM t WHERE hit ORDER BY id").await
}

async fn compare(column: &str, operator: &str, values: &[&str], rows: &str) -> Vec<String> {
    holds(rows, json!({"column": column, "operator": operator, "values": values})).await
}

#[tokio::test]
async fn in_does_not_hold_for_null_and_not_in_does() {
    let rows = "INSERT INTO t (id, kind) VALUES (1, 'a'), (2, 'b'), (3, NULL), (4, ''), (5, 'A')";
    assert_eq!(compare("kind", "In", &["a", ""], rows).await, ["1", "4"]);
    assert_eq!(compare("kind", "NotIn", &["a", ""], rows).await, ["2", "3", "5"]);
}

#[tokio::test]
async fn values_are_read_as_the_type_of_the_column() {
    let rows = "INSERT INTO t (id, flag, number, big, mood, code, ref, amount) VALUES
        (1, true, 7, 9223372036854775807, 'good', 'x', '00000000-0000-0000-0000-00000000000a', 1.50), (2, false, -7, 0, 'bad', 'y', NULL, 2), (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL)";
    assert_eq!(compare("flag", "In", &["false"], rows).await, ["2"]);
    assert_eq!(compare("flag", "NotIn", &["true"], rows).await, ["2", "3"]);
    assert_eq!(compare("number", "In", &["-7", "8"], rows).await, ["2"]);
    assert_eq!(compare("big", "In", &["9223372036854775807"], rows).await, ["1"]);
    assert_eq!(compare("mood", "NotIn", &["good"], rows).await, ["2", "3"]);
    assert_eq!(compare("code", "In", &["x"], rows).await, ["1"]);
    assert_eq!(
        compare("ref", "In", &["00000000-0000-0000-0000-00000000000A"], rows).await,
        ["1"]
    );
    assert_eq!(compare("amount", "In", &["1.5"], rows).await, ["1"]);
}

#[tokio::test]
async fn exists_means_not_null_and_does_not_exist_means_null() {
    let rows = "INSERT INTO t (id, kind, at) VALUES (1, '', 'infinity'), (2, NULL, NULL)";
    for column in ["kind", "at"] {
        assert_eq!(
            holds(rows, json!({"column": column, "operator": "Exists"})).await,
            ["1"]
        );
        assert_eq!(
            holds(rows, json!({"column": column, "operator": "DoesNotExist"})).await,
            ["2"]
        );
    }
}

#[tokio::test]
async fn time_operators_tell_earlier_equal_and_later_apart_and_do_not_hold_for_null() {
    let rows = "INSERT INTO t (id, at) VALUES (1, '2026-01-01T11:59:59.999999Z'), (2, '2026-01-01T12:00Z'), (3, '2026-01-01T12:00:00.000001Z'), (4, NULL), (5, '-infinity'), (6, 'infinity')";
    for (operator, expected) in [
        ("Before", vec!["1", "5"]),
        ("NotBefore", vec!["2", "3", "6"]),
        ("After", vec!["3", "6"]),
        ("NotAfter", vec!["1", "2", "5"]),
    ] {
        assert_eq!(
            compare("at", operator, &["2026-01-01T13:00:00+01:00"], rows).await,
            expected,
            "{operator}"
        );
    }
}

#[tokio::test]
async fn now_is_the_time_of_the_store() {
    let rows =
        "INSERT INTO t (id, at) VALUES (1, now() - interval '1 minute'), (2, now() + interval '10 minutes'), (3, NULL)";
    assert_eq!(compare("at", "Before", &["now"], rows).await, ["1"]);
    assert_eq!(compare("at", "After", &["now"], rows).await, ["2"]);
    let rows = "INSERT INTO t (id, wall) VALUES (1, now() AT TIME ZONE 'Europe/Berlin' - interval '1 minute'), (2, now() AT TIME ZONE 'Europe/Berlin' + interval '10 minutes')";
    assert_eq!(compare("wall", "NotAfter", &["now"], rows).await, ["1"]);
    assert_eq!(compare("wall", "NotBefore", &["now"], rows).await, ["2"]);
}

#[tokio::test]
async fn a_column_is_compared_with_another_column_of_its_row() {
    let rows = "INSERT INTO t (id, at, other, day, day2) VALUES (1, '2026-01-01', '2026-01-02', '2026-01-01', '2026-01-02'), (2, '2026-01-02', '2026-01-02', '2026-01-02', '2026-01-02'),
        (3, '2026-01-03', '2026-01-02', '2026-01-03', '2026-01-02'), (4, NULL, '2026-01-02', NULL, '2026-01-02'), (5, '2026-01-02', NULL, '2026-01-02', NULL), (6, NULL, NULL, NULL, NULL)";
    for (column, other) in [("at", "other"), ("day", "day2")] {
        for (operator, expected) in [
            ("Before", vec!["1"]),
            ("NotBefore", vec!["2", "3"]),
            ("After", vec!["3"]),
            ("NotAfter", vec!["1", "2"]),
        ] {
            let found = holds(
                rows,
                json!({"column": column, "operator": operator, "otherColumn": other}),
            )
            .await;
            assert_eq!(found, expected, "{column} {operator}");
        }
    }
}

#[tokio::test]
async fn a_value_that_does_not_fit_the_column_is_refused_and_nothing_goes() {
    for (column, operator, value) in [
        ("number", "In", "many"),
        ("flag", "NotIn", "perhaps"),
        ("mood", "In", "dreadful"),
        ("ref", "In", "x"),
        ("at", "Before", "yesterday"),
    ] {
        let rule = json!({"rows": [{"column": column, "operator": operator, "values": [value]}], "action": "delete",
                          "grounds": [{"name": "a", "from": ["at"], "for": "P7D"}]});
        let trial = trial(&format!("{TABLE} INSERT INTO t (id, at) VALUES (1, '2020-01-01')"))
            .await
            .rules(&[rule]);
        let report = trial.run().await;
        let problem = report.rules[0].problem.clone().unwrap();
        assert_eq!(problem.reason, Reason::InvalidValue, "{column}: {problem:?}");
        assert_eq!(trial.ids().await, [1]);
    }
}
