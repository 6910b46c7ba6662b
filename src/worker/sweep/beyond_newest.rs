//! The sweep of a rule that keeps the newest rows: the rows beyond them are found at once, and go in batches.

use super::{Batch, FIRST_ROWS, Fault, LARGEST_ROWS, LOCKED_REST, LOCKED_ROUNDS, Sweep};
use crate::worker::newest::Newest;
use crate::worker::pace::Pace;
use crate::worker::survey;
use crate::worker::two_step::{self, Keys, Prepared, named_place};

/// So many places are kept at once. More rows than that are found by another pass.
const PLACES: usize = 500_000;

impl Sweep<'_> {
    /// Disposes of every due row that is beyond the newest. `rows_left` tells whether some could not be.
    pub(super) async fn beyond_newest(&mut self, newest: &Newest<'_>) -> Result<(), Fault> {
        let (mut statement, sql) = Prepared::of_newest(self.client, self.judge, self.keys, newest).await?;
        let mut pace = Pace::new(FIRST_ROWS, LARGEST_ROWS);
        let mut rounds = 0;
        loop {
            let found = self.places(newest).await?;
            let complete = found.0.len() < PLACES;
            let before = self.affected;
            self.rows_left = false;
            let mut from = 0;
            while from < found.0.len() {
                // Without an index every batch reads the table, however few its rows are.
                let size = if newest.indexed { pace.size() } else { LARGEST_ROWS };
                let to = (from + usize::try_from(size).unwrap_or(1)).min(found.0.len());
                let elapsed = self.given(&mut statement, &sql, slice(&found, from, to)).await?;
                if let Some(elapsed) = elapsed {
                    self.rest(pace.took(elapsed)).await;
                }
                from = to;
            }
            let stuck = self.affected == before;
            if complete && !self.rows_left || stuck && !complete {
                return Ok(());
            }
            if complete {
                rounds += 1;
                if rounds > LOCKED_ROUNDS {
                    return Ok(());
                }
                tokio::time::sleep(LOCKED_REST).await;
            }
        }
    }

    /// One batch; in smaller ones where it is too large, and none of a row that others hold.
    async fn given(
        &mut self,
        statement: &mut Prepared,
        sql: &crate::worker::sql::Sql,
        keys: Keys,
    ) -> Result<Option<std::time::Duration>, Fault> {
        let mut parts = vec![keys];
        let mut whole = None;
        while let Some(keys) = parts.pop() {
            let rows = keys.0.len();
            statement.give(keys.clone());
            match self.batch(statement, sql, rows == 1).await? {
                Batch::Done(elapsed) => whole = Some(elapsed),
                Batch::Again => parts.push(keys),
                Batch::TooLarge if rows > 1 => {
                    parts.push(slice(&keys, rows / 2, rows));
                    parts.push(slice(&keys, 0, rows / 2));
                }
                Batch::Part | Batch::TooLarge => self.rows_left = true,
            }
        }
        Ok(whole)
    }

    /// The places of due rows, as many as fit.
    async fn places(&self, newest: &Newest<'_>) -> Result<Keys, Fault> {
        let fault = |error: tokio_postgres::Error| Fault::of(&error, self.judge);
        let sql = newest.finding_statement(named_place(self.judge.table.partitioned), PLACES)?;
        survey::timeout(self.client, survey::COUNT_TIMEOUT)
            .await
            .map_err(fault)?;
        let values = sql.values();
        let parameters: Vec<_> = values.iter().map(|(value, _)| *value).collect();
        let found = match self.client.prepare(&sql.text).await {
            Ok(statement) => two_step::keys(self.client, &statement, &parameters).await,
            Err(error) => Err(error),
        };
        // A batch that reads the table takes its time as well.
        if newest.indexed || found.is_err() {
            survey::timeout(self.client, survey::USUAL_TIMEOUT)
                .await
                .map_err(fault)?;
        }
        found.map_err(fault)
    }
}

fn slice(keys: &Keys, from: usize, to: usize) -> Keys {
    (keys.0[from..to].to_vec(), keys.1[from..to].to_vec())
}
