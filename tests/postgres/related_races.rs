//! Rows of another table come and go while a sweep is under way that is decided by them.

use privacy_operator::contract::Reason;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::disturbers::{Beside, Disturbers};
use crate::harness::{Trial, trial};
use crate::runs::{minutes, number};

/// Old rows that no subscription keeps; the action is given.
fn unless_subscribed(action: Value) -> Value {
    let relation = json!({"schema": "public", "table": "sub", "columns": [["id", "contact"]]});
    json!({"grounds": [{"name": "age", "from": ["at"], "for": "P7D"}, {"name": "newsletter", "exists": {"relation": relation}}], "action": action})
}

const SUBSCRIBE: &str = "WITH locked AS (SELECT id FROM t WHERE id = $1 AND note <> 'masked' FOR KEY SHARE) INSERT INTO sub SELECT id FROM locked RETURNING contact";

/// Subscribes contacts, and withdraws it again for some. It locks the contact first, as a foreign key would, and only for a
/// contact that is there and not touched yet; what holds at the end is what the subscriptions say. Each session has contacts
/// of its own, from the last, so that it meets the sweep again and again.
async fn subscribe(mut client: Client, session: i32, rows: i32, beside: Beside) {
    let mut round = 0;
    while beside.goes_on() {
        round += 1;
        let transaction = client.transaction().await.unwrap();
        for step in 0..20 {
            let contact = 1 + (round * 20 + step) * 7919 % (rows / 4) * 4 + session;
            transaction.query(SUBSCRIBE, &[&contact]).await.unwrap();
            if step % 4 == 0 {
                transaction
                    .execute("DELETE FROM sub WHERE contact = $1", &[&contact])
                    .await
                    .unwrap();
            }
        }
        transaction.commit().await.unwrap();
        beside.changed(20);
    }
}

const ROWS: i32 = 40_000;

/// Runs until the sessions have changed enough; returns the rows disposed of.
async fn under_fire(trial: &Trial<'_>) -> i64 {
    let subscribers = Disturbers::start(trial, 4, |client, session, beside| {
        subscribe(client, session, ROWS, beside)
    });
    let mut affected = 0;
    while subscribers.changes() < 40_000 || affected == 0 {
        let report = trial.run().await;
        let rule = &report.rules[0];
        let passing = |reason| matches!(reason, Reason::RowsLocked);
        assert!(
            rule.problem.as_ref().is_none_or(|problem| passing(problem.reason)),
            "{report:?}"
        );
        affected += rule.affected;
    }
    subscribers.finish();
    affected
}

#[tokio::test]
async fn a_contact_that_subscribes_during_a_sweep_stays() {
    for index in ["", "CREATE INDEX ON t (at);"] {
        let more = format!(
            "ALTER TABLE t ADD PRIMARY KEY (id); {index} CREATE TABLE sub (contact int); CREATE INDEX ON sub (contact);"
        );
        let trial = trial(&minutes(i64::from(ROWS), &more))
            .await
            .rules(&[unless_subscribed(json!("delete"))]);
        let affected = under_fire(&trial).await;
        let admin = trial.database.admin().await;
        let lost = "SELECT count(*) FROM sub LEFT JOIN t ON t.id = contact WHERE t.id IS NULL";
        assert_eq!(
            number(&admin, lost).await,
            0,
            "contacts with a subscription are gone; index {index:?}"
        );
        let stayed = number(&admin, "SELECT count(DISTINCT contact) FROM sub").await;
        assert!(stayed > 500 && affected > 500, "{stayed} stayed, {affected} went");
        let report = trial.run().await;
        assert_eq!(
            (report.rules[0].due, &report.rules[0].problem),
            (0, &None),
            "{report:?}"
        );
        let left = "SELECT count(*) FROM t WHERE at < now() - interval '7 days' AND NOT EXISTS (SELECT FROM sub WHERE contact = id)";
        assert_eq!(number(&admin, left).await, 0);
    }
}

#[tokio::test]
async fn a_contact_that_subscribes_during_a_sweep_is_not_masked() {
    // With a foreign key, which locks the contact by itself.
    let more = "ALTER TABLE t ADD PRIMARY KEY (id); CREATE TABLE sub (contact int REFERENCES t); CREATE INDEX ON sub (contact); ALTER TABLE t ALTER note SET NOT NULL;";
    let set = json!({"set": [{"column": "note", "value": "masked"}]});
    let trial = trial(&minutes(i64::from(ROWS), more))
        .await
        .rules(&[unless_subscribed(set)]);
    let affected = under_fire(&trial).await;
    let admin = trial.database.admin().await;
    let wrong = "SELECT count(*) FROM t JOIN sub ON contact = id WHERE note = 'masked'";
    assert_eq!(
        number(&admin, wrong).await,
        0,
        "contacts with a subscription were written"
    );
    assert!(affected > 500);
    let report = trial.run().await;
    assert_eq!(
        (report.rules[0].due, report.rules[0].race_window),
        (0, false),
        "{report:?}"
    );
}

#[tokio::test]
async fn rows_that_others_hold_are_left_and_told_and_go_later() {
    let more = "ALTER TABLE t ADD PRIMARY KEY (id); CREATE TABLE sub (contact int);";
    let trial = trial(&minutes(5000, more))
        .await
        .rules(&[unless_subscribed(json!("delete"))]);
    let session = trial.database.admin().await;
    session
        .batch_execute("BEGIN; SELECT FROM t WHERE id BETWEEN 2001 AND 2010 FOR KEY SHARE; INSERT INTO sub SELECT generate_series(2001, 2005)")
        .await
        .unwrap();
    let report = trial.run().await;
    let rule = &report.rules[0];
    assert_eq!((rule.affected, rule.due), (5000 - 1000 - 10, 10), "{report:?}");
    assert_eq!(rule.problem.as_ref().unwrap().reason, Reason::RowsLocked);
    session.batch_execute("COMMIT").await.unwrap();
    let report = trial.run().await;
    assert_eq!((report.rules[0].affected, report.rules[0].due), (5, 0), "{report:?}");
    assert_eq!(trial.ids().await.len(), 1005);
}
