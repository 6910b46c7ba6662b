//! Other sessions change, lock and hold rows while a sweep is under way.

use std::time::{Duration, Instant};

use privacy_operator::contract::{Reason, RunResult};
use serde_json::json;
use tokio_postgres::Client;

use crate::disturbers::{Beside, Disturbers};
use crate::harness::{Trial, trial};
use crate::runs::{YOUNG, minutes, number, unless_held, until};
use crate::support::postgres::{Server, server};
use crate::trouble::age;

/// Puts rows on hold and releases them at random. Each decision and its line in the side ledger are one transaction, so that
/// the ledger says what held at the end: 50 rows, each session its own, so that decisions about one row have an order.
async fn toggle(client: Client, session: i64, rows: i64, beside: Beside) {
    // A row that is gone is not in the ledger of holds either: only what the update still found counts.
    let sql = "WITH chosen AS (
              UPDATE t SET hold = NOT hold WHERE id IN (SELECT (4 * (1 + (hashint8($2::int8 + n) & 2147483647)::int8 % ($3::int8 / 4)) - $1::int8)::int FROM generate_series(1, 50) n)
              RETURNING id, hold)
            INSERT INTO holds SELECT id, hold FROM chosen ON CONFLICT (id) DO UPDATE SET hold = excluded.hold";
    let statement = client.prepare(sql).await.unwrap();
    let mut round = session * 1_000_000;
    while beside.goes_on() {
        round += 50;
        let touched = client.execute(&statement, &[&session, &round, &rows]).await.unwrap();
        beside.changed(touched);
    }
}

#[tokio::test]
async fn a_row_that_is_put_on_hold_during_a_sweep_stays() {
    const ROWS: i64 = 100_000;
    for index in ["", "CREATE INDEX ON t (at);"] {
        let extra = "CREATE INDEX ON t (id); CREATE INDEX ON t (hold); CREATE INDEX ON t (note); CREATE TABLE holds (id int8 PRIMARY KEY, hold boolean);";
        let trial = trial(&minutes(ROWS, &format!("{index} {extra}")))
            .await
            .rules(&[unless_held()]);
        let togglers = Disturbers::start(&trial, 4, |client, session, beside| {
            toggle(client, session.into(), ROWS, beside)
        });
        let admin = trial.database.admin().await;
        until(&admin, "SELECT count(*) FROM holds WHERE hold", |held| held > 2000).await;
        let (mut affected, mut judged) = (0, 0);
        // Decisions go on until there were enough of them, and every run meets others.
        while togglers.changes() < 50_000 || affected == 0 {
            judged += number(&admin, "SELECT count(*) FROM t").await;
            let report = trial.run().await;
            assert!(
                report.rules[0]
                    .problem
                    .as_ref()
                    .is_none_or(|problem| problem.reason == Reason::RowsLocked),
                "{report:?}"
            );
            affected += report.rules[0].affected;
        }
        let changes = togglers.finish();
        println!("{judged} decisions beside {changes} changes: {affected} rows went");
        assert!(judged >= ROWS);
        let lost = "SELECT count(*) FROM holds LEFT JOIN t USING (id) WHERE holds.hold AND t.id IS NULL";
        assert_eq!(number(&admin, lost).await, 0, "rows on hold are gone; index {index:?}");
        let held = number(
            &admin,
            "SELECT count(*) FROM holds JOIN t USING (id) WHERE holds.hold AND t.hold",
        )
        .await;
        assert!(held > 100, "only {held} rows on hold");
        assert_eq!(number(&admin, "SELECT count(*) FROM t").await, ROWS - affected);
        let report = trial.run().await;
        assert_eq!(report.rules[0].due, 0, "{report:?}");
        assert_eq!(
            number(&admin, "SELECT count(*) FROM t WHERE NOT hold").await,
            YOUNG
                - number(
                    &admin,
                    "SELECT count(*) FROM t WHERE hold AND at > now() - interval '7 days'"
                )
                .await
        );
    }
}

#[tokio::test]
async fn a_row_that_is_pointed_at_meanwhile_stays_and_the_others_go() {
    let trial = trial(&minutes(
        40_000,
        "ALTER TABLE t ADD PRIMARY KEY (id); CREATE TABLE child (parent int REFERENCES t); CREATE INDEX ON child (parent);",
    ))
    .await
    .rules(&[age()]);
    let writer = Disturbers::start(&trial, 1, |client, _, beside| async move {
        let mut next = 40_000;
        while beside.goes_on() && next > 0 {
            // Refused where the parent is gone already.
            let _ = client.execute("INSERT INTO child VALUES ($1)", &[&next]).await;
            next -= 7;
        }
    });
    let mut reports = Vec::new();
    while !writer.are_done() || reports.is_empty() {
        reports.push(trial.run().await);
    }
    writer.finish();
    let last = trial.run().await;
    let admin = trial.database.admin().await;
    assert_eq!(
        number(
            &admin,
            "SELECT count(*) FROM child LEFT JOIN t ON t.id = parent WHERE t.id IS NULL"
        )
        .await,
        0
    );
    let kept = number(&admin, "SELECT count(DISTINCT parent) FROM child WHERE parent > 1000").await;
    assert_eq!(last.rules[0].kept_by_dependent, kept, "{last:?}");
    assert_eq!(
        number(&admin, "SELECT count(*) FROM t").await,
        YOUNG + kept,
        "{reports:?}"
    );
}

