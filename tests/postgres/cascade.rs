//! `dependents` and `emptyParents`: what goes with a row, and what keeps it.

use privacy_operator::contract::{Reason, RunResult, WorkReport};
use serde_json::{Value, json};

use crate::harness::{Trial, rule, trial};

/// Applications (`t`) of candidates (`p`) of agencies (`q`), with files (`f`) that have pages (`g`).
pub const SCHEMA: &str = "CREATE TABLE q (id int PRIMARY KEY);
    CREATE TABLE p (id int PRIMARY KEY, q int REFERENCES q, kept bool NOT NULL DEFAULT false);
    CREATE TABLE t (id int PRIMARY KEY, p int REFERENCES p, at timestamptz NOT NULL DEFAULT now() - interval '30 days');
    CREATE TABLE f (id int PRIMARY KEY, t int REFERENCES t, kept bool NOT NULL DEFAULT false);
    CREATE TABLE g (id int PRIMARY KEY, f int REFERENCES f);";

/// Two candidates of one agency with an application each, a third with one that is young, a fourth with both.
pub const ROWS: &str = "INSERT INTO q VALUES (1), (2); INSERT INTO p VALUES (1, 1), (2, 1), (3, 2), (4, 2);
    INSERT INTO t VALUES (1, 1), (2, 2), (4, 4), (6, NULL); INSERT INTO t VALUES (3, 3, now()), (5, 4, now());
    INSERT INTO f VALUES (11, 1), (12, 1), (21, 2), (31, 3), (99, NULL); INSERT INTO g VALUES (111, 11), (112, 11), (211, 21), (311, 31), (999, 99);";

fn tie(table: &str, ours: &str, theirs: &str) -> Value {
    json!({"schema": "public", "table": table, "columns": [[ours, theirs]]})
}

pub fn dependents() -> Value {
    json!([{"of": 0, "relation": tie("f", "id", "t")}, {"of": 1, "relation": tie("g", "id", "f")}])
}

pub fn parents() -> Value {
    json!([{"of": 0, "relation": tie("p", "p", "id")}, {"of": 1, "relation": tie("q", "q", "id")}])
}

pub fn deletes(cascade: Value) -> Value {
    json!({"grounds": [{"name": "age", "from": ["at"], "for": "P7D"}], "action": "delete", "cascade": cascade})
}

pub fn both() -> Value {
    deletes(json!({"dependents": dependents(), "parents": parents()}))
}

/// A rule of a table that keeps its rows while `kept`.
pub fn keeps(table: &str, bound: &str, action: &str) -> Value {
    let ground =
        json!({"name": "law", "bound": bound, "when": [{"column": "kept", "operator": "In", "values": ["true"]}]});
    json!({"name": format!("law-{table}"), "table": table, "grounds": [ground], "action": action})
}

/// Affected, of other tables with them, due, kept by a dependent.
pub fn counts(report: &WorkReport) -> (i64, i64, i64, i64) {
    let rule = &report.rules[0];
    assert!(report.rules.iter().all(|rule| rule.problem.is_none()), "{report:?}");
    (rule.affected, rule.cascaded, rule.due, rule.kept_by_dependent)
}

async fn ids(trial: &Trial<'_>, table: &str) -> String {
    let sql = format!("SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '') FROM {table}");
    trial.texts(&sql).await.concat()
}

pub async fn left(trial: &Trial<'_>) -> [String; 5] {
    [
        ids(trial, "q").await,
        ids(trial, "p").await,
        ids(trial, "t").await,
        ids(trial, "f").await,
        ids(trial, "g").await,
    ]
}

#[tokio::test]
async fn a_row_goes_with_what_hangs_on_it_and_leaves_no_empty_parent() {
    for index in ["", "CREATE INDEX ON t (at); ANALYZE t;"] {
        let trial = trial(&format!("{SCHEMA}{ROWS}{index}")).await.rules(&[both()]);
        assert_eq!(counts(&trial.run().await), (4, 9, 0, 0), "{index}");
        assert_eq!(left(&trial).await, ["2", "3 4", "3 5", "31 99", "311 999"]);
        assert_eq!(trial.run().await.result, RunResult::NothingDue);
    }
}

