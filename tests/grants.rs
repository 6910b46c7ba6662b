//! The printed role, on a real PostgreSQL: it can do what the rules need, and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may fail loudly, and runs statements of its own"
)]

mod support;

use privacy_operator::contract::{RunResult, WorkReport};
use privacy_operator::grants::{Manifests, grants};
use privacy_operator::worker::{self, Settings};
use serde_json::json;
use support::postgres::{Database, server};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

const SCHEMA: &str = "
    CREATE SCHEMA crm;
    CREATE TABLE crm.people (id bigint PRIMARY KEY, email text, ip inet, note text, left_at timestamptz, closed_at timestamptz);
    CREATE TABLE public.orders (id bigint PRIMARY KEY, person bigint REFERENCES crm.people, total numeric);
    CREATE TABLE public.payments (id bigint PRIMARY KEY, person bigint REFERENCES crm.people ON DELETE CASCADE, iban text);
    CREATE TABLE public.unrelated (id bigint PRIMARY KEY, secret text);
    CREATE TABLE public.logs (id bigint, at timestamptz, message text, blocked boolean) PARTITION BY RANGE (at);
    CREATE TABLE public.logs_old PARTITION OF public.logs FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
    CREATE TABLE public.logs_new PARTITION OF public.logs DEFAULT;
    INSERT INTO crm.people SELECT n, 'canary', '192.0.2.7', 'canary', '2020-01-01', NULL FROM generate_series(1, 10) n;
    INSERT INTO public.orders VALUES (1, 1, 9.99);
    INSERT INTO public.logs SELECT n, timestamptz '2025-12-31' + n * interval '1 hour', 'x', false FROM generate_series(1, 48) n;";

const RULES: &str = "
  - name: people
    dataset: people
    rows: [{column: closed_at, operator: DoesNotExist}]
    keepWhile: [{name: member, from: left_at, for: P1Y}]
    then: {delete: {}}
  - name: addresses
    dataset: people
    always: {}
    then: {mask: [{column: ip, strategy: TruncateIp}]}
  - name: old-logs
    dataset: logs
    keepWhile: [{name: age, from: at, for: P7D}]
    then: {set: [{column: blocked, value: 'true'}]}";

fn manifests(database: &str, datasets: &str, rules: &str) -> String {
    format!(
        "
apiVersion: privacy-operator.dev/v1alpha1
kind: DataRetentionPolicy
metadata: {{name: policy}}
spec:
  dataSourceRef: {{name: db}}
  schedule: '23 * * * *'
  rules:{rules}
---
apiVersion: privacy-operator.dev/v1alpha1
kind: DataSource
metadata: {{name: db}}
spec:
  postgres: {{host: db.svc, database: {database}, tls: {{mode: Disable}}, credentialsSecretRef: {{name: role}}}}
  datasets:{datasets}
"
    )
}

const DATASETS: &str = "
  - {name: people, table: crm.people}
  - {name: logs, table: public.logs}";

fn sql(text: &str, role: &str) -> String {
    let mut manifests = Manifests::default();
    manifests.add("test.yaml", text).unwrap();
    grants(&manifests, role, None).unwrap().sql
}

/// A database with the tables, and a session of the printed role.
async fn database_and_role(role: &str) -> (Database<'static>, Client) {
    let database = server().database(role).await;
    database.execute(SCHEMA).await;
    let sql = sql(&manifests(database.name(), DATASETS, RULES), role);
    database.psql(&sql).unwrap();
    database.psql(&sql).expect("it must run a second time");
    let session = database.connect(role).await;
    (database, session)
}

async fn allowed(session: &Client, statements: &[&str]) {
    for statement in statements {
        let result = session.batch_execute(&format!("BEGIN; {statement}; ROLLBACK")).await;
        assert!(result.is_ok(), "{statement}: {:?}", result.unwrap_err());
    }
}

async fn refused(session: &Client, statements: &[&str]) {
    for statement in statements {
        let error = session.batch_execute(statement).await.expect_err(statement);
        assert_eq!(
            error.code(),
            Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            "{statement}: {error}"
        );
    }
}

