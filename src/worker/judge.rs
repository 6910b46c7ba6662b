//! A rule as predicates over one row: due, overdue, without start event and so on. All are two-valued, so that a NULL
//! can never turn "keep" into "delete".
//!
//! SEMANTICS section 1 is the meaning; `t` is the row being judged.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::catalogue::{Column, Table};
use super::condition;
use super::holds::{self, Holds};
use super::related::{self, Missing, Scope, Tables};
use super::sql::Sql;
use super::time_column::TimeColumn;
use crate::contract::evidence::DueStarts;
use crate::contract::{Action, Bound, Condition, PlannedGround, PlannedRule, Problem, Reason, WorkPlan};
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
    /// Tables at whose rows rules look besides their own.
    pub related: &'a Tables,
    /// The plan.
    pub plan: &'a WorkPlan,
    /// Rules of the same table whose grounds may protect a row from this rule.
    pub others: Vec<&'a PlannedRule>,
    /// The time.
    pub clock: &'a Clock,
    /// The holds of the plan.
    pub holds: &'a Holds,
}

impl<'a> Judge<'a> {
    /// The judge of a rule of a plan.
    #[must_use]
    pub fn new(
        plan: &'a WorkPlan,
        rule: &'a PlannedRule,
        table: &'a Table,
        related: &'a Tables,
        clock: &'a Clock,
        holds: &'a Holds,
    ) -> Self {
        let on_table = plan.on_table(&rule.schema, &rule.table);
        Self {
            rule,
            table,
            related,
            plan,
            others: on_table.filter(|other| other.name != rule.name).collect(),
            clock,
            holds,
        }
    }
}

