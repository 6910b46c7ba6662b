//! Windows of limits: how long a request that was carried out counts against later ones.

use std::str::FromStr;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use super::period::{Period, PeriodError};

/// Longest window, in days. History is kept that long.
pub const LONGEST_DAYS: i64 = 366;

/// How long a request counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Until the end of the calendar year, in a zone.
    CalendarYear,
    /// For a period that slides with the clock.
    Sliding(Period),
}

/// Why a text is not a window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// Neither word nor period.
    #[error("{0}; or write CalendarYear")]
    Period(#[from] PeriodError),
    /// Longer than a year.
    #[error("`{0}` is longer than a year; at most P1Y or CalendarYear")]
    TooLong(String),
}

impl FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        if text == "CalendarYear" {
            return Ok(Self::CalendarYear);
        }
        let period: Period = text.parse()?;
        let months_and_rest = period.months() > 12 || period.months() == 12 && period.exact_part_seconds() > 0;
        if months_and_rest || period.shortest_seconds() > LONGEST_DAYS * 86_400 {
            return Err(WindowError::TooLong(text.to_owned()));
        }
        Ok(Self::Sliding(period))
    }
}

impl Window {
    /// First instant at which a request that was carried out at `at` no longer counts. `None`: the calendar ends.
    #[must_use]
    pub fn ends(self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let local = at.to_zoned(zone.clone());
        match self {
            Self::CalendarYear => {
                let next = jiff::civil::date(local.year().checked_add(1)?, 1, 1);
                Some(next.to_zoned(zone.clone()).ok()?.timestamp())
            }
            Self::Sliding(period) => {
                let months = Span::new().try_months(period.months()).ok()?;
                let moved = local.checked_add(months).ok()?.timestamp();
                moved
                    .checked_add(SignedDuration::from_secs(period.exact_part_seconds()))
                    .ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::zone;

    fn ends(window: &str, at: &str) -> String {
        let zone = zone::parse("Asia/Jakarta").unwrap();
        let window: Window = window.parse().unwrap();
        window.ends(at.parse().unwrap(), &zone).unwrap().to_string()
    }

    #[test]
    fn windows_end_where_people_expect_it() {
        assert_eq!(ends("PT1H", "2026-03-01T10:00:00Z"), "2026-03-01T11:00:00Z");
        assert_eq!(ends("P1Y", "2024-02-29T10:00:00Z"), "2025-02-28T10:00:00Z");
        // In Jakarta it is already 2027.
        assert_eq!(ends("CalendarYear", "2026-12-31T18:00:00Z"), "2027-12-31T17:00:00Z");
        assert_eq!(ends("CalendarYear", "2026-12-31T16:59:59Z"), "2026-12-31T17:00:00Z");
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in [
            "",
            "Year",
            "1h",
            "calendaryear",
            "P13M",
            "P367D",
            "P1Y1D",
            "P2Y",
            "PT0S",
        ] {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
        for text in ["P1Y", "P12M", "P366D", "PT1S"] {
            assert!(text.parse::<Window>().is_ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_window_is_never_longer_than_what_history_keeps(seconds in 0_i64..4_000_000_000, index in 0_usize..4) {
            let window: Window = ["PT1H", "P1Y", "CalendarYear", "P366D"][index].parse().unwrap();
            let zone = zone::parse("Europe/Berlin").unwrap();
            let at = Timestamp::from_second(seconds).unwrap();
            let length = window.ends(at, &zone).unwrap().duration_since(at);
            prop_assert!(length > SignedDuration::ZERO);
            // A calendar year can be an hour longer where the zone shifts.
            prop_assert!(length <= SignedDuration::from_hours(LONGEST_DAYS * 24 + 24));
        }
    }
}