/// Locks rows in a transaction that stays open until it is dropped.
async fn lock(trial: &Trial<'_>, sql: &str) -> tokio_postgres::Client {
    let session = trial.database.admin().await;
    session.batch_execute(&format!("BEGIN; {sql}")).await.unwrap();
    session
}

#[tokio::test]
async fn locked_rows_stay_and_are_counted_while_everything_else_goes() {
    let server = Server::start_private();
    for index in ["", "CREATE INDEX ON t (at);"] {
        let trial = crate::harness::trial_on(
            &server,
            &minutes(40_000, &format!("ALTER TABLE t ADD PRIMARY KEY (id); {index}")),
        )
        .await
        .rules(&[age()]);
        // Scattered rows, a run of neighbours, and rows that are not due anyway.
        let locked = "id % 1000 = 0 OR id BETWEEN 25001 AND 25040";
        let session = lock(&trial, &format!("SELECT FROM t WHERE {locked} FOR UPDATE")).await;
        let waits = || server.log().matches("lock timeout").count();
        let before = waits();
        let report = trial.run().await;
        let waited = waits() - before;
        let rule = &report.rules[0];
        let problem = rule.problem.as_ref().unwrap_or_else(|| panic!("{report:?}"));
        assert_eq!(
            (report.result, problem.reason),
            (RunResult::Done, Reason::RowsLocked),
            "{report:?}"
        );
        assert_eq!(
            (rule.due, rule.affected),
            (39 + 40, 40_000 - YOUNG - 79),
            "index {index:?}: {report:?}"
        );
        let left = trial
            .texts(&format!(
                "SELECT count(*)::text FROM t WHERE id > {YOUNG} AND NOT ({locked})"
            ))
            .await;
        assert_eq!(left, ["0"]);
        // Each wait is of 15 ms: some seconds in all, and not minutes as when every row is searched for by halving.
        assert!(waited < 700, "{waited} waits for 79 locked rows; index {index:?}");
        session.batch_execute("ROLLBACK").await.unwrap();
        let report = trial.run().await;
        assert_eq!(
            (report.result, report.rules[0].affected, report.rules[0].due),
            (RunResult::Done, 79, 0),
            "{report:?}"
        );
        assert_eq!(trial.ids().await, (1..=YOUNG).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_table_that_is_locked_as_a_whole_ends_the_rule_soon_and_is_not_nothing_due() {
    for (mode, counted) in [("ACCESS EXCLUSIVE", false), ("SHARE", true)] {
        let trial = trial(&minutes(40_000, "")).await.rules(&[age()]);
        let session = lock(&trial, &format!("LOCK TABLE t IN {mode} MODE")).await;
        let began = Instant::now();
        let report = trial.run().await;
        assert!(
            began.elapsed() < Duration::from_secs(40),
            "{mode}: {:?}",
            began.elapsed()
        );
        assert_eq!(
            report.rules[0].problem.as_ref().unwrap().reason,
            Reason::RowsLocked,
            "{mode}: {report:?}"
        );
        assert_eq!(report.rules[0].affected, 0);
        assert_ne!(report.result, RunResult::NothingDue, "{mode}");
        if counted {
            assert_eq!(report.rules[0].due, 40_000 - YOUNG);
        }
        session.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(trial.run().await.rules[0].affected, 40_000 - YOUNG);
    }
}

#[tokio::test]
async fn a_lock_that_passes_is_waited_for() {
    let trial = trial(&minutes(40_000, "")).await.rules(&[age()]);
    let session = lock(&trial, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE").await;
    let waiter = trial.database.admin().await;
    let (report, ()) = tokio::join!(trial.run(), async {
        // Somebody waits for the lock: it is the worker.
        until(&waiter, "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())", |waiting| waiting > 0).await;
        session.batch_execute("ROLLBACK").await.unwrap();
    });
    assert_eq!(
        (report.result, report.rules[0].affected),
        (RunResult::Done, 40_000 - YOUNG),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_tie_group_larger_than_any_batch_goes_whole() {
    let trial = trial(
        "CREATE TABLE t (id int, at timestamptz);
         INSERT INTO t SELECT i, '2001-01-01' FROM generate_series(1, 50000) i;
         INSERT INTO t SELECT 50000 + i, timestamptz '2001-01-02' + i * interval '1 second' FROM generate_series(1, 3000) i;
         INSERT INTO t SELECT 60000 + i, '2002-01-01' FROM generate_series(1, 30000) i;
         INSERT INTO t SELECT 90000 + i, now() FROM generate_series(1, 100) i;
         CREATE INDEX ON t (at); ANALYZE t;",
    )
    .await
    .rules(&[age()]);
    let report = trial.run().await;
    assert_eq!(
        (report.result, report.rules[0].affected),
        (RunResult::Done, 83_000),
        "{report:?}"
    );
    assert_eq!(format!("{:?}", report.rules[0].access_path), "Some(Index)");
    assert_eq!(trial.ids().await, (90_001..=90_100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_deadlock_with_another_session_is_tried_again() {
    let server = Server::start_with(&["deadlock_timeout = '5ms'"]);
    let trial = crate::harness::trial_on(&server, &minutes(60_000, "ALTER TABLE t ADD PRIMARY KEY (id);")).await.rules(&[json!({
        "grounds": [{"name": "age", "from": ["at"], "for": "P7D"}], "action": {"mask": [{"column": "note", "strategy": "Nullify"}]}
    })]);
    let writer = Disturbers::start(&trial, 1, |client, _, beside| async move {
        let mut first = 60_000;
        while beside.goes_on() {
            // Against the order of the pages, many rows a transaction.
            first = if first < 2000 { 60_000 } else { first - 300 };
            let sql = format!("DO $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM t WHERE id BETWEEN {first} AND {first} + 600 ORDER BY id DESC LOOP
                        PERFORM FROM t WHERE id = r.id FOR UPDATE; END LOOP; END $$");
            let _ = client.batch_execute(&sql).await;
        }
    });
    let admin = server.connect("postgres", trial.database.name()).await;
    let mut affected = 0;
    let deadlocks = || server.log().matches("deadlock detected").count();
    let began = Instant::now();
    loop {
        let report = trial.run().await;
        assert!(
            report.rules[0]
                .problem
                .as_ref()
                .is_none_or(|problem| problem.reason == Reason::RowsLocked),
            "{report:?}"
        );
        affected += report.rules[0].affected;
        if deadlocks() > 0 || began.elapsed() > Duration::from_secs(20) {
            break;
        }
        admin.batch_execute("UPDATE t SET note = 'again'").await.ok();
        affected = 0;
    }
    writer.finish();
    assert!(deadlocks() > 0, "no deadlock came about");
    affected += trial.run().await.rules[0].affected;
    assert_eq!(affected, 60_000 - YOUNG);
    assert_eq!(
        number(&admin, "SELECT count(*) FROM t WHERE note IS NULL").await,
        60_000 - YOUNG
    );
}

#[tokio::test]
async fn two_sweeps_of_one_table_do_not_work_at_once_and_count_no_row_twice() {
    let server = server();
    let trial = crate::runs::trial_with_ledger(
        server,
        &minutes(60_000, "CREATE INDEX ON t (at); CREATE INDEX ON t (note);"),
    )
    .await
    .rules(&[age()]);
    let (first, second) = tokio::join!(
        crate::program::Program::of(&trial).wait(),
        crate::program::Program::of(&trial).wait()
    );
    let mut affected = 0;
    for outcome in [&first, &second] {
        let report = outcome.report();
        affected += report.rules[0].affected;
        if let Some(problem) = &report.rules[0].problem {
            assert_eq!(problem.reason, Reason::SweepInProgress, "{report:?}");
        }
    }
    let admin = trial.database.admin().await;
    assert_eq!(affected, 60_000 - YOUNG);
    assert_eq!(crate::runs::totals(&admin).await.deleted, affected);
    assert_eq!(trial.ids().await, (1..=YOUNG).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_table_whose_lock_is_taken_is_left_alone() {
    let trial = trial(&minutes(20_000, "")).await.rules(&[age()]);
    let holder = trial.database.admin().await;
    // "priv" and the table's object identifier, as the worker documents it.
    holder
        .query_one(
            "SELECT pg_advisory_lock(x'70726976'::int, 't'::regclass::oid::int8::int)",
            &[],
        )
        .await
        .unwrap();
    let report = trial.run().await;
    assert_eq!(report.result, RunResult::Failed);
    assert_eq!(
        report.rules[0].problem.as_ref().unwrap().reason,
        Reason::SweepInProgress
    );
    assert_eq!((report.rules[0].due, report.rules[0].affected), (20_000 - YOUNG, 0));
    drop(holder);
    assert_eq!(trial.run().await.rules[0].affected, 20_000 - YOUNG);
}
