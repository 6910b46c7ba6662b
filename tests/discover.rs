//! `discover` on a real PostgreSQL: what it finds, how it connects, and what it says when it cannot.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may fail loudly, and runs statements of its own"
)]

mod support;

use std::path::PathBuf;
use std::process::Command;

use privacy_operator::api::DataSource;
use privacy_operator::api::data_source::TlsMode;
use privacy_operator::discover::connect::Target;
use privacy_operator::discover::discover;
use support::postgres::{Database, SUPERUSER, server};

const SCHEMA: &str = r#"
    CREATE TABLE users (id bigint PRIMARY KEY, email text, born date, created_at timestamptz);
    CREATE TABLE sessions (token_hash text, user_id bigint REFERENCES users ON DELETE CASCADE, started_at timestamptz);
    CREATE INDEX ON sessions (started_at);
    CREATE TABLE payments (id bigint PRIMARY KEY, user_id bigint REFERENCES users, iban text, paid_at timestamp);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER audit AFTER DELETE ON payments FOR EACH ROW EXECUTE FUNCTION note();
    CREATE TRIGGER switched_off AFTER DELETE ON payments FOR EACH ROW EXECUTE FUNCTION note();
    ALTER TABLE payments DISABLE TRIGGER switched_off;
    CREATE RULE no_update AS ON UPDATE TO payments DO INSTEAD NOTHING;
    CREATE TABLE logs (id bigint, at timestamptz, client inet) PARTITION BY RANGE (at);
    CREATE TABLE logs_old PARTITION OF logs FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
    CREATE TABLE logs_new PARTITION OF logs DEFAULT;
    INSERT INTO logs SELECT n, timestamptz '2025-12-31' + n * interval '1 minute', '192.0.2.7' FROM generate_series(1, 3000) n;
    CREATE TABLE parent (id int);
    CREATE TABLE child () INHERITS (parent);
    CREATE VIEW report AS SELECT 1;
    CREATE DOMAIN moment AS timestamp; CREATE DOMAIN instant AS moment;
    CREATE SCHEMA "x.y"; CREATE TABLE "x.y"."a""b" ("on" instant, "z
  - column: injected" text, "~" text);
    ALTER TABLE child ENABLE ROW LEVEL SECURITY;
    CREATE SCHEMA privacy_operator; CREATE TABLE privacy_operator.ledger (id int);
    ANALYZE;"#;

async fn shop() -> Database<'static> {
    let database = server().database("shop").await;
    database.execute(SCHEMA).await;
    database
}

async fn discovered(
    url: &str,
    password: Option<&str>,
    ca: Option<PathBuf>,
    without_tls: bool,
) -> Result<String, String> {
    let target = Target::new(url, password, ca, without_tls).map_err(|error| error.to_string())?;
    discover(&target).await.map_err(|error| error.to_string())
}

fn source(text: &str) -> DataSource {
    serde_saphyr::from_str(text).unwrap()
}

