//! When a period that began at a start event has ended, turned round: which starts are due now.
//!
//! `start + period <= now`, per row, is the definition. Adding calendar months clamps to the last day of the month,
//! and zones have days of 23 and 25 hours, so the due starts are not simply those before some instant: on 28 Feb 12:00
//! with `P6M`, 31 Aug 11:00 is due and 28 Aug 23:59 is not. They are a union of a few intervals, which are computed once
//! a run and bound as values.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

use super::period::Period;
use crate::api::data_retention_policy::StartsAt;

/// Microseconds since 1970-01-01T00:00:00: in UTC for instants, in wall-clock time for local times.
pub type Micros = i64;

/// Stands for "since ever" as the lower end of an [`Interval`].
pub const SINCE_EVER: Micros = i64::MIN;

const DAY: i64 = 86_400_000_000;

/// All times from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// First time, [`SINCE_EVER`] for no limit.
    pub first: Micros,
    /// Last time.
    pub last: Micros,
}

/// All dates from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateInterval {
    /// First date; `None` for no limit.
    pub first: Option<Date>,
    /// Last date.
    pub last: Date,
}

/// The start events whose period has ended at `now`.
///
/// Empty where the calendar ends before an answer is found: nothing is due then.
#[must_use]
pub fn due_starts(period: Period, starts_at: StartsAt, zone: &TimeZone, now: Timestamp) -> Vec<Interval> {
    let due = if starts_at == StartsAt::Event {
        due_events(period, zone, now)
    } else {
        last_due_day(period, starts_at, zone, now).map(|last| {
            vec![Interval {
                first: SINCE_EVER,
                last,
            }]
        })
    };
    due.unwrap_or_default()
}

fn due_events(period: Period, zone: &TimeZone, now: Timestamp) -> Option<Vec<Interval>> {
    let target = micros(now).checked_sub(period.exact_part_seconds().checked_mul(1_000_000)?)?;
    if period.months() == 0 {
        return Some(vec![Interval {
            first: SINCE_EVER,
            last: target,
        }]);
    }
    // Only starts within a few days of `now - months` are in question: clamping moves an end by three days at most, a
    // zone by one.
    let middle = local(zone, target)?
        .date()
        .checked_sub(Span::new().try_months(period.months()).ok()?)
        .ok()?;
    let first_day = middle.checked_sub(6.days()).ok()?;
    let last_day = middle.checked_add(6.days()).ok()?;
    let breaks = breakpoints(period, zone, first_day, last_day)?;

    let mut due = vec![Interval {
        first: SINCE_EVER,
        last: breaks.first()? - 1,
    }];
    // Between two breakpoints the end follows the start at a constant distance.
    for pair in breaks.windows(2) {
        let [begin, next] = *pair else { continue };
        let distance = add_months(begin, period, zone)? - begin;
        let last = (next - 1).min(target - distance);
        if last >= begin {
            due.push(Interval { first: begin, last });
        }
    }
    Some(merged(due))
}

/// Every instant of the given days at which the distance between a start and its end may change: midnights, changes of
/// the zone, and starts whose end falls on a change of the zone.
fn breakpoints(period: Period, zone: &TimeZone, first_day: Date, last_day: Date) -> Option<Vec<Micros>> {
    let begin = start_of_day(zone, first_day)?;
    let end = start_of_day(zone, last_day)?;
    let mut breaks = vec![begin, end];
    breaks.extend(transitions(zone, begin, end)?.iter().map(|change| change.at));
    let mut day = first_day;
    while day < last_day {
        breaks.push(start_of_day(zone, day)?);
        let target_day = day.checked_add(Span::new().try_months(period.months()).ok()?).ok()?;
        let noon = start_of_day(zone, target_day)?;
        for change in transitions(zone, noon - DAY, noon + 2 * DAY)? {
            for offset in [change.before, change.after] {
                let wall = wall_clock(change.at + offset)?;
                if wall.date() == target_day {
                    let same_time = zone.to_ambiguous_zoned(day.to_datetime(wall.time()));
                    breaks.push(micros(same_time.clone().earlier().ok()?.timestamp()));
                    breaks.push(micros(same_time.later().ok()?.timestamp()));
                }
            }
        }
        day = day.tomorrow().ok()?;
    }
    breaks.retain(|at| (begin..=end).contains(at));
    breaks.sort_unstable();
    breaks.dedup();
    Some(breaks)
}

