//! Which rows are gone for good. Batches are committed without waiting for the disk, so a server that crashes comes back
//! with the rows of the last moments; they are disposed of again, and must not be counted twice.

use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_postgres::types::Type;

/// How often it is asked.
const EVERY: Duration = Duration::from_millis(500);

/// The server writes what is committed within three times its `wal_writer_delay`, of 200 ms.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

const SQL: &str = "SELECT pg_current_wal_insert_lsn()::text, pg_current_wal_flush_lsn() >= $1::pg_lsn";

/// Rows of the rule's table, and rows of other tables that went with them.
pub type Rows = (i64, i64);

/// Counts rows whose disposal has reached the disk.
#[derive(Debug, Default)]
pub struct Durable {
    /// Rows that would survive a crash.
    pub rows: Rows,
    /// Rows, and the place in the server's log up to which they are written.
    pending: Option<(Rows, String)>,
    asked: Option<Instant>,
}

impl Durable {
    /// So many rows were disposed of by now. Asks the server at most every half second.
    pub async fn note(&mut self, client: &Client, rows: Rows) -> Result<(), tokio_postgres::Error> {
        if self.asked.is_some_and(|asked| asked.elapsed() < EVERY) {
            return Ok(());
        }
        self.ask(client, rows).await
    }

    /// Waits until all of them are on disk.
    pub async fn wait(&mut self, client: &Client, rows: Rows) -> Result<(), tokio_postgres::Error> {
        let began = Instant::now();
        self.pending = None;
        while rows > (0, 0) && self.rows < rows && began.elapsed() < LONGEST_WAIT {
            self.ask(client, rows).await?;
            if self.rows < rows {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        self.rows = rows;
        Ok(())
    }

    async fn ask(&mut self, client: &Client, rows: Rows) -> Result<(), tokio_postgres::Error> {
        let place = self.pending.as_ref().map_or("0/0", |(_, place)| place.as_str());
        let row = client.query_typed_one(SQL, &[(&place, Type::TEXT)]).await?;
        self.asked = Some(Instant::now());
        let written: bool = row.get(1);
        match self.pending.take() {
            Some((before, _)) if written => self.rows = before,
            pending => self.pending = pending,
        }
        if self.pending.is_none() && self.rows < rows {
            self.pending = Some((rows, row.get(0)));
        }
        Ok(())
    }
}
