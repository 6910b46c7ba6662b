//! Schedules, exactly as the CronJob controller of Kubernetes reads them.
//!
//! Kubernetes takes five fields or a macro, and a slot is every minute whose wall-clock time in the zone matches all
//! fields. So a slot inside the hour that daylight saving time skips does not happen, and one inside the hour that is
//! repeated happens twice. This module has the same meaning on purpose: a library that is kinder about such hours
//! would promise runs that never come.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _, Zoned};

/// Why a text is not a schedule.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
pub enum ScheduleError {
    /// Not five fields.
    #[error(
        "`{0}` is not a schedule; write five fields (minute, hour, day of month, month, day of week), for example `23 * * * *`, or one of @hourly, @daily, @weekly, @monthly, @yearly"
    )]
    NotFiveFields(String),
    /// A zone inside the schedule.
    #[error("a zone does not belong into the schedule; remove TZ= or CRON_TZ= and set spec.timeZone")]
    ZoneInside,
    /// A macro that Kubernetes or this project does not take.
    #[error("the macro `{0}` is not known; use one of @hourly, @daily, @weekly, @monthly, @yearly")]
    UnknownMacro(String),
    /// A field that cannot be read.
    #[error(
        "the field `{text}` ({field}) cannot be read; write numbers {lowest} to {highest}, `*`, lists, ranges and steps"
    )]
    Field {
        /// The text of the field.
        text: String,
        /// Which field.
        field: &'static str,
        /// Lowest number of the field.
        lowest: u8,
        /// Highest number of the field.
        highest: u8,
    },
    /// No minute of the coming years matches.
    #[error("the schedule `{0}` never runs: no date matches it")]
    Never(String),
}

/// A schedule of five fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    any_day: bool,
    any_weekday: bool,
}

/// One field: its name and what numbers and names it takes.
struct FieldKind {
    name: &'static str,
    lowest: u8,
    highest: u8,
    names: &'static [&'static str],
}

const MINUTE: FieldKind = FieldKind {
    name: "minute",
    lowest: 0,
    highest: 59,
    names: &[],
};
const HOUR: FieldKind = FieldKind {
    name: "hour",
    lowest: 0,
    highest: 23,
    names: &[],
};
const DAY: FieldKind = FieldKind {
    name: "day of month",
    lowest: 1,
    highest: 31,
    names: &[],
};
const MONTH: FieldKind = FieldKind {
    name: "month",
    lowest: 1,
    highest: 12,
    names: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
};
const WEEKDAY: FieldKind = FieldKind {
    name: "day of week",
    lowest: 0,
    highest: 6,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

/// The CronJob controller gives up looking for a slot after five years; so does this.
const HORIZON_YEARS: i16 = 5;

impl std::str::FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        if text.contains("TZ=") || text.contains("TZ =") {
            return Err(ScheduleError::ZoneInside);
        }
        if text.starts_with('@') {
            return Self::from_macro(text);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(ScheduleError::NotFiveFields(text.to_owned()));
        };
        let (days, any_day) = DAY.parse(day)?;
        let (weekdays, any_weekday) = WEEKDAY.parse(weekday)?;
        let schedule = Self {
            minutes: MINUTE.parse(minute)?.0,
            hours: HOUR.parse(hour)?.0,
            days,
            months: MONTH.parse(month)?.0,
            weekdays,
            any_day,
            any_weekday,
        };
        if schedule.happens() {
            Ok(schedule)
        } else {
            Err(ScheduleError::Never(text.to_owned()))
        }
    }
}

impl FieldKind {
    /// The set of numbers as bits, and whether the field says `*`.
    fn parse(&self, text: &str) -> Result<(u64, bool), ScheduleError> {
        let error = || ScheduleError::Field {
            text: text.to_owned(),
            field: self.name,
            lowest: self.lowest,
            highest: self.highest,
        };
        let mut bits = 0;
        let mut any = false;
        for part in text.split(',') {
            let (part_bits, part_any) = self.parse_part(part).ok_or_else(error)?;
            bits |= part_bits;
            any |= part_any;
        }
        Ok((bits, any))
    }

