use super::*;
use crate::plan::export::fixtures::{expired, exported, identified, job, live};
use crate::plan::fixtures::now;

fn terms() -> Terms {
    Terms {
        expire_after: "P1M".parse().unwrap(),
        zone: TimeZone::UTC,
        count_by: None,
        identities: vec!["email".to_owned(), "user_id".to_owned()],
        identify_hash: Some("i1".to_owned()),
        retry: 0,
    }
}

fn absorbed(status: &ExportRequestStatus, job: LiveJob) -> ExportRequestStatus {
    absorb(status, &live(vec![job]), &terms())
}

fn new() -> ExportRequestStatus {
    ExportRequestStatus::default()
}

#[test]
fn a_person_is_known_once_and_by_the_present_plan_only() {
    let finished = job(Work::Identify, "i1", Some(Some(identified("i1"))));
    let status = absorbed(&new(), finished.clone());
    assert_eq!(status.subject.as_ref().unwrap().identities.len(), 2);
    assert_eq!(absorbed(&status, finished), status, "nothing is taken twice");
    let stale = job(Work::Identify, "i0", Some(Some(identified("i0"))));
    assert_eq!(absorbed(&new(), stale).subject, None);
    let forged = job(Work::Identify, "i1", Some(Some(identified("other"))));
    let status = absorbed(&new(), forged);
    assert_eq!(
        (status.subject, status.failure.unwrap().reason.as_str()),
        (None, "NoReport")
    );
    let mixed_up = job(Work::Export, "i1", Some(Some(identified("i1"))));
    assert_eq!(absorbed(&new(), mixed_up).subject, None);
}

#[test]
fn a_person_without_the_identity_that_counts_is_not_admitted() {
    let counted = Terms {
        count_by: Some("user_id".to_owned()),
        ..terms()
    };
    let jobs = live(vec![job(Work::Identify, "i1", Some(Some(identified("i1"))))]);
    let status = absorb(&new(), &jobs, &counted);
    let failure = status.failure.unwrap();
    assert_eq!((status.subject, failure.reason.as_str()), (None, "MissingIdentity"));
    assert_eq!(failure.retry_at, None);
}

#[test]
fn a_delivered_archive_is_there_until_its_time_is_over() {
    let before = ExportRequestStatus {
        uncertain: true,
        ..new()
    };
    let status = absorbed(
        &before,
        job(
            Work::Export,
            "e",
            Some(Some(exported("e", ExportResult::Delivered, None))),
        ),
    );
    let archive = status.archive.unwrap();
    assert_eq!(archive.expires_at.0, "2026-12-22T05:00:00Z".parse().unwrap());
    assert_eq!((status.rows, status.size.as_deref()), (Some(42), Some("1.2 MiB")));
    assert!(!status.uncertain && status.failure.is_none());
}

#[test]
fn nobody_found_is_no_archive_and_no_failure() {
    let status = absorbed(
        &new(),
        job(
            Work::Export,
            "e",
            Some(Some(exported("e", ExportResult::SubjectNotFound, None))),
        ),
    );
    assert!(status.nothing_found && status.archive.is_none() && status.failure.is_none());
    assert_eq!(status.rows, Some(0));
}

#[test]
fn what_passes_is_tried_again_later_and_later_and_what_stays_is_not() {
    let failed = |reason| exported("e", ExportResult::Failed, Some(reason));
    let mut status = new();
    let mut pauses = Vec::new();
    for number in 0..9 {
        let mut one = job(Work::Export, "e", Some(Some(failed(Reason::Unreachable))));
        one.uid = format!("u{number}");
        status = absorbed(&status, one);
        let at = status.failure.as_ref().unwrap().retry_at.as_ref().unwrap();
        pauses.push(at.0.duration_since(now()).as_mins());
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert!(status.reported.len() <= REMEMBERED);
    let status = absorbed(&new(), job(Work::Export, "e", Some(Some(failed(Reason::MissingGrant)))));
    let failure = status.failure.unwrap();
    assert_eq!(
        (failure.retry_at, failure.field.as_str()),
        (None, "datasets[users].table")
    );
    assert!(
        failure.message.contains("privacy-operator grants"),
        "{}",
        failure.message
    );
    let stopped = exported("e", ExportResult::Halted, Some(Reason::StoppedByHand));
    let status = absorbed(&new(), job(Work::Export, "e", Some(Some(stopped))));
    assert!(
        status.failure.unwrap().retry_at.is_some(),
        "it goes on when the stop is lifted"
    );
}

#[test]
fn an_export_that_ended_without_a_word_may_have_left_something() {
    let before = ExportRequestStatus {
        uncertain: true,
        ..new()
    };
    let status = absorbed(&before, job(Work::Export, "e", Some(None)));
    assert!(status.uncertain);
    let failure = status.failure.unwrap();
    assert_eq!(failure.reason, "NoReport");
    assert!(failure.retry_at.is_some());
}

#[test]
fn a_deleted_archive_is_written_down_and_one_that_resists_is_tried_for_ever() {
    let with_archive = absorbed(
        &new(),
        job(
            Work::Export,
            "e",
            Some(Some(exported("e", ExportResult::Delivered, None))),
        ),
    );
    let gone = absorbed(&with_archive, job(Work::Expire, "x", Some(Some(expired("x", true)))));
    assert_eq!(gone.archive.unwrap().deleted_at, Some(Time(now())));
    let kept = absorbed(&with_archive, job(Work::Expire, "x", Some(Some(expired("x", false)))));
    assert_eq!(kept.archive.unwrap().deleted_at, None);
    assert!(
        kept.failure.unwrap().retry_at.is_some(),
        "also for a reason that does not pass by itself"
    );
}

#[test]
fn sizes_read_well() {
    for (bytes, text) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (102_400, "100 KiB"),
        (1_048_576, "1.0 MiB"),
        (10_737_418_240, "10.0 GiB"),
        (i64::MAX, "819 PiB"),
    ] {
        assert_eq!(size(bytes), text, "{bytes}");
    }
}
