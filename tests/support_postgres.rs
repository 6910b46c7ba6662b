//! The server that the PostgreSQL tests share is itself held to its word.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

mod support;

use support::postgres::{SUPERUSER, Server, server};

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let (first, second) = (server().database("mine").await, server().database("mine").await);
    first.execute("CREATE TABLE things (id int)").await;
    let found = "SELECT count(*) FROM pg_catalog.pg_tables WHERE tablename = 'things'";
    assert_eq!(
        first
            .admin()
            .await
            .query_one(found, &[])
            .await
            .unwrap()
            .get::<_, i64>(0),
        1
    );
    assert_eq!(
        second
            .admin()
            .await
            .query_one(found, &[])
            .await
            .unwrap()
            .get::<_, i64>(0),
        0
    );
}

#[tokio::test]
async fn over_tcp_a_password_is_asked_for() {
    let database = server().database("tcp").await;
    let user = database.role("somebody", "right").await;
    let connect = async |password: &str| {
        let mut configuration: tokio_postgres::Config = database.url(&user).parse().unwrap();
        configuration
            .password(password)
            .connect(tokio_postgres::NoTls)
            .await
            .map(|_| ())
    };
    assert!(connect("right").await.is_ok());
    assert!(connect("wrong").await.is_err());
}

#[tokio::test]
async fn a_private_server_comes_back_with_its_data_after_a_crash_and_leaves_nothing_behind() {
    let server = Server::start_private();
    let database = server.database("crash").await;
    database.execute("CREATE TABLE things AS SELECT 1 AS id").await;
    let before = database.admin().await;
    server.stop_hard();
    assert!(
        before.query_one("SELECT 1", &[]).await.is_err(),
        "the session must be cut"
    );
    server.start();
    server.restart();
    let after = server.connect(SUPERUSER, database.name()).await;
    let count: i64 = after
        .query_one("SELECT count(*) FROM things", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(count, 1);
    let directory = server.socket_directory().to_owned();
    drop(server);
    assert!(!directory.exists());
}
