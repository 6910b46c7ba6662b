//! A rule as predicates over one row: due, overdue, without start event and so on. All are two-valued, so that a NULL
//! can never turn "keep" into "delete".
//!
//! SEMANTICS section 1 is the meaning; `t` is the row being judged.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::catalogue::{self, Column, Kind, Table};
use super::condition;
use super::sql::Sql;
use super::time_column::TimeColumn;
use crate::contract::{Action, Bound, PlannedGround, PlannedRule, Problem, Reason, WorkPlan};
use crate::domain::due::{self, DateAs, Interval, SINCE_EVER};
use crate::domain::period::Period;
use crate::domain::zone;

/// The instant and zone by which a run judges. Computed once a run, from the store's clock.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Now.
    pub now: Timestamp,
    /// Zone of calendar periods.
    pub zone: TimeZone,
    /// By how much a `Maximum` ground ends early, in seconds.
    pub slack_seconds: i64,
}

impl Clock {
    /// The clock of a plan at an instant.
    pub fn of(plan: &WorkPlan, now: Timestamp) -> Result<Self, Problem> {
        let zone = zone::parse(&plan.time_zone)
            .map_err(|error| Problem::new(Reason::InvalidPlan, "spec.timeZone", error.to_string()))?;
        Ok(Self {
            now,
            zone,
            slack_seconds: plan.slack_seconds,
        })
    }
}

/// What is asked of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Horizon {
    /// Is it due?
    Due,
    /// Has it been due for longer than promised?
    Overdue,
}

/// Judges the rows of one table by one rule.
#[derive(Debug, Clone)]
pub struct Judge<'a> {
    /// The rule.
    pub rule: &'a PlannedRule,
    /// The table, as the catalogue has it.
    pub table: &'a Table,
    /// Rules of the same table whose grounds may protect a row from this rule.
    pub others: Vec<&'a PlannedRule>,
    /// The time.
    pub clock: &'a Clock,
}

/// A column on an index, and the last value that can be due: the sweep runs forward along it.
#[derive(Debug, Clone, PartialEq)]
pub struct Anchor {
    /// Column name.
    pub column: String,
    /// No due row is beyond this value.
    pub last: String,
    /// Order of the heap along the index, from -1 to 1.
    pub correlation: Option<f64>,
    /// The ground is the rule's only one: NULLs and oddities can be counted along the index as well.
    pub alone: bool,
    /// Values so many rows apart, found while the due rows were counted: see [`super::marks`].
    pub marks: Vec<String>,
}

