//! What a request must be before anything is read for it, with reason, field and remedy.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::super::reasons;
use super::super::validate;
use super::super::validated::Invalid;
use super::policy::{self, ParsedPolicy};
use crate::api::export_request::Handling;
use crate::api::subject_rights_policy::{Approval, Regime, Right, Unsealed};
use crate::api::{DataSource, ExportRequest, SubjectRightsPolicy};
use crate::contract::export::Sealing;
use crate::domain::deadlines::Extension;
use crate::domain::hash;
use crate::domain::working_days::parse_date;

/// How far the clock of whoever wrote `receivedAt` may be ahead.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(10);

/// What a request is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The request.
    pub request: &'a ExportRequest,
    /// The policy that it names, if there is one that can be read.
    pub policy: Option<&'a SubjectRightsPolicy>,
    /// Every readable `DataSource` of its namespace, by name.
    pub sources: &'a [&'a DataSource],
    /// Now.
    pub now: Timestamp,
}

/// The dates of `handling` that count today: what lies in the future has not happened yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "what happened and what did not, each on its own"
)]
pub struct Dates {
    /// The identity was confirmed.
    pub confirmed: bool,
    /// It was approved, or needs no approval.
    pub approved: bool,
    /// It was acknowledged.
    pub acknowledged: Option<Date>,
    /// More time.
    pub extension: Option<Extension>,
    /// It is refused.
    pub refused: bool,
    /// The person was told of the refusal.
    pub refusal_told: Option<Date>,
    /// Somebody made sure that nothing was found.
    pub nothing_found_confirmed: bool,
    /// The person has the answer.
    pub answered: Option<Date>,
    /// Days that lie in the future or are none, as the field and what to do.
    pub mistakes: Vec<Invalid>,
}

/// A request in which everything that can be judged without a store is right.
#[derive(Debug, Clone)]
pub struct Accepted<'a> {
    /// The stores to look into.
    pub sources: Vec<&'a DataSource>,
    /// Those of the namespace that were not named.
    pub left_out: Vec<&'a DataSource>,
    /// For whom the archive is sealed.
    pub sealing: Sealing,
    /// Hash of the keys.
    pub sealing_hash: String,
    /// Names of identities, the one that limits count by first.
    pub identities: Vec<String>,
}

/// The policy of a request as values, or why it has none.
pub fn parsed_policy(inputs: &Inputs<'_>) -> Result<ParsedPolicy, Vec<Invalid>> {
    let name = &inputs.request.spec.rights_policy_ref.name;
    let Some(policy) = inputs.policy else {
        return Err(vec![Invalid::new(
            reasons::UNKNOWN_RIGHTS_POLICY,
            "spec.rightsPolicyRef.name",
            format!(
                "there is no SubjectRightsPolicy `{name}` in this namespace; create it, or create the request anew with another name"
            ),
        )]);
    };
    policy::parse(policy).map_err(|mistakes| {
        let texts: Vec<String> = mistakes.iter().map(Invalid::text).collect();
        vec![Invalid::new(
            reasons::INVALID_RIGHTS_POLICY,
            "spec.rightsPolicyRef.name",
            format!("correct SubjectRightsPolicy `{name}`: {}", texts.join(". ")),
        )]
    })
}

/// When the request was received.
pub fn received_at(request: &ExportRequest, now: Timestamp) -> Result<Timestamp, Invalid> {
    let text = &request.spec.received_at;
    let invalid = |message: String| Invalid::new(reasons::INVALID_VALUE, "spec.receivedAt", message);
    let time: Timestamp = text.parse().map_err(|_| {
        invalid(format!(
            "`{text}` is not a time; create the request anew with one such as 2026-03-01T09:00:00Z"
        ))
    })?;
    if time > now + CLOCK_SKEW {
        return Err(invalid(format!(
            "`{text}` lies in the future; create the request anew with the time at which it came"
        )));
    }
    Ok(time)
}

