//! A worker that is killed at each step of its work, held there by another session's lock until it is gone: between looking
//! and locking, with its rows picked, with half of a tree deleted, at a commit whose answer never came, after its line in the
//! ledger. The end is the same each time, and nothing is counted twice.

use privacy_operator::contract::{Reason, RunResult};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::cascade::deletes;
use crate::harness::Trial;
use crate::program::Program;
use crate::runs::{YOUNG, minutes, number, totals, trial_with_ledger, until};
use crate::support::postgres::{Server, server};
use crate::trouble::age;

const TREES: i64 = 600;

/// Old rows, each with a parent of its own and two dependents.
fn trees() -> String {
    format!(
        "CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p SELECT generate_series(1, {TREES});
         CREATE TABLE t (id int PRIMARY KEY, p int REFERENCES p, at timestamptz); CREATE INDEX ON t (p);
         INSERT INTO t SELECT i, i, now() - interval '30 days' FROM generate_series(1, {TREES}) i;
         CREATE TABLE f (id int PRIMARY KEY, t int REFERENCES t); CREATE INDEX ON f (t);
         INSERT INTO f SELECT i, (i + 1) / 2 FROM generate_series(1, 2 * {TREES}) i; ANALYZE;"
    )
}

fn whole() -> Value {
    let tie = |table: &str, ours: &str, theirs: &str| json!({"schema": "public", "table": table, "columns": [[ours, theirs]]});
    let parent = json!({"of": 0, "relation": tie("p", "p", "id")});
    let dependent = json!({"of": 0, "relation": tie("f", "id", "t")});
    deletes(json!({"dependents": [dependent], "parents": [parent]}))
}

/// Sessions of workers, as far as this says.
fn sessions(which: &str) -> String {
    format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'trial-run' AND datname = current_database() AND {which}"
    )
}

/// Starts a worker while `held` holds it up, kills it when it waits in a statement like this, and lets go.
async fn killed_waiting(trial: &Trial<'_>, admin: &Client, held: &str, statement: &str) {
    let holder = trial.database.admin().await;
    holder.batch_execute(&format!("BEGIN; {held}")).await.unwrap();
    let mut worker = Program::of(trial);
    let waits = sessions(&format!("wait_event_type = 'Lock' AND query LIKE '{statement}'"));
    until(admin, &waits, |waiting| waiting > 0).await;
    worker.kill();
    holder.batch_execute("ROLLBACK").await.unwrap();
    until(admin, &sessions("true"), |left| left == 0).await;
}

/// Rows of the three tables.
const ROWS: &str = "SELECT (SELECT count(*) FROM p) + (SELECT count(*) FROM t) + (SELECT count(*) FROM f)";

#[tokio::test]
async fn a_worker_killed_at_any_step_before_its_commit_has_changed_nothing() {
    let trial = trial_with_ledger(server(), &trees()).await.rules(&[whole()]);
    let admin = trial.database.admin().await;
    for (step, held, statement) in [
        ("looking", "LOCK TABLE t IN ACCESS EXCLUSIVE MODE", "SELECT%"),
        (
            "begun",
            "LOCK TABLE t IN EXCLUSIVE MODE",
            "SELECT%FOR UPDATE SKIP LOCKED",
        ),
        ("picked", "LOCK TABLE f IN SHARE MODE", "DELETE FROM \"public\".\"f\"%"),
        (
            "dependents deleted",
            "LOCK TABLE t IN SHARE MODE",
            "DELETE FROM \"public\".\"t\"%",
        ),
        (
            "rows deleted",
            "LOCK TABLE p IN SHARE MODE",
            "DELETE FROM \"public\".\"p\"%",
        ),
    ] {
        killed_waiting(&trial, &admin, held, statement).await;
        assert_eq!(number(&admin, ROWS).await, 4 * TREES, "killed when it had {step}");
        assert_eq!(number(&admin, "SELECT count(*) FROM privacy_operator.ledger").await, 0);
    }
    let report = Program::of(&trial).wait().await.report();
    let rule = &report.rules[0];
    assert_eq!(
        (rule.affected, rule.cascaded, rule.due),
        (TREES, 3 * TREES, 0),
        "{report:?}"
    );
    assert_eq!(number(&admin, ROWS).await, 0);
    assert_eq!(totals(&admin).await.deleted, 4 * TREES);
}

