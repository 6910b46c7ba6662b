use jiff::civil::date;

use super::*;
use crate::api::export_status::{ArchiveStatus, CoverageStatus, FailureStatus};
use crate::plan::conditions::find;
use crate::plan::export::policy::parse;
use crate::plan::export::request::dates;
use crate::plan::export::{Work, fixtures};
use crate::plan::fixtures::now;

/// The status of a request at a time, from a status as reports left it.
fn at(time: &str, request: &ExportRequest, absorbed: &ExportRequestStatus, live: &Live) -> ExportRequestStatus {
    let policy = fixtures::policy();
    let parsed = parse(&policy).unwrap();
    let now: Timestamp = time.parse().unwrap();
    let dates = dates(request, Some(&policy), now.to_zoned(parsed.zone.clone()).date());
    status(&Inputs {
        request,
        absorbed,
        live,
        dates: &dates,
        policy: Some(&parsed),
        received: Some(request.spec.received_at.parse().unwrap()),
        holidays: &Holidays::default(),
        mistakes: &dates.mistakes,
        sealing_hash: Some("hash"),
        blocked: None,
        stopped: false,
        open: &[],
        unknown_activities: &[],
        now,
    })
}

fn plain(time: &str, change: impl FnOnce(&mut crate::api::export_request::Handling)) -> ExportRequestStatus {
    let mut request = fixtures::request();
    change(request.spec.handling.as_mut().unwrap());
    at(time, &request, &ExportRequestStatus::default(), &Live::default())
}

fn truth(status: &ExportRequestStatus, type_: &str) -> String {
    let condition = find(&status.conditions, type_).unwrap_or_else(|| panic!("no {type_}"));
    format!("{} {}", condition.status, condition.reason)
}

#[test]
fn days_are_counted_in_the_zone_of_the_policy_until_the_answer() {
    // Received on 1 November 10:00 in Berlin; due on 1 December, a Tuesday.
    let status = plain("2026-11-22T05:00:00Z", |_| {});
    assert_eq!(
        (
            status.due_on.as_deref(),
            status.lawful_until.as_deref(),
            status.days_left
        ),
        (Some("2026-12-01"), Some("2026-12-01"), Some(9))
    );
    assert_eq!(truth(&status, "DueSoon"), "False NotApplicable");
    let soon = plain("2026-11-23T23:30:00Z", |_| {});
    assert_eq!(
        (soon.days_left, truth(&soon, "DueSoon").as_str()),
        (Some(7), "True DueSoon")
    );
    // 24:00 in Berlin is 23:00 UTC.
    let last = plain("2026-12-01T22:59:59Z", |_| {});
    assert_eq!(
        (last.days_left, truth(&last, "Overdue").as_str()),
        (Some(0), "False OnTime")
    );
    let late = plain("2026-12-01T23:00:00Z", |_| {});
    assert_eq!(
        (late.days_left, truth(&late, "Overdue").as_str()),
        (Some(-1), "True Overdue")
    );
    let answered = plain("2026-12-05T10:00:00Z", |handling| {
        handling.answered_on = Some("2026-12-04".to_owned());
    });
    assert_eq!(
        (answered.days_left, truth(&answered, "Overdue").as_str()),
        (None, "False AnsweredLate")
    );
    assert_eq!(answered.delete_on.as_deref(), Some("2029-12-04"));
}

#[test]
fn an_extension_counts_and_a_wrong_one_is_told() {
    let extended = |until: &str, informed_on: &str| {
        let (until, informed_on) = (until.to_owned(), informed_on.to_owned());
        plain("2026-11-22T05:00:00Z", |handling| {
            handling.extension = Some(
                serde_json::from_value(
                    serde_json::json!({"until": until, "grounds": "Complexity", "informedOn": informed_on}),
                )
                .unwrap(),
            );
        })
    };
    let good = extended("2027-01-15", "2026-11-20");
    assert_eq!((good.due_on.as_deref(), good.days_left), (Some("2027-01-15"), Some(54)));
    assert!(find(&good.conditions, "ExtensionInvalid").is_none());
    let capped = extended("2027-06-01", "2026-11-20");
    assert_eq!(capped.due_on.as_deref(), Some("2027-02-01"));
    assert_eq!(truth(&capped, "ExtensionInvalid"), "True ExtensionInvalid");
    let future = extended("2027-01-15", "2026-11-30");
    assert_eq!(truth(&future, "Ready"), "False InvalidValue");
    assert_eq!(future.due_on.as_deref(), Some("2026-12-01"));
}

