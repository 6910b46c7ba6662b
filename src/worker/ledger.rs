//! The evidence that a run leaves in the store itself: one line in a table to which the role can only add. Counts and
//! hashes, no personal data. It is the run's last commit, and a synchronous one: with it, all batches before are durable.

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::connection::StoreError;
use crate::contract::ledger::LedgerLine;
use crate::contract::{LedgerReport, Totals, WorkPlan};

/// Two runs of one policy may end at once; the primary key lets one line through at a time.
const ATTEMPTS: u32 = 5;

const LAST_SQL: &str = "
SELECT coalesce(max(sequence), 0)::int8,
       coalesce((SELECT head FROM privacy_operator.ledger WHERE policy_uid = $1 ORDER BY sequence DESC LIMIT 1), ''),
       coalesce(sum(deleted), 0)::int8, coalesce(sum(masked), 0)::int8, coalesce(sum(set_rows), 0)::int8
  FROM privacy_operator.ledger WHERE policy_uid = $1";

const INSERT_SQL: &str = "
WITH durable AS (SELECT set_config('synchronous_commit', 'on', true))
INSERT INTO privacy_operator.ledger
       (policy_uid, sequence, policy, run, plan_hash, deleted, masked, set_rows, report, previous, head)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM durable";

/// What a run did, as a line says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Name of the run.
    pub run: &'a str,
    /// Hash of the work plan.
    pub plan_hash: &'a str,
    /// Rows by kind of disposal.
    pub totals: Totals,
    /// The counts of each rule, as JSON.
    pub report: &'a str,
}

/// The ledger as it stands.
pub async fn read(client: &Client, plan: &WorkPlan) -> Result<LedgerReport, StoreError> {
    let row = client
        .query_typed_one(LAST_SQL, &[(&plan.policy_uid, Type::TEXT)])
        .await?;
    Ok(LedgerReport {
        sequence: row.get(0),
        head: row.get(1),
        totals: Totals {
            deleted: row.get(2),
            masked: row.get(3),
            set: row.get(4),
        },
        line: None,
    })
}

/// Adds a line, chained to the one before. `tried` is the line that a lost connection may have left behind: where it did,
/// there is nothing to add.
pub async fn append(
    client: &Client,
    plan: &WorkPlan,
    line: &Line<'_>,
    tried: &mut Option<LedgerLine>,
) -> Result<LedgerReport, StoreError> {
    for attempt in 1.. {
        let last = read(client, plan).await?;
        if let Some(line) = tried
            && is_written(client, plan, &line.head).await?
        {
            let line = Some(line.clone());
            return Ok(LedgerReport { line, ..last });
        }
        let Totals { deleted, masked, set } = line.totals;
        let new = LedgerLine {
            policy_uid: plan.policy_uid.clone(),
            policy: format!("{}/{}", plan.namespace, plan.policy),
            sequence: last.sequence + 1,
            run: line.run.to_owned(),
            plan_hash: line.plan_hash.to_owned(),
            deleted,
            masked,
            set,
            report: line.report.to_owned(),
            previous: last.head,
            head: String::new(),
        };
        let new = tried.insert(new.sealed());
        match insert(client, new).await {
            Ok(()) => {
                return Ok(LedgerReport {
                    sequence: new.sequence,
                    head: new.head.clone(),
                    totals: Totals {
                        deleted: last.totals.deleted + deleted,
                        masked: last.totals.masked + masked,
                        set: last.totals.set + set,
                    },
                    line: Some(new.clone()),
                });
            }
            Err(error) if error.code.as_deref() == Some("23505") && attempt < ATTEMPTS => {}
            Err(error) => return Err(error),
        }
    }
    read(client, plan).await
}

async fn insert(client: &Client, line: &LedgerLine) -> Result<(), StoreError> {
    let values: &[(&(dyn ToSql + Sync), Type)] = &[
        (&line.policy_uid, Type::TEXT),
        (&line.sequence, Type::INT8),
        (&line.policy, Type::TEXT),
        (&line.run, Type::TEXT),
        (&line.plan_hash, Type::TEXT),
        (&line.deleted, Type::INT8),
        (&line.masked, Type::INT8),
        (&line.set, Type::INT8),
        (&line.report, Type::TEXT),
        (&line.previous, Type::TEXT),
        (&line.head, Type::TEXT),
    ];
    let written = client.execute_typed(INSERT_SQL, values).await;
    written.map(|_| ()).map_err(|error| StoreError::of(&error))
}

async fn is_written(client: &Client, plan: &WorkPlan, head: &str) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) > 0 FROM privacy_operator.ledger WHERE policy_uid = $1 AND head = $2";
    let row = client
        .query_typed_one(sql, &[(&plan.policy_uid, Type::TEXT), (&head, Type::TEXT)])
        .await?;
    Ok(row.get(0))
}