#[tokio::test]
async fn observing_counts_what_would_go_and_touches_nothing() {
    let mut trial = trial(&format!("{SCHEMA}{ROWS}")).await.rules(&[both()]);
    trial.plan.mode = privacy_operator::contract::Mode::Observe;
    let before = left(&trial).await;
    assert_eq!(counts(&trial.run().await), (0, 9, 4, 0));
    assert_eq!(left(&trial).await, before);
    trial.plan.mode = privacy_operator::contract::Mode::Enforce;
    trial.plan.limits.max_rows = Some(12);
    let report = trial.run().await;
    assert_eq!(report.result, RunResult::Halted);
    assert!(report.problem.unwrap().detail.contains("13 rows"));
    assert_eq!(left(&trial).await, before);
    trial.plan.limits.max_rows = Some(13);
    assert_eq!(counts(&trial.run().await), (4, 9, 0, 0));
}

#[tokio::test]
async fn one_row_that_must_stay_keeps_its_tree_and_no_other() {
    for (bound, action, stays) in [
        ("Minimum", "protect", true),
        ("Exact", "protect", true),
        ("Exact", "delete", true),
        ("Maximum", "delete", false),
    ] {
        let trial = trial(&format!(
            "{SCHEMA}{ROWS} UPDATE f SET kept = true WHERE id IN (12, 31, 99)"
        ))
        .await
        .rules(&[both(), keeps("f", bound, action)]);
        let found = counts(&trial.run().await);
        let expected = if stays { (3, 3, 0, 1) } else { (4, 9, 0, 0) };
        assert_eq!(found, expected, "{bound} {action}");
        let kept = if stays { "1 3 5" } else { "3 5" };
        assert_eq!(ids(&trial, "t").await, kept);
    }
    // Of another policy, and of a rule for the tables at the far end.
    let mut trial = trial(&format!(
        "{SCHEMA} ALTER TABLE g ADD kept bool; {ROWS} UPDATE g SET kept = true WHERE id = 211"
    ))
    .await
    .rules(&[both()]);
    let mut other = keeps("g", "Minimum", "protect");
    other["name"] = json!("other/law");
    trial.plan.protections = vec![rule(other)];
    assert_eq!(counts(&trial.run().await), (3, 5, 0, 1));
    assert_eq!(left(&trial).await, ["1 2", "2 3 4", "2 3 5", "21 31 99", "211 311 999"]);
}

#[tokio::test]
async fn a_foreign_key_that_is_not_listed_keeps_the_tree() {
    for (table, column, value) in [("t", "t", 2), ("f", "f", 21), ("g", "g", 211)] {
        let more = format!("CREATE TABLE u ({column} int REFERENCES {table}); INSERT INTO u VALUES ({value}), (NULL);");
        let trial = trial(&format!("{SCHEMA}{ROWS}{more}")).await.rules(&[both()]);
        assert_eq!(counts(&trial.run().await), (3, 5, 0, 1), "{table}");
        assert_eq!(ids(&trial, "t").await, "2 3 5");
        trial.database.execute("TRUNCATE u").await;
        assert_eq!(counts(&trial.run().await), (1, 4, 0, 0));
    }
}

#[tokio::test]
async fn rows_of_one_tree_may_point_at_each_other_and_those_of_two_keep_one_of_them() {
    // Pages know their application as well, and files of an application may name a page of theirs.
    let more =
        "ALTER TABLE g ADD t int REFERENCES t; UPDATE g SET t = 1 WHERE id = 111; UPDATE g SET t = 1 WHERE id = 311;
        ALTER TABLE f ADD master int REFERENCES f; UPDATE f SET master = 11 WHERE id IN (11, 12);";
    let trial = trial(&format!("{SCHEMA}{ROWS}{more}")).await.rules(&[both()]);
    // 311 hangs on the young 3 and points at 1.
    assert_eq!(counts(&trial.run().await), (3, 3, 0, 1));
    assert_eq!(ids(&trial, "t").await, "1 3 5");
    trial.database.execute("UPDATE g SET t = NULL WHERE id = 311").await;
    assert_eq!(counts(&trial.run().await), (1, 6, 0, 0));
    assert_eq!(left(&trial).await, ["2", "3 4", "3 5", "31 99", "311 999"]);
}

