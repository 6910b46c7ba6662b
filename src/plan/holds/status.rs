//! What a hold says of itself: pure, from the hold, what it names, what still runs without it, and the time.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{begin_of, binds, datasets, judge};
use crate::api::legal_hold::LegalHoldStatus;
use crate::api::{DataSource, LegalHold};
use crate::plan::conditions::{Judgement, find, merge};
use crate::plan::reasons;
use crate::plan::transitions::Transition;
use crate::plan::validated::Invalid;

/// As many policies as status names.
const NAMED: usize = 16;

/// What the status is computed from.
pub struct Inputs<'a> {
    /// The hold, with its present status.
    pub hold: &'a LegalHold,
    /// Its `DataSource`, if it is there and readable.
    pub source: Option<&'a DataSource>,
    /// Policies of which something can run without knowing it. `None`: not asked, since it does not bind or cannot be told.
    pub waiting_for: Option<&'a BTreeSet<String>>,
    /// The time.
    pub now: Timestamp,
}

/// Every mistake of a hold.
#[must_use]
pub fn mistakes(hold: &LegalHold, source: Option<&DataSource>) -> Vec<Invalid> {
    source.map_or_else(
        || vec![judge::unknown_source(hold)],
        |source| judge::judge(hold, source),
    )
}

/// The new status.
#[must_use]
pub fn status(inputs: &Inputs<'_>) -> LegalHoldStatus {
    let (hold, now) = (inputs.hold, inputs.now);
    let old = hold.status.clone().unwrap_or_default();
    let unclear = mistakes(hold, inputs.source);
    let in_force = in_force(inputs, unclear.first());
    let since = (in_force.truth.as_str() == "True").then(|| old.since.clone().unwrap_or(Time(now)));
    let judgements = vec![ready(inputs, unclear), in_force, review_overdue(inputs)];
    LegalHoldStatus {
        observed_generation: hold.metadata.generation,
        since,
        tables: inputs.source.map_or_else(Vec::new, |source| {
            datasets(hold, source)
                .into_iter()
                .map(|dataset| dataset.table.clone())
                .collect()
        }),
        waiting_for: inputs.waiting_for.into_iter().flatten().take(NAMED).cloned().collect(),
        conditions: merge(&old.conditions, judgements, hold.metadata.generation, now),
    }
}

fn ready(inputs: &Inputs<'_>, unclear: Vec<Invalid>) -> Judgement {
    let all: Vec<Invalid> = unclear.into_iter().chain(judge::days(inputs.hold)).collect();
    match all.first() {
        None => Judgement::new(reasons::READY, true, reasons::ACCEPTED, "the hold is understood"),
        Some(first) => {
            let texts: Vec<String> = all.iter().take(3).map(Invalid::text).collect();
            Judgement::new(reasons::READY, false, first.reason, texts.join(" | "))
        }
    }
}

fn in_force(inputs: &Inputs<'_>, mistake: Option<&Invalid>) -> Judgement {
    let not = |reason: &str, message: String| Judgement::new(reasons::IN_FORCE, false, reason, message);
    if !binds(inputs.hold, inputs.now) {
        let message = "released: what is due by now goes with the next run";
        return not(reasons::RELEASED, message.to_owned());
    }
    if let Some(mistake) = mistake {
        let message = format!(
            "what it binds cannot be told, so no policy that could touch it is started: {}",
            mistake.text()
        );
        return not(mistake.reason, message);
    }
    let Some(waiting) = inputs.waiting_for else {
        return not(reasons::PLACING, "the hold is being placed".to_owned());
    };
    if !waiting.is_empty() {
        let names: Vec<String> = waiting.iter().take(NAMED).cloned().collect();
        let message = format!(
            "waiting until nothing runs any more that does not know it: {}",
            names.join(", ")
        );
        return not(reasons::PLACING, message);
    }
    let message = "no run deletes, masks or sets what it binds";
    if inputs.hold.metadata.deletion_timestamp.is_some() {
        let message = format!(
            "{message}. It was deleted, which does not release it: {}",
            release(inputs.hold)
        );
        return Judgement::new(reasons::IN_FORCE, true, reasons::DELETION_REFUSED, message);
    }
    if inputs.hold.spec.released {
        let message = format!("{message}. It is released as soon as the day of spec.subjectInformedOn has come");
        return Judgement::new(reasons::IN_FORCE, true, reasons::NOT_INFORMED, message);
    }
    Judgement::new(reasons::IN_FORCE, true, reasons::PLACED, message)
}