impl Judge<'_> {
    /// Checks every part of the rule against the catalogue, before anything runs.
    pub fn check(&self) -> Result<(), Problem> {
        let mut sql = Sql::default();
        self.due(&mut sql, Horizon::Due)?;
        self.due(&mut sql, Horizon::Overdue)?;
        self.without_start_event(&mut sql)?;
        self.undetermined(&mut sql)?;
        self.no_ground_applies(&mut sql)?;
        let effects = match &self.rule.action {
            Action::Protect => return Ok(()),
            Action::Delete => &self.table.on_delete,
            Action::Mask(_) | Action::Set(_) => &self.table.on_update,
        };
        if !effects.is_empty() {
            let detail = format!("{} has {}", self.table.name, effects.join(", "));
            return Err(Problem::new(Reason::UndeclaredCascade, self.field("dataset"), detail));
        }
        if self.rule.action == Action::Delete {
            self.check_delete()?;
        }
        super::disposal::statement(self).map(|_| ())
    }

    fn check_delete(&self) -> Result<(), Problem> {
        let grant = |what: String| Err(Problem::new(Reason::MissingGrant, self.field("then.delete"), what));
        if !self.table.may_delete {
            return grant(format!("GRANT DELETE ON {}", self.table.name.quoted()));
        }
        for reference in &self.table.references {
            for (_, ours) in &reference.columns {
                self.column(ours, &self.field("then.delete"))?;
            }
            let seen = "point here and keep their parent, which can only be seen with";
            if !reference.may_use_schema {
                return grant(format!(
                    "rows of {} {seen} {}",
                    reference.table,
                    catalogue::usage(&reference.table)
                ));
            }
            if !reference.may_select {
                let columns: Vec<&str> = reference.columns.iter().map(|(theirs, _)| theirs.as_str()).collect();
                let select = catalogue::select(&reference.table, &columns);
                return grant(format!("rows of {} {seen} {select}", reference.table));
            }
            if reference.hidden {
                let detail = format!("rows of {} point here", reference.table);
                return Err(Problem::new(Reason::RowLevelSecurity, self.field("dataset"), detail));
            }
        }
        Ok(())
    }

    /// `rules[name].part`, as the message names the field.
    #[must_use]
    pub fn field(&self, part: &str) -> String {
        format!("rules[{}].{part}", self.rule.name)
    }

    /// The rows that the rule is about.
    pub fn covered(&self, sql: &mut Sql) -> Result<(), Problem> {
        self.conditions(sql, self.rule, &self.rule.rows, "rows")
    }

    /// Due (or overdue), protected by no other rule, pointed at by no row, and not disposed of yet.
    pub fn due(&self, sql: &mut Sql, horizon: Horizon) -> Result<(), Problem> {
        self.due_but_for_references(sql, horizon)?;
        if self.rule.action == Action::Delete {
            for reference in &self.table.references {
                sql.push(" AND NOT EXISTS (SELECT FROM ");
                sql.push(&reference.table.quoted());
                sql.push(" d WHERE ");
                sql.join(" AND ", "false", &reference.columns, |sql, _, (theirs, ours)| {
                    sql.push(&format!("d.{} = {}", quoted(theirs), row(ours)));
                    Ok(())
                })?;
                sql.push(")");
            }
        }
        Ok(())
    }

    /// As [`Self::due`], whether or not other rows point at the row.
    pub fn due_but_for_references(&self, sql: &mut Sql, horizon: Horizon) -> Result<(), Problem> {
        self.covered(sql)?;
        let grounds = &self.rule.grounds;
        if !grounds.is_empty() {
            sql.push(" AND ");
            self.any_ground_applies(sql)?;
            for ground in grounds {
                sql.push(" AND (NOT ");
                self.applies(sql, self.rule, ground)?;
                sql.push(" OR ");
                self.ended(sql, self.rule, ground, horizon)?;
                sql.push(")");
            }
        }
        self.unprotected(sql)?;
        self.undone(sql)
    }

    /// No ground of another rule that protects from this one's action still holds.
    fn unprotected(&self, sql: &mut Sql) -> Result<(), Problem> {
        for (other, ground) in self.protectors() {
            sql.push(" AND NOT ");
            self.protects(sql, other, ground)?;
        }
        Ok(())
    }

    /// Grounds of other rules of the table that protect from this one's action while they hold.
    pub fn protectors(&self) -> impl Iterator<Item = (&PlannedRule, &PlannedGround)> {
        let protects = |other: &PlannedRule, ground: &PlannedGround| match self.rule.action {
            Action::Delete => {
                ground.bound == Bound::Minimum || (other.action == Action::Protect && ground.bound == Bound::Exact)
            }
            Action::Mask(_) => ground.bound == Bound::Minimum,
            Action::Set(_) | Action::Protect => false,
        };
        self.others
            .iter()
            .flat_map(|other| other.grounds.iter().map(move |ground| (*other, ground)))
            .filter(move |(other, ground)| protects(other, ground))
    }

    /// A ground of another rule still holds this row.
    pub fn protects(&self, sql: &mut Sql, other: &PlannedRule, ground: &PlannedGround) -> Result<(), Problem> {
        sql.push("(");
        self.conditions(sql, other, &other.rows, "rows")?;
        sql.push(" AND ");
        self.applies(sql, other, ground)?;
        sql.push(" AND NOT ");
        self.ended(sql, other, ground, Horizon::Due)?;
        sql.push(")");
        Ok(())
    }

    /// A mask or set has not been written yet, so that a second run writes nothing.
    fn undone(&self, sql: &mut Sql) -> Result<(), Problem> {
        match &self.rule.action {
            Action::Delete | Action::Protect => Ok(()),
            Action::Mask(masks) => {
                sql.push(" AND ");
                sql.join(" OR ", "false", masks, |sql, _, mask| {
                    super::disposal::mask_undone(sql, self, mask)
                })
            }
            Action::Set(sets) => {
                sql.push(" AND ");
                sql.join(" OR ", "false", sets, |sql, _, set| {
                    super::disposal::set_undone(sql, self, set)
                })
            }
        }
    }

    fn any_ground_applies(&self, sql: &mut Sql) -> Result<(), Problem> {
        sql.join(" OR ", "false", &self.rule.grounds, |sql, _, ground| {
            self.applies(sql, self.rule, ground)
        })
    }

    /// The ground's conditions hold now.
    pub fn applies(&self, sql: &mut Sql, rule: &PlannedRule, ground: &PlannedGround) -> Result<(), Problem> {
        self.conditions(sql, rule, &ground.when, &format!("keepWhile[{}].when", ground.name))
    }

    fn conditions(
        &self,
        sql: &mut Sql,
        rule: &PlannedRule,
        conditions: &[crate::contract::Condition],
        part: &str,
    ) -> Result<(), Problem> {
        sql.join(" AND ", "true", conditions, |sql, index, condition| {
            let field = format!("rules[{}].{part}[{index}]", rule.name);
            condition::write(sql, self.table, rule, self.clock, condition, &field)
        })
    }

    /// The earliest end has certainly passed, whatever is NULL in the other parts.
    pub fn ended(
        &self,
        sql: &mut Sql,
        rule: &PlannedRule,
        ground: &PlannedGround,
        horizon: Horizon,
    ) -> Result<(), Problem> {
        let mut ends: Vec<End> = ground.until.iter().map(|column| End::Until(column)).collect();
        if ground.period.is_some() {
            ends.push(End::Period);
        }
        sql.join(" OR ", "false", &ends, |sql, _, end| match end {
            End::Until(column) => self.until_ended(sql, rule, ground, column, horizon),
            End::Period => self.period_ended(sql, rule, ground, horizon),
        })
    }

    fn until_ended(
        &self,
        sql: &mut Sql,
        rule: &PlannedRule,
        ground: &PlannedGround,
        column: &str,
        horizon: Horizon,
    ) -> Result<(), Problem> {
        let late = match (horizon, ground.bound) {
            (Horizon::Due, _) => 0,
            (Horizon::Overdue, Bound::Maximum) => rule.within_seconds.max(self.clock.slack_seconds),
            (Horizon::Overdue, _) => rule.within_seconds,
        };
        let intervals = [Interval {
            first: SINCE_EVER,
            last: due::micros(self.later_by(-late)),
        }];
        let field = ground_field(rule, ground, "until");
        let time = TimeColumn::new(self.table, rule, column, &field)?;
        time.write_in(sql, &intervals, DateAs::End);
        Ok(())
    }

    /// The first start column that is not NULL decides.
    fn period_ended(
        &self,
        sql: &mut Sql,
        rule: &PlannedRule,
        ground: &PlannedGround,
        horizon: Horizon,
    ) -> Result<(), Problem> {
        let intervals = self.due_intervals(rule, ground, horizon)?;
        let times = self.start_columns(rule, ground)?.into_iter();
        let times: Vec<_> = times
            .map(|time| time.starting(ground.starts_at, &self.clock.zone))
            .collect();
        let date_as = start_date_as(ground);
        if let [time] = &times[..] {
            time.write_in(sql, &intervals, date_as);
            return Ok(());
        }
        sql.push("CASE");
        for time in &times {
            sql.push(&format!(" WHEN {} IS NOT NULL THEN ", row(time.name())));
            time.write_in(sql, &intervals, date_as);
        }
        sql.push(" ELSE false END");
        Ok(())
    }

    fn start_columns<'b>(
        &'b self,
        rule: &'b PlannedRule,
        ground: &'b PlannedGround,
    ) -> Result<Vec<TimeColumn<'b>>, Problem> {
        ground
            .from
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let part = if index == 0 {
                    "from".to_owned()
                } else {
                    format!("fromFallback[{}]", index - 1)
                };
                TimeColumn::new(self.table, rule, column, &ground_field(rule, ground, &part))
            })
            .collect()
    }

    fn due_intervals(
        &self,
        rule: &PlannedRule,
        ground: &PlannedGround,
        horizon: Horizon,
    ) -> Result<Vec<Interval>, Problem> {
        let field = ground_field(rule, ground, "for");
        let text = ground.period.as_deref().unwrap_or_default();
        let period: Period = text
            .parse()
            .map_err(|error| Problem::new(Reason::InvalidPlan, field, format!("{error}")))?;
        let early = match (horizon, ground.bound) {
            (Horizon::Due, Bound::Maximum) => self.clock.slack_seconds,
            (Horizon::Overdue, Bound::Maximum) | (Horizon::Due, _) => 0,
            (Horizon::Overdue, _) => -rule.within_seconds,
        };
        Ok(due::due_starts(
            period,
            ground.starts_at,
            &self.clock.zone,
            self.later_by(early),
        ))
    }

    fn later_by(&self, seconds: i64) -> Timestamp {
        self.clock
            .now
            .checked_add(SignedDuration::from_secs(seconds))
            .unwrap_or(Timestamp::MIN)
    }

    /// Kept because a ground that applies has no start event and says nothing about that.
    pub fn without_start_event(&self, sql: &mut Sql) -> Result<(), Problem> {
        self.held_by(
            sql,
            |ground| !ground.begins_later,
            |sql, time, index| {
                sql.push(if index > 0 { " AND " } else { "" });
                sql.push(&format!("{} IS NULL", row(time.name())));
            },
            |_| {},
        )
    }

    /// Kept because a start is infinite or in the future, or an end is infinitely long ago.
    pub fn undetermined(&self, sql: &mut Sql) -> Result<(), Problem> {
        let now = [Interval {
            first: SINCE_EVER,
            last: due::micros(self.clock.now),
        }];
        self.held_by(
            sql,
            |_| true,
            |sql, time, index| {
                sql.push(if index == 0 { "CASE" } else { "" });
                sql.push(&format!(" WHEN {} IS NOT NULL THEN NOT ", row(time.name())));
                time.write_in(sql, &now, DateAs::Beginning);
            },
            |sql| sql.push(" ELSE false END"),
        )
    }

    /// Covered rows with a ground that applies, has not ended, and about whose start columns `start` holds.
    fn held_by(
        &self,
        sql: &mut Sql,
        concerns: impl Fn(&PlannedGround) -> bool,
        start: impl Fn(&mut Sql, &TimeColumn<'_>, usize),
        finish: impl Fn(&mut Sql),
    ) -> Result<(), Problem> {
        let grounds: Vec<&PlannedGround> = self
            .rule
            .grounds
            .iter()
            .filter(|ground| !ground.from.is_empty() && concerns(ground))
            .collect();
        self.covered(sql)?;
        sql.push(" AND ");
        sql.join(" OR ", "false", &grounds, |sql, _, ground| {
            sql.push("(");
            self.applies(sql, self.rule, ground)?;
            sql.push(" AND NOT ");
            self.ended(sql, self.rule, ground, Horizon::Due)?;
            sql.push(" AND (");
            let times = self.start_columns(self.rule, ground)?;
            for (index, time) in times.iter().enumerate() {
                start(sql, time, index);
            }
            finish(sql);
            sql.push("))");
            Ok(())
        })
    }

    /// Kept because nobody foresaw such a row.
    pub fn no_ground_applies(&self, sql: &mut Sql) -> Result<(), Problem> {
        if self.rule.grounds.is_empty() || self.rule.action == Action::Protect {
            sql.push("false");
            return Ok(());
        }
        self.covered(sql)?;
        sql.push(" AND NOT ");
        self.any_ground_applies(sql)
    }

    /// The first start column of the rule, by which the age of its oldest row is told.
    pub fn oldest(&self) -> Result<Option<TimeColumn<'_>>, Problem> {
        let ground = self.rule.grounds.iter().find(|ground| !ground.from.is_empty());
        ground
            .map(|ground| {
                TimeColumn::new(
                    self.table,
                    self.rule,
                    &ground.from[0],
                    &ground_field(self.rule, ground, "from"),
                )
            })
            .transpose()
    }

    /// The column along which due rows can be found, where there is one on an index: the start of a ground that applies
    /// to every row and can end in no other way.
    pub fn anchor(&self) -> Result<Option<Anchor>, Problem> {
        for ground in &self.rule.grounds {
            let ([column], true, true) = (&ground.from[..], ground.when.is_empty(), ground.until.is_empty()) else {
                continue;
            };
            let time = TimeColumn::new(self.table, self.rule, column, &ground_field(self.rule, ground, "from"))?;
            if !time.column().indexed {
                continue;
            }
            let intervals = self.due_intervals(self.rule, ground, Horizon::Due)?;
            let time = time.starting(ground.starts_at, &self.clock.zone);
            let Some(last) = time.last(&intervals, start_date_as(ground)) else {
                continue;
            };
            return Ok(Some(Anchor {
                column: column.clone(),
                last,
                correlation: time.column().correlation,
                alone: self.rule.grounds.len() == 1,
                marks: Vec::new(),
            }));
        }
        Ok(None)
    }

    /// Where exactly the rows up to some value of the anchor are due, and others are not: the last overdue value, where
    /// there is any, and the last due one.
    pub fn range(&self, anchor: &Anchor) -> Result<Option<(Option<String>, String)>, Problem> {
        let ([ground], Action::Delete) = (&self.rule.grounds[..], &self.rule.action) else {
            return Ok(None);
        };
        if !(anchor.alone && self.rule.rows.is_empty() && self.table.references.is_empty())
            || self.protectors().next().is_some()
        {
            return Ok(None);
        }
        let time = TimeColumn::new(
            self.table,
            self.rule,
            &anchor.column,
            &ground_field(self.rule, ground, "from"),
        )?
        .starting(ground.starts_at, &self.clock.zone);
        let ranges = |horizon| {
            let intervals = self.due_intervals(self.rule, ground, horizon)?;
            Ok(time.ranges(&intervals, start_date_as(ground)))
        };
        let (overdue, due) = (ranges(Horizon::Overdue)?, ranges(Horizon::Due)?);
        Ok(match (&overdue[..], &due[..]) {
            ([], [(None, last)]) => Some((None, last.clone())),
            ([(None, late)], [(None, last)]) => Some((Some(late.clone()), last.clone())),
            _ => None,
        })
    }

    /// A column of the table, or why not.
    pub fn column(&self, name: &str, field: &str) -> Result<&Column, Problem> {
        self.table.column(name, field)
    }
}