/// The dates of `handling`, as they count on the day `today` of the policy's zone.
#[must_use]
pub fn dates(request: &ExportRequest, policy: Option<&SubjectRightsPolicy>, today: Date) -> Dates {
    let nothing = Handling::default();
    let handling = request.spec.handling.as_ref().unwrap_or(&nothing);
    let mut mistakes = Vec::new();
    let mut day = |field: &str, text: Option<&String>, may_come: bool| {
        let text = text?;
        let date = parse_date(text).filter(|date| may_come || *date <= today);
        if date.is_none() {
            let message = if parse_date(text).is_some() {
                format!("{text} lies in the future; write the day on which it has happened")
            } else {
                format!("`{text}` is no day of the calendar; write it as YYYY-MM-DD")
            };
            mistakes.push(Invalid::new(
                reasons::INVALID_VALUE,
                format!("spec.handling.{field}"),
                message,
            ));
        }
        date
    };
    let identity = handling
        .identity
        .as_ref()
        .and_then(|identity| identity.confirmed_on.as_ref());
    let confirmed = day("identity.confirmedOn", identity, false).is_some();
    let approved = day("approvedOn", handling.approved_on.as_ref(), false).is_some();
    let acknowledged = day("acknowledgedOn", handling.acknowledged_on.as_ref(), false);
    let extension = handling.extension.as_ref();
    let until = day("extension.until", extension.map(|it| &it.until), true);
    let informed_on = day("extension.informedOn", extension.map(|it| &it.informed_on), false);
    let refusal = handling.refusal.as_ref();
    let refusal_told = day(
        "refusal.informedOn",
        refusal.and_then(|it| it.informed_on.as_ref()),
        false,
    );
    let nothing_found = day(
        "nothingFoundConfirmedOn",
        handling.nothing_found_confirmed_on.as_ref(),
        false,
    );
    let answered = day("answeredOn", handling.answered_on.as_ref(), false);
    Dates {
        confirmed,
        approved: approved || policy.is_some_and(|policy| policy.spec.approval == Approval::NotRequired),
        acknowledged,
        extension: until
            .zip(informed_on)
            .map(|(until, informed_on)| Extension { until, informed_on }),
        refused: refusal.is_some(),
        refusal_told,
        nothing_found_confirmed: nothing_found.is_some(),
        answered,
        mistakes,
    }
}

/// Judges what an export would need. Every mistake is told.
pub fn accept<'a>(inputs: &Inputs<'a>, policy: &SubjectRightsPolicy) -> Result<Accepted<'a>, Vec<Invalid>> {
    let mut invalid = Vec::new();
    if inputs.request.spec.right == Right::Portability && policy.spec.regime != Regime::Gdpr {
        invalid.push(Invalid::new(
            reasons::RIGHT_NOT_IN_REGIME,
            "spec.right",
            format!(
                "{} knows no right to portability beside the access; create the request anew with right Access",
                policy.spec.regime.as_str()
            ),
        ));
    }
    let (sources, left_out) = stores(inputs, &mut invalid);
    let identities = identities(inputs.sources, policy);
    if invalid.is_empty() && !sources.iter().any(|source| has_subjects(source)) {
        invalid.push(Invalid::new(
            reasons::NO_SUBJECTS,
            "spec.dataSourceRefs",
            "no dataset of these stores says whose its rows are; add `subjects` to the datasets of the DataSource",
        ));
    }
    let subject = inputs
        .request
        .status
        .as_ref()
        .and_then(|status| status.subject.as_ref());
    if subject.is_some_and(|subject| subject.identities != identities) {
        invalid.push(Invalid::new(
            reasons::IDENTITIES_CHANGED,
            "spec.dataSourceRefs",
            "the stores name other identities than when the person was identified, so that the archive would not be complete; \
             create the request anew",
        ));
    }
    let sealing = sealing(inputs.request, policy)
        .map_err(|mistake| invalid.push(mistake))
        .ok();
    let sealing_hash = sealing.as_ref().map(sealing_hash);
    let accepted_hash = inputs
        .request
        .status
        .as_ref()
        .and_then(|status| status.sealing_hash.as_ref());
    if sealing_hash.is_some() && accepted_hash.is_some() && sealing_hash.as_ref() != accepted_hash {
        invalid.push(Invalid::new(
            reasons::RECIPIENT_CHANGED,
            "spec.sealTo",
            "the keys of the SubjectRightsPolicy were changed after this request was accepted, so nothing is read for it; \
             restore them there, or create the request anew",
        ));
    }
    match (sealing, sealing_hash) {
        (Some(sealing), Some(sealing_hash)) if invalid.is_empty() => Ok(Accepted {
            sources,
            left_out,
            sealing,
            sealing_hash,
            identities,
        }),
        _ => Err(invalid),
    }
}

