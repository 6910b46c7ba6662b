//! Workers and servers that are killed, stopped and cut off: the end is always the same, and nothing is counted twice.

use privacy_operator::contract::{Reason, RunResult, WorkReport};
use serde_json::json;
use tokio_postgres::Client;

use crate::harness::Trial;
use crate::program::Program;
use crate::runs::{YOUNG, minutes, number, totals, trial_with_ledger, until};
use crate::support::postgres::{Server, server};
use crate::trouble::age;

const ROWS: i64 = 40_000;
const DUE: i64 = ROWS - YOUNG;

/// Many indexes make batches slow, so that a sweep has many of them.
const SLOW: &str = "CREATE INDEX ON t (note); CREATE INDEX ON t (id); CREATE INDEX ON t (note, id); CREATE INDEX ON t (md5(note)); CREATE INDEX ON t USING gin (to_tsvector('simple', note));";

/// Rows that a session holds: to look for them and to wait for them takes the sweep seconds, however fast the machine is.
const HELD: &str = "BEGIN; SELECT FROM t WHERE id % 1000 = 0 FOR UPDATE";

fn left(due: i64) -> String {
    format!("SELECT count(*) - {} FROM t", ROWS - due)
}

async fn admin(trial: &Trial<'_>) -> Client {
    trial.server.connect("postgres", trial.database.name()).await
}

/// The ledger chains, hash by hash, as `src/worker/ledger.rs` says; here by the server's own SHA-256.
async fn assert_chained(client: &Client) {
    let broken = "SELECT count(*) FROM (SELECT *, lag(head, 1, '') OVER w AS before, row_number() OVER w AS number
          FROM privacy_operator.ledger WINDOW w AS (PARTITION BY policy_uid ORDER BY sequence)) l
        WHERE previous <> before OR sequence <> number OR head <> encode(sha256(convert_to(concat_ws(E'\\n',
          previous, sequence, run, plan_hash, deleted, masked, set_rows, report), 'UTF8')), 'hex')";
    assert_eq!(number(client, broken).await, 0, "the ledger's chain is broken");
}

#[tokio::test]
async fn a_worker_killed_again_and_again_leaves_the_same_end() {
    for index in ["", "CREATE INDEX ON t (at);"] {
        let trial = trial_with_ledger(server(), &minutes(ROWS, &format!("{index} {SLOW}")))
            .await
            .rules(&[age()]);
        let admin = admin(&trial).await;
        let mut kills = 0;
        for part in 1..=12 {
            let mut worker = Program::of(&trial);
            // From after the first batches to near the end, and some before the first.
            let enough = ROWS - DUE * part / 14;
            until(&admin, &format!("SELECT count(*) - {enough} FROM t"), |more| {
                more <= 0 || !worker.is_running()
            })
            .await;
            kills += i32::from(worker.is_running());
            worker.kill();
            assert_eq!(
                number(&admin, &format!("SELECT count(*) FROM t WHERE id <= {YOUNG}")).await,
                YOUNG
            );
            assert!(totals(&admin).await.deleted <= ROWS - number(&admin, "SELECT count(*) FROM t").await);
        }
        assert!(kills >= 10, "only {kills} workers were killed");
        let outcome = Program::of(&trial).wait().await;
        assert_eq!(outcome.report().rules[0].due, 0, "{}", outcome.output);
        assert_eq!(trial.ids().await, (1..=YOUNG).collect::<Vec<_>>());
        assert_eq!(totals(&admin).await.deleted, outcome.report().rules[0].affected);
        assert_chained(&admin).await;
    }
}

