//! Everything that keeps a worker from its store has a reason of its own, and says what to do about it.

use std::net::TcpListener;

use jiff::{SignedDuration, Timestamp};
use privacy_operator::contract::{
    EXIT_CONFIGURATION, EXIT_OK, EXIT_TRANSIENT, Mode, Problem, Reason, RunResult, WorkReport,
};
use privacy_operator::worker;

use crate::harness::{Trial, trial, trial_on};
use crate::program::Program;
use crate::support::pooler::Pooler;
use crate::support::postgres::{Server, server};
use crate::trouble::age;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, at timestamptz);
    INSERT INTO t SELECT i, now() - i * interval '1 day' FROM generate_series(1, 30) i;";

async fn ready() -> Trial<'static> {
    trial(TABLE).await.rules(&[age()])
}

/// The whole run failed for this reason, and nothing is gone.
fn assert_failed(report: &WorkReport, reason: Reason, field: &str) -> Problem {
    assert_eq!(report.result, RunResult::Failed, "{report:?}");
    let problem = report.problem.clone().unwrap();
    assert_eq!((problem.reason, problem.field.as_str()), (reason, field), "{problem:?}");
    assert!(problem.message().ends_with(reason.remedy()));
    assert!(!problem.message().contains("s3cret"));
    problem
}

async fn fails(trial: &Trial<'_>, reason: Reason, field: &str) -> Problem {
    let problem = assert_failed(&trial.run().await, reason, field);
    assert_eq!(trial.ids().await.len(), 30);
    problem
}

fn write(trial: &Trial<'_>, file: &str, text: &str) {
    std::fs::write(trial.files.path().join("credentials").join(file), text).unwrap();
}

#[tokio::test]
async fn a_wrong_password_or_user_is_not_an_unreachable_store() {
    let trial = ready().await;
    let field = "postgres.credentialsSecretRef";
    for (file, text) in [("password", "wrong"), ("password", ""), ("username", "nobody")] {
        write(&trial, file, text);
        fails(&trial, Reason::AuthenticationFailed, field).await;
    }
}

#[tokio::test]
async fn a_password_may_end_with_a_line_break() {
    let trial = ready().await;
    write(&trial, "password", "s3cret\n");
    assert_eq!(trial.run().await.rules[0].affected, 24);
}

#[tokio::test]
async fn a_missing_secret_or_key_is_named() {
    let mut trial = ready().await;
    for key in ["username", "password"] {
        let path = trial.files.path().join("credentials").join(key);
        let content = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let problem = fails(&trial, Reason::MissingSecret, "postgres.credentialsSecretRef").await;
        assert!(
            problem.detail.contains("db-worker") && problem.detail.contains(key),
            "{problem:?}"
        );
        std::fs::write(path, content).unwrap();
    }
    trial.plan.store.ca_secret = Some(("authority".to_owned(), "root.pem".to_owned()));
    let mut settings = trial.settings();
    settings.ca = trial.files.path().join("nothing");
    let report = worker::execute(&settings, Timestamp::now).await;
    let problem = assert_failed(&report, Reason::MissingSecret, "postgres.tls.caSecretRef");
    assert!(
        problem.detail.contains("authority") && problem.detail.contains("root.pem"),
        "{problem:?}"
    );
}