#[tokio::test]
async fn dependents_go_in_an_order_that_no_foreign_key_forbids() {
    // Both hang on the application; the one that is listed first points at the other.
    let schema = "CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now() - interval '30 days'); CREATE TABLE a (id int PRIMARY KEY, t int REFERENCES t);
        CREATE TABLE b (id int PRIMARY KEY, t int REFERENCES t, a int REFERENCES a); INSERT INTO t VALUES (1), (2); INSERT INTO a VALUES (1, 1), (2, 2); INSERT INTO b VALUES (1, 1, 1), (2, 2, 2);";
    let entries = |first: &str, second: &str| json!({"dependents": [{"of": 0, "relation": tie(first, "id", "t")}, {"of": 0, "relation": tie(second, "id", "t")}]});
    for cascade in [entries("a", "b"), entries("b", "a")] {
        let trial_ = trial(schema).await.rules(&[deletes(cascade.clone())]);
        assert_eq!(counts(&trial_.run().await), (2, 4, 0, 0));
        let circle = format!("{schema} ALTER TABLE a ADD b int REFERENCES b DEFERRABLE;");
        let report = trial(&circle).await.rules(&[deletes(cascade)]).run().await;
        let problem = report.rules[0].problem.as_ref().unwrap();
        assert_eq!(
            (problem.reason, problem.field.as_str()),
            (Reason::UnsupportedTable, "rules[rule].then.delete.dependents")
        );
    }
}

#[tokio::test]
async fn a_parent_that_must_stay_stays_and_never_keeps_its_child() {
    for (bound, action, stays) in [
        ("Minimum", "protect", true),
        ("Exact", "delete", true),
        ("Maximum", "delete", false),
    ] {
        let trial = trial(&format!("{SCHEMA}{ROWS} UPDATE p SET kept = true WHERE id = 2"))
            .await
            .rules(&[both(), keeps("p", bound, action)]);
        let expected = if stays { (4, 7, 0, 0) } else { (4, 9, 0, 0) };
        assert_eq!(counts(&trial.run().await), expected, "{bound}");
        // Their agency is empty only when both are gone.
        assert_eq!(ids(&trial, "p").await, if stays { "2 3 4" } else { "3 4" });
        assert_eq!(ids(&trial, "q").await, if stays { "1 2" } else { "2" });
    }
    // By a foreign key of some table, and by a relation that is only declared.
    for key in ["REFERENCES p", ""] {
        let mut rule = both();
        rule["cascade"]["parents"][0]["pointedAtBy"] = json!([tie("u", "id", "p")]);
        let trial = trial(&format!(
            "{SCHEMA}{ROWS} CREATE TABLE u (p int {key}); INSERT INTO u VALUES (1), (NULL);"
        ))
        .await
        .rules(&[rule]);
        let report = trial.run().await;
        assert_eq!(counts(&report), (4, 7, 0, 0), "{key}");
        assert_eq!(report.rules[0].race_window, key.is_empty());
        assert_eq!(ids(&trial, "p").await, "1 3 4");
    }
}

