use jiff::SignedDuration;
use jiff::civil::date;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::api::export_status::{ArchiveStatus, FailureStatus, SubjectStatus};
use crate::plan::export::fixtures::{job, live};
use crate::plan::fixtures::now;

/// A request and the world around it, which a test changes.
#[allow(clippy::struct_excessive_bools, reason = "facts, each on its own")]
struct World {
    status: ExportRequestStatus,
    live: Live,
    dates: Dates,
    deleting: bool,
    terminating: bool,
    finalizer: bool,
    accepted: bool,
    stopped: bool,
    retry: i32,
    outlived: bool,
}

fn world() -> World {
    World {
        status: ExportRequestStatus::default(),
        live: Live::default(),
        dates: Dates {
            confirmed: true,
            approved: true,
            ..Dates::default()
        },
        deleting: false,
        terminating: false,
        finalizer: false,
        accepted: true,
        stopped: false,
        retry: 0,
        outlived: false,
    }
}

impl World {
    fn step(&self) -> Step {
        decide(&Facts {
            status: &self.status,
            live: &self.live,
            dates: &self.dates,
            deleting: self.deleting,
            terminating: self.terminating,
            finalizer: self.finalizer,
            accepted: self.accepted,
            stopped: self.stopped,
            identify_hash: Some("i"),
            export_hash: self.status.admitted_at.as_ref().map(|_| "e"),
            retry: self.retry,
            outlived: self.outlived,
            now: now(),
        })
    }

    fn identified(mut self) -> Self {
        self.status.subject = Some(SubjectStatus {
            tag: "t".to_owned(),
            digest: "d".to_owned(),
            key_id: "k".to_owned(),
            identity: "email".to_owned(),
            identities: vec!["email".to_owned()],
        });
        self
    }

    fn admitted(self) -> Self {
        let mut world = self.identified();
        world.status.admitted_at = Some(Time(now()));
        world
    }

    fn exporting(self) -> Self {
        let mut world = self.admitted();
        world.finalizer = true;
        world.status.uncertain = true;
        world.live = live(vec![job(Work::Export, "e", None)]);
        world
    }

    fn delivered(self, expires_in_hours: i64) -> Self {
        let mut world = self.exporting();
        world.status.uncertain = false;
        world.live = live(vec![job(Work::Export, "e", Some(None))]);
        world.status.archive = Some(ArchiveStatus {
            location: "volume://archives/u.zip.age".to_owned(),
            bytes: 1,
            files: 1,
            sha256: String::new(),
            content_sha256: String::new(),
            collected_at: None,
            delivered_at: Time(now()),
            expires_at: Time(now() + SignedDuration::from_hours(expires_in_hours)),
            deleted_at: None,
        });
        world
    }

    fn failed(mut self, work: Work, plan: &str, retry_in_minutes: Option<i64>) -> Self {
        self.status.failure = Some(FailureStatus {
            work: work.as_str().to_owned(),
            reason: "x".to_owned(),
            field: String::new(),
            message: String::new(),
            attempts: 1,
            retry_at: retry_in_minutes.map(|minutes| Time(now() + SignedDuration::from_mins(minutes))),
            plan_hash: plan.to_owned(),
        });
        self
    }

