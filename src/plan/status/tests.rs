//! What a policy says of itself, told as little stories: something happened, time passed, the status says so.

use jiff::SignedDuration;
use kube::ResourceExt as _;

use super::*;
use crate::api::data_retention_policy::Mode;
use crate::contract::{Level, Problem, Reason, RuleReport, RunResult, WorkReport};
use crate::plan::conditions::find;
use crate::plan::fixtures;
use crate::plan::runs::{FinishedRun, RunningRun, StuckWorker};

/// A policy, its status carried from look to look.
struct Story {
    policy: DataRetentionPolicy,
    now: Timestamp,
    runs: u32,
}

impl Story {
    fn new() -> Self {
        let mut policy = fixtures::policy();
        policy.spec.mode = Mode::Enforce;
        Self {
            policy,
            now: fixtures::now(),
            runs: 0,
        }
    }

    fn later(&mut self, seconds: i64) -> &mut Self {
        self.now += SignedDuration::from_secs(seconds);
        self
    }

    fn look(&mut self, observation: &Observation) -> DataRetentionPolicyStatus {
        self.look_with(observation, Progress::Settled).0
    }

    fn look_with(
        &mut self,
        observation: &Observation,
        progress: Progress,
    ) -> (DataRetentionPolicyStatus, SignedDuration) {
        let planned = fixtures::planned(&self.policy);
        let source = fixtures::source();
        let inputs = Inputs {
            policy: &self.policy,
            planned: Ok(&planned),
            source: Some(&source),
            neighbours: &[],
            observation,
            progress,
            first_look: None,
            now: self.now,
        };
        let new = status(&inputs);
        let next = next_look(&new, &inputs);
        self.policy.status = Some(new.clone());
        (new, next)
    }

    /// A run of the present rules ends now.
    fn run(&mut self, report: impl FnOnce(&mut WorkReport)) -> DataRetentionPolicyStatus {
        let observation = self.finished(report);
        self.look(&observation)
    }

    fn finished(&mut self, edit: impl FnOnce(&mut WorkReport)) -> Observation {
        let mut report = WorkReport {
            version: 1,
            plan_hash: "plan".to_owned(),
            mode: self.policy.spec.mode,
            generation: Some(3),
            result: RunResult::Done,
            started_at: self.now,
            finished_at: self.now,
            server_version: Some("15.13".to_owned()),
            rules: vec![RuleReport::default(), RuleReport::default()],
            ledger: None,
            problem: None,
        };
        edit(&mut report);
        self.ended(Some((report, "hash".to_owned())), None)
    }

    fn ended(&mut self, report: Option<(WorkReport, String)>, cause: Option<&str>) -> Observation {
        self.runs += 1;
        let planned = fixtures::planned(&self.policy);
        Observation {
            finished: vec![FinishedRun {
                job: format!("job-{}", self.runs),
                uid: format!("uid-{}", self.runs),
                plan_hash: Some(planned.plan_hash.clone()),
                rules_hash: Some(planned.rules.hash.clone()),
                rule_names: planned.rule_names().split(',').map(str::to_owned).collect(),
                mode: self.policy.spec.mode,
                started_at: Some(self.now),
                finished_at: self.now,
                report,
                cause: cause.map(str::to_owned),
            }],
            ..Observation::default()
        }
    }
}

fn nothing() -> Observation {
    Observation::default()
}

/// Status and reason of a condition.
fn said(status: &DataRetentionPolicyStatus, type_: &str) -> (String, String) {
    find(&status.conditions, type_)
        .map(|condition| (condition.status.clone(), condition.reason.clone()))
        .unwrap_or_default()
}

fn is(status: &DataRetentionPolicyStatus, type_: &str, expected: (&str, &str)) {
    let (status, reason) = said(status, type_);
    assert_eq!((status.as_str(), reason.as_str()), expected, "{type_}");
}

fn message(status: &DataRetentionPolicyStatus, type_: &str) -> String {
    find(&status.conditions, type_)
        .map(|condition| condition.message.clone())
        .unwrap_or_default()
}

