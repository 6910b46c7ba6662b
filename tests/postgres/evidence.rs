//! Limits are judged before the first write, what only counts writes nothing, and the ledger cannot be changed afterwards.

use jiff::Timestamp;
use privacy_operator::contract::{Mode, Reason, RunResult};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::harness::{Trial, trial, trial_on};
use crate::program::Program;
use crate::runs::{YOUNG, minutes, number, totals, trial_with_ledger};
use crate::support::postgres::{Server, server};
use crate::trouble::{age, fingerprint};

/// One table of 1,000 rows of which 500 are due, one of 100 of which 90 are.
const TWO: &str = "CREATE TABLE t (id int, at timestamptz);
    INSERT INTO t SELECT i, now() - CASE WHEN i <= 500 THEN interval '1 year' ELSE interval '0' END FROM generate_series(1, 1000) i;
    CREATE TABLE u (id int, at timestamptz);
    INSERT INTO u SELECT i, now() - CASE WHEN i <= 90 THEN interval '1 year' ELSE interval '0' END FROM generate_series(1, 100) i;";

async fn limited(limits: Value, index: &str) -> Trial<'static> {
    let mut other = age();
    other["table"] = json!("u");
    other["name"] = json!("other");
    let mut trial = trial(&format!("{TWO} {index}")).await.rules(&[other, age()]);
    trial.plan.limits = serde_json::from_value(limits).unwrap();
    trial
}

#[tokio::test]
async fn a_run_over_a_limit_writes_nothing_at_all() {
    for (limits, told) in [
        (
            json!({"maxRows": 589, "maxPercent": 100, "percentFrom": 0}),
            "590 rows, limits.maxRows is 589",
        ),
        (
            json!({"maxPercent": 49, "percentFrom": 1000}),
            "500 of the 1000 in its table, limits.maxPercent is 49",
        ),
        (
            json!({"maxPercent": 89, "percentFrom": 100}),
            "90 of the 100 in its table, limits.maxPercent is 89",
        ),
        (
            json!({"maxPercent": 89, "percentFrom": 0}),
            "90 of the 100 in its table",
        ),
        (
            json!({"maxRows": 589, "maxPercent": 100, "percentFrom": 0, "approved": {"upToRows": 589, "until": "2999-01-01T00:00:00Z"}}),
            "approve.upToRows is 589",
        ),
        (
            json!({"maxRows": 589, "maxPercent": 100, "percentFrom": 0, "approved": {"upToRows": 1_000_000, "until": "2026-01-01T00:00:00Z"}}),
            "the approval has expired",
        ),
    ] {
        for index in ["", "CREATE INDEX ON t (at); CREATE INDEX ON u (at); ANALYZE t, u;"] {
            let trial = limited(limits.clone(), index).await;
            let before = fingerprint(&trial).await;
            let report = trial.run().await;
            assert_eq!(report.result, RunResult::Halted, "{limits}: {report:?}");
            let problem = report.problem.unwrap();
            assert_eq!(
                (problem.reason, problem.field.as_str()),
                (Reason::LimitExceeded, "spec.limits")
            );
            assert!(problem.detail.contains(told), "{told:?} is not in {:?}", problem.detail);
            assert_eq!((report.rules[0].due, report.rules[1].due), (90, 500));
            assert_eq!(before, fingerprint(&trial).await, "{limits} {index}");
        }
    }
}

/// The count along an index takes long steps; values that repeat lie on both sides of their ends.
#[tokio::test]
async fn the_count_before_the_first_write_is_exact_whatever_values_repeat() {
    for repeated in [
        "i",
        "i / 3",
        "i / 3999 * 3999",
        "least(i, 5000)",
        "greatest(i, 9000)",
        "0",
    ] {
        let schema = format!(
            "CREATE TABLE t (id int, at timestamptz);
             INSERT INTO t SELECT i, timestamptz '2001-01-01' + {repeated} * interval '1 second' FROM generate_series(1, 12345) i;
             INSERT INTO t SELECT 20000 + i, now() FROM generate_series(1, 100) i;
             INSERT INTO t VALUES (30001, NULL), (30002, '-infinity'), (30003, 'infinity');
             CREATE INDEX ON t (at); ANALYZE t;"
        );
        let mut trial = trial(&schema).await.rules(&[age()]);
        for (most, result) in [(12_344, RunResult::Halted), (12_345, RunResult::Done)] {
            trial.plan.limits =
                serde_json::from_value(json!({"maxRows": most, "maxPercent": 100, "percentFrom": 0})).unwrap();
            let report = trial.run().await;
            assert_eq!(report.result, result, "{repeated}: {report:?}");
            assert_eq!(
                format!("{:?}", report.rules[0].access_path),
                "Some(Index)",
                "{repeated}"
            );
        }
        assert_eq!(trial.ids().await.len(), 103, "{repeated}");
    }
}

