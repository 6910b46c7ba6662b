//! The survey of a store: what came, what went, how the connection is protected, and hashes by counts alone.

use jiff::Timestamp;
use privacy_operator::contract::Reason;
use privacy_operator::contract::survey::{SurveyPlan, SurveyReport, VERSION, parse_survey_message};
use privacy_operator::worker::source_survey::execute;
use serde_json::json;

use crate::harness::{Trial, trial};

const SCHEMA: &str = "
CREATE TABLE users (id int PRIMARY KEY, email text, password_hash text, phone text);
INSERT INTO users SELECT n, 'canary-' || n || '@example.com',
  CASE WHEN n <= 3 THEN '$2b$10$' || repeat('A', 53) WHEN n = 4 THEN 'canary-in-clear' END, NULL FROM generate_series(1, 5) n;
CREATE TABLE logs (at timestamptz NOT NULL, line text) PARTITION BY RANGE (at);
CREATE TABLE logs_old PARTITION OF logs FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE logs_new PARTITION OF logs FOR VALUES FROM ('2020-01-01') TO (MAXVALUE);
INSERT INTO logs SELECT '2021-01-01', 'x' FROM generate_series(1, 120);
CREATE TABLE notes (body text);
CREATE TABLE migrations (version int);
ANALYZE;
";

fn plan(trial: &Trial<'_>) -> SurveyPlan {
    SurveyPlan {
        version: VERSION,
        namespace: "test".to_owned(),
        source: "trial".to_owned(),
        store: trial.plan.store.clone(),
        credentials_secret: "db-worker".to_owned(),
        datasets: serde_json::from_value(json!([
            {"schema": "public", "table": "users", "columns": ["email", "id", "nickname", "password_hash"]},
            {"schema": "public", "table": "logs", "columns": ["at", "line"]},
            {"schema": "public", "table": "gone", "columns": ["id"]},
        ]))
        .unwrap(),
        without_personal_data: vec![("public".to_owned(), "migrations".to_owned())],
        hashed: serde_json::from_value(json!([
            {"dataset": 0, "column": "password_hash", "scheme": "bcrypt"},
            {"dataset": 0, "column": "missing", "scheme": "bcrypt"},
        ]))
        .unwrap(),
    }
}

async fn survey(trial: &Trial<'_>, plan: &SurveyPlan) -> SurveyReport {
    let settings = trial.settings();
    std::fs::write(&settings.plan, serde_json::to_vec(plan).unwrap()).unwrap();
    let report = execute(&settings, Timestamp::now).await;
    // Whatever was found, no value is in it.
    let text = report.to_termination_message();
    assert!(!text.contains("canary") && !text.contains("$2b$"), "{text}");
    assert_eq!(parse_survey_message(&text).as_ref(), Some(&report));
    report
}

#[tokio::test]
async fn it_tells_what_is_declared_and_not_there_and_what_is_there_and_not_declared() {
    let trial = trial(SCHEMA).await;
    let report = survey(&trial, &plan(&trial)).await;
    assert_eq!(report.problem, None);
    let [users, logs, gone] = report.datasets.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!(users.undeclared.list, ["phone"]);
    assert_eq!(users.vanished.list, ["nickname"]);
    assert_eq!(users.rows, Some(5));
    // A partitioned table has the rows of its partitions, which are no tables of their own here.
    assert_eq!(
        (logs.rows, logs.undeclared.count, logs.vanished.count),
        (Some(120), 0, 0)
    );
    assert!(gone.missing && !users.missing);
    assert_eq!(report.undeclared_tables.list, ["public.notes"]);
    assert!(
        report
            .tls
            .as_deref()
            .is_some_and(|protocol| protocol.starts_with("TLSv1.")),
        "{:?}",
        report.tls
    );
    assert!(report.server_version.is_some());
}

#[tokio::test]
async fn hashes_are_counted_and_a_column_that_cannot_be_read_says_why() {
    let trial = trial(SCHEMA).await;
    let report = survey(&trial, &plan(&trial)).await;
    // Three hashes, one password in clear, one NULL that is no value.
    assert_eq!((report.hashed[0].checked, report.hashed[0].others), (Some(4), Some(1)));
    assert_eq!(report.hashed[1].problem.as_ref().unwrap().reason, Reason::UnknownColumn);
    let role = &trial.role;
    trial
        .database
        .execute(&format!("REVOKE SELECT ON users FROM \"{role}\""))
        .await;
    let report = survey(&trial, &plan(&trial)).await;
    assert_eq!(report.hashed[0].problem.as_ref().unwrap().reason, Reason::MissingGrant);
    // The catalogue anybody may read.
    assert_eq!(report.datasets[0].undeclared.list, ["phone"]);
    assert_eq!(report.problem, None);
}

#[tokio::test]
async fn it_writes_nothing_and_cannot() {
    let trial = trial(SCHEMA).await;
    // A function that would write, behind an operator that a planted schema could offer.
    trial
        .database
        .execute(
            "CREATE FUNCTION public.planted(text, text) RETURNS boolean LANGUAGE sql AS 'DELETE FROM public.users; SELECT true';
             CREATE OPERATOR public.!~ (LEFTARG = text, RIGHTARG = text, FUNCTION = public.planted);",
        )
        .await;
    survey(&trial, &plan(&trial)).await;
    assert_eq!(trial.texts("SELECT count(*)::text FROM users").await, ["5"]);
}

#[tokio::test]
async fn each_scheme_takes_its_own_hashes_and_no_other() {
    // Examples of the documentation of each scheme; the last is an MD5.
    let hashes = [
        ("bcrypt", "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW"),
        (
            "argon2",
            "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQxMjM0NTY$RdescudvJCsgt3ub+b4dWRWJTmaaJObGc2FPV9sYPWs",
        ),
        (
            "scrypt",
            "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
        ),
        (
            "pbkdf2",
            "pbkdf2_sha256$600000$seasalt2$qe4CpYPxH7Ak3ZPUzkUKGqJPJCgvMWZbJY6q1nQCOGI=",
        ),
        ("none", "5ebe2294ecd0e0f08eab7690d2a6ee69"),
    ];
    let values: Vec<String> = hashes.iter().map(|(_, hash)| format!("('{hash}')")).collect();
    let trial = trial(&format!(
        "CREATE TABLE hashes (value text); INSERT INTO hashes VALUES {}",
        values.join(", ")
    ))
    .await;
    let mut plan = plan(&trial);
    plan.datasets =
        serde_json::from_value(json!([{"schema": "public", "table": "hashes", "columns": ["value"]}])).unwrap();
    plan.hashed = serde_json::from_value(json!(
        ["bcrypt", "argon2", "scrypt", "pbkdf2"]
            .map(|scheme| json!({"dataset": 0, "column": "value", "scheme": scheme}))
    ))
    .unwrap();
    let report = survey(&trial, &plan).await;
    for hash in &report.hashed {
        assert_eq!((hash.checked, hash.others), (Some(5), Some(4)), "{report:?}");
    }
}

#[tokio::test]
async fn what_keeps_it_from_looking_has_its_reason() {
    let trial = trial(SCHEMA).await;
    let mut elsewhere = plan(&trial);
    elsewhere.store.database = "nowhere".to_owned();
    let report = survey(&trial, &elsewhere).await;
    assert_eq!(report.problem.unwrap().reason, Reason::UnknownDatabase);
    assert_eq!((report.server_version, report.tls), (None, None));
    std::fs::remove_file(trial.files.path().join("credentials/password")).unwrap();
    let report = survey(&trial, &plan(&trial)).await;
    assert_eq!(report.problem.unwrap().reason, Reason::MissingSecret);
}