#[tokio::test]
async fn the_catalogue_becomes_a_source_that_is_true_to_it() {
    let database = shop().await;
    // Nothing but CONNECT: the catalogue is open to everyone.
    let user = database.role("reader", "").await;
    let text = discovered(&database.socket_url(&user), None, None, false)
        .await
        .unwrap();
    let spec = source(&text).spec;
    let tables: Vec<(&str, &str)> = spec
        .datasets
        .iter()
        .map(|dataset| (dataset.name.as_str(), dataset.table.as_str()))
        .collect();
    assert_eq!(
        tables,
        [
            ("child", "public.child"),
            ("logs", "public.logs"),
            ("payments", "public.payments"),
            ("sessions", "public.sessions"),
            ("users", "public.users"),
            ("a-b", r#""x.y"."a""b""#),
        ]
    );
    let fields = |name: &str| {
        let dataset = spec.datasets.iter().find(|dataset| dataset.name == name).unwrap();
        // Columns of which nothing is known are named too, so that the survey tells only what came later.
        let fields = dataset.fields.iter();
        fields
            .filter(|field| field.category.is_some() || field.time_zone.is_some())
            .map(|field| {
                (
                    field.column.as_str(),
                    field.category.as_deref().unwrap_or("-"),
                    field.time_zone.as_deref().unwrap_or("-"),
                )
            })
            .collect::<Vec<_>>()
    };
    let names = |name: &str| {
        let dataset = spec.datasets.iter().find(|dataset| dataset.name == name).unwrap();
        dataset
            .fields
            .iter()
            .map(|field| field.column.clone())
            .collect::<Vec<_>>()
    };
    assert!(names("payments").len() > 3, "{:?}", names("payments"));
    assert_eq!(
        fields("users"),
        [
            ("id", "user.unique_id", "-"),
            ("email", "user.contact.email", "-"),
            ("born", "user.demographic.date_of_birth", "Etc/UTC"),
        ]
    );
    assert_eq!(
        fields("payments"),
        [
            ("user_id", "user.unique_id", "-"),
            ("iban", "user.financial", "-"),
            ("paid_at", "-", "Etc/UTC")
        ]
    );
    assert_eq!(
        fields("a-b"),
        [("on", "-", "Etc/UTC")],
        "a domain over a domain over timestamp"
    );
    for line in [
        "    # about 3000 rows, partitioned, no primary key",
        "    # foreign key user_id -> public.users (id)",
        "    # a row stays while one of public.payments (user_id) points at it",
        "    # STOPS a delete rule: foreign key sessions_user_id_fkey of public.sessions is ON DELETE CASCADE",
        "    # STOPS a delete rule: trigger audit",
        "    # STOPS a mask or set rule: rule no_update",
        "    # STOPS every rule: row-level security; the role of the worker needs BYPASSRLS",
        "    # possible start event: started_at (timestamp with time zone; an index leads with it)",
        "    # possible start event: at (timestamp with time zone; no index leads with it)",
        "  #   public.parent: an inheritance parent; name the tables that inherit from it",
        "  #   public.report: a view",
        "#     dataset: sessions",
        "#       from: started_at  # check: is this when the period begins?",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(
        !text.contains("switched_off") && !text.contains("ledger") && !text.contains("logs_old"),
        "{text}"
    );
}

#[tokio::test]
async fn the_session_can_only_read() {
    let database = shop().await;
    let target = Target::new(&database.socket_url(SUPERUSER), None, None, false).unwrap();
    let session = privacy_operator::discover::connect::connect(&target).await.unwrap();
    let error = session
        .batch_execute("CREATE TABLE public.mine (id int)")
        .await
        .unwrap_err();
    assert_eq!(
        error.code(),
        Some(&tokio_postgres::error::SqlState::READ_ONLY_SQL_TRANSACTION)
    );
    let path: String = session.query_one("SHOW search_path", &[]).await.unwrap().get(0);
    assert_eq!(path, "pg_catalog,pg_temp");
}

#[tokio::test]
async fn tls_is_verified_and_the_source_says_so() {
    let database = shop().await;
    let user = database.role("tls", "right").await;
    let url = database.url(&user);
    let text = discovered(&url, Some("right"), Some(server().ca_path()), false)
        .await
        .unwrap();
    assert_eq!(source(&text).spec.postgres.tls.mode, TlsMode::VerifyFull);
    let text = discovered(&url, Some("right"), None, true).await.unwrap();
    assert_eq!(source(&text).spec.postgres.tls.mode, TlsMode::Disable);
}

/// What is said when `discover` cannot do its work. The password is never part of it.
async fn complaint(url: &str, ca: Option<PathBuf>) -> String {
    let complaint = discovered(url, None, ca, false).await.unwrap_err();
    assert!(!complaint.contains("s3cret-canary"), "{complaint}");
    complaint
}

#[tokio::test]
async fn a_url_that_does_not_do_is_refused_with_its_remedy() {
    for (url, expected) in [
        (
            "mysql://somebody:s3cret-canary@db/shop",
            "the URL cannot be read; write postgres://",
        ),
        (
            "postgres://somebody:s3cret-canary@db:99999999/shop",
            "the URL cannot be read; write postgres://",
        ),
        (
            "postgres://somebody:s3cret-canary@db/shop?no=1",
            "the URL cannot be read; write postgres://",
        ),
        (
            "postgres://somebody:s3cret-canary@db/shop?sslmode=verify-full",
            "leave sslmode out of the URL",
        ),
        ("postgres://somebody:s3cret-canary@db:5432", "the URL names no database"),
        (
            "postgres://somebody:s3cret-canary@one,two/shop",
            "the URL must name one host",
        ),
        (
            "postgres://somebody:s3cret-canary@db/shop",
            "say how the connection is protected: --ca FILE",
        ),
    ] {
        let complaint = complaint(url, None).await;
        assert!(complaint.starts_with(expected), "{complaint}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_let_us_in_is_told_from_one_that_is_not_there() {
    let database = shop().await;
    let user = database.role("wrong", "s3cret-canary").await;
    let url = database.url(&user);
    let right = url.replace('@', ":s3cret-canary@");
    let elsewhere = right.replace("127.0.0.1", server().host_not_in_certificate());
    let nothing = right.replace("/shop", "/nothing");
    let (ca, other_ca) = (server().ca_path(), server().other_ca_path());
    let not_a_ca = server().socket_directory().join("server.log");
    for (url, ca, expected) in [
        (url.as_str(), &ca, "the server does not let this user in"),
        (
            &url.replace('@', ":wrong@"),
            &ca,
            "the server does not let this user in (SQLSTATE 28P01",
        ),
        (
            &right,
            &other_ca,
            "the server's certificate is not trusted (unknown issuer",
        ),
        (
            &elsewhere,
            &ca,
            "the server's certificate is not trusted (the certificate names another host",
        ),
        (&right, &not_a_ca, "the file of --ca is no certificate authority"),
        (&nothing, &ca, "there is no such database (SQLSTATE 3D000"),
        (
            "postgres://a:s3cret-canary@127.0.0.1:1/shop",
            &ca,
            "the server cannot be reached",
        ),
    ] {
        let complaint = complaint(url, Some(ca.clone())).await;
        assert!(complaint.starts_with(expected), "{complaint}");
    }
    let empty = server().database("empty").await;
    let complaint = complaint(&empty.socket_url(SUPERUSER), None).await;
    assert!(
        complaint.contains("has no table that a DataSource could name"),
        "{complaint}"
    );
}

#[tokio::test]
async fn the_command_takes_the_password_from_a_file_and_its_output_feeds_grants() {
    let database = shop().await;
    let user = database.role("file", "right").await;
    let directory = tempfile::tempdir().unwrap();
    let password = directory.path().join("password");
    std::fs::write(&password, "right\n").unwrap();
    let program = env!("CARGO_BIN_EXE_privacy-operator");
    let mut discover = Command::new(program);
    discover
        .args(["discover", &database.url(&user), "--ca"])
        .arg(server().ca_path());
    let output = discover
        .arg("--password-file")
        .arg(&password)
        .env_remove("PGPASSWORD")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (source, policy) = text.split_once("\n# ---\n").unwrap();
    let policy: Vec<&str> = policy.lines().map(|line| line.strip_prefix("# ").unwrap()).collect();
    let file = directory.path().join("policy.yaml");
    std::fs::write(&file, format!("{source}\n---\n{}\n", policy.join("\n"))).unwrap();
    let output = Command::new(program)
        .args(["grants", "--role", "discovered"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sql = String::from_utf8(output.stdout).unwrap();
    let complaint = database
        .psql(&sql)
        .expect_err("the ledger that is there is another table");
    assert!(complaint.contains("policy_uid"), "{complaint}");
    database.execute("DROP SCHEMA privacy_operator CASCADE").await;
    database.psql(&sql).unwrap();
}