#[tokio::test]
async fn a_run_within_its_limits_or_its_approval_goes_on() {
    let tomorrow = Timestamp::now()
        .checked_add(jiff::SignedDuration::from_hours(24))
        .unwrap();
    for limits in [
        json!({"maxRows": 590, "maxPercent": 90, "percentFrom": 0}),
        json!({"maxPercent": 50, "percentFrom": 101}),
        json!({"maxPercent": 1, "percentFrom": 1001}),
        json!({"maxRows": 1, "maxPercent": 1, "percentFrom": 0, "approved": {"upToRows": 590, "until": tomorrow.to_string()}}),
    ] {
        let trial = limited(limits.clone(), "").await;
        let report = trial.run().await;
        assert_eq!(
            (report.result, report.rules[0].affected, report.rules[1].affected),
            (RunResult::Done, 90, 500),
            "{limits}: {report:?}"
        );
    }
}

/// Where nothing but the test writes: no background process adds to the log.
fn quiet_server() -> Server {
    Server::start_with(&[
        "autovacuum = off",
        "wal_level = minimal",
        "max_wal_senders = 0",
        "checkpoint_timeout = '1d'",
        "track_io_timing = off",
    ])
}

/// What any write would change: the end of the log, and the next transaction.
async fn marks(client: &Client) -> (i64, i64) {
    (
        number(client, "SELECT pg_current_wal_insert_lsn() - '0/0'").await,
        number(client, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int8").await,
    )
}

#[tokio::test]
async fn what_only_counts_or_finds_nothing_writes_nothing() {
    let server = quiet_server();
    for index in ["", "CREATE INDEX ON t (at);"] {
        let mut trial = trial_with_ledger(&server, &minutes(20_000, index)).await.rules(&[
            age(),
            json!({"name": "note", "rows": [{"column": "id", "operator": "In", "values": ["5"]}], "action": {"mask": [{"column": "note", "strategy": "Nullify"}]}}),
        ]);
        let admin = server.connect("postgres", trial.database.name()).await;
        admin.execute("VACUUM (FREEZE, ANALYZE)", &[]).await.unwrap();
        admin.execute("CHECKPOINT", &[]).await.unwrap();
        // The first session of a database fills the catalogue's caches, which may prune it.
        trial.plan.mode = Mode::Observe;
        trial.run().await;
        let before = marks(&admin).await;
        let report = trial.run().await;
        assert_eq!(
            (report.result, report.rules[0].due, report.rules[1].due),
            (RunResult::Done, 20_000 - YOUNG, 1),
            "{report:?}"
        );
        assert_eq!(report.rules[0].affected, 0);
        assert_eq!(before, marks(&admin).await, "Observe wrote something; index {index:?}");

        trial.plan.mode = Mode::Enforce;
        assert_eq!(trial.run().await.result, RunResult::Done);
        let line = totals(&admin).await;
        assert_eq!((line.deleted, line.masked), (20_000 - YOUNG, 1));
        admin.execute("VACUUM (FREEZE, ANALYZE)", &[]).await.unwrap();
        admin.execute("CHECKPOINT", &[]).await.unwrap();
        trial.run().await;
        let before = marks(&admin).await;
        let report = trial.run().await;
        assert_eq!(report.result, RunResult::NothingDue);
        assert_eq!(
            before,
            marks(&admin).await,
            "a run with nothing due wrote something; index {index:?}"
        );
        assert_eq!(number(&admin, "SELECT count(*) FROM privacy_operator.ledger").await, 1);
        let ledger = report.ledger.unwrap();
        assert_eq!((ledger.sequence, ledger.totals.deleted), (1, 20_000 - YOUNG));
    }
}

#[tokio::test]
async fn the_command_line_can_only_make_a_run_milder() {
    let trial = trial(TWO).await.rules(&[age()]);
    let mut settings = trial.settings();
    settings.observe = true;
    let report = privacy_operator::worker::execute(&settings, Timestamp::now).await;
    assert_eq!(
        (report.mode, report.rules[0].due, report.rules[0].affected),
        (Mode::Observe, 500, 0)
    );
    assert_eq!(trial.ids().await.len(), 1000);
}

#[tokio::test]
async fn the_ledger_chains_its_lines_and_the_role_cannot_change_them() {
    let trial = trial_with_ledger(server(), TWO).await.rules(&[age()]);
    let admin = trial.database.admin().await;
    for run in 1..=3_i64 {
        let ledger = trial.run().await.ledger.unwrap();
        assert_eq!((ledger.sequence, ledger.totals.deleted), (run, 500 * run));
        admin
            .batch_execute("INSERT INTO t SELECT i, now() - interval '1 year' FROM generate_series(1, 500) i")
            .await
            .unwrap();
    }
    let broken = "SELECT count(*) FROM (SELECT *, lag(head, 1, '') OVER (ORDER BY sequence) AS before FROM privacy_operator.ledger) l
        WHERE previous <> before OR head <> encode(sha256(convert_to(concat_ws(E'\\n', previous, sequence, run, plan_hash, deleted, masked, set_rows, report), 'UTF8')), 'hex')";
    assert_eq!(number(&admin, broken).await, 0);
    admin
        .batch_execute("BEGIN; UPDATE privacy_operator.ledger SET deleted = 1 WHERE sequence = 2")
        .await
        .unwrap();
    assert_eq!(number(&admin, broken).await, 1, "a changed line is noticed");
    admin
        .batch_execute("ROLLBACK; BEGIN; DELETE FROM privacy_operator.ledger WHERE sequence = 2")
        .await
        .unwrap();
    assert_eq!(number(&admin, broken).await, 1, "a missing line is noticed");
    admin.batch_execute("ROLLBACK").await.unwrap();
    let role = trial.database.connect(&trial.role).await;
    for change in [
        "UPDATE privacy_operator.ledger SET deleted = 0",
        "DELETE FROM privacy_operator.ledger",
        "TRUNCATE privacy_operator.ledger",
    ] {
        let error = role.batch_execute(change).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501", "{change}");
    }
    let text = trial
        .texts("SELECT l::text FROM privacy_operator.ledger l")
        .await
        .join("\n");
    assert!(!text.contains("2025-") && !text.contains(&trial.role), "{text}");
}

/// Runs `verify` on log lines: whether it is content, and what it prints.
fn verified(log: &str) -> (bool, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("log");
    std::fs::write(&file, log).unwrap();
    let program = std::process::Command::new(env!("CARGO_BIN_EXE_privacy-operator"))
        .arg("verify")
        .arg(file)
        .output()
        .unwrap();
    let text = [program.stdout, program.stderr].concat();
    (program.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn a_line_says_by_which_rules_at_which_time_and_by_which_starts_rows_were_due() {
    let months = json!({"name": "months", "from": ["at"], "for": "P6M"});
    let days = json!({"name": "days", "from": ["at"], "for": "P3D"});
    let mut rule = age();
    rule["grounds"] = json!([months, days]);
    let trial = trial_with_ledger(server(), TWO).await.rules(&[rule]);
    let report = trial.run().await;
    let text = trial.texts("SELECT report FROM privacy_operator.ledger").await;
    let line: Value = serde_json::from_str(&text[0]).unwrap();
    assert_eq!((&line["generation"], report.generation), (&json!(3), Some(3)));
    let time: Timestamp = line["storeTime"].as_str().unwrap().parse().unwrap();
    assert_eq!(time, report.started_at);
    let rule = &line["rules"][0];
    assert_eq!((&rule["affected"], &rule["due"]), (&json!(500), &json!(0)));
    let [months, days] = [&rule["dueStarts"][0], &rule["dueStarts"][1]];
    assert_eq!((&months["ground"], &days["ground"]), (&json!("months"), &json!("days")));
    // Days are exact; months may leave gaps at their ends, the last start is six months ago by the server's own reckoning.
    let since = time - jiff::SignedDuration::from_hours(72);
    assert_eq!(days["between"], json!([[null, since.to_string()]]));
    let last = months["between"].as_array().unwrap().last().unwrap()[1]
        .as_str()
        .unwrap();
    let fits = format!(
        "SELECT ('{last}'::timestamptz AT TIME ZONE 'UTC' + interval '6 months' <= '{time}'::timestamptz AT TIME ZONE 'UTC')::text"
    );
    assert_eq!(trial.texts(&fits).await, ["true"]);
}

#[tokio::test]
async fn the_logs_of_the_runs_alone_prove_what_was_disposed_of() {
    let trial = trial_with_ledger(server(), TWO).await.rules(&[age()]);
    let admin = trial.database.admin().await;
    let mut logs = Vec::new();
    for _ in 0..3 {
        logs.push(Program::of(&trial).wait().await.output);
        admin
            .batch_execute("INSERT INTO t SELECT i, now() - interval '1 year' FROM generate_series(1, 500) i")
            .await
            .unwrap();
    }
    let (holds, text) = verified(&logs.concat());
    assert!(
        holds && text.contains("3 lines up to number 3; deleted 1500, masked 0, set 0"),
        "{text}"
    );
    let head = trial
        .texts("SELECT head FROM privacy_operator.ledger ORDER BY sequence DESC LIMIT 1")
        .await;
    assert!(text.contains(&head[0]), "{text}");
    let (holds, text) = verified(&[&logs[0][..], &logs[2]].concat());
    assert!(!holds && text.contains("line 2 is missing"), "{text}");
    let (holds, text) = verified(&logs.concat().replace("\"deleted\":500", "\"deleted\":5"));
    assert!(!holds && text.contains("line 1 was changed"), "{text}");
    let (holds, text) = verified("no line at all\n");
    assert!(!holds && text.contains("no line of a ledger"), "{text}");
    // What the store itself has is the same chain.
    let rows = trial
        .texts("SELECT row_to_json(l)::text FROM privacy_operator.ledger l")
        .await;
    let (holds, text) = verified(&[rows.join("\n"), logs.concat()].join("\n"));
    assert!(holds && text.contains("3 lines up to number 3"), "{text}");
}

#[tokio::test]
async fn without_a_ledger_the_run_does_its_work_all_the_same() {
    let trial = trial_on(server(), TWO).await.rules(&[age()]);
    let report = trial.run().await;
    assert_eq!((report.rules[0].affected, report.ledger), (500, None));
}
