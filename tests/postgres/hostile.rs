//! Names and databases made to mislead the worker.

use std::fmt::Write as _;

use privacy_operator::contract::{Reason, RunResult};
use serde_json::json;

use crate::harness::{Trial, trial};
use crate::trouble::{age, fingerprint, refused};

/// Names that would do harm if they were ever read as SQL.
fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "select",
        "USER",
        "Mixed Case",
        "semi;colon",
        "quo\"te",
        "\"",
        "\"\"\"",
        "apo'strophe",
        "x\"; DROP TABLE other; --",
        "x'; DROP TABLE other; --",
        "$1",
        "$$",
        "%s",
        "{}",
        "\\",
        "\\\"",
        "a.b",
        "public.other",
        "/* x",
        "-- x",
        "ünïcödé",
        "名前",
        "𝒳",
        "rtl\u{202e}txet",
        " leading",
        "trailing ",
        "t",
        "d",
        "ctid2",
        "(0,1)",
        "?",
        "U&\"\\0061\"",
        "E'\\n'",
        "old",
        "new",
        "excluded",
        "null",
        "true",
        "1",
        "*",
        "::int",
        "x) OR (true",
        "tid",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push("x".repeat(63));
    names.push("\"".repeat(63));
    names.push("é".repeat(31));
    names
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The fingerprint without one table: what may not change.
async fn others(trial: &Trial<'_>, table: &str) -> Vec<(String, String)> {
    let mut whole = fingerprint(trial).await;
    whole.remove(table).expect("the table is there");
    whole.into_iter().collect()
}

#[tokio::test]
async fn no_name_is_ever_read_as_sql() {
    let mut schema = "CREATE TABLE other AS SELECT 1 AS id;".to_owned();
    let mut rules = Vec::new();
    for (index, name) in names().iter().enumerate() {
        let namespace = if index % 2 == 0 {
            "public".to_owned()
        } else {
            format!("s{}", name.chars().take(20).collect::<String>())
        };
        if index % 2 == 1 {
            let _ = write!(
                schema,
                "CREATE SCHEMA {}; GRANT USAGE ON SCHEMA {0} TO PUBLIC;",
                quoted(&namespace)
            );
        }
        let table = format!("{}.{}", quoted(&namespace), quoted(name));
        let column = quoted(name);
        let at = quoted(&format!("@{}", name.chars().take(20).collect::<String>()));
        let key = quoted(&format!("#{}", name.chars().take(20).collect::<String>()));
        let _ = write!(
            schema,
            "CREATE TABLE {table} ({key} int PRIMARY KEY, {column} text, {at} timestamptz);
             INSERT INTO {table} VALUES (1, 'x', '2001-01-01'), (2, 'y', now()), (3, 'y', '2001-01-01'), (4, 'z', '2001-01-01');
             CREATE TABLE {} ({column} int REFERENCES {table}); INSERT INTO {0} VALUES (4);
             GRANT ALL ON {table}, {0} TO PUBLIC;",
            format!("{}.{}", quoted(&namespace), quoted(&format!("r{index}")))
        );
        let at = format!("@{}", name.chars().take(20).collect::<String>());
        rules.push(
            json!({"name": format!("delete-{index}"), "schema": namespace, "table": name,
            "rows": [{"column": name, "operator": "NotIn", "values": ["x", name]}],
            "grounds": [{"name": "age", "from": [at], "for": "P7D"}], "action": "delete"}),
        );
        rules.push(
            json!({"name": format!("mask-{index}"), "schema": namespace, "table": name,
            "rows": [{"column": name, "operator": "In", "values": ["x"]}],
            "action": {"mask": [{"column": name, "strategy": "Nullify"}]}}),
        );
        rules.push(
            json!({"name": format!("set-{index}"), "schema": namespace, "table": name,
            "rows": [{"column": name, "operator": "In", "values": ["y"]}],
            "action": {"set": [{"column": name, "value": name}]}}),
        );
    }
    let trial = trial(&schema).await.rules(&rules);
    let catalogue = |whole: std::collections::BTreeMap<String, String>| -> Vec<(String, String)> {
        whole
            .into_iter()
            .filter(|(key, _)| !key.contains('.') || key == "public.other" || key.contains(".r"))
            .collect()
    };
    let before = catalogue(fingerprint(&trial).await);
    let report = trial.run().await;
    assert_eq!(
        report.result,
        RunResult::Done,
        "{:?}",
        report
            .rules
            .iter()
            .filter(|rule| rule.problem.is_some())
            .collect::<Vec<_>>()
    );
    for (index, rule) in report.rules.iter().enumerate() {
        assert_eq!(rule.affected, 1, "{}: {rule:?}", trial.plan.rules[index].table);
    }
    assert_eq!(before, catalogue(fingerprint(&trial).await));
    for name in names()
        .iter()
        .enumerate()
        .filter(|(index, _)| index % 2 == 0)
        .map(|(_, name)| name)
    {
        let found = trial
            .texts(&format!("SELECT {} FROM public.{0} ORDER BY 1", quoted(name)))
            .await;
        let mut expected = [name.as_str(), "z", "NULL"];
        expected.sort_by_key(|text| (*text == "NULL", text.as_bytes().to_vec()));
        assert_eq!(found, expected, "{name}");
    }
}

