//! Error texts of a store carry personal data. None of it leaves the worker.

use privacy_operator::contract::{Reason, RunResult};
use privacy_operator::worker;
use serde_json::{Value, json};

use crate::harness::trial;
use crate::program::Program;

const CANARY: &str = "canary-4711@example.org";

/// Rows that make the server complain about the canary, each in its own way, when they are masked or set.
const SCHEMA: &str = "
    CREATE TABLE taken (id int, email text, slot text, at timestamptz DEFAULT '2001-01-01', UNIQUE (email, slot));
    INSERT INTO taken VALUES (1, 'CANARY', 'a'), (2, 'CANARY', 'b');
    CREATE TABLE checked (id int, email text, slot text CHECK (slot <> 'same'), at timestamptz DEFAULT '2001-01-01');
    INSERT INTO checked VALUES (1, 'CANARY', 'a');
    CREATE TABLE parents (email text, slot text, PRIMARY KEY (email, slot));
    CREATE TABLE pointing (id int, email text, slot text, at timestamptz DEFAULT '2001-01-01', FOREIGN KEY (email, slot) REFERENCES parents);
    INSERT INTO parents VALUES ('CANARY', 'a');
    INSERT INTO pointing SELECT i, 'CANARY', 'a' FROM generate_series(1, 500) i;
    CREATE TABLE required (id int, email text, slot text, at timestamptz DEFAULT '2001-01-01') PARTITION BY LIST (id);
    CREATE TABLE required_leaf PARTITION OF required (slot NOT NULL) DEFAULT;
    INSERT INTO required VALUES (1, 'CANARY', 'a');
    CREATE TABLE cast_text (id int, email text, slot text, at timestamptz DEFAULT '2001-01-01');
    INSERT INTO cast_text VALUES (1, 'CANARY', 'a');
    ALTER TABLE cast_text ADD CHECK (email::int > 0) NOT VALID;
    CREATE FUNCTION shout(text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
      RAISE NOTICE 'notice %', $1; RAISE WARNING 'warning %', $1; RAISE LOG 'log %', $1;
      RAISE EXCEPTION 'exception %', $1 USING DETAIL = $1, HINT = $1, ERRCODE = 'P0001'; END $$;
    CREATE TABLE shouting (id int, email text, slot text, at timestamptz DEFAULT '2001-01-01');
    INSERT INTO shouting VALUES (1, 'CANARY', 'a');
    ALTER TABLE shouting ADD CHECK (shout(email)) NOT VALID;
    CREATE EXTENSION btree_gist;
    CREATE TABLE excluded (id int, email text, slot text, at timestamptz DEFAULT '2001-01-01', EXCLUDE USING gist (email WITH =, slot WITH =));
    INSERT INTO excluded VALUES (1, 'CANARY', 'a'), (2, 'CANARY', 'b');";

fn set(table: &str) -> Value {
    json!({"name": table.replace('_', "-"), "table": table, "grounds": [{"name": "age", "from": ["at"], "for": "P7D"}],
        "action": {"set": [{"column": "slot", "value": "same"}]}})
}

#[tokio::test]
async fn what_the_server_says_about_rows_stays_with_the_server() {
    let nullify = json!({"name": "required", "table": "required", "action": {"mask": [{"column": "slot", "strategy": "Nullify"}]}});
    let cases = [
        (
            set("taken"),
            Reason::StoreError,
            "SQLSTATE 23505 at public.taken.taken_email_slot_key",
        ),
        (
            set("checked"),
            Reason::StoreError,
            "SQLSTATE 23514 at public.checked.checked_slot_check",
        ),
        (
            set("pointing"),
            Reason::StoreError,
            "SQLSTATE 23503 at public.pointing.pointing_email_slot_fkey",
        ),
        (
            nullify,
            Reason::StoreError,
            "SQLSTATE 23502 at public.required_leaf.slot",
        ),
        (set("cast_text"), Reason::InvalidValue, "SQLSTATE 22P02"),
        (set("shouting"), Reason::StoreError, "SQLSTATE P0001"),
        (
            set("excluded"),
            Reason::StoreError,
            "SQLSTATE 23P01 at public.excluded.excluded_email_slot_excl",
        ),
    ];
    let rules: Vec<Value> = cases.iter().map(|(rule, ..)| rule.clone()).collect();
    let trial = trial(&SCHEMA.replace("CANARY", CANARY)).await.rules(&rules);
    let setting = format!("ALTER ROLE \"{}\" SET client_min_messages = debug1", trial.role);
    trial.database.execute(&setting).await;

    let in_process = trial.run().await;
    let outcome = Program::of(&trial).wait().await;
    for report in [&in_process, &outcome.report()] {
        assert_eq!(report.result, RunResult::Failed, "{report:?}");
        for (rule, (_, reason, detail)) in report.rules.iter().zip(&cases) {
            let problem = rule.problem.as_ref().unwrap();
            assert_eq!(
                (problem.reason, problem.detail.as_str()),
                (*reason, *detail),
                "{rule:?}"
            );
            assert!(!problem.message().contains(CANARY));
        }
    }
    let log = trial.server.log();
    for complaint in [
        "Key (email, slot)=(",
        "Failing row contains (1, ",
        "input syntax for type integer: \"",
        "exception ",
    ] {
        assert!(
            log.contains(&format!("{complaint}{CANARY}")),
            "the server did not say {complaint:?}"
        );
    }
    for (place, text) in [
        ("report", &format!("{in_process:?}")),
        ("output", &outcome.output),
        ("termination message", &outcome.message),
    ] {
        assert!(!text.contains("canary"), "{place}: {text}");
        assert!(!text.contains("s3cret"), "{place}: {text}");
        assert!(!text.is_empty(), "{place}");
    }
}

/// Runs only when the test below starts it in a process of its own.
#[tokio::test]
async fn child_that_panics() {
    if std::env::var_os("PANIC_CANARY").is_some() {
        let trial = trial("CREATE TABLE t (id int)").await;
        let settings = trial.settings();
        worker::main(settings, None, || {
            std::panic::panic_any(format!("Key (email)=({CANARY})"))
        })
        .await;
    }
}

#[test]
fn a_panic_tells_its_place_and_nothing_else() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["canary::child_that_panics", "--exact", "--nocapture"])
        .env("PANIC_CANARY", "yes")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!text.contains("canary-4711"), "{text}");
    assert!(
        text.contains("the worker panicked") && text.contains("canary.rs:"),
        "{text}"
    );
}
