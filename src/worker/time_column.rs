//! A column that holds times, and how instants are compared with it.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::catalogue::{Column, Kind};
use super::related::Referred;
use super::sql::Sql;
use crate::contract::{Problem, Reason, StartsAt};
use crate::domain::due::{self, DateAs, Interval, SINCE_EVER};
use crate::domain::zone;

/// No clock was ever put forward or back by more.
const LARGEST_CHANGE: SignedDuration = SignedDuration::from_hours(24);

/// A `timestamptz`, `timestamp` or `date` column.
#[derive(Debug, Clone)]
pub struct TimeColumn<'a> {
    referred: Referred<'a>,
    /// Zone of local times and dates; instants need none.
    zone: TimeZone,
}

impl<'a> TimeColumn<'a> {
    /// The column, where it is one and its zone is known if it needs one.
    pub fn new(referred: Referred<'a>, field: &str) -> Result<Self, Problem> {
        let zone = column_zone(referred.column.kind, referred.zone, referred.name, field)?;
        Ok(Self {
            referred,
            zone: zone.unwrap_or(TimeZone::UTC),
        })
    }

    /// As the start of whole days, months or years: there a date is that day of the calendar in `zone`, whatever zone it
    /// was noted in. Its first instant may lie in the day, month or year before, from which nothing must be counted.
    #[must_use]
    pub fn starting(mut self, starts_at: StartsAt, zone: &TimeZone) -> Self {
        if starts_at != StartsAt::Event && self.column().kind == Kind::Date {
            self.zone = zone.clone();
        }
        self
    }

    /// Its name, as the spec has it.
    #[must_use]
    pub const fn name(&self) -> &str {
        self.referred.name
    }

    /// Its value, in SQL.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.referred.sql
    }

    /// There is no row that has it, in SQL, where that can be.
    #[must_use]
    pub fn missing(&self) -> Option<&str> {
        self.referred.missing.as_deref()
    }

    /// Its zone, where it needs one, as it is declared.
    #[must_use]
    pub fn declared_zone(&self) -> Option<&String> {
        self.referred.zone.filter(|_| self.column().kind != Kind::Instant)
    }

    /// What the catalogue says of it.
    #[must_use]
    pub const fn column(&self) -> &Column {
        self.referred.column
    }

    /// Writes "its value lies in the intervals": false for NULL and for infinite values.
    pub fn write_in(&self, sql: &mut Sql, intervals: &[Interval], date_as: DateAs) {
        let column = self.sql();
        let ranges = self.ranges(intervals, date_as);
        // Of several ranges the server might unite what the index says of each, for every batch anew.
        let by_index = sql.by_index && ranges.len() == 1 && self.missing().is_none();
        sql.push("(");
        if by_index {
            sql.push(&format!("{column} IS NOT NULL AND "));
        }
        for (index, (first, last)) in ranges.iter().enumerate() {
            sql.push(if index > 0 { " OR " } else { "" });
            match first {
                None => sql.push(&format!("({column} > '-infinity' AND {column} <= ")),
                Some(first) => {
                    sql.push(&format!("({column} >= "));
                    sql.bind_as(first, &self.column().cast);
                    sql.push(&format!(" AND {column} <= "));
                }
            }
            sql.bind_as(last, &self.column().cast);
            sql.push(")");
        }
        sql.push(match ranges.len() {
            0 => "false)",
            _ if by_index => ")",
            _ => ") IS TRUE",
        });
    }

    /// The last value in the intervals.
    #[must_use]
    pub fn last(&self, intervals: &[Interval], date_as: DateAs) -> Option<String> {
        self.ranges(intervals, date_as).pop().map(|(_, last)| last)
    }

    /// The intervals as literals of the column's type. Without a first value a range begins after `-infinity`.
    #[must_use]
    pub fn ranges(&self, intervals: &[Interval], date_as: DateAs) -> Vec<(Option<String>, String)> {
        let literal = |at: due::Micros| match self.column().kind {
            Kind::LocalTime => due::instant(at).map(|at| TimeZone::UTC.to_datetime(at).to_string()),
            _ => due::instant(at).map(|at| at.to_string()),
        };
        let pair = |interval: &Interval| {
            let first = if interval.first == SINCE_EVER {
                None
            } else {
                Some(literal(interval.first)?)
            };
            Some((first, literal(interval.last)?))
        };
        match self.column().kind {
            Kind::Date => due::dates(intervals, &self.zone, date_as)
                .into_iter()
                .map(|range| (range.first.map(|date| date.to_string()), range.last.to_string()))
                .collect(),
            Kind::LocalTime => due::local_times(intervals, &self.zone)
                .iter()
                .filter_map(pair)
                .collect(),
            _ => intervals.iter().filter_map(pair).collect(),
        }
    }

    /// The instant as a literal of the column's type: for a date, the day that it falls on.
    #[must_use]
    pub fn literal(&self, at: Timestamp) -> String {
        match self.column().kind {
            Kind::Date => self.zone.to_datetime(at).date().to_string(),
            Kind::LocalTime => self.zone.to_datetime(at).to_string(),
            _ => at.to_string(),
        }
    }

    /// No value that lies after the instant is smaller than this. A local time that the clock shows twice is read as the
    /// second, and one that it skips as if it went on, so that one which is less than the clock's may still lie ahead.
    #[must_use]
    pub fn least_after(&self, at: Timestamp) -> String {
        let back = match self.column().kind {
            Kind::LocalTime => LARGEST_CHANGE,
            _ => SignedDuration::ZERO,
        };
        self.literal(at.checked_sub(back).unwrap_or(Timestamp::MIN))
    }

    /// The instant of a value, as the server prints it; `None` for what is infinite or out of range.
    #[must_use]
    pub fn read(&self, value: &str) -> Option<Timestamp> {
        match self.column().kind {
            Kind::Date => {
                let date: jiff::civil::Date = value.parse().ok()?;
                Some(self.zone.to_zoned(date.at(0, 0, 0, 0)).ok()?.timestamp())
            }
            Kind::LocalTime => {
                let wall: jiff::civil::DateTime = value.parse().ok()?;
                Some(self.zone.to_zoned(wall).ok()?.timestamp())
            }
            // `2026-01-31 12:00:00.5+00`: the session's zone is UTC.
            _ => value.replacen(' ', "T", 1).replacen("+00", "Z", 1).parse().ok(),
        }
    }
}

/// The zone of a column, where its type needs one.
fn column_zone(kind: Kind, declared: Option<&String>, column: &str, field: &str) -> Result<Option<TimeZone>, Problem> {
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
            zone::parse(declared.ok_or_else(needed)?)
                .map(Some)
                .map_err(|error| Problem::new(Reason::InvalidPlan, field, error.to_string()))
        }
        Kind::Inet | Kind::Cidr | Kind::Text | Kind::Plain | Kind::Other => {
            Err(Problem::new(Reason::NotATime, field, format!("column {column}")))
        }
    }
}
