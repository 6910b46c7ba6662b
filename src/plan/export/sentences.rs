//! What a request says to people: what is next, and the exact command for it.

use kube::ResourceExt as _;

use crate::api::ExportRequest;
use crate::api::export_status::{ExportRequestStatus, FailureStatus, Phase};
use crate::domain::deadlines::ExtensionProblem;

/// `kubectl patch` of the handling.
fn patch(request: &ExportRequest, handling: &str) -> String {
    format!(
        "kubectl patch xr {} -n {} --type merge -p '{{\"spec\":{{\"handling\":{{{handling}}}}}}}'",
        request.name_any(),
        request.namespace().unwrap_or_default()
    )
}

/// What is next.
#[must_use]
pub fn next(request: &ExportRequest, status: &ExportRequestStatus, phase: Phase) -> String {
    let answered = || patch(request, "\"answeredOn\":\"YYYY-MM-DD\"");
    match phase {
        Phase::Received => "the request is there".to_owned(),
        Phase::WaitingForIdentity => format!(
            "nothing is read before it is sure who asks; then: {}",
            patch(
                request,
                "\"identity\":{\"method\":\"LoggedIn\",\"confirmedOn\":\"YYYY-MM-DD\"}"
            )
        ),
        Phase::WaitingForApproval if status.nothing_found => format!(
            "no store has a row of this person. Make sure that the Secret names the right one, and then: {}",
            patch(request, "\"nothingFoundConfirmedOn\":\"YYYY-MM-DD\"")
        ),
        Phase::WaitingForApproval => format!(
            "nothing is read before the request is approved; who has the verb approve may: {}",
            patch(request, "\"approvedOn\":\"YYYY-MM-DD\"")
        ),
        Phase::Deferred => {
            let until = status
                .deferred_until
                .as_ref()
                .map(|time| time.0.to_string())
                .unwrap_or_default();
            format!("the limits of the policy hold it back; it goes on by itself at {until}")
        }
        Phase::Running => "a worker is at it".to_owned(),
        Phase::ReadyForDelivery if status.nothing_found => {
            format!("tell the person that no data of theirs is held, then: {}", answered())
        }
        Phase::ReadyForDelivery => {
            let location = status
                .archive
                .as_ref()
                .map(|it| it.location.as_str())
                .unwrap_or_default();
            format!(
                "the archive is at {location}; give it to the person, then: {}",
                answered()
            )
        }
        Phase::Answered => "the person has the answer".to_owned(),
        Phase::Refused if status.limited_by.is_some() => format!(
            "the limits of the policy do not allow it. Tell the person why and where to complain, then: {}",
            patch(
                request,
                "\"refusal\":{\"article\":\"...\",\"informedOn\":\"YYYY-MM-DD\"}"
            )
        ),
        Phase::Refused => match status.closed_on {
            Some(_) => "it is refused, and the person was told".to_owned(),
            None => {
                "it is refused; tell the person why and where to complain, and set spec.handling.refusal.informedOn"
                    .to_owned()
            }
        },
        Phase::Expired => format!(
            "the archive was deleted before anybody answered. To export anew: {}; if the person has it: {}",
            patch(request, &format!("\"retry\":{}", i64::from(status.retry) + 1)),
            answered()
        ),
        Phase::Failed => "it could not be done".to_owned(),
    }
}

/// Why a step failed, and what happens next.
#[must_use]
pub fn failure(failure: &FailureStatus, request: &ExportRequest) -> String {
    let next = failure.retry_at.as_ref().map_or_else(
        || {
            let handling = request.spec.handling.as_ref();
            let retry = handling.and_then(|handling| handling.retry).unwrap_or(0);
            let command = patch(request, &format!("\"retry\":{}", retry.saturating_add(1)));
            format!("It is tried again when policy or stores change, or after: {command}")
        },
        |at| format!("It is tried again at {}", at.0),
    );
    format!("{} (try {}). {next}", failure.message, failure.attempts)
}

/// What is wrong with an extension.
#[must_use]
pub fn extension(problem: ExtensionProblem) -> String {
    match problem {
        ExtensionProblem::NotAllowed => {
            "the extension does not count: the policy knows none (deadlines.maxExtension)".to_owned()
        }
        ExtensionProblem::InformedLate(day) => {
            format!("the extension does not count: the person had to be told of it until {day}")
        }
        ExtensionProblem::InformedBeforeReceipt => {
            "the extension does not count: spec.handling.extension.informedOn lies before the receipt".to_owned()
        }
        ExtensionProblem::NoExtension(day) => {
            format!(
                "the extension does not count: spec.handling.extension.until is not after {day}, the day without it"
            )
        }
        ExtensionProblem::BeyondCap(day) => {
            format!(
                "the extension counts until {day} only: it may be no longer than deadlines.maxExtension of the policy"
            )
        }
    }
}
