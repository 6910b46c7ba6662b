//! Conditions on columns, as two-valued predicates.

use jiff::Timestamp;

use super::catalogue::Kind;
use super::judge::{Clock, Judge, is_not_null};
use super::related::{Missing, Referred, Scope};
use super::sql::{Parameter, Sql};
use super::time_column::TimeColumn;
use crate::contract::{Condition, Operator, PlannedRule, Problem, Reason};
use crate::domain::due::{self, DateAs, Interval, SINCE_EVER};

/// Writes a condition, true or false also where a related row is missing. `field` is its place in the spec.
pub fn write(
    sql: &mut Sql,
    judge: &Judge<'_>,
    rule: &PlannedRule,
    (scope, missing): (Scope<'_>, Missing),
    condition: &Condition,
    field: &str,
) -> Result<(), Problem> {
    let left = judge.refer(rule, scope, &condition.column, &format!("{field}.column"))?;
    let other = condition.other_column.as_ref();
    let right = other
        .map(|other| judge.refer(rule, scope, other, &format!("{field}.otherColumn")))
        .transpose()?;
    let absent: Vec<String> = left
        .missing
        .iter()
        .chain(right.as_ref().and_then(|right| right.missing.as_ref()))
        .cloned()
        .collect();
    if absent.is_empty() {
        return write_present(sql, judge, left, right, condition, field);
    }
    let absent = absent.join(" OR ");
    sql.push(&match missing {
        Missing::Holds => format!("({absent} OR "),
        Missing::Fails => format!("(NOT ({absent}) AND "),
    });
    write_present(sql, judge, left, right, condition, field)?;
    sql.push(")");
    Ok(())
}

fn write_present(
    sql: &mut Sql,
    judge: &Judge<'_>,
    left: Referred<'_>,
    right: Option<Referred<'_>>,
    condition: &Condition,
    field: &str,
) -> Result<(), Problem> {
    let (column, known) = (left.sql.clone(), left.column);
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
            let time = TimeColumn::new(left, &format!("{field}.column"))?;
            match right {
                Some(right) => {
                    let other = TimeColumn::new(right, &format!("{field}.otherColumn"))?;
                    write_columns(sql, condition.operator, &time, &other, field)?;
                }
                None => write_instant(sql, judge.clock, condition, &time, field)?,
            }
        }
    }
    Ok(())
}

/// Two columns can be compared where they mean the same: one type and, for local times and dates, one zone.
fn write_columns(
    sql: &mut Sql,
    operator: Operator,
    time: &TimeColumn<'_>,
    other: &TimeColumn<'_>,
    field: &str,
) -> Result<(), Problem> {
    if time.column().kind != other.column().kind || time.declared_zone() != other.declared_zone() {
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
    sql.push(&format!("({} {sign} {}) IS TRUE", time.sql(), other.sql()));
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
    let column = time.sql();
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
