//! The semantics, written a second time: one row, one ground, one rule at a time, with nothing but a calendar.

use std::collections::BTreeMap;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, SpanFieldwise, Timestamp, ToSpan};

use crate::reference_cases::{Action, Case, Condition, Ground, Other, Row, Rule, Time};

/// By id: what no rule writes, and `m`, `m2` and `s`.
pub type State = BTreeMap<i32, (String, Option<String>, Option<String>, Option<bool>)>;

/// The end of a run, and what it and a second one report by rule: affected, without start event, undetermined, no
/// ground applies, still due.
pub struct Expected {
    pub state: State,
    pub counts: Vec<[i64; 5]>,
    pub again: Vec<[i64; 5]>,
}

/// How a ground stands to a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    DoesNotApply,
    Ended,
    Holds,
    /// It holds, since nobody knows when it began.
    WithoutStart,
    /// It holds, since its start is no time that has been.
    Undetermined,
}

impl Standing {
    fn holds(self) -> bool {
        !matches!(self, Self::DoesNotApply | Self::Ended)
    }
}

/// A time column's value as the semantics see it.
#[derive(Clone, Copy)]
enum Seen {
    Null,
    Infinite,
    Instant(Timestamp),
    Date(Date),
}

fn first_instant(date: Date, zone: &TimeZone) -> Timestamp {
    zone.to_ambiguous_zoned(date.at(0, 0, 0, 0))
        .compatible()
        .unwrap()
        .timestamp()
}

fn see(case: &Case, row: &Row, column: usize) -> Seen {
    let text = match row.times[column] {
        Time::Null => return Seen::Null,
        Time::Infinity | Time::MinusInfinity => return Seen::Infinite,
        time => case.text(column, time).unwrap(),
    };
    match column {
        0 | 1 => Seen::Instant(text.parse().unwrap()),
        2 => {
            let wall: DateTime = text.parse().unwrap();
            Seen::Instant(
                case.column_time_zone()
                    .to_ambiguous_zoned(wall)
                    .later()
                    .unwrap()
                    .timestamp(),
            )
        }
        _ => Seen::Date(text.parse().unwrap()),
    }
}

/// The end of a period that began with this event.
fn end_of_period(case: &Case, ground: &Ground, period: Span, event: Seen) -> Timestamp {
    let zone = case.time_zone();
    let calendar = Span::new().years(period.get_years()).months(period.get_months());
    let exact = (period.get_weeks() * 7 + period.get_days()) * 24 + period.get_hours();
    let begin = |date: Date| first_instant(date, &zone);
    let instant = match event {
        Seen::Instant(at) => at,
        // At any time of that day: for what must not go early at its end, for what must not be late at its beginning.
        Seen::Date(date) => {
            let whole = i64::from(ground.bound != "Maximum");
            first_instant(date.checked_add(whole.days()).unwrap(), &case.column_time_zone())
        }
        Seen::Null | Seen::Infinite => unreachable!("not an event"),
    };
    let day = match event {
        Seen::Date(date) => date,
        _ => instant.to_zoned(zone.clone()).date(),
    };
    let start = match ground.starts_at {
        "Event" => instant,
        "EndOfMonth" => begin(day.last_of_month().tomorrow().unwrap()),
        "EndOfYear" => begin(day.last_of_year().tomorrow().unwrap()),
        _ => {
            let last = day.checked_add(calendar).unwrap();
            return begin(last.checked_add((exact / 24 + 1).days()).unwrap());
        }
    };
    let after_months = start.to_zoned(zone.clone()).checked_add(calendar).unwrap().timestamp();
    // Nothing to add: not even by the clock on the wall, which may show the time twice.
    let after_months = if calendar.fieldwise() == SpanFieldwise(Span::new()) {
        start
    } else {
        after_months
    };
    after_months + exact.hours()
}

fn stands(case: &Case, row: &Row, ground: &Ground) -> Standing {
    if !ground.when.iter().all(|condition| holds(case, row, condition)) {
        return Standing::DoesNotApply;
    }
    let over = |column: &usize| match see(case, row, *column) {
        Seen::Null | Seen::Infinite => false,
        Seen::Instant(at) => at <= case.now,
        Seen::Date(date) => first_instant(date.tomorrow().unwrap(), &case.column_time_zone()) <= case.now,
    };
    if ground.until.iter().any(over) {
        return Standing::Ended;
    }
    let Some(period) = ground.period else {
        return Standing::Holds;
    };
    let starts = ground.from.iter().map(|column| see(case, row, *column));
    let event = match starts.into_iter().find(|seen| !matches!(seen, Seen::Null)) {
        None if ground.begins_later => return Standing::Holds,
        None => return Standing::WithoutStart,
        Some(Seen::Infinite) => return Standing::Undetermined,
        Some(Seen::Instant(at)) if at > case.now => return Standing::Undetermined,
        Some(Seen::Date(date)) if first_instant(date, &case.column_time_zone()) > case.now => {
            return Standing::Undetermined;
        }
        Some(event) => event,
    };
    let end = end_of_period(case, ground, period.parse().unwrap(), event);
    let early = if ground.bound == "Maximum" {
        case.slack_seconds
    } else {
        0
    };
    if end - early.seconds() <= case.now {
        Standing::Ended
    } else {
        Standing::Holds
    }
}

