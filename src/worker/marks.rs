//! Counting along an index in steps, where every row of a range is due. Each step leaves a mark, and the batches of the
//! sweep end at marks: so the index is read once before the rows go, and not twice.

use tokio_postgres::{Client, Statement};

use super::anchor::Anchor;
use super::guard::Guard;
use super::judge::{Judge, row};
use super::sql::Parameter;
use super::sweep::Fault;

/// Rows from one mark to the next.
const STEP: u32 = 4_000;

/// More marks than this are not kept: the sweep finds the ends of its later batches by itself.
const MOST: usize = 16_384;

/// Marks that are left.
#[derive(Debug, Default)]
pub struct Marks<'a> {
    left: &'a [String],
    before: &'a [String],
}

impl<'a> Marks<'a> {
    /// All marks of an anchor.
    #[must_use]
    pub const fn of(values: &'a [String]) -> Self {
        Self {
            left: values,
            before: values,
        }
    }

    /// The mark at the end of a batch of about so many rows, none when all are passed.
    pub fn after(&mut self, rows: u64) -> Option<&'a str> {
        let steps = usize::try_from(rows / u64::from(STEP))
            .unwrap_or(1)
            .clamp(1, self.left.len().max(1));
        let (_, rest) = self.left.split_at_checked(steps)?;
        let mark = &self.left[steps - 1];
        (self.before, self.left) = (self.left, rest);
        Some(mark)
    }

    /// The batch to the last mark was not done: it comes again.
    pub const fn back(&mut self) {
        self.left = self.before;
    }

    /// There were marks.
    #[must_use]
    pub const fn any(&self) -> bool {
        !self.before.is_empty()
    }
}

/// Counts the rows up to a value, and leaves marks on the way. The row so many steps on is found by walking the index,
/// which is cheaper than counting; only where its value is not its own, the step is counted.
pub struct Walk<'a> {
    client: &'a Client,
    judge: &'a Judge<'a>,
    guard: &'a Guard,
    step: Statement,
    lo: String,
    keeps: bool,
    /// The marks so far.
    pub marks: Vec<String>,
}

impl<'a> Walk<'a> {
    /// A walk from the left end of the index.
    pub async fn new(
        client: &'a Client,
        judge: &'a Judge<'a>,
        anchor: &Anchor,
        guard: &'a Guard,
    ) -> Result<Self, Fault> {
        let column = row(&anchor.column);
        let cast = &judge.column(&anchor.column, "")?.cast;
        let from = format!("FROM {} AS t WHERE {column}", judge.table.name.quoted());
        let sql = format!(
            "WITH n AS MATERIALIZED (SELECT (SELECT {column} {from} > $1::{cast} AND {column} <= $2::{cast} \
                                             ORDER BY {column} OFFSET {} LIMIT 1) AS v) \
             SELECT n.v::text, CASE WHEN (SELECT count(*) FROM (SELECT {from} = n.v LIMIT 2) AS same) = 1 THEN {STEP}::int8 \
                    ELSE (SELECT count(*) {from} > $1::{cast} AND {column} <= coalesce(n.v, $2::{cast})) END FROM n",
            STEP - 1
        );
        let step = client.prepare(&sql).await;
        Ok(Self {
            client,
            judge,
            guard,
            step: step.map_err(|error| Fault::of(&error, judge))?,
            lo: "-infinity".to_owned(),
            keeps: true,
            marks: Vec::new(),
        })
    }

    /// Rows from where the walk is to `last`, which is where it is then.
    pub async fn to(&mut self, last: &str) -> Result<i64, Fault> {
        let last = Parameter::Text(last.to_owned());
        let mut rows = 0;
        loop {
            if let Some(reason) = self.guard.stop() {
                return Err(Fault::Stop(reason));
            }
            let lo = Parameter::Text(self.lo.clone());
            let found = self
                .client
                .query_one(&self.step, &[&lo, &last])
                .await
                .map_err(|error| Fault::of(&error, self.judge))?;
            let passed: i64 = found.get(1);
            rows += passed;
            // So many rows of one value want smaller batches than a mark allows, which the sweep finds by itself.
            self.keeps &= passed <= i64::from(2 * STEP) && self.marks.len() < MOST;
            let Some(mark) = found.get::<_, Option<String>>(0) else {
                if let Parameter::Text(last) = last {
                    self.lo = last;
                }
                return Ok(rows);
            };
            if self.keeps {
                self.marks.push(mark.clone());
            }
            self.lo = mark;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_ends_at_the_mark_that_its_size_allows() {
        let values = ["1", "2", "3", "4", "5", "6"].map(str::to_owned);
        let mut marks = Marks::of(&values);
        assert_eq!(marks.after(500), Some("1"));
        assert_eq!(marks.after(8_000), Some("3"));
        marks.back();
        assert_eq!(marks.after(4_000), Some("2"));
        assert_eq!(marks.after(400_000), Some("6"));
        assert_eq!(marks.after(4_000), None);
        assert!(marks.any());
        assert!(!Marks::default().any());
    }
}