#[tokio::test]
async fn the_role_can_do_what_the_rules_need() {
    let (_database, session) = database_and_role("can").await;
    allowed(
        &session,
        &[
            "SELECT count(*) FROM crm.people WHERE closed_at IS NULL AND left_at < now()",
            "SELECT count(*) FROM crm.people WHERE ctid >= '(0,1)'::tid AND ctid < '(9,1)'::tid",
            "DELETE FROM crm.people AS t WHERE left_at < now() AND ctid < '(9,1)'::tid
              AND NOT EXISTS (SELECT FROM public.orders d WHERE d.person = t.id)",
            "UPDATE crm.people SET ip = set_masklen(ip, 24) WHERE ip IS DISTINCT FROM set_masklen(ip, 24)",
            "SELECT count(*) FROM public.logs WHERE ctid < '(9,1)'::tid AND at < now()",
            "UPDATE public.logs SET blocked = true WHERE at < now() AND blocked IS DISTINCT FROM true",
            "INSERT INTO privacy_operator.ledger (policy_uid, sequence, policy, run, plan_hash, deleted, masked, set_rows,
               report, previous, head) VALUES ('u', 1, 'p', 'r', 'h', 1, 0, 0, '{}', '', 'x')",
            "SELECT * FROM privacy_operator.ledger",
            "SELECT pg_try_advisory_lock(1)",
        ],
    )
    .await;
}

#[tokio::test]
async fn the_role_can_do_nothing_else() {
    let (_database, session) = database_and_role("cannot").await;
    refused(
        &session,
        &[
            "SELECT email FROM crm.people",
            "SELECT * FROM crm.people",
            "SELECT count(*) FROM crm.people WHERE note = 'canary'",
            "DELETE FROM crm.people WHERE note = 'canary'",
            "DELETE FROM crm.people WHERE left_at < now() RETURNING email",
            "UPDATE crm.people SET email = NULL",
            "UPDATE crm.people SET left_at = now()",
            "INSERT INTO crm.people (id) VALUES (99)",
            "TRUNCATE crm.people",
            "SELECT total FROM public.orders",
            "SELECT id FROM public.orders",
            "DELETE FROM public.orders",
            "SELECT person FROM public.payments",
            "SELECT id FROM public.unrelated",
            "SELECT message FROM public.logs",
            "DELETE FROM public.logs",
            "SELECT at FROM public.logs_old",
            "DELETE FROM privacy_operator.ledger",
            "UPDATE privacy_operator.ledger SET deleted = 0",
            "TRUNCATE privacy_operator.ledger",
            "DROP TABLE privacy_operator.ledger",
            "CREATE TABLE privacy_operator.mine (id int)",
            "CREATE TABLE crm.mine (id int)",
            "CREATE ROLE another",
            "CREATE SCHEMA mine",
        ],
    )
    .await;
}

/// The rules above as the operator would plan them.
fn plan(database: &Database<'_>) -> serde_json::Value {
    let store =
        json!({"host": server().host(), "port": server().port(), "database": database.name(), "verifyTls": true});
    let old = json!({"name": "old", "from": ["left_at"], "for": "P1Y"});
    let age = json!({"name": "age", "from": ["at"], "for": "P7D"});
    json!({
        "version": 1, "namespace": "test", "policy": "policy", "policyUid": "uid", "rulesHash": "0", "mode": "Enforce",
        "timeZone": "Etc/UTC", "store": store, "credentialsSecret": "role", "activeDeadlineSeconds": 600,
        "limits": {"maxPercent": 100, "percentFrom": 0}, "slackSeconds": 3600,
        "rules": [
            {"name": "people", "schema": "crm", "table": "people", "withinSeconds": 7200, "grounds": [old],
             "rows": [{"column": "closed_at", "operator": "DoesNotExist"}], "action": "delete"},
            {"name": "addresses", "schema": "crm", "table": "people", "withinSeconds": 7200,
             "action": {"mask": [{"column": "ip", "strategy": "TruncateIp"}]}},
            {"name": "old-logs", "schema": "public", "table": "logs", "withinSeconds": 7200, "grounds": [age],
             "action": {"set": [{"column": "blocked", "value": "true"}]}},
        ],
    })
}

