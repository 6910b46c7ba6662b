//! Conditions on columns, as two-valued predicates.

use jiff::Timestamp;

use super::catalogue::{Kind, Table};
use super::judge::{Clock, is_not_null, row};
use super::sql::{Parameter, Sql};
use super::time_column::TimeColumn;
use crate::contract::{Condition, Operator, PlannedRule, Problem, Reason};
use crate::domain::due::{self, DateAs, Interval, SINCE_EVER};

/// Writes a condition. `field` is its place in the spec.
pub fn write(
    sql: &mut Sql,
    table: &Table,
    rule: &PlannedRule,
    clock: &Clock,
    condition: &Condition,
    field: &str,
) -> Result<(), Problem> {
    let column = row(&condition.column);
    let known = table.column(&condition.column, &format!("{field}.column"))?;
    match condition.operator {
        Operator::Exists => sql.push(&is_not_null(&column)),
        Operator::DoesNotExist => sql.push(&format!("{column} IS NOT DISTINCT FROM NULL")),
        Operator::In | Operator::NotIn => {
            if !matches!(known.kind, Kind::Text | Kind::Plain) {
                let detail = format!("column {} is of type {}", condition.column, known.cast);
                return Err(Problem::new(Reason::NotComparable, format!("{field}.operator"), detail));
            }
            sql.push(&format!("({column} = ANY ("));
            sql.bind(Parameter::Texts(condition.values.clone()));
            sql.push(&format!("::{}[])", known.cast));
            sql.push(if condition.operator == Operator::In {
                ") IS TRUE"
            } else {
                ") IS NOT TRUE"
            });
        }
        Operator::Before | Operator::NotBefore | Operator::After | Operator::NotAfter => {
            let time = TimeColumn::new(table, rule, &condition.column, &format!("{field}.column"))?;
            match &condition.other_column {
                Some(other) => {
                    let other_time = TimeColumn::new(table, rule, other, &format!("{field}.otherColumn"))?;
                    write_columns(sql, rule, condition.operator, &time, &other_time, field)?;
                }
                None => write_instant(sql, clock, condition, &time, field)?,
            }
        }
    }
    Ok(())
}

/// Two columns can be compared where they mean the same: one type and, for local times and dates, one zone.
fn write_columns(
    sql: &mut Sql,
    rule: &PlannedRule,
    operator: Operator,
    time: &TimeColumn<'_>,
    other: &TimeColumn<'_>,
    field: &str,
) -> Result<(), Problem> {
    let zone = |time: &TimeColumn<'_>| match time.column().kind {
        Kind::Instant => None,
        _ => rule.column_time_zones.get(time.name()).cloned(),
    };
    if time.column().kind != other.column().kind || zone(time) != zone(other) {
        let detail = format!(
            "columns {} and {} differ in type or time zone",
            time.name(),
            other.name()
        );
        return Err(Problem::new(
            Reason::NotComparable,
            format!("{field}.otherColumn"),
            detail,
        ));
    }
    let sign = match operator {
        Operator::Before => "<",
        Operator::NotBefore => ">=",
        Operator::After => ">",
        _ => "<=",
    };
    sql.push(&format!("({} {sign} {}) IS TRUE", row(time.name()), row(other.name())));
    Ok(())
}

fn write_instant(
    sql: &mut Sql,
    clock: &Clock,
    condition: &Condition,
    time: &TimeColumn<'_>,
    field: &str,
) -> Result<(), Problem> {
    let at = instant(condition.values.first().map_or("", String::as_str), clock).ok_or_else(|| {
        Problem::new(
            Reason::InvalidValue,
            format!("{field}.values"),
            "write now, 2026-01-31 or 2026-01-31T12:00:00Z",
        )
    })?;
    // Everything is told by "at or before", so that a date is compared as the instant at which it begins.
    let until = |at: Timestamp| {
        [Interval {
            first: SINCE_EVER,
            last: due::micros(at),
        }]
    };
    let just_before = until(at.checked_sub(jiff::SignedDuration::from_micros(1)).unwrap_or(at));
    let (intervals, negated) = match condition.operator {
        Operator::Before => (just_before, false),
        Operator::NotBefore => (just_before, true),
        Operator::After => (until(at), true),
        _ => (until(at), false),
    };
    let column = row(time.name());
    if negated {
        sql.push(&format!("({column} IS NOT NULL AND {column} > '-infinity' AND NOT "));
        time.write_in(sql, &intervals, DateAs::Beginning);
        sql.push(")");
    } else {
        sql.push(&format!("(({column} = '-infinity') IS TRUE OR "));
        time.write_in(sql, &intervals, DateAs::Beginning);
        sql.push(")");
    }
    Ok(())
}

/// `now`, an RFC 3339 timestamp, or a date, which is its first instant in the policy's zone.
fn instant(value: &str, clock: &Clock) -> Option<Timestamp> {
    if value == "now" {
        return Some(clock.now);
    }
    if let Ok(at) = value.parse::<Timestamp>() {
        return Some(at);
    }
    let date: jiff::civil::Date = value.parse().ok()?;
    due::instant(due::start_of_day(&clock.zone, date)?)
}