    fn parse_part(&self, part: &str) -> Option<(u64, bool)> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(number(step).filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let star = matches!(range, "*" | "?");
        let (first, last) = if star {
            (self.lowest, self.highest)
        } else if let Some((first, last)) = range.split_once('-') {
            (self.value(first)?, self.value(last)?)
        } else {
            let first = self.value(range)?;
            // `5/15` means from 5 to the end in steps of 15.
            (first, if step.is_some() { self.highest } else { first })
        };
        if first < self.lowest || last > self.highest || first > last {
            return None;
        }
        let step = usize::from(step.unwrap_or(1));
        let bits = (first..=last).step_by(step).fold(0, |bits, value| bits | 1 << value);
        // A step makes it a restriction: Kubernetes treats `*/2` in a day field as one, `*/1` not.
        Some((bits, star && step == 1))
    }

    fn value(&self, text: &str) -> Option<u8> {
        let lower = text.to_ascii_lowercase();
        self.names
            .iter()
            .position(|name| *name == lower)
            .and_then(|index| u8::try_from(index).ok())
            .map(|index| index + self.lowest)
            .or_else(|| number(text))
    }
}

/// Digits only: neither signs nor blanks.
fn number(text: &str) -> Option<u8> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

impl Schedule {
    fn from_macro(text: &str) -> Result<Self, ScheduleError> {
        match text {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            _ => return Err(ScheduleError::UnknownMacro(text.to_owned())),
        }
        .parse()
    }

    /// Some day of a leap cycle matches.
    fn happens(&self) -> bool {
        const LONGEST_MONTHS: [u8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        if !self.any_weekday {
            return true;
        }
        LONGEST_MONTHS
            .iter()
            .zip(1_u8..)
            .any(|(length, month)| self.months & (1 << month) != 0 && self.days.trailing_zeros() <= u32::from(*length))
    }

    fn matches_day(&self, time: &Zoned) -> bool {
        if self.months & (1 << time.month()) == 0 {
            return false;
        }
        let day = self.days & (1 << time.day()) != 0;
        let weekday = self.weekdays & (1 << weekday_number(time.weekday())) != 0;
        // With both fields restricted, either is enough: the old rule of cron.
        if self.any_day || self.any_weekday {
            day && weekday
        } else {
            day || weekday
        }
    }

    /// The first slot after `after`. `None`: none in the next five years.
    #[must_use]
    pub fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let start = after.to_zoned(zone.clone());
        let last_year = start.year().checked_add(HORIZON_YEARS)?;
        let seconds_into_minute = i64::from(start.second());
        let mut time = start
            .checked_sub(i64::from(start.subsec_nanosecond()).nanoseconds())
            .ok()?
            .checked_add((60 - seconds_into_minute).seconds())
            .ok()?;
        while time.year() <= last_year {
            if !self.matches_day(&time) {
                time = time.tomorrow().ok()?.start_of_day().ok()?;
            } else if self.hours & (1 << time.hour()) == 0 {
                // Exact minutes, so that an hour that daylight saving time repeats or skips is met as it happens.
                time = time.checked_add((60 - i64::from(time.minute())).minutes()).ok()?;
            } else if self.minutes & (1 << time.minute()) == 0 {
                time = time.checked_add(1.minutes()).ok()?;
            } else {
                return Some(time.timestamp());
            }
        }
        None
    }

    /// The largest gap between two slots in this calendar year and the next, in seconds, daylight saving time
    /// included. It is computed over whole calendar years so that it does not change from one hour to the next.
    #[must_use]
    pub fn largest_gap_seconds(&self, now: Timestamp, zone: &TimeZone) -> i64 {
        let now = now.to_zoned(zone.clone());
        let Some(first) = year_start(now.year(), zone) else {
            return i64::MAX;
        };
        let Some(end) = now.year().checked_add(2).and_then(|year| year_start(year, zone)) else {
            return i64::MAX;
        };
        let mut largest = 0;
        let mut previous: Option<Timestamp> = None;
        let mut day = first.clone();
        while day < end {
            let Some(next_day) = day.tomorrow().ok().and_then(|next| next.start_of_day().ok()) else {
                break;
            };
            if self.matches_day(&day) {
                let slots = self.day_slots(&day, &next_day);
                if let (Some(previous), Some(first)) = (previous, slots.first) {
                    largest = largest.max(seconds_between(previous, first));
                }
                largest = largest.max(slots.largest_gap);
                previous = slots.last.or(previous);
            }
            day = next_day;
        }
        // The gap that leads out of the window, without which a yearly schedule would have none.
        if let Some(last) = previous.or_else(|| self.next_after(first.timestamp(), zone))
            && let Some(next) = self.next_after(last, zone)
        {
            largest = largest.max(seconds_between(last, next));
        }
        if largest == 0 { i64::MAX } else { largest }
    }

