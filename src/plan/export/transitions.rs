//! What happened to a request between two statuses, as events.

use super::super::conditions::find;
use super::super::reasons;
use super::super::transitions::Transition;
use crate::api::export_status::{ExportRequestStatus, Phase};

/// What happened.
#[must_use]
pub fn transitions(old: Option<&ExportRequestStatus>, new: &ExportRequestStatus) -> Vec<Transition> {
    let nothing = ExportRequestStatus::default();
    let old = old.unwrap_or(&nothing);
    let mut told = Vec::new();
    let ready = find(&new.conditions, reasons::READY);
    let before = find(&old.conditions, reasons::READY);
    if let Some(ready) = ready {
        let same = before.is_some_and(|before| (&before.status, &before.reason) == (&ready.status, &ready.reason));
        let phase_changed = old.phase != new.phase;
        if !same || phase_changed && new.phase != Some(Phase::Running) {
            told.push(Transition::new(ready.status != "True", &ready.reason, &ready.message));
        }
    }
    let deleted = |status: &ExportRequestStatus| {
        status
            .archive
            .as_ref()
            .is_some_and(|archive| archive.deleted_at.is_some())
    };
    if deleted(new) && !deleted(old) {
        let location = new.archive.as_ref().map(|it| it.location.as_str()).unwrap_or_default();
        told.push(Transition::new(
            false,
            "ArchiveDeleted",
            &format!("the archive at {location} was deleted"),
        ));
    }
    for (type_, bad) in [
        (reasons::OVERDUE, "True"),
        (reasons::DUE_SOON, "True"),
        (reasons::ACKNOWLEDGEMENT_OVERDUE, "True"),
        (reasons::EXTENSION_INVALID, "True"),
        (reasons::PARTIAL_COVERAGE, "True"),
    ] {
        let now = find(&new.conditions, type_).filter(|condition| condition.status == bad);
        let was = find(&old.conditions, type_).is_some_and(|condition| condition.status == bad);
        if let (Some(condition), false) = (now, was) {
            told.push(Transition::new(true, type_, &condition.message));
        }
    }
    told
}

/// A request went, and its archive stayed.
#[must_use]
pub fn abandoned(location: &str) -> Transition {
    Transition::new(
        true,
        reasons::ARCHIVE_ABANDONED,
        &format!("no Job can be made to delete the archive any more; delete by hand: {location}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::conditions::{Judgement, merge};
    use crate::plan::fixtures::now;

    fn status(phase: Phase, truth: bool, reason: &str) -> ExportRequestStatus {
        ExportRequestStatus {
            phase: Some(phase),
            conditions: merge(
                &[],
                vec![Judgement::new(reasons::READY, truth, reason, "text")],
                None,
                now(),
            ),
            ..ExportRequestStatus::default()
        }
    }

    #[test]
    fn each_turn_is_told_once() {
        let waiting = status(Phase::WaitingForIdentity, true, "WaitingForIdentity");
        let failed = status(Phase::Failed, false, "MissingGrant");
        assert_eq!(transitions(None, &waiting).len(), 1);
        assert!(transitions(Some(&waiting), &waiting).is_empty());
        let told = transitions(Some(&waiting), &failed);
        assert_eq!((told[0].warning, told[0].reason.as_str()), (true, "MissingGrant"));
    }

    #[test]
    fn what_turns_late_is_a_warning() {
        let on_time = status(Phase::Running, true, "Running");
        let mut late = on_time.clone();
        let judgement = Judgement::new(reasons::OVERDUE, true, reasons::OVERDUE, "late");
        late.conditions.extend(merge(&[], vec![judgement], None, now()));
        let told = transitions(Some(&on_time), &late);
        assert_eq!(told.len(), 1);
        assert!(told[0].warning && told[0].reason == "Overdue");
    }
}