#[tokio::test]
async fn the_worker_does_its_work_under_the_role() {
    let (database, _session) = database_and_role("works").await;
    database
        .execute("DROP TABLE payments; ALTER ROLE works PASSWORD 's3cret'")
        .await;
    let files = tempfile::tempdir().unwrap();
    std::fs::write(files.path().join("username"), "works").unwrap();
    std::fs::write(files.path().join("password"), "s3cret").unwrap();
    std::fs::write(files.path().join("plan.json"), plan(&database).to_string()).unwrap();
    let settings = Settings {
        plan: files.path().join("plan.json"),
        credentials: files.path().to_owned(),
        ca: server().ca_path(),
        holds: files.path().join("holds"),
        keys: files.path().join("keys"),
        stop: files.path().join("stop"),
        termination_message: None,
        run: "trial".to_owned(),
        observe: false,
    };
    let report = worker::execute(&settings, jiff::Timestamp::now).await;
    assert_eq!(
        (report.problem.as_ref(), report.result),
        (None, RunResult::Done),
        "{report:?}"
    );
    let rules: Vec<_> = report
        .rules
        .iter()
        .map(|rule| (rule.problem.clone(), rule.affected))
        .collect();
    assert_eq!(
        rules,
        [(None, 9), (None, 1), (None, 48)],
        "the person with an order stays"
    );
    let left = database
        .psql("SELECT id, ip FROM crm.people; SELECT count(*) FROM privacy_operator.ledger")
        .unwrap();
    assert_eq!(left, "1|192.0.2.0\n1\n");
}

#[tokio::test]
async fn the_wrong_database_gets_no_rights_and_nothing_is_left_half_done() {
    let (right, wrong) = (server().database("right").await, server().database("wrong").await);
    wrong.execute(SCHEMA).await;
    let sql = sql(&manifests(right.name(), DATASETS, RULES), "lost");
    let complaint = wrong.psql(&sql).unwrap_err();
    assert!(complaint.contains("these rights are for"), "{complaint}");
    right.psql(&sql).expect_err("its tables are missing");
    let found = right
        .psql("SELECT count(*) FROM pg_roles WHERE rolname = 'lost'")
        .unwrap();
    assert_eq!(found.trim(), "0");
}

#[tokio::test]
async fn hostile_names_stay_names() {
    let database = server().database("hostile\"'$grants$").await;
    let table = r#"t"'); DROP TABLE victim; -- $grants$ \ :x ROLE"#;
    let column = r"c'\) :'y' $_grants$ ünï 表";
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    database
        .execute(&format!(
            "CREATE TABLE victim (id int); CREATE TABLE public.{} ({} timestamptz PRIMARY KEY)",
            quoted(table),
            quoted(column)
        ))
        .await;
    let yaml = |text: &str| serde_json::to_string(text).unwrap();
    let datasets = format!(
        "\n  - {{name: t, table: {}}}",
        yaml(&format!("public.{}", quoted(table)))
    );
    let rules = format!(
        "\n  - {{name: \"r\\nDROP TABLE victim;\", dataset: t, keepWhile: [{{name: g, from: {}, for: P1D}}], then: {{delete: {{}}}}}}",
        yaml(column)
    );
    let role = "r\"'; DROP TABLE victim; --$grants$";
    let sql = sql(&manifests(&yaml(database.name()), &datasets, &rules), role);
    database.psql(&sql).unwrap();
    database.psql(&sql).unwrap();
    let session = database.connect(role).await;
    let delete = format!("DELETE FROM public.{} WHERE {} < now()", quoted(table), quoted(column));
    allowed(&session, &[&delete]).await;
    refused(&session, &["SELECT id FROM victim"]).await;
}

const RELATED_DATASETS: &str = "
  - {name: people, table: crm.people, relations: [{name: firm, dataset: firms, columns: {firm: id}}]}
  - {name: firms, table: public.firms}
  - {name: letters, table: public.letters, relations: [{name: reader, dataset: people, columns: {person: id}}]}";

