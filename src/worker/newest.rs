//! `keepNewest`: the rows of a group in order of their time, and those beyond so many of the newest.
//!
//! A row is counted when the rule is about it, no column of `per` is NULL, and no other rule of the plan is about to
//! delete it. Rows that are not counted stay. To rank a table takes one sort, so that is done for all rows at once: for the
//! count, and to find the rows to dispose of. A batch then locks its rows and ranks their groups again by a younger
//! snapshot, along an index where there is one: what was protected, withdrawn or changed meanwhile is seen.

use super::catalogue::{Column, Kind, Table};
use super::judge::{Horizon, Judge, quoted, row};
use super::sql::Sql;
use super::survey;
use crate::contract::{Action, PlannedNewest, PlannedRule, Problem, Reason};

/// How a rule ranks the rows of its table.
pub struct Newest<'a> {
    judge: &'a Judge<'a>,
    spec: &'a PlannedNewest,
    order_by: &'a Column,
    key: &'a [String],
    /// An index leads to the rows of a group.
    pub indexed: bool,
}

impl<'a> Judge<'a> {
    /// How the rule ranks rows, where it does.
    pub fn newest(&'a self) -> Result<Option<Newest<'a>>, Problem> {
        let Some(spec) = &self.rule.keep_newest else {
            return Ok(None);
        };
        let field = |part: &str| self.field(&format!("keepNewest.{part}"));
        let order_by = self.column(&spec.order_by, &field("orderBy"))?;
        if !matches!(order_by.kind, Kind::Instant | Kind::LocalTime | Kind::Date) {
            let detail = format!("column {} is of type {}", spec.order_by, order_by.cast);
            return Err(Problem::new(Reason::NotATime, field("orderBy"), detail));
        }
        let mut indexed = spec.per.is_empty() && order_by.indexed;
        for (index, name) in spec.per.iter().enumerate() {
            let place = field(&format!("per[{index}]"));
            let column = self.column(name, &place)?;
            if column.kind == Kind::Other {
                let detail = format!("column {name} is of type {}", column.cast);
                return Err(Problem::new(Reason::NotComparable, place, detail));
            }
            indexed |= column.indexed;
        }
        let key = if spec.key.is_empty() {
            &self.table.key
        } else {
            &spec.key
        };
        for column in key {
            self.column(column, &self.field("keepNewest"))?;
        }
        if !tells_apart(self.table, key) {
            let detail = format!("({}) of {}", key.join(", "), self.table.name);
            return Err(Problem::new(Reason::KeyRequired, self.field("keepNewest"), detail));
        }
        Ok(Some(Newest {
            judge: self,
            spec,
            order_by,
            key,
            indexed,
        }))
    }

    /// The judges of those rules of the table whose deletes come before this rule counts.
    fn deletes_before(&'a self) -> impl Iterator<Item = Judge<'a>> {
        let deletes = |other: &&PlannedRule| other.action == Action::Delete && other.keep_newest.is_none();
        self.others.iter().copied().filter(deletes).map(|other| Judge {
            rule: other,
            others: self
                .others
                .iter()
                .copied()
                .filter(|another| another.name != other.name)
                .chain([self.rule])
                .collect(),
            ..self.clone()
        })
    }
}

/// No two rows have the same values in these columns, and none is NULL.
fn tells_apart(table: &Table, key: &[String]) -> bool {
    let not_null = |column: &String| table.columns.get(column).is_some_and(|column| column.not_null);
    !key.is_empty()
        && key.iter().all(not_null)
        && table
            .unique
            .iter()
            .any(|unique| unique.iter().all(|column| key.contains(column)))
}

impl Newest<'_> {
    fn table(&self) -> String {
        self.judge.table.name.quoted()
    }

    /// The row is counted.
    fn counts(&self, sql: &mut Sql) -> Result<(), Problem> {
        sql.push("(");
        self.judge.covered(sql)?;
        for column in &self.spec.per {
            sql.push(&format!(" AND {} IS NOT NULL", row(column)));
        }
        for other in self.judge.deletes_before() {
            sql.push(" AND NOT (");
            other.due(sql, Horizon::Due)?;
            sql.push(")");
        }
        sql.push(")");
        Ok(())
    }

    /// Newest first.
    fn order(&self) -> String {
        // An index is in the order of NULLS FIRST read backwards: where there are none, it may be used.
        let nulls = if self.order_by.not_null { "" } else { " NULLS LAST" };
        let time = format!("{} DESC{nulls}", row(&self.spec.order_by));
        let key = self.key.iter().map(|column| format!("{} DESC", row(column)));
        std::iter::once(time).chain(key).collect::<Vec<_>>().join(", ")
    }

    /// Columns of the groups, of the row with this alias.
    fn per(&self, alias: &str) -> Vec<String> {
        let column = |column: &String| format!("{alias}.{}", quoted(column));
        self.spec.per.iter().map(column).collect()
    }

    fn same_group(&self, left: &str, right: &str) -> String {
        let pairs = self.per(left).into_iter().zip(self.per(right));
        let equal: Vec<String> = pairs.map(|(left, right)| format!("{left} = {right}")).collect();
        if equal.is_empty() {
            "true".to_owned()
        } else {
            equal.join(" AND ")
        }
    }

    /// The row is counted, and so many newer ones are.
    pub fn is_beyond(&self, sql: &mut Sql) -> Result<(), Problem> {
        self.beyond(sql, |_| Ok(()))
    }

    /// Among the rows of groups that `within` lets through.
    fn beyond(&self, sql: &mut Sql, within: impl Fn(&mut Sql) -> Result<(), Problem>) -> Result<(), Problem> {
        let (outer, inner) = self.place();
        sql.push(&format!("{outer} IN (SELECT s.place FROM (SELECT {inner} AS place, "));
        self.rank(sql, &self.per("t"));
        sql.push(&format!(" AS rank FROM {} AS t WHERE ", self.table()));
        self.counts(sql)?;
        within(sql)?;
        sql.push(&format!(") AS s WHERE s.rank > {})", self.spec.count));
        Ok(())
    }

    /// Where a row lies, as one value.
    fn place(&self) -> (&'static str, &'static str) {
        if self.judge.table.partitioned {
            ("(t.tableoid, t.ctid)::text", "(t.tableoid, t.ctid)::text")
        } else {
            ("t.ctid", "t.ctid")
        }
    }

    fn rank(&self, sql: &mut Sql, groups: &[String]) {
        sql.push("row_number() OVER (");
        if !groups.is_empty() {
            sql.push(&format!("PARTITION BY {} ", groups.join(", ")));
        }
        sql.push(&format!("ORDER BY {})", self.order()));
    }

    /// Rank of each row that is counted, among all of the table: a column named `rank`.
    fn ranked(&self, sql: &mut Sql) -> Result<(), Problem> {
        let mut counted = Sql {
            parameters: std::mem::take(&mut sql.parameters),
            ..Sql::default()
        };
        self.counts(&mut counted)?;
        sql.parameters = counted.parameters;
        let mut groups = vec![counted.text.clone()];
        groups.extend(self.per("t"));
        sql.push(&format!("CASE WHEN {} THEN ", counted.text));
        self.rank(sql, &groups);
        sql.push(" END AS rank");
        Ok(())
    }

    /// Counts the table, in the order that [`survey`] reads.
    pub fn counting_statement(&self) -> Result<Sql, Problem> {
        let judge = self.judge;
        let count = self.spec.count;
        // Since when so many newer rows are there, nobody knows: by that, no row is overdue.
        let mut sql = Sql::new(&format!(
            "SELECT count(*), count(*) FILTER (WHERE due AND free AND rank > {count}), 0::int8, count(*) FILTER (WHERE without_start), \
             count(*) FILTER (WHERE undetermined), count(*) FILTER (WHERE no_ground), count(*) FILTER (WHERE due AND rank > {count}), \
             count(*) FILTER (WHERE missing), count(*) FILTER (WHERE held AND rank > {count}), min(oldest)::text, \
             (min(oldest) FILTER (WHERE NOT coalesce(due AND free AND rank > {count}, false)))::text FROM (SELECT ("
        ));
        judge.due_by_itself(&mut sql, Horizon::Due)?;
        sql.push(") AS due, (true");
        judge.not_pointed_at(&mut sql)?;
        sql.push(") AS free, (");
        judge.without_start_event(&mut sql)?;
        sql.push(") AS without_start, (");
        judge.undetermined(&mut sql)?;
        sql.push(") AS undetermined, (");
        judge.no_ground_applies(&mut sql)?;
        sql.push(") AS no_ground, (");
        judge.missing_related(&mut sql)?;
        sql.push(") AS missing, (");
        judge.held_by_itself(&mut sql)?;
        sql.push(") AS held, ");
        match judge.oldest()? {
            None => sql.push("NULL::timestamptz"),
            Some(time) => {
                let column = time.sql();
                sql.push(&format!("CASE WHEN {column} > '-infinity' AND "));
                judge.covered(&mut sql)?;
                sql.push(&format!(" THEN {column} END"));
            }
        }
        sql.push(" AS oldest, ");
        self.ranked(&mut sql)?;
        sql.push(&format!(" FROM {} AS t) AS t", self.table()));
        Ok(sql)
    }

    /// The places of at most so many due rows, group by group.
    pub fn finding_statement(&self, place: &str, most: usize) -> Result<Sql, Problem> {
        let judge = self.judge;
        let mut sql = Sql::new("SELECT t.place, t.part FROM (SELECT (");
        judge.due_by_itself(&mut sql, Horizon::Due)?;
        judge.not_pointed_at(&mut sql)?;
        sql.push(&format!(") AS due, {place}, "));
        self.ranked(&mut sql)?;
        sql.push(&format!(
            " FROM {} AS t) AS t WHERE t.due AND t.rank > {} LIMIT {most}",
            self.table(),
            self.spec.count
        ));
        Ok(sql)
    }

    /// The row is beyond, ranked anew among the groups of rows of which `among` holds.
    pub fn is_still_beyond(&self, sql: &mut Sql, among: &str) -> Result<(), Problem> {
        let groups = self.per("t");
        if !self.indexed {
            return self.beyond(sql, |sql| {
                if !groups.is_empty() {
                    let (row, table) = (groups.join(", "), self.table());
                    sql.push(&format!(
                        " AND ({row}) IN (SELECT {row} FROM {table} AS t WHERE {among})"
                    ));
                }
                Ok(())
            });
        }
        // The last row that stays of each group is so many steps along the index.
        let (outer, inner) = self.place();
        let (time, table) = (quoted(&self.spec.order_by), self.table());
        let first = if groups.is_empty() {
            "1".to_owned()
        } else {
            groups.join(", ")
        };
        let keys = |alias: &str| {
            let keys = self.key.iter().map(|column| format!("{alias}.{}", quoted(column)));
            keys.collect::<Vec<_>>().join(", ")
        };
        let aliased: Vec<String> = (0..self.key.len()).map(|index| format!("k{index}")).collect();
        let last_keys = aliased
            .iter()
            .map(|name| format!("b.{name}"))
            .collect::<Vec<_>>()
            .join(", ");
        let selected = self.key.iter().zip(&aliased);
        let selected: Vec<String> = selected
            .map(|(column, name)| format!("{} AS {name}", row(column)))
            .collect();
        sql.push(&format!(
            "{outer} IN (SELECT {inner} FROM (SELECT DISTINCT {first} FROM {table} AS t WHERE {among}) AS g \
             CROSS JOIN LATERAL (SELECT t.{time} AS time, {} FROM {table} AS t WHERE {} AND ",
            selected.join(", "),
            self.same_group("t", "g"),
        ));
        self.counts(sql)?;
        sql.push(&format!(
            " ORDER BY {} OFFSET {} LIMIT 1) AS b JOIN {table} AS t ON {} WHERE {among} AND ",
            self.order(),
            self.spec.count - 1,
            self.same_group("t", "g"),
        ));
        self.counts(sql)?;
        sql.push(&format!(
            " AND (t.{time} < b.time OR t.{time} IS NULL AND b.time IS NOT NULL \
             OR t.{time} IS NOT DISTINCT FROM b.time AND ({}) < ({last_keys})))",
            keys("t")
        ));
        Ok(())
    }
}

/// Counts a rule that keeps the newest rows: by one statement, since the rank of a row depends on all others.
pub async fn count(client: &tokio_postgres::Client, judge: &Judge<'_>) -> Result<survey::Counts, super::sweep::Fault> {
    let Some(newest) = judge.newest()? else {
        return Ok(survey::Counts::default());
    };
    survey::at_once(client, judge, &newest.counting_statement()?).await
}