#[tokio::test]
async fn a_name_with_a_line_break_or_of_64_bytes_is_refused() {
    let long = "x".repeat(64);
    for name in ["a\nb", "a\0b", long.as_str(), ""] {
        let trial = trial("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
            .await
            .rules(&[json!({"table": name, "rows": [{"column": "id", "operator": "Exists"}], "action": "delete"})]);
        let report = trial.run().await;
        assert_eq!(report.problem.unwrap().reason, Reason::InvalidPlan, "{name:?}");
    }
    let condition = |name: &str| json!({"rows": [{"column": name, "operator": "Exists"}], "action": "delete"});
    refused(
        trial("CREATE TABLE t (id int); INSERT INTO t VALUES (1)").await,
        &[
            (condition("i\nd"), Reason::UnknownColumn, "rows[0].column", "public.t"),
            (condition(&long), Reason::UnknownColumn, "rows[0].column", "public.t"),
            (
                condition("id\" IS NULL OR \"id"),
                Reason::UnknownColumn,
                "rows[0].column",
                "public.t",
            ),
            (
                condition("tableoid"),
                Reason::UnknownColumn,
                "rows[0].column",
                "public.t",
            ),
        ],
    )
    .await;
}

/// Operators and functions of the table's owner that would make every row due, with the settings that would find them.
const PLANTED: &str = "
    CREATE FUNCTION always(timestamptz, timestamptz) RETURNS bool LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.caught VALUES (1); RETURN true; END';
    CREATE OPERATOR < (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = always);
    CREATE OPERATOR <= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = always);
    CREATE OPERATOR > (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = always);
    CREATE OPERATOR >= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = always);
    CREATE FUNCTION always(text, text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.caught VALUES (2); RETURN true; END';
    CREATE OPERATOR = (LEFTARG = text, RIGHTARG = text, FUNCTION = always);
    CREATE FUNCTION now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT timestamptz '2999-01-01' $$;
    CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT timestamptz '2999-01-01' $$;
    CREATE FUNCTION family(inet) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.caught VALUES (3); RETURN 4; END';
    CREATE FUNCTION host(inet) RETURNS text LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.caught VALUES (4); RETURN 5; END';
    CREATE FUNCTION pg_try_advisory_lock(int, int) RETURNS bool LANGUAGE sql AS 'SELECT true';
    CREATE FUNCTION has_table_privilege(oid, text) RETURNS bool LANGUAGE sql AS 'SELECT true';
    CREATE TYPE public.timestamptz AS (x int);";

#[tokio::test]
async fn a_planted_operator_or_function_is_never_found() {
    let trial = trial(&format!(
        "CREATE TABLE t (id int, at pg_catalog.timestamptz, name text, ip inet);
         INSERT INTO t SELECT i, now() - i * interval '1 day', 'n' || i, '192.0.2.77' FROM generate_series(1, 30) i;
         CREATE TABLE caught (by int); GRANT ALL ON caught TO PUBLIC; GRANT ALL ON SCHEMA public TO PUBLIC;
         {PLANTED}"
    ))
    .await
    .rules(&[
        json!({"name": "age", "rows": [{"column": "name", "operator": "NotIn", "values": ["n30"]}],
            "grounds": [{"name": "age", "from": ["at"], "for": "P7D"}], "action": "delete"}),
        json!({"name": "ip", "action": {"mask": [{"column": "ip", "strategy": "TruncateIp"}]}}),
    ]);
    for setting in [
        "search_path = public, pg_catalog",
        "standard_conforming_strings = off",
        "row_security = on",
        "transform_null_equals = on",
        "datestyle = 'SQL, DMY'",
        "timezone = 'Pacific/Kiritimati'",
        "quote_all_identifiers = on",
    ] {
        for owner in [
            format!("DATABASE \"{}\"", trial.database.name()),
            format!("ROLE \"{}\"", trial.role),
        ] {
            trial.database.execute(&format!("ALTER {owner} SET {setting}")).await;
        }
    }
    let role = format!("ALTER ROLE \"{}\" SET statement_timeout = '1ms'", trial.role);
    trial.database.execute(&role).await;
    let report = trial.run().await;
    assert_eq!(report.result, RunResult::Done, "{report:?}");
    assert_eq!(
        (report.rules[0].affected, report.rules[1].affected),
        (23, 7),
        "{report:?}"
    );
    assert_eq!(trial.ids().await, [1, 2, 3, 4, 5, 6, 30]);
    assert_eq!(trial.texts("SELECT by::text FROM caught").await, [""; 0]);
    assert_eq!(
        trial.texts("SELECT DISTINCT pg_catalog.host(ip) FROM t").await,
        ["192.0.2.0"]
    );
}

#[tokio::test]
async fn text_addresses_are_told_from_other_text_whatever_the_servers_quoting_is() {
    let trial =
        trial("CREATE TABLE t (id int, ip text); INSERT INTO t VALUES (1, '192.0.2.77'), (2, '192a0b2c77'), (3, 'x')")
            .await
            .rules(&[json!({"action": {"mask": [{"column": "ip", "strategy": "TruncateIp"}]}})]);
    trial
        .database
        .execute(&format!(
            "ALTER DATABASE \"{}\" SET standard_conforming_strings = off",
            trial.database.name()
        ))
        .await;
    let report = trial.run().await;
    assert_eq!(
        (report.result, report.rules[0].affected),
        (RunResult::Done, 1),
        "{report:?}"
    );
    assert_eq!(
        trial.texts("SELECT ip FROM t ORDER BY id").await,
        ["192.0.2.0", "192a0b2c77", "x"]
    );
}

/// A check, an index expression or a generated column of the table's owner runs with the rights of the worker's role.
/// They are few, and the server's complaint quotes nothing.
#[tokio::test]
async fn code_of_the_tables_owner_gains_nothing_when_it_runs_with_the_workers_rights() {
    let trial = trial(
        "CREATE TABLE t (id int, at timestamptz, note text, extra text);
         INSERT INTO t SELECT i, now() - i * interval '1 day', 'n', 'n' FROM generate_series(1, 30) i;
         CREATE TABLE elsewhere AS SELECT * FROM t;
         CREATE FUNCTION climb(text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
            EXECUTE format('ALTER ROLE %I SUPERUSER', current_user); RETURN true; END $$;
         CREATE FUNCTION wipe(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
            IF $1 IS NULL THEN DELETE FROM public.elsewhere; END IF; RETURN $1; END $$;",
    )
    .await
    .rules(&[
        json!({"grounds": [{"name": "age", "from": ["at"], "for": "P7D"}], "action": {"mask": [{"column": "note", "strategy": "Nullify"}]}}),
        json!({"name": "second", "grounds": [{"name": "age", "from": ["at"], "for": "P7D"}], "action": {"mask": [{"column": "extra", "strategy": "Nullify"}]}}),
    ]);
    trial
        .database
        .execute("ALTER TABLE t ADD CHECK (note IS NOT NULL OR climb(note)); CREATE INDEX ON t (wipe(extra)); REVOKE ALL ON elsewhere FROM PUBLIC;")
        .await;
    trial
        .database
        .execute(&format!("REVOKE ALL ON elsewhere FROM \"{}\"", trial.role))
        .await;
    let before = fingerprint(&trial).await;
    let report = trial.run().await;
    assert_eq!(report.result, RunResult::Failed);
    assert!(
        report
            .rules
            .iter()
            .all(|rule| rule.problem.is_some() && rule.affected == 0),
        "{report:?}"
    );
    assert_eq!(before, fingerprint(&trial).await);
}

#[tokio::test]
async fn planted_names_do_not_count_against_the_rule_of_age() {
    let trial = trial("CREATE TABLE t (id int, at timestamptz); INSERT INTO t SELECT i, now() - i * interval '1 day' FROM generate_series(1, 30) i;
        CREATE SCHEMA \"$user\"; CREATE TABLE \"$user\".t (id int, at timestamptz); INSERT INTO \"$user\".t SELECT * FROM t;")
        .await
        .rules(&[age()]);
    let before = others(&trial, "public.t").await;
    assert_eq!(trial.run().await.rules[0].affected, 24);
    assert_eq!(before, others(&trial, "public.t").await);
}