fn holds(case: &Case, row: &Row, condition: &Condition) -> bool {
    match condition {
        Condition::Values(column, inside, values) => {
            let value = match *column {
                "e" => row.e.map(String::from),
                "f" => row.f.map(|f| f.to_string()),
                _ => row.g.map(|g| g.to_string()),
            };
            value.is_some_and(|value| values.contains(&value.as_str())) == *inside
        }
        Condition::Exists(column, there) => {
            let null = match *column {
                "e" => row.e.is_none(),
                "f" => row.f.is_none(),
                "g" => row.g.is_none(),
                time => {
                    let column = usize::from(time.as_bytes()[0] - b'a');
                    matches!(row.times[column], Time::Null)
                }
            };
            null != *there
        }
        Condition::Compare(column, operator, other) => {
            // Infinities compare as what they are.
            let order = |column: usize| match (row.times[column], see(case, row, column)) {
                (Time::Infinity, _) => Some(Timestamp::MAX),
                (Time::MinusInfinity, _) => Some(Timestamp::MIN),
                (_, Seen::Instant(at)) => Some(at),
                _ => None,
            };
            let right = match other {
                Other::Now => Some(case.now),
                Other::At(at) => Some(*at),
                Other::Column(other) => order(*other),
            };
            let (Some(left), Some(right)) = (order(*column), right) else {
                return false;
            };
            match *operator {
                "Before" => left < right,
                "NotBefore" => left >= right,
                "After" => left > right,
                _ => left <= right,
            }
        }
    }
}

fn covers(case: &Case, row: &Row, rule: &Rule) -> bool {
    rule.rows.iter().all(|condition| holds(case, row, condition))
}

/// Whether some ground of another rule keeps the row from this rule's action.
fn protected(case: &Case, row: &Row, action: Action) -> bool {
    case.rules.iter().filter(|rule| covers(case, row, rule)).any(|rule| {
        let deletes_or_protects = matches!(rule.action, Action::Delete | Action::Protect);
        rule.grounds.iter().any(|ground| {
            let guards = match (action, ground.bound) {
                (Action::Set, _) | (_, "Maximum") => false,
                (_, "Minimum") => true,
                (Action::Delete, _) => deletes_or_protects,
                _ => false,
            };
            guards && stands(case, row, ground).holds()
        })
    })
}

fn due(case: &Case, row: &Row, rule: &Rule) -> bool {
    let standings: Vec<Standing> = rule.grounds.iter().map(|ground| stands(case, row, ground)).collect();
    let over = standings.contains(&Standing::Ended) && !standings.iter().any(|standing| standing.holds());
    covers(case, row, rule) && (rule.grounds.is_empty() || over) && !protected(case, row, rule.action)
}

/// Rows that the rule keeps for want of certainty, among those that are there.
fn kept(case: &Case, rule: &Rule, there: &State) -> [i64; 3] {
    let mut counts = [0; 3];
    let rows = case.rows.iter().zip(0..).filter(|(_, id)| there.contains_key(id));
    for (row, _) in rows.filter(|(row, _)| covers(case, row, rule)) {
        let standings: Vec<Standing> = rule.grounds.iter().map(|ground| stands(case, row, ground)).collect();
        counts[0] += i64::from(standings.contains(&Standing::WithoutStart));
        counts[1] += i64::from(standings.contains(&Standing::Undetermined));
        let none = standings.iter().all(|standing| *standing == Standing::DoesNotApply);
        counts[2] += i64::from(!rule.grounds.is_empty() && none && rule.action != Action::Protect);
    }
    counts
}

/// What a run does with the table, deletes first.
pub fn expected(case: &Case, before: &State) -> Expected {
    let mut state = before.clone();
    let mut affected = vec![0; case.rules.len()];
    for writes_values in [false, true] {
        for (rule, affected) in case.rules.iter().zip(&mut affected) {
            for (row, id) in case.rows.iter().zip(0..) {
                if !state.contains_key(&id) || !due(case, row, rule) {
                    continue;
                }
                let changed = match (rule.action, state.get_mut(&id)) {
                    (Action::Delete, _) if !writes_values => state.remove(&id).is_some(),
                    (Action::Mask("m"), Some(values)) if writes_values => values.1.take().is_some(),
                    (Action::Mask(_), Some(values)) if writes_values => values.2.take().is_some(),
                    (Action::Set, Some(values)) if writes_values => values.3.replace(true) != Some(true),
                    _ => false,
                };
                *affected += i64::from(changed);
            }
        }
    }
    let report = |there: &State, affected: &[i64]| {
        let rules = case.rules.iter().zip(affected);
        rules
            .map(|(rule, affected)| {
                let [start, undetermined, ground] = kept(case, rule, there);
                [*affected, start, undetermined, ground, 0]
            })
            .collect::<Vec<_>>()
    };
    Expected {
        counts: report(before, &affected),
        again: report(&state, &vec![0; case.rules.len()]),
        state,
    }
}