const RELATED_RULES: &str = "
  - name: people
    dataset: people
    keepWhile:
    - {name: member, from: left_at, for: P1Y}
    - {name: staff, until: [firm.closed_at], onMissingRelated: Ended}
    - {name: reader, exists: {dataset: letters, relation: reader, when: [{column: withdrawn_at, operator: DoesNotExist}]}}
    then: {delete: {}}";

/// From the files to the rows: granted as printed, planned as the operator plans, run by the worker.
#[tokio::test]
async fn rules_that_look_at_other_datasets_work_under_the_role_and_it_reads_no_more_of_those() {
    let database = server().database("related").await;
    database.execute(SCHEMA).await;
    database
        .execute(
            "DROP TABLE payments; CREATE TABLE firms (id int PRIMARY KEY, closed_at timestamptz, secret text);
             CREATE TABLE letters (id int, person bigint, withdrawn_at timestamptz, secret text); ALTER TABLE crm.people ADD firm int;
             INSERT INTO firms VALUES (1, '2020-01-01', 'canary'), (2, NULL, 'canary'); UPDATE crm.people SET firm = 1 WHERE id = 2; UPDATE crm.people SET firm = 2 WHERE id = 3;
             INSERT INTO letters VALUES (1, 4, NULL, 'canary'), (2, 5, now(), 'canary')",
        )
        .await;
    let text = manifests(database.name(), RELATED_DATASETS, RELATED_RULES);
    database.psql(&sql(&text, "related")).unwrap();
    database.execute("ALTER ROLE related PASSWORD 's3cret'").await;
    let session = database.connect("related").await;
    allowed(
        &session,
        &[
            "SELECT id, closed_at FROM firms",
            "SELECT person, withdrawn_at FROM letters",
            "SELECT FROM crm.people FOR UPDATE",
        ],
    )
    .await;
    refused(
        &session,
        &[
            "SELECT secret FROM firms",
            "SELECT secret FROM letters",
            "DELETE FROM letters",
            "SELECT FROM letters FOR UPDATE",
            "UPDATE crm.people SET email = NULL",
        ],
    )
    .await;

    let report = run_under(&database, &text, "related").await;
    assert_eq!(
        (&report.problem, &report.rules[0].problem),
        (&None, &None),
        "{report:?}"
    );
    let left = database.psql("SELECT id FROM crm.people ORDER BY id").unwrap();
    assert_eq!(left, "1\n3\n4\n", "an order, a firm, a letter");
}

#[tokio::test]
async fn pseudonyms_work_under_the_role_also_in_partitions() {
    let database = server().database("pseudonyms").await;
    database.execute(SCHEMA).await;
    let rules = "
  - name: logs
    dataset: logs
    always: {}
    then: {mask: [{column: message, strategy: Pseudonymise, keySecretRef: {name: masks, key: key}}]}";
    let text = manifests(database.name(), DATASETS, rules);
    database.psql(&sql(&text, "pseudonyms")).unwrap();
    database.execute("ALTER ROLE pseudonyms PASSWORD 's3cret'").await;
    let report = run_under(&database, &text, "pseudonyms").await;
    let rule = &report.rules[0];
    assert_eq!((rule.affected, &rule.problem), (48, &None), "{report:?}");
    let session = database.connect("pseudonyms").await;
    refused(
        &session,
        &[
            "SELECT at FROM logs",
            "UPDATE logs SET blocked = true",
            "DELETE FROM logs",
        ],
    )
    .await;
}

