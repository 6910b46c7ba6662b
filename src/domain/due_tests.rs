//! The definition, written down slowly and separately, against the intervals.

use jiff::SignedDuration;
use jiff::tz::Disambiguation;
use proptest::prelude::*;

use super::*;

const ZONES: [&str; 9] = [
    "Etc/UTC",
    "Europe/Berlin",
    "America/New_York",
    "Africa/Cairo",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "America/Havana",
    "Asia/Kathmandu",
    "Europe/Dublin",
];

fn zone(name: &str) -> TimeZone {
    crate::domain::zone::parse(name).unwrap()
}

fn at(text: &str, zone: &TimeZone) -> Timestamp {
    zone.to_zoned(text.parse().unwrap()).unwrap().timestamp()
}

/// When a period ends, as SEMANTICS words it: the calendar part first, in the zone, then the exact part.
fn end(start: Timestamp, period: Period, starts_at: StartsAt, zone: &TimeZone) -> Timestamp {
    let zoned = start.to_zoned(zone.clone());
    let days = period.days().days();
    let months = period.months().months();
    let exact = SignedDuration::from_secs(period.exact_part_seconds());
    let midnight = |date: Date| {
        zone.to_ambiguous_zoned(date.at(0, 0, 0, 0))
            .disambiguate(Disambiguation::Compatible)
            .unwrap()
            .timestamp()
    };
    match starts_at {
        StartsAt::Event => {
            let moved = zoned.checked_add(months).unwrap().timestamp();
            moved + exact
        }
        StartsAt::EndOfDay => midnight(zoned.date() + months + days + 1.day()),
        StartsAt::EndOfMonth => midnight(zoned.date().last_of_month() + 1.day() + months) + exact,
        StartsAt::EndOfYear => midnight(zoned.date().last_of_year() + 1.day() + months) + exact,
    }
}

fn contains(intervals: &[Interval], at: Micros) -> bool {
    intervals
        .iter()
        .any(|interval| (interval.first..=interval.last).contains(&at))
}

#[test]
fn month_ends_are_clamped_and_not_monotone() {
    let utc = zone("Etc/UTC");
    let period = "P6M".parse().unwrap();
    let due = due_starts(period, StartsAt::Event, &utc, at("2026-02-28T12:00:00", &utc));
    assert!(contains(&due, micros(at("2025-08-31T11:00:00", &utc))));
    assert!(!contains(&due, micros(at("2025-08-28T23:59:00", &utc))));
    assert!(contains(&due, micros(at("2025-08-28T12:00:00", &utc))));
    assert!(!contains(&due, micros(at("2025-08-31T12:00:00.000001", &utc))));
}

#[test]
fn whole_days_end_at_midnight_of_the_last_one() {
    let berlin = zone("Europe/Berlin");
    let period = "P6M".parse().unwrap();
    for start in ["2025-08-30T10:00:00", "2025-08-31T10:00:00", "2025-08-28T00:00:00"] {
        let start = micros(at(start, &berlin));
        let before = due_starts(
            period,
            StartsAt::EndOfDay,
            &berlin,
            at("2026-02-28T23:59:59.999999", &berlin),
        );
        let after = due_starts(period, StartsAt::EndOfDay, &berlin, at("2026-03-01T00:00:00", &berlin));
        assert!(!contains(&before, start));
        assert!(contains(&after, start));
    }
}

#[test]
fn statutory_periods_start_with_the_next_year() {
    let berlin = zone("Europe/Berlin");
    let period = "P8Y".parse().unwrap();
    let start = micros(at("2018-01-01T00:00:00", &berlin));
    let before = due_starts(period, StartsAt::EndOfYear, &berlin, at("2026-12-31T23:59:59", &berlin));
    let after = due_starts(period, StartsAt::EndOfYear, &berlin, at("2027-01-01T00:00:00", &berlin));
    assert!(!contains(&before, start));
    assert!(contains(&after, start));
}

#[test]
fn leap_days_end_on_the_28th_of_february() {
    let utc = zone("Etc/UTC");
    let due = due_starts(
        "P1Y".parse().unwrap(),
        StartsAt::Event,
        &utc,
        at("2025-02-28T10:00:00", &utc),
    );
    assert!(contains(&due, micros(at("2024-02-29T10:00:00", &utc))));
    assert!(!contains(&due, micros(at("2024-02-29T10:00:01", &utc))));
}

#[test]
fn days_are_exact_across_a_change_of_the_clock() {
    let berlin = zone("Europe/Berlin");
    let start = at("2026-03-28T12:00:00", &berlin);
    let due = |now: &str| due_starts("P1D".parse().unwrap(), StartsAt::Event, &berlin, at(now, &berlin));
    assert!(!contains(&due("2026-03-29T12:59:59"), micros(start)));
    assert!(contains(&due("2026-03-29T13:00:00"), micros(start)));
}

