//! Events: one for each transition between two statuses, and one for each run that ended.

use super::conditions::find;
use super::reasons;
use super::runs::{UNKNOWN, mode_word, succeeded};
use crate::api::data_retention_policy::Mode;
use crate::api::status::{DataRetentionPolicyStatus, RunStatus};
use crate::contract::RunResult;

/// Longest note of an event.
const LONGEST_NOTE: usize = 1000;

/// An event to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// `Warning` rather than `Normal`.
    pub warning: bool,
    /// One word.
    pub reason: String,
    /// What happened and what to do.
    pub note: String,
}

impl Transition {
    /// An event; the note is cut where it is too long.
    #[must_use]
    pub fn new(warning: bool, reason: &str, note: &str) -> Self {
        Self {
            warning,
            reason: reason.to_owned(),
            note: note.chars().take(LONGEST_NOTE).collect(),
        }
    }
}

/// What happened between two statuses.
#[must_use]
pub fn transitions(old: Option<&DataRetentionPolicyStatus>, new: &DataRetentionPolicyStatus) -> Vec<Transition> {
    let nothing = DataRetentionPolicyStatus::default();
    let old = old.unwrap_or(&nothing);
    let mut all: Vec<Transition> = new
        .runs
        .iter()
        .filter(|run| !old.runs.iter().any(|known| known.uid == run.uid))
        .rev()
        .filter_map(of_run)
        .collect();
    all.extend(of_ready(old, new));
    all.extend(turned_bad(old, new, reasons::PROMISE_KEPT, "False"));
    all.extend(turned_bad(old, new, reasons::HALTED, "True"));
    all
}

fn of_run(run: &RunStatus) -> Option<Transition> {
    let affected = run.affected.unwrap_or(0);
    let due = run.due.unwrap_or(0);
    let problem = run.problem.as_ref().map(|problem| problem.message.as_str());
    if run.result == RunResult::Halted.as_str() {
        return None; // told by the condition Halted
    }
    Some(if succeeded(&run.result) && run.mode == mode_word(Mode::Enforce) {
        if affected == 0 && due == 0 {
            return None; // nothing was due, as most of the time
        }
        Transition::new(
            false,
            "Swept",
            &format!("{}: {affected} rows disposed of, {due} due and still there", run.job),
        )
    } else if succeeded(&run.result) {
        Transition::new(
            false,
            "Observed",
            &format!("{}: {due} rows are due; nothing was written", run.job),
        )
    } else {
        let what = if run.result == UNKNOWN { "" } else { "the run failed; " };
        let detail = problem.unwrap_or("the conditions say why");
        Transition::new(true, &run.result_reason(), &format!("{}: {what}{detail}", run.job))
    })
}

impl RunStatus {
    fn result_reason(&self) -> String {
        if self.result == UNKNOWN {
            reasons::NO_REPORT.to_owned()
        } else {
            self.result.clone()
        }
    }
}

fn of_ready(old: &DataRetentionPolicyStatus, new: &DataRetentionPolicyStatus) -> Option<Transition> {
    let now = find(&new.conditions, reasons::READY)?;
    let before = find(&old.conditions, reasons::READY);
    if before.is_some_and(|before| (&before.status, &before.reason) == (&now.status, &now.reason))
        || now.reason == reasons::CHANGING
    {
        return None;
    }
    Some(Transition::new(now.status != "True", &now.reason, &now.message))
}

fn turned_bad(
    old: &DataRetentionPolicyStatus,
    new: &DataRetentionPolicyStatus,
    type_: &str,
    bad: &str,
) -> Option<Transition> {
    let now = find(&new.conditions, type_).filter(|condition| condition.status == bad)?;
    let before = find(&old.conditions, type_);
    let same = before.is_some_and(|before| before.status == now.status && before.reason == now.reason);
    let reason = if type_ == reasons::HALTED {
        "Halted"
    } else {
        "PromiseBroken"
    };
    (!same).then(|| Transition::new(true, reason, &format!("{}: {}", now.reason, now.message)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::conditions::{Judgement, merge};
    use crate::plan::fixtures::now;

    fn status(judgements: Vec<Judgement>, runs: Vec<RunStatus>) -> DataRetentionPolicyStatus {
        DataRetentionPolicyStatus {
            conditions: merge(&[], judgements, Some(1), now()),
            runs,
            ..DataRetentionPolicyStatus::default()
        }
    }

    fn run(uid: &str, mode: &str, result: &str, affected: i64) -> RunStatus {
        serde_json::from_value(serde_json::json!(
            {"job": format!("job-{uid}"), "uid": uid, "mode": mode, "result": result, "affected": affected, "due": 0}
        ))
        .unwrap()
    }

    #[test]
    fn a_transition_is_told_once() {
        let ready = |truth: bool, reason: &str| Judgement::new(reasons::READY, truth, reason, "text");
        let accepted = status(vec![ready(true, "Accepted")], vec![]);
        assert_eq!(transitions(None, &accepted).len(), 1);
        assert!(transitions(Some(&accepted), &accepted).is_empty());
        let invalid = status(vec![ready(false, "InvalidDuration")], vec![]);
        let told = transitions(Some(&accepted), &invalid);
        assert_eq!((told[0].warning, told[0].reason.as_str()), (true, "InvalidDuration"));
    }

    #[test]
    fn each_run_that_did_something_is_told_once_with_its_counts() {
        let before = status(vec![], vec![run("1", "Enforce", "Done", 5)]);
        let after = status(
            vec![],
            vec![
                run("4", "Enforce", "Unknown", 0),
                run("3", "Enforce", "NothingDue", 0),
                run("2", "Enforce", "Done", 7),
                run("1", "Enforce", "Done", 5),
            ],
        );
        let told = transitions(Some(&before), &after);
        let reasons: Vec<&str> = told.iter().map(|event| event.reason.as_str()).collect();
        assert_eq!(reasons, ["Swept", "NoReport"]);
        assert!(told[0].note.contains("7 rows disposed of"));
    }

    #[test]
    fn a_broken_promise_and_a_halt_are_warnings() {
        let bad = status(
            vec![
                Judgement::new(reasons::PROMISE_KEPT, false, "Overdue", "late"),
                Judgement::new(reasons::HALTED, true, "LimitExceeded", "too many"),
            ],
            vec![],
        );
        let told = transitions(Some(&status(vec![], vec![])), &bad);
        assert!(told.iter().all(|event| event.warning));
        assert_eq!(told.len(), 2);
    }
}
