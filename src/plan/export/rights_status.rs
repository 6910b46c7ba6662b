//! What a `SubjectRightsPolicy` says of itself.

use jiff::Timestamp;

use super::super::conditions::{Judgement, merge};
use super::super::reasons;
use super::super::validated::Invalid;
use super::policy::{beyond_law, parse};
use super::status::is_true;
use crate::api::subject_rights_policy::SubjectRightsPolicyStatus;
use crate::api::{ExportRequest, SubjectRightsPolicy};
use crate::domain::working_days::{CalendarError, Holidays};

/// What became of the holidays that a policy names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Calendar {
    /// It names none.
    None,
    /// They are read.
    Read(Holidays),
    /// The ConfigMap of this name does not exist.
    Missing(String),
    /// The ConfigMap cannot be read.
    Broken(CalendarError),
}

impl Calendar {
    /// The holidays; none where they cannot be read, which makes deadlines earlier and never later.
    #[must_use]
    pub fn holidays(&self) -> Holidays {
        match self {
            Self::Read(holidays) => holidays.clone(),
            Self::None | Self::Missing(_) | Self::Broken(_) => Holidays::default(),
        }
    }

    fn mistake(&self) -> Option<Invalid> {
        let field = "spec.deadlines.holidaysRef";
        match self {
            Self::None | Self::Read(_) => None,
            Self::Missing(name) => Some(Invalid::new(
                reasons::INVALID_HOLIDAYS,
                field,
                format!(
                    "there is no ConfigMap `{name}` in this namespace, so that deadlines are counted without holidays; create it"
                ),
            )),
            Self::Broken(error) => Some(Invalid::new(
                reasons::INVALID_HOLIDAYS,
                field,
                format!("deadlines are counted without holidays: {error}"),
            )),
        }
    }
}

/// The new status. `requests` are those that refer to the policy.
#[must_use]
pub fn status(
    policy: &SubjectRightsPolicy,
    requests: &[&ExportRequest],
    calendar: &Calendar,
    now: Timestamp,
) -> SubjectRightsPolicyStatus {
    let old = policy.status.clone().unwrap_or_default();
    let count = |wanted: &dyn Fn(&ExportRequest) -> bool| {
        i64::try_from(requests.iter().filter(|request| wanted(request)).count()).unwrap_or(i64::MAX)
    };
    let is_open = |request: &ExportRequest| request.status.as_ref().is_none_or(|status| status.closed_on.is_none());
    SubjectRightsPolicyStatus {
        observed_generation: policy.metadata.generation,
        requests: count(&|_| true),
        open: count(&is_open),
        due_soon: count(&|request| is_open(request) && is_true(request.status.as_ref(), reasons::DUE_SOON)),
        overdue: count(&|request| is_open(request) && is_true(request.status.as_ref(), reasons::OVERDUE)),
        conditions: merge(
            &old.conditions,
            judgements(policy, calendar),
            policy.metadata.generation,
            now,
        ),
    }
}

fn judgements(policy: &SubjectRightsPolicy, calendar: &Calendar) -> Vec<Judgement> {
    let parsed = parse(policy);
    let mut mistakes = parsed.as_ref().err().cloned().unwrap_or_default();
    mistakes.extend(calendar.mistake());
    let ready = match mistakes.first() {
        None => Judgement::new(
            reasons::READY,
            true,
            reasons::ACCEPTED,
            "requests are carried out by it",
        ),
        Some(first) => {
            let texts: Vec<String> = mistakes.iter().map(Invalid::text).collect();
            Judgement::new(reasons::READY, false, first.reason, texts.join(". "))
        }
    };
    let beyond = parsed.map(|parsed| beyond_law(policy, &parsed)).unwrap_or_default();
    let is_beyond = !beyond.is_empty();
    let beyond = Judgement::new(
        reasons::DEADLINES_BEYOND_LAW,
        is_beyond,
        if is_beyond {
            reasons::DEADLINES_BEYOND_LAW
        } else {
            reasons::NOT_APPLICABLE
        },
        if is_beyond {
            format!("{}: {}; shorten it", policy.spec.regime.as_str(), beyond.join("; "))
        } else {
            "no deadline is longer than the law's".to_owned()
        },
    );
    vec![ready, beyond]
}