#[test]
fn a_new_policy_is_unknown_until_its_time_is_over_and_then_false() {
    let mut story = Story::new();
    let first = story.look(&nothing());
    is(&first, "Ready", ("True", "Accepted"));
    is(&first, "PromiseKept", ("Unknown", "NoRunYet"));
    assert_eq!(first.last_result.as_deref(), Some("NeverRan"));
    is(
        &story.later(7199).look(&nothing()),
        "PromiseKept",
        ("Unknown", "NoRunYet"),
    );
    is(&story.later(1).look(&nothing()), "PromiseKept", ("False", "NeverRan"));
}

#[test]
fn a_clean_run_keeps_the_promise_until_within_has_passed() {
    let mut story = Story::new();
    story.look(&nothing());
    let clean = story.later(60).run(|_| {});
    is(&clean, "PromiseKept", ("True", "OnTime"));
    assert_eq!(clean.rules[0].on_time.as_deref(), Some("True"));
    assert_eq!(clean.rules[0].seconds_until_overdue, Some(7200));
    is(&story.later(7199).look(&nothing()), "PromiseKept", ("True", "OnTime"));
    let late = story.later(1).look(&nothing());
    is(&late, "PromiseKept", ("False", "NoRecentRun"));
    assert!(
        message(&late, "PromiseKept").contains("2026-11-22T05:01:00Z"),
        "{}",
        message(&late, "PromiseKept")
    );
}

