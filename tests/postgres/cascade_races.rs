//! Cascades under fire: dependents and children come and go while a sweep is under way, and workers are killed.
//!
//! No foreign key helps: only the locks that one would take are there, so whatever the sweep gets wrong is seen.

use privacy_operator::contract::Reason;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::cascade::{deletes, keeps};
use crate::disturbers::{Beside, Disturbers};
use crate::harness::{Trial, trial};
use crate::program::Program;
use crate::runs::{number, totals, trial_with_ledger, until};
use crate::support::postgres::server;

const TREES: i32 = 4000;

/// Old rows in pairs, each pair with a parent, each row with two dependents.
fn schema(trees: i32) -> String {
    format!(
        "CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p SELECT generate_series(1, {trees} / 2);
         CREATE TABLE t (id int PRIMARY KEY, p int, at timestamptz); CREATE INDEX ON t (p);
         INSERT INTO t SELECT i, (i + 1) / 2, now() - interval '30 days' FROM generate_series(1, {trees}) i;
         CREATE TABLE f (id int PRIMARY KEY, t int, kept bool); CREATE INDEX ON f (t);
         INSERT INTO f SELECT i, (i + 1) / 2, false FROM generate_series(1, 2 * {trees}) i;
         CREATE SEQUENCE s START 1000000; CREATE TABLE log_f (id int); CREATE TABLE log_t (id int); ANALYZE;"
    )
}

fn rules() -> [Value; 2] {
    let tie = |table: &str, ours: &str, theirs: &str| json!({"schema": "public", "table": table, "columns": [[ours, theirs]]});
    let parent = json!({"of": 0, "relation": tie("p", "p", "id"), "pointedAtBy": [tie("t", "id", "p")]});
    let dependent = json!({"of": 0, "relation": tie("f", "id", "t")});
    [
        deletes(json!({"dependents": [dependent], "parents": [parent]})),
        keeps("f", "Minimum", "protect"),
    ]
}

/// Adds a dependent to a row that is there.
const ADD_DEPENDENT: &str = "WITH locked AS (SELECT id FROM t WHERE id = $1 FOR KEY SHARE), new AS (INSERT INTO f SELECT nextval('s'), id, $2 FROM locked RETURNING id)
    INSERT INTO log_f SELECT id FROM new WHERE $2";
/// Adds a young child to a parent that is there.
const ADD_CHILD: &str = "WITH locked AS (SELECT id FROM p WHERE id = $1 FOR KEY SHARE), new AS (INSERT INTO t SELECT nextval('s'), id, now() FROM locked RETURNING id)
    INSERT INTO log_t SELECT id FROM new";

/// Each session has trees of its own, from the last, so that it meets the sweep again and again.
async fn disturb(mut client: Client, session: i32, beside: Beside) {
    let mut round = 0;
    while beside.goes_on() {
        round += 1;
        let transaction = client.transaction().await.unwrap();
        for step in 0..8 {
            let tree = 1 + (round * 8 + step) * 7919 % (TREES / 4) * 4 + session;
            if step == 0 {
                transaction.execute(ADD_CHILD, &[&((tree + 1) / 2)]).await.unwrap();
            } else {
                transaction
                    .execute(ADD_DEPENDENT, &[&tree, &(step == 1)])
                    .await
                    .unwrap();
            }
            if step > 4 {
                transaction
                    .execute("DELETE FROM f WHERE t = $1 AND NOT kept AND id >= 1000000", &[&tree])
                    .await
                    .unwrap();
            }
        }
        transaction.commit().await.unwrap();
        beside.changed(8);
    }
}