/// The last microsecond whose period, counted in whole days, months or years, has ended.
fn last_due_day(period: Period, starts_at: StartsAt, zone: &TimeZone, now: Timestamp) -> Option<Micros> {
    let months = Span::new().try_months(period.months()).ok()?;
    let days = Span::new().try_days(period.days()).ok()?;
    let today = local(zone, micros(now))?.date();
    let latest = today.checked_sub(days).ok()?.checked_sub(months).ok()?;
    let mut day = latest.checked_add(5.days()).ok()?;
    loop {
        // `day` is the last day of a unit; the period begins when it is over.
        let unit_end = match starts_at {
            StartsAt::Event | StartsAt::EndOfDay => day,
            StartsAt::EndOfMonth => day.last_of_month(),
            StartsAt::EndOfYear => day.last_of_year(),
        };
        let end = match starts_at {
            StartsAt::Event | StartsAt::EndOfDay => {
                let last = unit_end.checked_add(months).ok()?.checked_add(days).ok()?;
                start_of_day(zone, last.tomorrow().ok()?)?
            }
            // A start as any other, at the first instant of the next unit: from there days are exact.
            StartsAt::EndOfMonth | StartsAt::EndOfYear => {
                let begin = start_of_day(zone, unit_end.tomorrow().ok()?.checked_add(months).ok()?)?;
                begin.checked_add(period.exact_part_seconds().checked_mul(1_000_000)?)?
            }
        };
        if end <= micros(now) {
            return Some(start_of_day(zone, unit_end.tomorrow().ok()?)? - 1);
        }
        day = match starts_at {
            StartsAt::Event | StartsAt::EndOfDay => day.yesterday().ok()?,
            StartsAt::EndOfMonth => day.first_of_month().yesterday().ok()?,
            StartsAt::EndOfYear => day.first_of_year().yesterday().ok()?,
        };
    }
}

/// The local times, as a `timestamp` column in `zone` holds them, whose instants lie in `intervals`.
///
/// A time that the clock showed twice is read as the later one, and one that it skipped as if the clock had not been
/// moved yet: the later start keeps the row longer.
#[must_use]
pub fn local_times(intervals: &[Interval], zone: &TimeZone) -> Vec<Interval> {
    let mut result = Vec::new();
    for interval in intervals {
        let from = if interval.first == SINCE_EVER {
            interval.last - 3 * DAY
        } else {
            interval.first - 2 * DAY
        };
        let Some(changes) = transitions(zone, from, interval.last + 2 * DAY) else {
            continue;
        };
        let Some(mut offset) = offset_at(zone, from) else {
            continue;
        };
        let mut begin = SINCE_EVER;
        for change in &changes {
            // Up to this wall-clock time the old offset counts.
            let switch = change.at + change.after;
            result.extend(shifted(*interval, offset, begin, switch - 1));
            begin = switch;
            offset = change.after;
        }
        result.extend(shifted(*interval, offset, begin, Micros::MAX));
    }
    merged(result)
}

fn shifted(interval: Interval, offset: Micros, begin: Micros, end: Micros) -> Option<Interval> {
    let first = if interval.first == SINCE_EVER {
        SINCE_EVER
    } else {
        interval.first + offset
    };
    let cut = Interval {
        first: first.max(begin),
        last: (interval.last + offset).min(end),
    };
    (cut.first <= cut.last).then_some(cut)
}