#[test]
fn overdue_rows_break_the_promise_at_once_and_observing_says_so_with_the_command() {
    let mut story = Story::new();
    let overdue = |report: &mut WorkReport| {
        report.rules[0].due = 5;
        report.rules[0].overdue = 2;
    };
    let enforced = story.run(overdue);
    is(&enforced, "PromiseKept", ("False", "Overdue"));
    assert_eq!((enforced.due, enforced.overdue), (Some(5), Some(2)));
    story.policy.spec.mode = Mode::Observe;
    let observed = story.run(overdue);
    is(&observed, "PromiseKept", ("False", "OnlyObserving"));
    assert!(
        message(&observed, "PromiseKept")
            .contains(r#"kubectl patch drp logs -n shop --type merge -p '{"spec":{"mode":"Enforce"}}'"#)
    );
}

#[test]
fn how_far_disposed_rows_are_is_told_by_runs_and_stays_while_rows_are_due() {
    let mut story = Story::new();
    assert_eq!(story.look(&nothing()).rules[0].level, None);
    let clean = story.run(|report| {
        report.rules[0].level = Some(Level::Deleted);
        report.rules[1].level = Some(Level::Pseudonymised);
    });
    let levels = |status: &DataRetentionPolicyStatus| {
        let levels = status.rules.iter().map(|rule| rule.level.clone().unwrap_or_default());
        levels.collect::<Vec<_>>()
    };
    assert_eq!(levels(&clean), ["Deleted", "Pseudonymised"]);
    let due = story.run(|report| report.rules[1].due = 1);
    assert_eq!(levels(&due), ["Deleted", "Pseudonymised"]);
    let destroyed = story.run(|report| report.rules[1].level = Some(Level::KeyDestroyed));
    assert_eq!(levels(&destroyed), ["Deleted", "KeyDestroyed"]);
}

#[test]
fn a_backlog_of_which_nothing_is_overdue_is_unknown_not_true() {
    let mut story = Story::new();
    let backlog = story.run(|report| report.rules[0].due = 5);
    is(&backlog, "PromiseKept", ("Unknown", "BacklogRemaining"));
    assert_eq!(backlog.rules[0].overdue_from, None);
    assert_eq!(backlog.rules[1].on_time.as_deref(), Some("True"));
}

#[test]
fn a_limit_halts_and_the_message_has_the_exact_command() {
    let mut story = Story::new();
    let halted = story.run(|report| {
        report.result = RunResult::Halted;
        report.rules[0].due = 5000;
        report.problem = Some(Problem::new(
            Reason::LimitExceeded,
            "limits.maxPercent",
            "would touch 5000 rows, limits.maxPercent is 25",
        ));
    });
    is(&halted, "Halted", ("True", "LimitExceeded"));
    is(&halted, "Ready", ("True", "Accepted"));
    let command = r#"kubectl patch drp logs -n shop --type merge -p '{"spec":{"approve":{"upToRows":5000,"generation":3,"until":"2026-11-29"}}}'"#;
    assert!(
        message(&halted, "Halted").contains(command),
        "{}",
        message(&halted, "Halted")
    );
    let free = story.later(3600).run(|_| {});
    is(&free, "Halted", ("False", "NotApplicable"));
}

#[test]
fn the_stop_config_map_halts_and_nothing_is_next() {
    let mut story = Story::new();
    let stop = Observation {
        stopped: true,
        ..Observation::default()
    };
    let stopped = story.look(&stop);
    is(&stopped, "Halted", ("True", "StoppedByHand"));
    assert!(message(&stopped, "Halted").contains("kubectl delete configmap privacy-operator-stop -n shop"));
    assert_eq!(stopped.next_run_at, None);
    is(&story.look(&nothing()), "Halted", ("False", "NotApplicable"));
}

#[test]
fn a_problem_of_the_run_or_of_a_rule_is_told_with_its_remedy_and_the_old_numbers_stay() {
    let mut story = Story::new();
    story.run(|report| report.rules[0].without_start_event = 9);
    let down = story.later(60).run(|report| {
        report.result = RunResult::Failed;
        report.server_version = None;
        report.problem = Some(Problem::new(Reason::Unreachable, "postgres.host", "platform-db:5432"));
    });
    is(&down, "Ready", ("False", "Unreachable"));
    is(&down, "PromiseKept", ("True", "OnTime"));
    assert_eq!(down.rules[0].without_start_event, Some(9));
    assert_eq!(
        down.store.as_ref().unwrap().problem.as_ref().unwrap().reason,
        "Unreachable"
    );

    let column = story.later(60).run(|report| {
        report.result = RunResult::Failed;
        report.rules[0].problem = Some(Problem::new(
            Reason::UnknownColumn,
            "rules[seven-days].keepWhile[age].from",
            "no such column",
        ));
    });
    is(&column, "Ready", ("False", "UnknownColumn"));
    assert_eq!(column.rules[0].problem.as_ref().unwrap().reason, "UnknownColumn");
    // A rule that could not look has not been found clean.
    assert_eq!(column.rules[0].clean_at, down.rules[0].clean_at);
    is(&story.later(60).run(|_| {}), "Ready", ("True", "Accepted"));
}

#[test]
fn a_run_without_a_report_is_unknown_and_never_a_success() {
    let mut story = Story::new();
    let lost = story.ended(None, Some("OOMKilled"));
    let status = story.look(&lost);
    assert_eq!(status.last_result.as_deref(), Some("Unknown"));
    assert_eq!(status.runs[0].result, "Unknown");
    is(&status, "Ready", ("False", "NoReport"));
    is(&status, "PromiseKept", ("Unknown", "NoRunYet"));
    assert!(message(&status, "Ready").contains("OOMKilled"));
}

#[test]
fn a_stuck_worker_becomes_a_condition() {
    let stuck = Observation {
        stuck: Some(StuckWorker {
            pod: "pod-1".to_owned(),
            cause: "ImagePullBackOff".to_owned(),
        }),
        ..Observation::default()
    };
    let status = Story::new().look(&stuck);
    is(&status, "Ready", ("False", "WorkerStuck"));
    assert!(message(&status, "Ready").contains("ImagePullBackOff"));
}

#[test]
fn a_suspended_policy_is_ready_and_still_judged_by_the_clock() {
    let mut story = Story::new();
    story.run(|_| {});
    story.policy.spec.suspend = true;
    let suspended = story.later(60).look(&nothing());
    is(&suspended, "Ready", ("True", "Suspended"));
    assert_eq!(suspended.next_run_at, None);
    is(
        &story.later(7200).look(&nothing()),
        "PromiseKept",
        ("False", "NoRecentRun"),
    );
}

#[test]
fn new_rules_start_without_the_numbers_of_the_old_ones() {
    let mut story = Story::new();
    story.run(|report| report.rules[0].due = 5);
    story.policy.metadata.generation = Some(4);
    story.policy.spec.rules[0].keep_while[0].for_ = Some("P8D".to_owned());
    let changed = story.later(60).look(&nothing());
    assert_eq!((changed.due, changed.rules_generation), (None, Some(4)));
    is(&changed, "PromiseKept", ("Unknown", "NoRunYet"));
}

#[test]
fn a_report_about_other_rules_enters_the_history_only() {
    let mut story = Story::new();
    let mut old = story.finished(|report| report.rules[0].overdue = 3);
    old.finished[0].rules_hash = Some("other".to_owned());
    let status = story.look(&old);
    assert_eq!((status.runs.len(), status.overdue), (1, None));
}

#[test]
fn a_rule_that_the_schedule_is_too_coarse_for_says_so_and_the_others_run() {
    let mut story = Story::new();
    story.policy.spec.schedule = "@weekly".to_owned();
    let status = story.look(&nothing());
    is(&status, "ScheduleTooCoarse", ("True", "ScheduleTooCoarse"));
    is(&status, "Ready", ("False", "ScheduleTooCoarse"));
    assert_eq!(status.rules[0].problem.as_ref().unwrap().reason, "ScheduleTooCoarse");
    assert_eq!(status.rules[1].problem, None);
    assert!(status.next_run_at.is_some());
    story.policy.spec.schedule = "@hourly".to_owned();
    let better = story.look(&nothing());
    is(&better, "ScheduleTooCoarse", ("False", "NotApplicable"));
    assert_eq!(better.rules[0].problem, None);
}

#[test]
fn words_instead_of_numbers_are_told_apart() {
    let mut story = Story::new();
    story.policy.spec.rules[0].keep_while[0].stated_as = Some("eine gewisse Zeit".to_owned());
    let parameterised = story.look(&nothing());
    is(&parameterised, "Parameterised", ("True", "StatedInWords"));
    let ground = &mut story.policy.spec.rules[0].keep_while[0];
    (ground.from, ground.for_, ground.bound) = (None, None, None);
    let indeterminate = story.look(&nothing());
    is(&indeterminate, "Indeterminate", ("True", "StatedInWords"));
    is(&indeterminate, "Parameterised", ("False", "NotApplicable"));
}

#[test]
fn a_rule_without_a_foreign_key_to_what_it_looks_at_says_so() {
    let mut story = Story::new();
    let open = story.run(|report| {
        report.rules[0].race_window = true;
        report.rules[0].missing_related = 4;
    });
    is(&open, "RaceWindow", ("True", "NoForeignKey"));
    assert!(message(&open, "RaceWindow").contains("`seven-days`"));
    assert_eq!(open.rules[0].missing_related, Some(4));
    let closed = story.later(60).run(|_| {});
    is(&closed, "RaceWindow", ("False", "NotApplicable"));
    assert_eq!(closed.rules[0].missing_related, Some(0));
}

#[test]
fn an_invalid_policy_names_its_mistakes_and_goes_on_being_judged() {
    let mut story = Story::new();
    story.run(|_| {});
    let mistake = Invalid::new(reasons::INVALID_DURATION, "within", "`x` is not a period").in_rule("seven-days");
    let inputs = Inputs {
        policy: &story.policy,
        planned: Err(std::slice::from_ref(&mistake)),
        source: None,
        neighbours: &[],
        observation: &nothing(),
        progress: Progress::Settled,
        first_look: None,
        now: story.now + SignedDuration::from_hours(3),
    };
    let status = status(&inputs);
    is(&status, "Ready", ("False", "InvalidDuration"));
    is(&status, "PromiseKept", ("False", "InvalidDuration"));
    assert_eq!(status.rules[0].problem.as_ref().unwrap().reason, "InvalidDuration");
    assert_eq!(status.next_run_at, None);
}

#[test]
fn an_ordinary_run_costs_one_write() {
    let mut story = Story::new();
    let before = story.run(|_| {});
    // The slot has come: its Job is three seconds old.
    let slot = before.next_run_at.as_ref().unwrap().0;
    story.now = slot + SignedDuration::from_secs(3);
    let started = Observation {
        running: Some(RunningRun {
            job: "job".to_owned(),
            started_at: slot,
            progress: None,
        }),
        ..Observation::default()
    };
    let (during, next) = story.look_with(&started, Progress::Settled);
    assert!(is_unchanged(Some(&before), &during));
    assert!(next <= SHORT_RUN);
    let after = story.later(2).run(|_| {});
    assert!(!is_unchanged(Some(&before), &after));
    assert!(after.next_run_at.as_ref().unwrap().0 > slot);
}

#[test]
fn a_long_run_shows_as_under_way() {
    let mut story = Story::new();
    let started = Observation {
        running: Some(RunningRun {
            job: "job".to_owned(),
            started_at: story.now,
            progress: None,
        }),
        ..Observation::default()
    };
    assert_eq!(story.look(&started).running, None);
    assert_eq!(story.later(11).look(&started).running.unwrap().job, "job");
}

#[test]
fn when_only_time_has_passed_nothing_is_written() {
    let mut story = Story::new();
    let before = story.run(|_| {});
    let after = story.later(120).look(&nothing());
    assert_ne!(
        before.rules[0].seconds_until_overdue,
        after.rules[0].seconds_until_overdue
    );
    assert!(is_unchanged(Some(&before), &after));
}

#[test]
fn the_next_look_is_when_the_clock_alone_changes_something() {
    let mut story = Story::new();
    let (_, next) = story.look_with(&nothing(), Progress::Settled);
    // The slot of 05:23 and its starting deadline come before anything else.
    assert_eq!(next, SignedDuration::from_secs(23 * 60 + 305));
    let (_, waiting) = story.look_with(&nothing(), Progress::Waiting);
    assert!(waiting <= SignedDuration::from_secs(2));
    story.run(|_| {});
    story.policy.spec.suspend = true;
    story.later(7200 - 90);
    assert_eq!(
        story.look_with(&nothing(), Progress::Settled).1,
        SignedDuration::from_secs(90)
    );
}

#[test]
fn the_last_ten_runs_are_kept_and_each_is_consumed_once() {
    use crate::plan::runs::is_consumed;
    let mut story = Story::new();
    let mut status = DataRetentionPolicyStatus::default();
    for _ in 0..12 {
        status = story.later(3600).run(|_| {});
    }
    assert_eq!(status.runs.len(), 10);
    assert_eq!(status.runs[0].uid, "uid-12");
    assert!(is_consumed(&status, "uid-12", story.now));
    // Its Job may outlive its place in the history.
    assert!(is_consumed(&status, "uid-1", fixtures::now()));
    assert!(!is_consumed(&status, "uid-13", story.now));
}

#[test]
fn a_policy_that_only_protects_cannot_be_late() {
    let mut story = Story::new();
    story.policy.spec.rules.truncate(1);
    story.policy.spec.rules[0].then = None;
    story.policy.spec.rules[0].keep_while[0].bound = Some(crate::api::data_retention_policy::Bound::Minimum);
    story.look(&nothing());
    let status = story.later(86_400).look(&nothing());
    assert_eq!(status.rules[0].on_time, None);
    is(&status, "PromiseKept", ("True", "OnTime"));
    assert_eq!(story.policy.name_any(), "logs");
}

#[test]
fn ages_are_short_and_comparable() {
    for (seconds, text) in [
        (0, "0s"),
        (61, "1m1s"),
        (3600, "1h"),
        (90_061, "1d1h"),
        (6 * 86_400 + 82_800, "6d23h"),
    ] {
        assert_eq!(compact_age(seconds), text);
    }
    assert!(age_seconds("6d23h") > age_seconds("23h59m"));
}

#[test]
fn a_long_run_is_looked_at_less_often() {
    let pauses =
        [0, 4, 10, 60, 180, 360, 3600].map(|age| pause_while_running(SignedDuration::from_secs(age)).as_secs());
    assert_eq!(pauses, [10, 6, 10, 10, 30, 60, 60]);
}
