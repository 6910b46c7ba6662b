//! What cannot be exported exactly is refused, with the place where it stands and the reason.

use privacy_operator::contract::Reason;
use privacy_operator::contract::export::{ExportReport, ExportResult};
use serde_json::{Value, json};

use crate::harness::{trial, trial_granting};

async fn refused(schema: &str, datasets: Value) -> (Reason, String, String) {
    let all = |_: &str, _: &Value, role: &str| format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{role}\"");
    let trial = trial_granting(schema, datasets, json!([]), all)
        .await
        .of(&[("user_id", "1")]);
    let report: ExportReport = trial.run().await;
    assert_eq!(report.result, ExportResult::Failed, "{report:?}");
    assert!(trial.volume().is_empty());
    let problem = report.problem.unwrap();
    (problem.reason, problem.field, problem.detail)
}

fn one(table: &str, mut rest: Value) -> Value {
    let mut dataset = json!({"name": "t", "schema": "public", "table": table, "subjects": [{"identity": "user_id", "by": {"column": "id"}}]});
    for (key, value) in rest.as_object_mut().unwrap() {
        dataset[key] = value.take();
    }
    json!([dataset])
}

#[tokio::test]
async fn each_mistake_is_refused_with_its_place() {
    let table = "CREATE TABLE t (id int PRIMARY KEY, secret text)";
    for (schema, datasets, reason, place) in [
        (
            table,
            one("missing", json!({})),
            Reason::UnknownTable,
            "datasets[t].table",
        ),
        (
            table,
            one("t", json!({"fields": [{"column": "Secret"}]})),
            Reason::UnknownColumn,
            "datasets[t].fields[Secret]",
        ),
        (
            table,
            one("t", json!({"key": ["nr"]})),
            Reason::UnknownColumn,
            "datasets[t].key",
        ),
        (
            "CREATE TABLE s (id int); CREATE VIEW t AS SELECT * FROM s",
            one("t", json!({})),
            Reason::UnsupportedTable,
            "datasets[t].table",
        ),
        (
            "CREATE TABLE t (id int); ALTER TABLE t ENABLE ROW LEVEL SECURITY",
            one("t", json!({})),
            Reason::RowLevelSecurity,
            "datasets[t].table",
        ),
        (
            table,
            one(
                "t",
                json!({"subjects": [{"identity": "user_id", "by": {"through": "nobody"}}]}),
            ),
            Reason::InvalidPlan,
            "datasets[t].subjects[0]",
        ),
        (
            table,
            one(
                "t",
                json!({"subjects": [{"identity": "user_id", "by": {"through": "self"}}],
            "relations": [{"name": "self", "dataset": "t", "columns": {"id": "id"}}]}),
            ),
            Reason::InvalidPlan,
            "datasets[t]",
        ),
        (
            table,
            one(
                "t",
                json!({"subjects": [{"identity": "user_id", "by": {"column": "id"}, "otherPartyColumns": ["nobody"]}]}),
            ),
            Reason::UnknownColumn,
            "otherPartyColumns",
        ),
    ] {
        let (found, field, detail) = refused(schema, datasets.clone()).await;
        assert_eq!(found, reason, "{datasets}: {field}: {detail}");
        assert!(
            field.contains(place) && field.starts_with("DataSource shop-db"),
            "{field}"
        );
    }
}

/// Tables whose rows lead to one another in another schema, with a secret in the key and one that is followed.
const RIGHTS: &str = "
    CREATE SCHEMA crm;
    CREATE TABLE crm.people (id int PRIMARY KEY, code text, words text, token text, unrelated text);
    CREATE TABLE crm.visits (person text, day date, note text, hidden text, PRIMARY KEY (day, person, hidden)) PARTITION BY RANGE (day);
    CREATE TABLE crm.visits_all PARTITION OF crm.visits DEFAULT;
    INSERT INTO crm.people VALUES (1, 'c1', 'hello', 'canary', 'canary'), (2, 'c2', 'other', 'canary', 'canary');
    INSERT INTO crm.visits VALUES ('c1', '2026-01-02', 'v1', 'canary'), ('c2', '2026-01-02', 'v2', 'canary');";

fn with_rights() -> Value {
    json!([
        {"name": "people", "schema": "crm", "table": "people", "subjects": [{"identity": "user_id", "by": {"column": "id"}}],
         "fields": [{"column": "words"}, {"column": "token", "secret": true}, {"column": "code", "secret": true}]},
        {"name": "visits", "schema": "crm", "table": "visits", "subjects": [{"identity": "user_id", "by": {"through": "guest"}}],
         "relations": [{"name": "guest", "dataset": "people", "columns": {"person": "code"}}],
         "fields": [{"column": "note"}, {"column": "hidden", "secret": true}]},
    ])
}

