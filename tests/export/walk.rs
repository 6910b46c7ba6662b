//! Every row of the person and no other, compared with SQL that was written separately.

use privacy_operator::contract::export::ExportResult;
use serde_json::{Value, json};

use crate::harness::{Trial, trial};
use crate::shop::shop;

async fn expected(trial: &Trial, sql: &str) -> Vec<String> {
    let rows = trial.database.admin().await.query(sql, &[]).await.unwrap();
    let mut texts: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    texts.sort();
    texts
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

/// The rows of person N, in SQL that knows nothing of datasets and paths.
fn own_sql(person: i32) -> [(&'static str, &'static str, String); 6] {
    let mail = format!("user{person}@example.org");
    [
        ("users", "id", format!("SELECT id::text FROM users WHERE id = {person}")),
        (
            "orders",
            "number",
            format!("SELECT number::text FROM orders WHERE user_id = {person}"),
        ),
        (
            "items",
            "product",
            format!("SELECT i.product FROM items i JOIN orders o ON o.id = i.order_id WHERE o.user_id = {person}"),
        ),
        (
            "reviews",
            "words",
            format!(
                "SELECT r.words FROM reviews r WHERE r.order_id IN (SELECT id FROM orders WHERE user_id = {person})"
            ),
        ),
        (
            "messages",
            "id",
            format!("SELECT id::text FROM messages WHERE {person} IN (sender_id, recipient_id)"),
        ),
        (
            "invitations",
            "id",
            format!("SELECT id::text FROM invitations WHERE inviter_id = {person} OR invitee_email = '{mail}'"),
        ),
    ]
}

#[tokio::test]
async fn every_row_of_the_person_and_no_other_is_in_the_archive() {
    let trial = shop().await.of(&[("user_id", "17"), ("email", "user17@example.org")]);
    let (report, opened) = trial.delivered().await;
    let mut rows = 0;
    for (dataset, column, sql) in own_sql(17) {
        let expected = expected(&trial, &sql).await;
        assert!(!expected.is_empty(), "{dataset}");
        assert_eq!(sorted(opened.column(dataset, column)), expected, "{dataset}");
        rows += expected.len();
    }
    assert_eq!(report.rows, i64::try_from(rows).unwrap());
    assert_eq!(report.result, ExportResult::Delivered);
    // Nobody else, anywhere in the archive.
    let everything = opened.everything();
    for other in (1..=60).filter(|other| *other != 17) {
        assert!(!everything.contains(&format!("user{other}@example.org")), "user{other}");
        assert!(!everything.contains(&format!("Person {other}\"")), "Person {other}");
    }
    for canary in ["hash-canary", "token-canary", "s3cret-of-the-role"] {
        assert!(!everything.contains(canary), "{canary}");
    }
}

#[tokio::test]
async fn each_identity_finds_what_it_can_and_no_more() {
    // By mail alone there is no message (it names people by number), and invitations are those that were received or sent.
    let trial = shop().await.of(&[("email", "user17@example.org")]);
    let (_, opened) = trial.delivered().await;
    for (dataset, column, sql) in own_sql(17)
        .into_iter()
        .filter(|(dataset, ..)| !["messages", "invitations"].contains(dataset))
    {
        assert_eq!(
            sorted(opened.column(dataset, column)),
            expected(&trial, &sql).await,
            "{dataset}"
        );
    }
    assert!(opened.rows("messages").is_empty());
    let received = "SELECT id::text FROM invitations WHERE invitee_email = 'user17@example.org'";
    assert_eq!(
        sorted(opened.column("invitations", "id")),
        expected(&trial, received).await
    );
}

#[tokio::test]
async fn what_is_about_the_other_person_is_hidden_unless_it_is_about_both() {
    let trial = shop().await.of(&[("user_id", "17"), ("email", "user17@example.org")]);
    let to_oneself = "INSERT INTO messages VALUES (9001, 17, 17, 'note to myself'), (9002, 18, 17, 'words of 18'), (9003, 17, 18, 'words to 18');
        INSERT INTO invitations VALUES (9001, 17, 'user17@example.org', 't'), (9002, 17, 'friend@example.org', 't'), (9003, 18, 'user17@example.org', 't')";
    trial.database.execute(to_oneself).await;
    let (_, opened) = trial.delivered().await;
    let other = json!({"otherPerson": true});
    let row = |dataset: &str, id: i64| {
        let rows = opened.rows(dataset);
        rows.into_iter()
            .find(|row| row["id"] == id || row["id"].as_str() == Some(&id.to_string()))
            .unwrap_or_else(|| panic!("{dataset} {id}"))
    };
    let message = |id, sender: &Value, recipient: &Value, words: &Value| {
        let row = row("messages", id);
        assert_eq!(
            (&row["sender_id"], &row["recipient_id"], &row["words"]),
            (sender, recipient, words),
            "{id}"
        );
    };
    message(9001, &json!(17), &json!(17), &json!("note to myself"));
    message(9002, &other, &json!(17), &other);
    message(9003, &json!(17), &other, &json!("words to 18"));
    let invitation = |id, inviter: &Value, invitee: &Value| {
        let row = row("invitations", id);
        assert_eq!((&row["inviter_id"], &row["invitee_email"]), (inviter, invitee), "{id}");
    };
    invitation(9001, &json!(17), &json!("user17@example.org"));
    invitation(9002, &json!(17), &other);
    invitation(9003, &other, &json!("user17@example.org"));
    assert!(!opened.everything().contains("friend@example.org"));
    assert!(!opened.everything().contains("words of 18"));
    assert!(opened.text("tables/shop-db.messages-001.html").contains("other person"));
}

#[tokio::test]
async fn nobody_is_found_and_nothing_is_delivered() {
    let trial = shop().await.of(&[("user_id", "4711"), ("email", "nobody@example.org")]);
    let report = trial.run().await;
    assert_eq!(report.result, ExportResult::SubjectNotFound, "{report:?}");
    assert_eq!((report.rows, report.archive, report.problem), (0, None, None));
    assert_eq!(trial.volume(), Vec::<String>::new());
}

/// More keys than are collected: the rows are found by a join in the store, and are the same.
#[tokio::test]
async fn more_keys_than_fit_into_memory_find_the_same_rows() {
    let schema = "CREATE TABLE people (id int PRIMARY KEY, code text);
        CREATE TABLE visits (id int PRIMARY KEY, person int, code text);
        CREATE TABLE clicks (id int PRIMARY KEY, visit int);
        CREATE INDEX ON visits (person); CREATE INDEX ON clicks (visit);
        INSERT INTO people VALUES (1, 'a'), (2, 'A');
        INSERT INTO visits SELECT i, 1 + i % 2, CASE i % 2 WHEN 0 THEN 'a' ELSE 'A' END FROM generate_series(1, 120000) i;
        INSERT INTO clicks SELECT i, i FROM generate_series(1, 120000) i; ANALYZE";
    let datasets = json!([
        {"name": "people", "schema": "public", "table": "people", "subjects": [{"identity": "user_id", "by": {"column": "id"}}]},
        {"name": "visits", "schema": "public", "table": "visits",
         "relations": [{"name": "person", "dataset": "people", "columns": {"person": "id"}}],
         "subjects": [{"identity": "user_id", "by": {"through": "person"}}]},
        {"name": "clicks", "schema": "public", "table": "clicks",
         "relations": [{"name": "visit", "dataset": "visits", "columns": {"visit": "id"}}],
         "subjects": [{"identity": "user_id", "by": {"through": "visit"}}]},
    ]);
    let trial = trial(schema, datasets, json!([])).await.of(&[("user_id", "1")]);
    let (report, opened) = trial.delivered().await;
    assert_eq!(report.rows, 1 + 60_000 + 60_000);
    let clicks = opened.rows("clicks");
    assert_eq!(clicks.len(), 60_000);
    assert!(clicks.iter().all(|row| row["id"].as_i64().unwrap() % 2 == 0));
}

/// A secret that others point at is followed, and never read out.
#[tokio::test]
async fn a_relation_over_a_secret_is_followed_without_reading_it() {
    let schema = "CREATE TABLE sessions (id int PRIMARY KEY, user_id int, token text UNIQUE);
        CREATE TABLE views (id int PRIMARY KEY, token text, page text);
        INSERT INTO sessions VALUES (1, 1, 'token-canary-1'), (2, 2, 'token-canary-2'), (3, 1, 'TOKEN-canary-2');
        INSERT INTO views VALUES (1, 'token-canary-1', 'a'), (2, 'token-canary-2', 'b'), (3, 'TOKEN-canary-2', 'c'), (4, NULL, 'd')";
    let datasets = json!([
        {"name": "sessions", "schema": "public", "table": "sessions", "subjects": [{"identity": "user_id", "by": {"column": "user_id"}}],
         "fields": [{"column": "token", "secret": true}]},
        {"name": "views", "schema": "public", "table": "views",
         "relations": [{"name": "session", "dataset": "sessions", "columns": {"token": "token"}}],
         "subjects": [{"identity": "user_id", "by": {"through": "session"}}],
         "fields": [{"column": "token", "secret": true}, {"column": "page"}]},
    ]);
    let trial = trial(schema, datasets, json!([])).await.of(&[("user_id", "1")]);
    let (_, opened) = trial.delivered().await;
    assert_eq!(opened.column("views", "page"), ["a", "c"]);
    assert!(!opened.everything().to_lowercase().contains("token-canary"));
}