    fn also(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

#[test]
fn the_way_from_a_request_to_its_archive_is_one_step_at_a_time() {
    assert_eq!(world().step(), Step::StartIdentify);
    assert_eq!(
        world()
            .also(|it| it.live = live(vec![job(Work::Identify, "i", None)]))
            .step(),
        Step::Nothing
    );
    assert_eq!(world().identified().step(), Step::Admit);
    assert_eq!(world().admitted().step(), Step::AddFinalizer);
    assert_eq!(world().admitted().also(|it| it.finalizer = true).step(), Step::Announce);
    let announced = world()
        .admitted()
        .also(|it| (it.finalizer, it.status.uncertain) = (true, true));
    assert_eq!(announced.step(), Step::StartExport);
    assert_eq!(world().exporting().step(), Step::Nothing);
    assert_eq!(world().delivered(1).step(), Step::Nothing);
}

#[test]
fn nothing_is_read_before_identity_and_approval() {
    for change in [
        (|it: &mut World| it.dates.confirmed = false) as fn(&mut World),
        |it| it.dates.approved = false,
        |it| it.accepted = false,
        |it| it.stopped = true,
        |it| it.dates.refused = true,
        |it| it.dates.answered = Some(date(2026, 11, 22)),
    ] {
        assert_eq!(world().also(change).step(), Step::Nothing);
        assert_eq!(world().identified().also(change).step(), Step::Nothing);
        assert_eq!(world().admitted().also(change).step(), Step::Nothing);
    }
}

#[test]
fn who_takes_back_the_approval_ends_what_runs() {
    for change in [
        (|it: &mut World| it.dates.confirmed = false) as fn(&mut World),
        |it| it.dates.approved = false,
        |it| it.dates.refused = true,
        |it| it.dates.answered = Some(date(2026, 11, 22)),
        |it| it.deleting = true,
    ] {
        let world = world().exporting().also(change);
        assert!(matches!(world.step(), Step::EndJobs(jobs) if jobs.len() == 1));
        let ending = world.also(|it| it.live.jobs[0].deleting = true);
        assert_eq!(ending.step(), Step::Nothing, "a worker that still writes is waited for");
    }
}

#[test]
fn limits_hold_back_until_their_time_or_for_good() {
    let held = |until: i64| {
        world().identified().also(move |it| {
            it.status.limited_by = Some("LimitExceeded".to_owned());
            it.status.deferred_until = Some(Time(now() + SignedDuration::from_mins(until)));
        })
    };
    assert_eq!(held(1).step(), Step::Nothing);
    assert_eq!(held(0).step(), Step::Admit);
    let refused = held(0).also(|it| it.status.deferred_until = None);
    assert_eq!(refused.step(), Step::Nothing);
}

#[test]
fn a_failure_is_tried_again_by_its_kind() {
    let failed = |retry: Option<i64>| {
        world()
            .exporting()
            .failed(Work::Export, "e", retry)
            .also(|it| it.live = live(vec![job(Work::Export, "e", Some(None))]))
    };
    assert_eq!(failed(Some(5)).step(), Step::Nothing);
    assert!(matches!(failed(Some(0)).step(), Step::DeleteJob(_)));
    assert_eq!(
        failed(Some(0)).also(|it| it.live = Live::default()).step(),
        Step::StartExport
    );
    assert_eq!(failed(None).step(), Step::Nothing);
    assert!(matches!(
        failed(None).also(|it| it.retry = 1).step(),
        Step::DeleteJob(_)
    ));
    let corrected = world().exporting().failed(Work::Export, "other plan", None);
    assert_eq!(corrected.also(|it| it.live = Live::default()).step(), Step::StartExport);
    let of_other_work = world().exporting().failed(Work::Identify, "i", None);
    assert_eq!(
        of_other_work.also(|it| it.live = Live::default()).step(),
        Step::StartExport
    );
}

#[test]
fn an_archive_goes_when_its_time_is_over_or_the_request_is_refused() {
    assert_eq!(world().delivered(0).step(), Step::StartExpire);
    assert_eq!(
        world().delivered(1).also(|it| it.dates.refused = true).step(),
        Step::StartExpire
    );
    let answered = world()
        .delivered(0)
        .also(|it| it.dates.answered = Some(date(2026, 11, 22)));
    assert_eq!(answered.step(), Step::StartExpire);
    let running = world()
        .delivered(0)
        .also(|it| it.live.jobs.push(job(Work::Expire, "x", None)));
    assert_eq!(running.step(), Step::Nothing);
    let failed = || {
        world()
            .delivered(0)
            .also(|it| it.live.jobs.push(job(Work::Expire, "x", Some(None))))
    };
    assert_eq!(failed().failed(Work::Expire, "x", Some(3)).step(), Step::Nothing);
    assert!(matches!(
        failed().failed(Work::Expire, "x", Some(0)).step(),
        Step::DeleteJob(_)
    ));
    // Also where policy and stores are no longer what they must be.
    assert_eq!(
        world().delivered(0).also(|it| it.accepted = false).step(),
        Step::StartExpire
    );
}

#[test]
fn what_is_gone_lets_the_request_go() {
    let gone = || {
        world().delivered(0).also(|it| {
            it.status.archive.as_mut().unwrap().deleted_at = Some(Time(now()));
        })
    };
    assert_eq!(gone().step(), Step::DropFinalizer(None));
    assert_eq!(gone().also(|it| it.finalizer = false).step(), Step::Nothing);
    let again = gone().also(|it| (it.finalizer, it.retry, it.live) = (false, 1, Live::default()));
    assert_eq!(again.step(), Step::AddFinalizer, "an expired archive can be made anew");
    let closed = gone().also(|it| (it.outlived, it.dates.answered) = (true, Some(date(2026, 11, 22))));
    assert_eq!(closed.step(), Step::DeleteRequest);
}

#[test]
fn a_deleted_request_takes_its_archive_along() {
    let deleted = |world: World| world.also(|it| it.deleting = true);
    assert_eq!(deleted(world()).step(), Step::Nothing, "no finalizer, nothing to do");
    assert_eq!(
        deleted(world().admitted().also(|it| it.finalizer = true)).step(),
        Step::DropFinalizer(None)
    );
    assert_eq!(deleted(world().delivered(1)).step(), Step::StartExpire);
    let killed = world().exporting().also(|it| it.live = Live::default());
    assert_eq!(
        deleted(killed).step(),
        Step::StartExpire,
        "what a killed export left goes too"
    );
}

#[test]
fn a_namespace_that_goes_does_not_wait_for_an_archive() {
    let terminating = |world: World| world.also(|it| (it.deleting, it.terminating) = (true, true)).step();
    let location = Some("volume://archives/u.zip.age".to_owned());
    assert_eq!(terminating(world().delivered(1)), Step::DropFinalizer(location));
    assert!(matches!(terminating(world().exporting()), Step::DropFinalizer(Some(_))));
    assert_eq!(
        terminating(world().admitted().also(|it| it.finalizer = true)),
        Step::DropFinalizer(None)
    );
}

#[test]
fn nothing_found_is_an_answer_only_by_somebodys_word() {
    let nothing = || world().admitted().also(|it| it.status.nothing_found = true);
    assert_eq!(nothing().step(), Step::Nothing);
    let answered = nothing().also(|it| it.dates.answered = Some(date(2026, 11, 22)));
    assert!(!is_closed(&answered.status, &answered.dates));
    let confirmed = answered.also(|it| it.dates.nothing_found_confirmed = true);
    assert!(is_closed(&confirmed.status, &confirmed.dates));
    let again = nothing().also(|it| it.retry = 1);
    assert_eq!(again.step(), Step::AddFinalizer);
}
