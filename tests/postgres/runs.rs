//! What the tests of runs under fire share: a ledger, large tables, and waiting for conditions.

use privacy_operator::contract::Totals;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::harness::{Trial, trial_on};
use crate::support::postgres::Server;
use crate::support::wait;

/// The ledger, as `privacy-operator grants` prints it.
const LEDGER: &str = "CREATE SCHEMA privacy_operator;
    CREATE TABLE privacy_operator.ledger (policy_uid text NOT NULL, sequence bigint NOT NULL, written_at timestamptz NOT NULL DEFAULT now(),
      policy text NOT NULL, run text NOT NULL, plan_hash text NOT NULL, deleted bigint NOT NULL, masked bigint NOT NULL, set_rows bigint NOT NULL,
      report text NOT NULL, previous text NOT NULL, head text NOT NULL, PRIMARY KEY (policy_uid, sequence));
    GRANT USAGE ON SCHEMA privacy_operator TO PUBLIC; GRANT SELECT, INSERT ON privacy_operator.ledger TO PUBLIC;";

/// A trial with a ledger.
pub async fn trial_with_ledger<'a>(server: &'a Server, schema: &str) -> Trial<'a> {
    trial_on(server, &format!("{schema} {LEDGER}")).await
}

/// A table of `rows` rows, of which all but the first [`YOUNG`] are older than a week, by a day at least.
pub fn minutes(rows: i64, more: &str) -> String {
    format!(
        "CREATE TABLE t (id int, at timestamptz, hold boolean NOT NULL DEFAULT false, note text);
         INSERT INTO t SELECT i, now() - CASE WHEN i <= {YOUNG} THEN interval '0' ELSE interval '8 days' END - i * interval '1 minute', false, 'note ' || i
           FROM generate_series(1, {rows}) i;
         {more} ANALYZE t;"
    )
}

/// How many of `minutes` stay.
pub const YOUNG: i64 = 1000;

/// Rows older than a week go, unless on hold.
pub fn unless_held() -> Value {
    json!({"rows": [{"column": "hold", "operator": "NotIn", "values": ["true"]}],
        "grounds": [{"name": "age", "from": ["at"], "for": "P7D"}], "action": "delete"})
}

/// One number of a query.
pub async fn number(client: &Client, sql: &str) -> i64 {
    client
        .query_one(&format!("SELECT ({sql})::int8"), &[])
        .await
        .unwrap()
        .get(0)
}

/// Waits until the query's number satisfies the condition.
pub async fn until(client: &Client, sql: &str, mut condition: impl FnMut(i64) -> bool) {
    wait::until(sql, async || condition(number(client, sql).await)).await;
}

/// Totals of all lines of the ledger.
pub async fn totals(client: &Client) -> Totals {
    let row = client
        .query_one(
            "SELECT coalesce(sum(deleted), 0)::int8, coalesce(sum(masked), 0)::int8, coalesce(sum(set_rows), 0)::int8 FROM privacy_operator.ledger",
            &[],
        )
        .await
        .unwrap();
    Totals {
        deleted: row.get(0),
        masked: row.get(1),
        set: row.get(2),
    }
}
