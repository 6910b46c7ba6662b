//! `keepNewest`: so many rows of each group stay, whatever happens beside the sweep.

use privacy_operator::contract::{Reason, WorkReport};
use serde_json::{Value, json};

use crate::harness::{Trial, trial};
use crate::runs::{number, until};

/// Rows of two users and of nobody, one a day, the last the newest.
const ROWS: &str = "CREATE TABLE t (id int PRIMARY KEY, who text, at timestamptz, kind text);
    INSERT INTO t SELECT i, CASE i % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'b' END, now() - (30 - i) * interval '1 day', 'x' FROM generate_series(1, 18) i;";

fn newest(count: i64, per: &[&str]) -> Value {
    json!({"keepNewest": {"count": count, "per": per, "orderBy": "at"}, "action": "delete"})
}

fn counts(report: &WorkReport) -> Vec<(i64, i64, i64)> {
    let rules = report.rules.iter();
    rules
        .map(|rule| (rule.affected, rule.due, rule.no_ground_applies))
        .collect()
}

async fn left(trial: &Trial<'_>) -> Vec<i64> {
    let report = trial.run().await;
    assert!(report.rules.iter().all(|rule| rule.problem.is_none()), "{report:?}");
    let left = trial.ids().await;
    let again = trial.run().await;
    assert!(
        again.rules.iter().all(|rule| (rule.affected, rule.due) == (0, 0)),
        "{again:?}"
    );
    left
}

#[tokio::test]
async fn of_each_group_so_many_stay_and_rows_of_no_group_do() {
    for index in [
        "",
        "CREATE INDEX ON t (who);",
        "CREATE INDEX ON t (at); ALTER TABLE t ALTER at SET NOT NULL; ANALYZE t;",
    ] {
        let schema = format!("{ROWS}{index}");
        // Of a: 3, 6, 9, 12, 15, 18. Of b: 1, 4, 7, 10, 13, 16. Of nobody: 2, 5, 8, 11, 14, 17.
        let per_user = trial(&schema).await.rules(&[newest(2, &["who"])]);
        let report = per_user.run().await;
        assert_eq!(counts(&report), [(8, 0, 0)], "{report:?}");
        assert_eq!(per_user.ids().await, [2, 5, 8, 11, 13, 14, 15, 16, 17, 18]);
        let whole = trial(&schema).await.rules(&[newest(4, &[])]);
        assert_eq!(left(&whole).await, [15, 16, 17, 18]);
        let more_than_there_are = trial(&schema).await.rules(&[newest(6, &["who"])]);
        assert_eq!(left(&more_than_there_are).await.len(), 18);
    }
}

#[tokio::test]
async fn of_equal_times_the_key_decides_and_no_time_is_the_oldest() {
    for index in ["", "CREATE INDEX ON t (who);", "CREATE INDEX ON t (who, at);"] {
        let schema = format!(
            "CREATE TABLE t (id int PRIMARY KEY, who text, at timestamptz); INSERT INTO t VALUES
             (9, 'a', NULL), (8, 'a', NULL), (1, 'a', 'infinity'), (2, 'a', '2020-01-01'), (4, 'a', '2020-01-01'), (3, 'a', '2020-01-01'), (5, 'a', '-infinity'); {index}"
        );
        for (count, stay) in [
            (1, vec![1]),
            (3, vec![1, 3, 4]),
            (5, vec![1, 2, 3, 4, 5]),
            (6, vec![1, 2, 3, 4, 5, 9]),
        ] {
            let trial = trial(&schema).await.rules(&[newest(count, &["who"])]);
            assert_eq!(left(&trial).await, stay, "{count} {index}");
        }
    }
}

#[tokio::test]
async fn only_rows_that_the_rule_is_about_and_that_other_rules_leave_are_counted() {
    let mut about = newest(2, &[]);
    about["rows"] = json!([{"column": "kind", "operator": "In", "values": ["x"]}]);
    let trial_of_kind = trial(&format!("{ROWS} UPDATE t SET kind = 'y' WHERE id IN (18, 3, 2)"))
        .await
        .rules(&[about]);
    assert_eq!(left(&trial_of_kind).await, [2, 3, 16, 17, 18]);

    // The newest by time are due by another rule, which comes later in the policy, and cannot run at all in the second case.
    let other = json!({"name": "other", "rows": [{"column": "who", "operator": "In", "values": ["a"]}],
        "grounds": [{"name": "age", "from": ["at"], "for": "P1D"}], "action": "delete"});
    let trial = trial(ROWS).await.rules(&[newest(2, &[]), other]);
    let admin = trial.database.admin().await;
    admin
        .batch_execute("BEGIN; SELECT FROM t WHERE id = 18 FOR UPDATE")
        .await
        .unwrap();
    let report = trial.run().await;
    assert_eq!(counts(&report), [(10, 0, 0), (5, 1, 0)], "{report:?}");
    assert_eq!(trial.ids().await, [16, 17, 18]);
    admin.batch_execute("COMMIT").await.unwrap();
    assert_eq!(left(&trial).await, [16, 17]);
}

#[tokio::test]
async fn the_newest_stay_though_their_grounds_have_ended_and_protect_from_no_other_rule() {
    let mut both = newest(2, &[]);
    both["grounds"] =
        json!([{"name": "age", "from": ["at"], "for": "P15D", "when": [{"column": "who", "operator": "Exists"}]}]);
    // Older than 15 days: 1 to 15; of nobody: 2, 5, 8, 11, 14, 17.
    let trial_of_both = trial(ROWS).await.rules(&[both.clone()]);
    let report = trial_of_both.run().await;
    assert_eq!(counts(&report), [(10, 0, 6)], "{report:?}");
    assert_eq!(trial_of_both.ids().await, [2, 5, 8, 11, 14, 16, 17, 18]);
    both["name"] = json!("other");
    both["grounds"][0]["for"] = json!("P1D");
    both["keepNewest"]["count"] = json!(12);
    // A ground of the one protects from the other; being among the newest does not.
    let minimum = json!({"name": "law", "action": "protect", "rows": [{"column": "id", "operator": "In", "values": ["1"]}], "grounds": [{"name": "law", "bound": "Minimum"}]});
    let two = trial(ROWS).await.rules(&[newest(3, &[]), both, minimum]);
    assert_eq!(left(&two).await, [1, 16, 17, 18]);
}

