//! Calendar periods, zones and local times, each judged at the instant before and at its end on a server whose clock
//! is set there.

use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::clocked::{Clocked, at};

/// The row with this start, in the zone of the policy unless the ground says `columnTimeZone`, goes at `end` (an instant) and not a microsecond before, by this ground.
pub async fn ends_at(database: &mut Option<Clocked>, zone: &str, column: &str, start: &str, end: &str, ground: Value) {
    let end: Timestamp = end.parse().unwrap();
    let mut whole = json!({"name": "age", "from": ["at"]});
    whole
        .as_object_mut()
        .unwrap()
        .extend(ground.as_object().unwrap().clone());
    let column_zone = ground["columnTimeZone"].as_str().unwrap_or(zone);
    whole.as_object_mut().unwrap().remove("columnTimeZone");
    let rule = json!({"grounds": [whole], "action": "delete", "columnTimeZones": {"at": column_zone}});
    let schema = format!("CREATE TABLE t (id int PRIMARY KEY, at {column}); INSERT INTO t VALUES (1, '{start}')");
    let before = (end - 1.microsecond()).to_string();
    let clocked = match database {
        None => database.insert(at(&before, &schema).await),
        Some(clocked) => clocked,
    };
    clocked.set_clock(&before);
    let again = format!(
        "DROP TABLE t; {schema}; GRANT SELECT, UPDATE, DELETE ON t TO \"{}\"",
        clocked.trial.role
    );
    clocked.trial.database.execute(&again).await;
    clocked.trial.plan.rules = vec![crate::harness::rule(rule)];
    zone.clone_into(&mut clocked.trial.plan.time_zone);
    clocked.trial.plan.slack_seconds = 0;
    let early = clocked.run().await;
    assert_eq!((&early.problem, &early.rules[0].problem), (&None, &None), "{early:?}");
    assert_eq!(
        clocked.trial.ids().await,
        [1],
        "{start} {whole} in {zone} ends too early"
    );
    clocked.set_clock(&end.to_string());
    clocked.run().await;
    assert_eq!(
        clocked.trial.ids().await,
        [0; 0],
        "{start} {whole} in {zone} ends too late"
    );
}

pub const BERLIN: &str = "Europe/Berlin";

#[tokio::test]
async fn months_are_clamped_to_the_last_day_of_a_shorter_month() {
    let mut database = None;
    let six_months = json!({"for": "P6M"});
    for (start, end) in [
        ("2026-08-31 11:00+02", "2027-02-28T11:00:00+01:00"),
        ("2026-08-29 11:00+02", "2027-02-28T11:00:00+01:00"),
        ("2026-08-28 23:59+02", "2027-02-28T23:59:00+01:00"),
        ("2027-08-31 11:00+02", "2028-02-29T11:00:00+01:00"),
        ("2026-05-31 00:00+02", "2026-11-30T00:00:00+01:00"),
    ] {
        ends_at(&mut database, BERLIN, "timestamptz", start, end, six_months.clone()).await;
    }
}

#[tokio::test]
async fn due_starts_are_not_one_range_at_the_end_of_february() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, at timestamptz); INSERT INTO t VALUES
        (1, '2026-08-31 11:00+02'), (2, '2026-08-28 23:59+02'), (3, '2026-08-30 12:00+02'), (4, '2026-08-29 12:00:00.000001+02'), (5, '2026-08-28 12:00+02'), (6, '2026-09-01 00:00+02')";
    for index in ["", "; CREATE INDEX ON t (at)"] {
        let rule = json!({"grounds": [{"name": "age", "from": ["at"], "for": "P6M"}], "action": "delete"});
        let clocked = at("2027-02-28T11:00:00Z", &format!("{schema}{index}"))
            .await
            .rules(&[rule]);
        assert_eq!(clocked.run().await.rules[0].affected, 3);
        assert_eq!(clocked.trial.ids().await, [2, 4, 6]);
    }
}

#[tokio::test]
async fn a_year_after_a_leap_day_ends_on_the_28th_of_february() {
    let mut database = None;
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        "2024-02-29 12:00+01",
        "2025-02-28T12:00:00+01:00",
        json!({"for": "P1Y"}),
    )
    .await;
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        "2024-02-29 12:00+01",
        "2028-02-29T12:00:00+01:00",
        json!({"for": "P4Y"}),
    )
    .await;
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        "2027-02-28 12:00+01",
        "2028-02-28T12:00:00+01:00",
        json!({"for": "P1Y"}),
    )
    .await;
}