#[tokio::test]
async fn what_is_added_to_a_tree_during_a_sweep_keeps_it_or_is_refused() {
    let trial = trial(&schema(TREES)).await.rules(&rules());
    let disturbers = Disturbers::start(&trial, 4, disturb);
    let mut affected = 0;
    while disturbers.changes() < 8_000 || affected == 0 {
        let report = trial.run().await;
        let passing = |reason| matches!(reason, Reason::RowsLocked);
        let rule = &report.rules[0];
        assert!(
            rule.problem.as_ref().is_none_or(|problem| passing(problem.reason)),
            "{report:?}"
        );
        assert!(rule.race_window);
        affected += rule.affected;
    }
    disturbers.finish();
    let report = trial.run().await;
    affected += report.rules[0].affected;
    assert_eq!(
        (report.rules[0].due, &report.rules[0].problem),
        (0, &None),
        "{report:?}"
    );
    let admin = trial.database.admin().await;
    for (what, count) in [
        (
            "protected dependents that are gone",
            "SELECT count(*) FROM log_f WHERE id NOT IN (SELECT id FROM f)",
        ),
        (
            "dependents whose row is gone",
            "SELECT count(*) FROM f WHERE t NOT IN (SELECT id FROM t)",
        ),
        (
            "young children that are gone",
            "SELECT count(*) FROM log_t WHERE id NOT IN (SELECT id FROM t)",
        ),
        (
            "children whose parent is gone",
            "SELECT count(*) FROM t WHERE p NOT IN (SELECT id FROM p)",
        ),
        (
            "parents without a child",
            "SELECT count(*) FROM p WHERE id NOT IN (SELECT p FROM t)",
        ),
        (
            "due rows that nothing keeps",
            "SELECT count(*) FROM t WHERE at < now() - interval '7 days' AND id NOT IN (SELECT t FROM f WHERE kept)",
        ),
    ] {
        assert_eq!(number(&admin, count).await, 0, "{what}");
    }
    let stayed = number(&admin, &format!("SELECT count(*) FROM t WHERE id <= {TREES}")).await;
    assert_eq!(affected, i64::from(TREES) - stayed);
    assert!(stayed > 20 && affected > 1000, "{stayed} stayed, {affected} went");
}