/// The command that releases a hold.
fn release(hold: &LegalHold) -> String {
    let (name, namespace) = (&hold.metadata.name, &hold.metadata.namespace);
    format!(
        "kubectl patch legalhold {} -n {} --type merge -p '{{\"spec\":{{\"released\":true}}}}' does",
        name.as_deref().unwrap_or_default(),
        namespace.as_deref().unwrap_or_default()
    )
}

fn review_overdue(inputs: &Inputs<'_>) -> Judgement {
    let has_come = begin_of(&inputs.hold.spec.review_at).is_some_and(|day| day <= inputs.now);
    if has_come && binds(inputs.hold, inputs.now) {
        let message = format!(
            "the day of spec.reviewAt ({}) has come: set a later one, or spec.released",
            inputs.hold.spec.review_at
        );
        return Judgement::new(reasons::REVIEW_OVERDUE, true, reasons::REVIEW_OVERDUE, message);
    }
    let message = format!("to be looked at on {}", inputs.hold.spec.review_at);
    Judgement::new(reasons::REVIEW_OVERDUE, false, reasons::NOT_YET, message)
}

/// When to look again at the latest.
#[must_use]
pub fn next_look(new: &LegalHoldStatus, inputs: &Inputs<'_>) -> SignedDuration {
    const LONGEST: SignedDuration = SignedDuration::from_mins(10);
    const SOON: SignedDuration = SignedDuration::from_secs(2);
    let placing = find(&new.conditions, reasons::IN_FORCE).is_some_and(|found| found.reason == reasons::PLACING);
    if placing {
        return SOON;
    }
    let days = [
        Some(&inputs.hold.spec.review_at),
        inputs.hold.spec.subject_informed_on.as_ref(),
    ];
    days.into_iter()
        .flatten()
        .filter_map(|day| Some(begin_of(day)?.duration_since(inputs.now)))
        .filter(SignedDuration::is_positive)
        .chain([LONGEST])
        .min()
        .unwrap_or(LONGEST)
        .max(SignedDuration::from_secs(1))
}

/// Whether the new status says nothing new.
#[must_use]
pub fn is_unchanged(old: Option<&LegalHoldStatus>, new: &LegalHoldStatus) -> bool {
    old == Some(new)
}

/// What happened between two statuses.
#[must_use]
pub fn transitions(old: Option<&LegalHoldStatus>, new: &LegalHoldStatus) -> Vec<Transition> {
    let nothing = LegalHoldStatus::default();
    let old = &old.unwrap_or(&nothing).conditions;
    let told = |type_: &str| {
        let now = find(&new.conditions, type_)?;
        let before = find(old, type_);
        let same = before.is_some_and(|before| (&before.status, &before.reason) == (&now.status, &now.reason));
        (!same).then_some(now)
    };
    let in_force = told(reasons::IN_FORCE)
        .filter(|now| now.reason != reasons::PLACING)
        .map(|now| {
            let well = matches!(now.reason.as_str(), reasons::PLACED | reasons::RELEASED);
            Transition::new(!well, &now.reason, &now.message)
        });
    let review = told(reasons::REVIEW_OVERDUE)
        .filter(|now| now.status == "True")
        .map(|now| Transition::new(true, &now.reason, &now.message));
    in_force.into_iter().chain(review).collect()
}
