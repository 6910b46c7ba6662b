//! By when a request must be acknowledged and answered, counted in days of one time zone.
//!
//! The day of receipt is not counted (Art. 3(1) of Regulation (EEC, Euratom) No 1182/71). A period in months ends on the
//! day of the same number, or on the last day of its month: what came on 31 January is due on 28 February. It ends at
//! 24:00 of that day.

use jiff::Span;
use jiff::civil::Date;

use super::period::Period;
use super::working_days::Holidays;

/// How deadlines are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Working days for the acknowledgement.
    pub acknowledge: Option<u32>,
    /// Time for the answer.
    pub respond: Period,
    /// Longest extension.
    pub max_extension: Option<Period>,
    /// The last day moves to a working day, as Regulation 1182/71 says.
    pub rolls: bool,
}

/// More time, as somebody has written it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    /// The new last day.
    pub until: Date,
    /// When the person was told.
    pub informed_on: Date,
}

/// Why an extension does not count, or not as far as it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtensionProblem {
    /// The policy or the law knows none.
    NotAllowed,
    /// The person was told after this day.
    InformedLate(Date),
    /// The person was told before the request came.
    InformedBeforeReceipt,
    /// It does not go beyond the first deadline.
    NoExtension(Date),
    /// It goes beyond the longest extension: this day counts instead.
    BeyondCap(Date),
}

/// Every deadline of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// Last day for the acknowledgement.
    pub acknowledge_by: Option<Date>,
    /// Last day without the extension.
    pub first_due: Date,
    /// Last day, the extension included.
    pub due_on: Date,
    /// The same, moved as the law allows.
    pub lawful_until: Date,
    /// Last day that any extension could reach.
    pub cap: Date,
    /// What is wrong with the extension.
    pub extension_problem: Option<ExtensionProblem>,
}

/// Counts. `None`: the calendar ends before the period does.
#[must_use]
pub fn clock(received: Date, rules: &Rules, extension: Option<Extension>, holidays: &Holidays) -> Option<Clock> {
    let first_due = after(received, rules.respond)?;
    let cap = match rules.max_extension {
        None => first_due,
        // Counted from the receipt and from the first deadline the end can differ by days; the earlier one is safe.
        Some(extension) => after(first_due, extension)?.min(after_both(received, rules.respond, extension)?),
    };
    let lawful = |due: Date| {
        if rules.rolls {
            rolled(received, due, holidays)
        } else {
            Some(due)
        }
    };
    let first_lawful = lawful(first_due)?;
    let (due_on, extension_problem) = match extension {
        None => (first_due, None),
        Some(_) if rules.max_extension.is_none() => (first_due, Some(ExtensionProblem::NotAllowed)),
        Some(extension) if extension.informed_on > first_lawful => {
            (first_due, Some(ExtensionProblem::InformedLate(first_lawful)))
        }
        Some(extension) if extension.informed_on < received => {
            (first_due, Some(ExtensionProblem::InformedBeforeReceipt))
        }
        Some(extension) if extension.until <= first_due => (first_due, Some(ExtensionProblem::NoExtension(first_due))),
        Some(extension) if extension.until > cap => (cap, Some(ExtensionProblem::BeyondCap(cap))),
        Some(extension) => (extension.until, None),
    };
    let acknowledge_by = match rules.acknowledge {
        None => None,
        Some(days) => Some(holidays.after(received, days)?),
    };
    Some(Clock {
        acknowledge_by,
        first_due,
        due_on,
        lawful_until: lawful(due_on)?,
        cap,
        extension_problem,
    })
}

/// The last day of a period of days or months. Hours have no place in a deadline: validation refuses them.
#[must_use]
pub fn after(day: Date, period: Period) -> Option<Date> {
    let months = Span::new().try_months(period.months()).ok()?;
    let days = Span::new().try_days(period.days()).ok()?;
    day.checked_add(months).ok()?.checked_add(days).ok()
}

fn after_both(day: Date, first: Period, second: Period) -> Option<Date> {
    let months = Span::new()
        .try_months(first.months().checked_add(second.months())?)
        .ok()?;
    let days = Span::new().try_days(first.days().checked_add(second.days())?).ok()?;
    day.checked_add(months).ok()?.checked_add(days).ok()
}

/// Art. 3(4) and (5): a period does not end on a day without work, and one of two days or more has two working days.
fn rolled(received: Date, due: Date, holidays: &Holidays) -> Option<Date> {
    let mut last = holidays.working_day_from(due)?;
    if days_between(received, due) >= 2 {
        last = last.max(holidays.after(received, 2)?);
    }
    Some(last)
}