/// A server on which a commit that asks for it is never answered, while somebody says so: it waits for a standby that is
/// not there, after the commit itself is done.
fn silent() -> Server {
    Server::start_with(&["synchronous_commit = local", "autovacuum = off"])
}

async fn commits_are_answered(admin: &Client, answered: bool) {
    let standby = if answered { "" } else { "nobody" };
    let set = format!("ALTER SYSTEM SET synchronous_standby_names = '{standby}'");
    admin.batch_execute(&set).await.unwrap();
    admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let shown =
        format!("SELECT count(*) FROM pg_settings WHERE name = 'synchronous_standby_names' AND setting = '{standby}'");
    until(admin, &shown, |found| found == 1).await;
}

const AT_COMMIT: &str = "wait_event = 'SyncRep'";

/// Ends the sessions of workers that wait for the answer to a commit: so many.
fn cut_at_commit() -> String {
    let waiting = sessions(AT_COMMIT).replace("count(*)", "pid");
    // OFFSET: only these, whatever the planner thinks of first.
    format!("SELECT count(*) FROM ({waiting} OFFSET 0) AS s WHERE pg_terminate_backend(pid)")
}

#[tokio::test]
async fn a_worker_killed_before_it_hears_of_its_commit_is_followed_by_one_that_does_the_rest() {
    let server = silent();
    let trial = crate::harness::trial_on(&server, &trees()).await.rules(&[whole()]);
    let admin = trial.database.admin().await;
    admin
        .batch_execute(&format!("ALTER ROLE \"{}\" SET synchronous_commit = on", trial.role))
        .await
        .unwrap();
    commits_are_answered(&admin, false).await;
    let mut worker = Program::of(&trial);
    until(&admin, &sessions(AT_COMMIT), |waiting| waiting > 0).await;
    worker.kill();
    commits_are_answered(&admin, true).await;
    until(&admin, &sessions("true"), |left| left == 0).await;
    let left = number(&admin, "SELECT count(*) FROM t").await;
    assert!(left < TREES, "nothing was committed");
    assert_eq!(number(&admin, ROWS).await, 4 * left, "a tree is half gone");
    let report = Program::of(&trial).wait().await.report();
    assert_eq!((report.rules[0].affected, report.rules[0].due), (left, 0), "{report:?}");
    assert_eq!(number(&admin, ROWS).await, 0);
}

/// What the ledger has of the runs: its lines, and the rows that they count.
async fn ledger(admin: &Client) -> (i64, i64) {
    let lines = number(admin, "SELECT count(*) FROM privacy_operator.ledger").await;
    (lines, totals(admin).await.deleted)
}