/// How a date, which is no instant, is read as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateAs {
    /// Its first instant.
    Beginning,
    /// The instant at which it is over.
    End,
}

/// The dates, as a `date` column in `zone` holds them, whose instants lie in `intervals`.
#[must_use]
pub fn dates(intervals: &[Interval], zone: &TimeZone, date_as: DateAs) -> Vec<DateInterval> {
    let instant = |date: Date| match date_as {
        DateAs::Beginning => start_of_day(zone, date),
        DateAs::End => start_of_day(zone, date.tomorrow().ok()?),
    };
    intervals
        .iter()
        .filter_map(|interval| {
            let mut last = local(zone, interval.last)?.date().tomorrow().ok()?;
            while instant(last)? > interval.last {
                last = last.yesterday().ok()?;
            }
            if interval.first == SINCE_EVER {
                return Some(DateInterval { first: None, last });
            }
            let mut first = local(zone, interval.first)?.date().checked_sub(2.days()).ok()?;
            while instant(first)? < interval.first {
                first = first.tomorrow().ok()?;
            }
            (first <= last).then_some(DateInterval {
                first: Some(first),
                last,
            })
        })
        .collect()
}

/// Joins intervals that touch or overlap.
fn merged(mut intervals: Vec<Interval>) -> Vec<Interval> {
    intervals.sort_unstable_by_key(|interval| interval.first);
    let mut result: Vec<Interval> = Vec::with_capacity(intervals.len());
    for interval in intervals {
        match result.last_mut() {
            Some(before) if interval.first <= before.last.saturating_add(1) => {
                before.last = before.last.max(interval.last);
            }
            _ => result.push(interval),
        }
    }
    result
}

/// A change of a zone's offset. Offsets are in microseconds.
struct Change {
    at: Micros,
    before: Micros,
    after: Micros,
}

/// The changes of the zone after `from`, up to and including `to`.
fn transitions(zone: &TimeZone, from: Micros, to: Micros) -> Option<Vec<Change>> {
    let mut before = offset_at(zone, from)?;
    let mut changes = Vec::new();
    for transition in zone.following(instant(from)?) {
        let at = micros(transition.timestamp());
        if at > to {
            break;
        }
        let after = i64::from(transition.offset().seconds()) * 1_000_000;
        if after != before {
            changes.push(Change { at, before, after });
        }
        before = after;
    }
    Some(changes)
}

fn offset_at(zone: &TimeZone, at: Micros) -> Option<Micros> {
    Some(i64::from(zone.to_offset(instant(at)?).seconds()) * 1_000_000)
}

/// `start` with the calendar part of `period` added in `zone`.
fn add_months(start: Micros, period: Period, zone: &TimeZone) -> Option<Micros> {
    let end = local(zone, start)?
        .checked_add(Span::new().try_months(period.months()).ok()?)
        .ok()?;
    Some(micros(zone.to_zoned(end).ok()?.timestamp()))
}

/// The first instant of a date.
pub(crate) fn start_of_day(zone: &TimeZone, date: Date) -> Option<Micros> {
    Some(micros(
        zone.to_zoned(date.to_datetime(jiff::civil::Time::midnight()))
            .ok()?
            .timestamp(),
    ))
}

fn local(zone: &TimeZone, at: Micros) -> Option<DateTime> {
    Some(zone.to_datetime(instant(at)?))
}

fn wall_clock(at: Micros) -> Option<DateTime> {
    local(&TimeZone::UTC, at)
}

/// Microseconds of an instant.
#[must_use]
pub fn micros(at: Timestamp) -> Micros {
    at.as_microsecond()
}

/// The instant of microseconds.
#[must_use]
pub fn instant(at: Micros) -> Option<Timestamp> {
    Timestamp::from_microsecond(at).ok()
}

#[cfg(test)]
#[path = "due_tests.rs"]
mod tests;