#[tokio::test]
async fn calendar_periods_are_added_in_the_zone_of_the_policy() {
    let mut database = None;
    // The same instant is 1 September in Berlin and still 31 August in New York.
    let start = "2026-08-31 22:30+00";
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        start,
        "2027-03-01T00:30:00+01:00",
        json!({"for": "P6M"}),
    )
    .await;
    ends_at(
        &mut database,
        "America/New_York",
        "timestamptz",
        start,
        "2027-02-28T18:30:00-05:00",
        json!({"for": "P6M"}),
    )
    .await;
}

#[tokio::test]
async fn days_and_weeks_are_exact_over_a_change_of_the_clock() {
    let mut database = None;
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        "2026-10-20 12:00+02",
        "2026-10-27T11:00:00+01:00",
        json!({"for": "P7D"}),
    )
    .await;
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        "2027-03-26 12:00+01",
        "2027-04-02T13:00:00+02:00",
        json!({"for": "P1W"}),
    )
    .await;
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        "2027-03-28 01:30+01",
        "2027-03-28T03:30:00+02:00",
        json!({"for": "PT1H"}),
    )
    .await;
}

#[tokio::test]
async fn months_keep_the_local_time_over_a_change_of_the_clock() {
    let mut database = None;
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        "2026-09-27 12:00+02",
        "2026-10-27T12:00:00+01:00",
        json!({"for": "P1M"}),
    )
    .await;
    ends_at(
        &mut database,
        "America/New_York",
        "timestamptz",
        "2027-02-20 12:00-05",
        "2027-03-20T12:00:00-04:00",
        json!({"for": "P1M"}),
    )
    .await;
}

#[tokio::test]
async fn an_end_that_the_clock_skips_is_moved_on_and_one_that_it_shows_twice_is_the_first() {
    let mut database = None;
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        "2027-02-28 02:30+01",
        "2027-03-28T03:30:00+02:00",
        json!({"for": "P1M"}),
    )
    .await;
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        "2026-09-25 02:30+02",
        "2026-10-25T02:30:00+02:00",
        json!({"for": "P1M"}),
    )
    .await;
}

#[tokio::test]
async fn mixed_periods_add_the_calendar_part_first() {
    let mut database = None;
    // 30 January + 1 month = 28 February, + 2 days = 2 March; the days first would give 1 March.
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        "2027-01-31 10:00+01",
        "2027-03-02T10:00:00+01:00",
        json!({"for": "P1M2D"}),
    )
    .await;
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        "2026-01-30 10:00+01",
        "2026-03-02T10:00:00+01:00",
        json!({"for": "P1M2D"}),
    )
    .await;
}

#[tokio::test]
async fn local_times_are_read_in_the_zone_of_their_column() {
    let mut database = None;
    ends_at(
        &mut database,
        BERLIN,
        "timestamp",
        "2026-08-31 11:00",
        "2027-02-28T11:00:00+01:00",
        json!({"for": "P6M"}),
    )
    .await;
    ends_at(
        &mut database,
        "America/New_York",
        "timestamp",
        "2026-08-31 22:00",
        "2027-02-28T22:00:00-05:00",
        json!({"for": "P6M"}),
    )
    .await;
    // Shown twice: the later one. Skipped: as if the clock had not been changed yet.
    ends_at(
        &mut database,
        BERLIN,
        "timestamp",
        "2026-10-25 02:30",
        "2026-10-25T03:30:00+01:00",
        json!({"for": "PT1H"}),
    )
    .await;
    ends_at(
        &mut database,
        BERLIN,
        "timestamp",
        "2027-03-28 02:30",
        "2027-03-28T04:30:00+02:00",
        json!({"for": "PT1H"}),
    )
    .await;
}

#[tokio::test]
async fn end_of_day_counts_in_dates_and_ends_at_24_o_clock() {
    let mut database = None;
    let six_months = json!({"for": "P6M", "startsAt": "EndOfDay"});
    for start in ["2026-08-31 10:00+02", "2026-08-30 10:00+02", "2026-08-28 00:00+02"] {
        ends_at(
            &mut database,
            BERLIN,
            "timestamptz",
            start,
            "2027-03-01T00:00:00+01:00",
            six_months.clone(),
        )
        .await;
    }
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        "2026-08-27 23:59:59+02",
        "2027-02-28T00:00:00+01:00",
        six_months.clone(),
    )
    .await;
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        "2026-08-27 22:00:00+00",
        "2027-03-01T00:00:00+01:00",
        six_months,
    )
    .await;
    let week = json!({"for": "P7D", "startsAt": "EndOfDay"});
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        "2026-10-20 00:00+02",
        "2026-10-28T00:00:00+01:00",
        week.clone(),
    )
    .await;
    ends_at(
        &mut database,
        BERLIN,
        "date",
        "2026-10-20",
        "2026-10-28T00:00:00+01:00",
        week,
    )
    .await;
}