#[tokio::test]
async fn a_report_that_is_lost_after_the_line_in_the_ledger_is_made_good_by_the_next() {
    let server = silent();
    for killed in [true, false] {
        let trial = trial_with_ledger(&server, &minutes(3000, "")).await.rules(&[age()]);
        let admin = trial.database.admin().await;
        if killed {
            commits_are_answered(&admin, false).await;
            let mut worker = Program::of(&trial);
            until(&admin, &sessions(AT_COMMIT), |waiting| waiting > 0).await;
            worker.kill();
            commits_are_answered(&admin, true).await;
            until(&admin, &sessions("true"), |left| left == 0).await;
        } else {
            // Written to the end, and nobody reads it: the pod is gone.
            drop(Program::of(&trial).wait().await);
        }
        assert_eq!(trial.ids().await.len(), usize::try_from(YOUNG).unwrap());
        assert_eq!(ledger(&admin).await, (1, 3000 - YOUNG));
        let report = Program::of(&trial).wait().await.report();
        assert_eq!(
            (report.result, report.rules[0].affected),
            (RunResult::NothingDue, 0),
            "{report:?}"
        );
        let told = report.ledger.unwrap();
        assert_eq!(
            (told.sequence, told.totals.deleted),
            (1, 3000 - YOUNG),
            "the operator learns what went"
        );
        assert_eq!(ledger(&admin).await, (1, 3000 - YOUNG), "counted twice");
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_at_the_commit_of_the_ledgers_line_writes_it_once() {
    let server = silent();
    let trial = trial_with_ledger(&server, &minutes(3000, "")).await.rules(&[age()]);
    let admin = trial.database.admin().await;
    commits_are_answered(&admin, false).await;
    let worker = Program::of(&trial);
    until(&admin, &sessions(AT_COMMIT), |waiting| waiting > 0).await;
    assert_eq!(number(&admin, &cut_at_commit()).await, 1);
    commits_are_answered(&admin, true).await;
    let report = worker.wait().await.report();
    assert_eq!(
        (report.result, report.rules[0].affected),
        (RunResult::Done, 3000 - YOUNG),
        "{report:?}"
    );
    let told = report.ledger.unwrap();
    assert_eq!((told.sequence, told.totals.deleted), (1, 3000 - YOUNG));
    assert_eq!(ledger(&admin).await, (1, 3000 - YOUNG), "counted twice");
}

#[tokio::test]
async fn a_connection_that_is_cut_at_commits_is_opened_again_and_no_row_is_counted_twice() {
    let server = silent();
    let trial = crate::harness::trial_on(&server, &minutes(20_000, ""))
        .await
        .rules(&[age()]);
    let admin = trial.database.admin().await;
    admin
        .batch_execute(&format!("ALTER ROLE \"{}\" SET synchronous_commit = on", trial.role))
        .await
        .unwrap();
    commits_are_answered(&admin, false).await;
    let worker = Program::of(&trial);
    let mut gone = 0;
    for _ in 0..3 {
        until(&admin, &cut_at_commit(), |cut| cut > 0).await;
        // A commit without an answer is one all the same, and seen as soon as its session has ended.
        until(&admin, "SELECT count(*) FROM t", |left| {
            let more = 20_000 - left > gone;
            gone = 20_000 - left;
            more
        })
        .await;
    }
    commits_are_answered(&admin, true).await;
    let report = worker.wait().await.report();
    let rule = &report.rules[0];
    assert_eq!(
        (report.result, rule.due, rule.inexact),
        (RunResult::Done, 0, true),
        "{report:?}"
    );
    assert_eq!(trial.ids().await, (1..=YOUNG).collect::<Vec<_>>());
    // A lower limit: what was never confirmed is not counted.
    assert!(
        rule.affected > 0 && rule.affected <= 20_000 - YOUNG - gone,
        "{} counted, {gone} unconfirmed",
        rule.affected
    );
}

fn signal(worker: &Program, name: &str) {
    let kill = std::process::Command::new("kill")
        .args([name, &worker.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
}

/// A node that hangs: Kubernetes starts another pod of the Job while the first one only sleeps.
#[tokio::test]
async fn a_worker_that_is_frozen_and_thawed_beside_another_counts_no_row_twice() {
    let trial = trial_with_ledger(server(), &minutes(40_000, "")).await.rules(&[age()]);
    let admin = trial.database.admin().await;
    let holder = trial.database.admin().await;
    // Rows that a session holds: the sweep takes its time.
    holder
        .batch_execute("BEGIN; SELECT FROM t WHERE id % 1000 = 0 FOR UPDATE")
        .await
        .unwrap();
    let first = Program::of(&trial);
    until(&admin, "SELECT 40000 - count(*) FROM t", |gone| gone > 0).await;
    signal(&first, "-STOP");
    let second = Program::of(&trial).wait().await.report();
    assert_eq!(
        second.rules[0].problem.as_ref().unwrap().reason,
        Reason::SweepInProgress,
        "{second:?}"
    );
    assert_eq!(second.rules[0].affected, 0);
    holder.batch_execute("ROLLBACK").await.unwrap();
    signal(&first, "-CONT");
    let first = first.wait().await.report();
    assert_eq!(
        (first.result, first.rules[0].affected),
        (RunResult::Done, 40_000 - YOUNG),
        "{first:?}"
    );
    assert_eq!(totals(&admin).await.deleted, 40_000 - YOUNG);
    assert_eq!(trial.ids().await, (1..=YOUNG).collect::<Vec<_>>());
}
