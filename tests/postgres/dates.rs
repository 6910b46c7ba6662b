//! Dates, which are no instants.

use serde_json::json;

use crate::calendar::{BERLIN, ends_at};

#[tokio::test]
async fn a_date_starts_the_period_at_its_end_and_for_a_maximum_at_its_first_instant() {
    let mut database = None;
    ends_at(
        &mut database,
        BERLIN,
        "date",
        "2026-06-10",
        "2026-06-18T00:00:00+02:00",
        json!({"for": "P7D"}),
    )
    .await;
    ends_at(
        &mut database,
        BERLIN,
        "date",
        "2026-06-10",
        "2026-06-18T00:00:00+02:00",
        json!({"for": "P7D", "bound": "Minimum"}),
    )
    .await;
    ends_at(
        &mut database,
        BERLIN,
        "date",
        "2026-06-10",
        "2026-06-17T00:00:00+02:00",
        json!({"for": "P7D", "bound": "Maximum"}),
    )
    .await;
    ends_at(
        &mut database,
        "America/New_York",
        "date",
        "2026-06-10",
        "2026-06-18T00:00:00-04:00",
        json!({"for": "P7D"}),
    )
    .await;
    ends_at(
        &mut database,
        BERLIN,
        "date",
        "2026-08-30",
        "2027-02-28T00:00:00+01:00",
        json!({"for": "P6M"}),
    )
    .await;
    ends_at(
        &mut database,
        BERLIN,
        "date",
        "2026-08-31",
        "2027-03-01T00:00:00+01:00",
        json!({"for": "P6M"}),
    )
    .await;
}

#[tokio::test]
async fn an_end_on_a_date_has_passed_at_24_o_clock() {
    let mut database = None;
    for bound in ["Exact", "Minimum", "Maximum"] {
        let ground = json!({"from": [], "until": ["at"], "bound": bound});
        ends_at(
            &mut database,
            BERLIN,
            "date",
            "2026-10-25",
            "2026-10-26T00:00:00+01:00",
            ground.clone(),
        )
        .await;
        ends_at(
            &mut database,
            "America/New_York",
            "date",
            "2026-06-10",
            "2026-06-11T00:00:00-04:00",
            ground,
        )
        .await;
    }
}

#[tokio::test]
async fn a_date_is_read_in_the_zone_of_its_column() {
    let mut database = None;
    let new_york = json!({"for": "P7D", "columnTimeZone": "America/New_York"});
    ends_at(
        &mut database,
        BERLIN,
        "date",
        "2026-06-10",
        "2026-06-18T00:00:00-04:00",
        new_york,
    )
    .await;
}

#[tokio::test]
async fn whole_days_months_and_years_count_from_the_day_that_a_date_names_whatever_its_zone() {
    let mut database = None;
    // In UTC, 1 January in Berlin begins in the year before. It is 1 January all the same.
    for (period, starts_at, end) in [
        ("P1Y", "EndOfYear", "2029-01-01T00:00:00Z"),
        ("P1M", "EndOfMonth", "2027-03-01T00:00:00Z"),
        ("P7D", "EndOfDay", "2027-01-09T00:00:00Z"),
    ] {
        let ground = json!({"for": period, "startsAt": starts_at, "columnTimeZone": BERLIN});
        ends_at(&mut database, "Etc/UTC", "date", "2027-01-01", end, ground).await;
    }
}