#[tokio::test]
async fn a_server_that_crashes_and_comes_back_does_not_end_the_run_nor_spoil_its_counts() {
    let server = Server::start_with(&["wal_writer_delay = '1s'", "autovacuum = off"]);
    for index in ["", "CREATE INDEX ON t (at);"] {
        let trial = trial_with_ledger(&server, &minutes(ROWS, &format!("{index} {SLOW}")))
            .await
            .rules(&[age()]);
        let mut started = None;
        for part in 1..=3 {
            let session = admin(&trial).await;
            session.batch_execute(HELD).await.unwrap();
            let worker = started.get_or_insert_with(|| Program::of(&trial));
            until(&session, &left(DUE - DUE * part / 5), |more| more <= 0).await;
            assert!(worker.is_running(), "the sweep was too fast to be disturbed");
            server.stop_hard();
            server.start();
        }
        let outcome = started.unwrap().wait().await;
        let report = outcome.report();
        assert_eq!(
            (report.result, report.problem.as_ref()),
            (RunResult::Done, None),
            "{}",
            outcome.output
        );
        assert_eq!((report.rules[0].due, report.rules[0].inexact), (0, true), "{report:?}");
        let admin = admin(&trial).await;
        assert_eq!(number(&admin, "SELECT count(*) FROM t").await, YOUNG);
        assert_eq!(
            number(&admin, "SELECT min(id) * 100000 + max(id) FROM t").await,
            100_000 + YOUNG
        );
        // A lower limit: what a crash brought back goes once more, and is counted once.
        let counted = totals(&admin).await.deleted;
        assert_eq!(counted, report.rules[0].affected);
        assert!(counted <= DUE, "{counted} rows counted, {DUE} gone");
        assert!(counted > 0, "nothing was counted");
        assert_chained(&admin).await;
    }
}

/// Ends the sessions of the worker.
const END: &str = "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'trial-run' AND datname = current_database() AND pid <> pg_backend_pid()) x";

#[tokio::test]
async fn a_session_that_is_ended_while_it_waits_for_the_lock_of_its_table_is_opened_again() {
    let trial = trial_with_ledger(server(), &minutes(ROWS, "")).await.rules(&[age()]);
    let holder = admin(&trial).await;
    let admin = admin(&trial).await;
    holder
        .batch_execute("SELECT pg_advisory_lock(x'70726976'::int, 't'::regclass::oid::int8::int)")
        .await
        .unwrap();
    let worker = Program::of(&trial);
    let waits = "SELECT count(*) FROM pg_stat_activity
        WHERE application_name = 'trial-run' AND datname = current_database() AND query LIKE '%pg_try_advisory_lock%' AND pid <> pg_backend_pid()";
    until(&admin, waits, |sessions| sessions > 0).await;
    assert_eq!(number(&admin, END).await, 1);
    holder.batch_execute("SELECT pg_advisory_unlock_all()").await.unwrap();
    let outcome = worker.wait().await;
    let report = outcome.report();
    assert_eq!(
        (report.result, report.rules[0].due),
        (RunResult::Done, 0),
        "{}",
        outcome.output
    );
    assert_eq!(trial.ids().await, (1..=YOUNG).collect::<Vec<_>>());
}

#[tokio::test]
async fn sessions_that_are_ended_are_opened_again() {
    let trial = trial_with_ledger(server(), &minutes(ROWS, SLOW)).await.rules(&[age()]);
    let mut worker = Program::of(&trial);
    let admin = admin(&trial).await;
    for part in 1..=4 {
        until(&admin, &left(DUE - DUE * part / 6), |more| {
            more <= 0 || !worker.is_running()
        })
        .await;
        number(&admin, END).await;
    }
    let report = worker.wait().await.report();
    assert_eq!((report.result, report.rules[0].due), (RunResult::Done, 0), "{report:?}");
    assert_eq!(trial.ids().await, (1..=YOUNG).collect::<Vec<_>>());
    assert!(totals(&admin).await.deleted <= DUE);
}

/// Starts a sweep, disturbs it when a fifth is gone, and tells how much it still did.
async fn disturbed(trial: &Trial<'_>, disturb: impl FnOnce(&Program)) -> (WorkReport, Option<i32>, i64) {
    let admin = admin(trial).await;
    let holder = self::admin(trial).await;
    holder.batch_execute(HELD).await.unwrap();
    let worker = Program::of(trial);
    until(&admin, &left(DUE * 4 / 5), |more| more <= 0).await;
    disturb(&worker);
    let before = number(&admin, "SELECT count(*) FROM t").await;
    let outcome = worker.wait().await;
    let more = before - number(&admin, "SELECT count(*) FROM t").await;
    (outcome.report(), outcome.code, more)
}

async fn slow() -> Trial<'static> {
    trial_with_ledger(server(), &minutes(ROWS, SLOW)).await.rules(&[age()])
}

async fn assert_exact(trial: &Trial<'_>, report: &WorkReport) {
    let admin = admin(trial).await;
    let gone = ROWS - number(&admin, "SELECT count(*) FROM t").await;
    let rule = &report.rules[0];
    assert_eq!((rule.affected, rule.due), (gone, DUE - gone), "{report:?}");
    assert_eq!(totals(&admin).await.deleted, gone);
    assert!(
        gone > 0 && gone < DUE,
        "{gone} of {DUE} are gone: the sweep was not interrupted"
    );
}