/// What a role may do with columns, as `table|column|privilege`, and with tables and schemas.
const HELD: &str = "
    SELECT c.relname, a.attname, x.privilege_type FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid, aclexplode(a.attacl) x
     WHERE x.grantee = 'ROLE'::regrole
    UNION ALL SELECT c.relname, '*', x.privilege_type FROM pg_class c, aclexplode(c.relacl) x WHERE x.grantee = 'ROLE'::regrole
    UNION ALL SELECT n.nspname, '*', x.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) x WHERE x.grantee = 'ROLE'::regrole
    ORDER BY 1, 2, 3";

/// The role of every test here is the one that `grants` prints; this says what that is, and that none of it is too much:
/// each right that is taken away alone is asked for again.
#[tokio::test]
async fn the_printed_role_reads_what_an_export_needs_and_each_right_is_needed() {
    let trial = trial(RIGHTS, with_rights(), json!([])).await.of(&[("user_id", "1")]);
    let held = trial.database.psql(&HELD.replace("ROLE", &trial.role)).unwrap();
    let columns = [
        "people|code",
        "people|ctid",
        "people|id",
        "people|words",
        "visits|ctid",
        "visits|day",
        "visits|note",
        "visits|person",
        "visits|tableoid",
    ];
    let expected: Vec<String> = columns.iter().map(|column| format!("{column}|SELECT")).collect();
    let expected = format!("crm|*|USAGE\n{}\n", expected.join("\n"));
    assert_eq!(held, expected);

    let (_, opened) = trial.delivered().await;
    assert_eq!(
        (opened.column("people", "words"), opened.column("visits", "note")),
        (vec!["hello".to_owned()], vec!["v1".to_owned()])
    );
    for column in columns {
        let (table, column) = column.split_once('|').unwrap();
        let change = |verb: &str, to: &str| format!("{verb} SELECT ({column}) ON crm.{table} {to} \"{}\"", trial.role);
        trial.database.execute(&change("REVOKE", "FROM")).await;
        let report = trial.run().await;
        let problem = report.problem.expect(column);
        assert_eq!(
            (report.result, problem.reason),
            (ExportResult::Failed, Reason::MissingGrant),
            "{column}"
        );
        let named = format!("{}: {}", problem.field, problem.detail);
        assert!(
            named.contains("DataSource shop-db") && named.contains(table),
            "{column}: {named}"
        );
        assert!(
            column == "tableoid" || named.contains(&format!("GRANT SELECT (\"{column}\") ON \"crm\".\"{table}\"")),
            "{named}"
        );
        trial.database.execute(&change("GRANT", "TO")).await;
    }
    trial
        .database
        .execute(&format!("REVOKE USAGE ON SCHEMA crm FROM \"{}\"", trial.role))
        .await;
    let problem = trial.run().await.problem.unwrap();
    assert_eq!(
        (problem.reason, problem.detail.as_str()),
        (Reason::MissingGrant, "GRANT USAGE ON SCHEMA \"crm\"")
    );
}

/// Partitions, names in need of quotes, a table without a key.
#[tokio::test]
async fn unusual_tables_are_exported_like_others() {
    let schema = "CREATE TABLE \"Odd \"\"name\" (\"Wer?\" text, \"a.b\" text, long text) PARTITION BY HASH (\"Wer?\");
        CREATE TABLE p0 PARTITION OF \"Odd \"\"name\" FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE p1 PARTITION OF \"Odd \"\"name\" FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        INSERT INTO \"Odd \"\"name\" SELECT 'p' || i % 10, 'v' || i, repeat('x' || i, 10000) FROM generate_series(1, 100) i";
    let datasets = json!([{"name": "odd", "schema": "public", "table": "Odd \"name", "subjects": [{"identity": "user_id", "by": {"column": "Wer?"}}],
        "fields": [{"column": "a.b"}, {"column": "long"}]}]);
    let trial = trial(schema, datasets, json!([])).await.of(&[("user_id", "p7")]);
    let (_, opened) = trial.delivered().await;
    let mut found = opened.column("odd", "a.b");
    found.sort();
    assert_eq!(
        found,
        ["v17", "v27", "v37", "v47", "v57", "v67", "v7", "v77", "v87", "v97"]
    );
    for row in opened.rows("odd") {
        let number = row["a.b"].as_str().unwrap().trim_start_matches('v').to_owned();
        assert!(
            row["long"] == format!("x{number}").repeat(10_000),
            "a long value is that of its row"
        );
    }
}