#[tokio::test]
async fn what_the_server_would_do_by_itself_must_be_named() {
    let cascading = SCHEMA
        .replace("f int REFERENCES f", "f int REFERENCES f ON DELETE CASCADE")
        .replace("t int REFERENCES t", "t int REFERENCES t ON DELETE CASCADE")
        .replace("p int REFERENCES p", "p int REFERENCES p ON DELETE CASCADE");
    let trial_ = trial(&format!("{cascading}{ROWS}")).await.rules(&[both()]);
    assert_eq!(counts(&trial_.run().await), (4, 9, 0, 0));
    let cases = [
        (
            "CREATE TABLE u (f int REFERENCES f ON DELETE SET NULL)",
            "then.delete.dependents[0]",
        ),
        (
            "CREATE TABLE u (p int REFERENCES p ON DELETE CASCADE)",
            "then.delete.emptyParents[0]",
        ),
        ("CREATE TABLE u (t int REFERENCES t ON DELETE CASCADE)", "dataset"),
        (
            "CREATE FUNCTION n() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'; CREATE TRIGGER n BEFORE DELETE ON g FOR EACH ROW EXECUTE FUNCTION n()",
            "then.delete.dependents[1]",
        ),
    ];
    for (more, field) in cases {
        let trial = trial(&format!("{SCHEMA}{ROWS}{more}")).await.rules(&[both()]);
        let report = trial.run().await;
        let problem = report.rules[0].problem.as_ref().unwrap();
        assert_eq!(
            (problem.reason, problem.field.clone()),
            (Reason::UndeclaredCascade, format!("rules[rule].{field}"))
        );
        assert_eq!(ids(&trial, "t").await, "1 2 3 4 5 6");
    }
}

#[tokio::test]
async fn each_missing_right_is_named_by_its_grant() {
    let trial = trial(&format!("{SCHEMA}{ROWS}")).await.rules(&[both()]);
    let role = &trial.role;
    for (right, table, field, says) in [
        ("DELETE", "f", "dependents[0]", "GRANT DELETE ON \"public\".\"f\""),
        (
            "UPDATE",
            "g",
            "dependents[1]",
            "GRANT UPDATE (\"f\") ON \"public\".\"g\"",
        ),
        ("DELETE", "p", "emptyParents[0]", "GRANT DELETE ON \"public\".\"p\""),
        (
            "UPDATE",
            "q",
            "emptyParents[1]",
            "GRANT UPDATE (\"id\") ON \"public\".\"q\"",
        ),
    ] {
        trial
            .database
            .execute(&format!("REVOKE {right} ON {table} FROM \"{role}\""))
            .await;
        let report = trial.run().await;
        let problem = report.rules[0].problem.as_ref().unwrap();
        assert_eq!(
            (problem.reason, problem.field.clone()),
            (Reason::MissingGrant, format!("rules[rule].then.delete.{field}"))
        );
        assert!(problem.detail.ends_with(says), "{}", problem.detail);
        trial
            .database
            .execute(&format!("GRANT {right} ON {table} TO \"{role}\""))
            .await;
    }
    assert_eq!(counts(&trial.run().await), (4, 9, 0, 0));
}

#[tokio::test]
async fn a_row_that_could_hang_on_two_is_refused() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, kind int, at timestamptz); CREATE TABLE f (kind int)";
    let cascade = json!({"dependents": [{"of": 0, "relation": tie("f", "kind", "kind")}]});
    let report = trial(schema).await.rules(&[deletes(cascade)]).run().await;
    let problem = report.rules[0].problem.as_ref().unwrap();
    assert_eq!(problem.reason, Reason::RelationNotUnique);
    assert_eq!(problem.field, "rules[rule].then.delete.dependents[0].relation");
}

#[tokio::test]
async fn the_newest_keep_what_hangs_on_them() {
    let mut newest = both();
    newest["keepNewest"] = json!({"count": 1, "per": ["p"], "orderBy": "at"});
    newest["grounds"] = json!([]);
    let trial = trial(&format!("{SCHEMA}{ROWS}")).await.rules(&[newest]);
    // Only candidate 4 has two applications; 4 is the older.
    trial.database.execute("INSERT INTO f VALUES (41, 4)").await;
    assert_eq!(counts(&trial.run().await), (1, 1, 0, 0));
    assert_eq!(ids(&trial, "t").await, "1 2 3 5 6");
}
