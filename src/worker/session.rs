//! A session with the store in which a sweep is safe, or the reason why it is not.

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::connection::{Credentials, SESSION_SETTINGS, StoreError, connect};
use super::holds::Holds;
use super::pseudonymise::MaskKeys;
use crate::contract::{Problem, Reason, Store};

/// First half of every advisory lock's key, so that our locks meet no other application's: "priv" in ASCII.
const LOCK_CLASS: i32 = 0x7072_6976;

/// Which of two connections is asked for its server process, to detect a pooler: in no regular order, so that a pooler
/// that takes turns does not look like two sessions.
const PROBES: [bool; 8] = [false, true, true, false, false, true, false, true];

/// Store and worker may disagree about the time by this much.
const LARGEST_SKEW: SignedDuration = SignedDuration::from_secs(60);

/// How often the lock of a table is tried, and how long between.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

const OLDEST_SERVER: i32 = 140_000;

const FACTS_SQL: &str = "
SELECT current_setting('server_version_num')::int4, current_setting('server_version'),
       pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on',
       (extract(epoch FROM clock_timestamp()) * 1000000)::int8,
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
    /// The holds, and whom they name.
    pub holds: Holds,
    /// Where the keys of masks are.
    pub keys: MaskKeys,
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
    pub async fn open(store: &Store, access: &Access, worker_time: Timestamp, writes: bool) -> Result<Self, Problem> {
        let client = connect(store, &access.credentials, access.ca.as_deref(), &access.run).await?;
        let stripped = |error: tokio_postgres::Error| StoreError::of(&error).problem("postgres");
        let settled = is_settled(&client).await.map_err(stripped)?;
        if writes || !settled {
            refuse_pooler(&client, store, access).await?;
        }
        if !settled {
            settle(&client).await.map_err(stripped)?;
        }
        let row = client.query_typed_one(FACTS_SQL, &[]).await.map_err(stripped)?;
        let (number, version): (i32, String) = (row.get(0), row.get(1));
        // `15.13 (Debian 15.13-0+deb12u1)`: the packager is of no interest.
        let server_version = version.split(char::is_whitespace).next().unwrap_or_default().to_owned();
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
        let session = Self {
            client,
            server_version,
            store_time,
            ledger: row.get(4),
        };
        if writes && session.ledger {
            // Safe, because the ledger's line is committed last and synchronously: with it, everything before is durable.
            set(&session.client, "synchronous_commit", "off")
                .await
                .map_err(stripped)?;
        }
        Ok(session)
    }

    /// Takes the lock of a table, so that no two sweeps work on it at once. It ends with the session; that of a worker which
    /// was just killed takes the server a moment to notice.
    pub async fn lock_table(&self, oid: i64, field: &str) -> Result<(), Problem> {
        // An object identifier is 32 bits without a sign.
        let key = u32::try_from(oid).unwrap_or_default().cast_signed();
        for _ in 0..LOCK_ATTEMPTS {
            if try_lock(&self.client, key).await? {
                return Ok(());
            }
            tokio::time::sleep(LOCK_PAUSE).await;
        }
        Err(Problem::new(Reason::SweepInProgress, field, ""))
    }
}

async fn try_lock(client: &Client, key: i32) -> Result<bool, Problem> {
    let sql = "SELECT pg_try_advisory_lock($1, $2)";
    let row = client
        .query_typed_one(sql, &[(&LOCK_CLASS, Type::INT4), (&key, Type::INT4)])
        .await
        .map_err(|error| StoreError::of(&error).problem("postgres"))?;
    Ok(row.get(0))
}

/// A pooler in transaction mode gives two clients one session, or one client many: locks and settings would be anybody's.
async fn refuse_pooler(first: &Client, store: &Store, access: &Access) -> Result<(), Problem> {
    let second = connect(store, &access.credentials, access.ca.as_deref(), &access.run).await?;
    let mut processes: [Option<i32>; 2] = [None; 2];
    for ask_second in PROBES {
        let client = if ask_second { &second } else { first };
        let process: i32 = client
            .query_typed_one("SELECT pg_backend_pid()", &[])
            .await
            .map_err(|error| StoreError::of(&error).problem("postgres"))?
            .get(0);
        let place = usize::from(ask_second);
        let moved = processes[place].is_some_and(|before| before != process);
        if moved || processes[1 - place] == Some(process) {
            return Err(Problem::new(
                Reason::PoolerDetected,
                "postgres.host",
                "two connections share a session of the server",
            ));
        }
        processes[place] = Some(process);
    }
    Ok(())
}

/// Whether the start-up options reached the server. Asked so that nothing planted can answer.
async fn is_settled(client: &Client) -> Result<bool, tokio_postgres::Error> {
    let sql = "SELECT pg_catalog.current_setting($1), pg_catalog.current_setting($2)";
    let [first, second] = [SESSION_SETTINGS[0], SESSION_SETTINGS[1]];
    let names: [(&(dyn ToSql + Sync), Type); 2] = [(&first.0, Type::TEXT), (&second.0, Type::TEXT)];
    let found = client.query_typed_one(sql, &names).await?;
    Ok(found.get::<_, &str>(0) == first.1 && found.get::<_, &str>(1) == second.1)
}

/// A pooler in session mode keeps the start-up options to itself: the session is ours, so they are set in it.
async fn settle(client: &Client) -> Result<(), tokio_postgres::Error> {
    for (name, value) in SESSION_SETTINGS {
        set(client, name, value).await?;
    }
    Ok(())
}

/// Changes a setting of the session. Written so that nothing planted can answer.
pub async fn set(client: &Client, name: &str, value: &str) -> Result<(), tokio_postgres::Error> {
    let values: [(&(dyn ToSql + Sync), Type); 2] = [(&name, Type::TEXT), (&value, Type::TEXT)];
    let sql = "SELECT pg_catalog.set_config($1, $2, false)";
    client.query_typed_one(sql, &values).await.map(|_| ())
}

/// Whether the server keeps one plan of a prepared statement, whatever its values are. To make one for each time, it would
/// look for the ends of an index among the rows that have just gone.
pub async fn keep_plans(client: &Client, keeps: bool) -> Result<(), tokio_postgres::Error> {
    let mode = if keeps {
        "force_generic_plan"
    } else {
        "force_custom_plan"
    };
    set(client, "plan_cache_mode", mode).await
}