    /// The slots of one local day: its first, its last and the largest gap between.
    fn day_slots(&self, day: &Zoned, next_day: &Zoned) -> DaySlots {
        let start = day.timestamp();
        let ordinary = seconds_between(start, next_day.timestamp()) == 86_400 && day.offset() == next_day.offset();
        let mut slots = DaySlots::default();
        if ordinary {
            for hour in (0..24_i64).filter(|hour| self.hours & (1 << hour) != 0) {
                for minute in (0..60_i64).filter(|minute| self.minutes & (1 << minute) != 0) {
                    slots.push(start + SignedDuration::from_mins(hour * 60 + minute));
                }
            }
        } else {
            let mut slot = self.next_after(start - SignedDuration::from_secs(1), day.time_zone());
            while let Some(time) = slot.filter(|time| *time < next_day.timestamp()) {
                slots.push(time);
                slot = self.next_after(time, day.time_zone());
            }
        }
        slots
    }

    /// Whether slots lie between 00:00 and 03:59 local time in a zone with daylight saving time, where a slot may be
    /// skipped or doubled once a year. Schedules that run every hour have nothing to lose by it.
    #[must_use]
    pub fn may_meet_daylight_saving(&self, now: Timestamp, zone: &TimeZone) -> bool {
        const EARLY: u64 = 0b1111;
        const EVERY_HOUR: u64 = (1 << 24) - 1;
        self.hours & EARLY != 0
            && self.hours != EVERY_HOUR
            && zone
                .following(now)
                .next()
                .is_some_and(|change| seconds_between(now, change.timestamp()) < 366 * 86_400)
    }
}

#[derive(Default)]
struct DaySlots {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    largest_gap: i64,
}

impl DaySlots {
    fn push(&mut self, slot: Timestamp) {
        if let Some(last) = self.last {
            self.largest_gap = self.largest_gap.max(seconds_between(last, slot));
        }
        self.first = self.first.or(Some(slot));
        self.last = Some(slot);
    }
}

fn year_start(year: i16, zone: &TimeZone) -> Option<Zoned> {
    jiff::civil::Date::new(year, 1, 1).ok()?.to_zoned(zone.clone()).ok()
}

fn seconds_between(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_secs()
}

