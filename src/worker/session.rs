//! A session with the store in which a sweep is safe, or the reason why it is not.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connection::{Credentials, StoreError, connect};
use crate::contract::{Problem, Reason, WorkPlan};

/// First half of every advisory lock's key, so that our locks meet no other application's: "priv" in ASCII.
const LOCK_CLASS: i32 = 0x7072_6976;

/// Second half of the key that detects a pooler. Object identifiers of tables are larger.
const PROBE: i32 = 1;

/// Store and worker may disagree about the time by this much.
const LARGEST_SKEW: SignedDuration = SignedDuration::from_secs(60);

const OLDEST_SERVER: i32 = 140_000;

const FACTS_SQL: &str = "
SELECT current_setting('server_version_num')::int4, current_setting('server_version'),
       pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on',
       (extract(epoch FROM clock_timestamp()) * 1000000)::int8,
       current_setting('search_path') = 'pg_catalog,pg_temp' AND current_setting('row_security') = 'off'
         AND current_setting('statement_timeout') = '5s',
       (SELECT has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'SELECT') AND c.relkind = 'r'
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'privacy_operator' AND c.relname = 'ledger' AND has_schema_privilege(n.oid, 'USAGE')) IS TRUE";

/// How to open a session, and to open it again.
#[derive(Debug, Clone)]
pub struct Access {
    /// User name and password.
    pub credentials: Credentials,
    /// File with the certificate authority; `None` where TLS is disabled.
    pub ca: Option<PathBuf>,
    /// Name of the run, seen in the server's list of sessions.
    pub run: String,
}

/// An open session.
pub struct Session {
    /// The connection.
    pub client: Client,
    /// Version of the server.
    pub server_version: String,
    /// Time by the store's clock when the session was opened.
    pub store_time: Timestamp,
    /// Whether the role may write lines into the ledger.
    pub ledger: bool,
}

impl Session {
    /// Connects and checks everything that does not depend on a table. `writes`: the run will write.
    pub async fn open(plan: &WorkPlan, access: &Access, worker_time: Timestamp, writes: bool) -> Result<Self, Problem> {
        let client = connect(&plan.store, &access.credentials, access.ca.as_deref(), &access.run).await?;
        let stripped = |error: tokio_postgres::Error| StoreError::of(&error).problem("postgres");
        let row = client.query_typed_one(FACTS_SQL, &[]).await.map_err(stripped)?;
        let (number, server_version): (i32, String) = (row.get(0), row.get(1));
        if number < OLDEST_SERVER {
            return Err(Problem::new(
                Reason::UnsupportedServer,
                "postgres.host",
                format!("the server is version {server_version}"),
            ));
        }
        if writes && row.get(2) {
            return Err(Problem::new(
                Reason::ReadOnlyStore,
                "postgres.host",
                "the server is a standby or read-only",
            ));
        }
        let store_time = Timestamp::from_microsecond(row.get(3))
            .map_err(|_| Problem::new(Reason::ClockSkew, "postgres.host", "the store's time is out of range"))?;
        let skew = store_time.duration_since(worker_time).abs();
        if skew > LARGEST_SKEW {
            let detail = format!("the clocks differ by {} seconds", skew.as_secs());
            return Err(Problem::new(Reason::ClockSkew, "postgres.host", detail));
        }
        if !row.get::<_, bool>(4) {
            return Err(Problem::new(
                Reason::PoolerDetected,
                "postgres.host",
                "the session settings did not reach the server",
            ));
        }
        let session = Self {
            client,
            server_version,
            store_time,
            ledger: row.get(5),
        };
        if writes {
            session.refuse_pooler(plan, access).await?;
        }
        if writes && session.ledger {
            // Safe, because the ledger's line is committed last and synchronously: with it, everything before is durable.
            let relaxed = "SELECT set_config('synchronous_commit', 'off', false)";
            session.client.query_typed_one(relaxed, &[]).await.map_err(stripped)?;
        }
        Ok(session)
    }

    /// A pooler in transaction mode may give two clients one session, in which both hold one lock.
    async fn refuse_pooler(&self, plan: &WorkPlan, access: &Access) -> Result<(), Problem> {
        let process = std::process::id().cast_signed();
        let key = PROBE.wrapping_add(process.rem_euclid(1024));
        if !try_lock(&self.client, key).await? {
            // Another worker is probing with the same key at this moment: both talk to the server itself.
            return Ok(());
        }
        let second = connect(&plan.store, &access.credentials, access.ca.as_deref(), &access.run).await?;
        let shared = try_lock(&second, key).await?;
        unlock(&self.client, key).await?;
        if shared {
            return Err(Problem::new(
                Reason::PoolerDetected,
                "postgres.host",
                "two connections share one session",
            ));
        }
        Ok(())
    }

    /// Takes the lock of a table, so that no two sweeps work on it at once. It ends with the session.
    pub async fn lock_table(&self, oid: i64, field: &str) -> Result<(), Problem> {
        // An object identifier is 32 bits without a sign.
        let key = u32::try_from(oid).unwrap_or_default().cast_signed();
        if try_lock(&self.client, key).await? {
            Ok(())
        } else {
            Err(Problem::new(Reason::SweepInProgress, field, ""))
        }
    }
}

async fn try_lock(client: &Client, key: i32) -> Result<bool, Problem> {
    lock_call(client, "SELECT pg_try_advisory_lock($1, $2)", key).await
}

async fn unlock(client: &Client, key: i32) -> Result<bool, Problem> {
    lock_call(client, "SELECT pg_advisory_unlock($1, $2)", key).await
}

async fn lock_call(client: &Client, sql: &str, key: i32) -> Result<bool, Problem> {
    let row = client
        .query_typed_one(sql, &[(&LOCK_CLASS, Type::INT4), (&key, Type::INT4)])
        .await
        .map_err(|error| StoreError::of(&error).problem("postgres"))?;
    Ok(row.get(0))
}