#[tokio::test]
async fn end_of_month_and_year_start_at_the_first_instant_of_the_next() {
    let mut database = None;
    let month = json!({"for": "P6M", "startsAt": "EndOfMonth"});
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        "2026-08-01 00:00+02",
        "2027-03-01T00:00:00+01:00",
        month.clone(),
    )
    .await;
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        "2026-08-31 23:59:59+02",
        "2027-03-01T00:00:00+01:00",
        month.clone(),
    )
    .await;
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        "2026-08-31 22:00+00",
        "2027-04-01T00:00:00+02:00",
        month,
    )
    .await;
    let year = json!({"for": "P8Y", "startsAt": "EndOfYear"});
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        "2026-01-01 00:00+01",
        "2035-01-01T00:00:00+01:00",
        year.clone(),
    )
    .await;
    ends_at(
        &mut database,
        BERLIN,
        "timestamptz",
        "2026-12-31 23:00+00",
        "2036-01-01T00:00:00+01:00",
        year.clone(),
    )
    .await;
    ends_at(
        &mut database,
        "America/New_York",
        "timestamptz",
        "2026-12-31 23:00+00",
        "2035-01-01T00:00:00-05:00",
        year.clone(),
    )
    .await;
    ends_at(
        &mut database,
        BERLIN,
        "date",
        "2026-12-31",
        "2035-01-01T00:00:00+01:00",
        year,
    )
    .await;
}

#[tokio::test]
async fn days_after_the_end_of_a_month_are_exact_over_a_change_of_the_clock() {
    let mut database = None;
    let ground = json!({"for": "P30D", "startsAt": "EndOfMonth"});
    let (start, end) = ("2027-02-10 00:00+01", "2027-03-31T01:00:00+02:00");
    ends_at(&mut database, BERLIN, "timestamptz", start, end, ground.clone()).await;
    let (start, end) = ("2026-09-10 00:00+02", "2026-10-30T23:00:00+01:00");
    ends_at(&mut database, BERLIN, "timestamptz", start, end, ground).await;
}

/// Half an hour before the clock of New York is put back. A local time that it shows twice is read as the second, so that
/// one that was on the clock half an hour ago still lies ahead.
#[tokio::test]
async fn a_local_time_that_comes_twice_lies_ahead_until_the_second_has_passed() {
    let rows = "CREATE TABLE t (id int, c timestamp); INSERT INTO t VALUES (1, '2026-11-01 01:00'), (2, '2026-11-01 01:45'), (3, '2026-11-01 00:30');";
    let rule = json!({"columnTimeZones": {"c": "America/New_York"}, "grounds": [{"name": "age", "from": ["c"], "for": "P1D"}], "action": "delete"});
    for index in ["", "CREATE INDEX ON t (c); ANALYZE t;"] {
        let mut clocked = at("2026-11-01T05:30:00Z", &format!("{rows}{index}"))
            .await
            .rules(std::slice::from_ref(&rule));
        for (now, ahead) in [("05:30", 2), ("06:00", 1), ("06:45", 0)] {
            clocked.set_clock(&format!("2026-11-01T{now}:00Z"));
            let report = clocked.run().await;
            assert_eq!(report.rules[0].undetermined, ahead, "{now} {index}: {report:?}");
        }
    }
    // And one that it skips is read as if it went on, until that has passed.
    let rows =
        "CREATE TABLE t (id int, c timestamp); INSERT INTO t VALUES (1, '2027-03-28 02:20'), (2, '2027-03-28 01:59');";
    let mut rule = rule;
    rule["columnTimeZones"]["c"] = json!("Europe/Berlin");
    for index in ["", "CREATE INDEX ON t (c); ANALYZE t;"] {
        let mut clocked = at("2027-03-28T01:10:00Z", &format!("{rows}{index}"))
            .await
            .rules(std::slice::from_ref(&rule));
        for (now, ahead) in [("01:10", 1), ("01:20", 0)] {
            clocked.set_clock(&format!("2027-03-28T{now}:00Z"));
            let report = clocked.run().await;
            assert_eq!(report.rules[0].undetermined, ahead, "{now} {index}: {report:?}");
        }
    }
}