#[test]
fn each_phase_says_what_is_next() {
    let phase_of = |status: &ExportRequestStatus| {
        (
            status.phase.unwrap(),
            find(&status.conditions, "Ready").unwrap().message.clone(),
        )
    };
    let (phase, message) = phase_of(&plain("2026-11-22T05:00:00Z", |handling| handling.identity = None));
    assert_eq!(phase, Phase::WaitingForIdentity);
    assert!(
        message.contains("kubectl patch xr dsr-7f3a -n shop --type merge -p '{\"spec\":{\"handling\":{\"identity\""),
        "{message}"
    );
    let (phase, message) = phase_of(&plain("2026-11-22T05:00:00Z", |handling| handling.approved_on = None));
    assert_eq!(phase, Phase::WaitingForApproval);
    assert!(message.contains("approvedOn"), "{message}");
    // A day that has not come yet confirms nothing.
    let future = plain("2026-11-22T05:00:00Z", |handling| {
        handling.approved_on = Some("2026-11-23".to_owned());
    });
    assert_eq!(truth(&future, "Ready"), "False InvalidValue");
    let (phase, _) = phase_of(&plain("2026-11-22T05:00:00Z", |_| {}));
    assert_eq!(phase, Phase::Running);
    let refused = plain("2026-11-22T05:00:00Z", |handling| {
        handling.refusal = Some(serde_json::from_value(serde_json::json!({"article": "12(5)(b)"})).unwrap());
    });
    assert_eq!(
        (refused.phase, refused.closed_on.is_none()),
        (Some(Phase::Refused), true)
    );
}

#[allow(clippy::needless_pass_by_value, reason = "a test reads better without references")]
fn with(change: impl FnOnce(&mut ExportRequestStatus), live: Live, time: &str) -> ExportRequestStatus {
    let mut absorbed = ExportRequestStatus::default();
    change(&mut absorbed);
    at(time, &fixtures::request(), &absorbed, &live)
}

fn archive(deleted: bool) -> ArchiveStatus {
    ArchiveStatus {
        location: "s3://b/k".to_owned(),
        bytes: 1,
        files: 1,
        sha256: String::new(),
        content_sha256: String::new(),
        collected_at: None,
        delivered_at: Time(now()),
        expires_at: Time(now()),
        deleted_at: deleted.then(|| Time(now())),
    }
}

#[test]
fn what_reports_left_decides_about_the_phase() {
    let time = "2026-11-22T05:00:00Z";
    let failure = |retry: Option<Timestamp>| FailureStatus {
        work: "Export".to_owned(),
        reason: "MissingGrant".to_owned(),
        field: String::new(),
        message: "grant it".to_owned(),
        attempts: 1,
        retry_at: retry.map(Time),
        plan_hash: String::new(),
    };
    let none = Live::default;
    for (status, phase, ready) in [
        (
            with(|it| it.archive = Some(archive(false)), none(), time),
            Phase::ReadyForDelivery,
            "True ReadyForDelivery",
        ),
        (
            with(|it| it.archive = Some(archive(true)), none(), time),
            Phase::Expired,
            "True Expired",
        ),
        (
            with(|it| it.nothing_found = true, none(), time),
            Phase::WaitingForApproval,
            "True SubjectNotFound",
        ),
        (
            with(|it| it.failure = Some(failure(None)), none(), time),
            Phase::Failed,
            "False MissingGrant",
        ),
        (
            with(|it| it.failure = Some(failure(Some(now()))), none(), time),
            Phase::Running,
            "False MissingGrant",
        ),
        (
            with(
                |it| {
                    (it.limited_by, it.deferred_until) = (
                        Some("LimitExceeded".to_owned()),
                        Some(Time("2026-11-22T06:00:00Z".parse().unwrap())),
                    );
                },
                none(),
                time,
            ),
            Phase::Deferred,
            "True LimitExceeded",
        ),
        (
            with(|it| it.limited_by = Some("LimitExceeded".to_owned()), none(), time),
            Phase::Refused,
            "False LimitExceeded",
        ),
        (
            with(
                |_| {},
                fixtures::live(vec![fixtures::job(Work::Export, "e", None)]),
                time,
            ),
            Phase::Running,
            "True Running",
        ),
    ] {
        assert_eq!((status.phase, truth(&status, "Ready").as_str()), (Some(phase), ready));
    }
}

#[test]
fn progress_is_shown_while_an_export_runs() {
    let mut live = fixtures::live(vec![fixtures::job(Work::Export, "e", None)]);
    live.progress = Some((12_000, 2_097_152));
    let status = with(|_| {}, live, "2026-11-22T05:00:00Z");
    assert_eq!((status.rows, status.size.as_deref()), (Some(12_000), Some("2.0 MiB")));
    assert_eq!(status.running.unwrap().work, "Export");
}

#[test]
fn what_an_archive_lacks_is_never_silent() {
    let partial = CoverageStatus {
        categories_missing: 2,
        ..CoverageStatus::default()
    };
    let status = with(
        |it| it.coverage = Some(partial),
        Live::default(),
        "2026-11-22T05:00:00Z",
    );
    assert_eq!(truth(&status, "PartialCoverage"), "True PartialCoverage");
    let complete = with(
        |it| it.coverage = Some(CoverageStatus::default()),
        Live::default(),
        "2026-11-22T05:00:00Z",
    );
    assert_eq!(truth(&complete, "PartialCoverage"), "False Complete");
}

#[test]
fn a_request_object_outlives_its_answer_by_the_policys_time() {
    let answered = plain("2026-11-22T05:00:00Z", |handling| {
        handling.answered_on = Some("2026-11-20".to_owned());
    });
    assert_eq!(answered.phase, Some(Phase::Answered));
    assert!(!is_outlived(&answered, date(2029, 11, 19)));
    assert!(is_outlived(&answered, date(2029, 11, 20)));
}