/// Days from one date to another.
#[must_use]
pub fn days_between(from: Date, to: Date) -> i64 {
    // Both lie within the calendar of jiff: the span in days always exists.
    from.until(to).map_or(0, |span| i64::from(span.get_days()))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn gdpr() -> Rules {
        Rules {
            acknowledge: Some(5),
            respond: "P1M".parse().unwrap(),
            max_extension: Some("P2M".parse().unwrap()),
            rolls: true,
        }
    }

    fn due(received: Date) -> Date {
        clock(received, &gdpr(), None, &Holidays::default()).unwrap().due_on
    }

    #[test]
    fn a_month_ends_on_the_same_number_or_the_last_day() {
        for (received, last) in [
            (date(2026, 1, 31), date(2026, 2, 28)),
            (date(2024, 1, 31), date(2024, 2, 29)),
            (date(2026, 3, 31), date(2026, 4, 30)),
            (date(2026, 2, 28), date(2026, 3, 28)),
            (date(2026, 12, 5), date(2027, 1, 5)),
        ] {
            assert_eq!(due(received), last, "{received}");
        }
    }

    #[test]
    fn the_due_date_does_not_move_for_a_weekend_and_the_lawful_one_does() {
        // 28 February 2026 is a Saturday.
        let clock = clock(date(2026, 1, 31), &gdpr(), None, &Holidays::default()).unwrap();
        assert_eq!(
            (clock.due_on, clock.lawful_until),
            (date(2026, 2, 28), date(2026, 3, 2))
        );
        assert_eq!(clock.acknowledge_by, Some(date(2026, 2, 6)));
        let california = Rules {
            rolls: false,
            respond: "P45D".parse().unwrap(),
            ..gdpr()
        };
        let clock = super::clock(date(2026, 1, 1), &california, None, &Holidays::default()).unwrap();
        assert_eq!(
            (clock.due_on, clock.lawful_until),
            (date(2026, 2, 15), date(2026, 2, 15))
        );
    }

    #[test]
    fn a_short_period_has_two_working_days() {
        let rules = Rules {
            respond: "P2D".parse().unwrap(),
            max_extension: None,
            ..gdpr()
        };
        // Received on a Friday: Saturday and Sunday are the two days, Monday and Tuesday the working days.
        let clock = clock(date(2026, 11, 20), &rules, None, &Holidays::default()).unwrap();
        assert_eq!(
            (clock.due_on, clock.lawful_until),
            (date(2026, 11, 22), date(2026, 11, 24))
        );
    }

    #[test]
    fn an_extension_counts_only_in_time_and_up_to_the_cap() {
        let received = date(2026, 3, 1);
        let with = |until, informed_on| {
            let extension = Some(Extension { until, informed_on });
            let clock = clock(received, &gdpr(), extension, &Holidays::default()).unwrap();
            (clock.due_on, clock.extension_problem)
        };
        let told = date(2026, 3, 20);
        assert_eq!(with(date(2026, 5, 15), told), (date(2026, 5, 15), None));
        assert_eq!(with(date(2026, 6, 1), told), (date(2026, 6, 1), None));
        let cap = date(2026, 6, 1);
        assert_eq!(
            with(date(2026, 6, 2), told),
            (cap, Some(ExtensionProblem::BeyondCap(cap)))
        );
        let first = date(2026, 4, 1);
        assert_eq!(
            with(cap, date(2026, 4, 2)),
            (first, Some(ExtensionProblem::InformedLate(first)))
        );
        assert_eq!(
            with(cap, date(2026, 2, 28)),
            (first, Some(ExtensionProblem::InformedBeforeReceipt))
        );
        assert_eq!(with(first, told), (first, Some(ExtensionProblem::NoExtension(first))));
        let none = Rules {
            max_extension: None,
            ..gdpr()
        };
        let extension = Some(Extension {
            until: cap,
            informed_on: told,
        });
        let clock = clock(received, &none, extension, &Holidays::default()).unwrap();
        assert_eq!(
            (clock.due_on, clock.extension_problem),
            (first, Some(ExtensionProblem::NotAllowed))
        );
    }

    #[test]
    fn the_cap_is_the_earlier_of_both_ways_to_count() {
        // 31 January and three months is 30 April, but 28 February and two months is 28 April.
        let clock = clock(date(2026, 1, 31), &gdpr(), None, &Holidays::default()).unwrap();
        assert_eq!(clock.cap, date(2026, 4, 28));
    }

    proptest! {
        #[test]
        fn a_due_date_is_in_the_next_month_and_never_before_the_28th_of_a_later_day(day in 0_i32..40_000) {
            let received = date(1980, 1, 1).checked_add(Span::new().days(day)).unwrap();
            let due = due(received);
            let next = (i32::from(received.year()) * 12 + i32::from(received.month()) - 1) + 1;
            prop_assert_eq!(i32::from(due.year()) * 12 + i32::from(due.month()) - 1, next);
            prop_assert_eq!(due.day(), received.day().min(due.days_in_month()));
            let between = days_between(received, due);
            prop_assert!((28..=31).contains(&between));
        }

        #[test]
        fn later_receipts_are_never_due_earlier_and_deadlines_are_in_order(day in 0_i32..40_000, until in 0_i64..200, told in -5_i64..60) {
            let received = date(1980, 1, 1).checked_add(Span::new().days(day)).unwrap();
            let plus = |days: i64| received.checked_add(Span::new().days(days)).unwrap();
            let extension = Some(Extension { until: plus(until), informed_on: plus(told) });
            let clock = clock(received, &gdpr(), extension, &Holidays::default()).unwrap();
            prop_assert!(due(received) <= due(received.tomorrow().unwrap()));
            prop_assert!(received < clock.first_due && clock.first_due <= clock.due_on);
            prop_assert!(clock.due_on <= clock.cap && clock.due_on <= clock.lawful_until);
            prop_assert!(Holidays::default().is_working_day(clock.lawful_until));
            prop_assert!(days_between(clock.due_on, clock.lawful_until) <= 2);
        }
    }
}