impl Judge<'_> {
    /// Whether no row of another table decides if a row may be deleted: none can point at it, and none goes with it.
    #[must_use]
    pub fn goes_alone(&self) -> bool {
        self.table.references.is_empty() && self.rule.cascade.dependents.is_empty()
    }

    /// Whether rows are locked before they are judged a last time: other rows decide about them, go with them, or what is
    /// written is computed from what they hold.
    #[must_use]
    pub fn locks_first(&self) -> bool {
        self.looks_elsewhere() || !self.rule.cascade.is_empty() || self.rule.action.pseudonyms().next().is_some()
    }

    /// `rules[name].part`, as the message names the field.
    #[must_use]
    pub fn field(&self, part: &str) -> String {
        format!("rules[{}].{part}", self.rule.name)
    }

    /// The rows that the rule is about. Where that depends on a row that is missing, it is not.
    pub fn covered(&self, sql: &mut Sql) -> Result<(), Problem> {
        self.conditions(sql, self.rule, Scope::Row, Missing::Fails, &self.rule.rows, "rows")
    }

    /// Due (or overdue), protected by no other rule, bound by no hold, pointed at by no row, and not disposed of yet.
    pub fn due(&self, sql: &mut Sql, horizon: Horizon) -> Result<(), Problem> {
        self.due_but_for_references(sql, horizon)?;
        self.not_pointed_at(sql)
    }

    /// No row of another table keeps it from being deleted: by pointing at it, or as one that would have to go with it.
    pub fn not_pointed_at(&self, sql: &mut Sql) -> Result<(), Problem> {
        if self.rule.action == Action::Delete {
            self.cascade()?.may_go(sql)?;
        }
        Ok(())
    }

    /// As [`Self::due`], whether or not other rows point at the row.
    pub fn due_but_for_references(&self, sql: &mut Sql, horizon: Horizon) -> Result<(), Problem> {
        self.due_by_itself(sql, horizon)?;
        self.beyond_newest(sql)
    }

    /// As [`Self::due`], whatever rows of other tables point at it, and whether or not it is among the newest.
    pub fn due_by_itself(&self, sql: &mut Sql, horizon: Horizon) -> Result<(), Problem> {
        self.due_by_grounds(sql, horizon)?;
        if self.legal_holds().next().is_some() {
            sql.push(" AND ");
            holds::unheld(sql, self.known(), self.table, "t")?;
        }
        Ok(())
    }

    /// As [`Self::due_but_for_references`], whether or not a hold binds the row.
    pub fn due_but_for_holds(&self, sql: &mut Sql, horizon: Horizon) -> Result<(), Problem> {
        self.due_by_grounds(sql, horizon)?;
        self.beyond_newest(sql)
    }

    fn beyond_newest(&self, sql: &mut Sql) -> Result<(), Problem> {
        if let Some(newest) = self.newest()? {
            sql.push(" AND ");
            newest.is_beyond(sql)?;
        }
        Ok(())
    }

    /// As [`Self::due_by_itself`], whether or not a hold binds the row.
    pub fn due_by_grounds(&self, sql: &mut Sql, horizon: Horizon) -> Result<(), Problem> {
        self.covered(sql)?;
        let grounds = &self.rule.grounds;
        if !grounds.is_empty() {
            sql.push(" AND ");
            self.any_ground_applies(sql)?;
            for ground in grounds {
                sql.push(" AND (NOT ");
                self.may_apply(sql, self.rule, ground)?;
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
                let deletes_or_protects = matches!(other.action, Action::Delete | Action::Protect);
                ground.bound == Bound::Minimum || (deletes_or_protects && ground.bound == Bound::Exact)
            }
            Action::Mask(_) => ground.bound == Bound::Minimum,
            Action::Set(_) | Action::Protect => false,
        };
        self.others
            .iter()
            .flat_map(|other| other.grounds.iter().map(move |ground| (*other, ground)))
            .filter(move |(other, ground)| protects(other, ground))
    }

    /// A ground of another rule still holds this row, or may: what is missing does not end its protection.
    pub fn protects(&self, sql: &mut Sql, other: &PlannedRule, ground: &PlannedGround) -> Result<(), Problem> {
        sql.push("(");
        self.conditions(sql, other, Scope::Row, Missing::Holds, &other.rows, "rows")?;
        sql.push(" AND ");
        self.may_apply(sql, other, ground)?;
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

    /// Some ground of the rule certainly applies.
    pub fn any_ground_applies(&self, sql: &mut Sql) -> Result<(), Problem> {
        sql.join(" OR ", "false", &self.rule.grounds, |sql, _, ground| {
            self.applies(sql, self.rule, ground)
        })
    }

    /// The ground's conditions hold now, and nothing that they need is missing, unless that is said to be an end.
    pub fn applies(&self, sql: &mut Sql, rule: &PlannedRule, ground: &PlannedGround) -> Result<(), Problem> {
        let ends = related::ends_when_missing(ground);
        self.holds(sql, rule, ground, if ends { Missing::Holds } else { Missing::Fails })
    }

    /// The ground's conditions hold now, as far as can be told.
    pub fn may_apply(&self, sql: &mut Sql, rule: &PlannedRule, ground: &PlannedGround) -> Result<(), Problem> {
        self.holds(sql, rule, ground, Missing::Holds)
    }

    fn holds(
        &self,
        sql: &mut Sql,
        rule: &PlannedRule,
        ground: &PlannedGround,
        missing: Missing,
    ) -> Result<(), Problem> {
        let part = format!("keepWhile[{}].when", ground.name);
        sql.push("(");
        self.conditions(sql, rule, Scope::Row, missing, &ground.when, &part)?;
        self.ties_hold(sql, rule, ground)?;
        sql.push(")");
        Ok(())
    }

    /// All conditions hold, in parentheses.
    pub fn conditions(
        &self,
        sql: &mut Sql,
        rule: &PlannedRule,
        scope: Scope<'_>,
        missing: Missing,
        conditions: &[Condition],
        part: &str,
    ) -> Result<(), Problem> {
        sql.join(" AND ", "true", conditions, |sql, index, condition| {
            let field = format!("rules[{}].{part}[{index}]", rule.name);
            condition::write(sql, self, rule, (scope, missing), condition, &field)
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
        if related::ends_when_missing(ground) {
            ends.push(End::Missing);
        }
        sql.join(" OR ", "false", &ends, |sql, _, end| match end {
            End::Until(column) => self.until_ended(sql, rule, ground, column, horizon),
            End::Period => self.period_ended(sql, rule, ground, horizon),
            End::Missing => self.misses(sql, rule, ground),
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
        self.time(rule, column, &field)?.write_in(sql, &intervals, DateAs::End);
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
        let zone = self.zone(rule, ground)?;
        let times = self.start_columns(rule, ground)?.into_iter();
        let times: Vec<_> = times.map(|time| time.starting(ground.starts_at, &zone)).collect();
        let date_as = start_date_as(ground);
        if let [time] = &times[..] {
            time.write_in(sql, &intervals, date_as);
            return Ok(());
        }
        sql.push("CASE");
        for time in &times {
            if let Some(missing) = time.missing() {
                sql.push(&format!(" WHEN {missing} THEN false"));
            }
            sql.push(&format!(" WHEN {} IS NOT NULL THEN ", time.sql()));
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
                self.time(rule, column, &ground_field(rule, ground, &part))
            })
            .collect()
    }

    pub(super) fn due_intervals(
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
        let zone = self.zone(rule, ground)?;
        Ok(due::due_starts(period, ground.starts_at, &zone, self.later_by(early)))
    }

    /// By which starts rows are due, for each ground with a period.
    pub fn due_starts(&self) -> Result<Vec<DueStarts>, Problem> {
        let grounds = self.rule.grounds.iter().filter(|ground| ground.period.is_some());
        let of_ground = |ground: &PlannedGround| {
            let intervals = self.due_intervals(self.rule, ground, Horizon::Due)?;
            let pair = |interval: &Interval| Some((due::instant(interval.first), due::instant(interval.last)?));
            Ok(DueStarts {
                ground: ground.name.clone(),
                between: intervals.iter().filter_map(pair).collect(),
            })
        };
        grounds.map(of_ground).collect()
    }

    /// Zone of the calendar periods of a rule, which may be of another policy.
    pub(super) fn zone(&self, rule: &PlannedRule, ground: &PlannedGround) -> Result<TimeZone, Problem> {
        let Some(name) = &rule.time_zone else {
            return Ok(self.clock.zone.clone());
        };
        let field = ground_field(rule, ground, "for");
        zone::parse(name).map_err(|error| Problem::new(Reason::InvalidPlan, field, error.to_string()))
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
                sql.push(&format!("{} IS NULL", time.sql()));
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
                sql.push(&format!(" WHEN {} IS NOT NULL THEN NOT ", time.sql()));
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
            self.may_apply(sql, self.rule, ground)?;
            sql.push(" AND NOT ");
            self.ended(sql, self.rule, ground, Horizon::Due)?;
            if !self.rule.relations.is_empty() {
                sql.push(" AND NOT ");
                self.misses(sql, self.rule, ground)?;
            }
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
        sql.join(" OR ", "false", &self.rule.grounds, |sql, _, ground| {
            self.may_apply(sql, self.rule, ground)
        })
    }

    /// The first start column of the rule, by which the age of its oldest row is told.
    pub fn oldest(&self) -> Result<Option<TimeColumn<'_>>, Problem> {
        let ground = self.rule.grounds.iter().find(|ground| !ground.from.is_empty());
        ground
            .map(|ground| self.time(self.rule, &ground.from[0], &ground_field(self.rule, ground, "from")))
            .transpose()
    }

    /// A column of the table, or why not.
    pub fn column(&self, name: &str, field: &str) -> Result<&Column, Problem> {
        self.table.column(name, field)
    }
}

enum End<'a> {
    Until(&'a str),
    Period,
    Missing,
}

/// A start that is only a date: the event may have been at any time of that day, so an end that must not come early
/// counts from the end of it, and one that must not come late from its beginning.
pub(super) fn start_date_as(ground: &PlannedGround) -> DateAs {
    match ground.bound {
        // Counted in whole units of the calendar, the day itself is all that matters.
        _ if ground.starts_at != crate::contract::StartsAt::Event => DateAs::Beginning,
        Bound::Maximum => DateAs::Beginning,
        Bound::Exact | Bound::Minimum => DateAs::End,
    }
}

pub(super) fn ground_field(rule: &PlannedRule, ground: &PlannedGround, part: &str) -> String {
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
