//! Working days: no Saturdays, no Sundays, no public holidays.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, Weekday};

/// Longest text of a year's holidays: nobody has more than a hundred.
const LONGEST_YEAR: usize = 16 * 1024;

/// Why a calendar cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// A key that is no year.
    #[error("the key `{0}` is not a year; write keys such as \"2026\", each with its holidays")]
    NotAYear(String),
    /// A line that is no date.
    #[error("key `{key}`, line {line}: not a date; write one as YYYY-MM-DD, what follows a # is a comment")]
    NotADate {
        /// The key.
        key: String,
        /// Number of the line.
        line: usize,
    },
    /// A date of another year.
    #[error("key `{key}`, line {line}: the date is of another year; put it under its own")]
    OtherYear {
        /// The key.
        key: String,
        /// Number of the line.
        line: usize,
    },
    /// Too much text.
    #[error("key `{0}` is too long for the holidays of one year")]
    TooLong(String),
}

/// Public holidays, and for which years they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holidays {
    days: BTreeSet<Date>,
    years: BTreeSet<i16>,
}

impl Holidays {
    /// Reads the data of a ConfigMap: each key a year, each value one date a line, `#` begins a comment.
    pub fn parse<'a>(data: impl IntoIterator<Item = (&'a String, &'a String)>) -> Result<Self, CalendarError> {
        let mut holidays = Self::default();
        for (key, text) in data.into_iter().collect::<BTreeMap<_, _>>() {
            let shown = || key.chars().take(40).collect::<String>();
            let is_year = key.len() == 4 && key.bytes().all(|byte| byte.is_ascii_digit());
            let year = key.parse::<i16>().ok().filter(|_| is_year);
            let year = year.ok_or_else(|| CalendarError::NotAYear(shown()))?;
            if text.len() > LONGEST_YEAR {
                return Err(CalendarError::TooLong(shown()));
            }
            holidays.years.insert(year);
            for (index, line) in text.lines().enumerate() {
                let words = line.split('#').next().unwrap_or_default().trim();
                if words.is_empty() {
                    continue;
                }
                let (key, line) = (key.clone(), index + 1);
                match parse_date(words) {
                    None => return Err(CalendarError::NotADate { key, line }),
                    Some(day) if day.year() != year => return Err(CalendarError::OtherYear { key, line }),
                    Some(day) => holidays.days.insert(day),
                };
            }
        }
        Ok(holidays)
    }

    /// Whether the holidays of a year are known.
    #[must_use]
    pub fn knows(&self, year: i16) -> bool {
        self.years.contains(&year)
    }

    /// Whether people work on this day.
    #[must_use]
    pub fn is_working_day(&self, date: Date) -> bool {
        !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday) && !self.days.contains(&date)
    }

    /// The day itself, or the first working day after it. `None`: the calendar ends.
    #[must_use]
    pub fn working_day_from(&self, date: Date) -> Option<Date> {
        let mut day = date;
        while !self.is_working_day(day) {
            day = day.tomorrow().ok()?;
        }
        Some(day)
    }

    /// The n-th working day after a day, which is not counted itself. `None`: the calendar ends.
    #[must_use]
    pub fn after(&self, date: Date, working_days: u32) -> Option<Date> {
        let mut day = date;
        for _ in 0..working_days {
            day = self.working_day_from(day.tomorrow().ok()?)?;
        }
        Some(day)
    }
}

/// A date as `YYYY-MM-DD` and nothing else.
#[must_use]
pub fn parse_date(text: &str) -> Option<Date> {
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    shape.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn hungary() -> Holidays {
        let data = BTreeMap::from([(
            "2019".to_owned(),
            "2019-01-01\n2019-03-15 # National Day\n\n# Easter\n2019-04-19\n2019-04-22\n".to_owned(),
        )]);
        Holidays::parse(&data).unwrap()
    }

    #[test]
    fn holidays_are_no_working_days() {
        // Received on Monday 11 March 2019; Friday 15 March is a holiday in Hungary.
        assert_eq!(hungary().after(date(2019, 3, 11), 5), Some(date(2019, 3, 19)));
        assert_eq!(Holidays::default().after(date(2019, 3, 11), 5), Some(date(2019, 3, 18)));
        // Good Friday, a weekend and Easter Monday.
        assert_eq!(hungary().working_day_from(date(2019, 4, 19)), Some(date(2019, 4, 23)));
        // A request that comes on a Saturday: Monday is the first day.
        assert_eq!(
            Holidays::default().after(date(2026, 11, 21), 1),
            Some(date(2026, 11, 23))
        );
        assert!(hungary().knows(2019) && !hungary().knows(2020));
    }

    #[test]
    fn what_is_not_a_calendar_is_refused_with_its_place() {
        let parse = |key: &str, text: &str| Holidays::parse(&BTreeMap::from([(key.to_owned(), text.to_owned())]));
        let line = |line| (("2026".to_owned()), line);
        assert_eq!(
            parse("holidays", ""),
            Err(CalendarError::NotAYear("holidays".to_owned()))
        );
        assert_eq!(parse("+202", ""), Err(CalendarError::NotAYear("+202".to_owned())));
        for text in [
            "2026-01-01\n2026-02-30",
            "\n2026-1-1",
            "\n01.01.2026",
            "\n2026-01-01T00:00",
        ] {
            let (key, line) = line(2);
            assert_eq!(
                parse("2026", text),
                Err(CalendarError::NotADate { key, line }),
                "{text}"
            );
        }
        let (key, line) = line(1);
        assert_eq!(parse("2026", "2027-01-01"), Err(CalendarError::OtherYear { key, line }));
        assert_eq!(
            parse("2026", &"#".repeat(20_000)),
            Err(CalendarError::TooLong("2026".to_owned()))
        );
    }

    proptest! {
        #[test]
        fn counting_one_by_one_comes_to_the_same_day(day in 0_i32..20_000, count in 0_u32..40) {
            let start = date(1990, 1, 1).checked_add(jiff::Span::new().days(day)).unwrap();
            let calendar = hungary();
            let end = calendar.after(start, count).unwrap();
            let mut counted = 0;
            let mut walker = start;
            while walker < end {
                walker = walker.tomorrow().unwrap();
                counted += u32::from(calendar.is_working_day(walker));
            }
            prop_assert_eq!(counted, count);
            prop_assert!(count == 0 || calendar.is_working_day(end));
        }
    }
}