#[test]
fn a_local_time_that_was_shown_twice_is_read_as_the_later_one() {
    let berlin = zone("Europe/Berlin");
    // 2026-10-25 03:00 CEST -> 02:00 CET. 02:30 as the later one is 01:30 UTC.
    let wall = micros(at("2026-10-25T02:30:00", &TimeZone::UTC));
    let until = |utc: &str| {
        vec![Interval {
            first: SINCE_EVER,
            last: micros(at(utc, &TimeZone::UTC)),
        }]
    };
    assert!(!contains(&local_times(&until("2026-10-25T00:30:00"), &berlin), wall));
    assert!(!contains(&local_times(&until("2026-10-25T01:29:59"), &berlin), wall));
    assert!(contains(&local_times(&until("2026-10-25T01:30:00"), &berlin), wall));
}

#[test]
fn a_date_is_over_at_midnight() {
    let berlin = zone("Europe/Berlin");
    let until = |text: &str| {
        vec![Interval {
            first: SINCE_EVER,
            last: micros(at(text, &berlin)),
        }]
    };
    let last = |text: &str, date_as| dates(&until(text), &berlin, date_as)[0].last.to_string();
    assert_eq!(last("2026-05-10T23:59:59", DateAs::End), "2026-05-09");
    assert_eq!(last("2026-05-11T00:00:00", DateAs::End), "2026-05-10");
    assert_eq!(last("2026-05-10T00:00:00", DateAs::Beginning), "2026-05-10");
    assert_eq!(last("2026-05-09T23:59:59", DateAs::Beginning), "2026-05-09");
}

fn any_period() -> impl Strategy<Value = Period> {
    (0..4_i32, 0..14_i32, 0..40_i32, 0..30_i32).prop_filter_map("a period", |(years, months, days, hours)| {
        let time = if hours == 0 {
            String::new()
        } else {
            format!("T{hours}H")
        };
        format!("P{years}Y{months}M{days}D{time}").parse().ok()
    })
}

fn any_starts_at() -> impl Strategy<Value = StartsAt> {
    prop_oneof![
        3 => Just(StartsAt::Event),
        1 => Just(StartsAt::EndOfDay),
        1 => Just(StartsAt::EndOfMonth),
        1 => Just(StartsAt::EndOfYear)
    ]
}

/// Instants near changes of a zone, where mistakes live, and anywhere else.
fn any_now(zone: &TimeZone, seed: i64, near: bool, minutes: i64) -> Timestamp {
    let base = Timestamp::from_second(1_300_000_000 + seed).unwrap();
    let base = if near {
        zone.following(base).next().map_or(base, |change| change.timestamp())
    } else {
        base
    };
    base + SignedDuration::from_mins(minutes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_intervals_hold_exactly_the_starts_whose_period_has_ended(
        name in proptest::sample::select(&ZONES[..]),
        period in any_period(),
        starts_at in any_starts_at(),
        seed in 0_i64..400_000_000,
        near in any::<bool>(),
        minutes in -3000_i64..3000,
        offsets in proptest::collection::vec((-500_000_i64..500_000, 0_i64..2), 24),
    ) {
        let zone = zone(name);
        let period = if starts_at == StartsAt::Event || !period.has_time_part() { period } else { "P1M1D".parse().unwrap() };
        let now = any_now(&zone, seed, near, minutes);
        let due = due_starts(period, starts_at, &zone, now);
        // Around the boundary, give or take 6 days and, for units, a year.
        let middle = now.to_zoned(zone.clone())
            .checked_sub(period.months().months()).unwrap()
            .checked_sub(SignedDuration::from_secs(period.exact_part_seconds())).unwrap()
            .timestamp();
        for (offset, unit) in offsets {
            let far = if starts_at == StartsAt::EndOfYear { unit * -365 * 86_400 } else { 0 };
            let start = middle + SignedDuration::from_secs(offset + far);
            let ended = end(start, period, starts_at, &zone) <= now;
            prop_assert_eq!(contains(&due, micros(start)), ended, "{} {} {:?} now {} start {}", name, period, starts_at, now, start);
        }
    }

    #[test]
    fn a_local_time_is_due_when_its_later_reading_is(
        name in proptest::sample::select(&ZONES[..]),
        seed in 0_i64..400_000_000,
        minutes in -3000_i64..3000,
        offsets in proptest::collection::vec(-200_000_i64..200_000, 24),
    ) {
        let zone = zone(name);
        let now = any_now(&zone, seed, true, minutes);
        let intervals = [Interval { first: SINCE_EVER, last: micros(now) }];
        let walls = local_times(&intervals, &zone);
        let dates = dates(&intervals, &zone, DateAs::End);
        for offset in offsets {
            let wall = zone.to_datetime(now) + SignedDuration::from_secs(offset);
            let later = zone.to_ambiguous_zoned(wall).later().unwrap();
            // A skipped time is read with the offset before the change, which is jiff's "later" as well.
            prop_assert_eq!(contains(&walls, micros(TimeZone::UTC.to_zoned(wall).unwrap().timestamp())), later.timestamp() <= now,
                "{} now {} wall {}", name, now, wall);
            let over = start_of_day(&zone, wall.date().tomorrow().unwrap()).unwrap() <= micros(now);
            prop_assert_eq!(wall.date() <= dates[0].last, over);
        }
    }
}