#[tokio::test]
async fn the_database_must_exist_and_let_the_role_in() {
    let mut trial = ready().await;
    trial
        .database
        .execute(&format!(
            "REVOKE CONNECT ON DATABASE \"{}\" FROM PUBLIC",
            trial.database.name()
        ))
        .await;
    let problem = fails(&trial, Reason::MissingGrant, "postgres.database").await;
    assert_eq!(
        problem.detail,
        format!("GRANT CONNECT ON DATABASE \"{}\"", trial.database.name())
    );
    trial.plan.store.database = "no such database".to_owned();
    fails(&trial, Reason::UnknownDatabase, "postgres.database").await;
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_unreachable() {
    let mut trial = ready().await;
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (host, port) in [
        ("no-such-host.invalid", 5432),
        ("127.0.0.1", closed),
        ("127.0.0.1", silent.local_addr().unwrap().port()),
    ] {
        trial.plan.store.host = host.to_owned();
        trial.plan.store.port = port;
        let problem = fails(&trial, Reason::Unreachable, "postgres.host").await;
        assert!(problem.detail.contains(&format!("{host}:{port}")), "{problem:?}");
    }
}

#[tokio::test]
async fn only_a_certificate_of_the_given_authority_for_that_host_is_trusted() {
    let mut trial = ready().await;
    let mut settings = trial.settings();
    settings.ca = trial.server.other_ca_path();
    let report = worker::execute(&settings, Timestamp::now).await;
    let problem = assert_failed(&report, Reason::CertificateNotTrusted, "postgres.tls");
    assert!(problem.detail.contains("unknown issuer"), "{problem:?}");
    trial.plan.store.host = trial.server.host_not_in_certificate().to_owned();
    let problem = fails(&trial, Reason::CertificateNotTrusted, "postgres.tls").await;
    assert!(problem.detail.contains("another host"), "{problem:?}");
}

#[tokio::test]
async fn a_damaged_authority_is_told_from_one_that_does_not_match() {
    let trial = ready().await;
    let good = std::fs::read_to_string(trial.server.ca_path()).unwrap();
    let middle = good.len() / 2;
    for text in [
        String::new(),
        "not a certificate".to_owned(),
        good.replace("BEGIN CERTIFICATE", "BEGIN PRIVATE KEY")
            .replace("END CERTIFICATE", "END PRIVATE KEY"),
        format!("{}!{}", &good[..middle], &good[middle..]),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
    ] {
        let mut settings = trial.settings();
        settings.ca = trial.files.path().join("ca.crt");
        std::fs::write(&settings.ca, &text).unwrap();
        let report = worker::execute(&settings, Timestamp::now).await;
        assert_failed(&report, Reason::InvalidCertificateAuthority, "postgres.tls.caSecretRef");
    }
}

#[tokio::test]
async fn a_server_without_tls_gets_no_password() {
    let server = Server::start_with(&["ssl = off"]);
    let mut trial = trial_on(&server, TABLE).await.rules(&[age()]);
    fails(&trial, Reason::TlsNotOffered, "postgres.tls.mode").await;
    trial.plan.store.verify_tls = false;
    assert_eq!(trial.run().await.rules[0].affected, 24);
}

#[tokio::test]
async fn a_read_only_store_is_counted_but_not_swept() {
    let mut trial = ready().await;
    let setting = format!(
        "ALTER DATABASE \"{}\" SET default_transaction_read_only = on",
        trial.database.name()
    );
    trial.database.execute(&setting).await;
    fails(&trial, Reason::ReadOnlyStore, "postgres.host").await;
    trial.plan.mode = Mode::Observe;
    let report = trial.run().await;
    assert_eq!(
        (report.result, report.rules[0].due),
        (RunResult::Done, 24),
        "{report:?}"
    );
}

#[tokio::test]
async fn clocks_that_disagree_by_more_than_a_minute_stop_the_run() {
    fn off(seconds: i64) -> Timestamp {
        Timestamp::now()
            .checked_add(SignedDuration::from_secs(seconds))
            .unwrap()
    }
    let trial = ready().await;
    let day: [fn() -> Timestamp; 2] = [|| off(86_400), || off(-86_400)];
    let clocks: [fn() -> Timestamp; 4] = [|| off(3600), || off(-3600), || off(90), || off(-90)];
    for now in clocks.into_iter().chain(day) {
        let report = worker::execute(&trial.settings(), now).await;
        let problem = assert_failed(&report, Reason::ClockSkew, "postgres.host");
        assert!(problem.detail.contains("seconds"), "{problem:?}");
        assert_eq!(trial.ids().await.len(), 30);
    }
    let report = worker::execute(&trial.settings(), || off(30)).await;
    assert_eq!(report.rules[0].affected, 24, "{report:?}");
}

fn behind_pooler(mode: &str, trial: &mut Trial<'_>) -> Pooler {
    let pooler = Pooler::start(server(), mode, &trial.role, "s3cret");
    trial.plan.store.port = pooler.port();
    pooler
}

#[tokio::test]
async fn a_pooler_that_refuses_our_settings_is_refused() {
    let mut trial = ready().await;
    let _pooler = behind_pooler("pool_mode = session", &mut trial);
    fails(&trial, Reason::PoolerDetected, "postgres.host").await;
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_is_refused_every_time_whatever_its_settings() {
    let mut trial = ready().await;
    for (name, value) in [
        ("search_path", "pg_catalog,pg_temp"),
        ("row_security", "off"),
        ("statement_timeout", "5s"),
    ] {
        let setting = format!("ALTER ROLE \"{}\" SET {name} = {value}", trial.role);
        trial.database.execute(&setting.replace("= 5s", "= '5s'")).await;
    }
    for more in [
        "",
        "server_round_robin = 1\nmin_pool_size = 2",
        "server_round_robin = 1\nmin_pool_size = 3",
    ] {
        let mode = format!("pool_mode = transaction\nignore_startup_parameters = options\n{more}");
        let _pooler = behind_pooler(&mode, &mut trial);
        for _ in 0..4 {
            fails(&trial, Reason::PoolerDetected, "postgres.host").await;
        }
    }
    let held = "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(trial.texts(held).await, ["0"]);
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_gets_no_setting_of_ours() {
    let mut trial = ready().await;
    let mode = "pool_mode = transaction\nignore_startup_parameters = options\nserver_reset_query_always = 0";
    let pooler = behind_pooler(mode, &mut trial);
    fails(&trial, Reason::PoolerDetected, "postgres.host").await;
    trial.plan.mode = Mode::Observe;
    fails(&trial, Reason::PoolerDetected, "postgres.host").await;
    drop(pooler);
}

#[tokio::test]
async fn a_pooler_in_session_mode_is_as_good_as_the_server() {
    let mut trial = ready().await;
    trial
        .database
        .execute(&format!(
            "ALTER ROLE \"{}\" SET search_path = public; ALTER ROLE \"{0}\" SET row_security = on",
            trial.role
        ))
        .await;
    let _pooler = behind_pooler("pool_mode = session\nignore_startup_parameters = options", &mut trial);
    assert_eq!(trial.run().await.rules[0].affected, 24);
    assert_eq!(trial.run().await.result, RunResult::NothingDue);
}

#[tokio::test]
async fn the_exit_code_says_whether_trying_again_is_of_use() {
    let mut trial = ready().await;
    let port = trial.plan.store.port;
    let code = async |trial: &Trial<'_>| Program::of(trial).wait().await.code.unwrap();
    trial.plan.store.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_eq!(code(&trial).await, i32::from(EXIT_TRANSIENT));
    trial.plan.store.port = port;
    write(&trial, "password", "wrong");
    assert_eq!(code(&trial).await, i32::from(EXIT_CONFIGURATION));
    write(&trial, "password", "s3cret");
    assert_eq!(code(&trial).await, i32::from(EXIT_OK));
    assert_eq!(trial.ids().await.len(), 6);
}