/// Another session has changed what a tree hangs together by, and commits at the moment at which the sweep waits for it.
#[tokio::test]
async fn what_commits_while_the_sweep_waits_for_it_keeps_its_tree_or_its_parent() {
    let child = "WITH locked AS (SELECT id FROM p WHERE id = $1 FOR KEY SHARE) INSERT INTO t SELECT nextval('s'), id, now() FROM locked";
    let dependent = "UPDATE f SET kept = true WHERE id = 4 * $1";
    for (change, rows_gone) in [(child, 2), (dependent, 1)] {
        let trial = trial(&schema(40)).await.rules(&rules());
        let admin = trial.database.admin().await;
        admin.batch_execute("UPDATE t SET at = now()").await.unwrap();
        for pair in 1..=20_i32 {
            let due = "UPDATE t SET at = now() - interval '30 days' WHERE p = $1";
            admin.execute(due, &[&pair]).await.unwrap();
            let session = trial.database.admin().await;
            session.batch_execute("BEGIN").await.unwrap();
            session.execute(change, &[&pair]).await.unwrap();
            let (report, ()) = tokio::join!(trial.run(), async {
                let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name = 'trial-run'";
                until(&admin, waits, |waiting| waiting > 0).await;
                session.batch_execute("COMMIT").await.unwrap();
            });
            assert_eq!(report.rules[0].affected, rows_gone, "{change}: {report:?}");
            for orphans in [
                "SELECT count(*) FROM f WHERE t NOT IN (SELECT id FROM t)",
                "SELECT count(*) FROM t WHERE p NOT IN (SELECT id FROM p)",
            ] {
                assert_eq!(number(&admin, orphans).await, 0, "{change}: {orphans}");
            }
            admin
                .execute("UPDATE t SET at = now() WHERE p = $1", &[&pair])
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn a_worker_that_is_killed_leaves_whole_trees_and_counts_nothing_twice() {
    const TREES: i32 = 12_000;
    let trial = trial_with_ledger(server(), &schema(TREES)).await.rules(&rules());
    let admin = trial.database.admin().await;
    let mut kills = 0;
    for part in 1..=8 {
        let mut worker = Program::of(&trial);
        let enough = TREES - TREES * part / 10;
        until(&admin, &format!("SELECT count(*) - {enough} FROM t"), |more| {
            more <= 0 || !worker.is_running()
        })
        .await;
        kills += i32::from(worker.is_running());
        worker.kill();
        let half = "SELECT (SELECT count(*) FROM t WHERE (SELECT count(*) FROM f WHERE f.t = t.id) <> 2)
            + (SELECT count(*) FROM f WHERE t NOT IN (SELECT id FROM t)) + (SELECT count(*) FROM p WHERE id NOT IN (SELECT p FROM t))";
        assert_eq!(number(&admin, half).await, 0, "a tree is half gone");
    }
    assert!(kills >= 5, "only {kills} workers were killed");
    let outcome = Program::of(&trial).wait().await;
    let rule = outcome.report().rules[0].clone();
    assert_eq!(rule.due, 0, "{}", outcome.output);
    let left = "SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM f) + (SELECT count(*) FROM p)";
    assert_eq!(number(&admin, left).await, 0);
    assert_eq!(totals(&admin).await.deleted, rule.affected + rule.cascaded);
    assert!(rule.cascaded >= 2 * rule.affected);
}

/// Rows of groups whose newest come and go.
#[tokio::test]
async fn the_newest_are_kept_while_rows_come_and_change() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, who int NOT NULL, at timestamptz NOT NULL); CREATE INDEX ON t (who, at);
        INSERT INTO t SELECT i, i % 200, now() - interval '30 days' + i * interval '1 second' FROM generate_series(1, 40000) i; CREATE SEQUENCE s START 1000000; ANALYZE;";
    let rule = json!({"keepNewest": {"count": 10, "per": ["who"], "orderBy": "at"}, "action": "delete"});
    let trial: Trial<'_> = trial(schema).await.rules(&[rule]);
    let disturbers = Disturbers::start(&trial, 4, touch);
    let mut affected = 0;
    while disturbers.changes() < 4_000 || affected == 0 {
        let report = trial.run().await;
        affected += report.rules[0].affected;
    }
    disturbers.finish();
    let report = trial.run().await;
    assert_eq!(
        (report.rules[0].due, &report.rules[0].problem),
        (0, &None),
        "{report:?}"
    );
    let admin = trial.database.admin().await;
    // Whoever was touched became the newest, and stays while fewer than ten were touched after it.
    let few = "SELECT count(*) FROM (SELECT who FROM t GROUP BY who HAVING count(*) <> 10) x";
    assert_eq!(number(&admin, few).await, 0, "groups that are not of ten");
    let lost = "SELECT count(*) FROM (SELECT id, row_number() OVER (PARTITION BY who ORDER BY at DESC, id DESC) AS rank FROM touched) x
        WHERE rank <= 10 AND id NOT IN (SELECT id FROM t)";
    assert_eq!(number(&admin, lost).await, 0, "rows that were touched last are gone");
}

/// Makes old rows new again, and adds new ones, each in a transaction of its own; what is written last is kept in a list.
async fn touch(client: Client, session: i32, beside: Beside) {
    let list = "CREATE TABLE IF NOT EXISTS touched (id int PRIMARY KEY, who int, at timestamptz)";
    // Four sessions at once may make it at the same moment.
    let _ = client.batch_execute(list).await;
    let mut round: i32 = 0;
    while beside.goes_on() {
        round += 1;
        let id = 1 + (round * 4 + session) * 7919 % 40_000;
        let touch = "WITH new AS (UPDATE t SET at = clock_timestamp() WHERE id = $1 RETURNING *)
                INSERT INTO touched SELECT * FROM new ON CONFLICT (id) DO UPDATE SET at = EXCLUDED.at";
        client.execute(touch, &[&id]).await.unwrap();
        let add = "WITH new AS (INSERT INTO t SELECT nextval('s'), $1, clock_timestamp() WHERE $1 % 3 = 0 RETURNING *)
                INSERT INTO touched SELECT * FROM new";
        client.execute(add, &[&(id % 200)]).await.unwrap();
        beside.changed(2);
    }
}
