//! Legal holds under fire: sessions bind rows and let them go while sweeps run by plans with the holds and without.
//!
//! Placing a hold is a change of plans (docs/holds.md), so between two plans nothing runs. Whatever a hold of the plan binds
//! when a sweep has ended, and was there when it began, must still be there: also what was bound in the middle of it.

use privacy_operator::contract::Reason;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::disturbers::{Beside, Disturbers};
use crate::harness::{Trial, trial};
use crate::runs::number;
use crate::trouble::age;

const ROWS: i64 = 40_000;

/// Old rows of owner 2 that are not disputed; owner 1 is the person whom a hold names. `bound` is what the sessions did last
/// to a row: they write it in the transaction in which they change the row.
const SCHEMA: &str = "CREATE TABLE owner (id int PRIMARY KEY, email text); INSERT INTO owner VALUES (1, 'ada@example.org'), (2, 'bob@example.org');
    CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL, disputed bool NOT NULL, owner int NOT NULL, note text);
    CREATE TABLE bound (id int PRIMARY KEY, disputed bool NOT NULL, owner int NOT NULL);
    CREATE TABLE gone (id int PRIMARY KEY);";

/// Puts back what is not there, old and unbound, and forgets what the sessions did to it.
fn refill() -> String {
    format!(
        "BEGIN; WITH new AS (INSERT INTO t SELECT i, now() - interval '30 days' - i * interval '1 minute', false, 2, 'x'
             FROM generate_series(0, {ROWS} - 1) i WHERE NOT EXISTS (SELECT FROM t WHERE id = i) RETURNING id)
           DELETE FROM bound USING new WHERE new.id = bound.id; COMMIT;"
    )
}

/// Binds rows, and lets them go: one column decides the one hold, another the other. Each session has rows of its own.
async fn bind(client: Client, session: i32, beside: Beside) {
    let sql = "WITH chosen AS (UPDATE t SET disputed = CASE WHEN $2 % 2 = 0 THEN NOT disputed ELSE disputed END,
                   owner = CASE WHEN $2 % 2 = 0 THEN owner ELSE 3 - owner END
                 WHERE id IN (SELECT (4 * ((hashint8($2::int8 + n) & 2147483647)::int8 % ($3::int8 / 4)) + $1::int8)::int FROM generate_series(1, 20) n)
                 RETURNING id, disputed, owner)
               INSERT INTO bound SELECT * FROM chosen ON CONFLICT (id) DO UPDATE SET disputed = excluded.disputed, owner = excluded.owner";
    let statement = client.prepare(sql).await.unwrap();
    let mut round = i64::from(session) * 1_000_000;
    while beside.goes_on() {
        round += 21;
        let touched = client
            .execute(&statement, &[&i64::from(session), &round, &ROWS])
            .await
            .unwrap();
        beside.changed(touched);
    }
}

/// A hold by a column of the row, and one of a person, whose rows are found through another table.
fn disputed() -> Value {
    json!({"name": "claim", "schema": "public", "table": "t", "when": [{"column": "disputed", "operator": "In", "values": ["true"]}]})
}

fn of_ada() -> Value {
    let relation = json!({"schema": "public", "table": "owner", "columns": [["owner", "id"]]});
    let next = json!([{"identity": "email", "by": {"column": "email"}}]);
    let path = json!({"identity": "email", "by": {"through": [relation, next]}});
    json!({"name": "ada", "schema": "public", "table": "t", "person": {"secret": "ada", "paths": [path]}})
}

/// Runs plan after plan beside four sessions, until so many rows were judged; how many went.
async fn under_fire(trial: &mut Trial<'_>, plans: &[(Value, &str)], decisions: i64) -> i64 {
    let directory = trial.files.path().join("holds/ada");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("email"), "Ada@example.org\n").unwrap();
    let admin = trial.database.admin().await;
    admin.batch_execute(&refill()).await.unwrap();
    let sessions = Disturbers::start(trial, 4, bind);
    let (mut judged, mut affected, mut kept) = (0, 0, 0);
    for (holds, binds) in plans.iter().cycle() {
        if judged >= decisions && affected > 0 && sessions.changes() > 10_000 {
            break;
        }
        trial.plan.holds = serde_json::from_value(holds.clone()).unwrap();
        // What is gone by now went by other plans.
        let gone =
            "BEGIN; TRUNCATE gone; INSERT INTO gone SELECT id FROM bound WHERE id NOT IN (SELECT id FROM t); COMMIT";
        admin.batch_execute(gone).await.unwrap();
        judged += number(&admin, "SELECT count(*) FROM t").await;
        let report = trial.run().await;
        let rule = &report.rules[0];
        let passing = |reason| matches!(reason, Reason::RowsLocked);
        assert!(
            report.problem.is_none() && rule.problem.as_ref().is_none_or(|problem| passing(problem.reason)),
            "{report:?}"
        );
        affected += rule.affected;
        let lost = format!(
            "SELECT count(*) FROM bound b WHERE ({binds}) AND id NOT IN (SELECT id FROM t) AND id NOT IN (SELECT id FROM gone)"
        );
        assert_eq!(
            number(&admin, &lost).await,
            0,
            "rows that a hold of the plan binds are gone: {holds}"
        );
        kept += number(
            &admin,
            &format!(
                "SELECT count(*) FROM t JOIN bound b USING (id) WHERE {}",
                binds.replace("b.", "t.")
            ),
        )
        .await;
        admin.batch_execute(&refill()).await.unwrap();
    }
    let changes = sessions.finish();
    println!("{judged} decisions beside {changes} changes: {affected} rows went, {kept} times a bound row stayed");
    assert!(kept > 1000 && affected > judged / 10, "{kept} stayed, {affected} went");
    affected
}

/// By columns of the row alone: one statement a batch.
#[tokio::test]
async fn a_row_that_a_hold_binds_during_a_sweep_stays_while_holds_come_and_go() {
    for index in ["", "CREATE INDEX ON t (at);"] {
        let mut trial = trial(&format!("{SCHEMA}{index}")).await.rules(&[age()]);
        let plans = [
            (json!([disputed()]), "b.disputed"),
            (json!([]), "false"),
            (json!([disputed()]), "b.disputed"),
        ];
        under_fire(&mut trial, &plans, 300_000).await;
    }
}

/// Another table decides: rows are locked, and judged again.
#[tokio::test]
async fn a_row_that_becomes_a_held_persons_during_a_sweep_stays_while_holds_come_and_go() {
    let mut trial = trial(SCHEMA).await.rules(&[age()]);
    let plans = [
        (json!([of_ada()]), "b.owner = 1"),
        (json!([disputed(), of_ada()]), "b.disputed OR b.owner = 1"),
        (json!([]), "false"),
        (json!([disputed()]), "b.disputed"),
    ];
    under_fire(&mut trial, &plans, 300_000).await;
}