enum End<'a> {
    Until(&'a str),
    Period,
}

/// A start that is only a date: the event may have been at any time of that day, so an end that must not come early
/// counts from the end of it, and one that must not come late from its beginning.
fn start_date_as(ground: &PlannedGround) -> DateAs {
    match ground.bound {
        // Counted in whole units of the calendar, the day itself is all that matters.
        _ if ground.starts_at != crate::contract::StartsAt::Event => DateAs::Beginning,
        Bound::Maximum => DateAs::Beginning,
        Bound::Exact | Bound::Minimum => DateAs::End,
    }
}

fn ground_field(rule: &PlannedRule, ground: &PlannedGround, part: &str) -> String {
    format!("rules[{}].keepWhile[{}].{part}", rule.name, ground.name)
}

/// A column of the row being judged. The catalogue knows the name, so it is one.
#[must_use]
pub fn row(column: &str) -> String {
    format!("t.{}", quoted(column))
}

/// The column holds a value. `IS NOT NULL` would be false for a composite value one of whose fields is NULL.
#[must_use]
pub fn is_not_null(column: &str) -> String {
    format!("{column} IS DISTINCT FROM NULL")
}

/// A quoted column name, as it stands in a statement.
#[must_use]
pub fn quoted(column: &str) -> String {
    format!("\"{}\"", column.replace('"', "\"\""))
}

/// The zone of a rule's column, where its type needs one.
pub fn column_zone(rule: &PlannedRule, kind: Kind, column: &str, field: &str) -> Result<Option<TimeZone>, Problem> {
    match kind {
        Kind::Instant => Ok(None),
        Kind::LocalTime | Kind::Date => {
            let needed = || {
                let what = if kind == Kind::Date {
                    "date"
                } else {
                    "timestamp without time zone"
                };
                Problem::new(Reason::TimeZoneRequired, field, format!("{column} is a {what}"))
            };
            let name = rule.column_time_zones.get(column).ok_or_else(needed)?;
            zone::parse(name)
                .map(Some)
                .map_err(|error| Problem::new(Reason::InvalidPlan, field, error.to_string()))
        }
        Kind::Inet | Kind::Cidr | Kind::Text | Kind::Plain | Kind::Other => {
            Err(Problem::new(Reason::NotATime, field, format!("column {column}")))
        }
    }
}