#[tokio::test]
async fn a_request_to_terminate_ends_the_run_with_the_batch_and_a_report() {
    let trial = slow().await;
    let (report, code, more) = disturbed(&trial, Program::terminate).await;
    assert_eq!(report.problem.as_ref().unwrap().reason, Reason::Interrupted);
    assert_eq!(code, Some(1), "the Job tries again");
    assert!(more < DUE / 4, "{more} rows more");
    assert_exact(&trial, &report).await;
}

#[tokio::test]
async fn the_stop_config_map_halts_a_run_within_a_batch_and_keeps_the_next_from_starting() {
    let trial = slow().await;
    let stop = trial.files.path().join("stop/reason");
    let (report, code, more) = disturbed(&trial, |_| std::fs::write(&stop, "because").unwrap()).await;
    assert_eq!((report.result, code), (RunResult::Halted, Some(0)));
    assert_eq!(report.problem.as_ref().unwrap().reason, Reason::StoppedByHand);
    assert!(more < DUE / 4, "{more} rows more");
    assert_exact(&trial, &report).await;
    let before = number(&admin(&trial).await, "SELECT count(*) FROM t").await;
    assert_eq!(trial.run().await.result, RunResult::Halted);
    assert_eq!(number(&admin(&trial).await, "SELECT count(*) FROM t").await, before);
    std::fs::remove_file(stop).unwrap();
    assert_eq!(trial.run().await.result, RunResult::Done);
    assert_eq!(trial.ids().await.len(), usize::try_from(YOUNG).unwrap());
}

#[tokio::test]
async fn the_active_deadline_ends_a_run_which_the_next_continues() {
    let mut trial = slow().await;
    trial.plan.active_deadline_seconds = 1;
    let session = admin(&trial).await;
    session.batch_execute(HELD).await.unwrap();
    let report = trial.run().await;
    session.batch_execute("COMMIT").await.unwrap();
    assert_eq!(
        report.problem.as_ref().map(|problem| problem.reason),
        Some(Reason::DeadlineReached),
        "{report:?}"
    );
    assert_eq!(report.result, RunResult::Done);
    let gone = ROWS - number(&admin(&trial).await, "SELECT count(*) FROM t").await;
    assert_eq!(report.rules[0].affected, gone);
    assert!(gone < DUE, "the deadline came too late");
    trial.plan.active_deadline_seconds = 600;
    let report = trial.run().await;
    assert_eq!((report.rules[0].affected, report.rules[0].due), (DUE - gone, 0));
}

#[tokio::test]
async fn masks_and_sets_that_are_killed_end_the_same_and_run_again_write_nothing() {
    let trial = trial_with_ledger(server(), &minutes(15_000, SLOW)).await.rules(&[
        json!({"name": "note", "grounds": [{"name": "age", "from": ["at"], "for": "P7D"}], "action": {"mask": [{"column": "note", "strategy": "Nullify"}]}}),
        json!({"name": "hold", "grounds": [{"name": "age", "from": ["at"], "for": "P7D"}], "action": {"set": [{"column": "hold", "value": "true"}]}}),
    ]);
    let admin = admin(&trial).await;
    for done in [1, 5_000, 13_000, 20_000] {
        let mut worker = Program::of(&trial);
        let count = "SELECT count(*) FILTER (WHERE note IS NULL) + count(*) FILTER (WHERE hold) FROM t";
        until(&admin, count, |found| found >= done || !worker.is_running()).await;
        worker.kill();
    }
    let report = Program::of(&trial).wait().await.report();
    assert_eq!(report.result, RunResult::Done, "{report:?}");
    let wrong = format!("SELECT count(*) FROM t WHERE (id > {YOUNG}) <> hold OR (id > {YOUNG}) <> (note IS NULL)");
    assert_eq!(number(&admin, &wrong).await, 0);
    let before = number(&admin, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int8").await;
    let lines = number(&admin, "SELECT count(*) FROM privacy_operator.ledger").await;
    assert_eq!(Program::of(&trial).wait().await.report().result, RunResult::NothingDue);
    assert_eq!(
        number(&admin, "SELECT count(*) FROM privacy_operator.ledger").await,
        lines
    );
    let touched = "SELECT count(*) FROM t WHERE xmin::text::int8 >= ";
    assert_eq!(number(&admin, &format!("{touched}{before}")).await, 0);
}