/// The stores to look into, and those that are not.
fn stores<'a>(inputs: &Inputs<'a>, invalid: &mut Vec<Invalid>) -> (Vec<&'a DataSource>, Vec<&'a DataSource>) {
    let refs = &inputs.request.spec.data_source_refs;
    let name_of = |source: &DataSource| source.metadata.name.clone().unwrap_or_default();
    for (index, reference) in refs.iter().enumerate() {
        let field = format!("spec.dataSourceRefs[{index}].name");
        if !inputs.sources.iter().any(|source| name_of(source) == reference.name) {
            invalid.push(Invalid::new(
                reasons::UNKNOWN_DATA_SOURCE,
                field,
                format!(
                    "there is no DataSource `{}` in this namespace; create it, or create the request anew with another name",
                    reference.name
                ),
            ));
        }
    }
    if refs.is_empty() && inputs.sources.is_empty() {
        invalid.push(Invalid::new(
            reasons::UNKNOWN_DATA_SOURCE,
            "spec.dataSourceRefs",
            "there is no DataSource in this namespace; create one",
        ));
    }
    let wanted = |source: &&&DataSource| refs.is_empty() || refs.iter().any(|it| it.name == name_of(source));
    let (sources, left_out): (Vec<&DataSource>, Vec<&DataSource>) =
        inputs.sources.iter().copied().partition(|source| wanted(&source));
    for source in &sources {
        if let Some(first) = validate::source::check(source).first() {
            invalid.push(Invalid::new(
                reasons::INVALID_DATA_SOURCE,
                "spec.dataSourceRefs",
                format!("correct DataSource `{}`: {}", name_of(source), first.text()),
            ));
        }
    }
    (sources, left_out)
}

fn has_subjects(source: &DataSource) -> bool {
    source.spec.datasets.iter().any(|dataset| !dataset.subjects.is_empty())
}

/// Every identity that a store of the namespace knows, not only the request's: else another choice of stores would give
/// the same person another tag, and limits would not hold.
fn identities(sources: &[&DataSource], policy: &SubjectRightsPolicy) -> Vec<String> {
    let datasets = sources.iter().flat_map(|source| &source.spec.datasets);
    let mut identities: Vec<String> = datasets
        .flat_map(|dataset| &dataset.subjects)
        .map(|subject| subject.identity.clone())
        .collect();
    identities.sort();
    identities.dedup();
    if let Some(first) = &policy.spec.count_by {
        identities.retain(|identity| identity != first);
        identities.insert(0, first.clone());
    }
    identities
}

fn sealing(request: &ExportRequest, policy: &SubjectRightsPolicy) -> Result<Sealing, Invalid> {
    let own = &request.spec.seal_to;
    let keys = if own.is_empty() { &policy.spec.seal_to } else { own };
    match (keys.is_empty(), policy.spec.unsealed) {
        (false, _) => Ok(Sealing::Age(keys.clone())),
        (true, Unsealed::Allow) => Ok(Sealing::Unsealed),
        (true, Unsealed::Refuse) => Err(Invalid::new(
            reasons::NO_RECIPIENT,
            "spec.sealTo",
            "there is no key to seal the archive for, neither here nor in the SubjectRightsPolicy, so nothing is read; give \
             the policy a sealTo (age-keygen makes a key), or create the request anew with the person's own",
        )),
    }
}

fn sealing_hash(sealing: &Sealing) -> String {
    match sealing {
        Sealing::Age(keys) => {
            let mut keys = keys.clone();
            keys.sort();
            hash::short(keys.join(",").as_bytes())
        }
        Sealing::Unsealed => "unsealed".to_owned(),
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
