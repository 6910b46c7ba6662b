//! The sweep along an index: every batch is a range of start events, from the oldest on.

use tokio_postgres::Statement;
use tokio_postgres::types::Type;

use super::{Batch, ByPage, FIRST_ROWS, Fault, LARGEST_ROWS, Sweep};
use crate::worker::anchor::Anchor;
use crate::worker::disposal;
use crate::worker::judge::row;
use crate::worker::marks::Marks;
use crate::worker::pace::Pace;
use crate::worker::pseudonymise::CHUNK;
use crate::worker::sql::Parameter;
use crate::worker::two_step::Prepared;
use crate::worker::window::{Place, Window};

/// Where the next batch ends.
enum End {
    /// Nothing is left.
    Nothing,
    /// At this value.
    At(String),
    /// At the anchor's last value.
    Last,
    /// The first value alone has more rows than a batch.
    Ties(String),
}

impl Sweep<'_> {
    /// Disposes of every due row along an index. `lo` only ever grows within a run; every run begins at the left end, so
    /// that rows which arrive late with an old start are not missed.
    pub(super) async fn along_index(&mut self, anchor: &Anchor, by_page: &mut ByPage) -> Result<(), Fault> {
        let cast = self.judge.column(&anchor.column, "")?.cast.clone();
        let column = row(&anchor.column);
        let mut sql = disposal::statement_by_index(self.judge)?;
        sql.push(&format!(" AND {column} > "));
        sql.bind_as(String::new(), &cast);
        sql.push(&format!(" AND {column} <= "));
        sql.bind_as(String::new(), &cast);
        let window = sql.parameters.len() - 2;
        let statement = Prepared::new(self.client, self.judge, self.keys, &sql).await?;
        let probe = self.probe(anchor, &cast).await?;

        // Each part of a batch whose values are read may go along the index again.
        let most = if self.keys.is_empty() {
            LARGEST_ROWS
        } else {
            CHUNK as u64
        };
        let mut pace = Pace::new(FIRST_ROWS, most);
        let mut marks = Marks::of(&anchor.marks);
        let mut lo = "-infinity".to_owned();
        loop {
            let end = match marks.after(pace.size()) {
                Some(mark) => End::At(mark.to_owned()),
                None => self.end(&probe, anchor, &lo, pace.size()).await?,
            };
            let (hi, everything) = match end {
                End::Nothing => return Ok(()),
                End::At(hi) => (hi, false),
                End::Last => (anchor.last.clone(), true),
                End::Ties(value) => {
                    self.ties(anchor, &cast, &value).await?;
                    lo = value;
                    continue;
                }
            };
            sql.parameters[window] = Parameter::Text(lo.clone());
            sql.parameters[window + 1] = Parameter::Text(hi.clone());
            match self.batch(&statement, &sql, false).await? {
                Batch::Done(elapsed) => self.rest(pace.took(elapsed)).await,
                Batch::TooLarge if pace.size() > FIRST_ROWS || marks.any() => {
                    pace.shrink(FIRST_ROWS);
                    marks = Marks::default();
                    continue;
                }
                Batch::TooLarge | Batch::Part => {
                    for window in self.pages_between(anchor, &cast, &lo, &hi).await? {
                        self.windows(by_page, window).await?;
                    }
                }
                Batch::Again => {
                    marks.back();
                    continue;
                }
            }
            if everything {
                return Ok(());
            }
            lo = hi;
        }
    }

    /// Asks for the first value, the value so many rows on, and the last value before that one.
    async fn probe(&self, anchor: &Anchor, cast: &str) -> Result<Statement, Fault> {
        let column = row(&anchor.column);
        let table = self.judge.table.name.quoted();
        let range = format!("FROM {table} AS t WHERE {column} > $1::{cast} AND {column}");
        // MATERIALIZED: every mention of the value would else walk the index anew.
        let sql = format!(
            "WITH n AS MATERIALIZED (SELECT (SELECT {column} {range} <= $2::{cast} ORDER BY {column} OFFSET $3 LIMIT 1) AS v) \
             SELECT (SELECT {column} {range} <= $2::{cast} ORDER BY {column} LIMIT 1)::text, n.v::text, \
                    (SELECT {column} {range} < n.v ORDER BY {column} DESC LIMIT 1)::text FROM n"
        );
        let prepared = self.client.prepare(&sql).await;
        prepared.map_err(|error| Fault::of(&error, self.judge))
    }

    async fn end(&self, probe: &Statement, anchor: &Anchor, lo: &str, rows: u64) -> Result<End, Fault> {
        let skip = i64::try_from(rows.saturating_sub(1)).unwrap_or(i64::MAX);
        let (lo, last) = (Parameter::Text(lo.to_owned()), Parameter::Text(anchor.last.clone()));
        let found = self
            .client
            .query_one(probe, &[&lo, &last, &skip])
            .await
            .map_err(|error| Fault::of(&error, self.judge))?;
        let text = |index: usize| found.get::<_, Option<String>>(index);
        Ok(match (text(0), text(1), text(2)) {
            (None, ..) => End::Nothing,
            (Some(_), None, _) => End::Last,
            // The value so many rows on may have more rows: it begins the next batch.
            (Some(_), Some(_), Some(before)) => End::At(before),
            (Some(first), Some(_), None) => End::Ties(first),
        })
    }

    /// Rows of one start event that do not fit into a batch: by tuple identifiers, from the first to the last of them.
    async fn ties(&mut self, anchor: &Anchor, cast: &str, value: &str) -> Result<(), Fault> {
        let column = row(&anchor.column);
        let range = format!(
            "SELECT min(t.ctid)::text, max(t.ctid)::text FROM {} AS t WHERE {column} = $1::{cast}",
            self.judge.table.name.quoted()
        );
        let found = self
            .client
            .query_typed_one(&range, &[(&Parameter::Text(value.to_owned()), Type::UNKNOWN)])
            .await
            .map_err(|error| Fault::of(&error, self.judge))?;
        let tuple = |index: usize| found.get::<_, Option<String>>(index).and_then(|tid| Place::of(&tid));
        let (Some(from), Some(last)) = (tuple(0), tuple(1)) else {
            return Ok(());
        };
        let mut sql = disposal::statement(self.judge)?;
        sql.push(&format!(" AND {column} = "));
        sql.bind_as(value, cast);
        let mut by_page = self.by_page(sql).await?;
        let whole = Window { from, to: last.next() };
        self.windows(&mut by_page, whole).await
    }

    /// The pages on which the rows of a batch lie: among them are rows that other sessions lock.
    async fn pages_between(&self, anchor: &Anchor, cast: &str, lo: &str, hi: &str) -> Result<Vec<Window>, Fault> {
        let column = row(&anchor.column);
        let sql = format!(
            "SELECT DISTINCT split_part(ltrim(t.ctid::text, '('), ',', 1)::int8 FROM {} AS t \
              WHERE {column} > $1::{cast} AND {column} <= $2::{cast} ORDER BY 1",
            self.judge.table.name.quoted()
        );
        let (lo, hi) = (Parameter::Text(lo.to_owned()), Parameter::Text(hi.to_owned()));
        let found = self
            .client
            .query_typed(&sql, &[(&lo, Type::UNKNOWN), (&hi, Type::UNKNOWN)])
            .await
            .map_err(|error| Fault::of(&error, self.judge))?;
        let page = |row: &tokio_postgres::Row| u64::try_from(row.get::<_, i64>(0)).unwrap_or_default();
        Ok(found
            .iter()
            .map(|row| Window {
                from: Place::page(page(row)),
                to: Place::page(page(row) + 1),
            })
            .collect())
    }
}