#[tokio::test]
async fn masks_of_what_is_not_among_the_newest_are_written_once() {
    let mut mask = newest(2, &["who"]);
    mask["action"] = json!({"mask": [{"column": "kind", "strategy": "Nullify"}]});
    let trial = trial(ROWS).await.rules(&[mask]);
    let report = trial.run().await;
    assert_eq!(counts(&report), [(8, 0, 0)]);
    assert_eq!(
        trial
            .texts("SELECT string_agg(id::text, ' ' ORDER BY id) FROM t WHERE kind IS NULL")
            .await,
        ["1 3 4 6 7 9 10 12"]
    );
    assert_eq!(counts(&trial.run().await), [(0, 0, 0)]);
}

#[tokio::test]
async fn partitions_are_one_table() {
    let schema = "CREATE TABLE t (id int, who text NOT NULL, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (MINVALUE) TO ('2020-02-01'); CREATE TABLE t2 PARTITION OF t FOR VALUES FROM ('2020-02-01') TO (MAXVALUE);
        INSERT INTO t SELECT i, 'a', timestamptz '2020-01-22' + i * interval '1 day' FROM generate_series(1, 18) i;";
    for index in ["", "CREATE INDEX ON t (who)"] {
        let trial = trial(&format!("{schema}{index}")).await.rules(&[newest(11, &["who"])]);
        assert_eq!(left(&trial).await, (8..=18).collect::<Vec<_>>(), "{index}");
    }
}

#[tokio::test]
async fn what_cannot_be_put_in_order_is_refused_with_the_field() {
    let cases = [
        (
            "CREATE TABLE t (id int, who text, at timestamptz)",
            json!({}),
            Reason::KeyRequired,
            "rules[rule].keepNewest",
        ),
        (
            "CREATE TABLE t (id int UNIQUE, who text, at timestamptz)",
            json!({"key": ["id"]}),
            Reason::KeyRequired,
            "rules[rule].keepNewest",
        ),
        (
            "CREATE TABLE t (id int PRIMARY KEY, who text, at text)",
            json!({}),
            Reason::NotATime,
            "rules[rule].keepNewest.orderBy",
        ),
        (
            "CREATE TABLE t (id int PRIMARY KEY, who json, at date)",
            json!({}),
            Reason::NotComparable,
            "rules[rule].keepNewest.per[0]",
        ),
        (
            "CREATE TABLE t (id int PRIMARY KEY, at date)",
            json!({}),
            Reason::UnknownColumn,
            "rules[rule].keepNewest.per[0]",
        ),
    ];
    for (schema, more, reason, field) in cases {
        let mut rule = newest(1, &["who"]);
        rule["keepNewest"]
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let report = trial(schema).await.rules(&[rule]).run().await;
        let problem = report.rules[0].problem.as_ref().unwrap();
        assert_eq!((problem.reason, problem.field.as_str()), (reason, field), "{schema}");
    }
    let declared = "CREATE TABLE t (id int NOT NULL UNIQUE, who text, at date); INSERT INTO t VALUES (1, 'a', '2020-01-01'), (2, 'a', '2020-01-01')";
    let mut rule = newest(1, &["who"]);
    rule["keepNewest"]["key"] = json!(["id"]);
    assert_eq!(left(&trial(declared).await.rules(&[rule])).await, [2]);
}

/// A session takes the newest rows of each group away while the sweep works through those that it has found beyond them.
#[tokio::test]
async fn rows_that_become_the_newest_after_they_were_found_stay() {
    let rows = "CREATE TABLE t (id int PRIMARY KEY, who int NOT NULL, at timestamptz NOT NULL, note text);
        INSERT INTO t SELECT i, i % 300, now() - interval '30 days' + i * interval '1 second', 'note ' || i FROM generate_series(1, 60000) i;
        CREATE INDEX ON t (who, at); CREATE INDEX ON t (md5(note)); CREATE INDEX ON t USING gin (to_tsvector('simple', note)); ANALYZE t;";
    let trial = trial(rows).await.rules(&[newest(10, &["who"])]);
    let session = trial.database.admin().await;
    let (report, ()) = tokio::join!(trial.run(), async {
        until(&session, "SELECT 60000 - count(*) FROM t", |gone| gone > 0).await;
        let withdraw = "BEGIN; LOCK TABLE t IN EXCLUSIVE MODE;
            DELETE FROM t WHERE id > 60000 - 3 * 300;
            CREATE TABLE left_over AS SELECT who, count(*) AS rows FROM t GROUP BY who; COMMIT";
        session.batch_execute(withdraw).await.unwrap();
    });
    assert!(report.rules[0].problem.is_none(), "{report:?}");
    let met = number(&session, "SELECT count(*) FROM left_over WHERE rows > 10").await;
    assert!(met > 0, "the sweep was too fast to be met");
    let wrong =
        "SELECT count(*) FROM left_over l WHERE least(rows, 10) <> (SELECT count(*) FROM t WHERE t.who = l.who)";
    assert_eq!(
        number(&session, wrong).await,
        0,
        "groups of which too many or too few are left, of {met}"
    );
}