/// Plans the files as the operator does, and runs the plan as this role.
async fn run_under(database: &Database<'_>, text: &str, role: &str) -> WorkReport {
    let mut manifests = Manifests::default();
    manifests.add("test.yaml", text).unwrap();
    let (policy, source) = (&manifests.policies[0].object, &manifests.sources[0].object);
    let now = jiff::Timestamp::now();
    let mut planned = privacy_operator::plan::by_hand::planned(policy, &[policy], &[source], &[], now)
        .unwrap()
        .work_plan;
    planned.store = serde_json::from_value(plan(database)["store"].clone()).unwrap();
    planned.mode = privacy_operator::contract::Mode::Enforce;
    planned.limits.max_percent = 100;
    let files = tempfile::tempdir().unwrap();
    std::fs::write(files.path().join("username"), role).unwrap();
    std::fs::write(files.path().join("password"), "s3cret").unwrap();
    std::fs::write(files.path().join("plan.json"), serde_json::to_vec(&planned).unwrap()).unwrap();
    std::fs::create_dir_all(files.path().join("keys/masks")).unwrap();
    std::fs::write(files.path().join("keys/masks/key"), "k".repeat(32)).unwrap();
    let settings = Settings {
        plan: files.path().join("plan.json"),
        credentials: files.path().to_owned(),
        ca: server().ca_path(),
        holds: files.path().join("holds"),
        keys: files.path().join("keys"),
        stop: files.path().join("stop"),
        termination_message: None,
        run: "trial".to_owned(),
        observe: false,
    };
    worker::execute(&settings, jiff::Timestamp::now).await
}

const SHOP: &str = "CREATE TABLE people (id int PRIMARY KEY, email text);
    CREATE TABLE orders (id int PRIMARY KEY, person int REFERENCES people, at timestamptz NOT NULL, note text);
    CREATE TABLE lines (id int PRIMARY KEY, \"order\" int REFERENCES orders ON DELETE CASCADE, secret text);
    CREATE TABLE clicks (id int PRIMARY KEY, who int, at timestamptz, page text);
    INSERT INTO people SELECT i, 'canary' FROM generate_series(1, 3) i;
    INSERT INTO orders VALUES (1, 1, '2020-01-01'), (2, 2, '2020-01-01'), (3, 2, now());
    INSERT INTO lines SELECT i, (i + 1) / 2, 'canary' FROM generate_series(1, 6) i;
    INSERT INTO clicks SELECT i, i % 2, '2020-01-01', 'canary' FROM generate_series(1, 10) i;";

const SHOP_DATASETS: &str = "
  - {name: people, table: public.people}
  - {name: orders, table: public.orders, relations: [{name: buyer, dataset: people, columns: {person: id}}]}
  - {name: lines, table: public.lines, relations: [{name: order, dataset: orders, columns: {order: id}}]}
  - {name: clicks, table: public.clicks}";

const SHOP_RULES: &str = "
  - name: orders
    dataset: orders
    keepWhile: [{name: age, from: at, for: P1Y}]
    then: {delete: {dependents: [{dataset: lines, relation: order}], emptyParents: [{relation: buyer}]}}
  - name: clicks
    dataset: clicks
    keepNewest: {count: 2, per: [who], orderBy: at}
    then: {delete: {}}";

#[tokio::test]
async fn cascades_and_the_newest_work_under_the_role_and_it_reads_no_more_than_that() {
    let database = server().database("cascades").await;
    database.execute(SHOP).await;
    let text = manifests(database.name(), SHOP_DATASETS, SHOP_RULES);
    database.psql(&sql(&text, "cascades")).unwrap();
    database.execute("ALTER ROLE cascades PASSWORD 's3cret'").await;
    let session = database.connect("cascades").await;
    refused(
        &session,
        &[
            "SELECT email FROM people",
            "SELECT note FROM orders",
            "SELECT secret FROM lines",
            "SELECT page FROM clicks",
            "UPDATE people SET email = NULL",
            "UPDATE lines SET secret = NULL",
        ],
    )
    .await;
    let report = run_under(&database, &text, "cascades").await;
    let rules: Vec<_> = report
        .rules
        .iter()
        .map(|rule| (rule.problem.clone(), rule.affected, rule.cascaded))
        .collect();
    assert_eq!(rules, [(None, 2, 5), (None, 6, 0)], "{report:?}");
    let left = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM";
    let left = format!("{left} people; {left} orders; {left} lines; {left} clicks");
    assert_eq!(database.psql(&left).unwrap(), "2 3\n3\n5 6\n7 8 9 10\n");
}
