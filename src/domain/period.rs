//! ISO 8601 periods: calendar months and years, and exact weeks, days, hours, minutes and seconds.

use std::fmt;
use std::str::FromStr;

const SECONDS_PER_DAY: i64 = 86_400;

/// Longest period accepted, in years: beyond it, arithmetic on times would leave the calendar.
const LONGEST_YEARS: i64 = 1000;

/// A positive period. Months and years are added in a time zone, clamped to the last day of the month; everything
/// else is exact, a day being 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Period {
    months: i32,
    days: i64,
    seconds: i64,
}

/// Why a text is not a period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// Not of the form `P[nY][nM][nW][nD][T[nH][nM][nS]]`.
    #[error("`{0}` is not an ISO 8601 period; write whole numbers such as P7D, P6M, P1Y6M, P2W or PT12H")]
    Malformed(String),
    /// All parts are zero.
    #[error("`{0}` is no time at all; a period must be longer than zero")]
    Zero(String),
    /// Longer than a thousand years.
    #[error("`{0}` is too long; at most 1000 years can be reckoned with")]
    TooLong(String),
}

impl Period {
    /// Seven days.
    pub const WEEK: Self = Self {
        months: 0,
        days: 7,
        seconds: 0,
    };

    /// Calendar months, years included.
    #[must_use]
    pub const fn months(self) -> i32 {
        self.months
    }

    /// Whole days, weeks included, each of 24 hours.
    #[must_use]
    pub const fn days(self) -> i64 {
        self.days
    }

    /// Seconds of the exact part: days, hours, minutes and seconds.
    #[must_use]
    pub const fn exact_part_seconds(self) -> i64 {
        self.days * SECONDS_PER_DAY + self.seconds
    }

    /// Whether there are hours, minutes or seconds.
    #[must_use]
    pub const fn has_time_part(self) -> bool {
        self.seconds != 0
    }

    /// Length in seconds, where no calendar is needed to tell it.
    #[must_use]
    pub const fn exact_seconds(self) -> Option<i64> {
        if self.months == 0 {
            Some(self.exact_part_seconds())
        } else {
            None
        }
    }

    /// A length that the period never falls below: 28 days a month, 365 a year.
    #[must_use]
    pub fn shortest_seconds(self) -> i64 {
        let years = i64::from(self.months / 12);
        let months = i64::from(self.months % 12);
        (years * 365 + months * 28) * SECONDS_PER_DAY + self.exact_part_seconds()
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || PeriodError::Malformed(text.chars().take(40).collect());
        let too_long = || PeriodError::TooLong(text.chars().take(40).collect());
        let rest = text.strip_prefix('P').ok_or_else(malformed)?;
        let (date, time) = match rest.split_once('T') {
            Some((_, "")) => return Err(malformed()),
            Some((date, time)) => (date, time),
            None => (rest, ""),
        };
        if date.is_empty() && time.is_empty() {
            return Err(malformed());
        }
        let [years, months, weeks, days] = components(date, ['Y', 'M', 'W', 'D']).ok_or_else(malformed)?;
        let [hours, minutes, seconds] = components(time, ['H', 'M', 'S']).ok_or_else(malformed)?;
        let period = Self {
            months: i32::try_from(years * 12 + months).map_err(|_| too_long())?,
            days: weeks * 7 + days,
            seconds: hours * 3600 + minutes * 60 + seconds,
        };
        if period.shortest_seconds() == 0 {
            return Err(PeriodError::Zero(text.to_owned()));
        }
        if period.shortest_seconds() > LONGEST_YEARS * 365 * SECONDS_PER_DAY {
            return Err(too_long());
        }
        Ok(period)
    }
}

/// Reads `12X3Y` with designators in the given order, each at most once. Nine digits a number keep the sums in `i64`.
fn components<const N: usize>(text: &str, designators: [char; N]) -> Option<[i64; N]> {
    let mut values = [0; N];
    let mut next = 0;
    let mut digits = String::new();
    for character in text.chars() {
        if character.is_ascii_digit() {
            digits.push(character);
            continue;
        }
        let index = next
            + designators[next..]
                .iter()
                .position(|designator| *designator == character)?;
        if digits.is_empty() || digits.len() > 9 {
            return None;
        }
        values[index] = digits.parse().ok()?;
        digits.clear();
        next = index + 1;
    }
    digits.is_empty().then_some(values)
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds) = (self.seconds / 3600, self.seconds / 60 % 60, self.seconds % 60);
        let part = |f: &mut fmt::Formatter<'_>, value: i64, designator: char| {
            if value == 0 {
                Ok(())
            } else {
                write!(f, "{value}{designator}")
            }
        };
        f.write_str("P")?;
        part(f, i64::from(self.months / 12), 'Y')?;
        part(f, i64::from(self.months % 12), 'M')?;
        part(f, self.days, 'D')?;
        if self.seconds != 0 {
            f.write_str("T")?;
        }
        part(f, hours, 'H')?;
        part(f, minutes, 'M')?;
        part(f, seconds, 'S')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_periods_are_read_and_written_back() {
        for (text, shown) in [
            ("P7D", "P7D"),
            ("P6M", "P6M"),
            ("P18M", "P1Y6M"),
            ("P2W", "P14D"),
            ("PT90M", "PT1H30M"),
            ("P1Y2M3W4DT5H6M7S", "P1Y2M25DT5H6M7S"),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!(period.to_string(), shown, "{text}");
            assert_eq!(shown.parse::<Period>().unwrap(), period);
        }
    }

    #[test]
    fn what_is_not_a_positive_whole_period_is_refused() {
        for text in [
            "",
            "P",
            "PT",
            "7D",
            "P7",
            "P-7D",
            "-P7D",
            "P1.5D",
            "P1,5D",
            "p7d",
            "P7d",
            "P7D ",
            "P1D1M",
            "P1M1Y",
            "PT1D",
            "P7DT",
            "P1D1D",
            "P9999999999D",
            "P１D",
            "P7D\n",
            "+P7D",
            "P M",
        ] {
            assert!(
                matches!(text.parse::<Period>(), Err(PeriodError::Malformed(_))),
                "{text:?}"
            );
        }
        for text in ["P0D", "PT0S", "P0Y0M"] {
            assert!(matches!(text.parse::<Period>(), Err(PeriodError::Zero(_))), "{text}");
        }
        for text in ["P1001Y", "P999999999Y", "P999999999D"] {
            assert!(matches!(text.parse::<Period>(), Err(PeriodError::TooLong(_))), "{text}");
        }
    }

    #[test]
    fn lengths_are_never_overstated() {
        assert_eq!(
            "P1M".parse::<Period>().unwrap().shortest_seconds(),
            28 * SECONDS_PER_DAY
        );
        assert_eq!("P1M".parse::<Period>().unwrap().exact_seconds(), None);
        assert_eq!(
            "P7D".parse::<Period>().unwrap().exact_seconds(),
            Some(7 * SECONDS_PER_DAY)
        );
        assert!("P1DT1S".parse::<Period>().unwrap().has_time_part());
        assert!(!"P1D".parse::<Period>().unwrap().has_time_part());
    }
}