fn weekday_number(weekday: Weekday) -> u8 {
    weekday.to_sunday_zero_offset().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schedule(text: &str) -> Schedule {
        text.parse().unwrap()
    }

    #[test]
    fn what_the_api_server_takes_is_read() {
        for text in [
            "* * * * *",
            "23 * * * *",
            "*/5 0-6,22 1,15 jan-mar MON-FRI",
            "5/15 * ? * ?",
            "@hourly",
            "@daily",
            "@midnight",
            "@weekly",
            "@monthly",
            "@yearly",
            "@annually",
            "0 0 29 2 *",
            "0 0 31 2 MON",
        ] {
            assert!(text.parse::<Schedule>().is_ok(), "{text}");
        }
    }

    #[test]
    fn what_the_api_server_refuses_is_refused() {
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * 32 * *",
            "* * * 13 *",
            "* * * * 7",
            "* * L * *",
            "* * 15W * *",
            "* * * * MON#2",
            "5-1 * * * *",
            "*/0 * * * *",
            "+5 * * * *",
            "1-2-3 * * * *",
            ", * * * *",
            "TZ=Europe/Berlin 0 * * * *",
            "CRON_TZ=UTC 0 * * * *",
            "@every 1h",
            "@reboot",
            "@HOURLY",
            "0 0 30 2 *",
        ] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_next_slot_follows_the_fields() {
        let utc = TimeZone::UTC;
        for (text, after, next) in [
            ("23 * * * *", "2026-11-22T05:23:00Z", "2026-11-22T06:23:00Z"),
            ("23 * * * *", "2026-11-22T05:22:59.5Z", "2026-11-22T05:23:00Z"),
            ("0 0 29 2 *", "2026-11-22T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 12 * * MON", "2026-11-22T00:00:00Z", "2026-11-23T12:00:00Z"),
            // Both day fields restricted: either is enough.
            ("0 0 13 * FRI", "2026-11-22T00:00:00Z", "2026-11-27T00:00:00Z"),
            ("@yearly", "2026-11-22T00:00:00Z", "2027-01-01T00:00:00Z"),
        ] {
            assert_eq!(schedule(text).next_after(at(after), &utc), Some(at(next)), "{text}");
        }
    }

    #[test]
    fn a_slot_in_the_skipped_hour_does_not_happen_and_one_in_the_repeated_hour_happens_twice() {
        let berlin = zone("Europe/Berlin");
        let at_half_past_two = schedule("30 2 * * *");
        // 29 March 2026: 02:00 becomes 03:00.
        let before = at("2026-03-28T01:30:00Z");
        assert_eq!(
            at_half_past_two.next_after(before, &berlin),
            Some(at("2026-03-30T00:30:00Z"))
        );
        // 25 October 2026: 03:00 becomes 02:00.
        let first = at_half_past_two
            .next_after(at("2026-10-24T12:00:00Z"), &berlin)
            .unwrap();
        assert_eq!(first, at("2026-10-25T00:30:00Z"));
        assert_eq!(
            at_half_past_two.next_after(first, &berlin),
            Some(at("2026-10-25T01:30:00Z"))
        );
    }

    #[test]
    fn the_largest_gap_counts_daylight_saving_time() {
        let now = at("2026-11-22T05:00:00Z");
        let hour = 3600;
        for (text, zone_name, gap) in [
            ("23 * * * *", "Europe/Berlin", hour),
            ("*/15 * * * *", "Europe/Berlin", hour / 4),
            ("0 12 * * *", "Etc/UTC", 24 * hour),
            ("0 12 * * *", "Europe/Berlin", 25 * hour),
            // The slot of 29 March does not happen: 24 + 23 hours pass.
            ("30 2 * * *", "Europe/Berlin", 47 * hour),
            ("@monthly", "Etc/UTC", 31 * 24 * hour),
            ("@yearly", "Etc/UTC", 365 * 24 * hour),
            ("0 8-18 * * MON-FRI", "Etc/UTC", (3 * 24 - 10) * hour),
        ] {
            assert_eq!(
                schedule(text).largest_gap_seconds(now, &zone(zone_name)),
                gap,
                "{text} {zone_name}"
            );
        }
    }

    #[test]
    fn the_largest_gap_agrees_with_walking_through_every_slot() {
        let now = at("2026-01-01T00:00:00Z");
        for (text, zone_name) in [
            ("*/20 1-5 * * *", "Australia/Lord_Howe"),
            ("15 2 * * 0", "America/New_York"),
            ("45 */6 1,15 * *", "Africa/Casablanca"),
        ] {
            let (schedule, zone) = (schedule(text), zone(zone_name));
            let end = at("2027-12-31T23:59:59Z");
            let (mut slot, mut largest) = (schedule.next_after(now, &zone).unwrap(), 0);
            while slot < end {
                let next = schedule.next_after(slot, &zone).unwrap();
                largest = largest.max(seconds_between(slot, next));
                slot = next;
            }
            assert_eq!(schedule.largest_gap_seconds(now, &zone), largest, "{text} {zone_name}");
        }
    }

    #[test]
    fn a_warning_is_due_only_where_daylight_saving_time_can_take_a_slot() {
        let now = at("2026-11-22T05:00:00Z");
        assert!(schedule("30 2 * * *").may_meet_daylight_saving(now, &zone("Europe/Berlin")));
        assert!(!schedule("30 2 * * *").may_meet_daylight_saving(now, &TimeZone::UTC));
        assert!(!schedule("30 4 * * *").may_meet_daylight_saving(now, &zone("Europe/Berlin")));
        assert!(!schedule("30 * * * *").may_meet_daylight_saving(now, &zone("Europe/Berlin")));
    }
}
