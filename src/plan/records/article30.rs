//! What Art. 30(1) and (2) ask for, Art. 6 and 9 beside it, and the review.

use jiff::Span;
use jiff::civil::Date;

use super::{Inputs, date, found};
use crate::api::findings::Finding;
use crate::api::processing_activity::{LegalBasisKind, ProcessingActivitySpec, Review, Role};
use crate::domain::period::Period;

/// Categories whose processing Art. 9(1) prohibits unless a condition of Art. 9(2) applies, as keys of the taxonomy and
/// those words that people use for keys of their own.
const SPECIAL: &[&str] = &[
    "user.biometric",
    "user.biometric_health",
    "user.demographic.political_opinion",
    "user.demographic.race_ethnicity",
    "user.demographic.religious_belief",
    "user.demographic.sexual_orientation",
    "user.demographic.trade_union_membership",
    "user.genetic",
    "user.health_and_medical",
];

/// Whether a key is one of a special category.
#[must_use]
pub fn is_special(key: &str) -> bool {
    SPECIAL.iter().any(|special| super::covers(special, key))
}

/// What is missing.
pub(super) fn findings(inputs: &Inputs<'_>) -> Vec<Finding> {
    let spec = &inputs.activity.spec;
    let mut findings = Vec::new();
    required(inputs, &mut findings);
    parties(spec, &mut findings);
    if !inputs.is_processor() {
        bases(spec, &mut findings);
    }
    for category in spec.data_categories.iter().filter(|category| category.art9.is_none()) {
        if is_special(&category.key) {
            findings.push(found::ART9_CONDITION_MISSING.at(
                format!("spec.dataCategories[{}].art9", category.key),
                format!("{} is a special category of personal data", category.key),
            ));
        }
    }
    if let Some(decisions) = &spec.automated_decisions
        && decisions.used
        && decisions.logic.is_none()
    {
        findings.push(found::LOGIC_MISSING.at(
            "spec.automatedDecisions.logic",
            "decisions are made by machines alone, and the record does not say how",
        ));
    }
    let introduced = date(spec.introduced_on.as_deref(), "spec.introducedOn", &mut findings);
    date(spec.changed_on.as_deref(), "spec.changedOn", &mut findings);
    if let Some(review) = &spec.review {
        findings.extend(overdue(review, introduced, inputs.today()));
    }
    findings
}

/// The lists that the law wants filled.
fn required(inputs: &Inputs<'_>, findings: &mut Vec<Finding>) {
    let spec = &inputs.activity.spec;
    let processor = inputs.is_processor();
    let mut missing = |is_missing: bool, field: &str, article: &str, what: &str| {
        if is_missing {
            findings.push(found::ART30_FIELD_MISSING.at(field, format!("{article} asks for {what}")));
        }
    };
    missing(
        spec.purposes.is_empty(),
        "spec.purposes",
        if processor { "Art. 30(2)(b)" } else { "Art. 30(1)(b)" },
        if processor {
            "the categories of processing"
        } else {
            "the purposes"
        },
    );
    missing(
        spec.measures.is_empty(),
        "spec.measures",
        if processor { "Art. 30(2)(d)" } else { "Art. 30(1)(g)" },
        "a general description of the technical and organisational measures",
    );
    missing(
        processor && spec.on_behalf_of.is_empty(),
        "spec.onBehalfOf",
        "Art. 30(2)(a)",
        "each controller on whose behalf the data is processed",
    );
    missing(
        !processor && spec.data_subjects.is_empty(),
        "spec.dataSubjects",
        "Art. 30(1)(c)",
        "the categories of data subjects",
    );
    missing(
        !processor && spec.data_categories.is_empty(),
        "spec.dataCategories",
        "Art. 30(1)(c)",
        "the categories of personal data",
    );
    missing(
        !processor && spec.recipients.is_empty() && !spec.recipients_closed,
        "spec.recipients",
        "Art. 30(1)(d)",
        "the categories of recipients; write recipientsClosed: true if nobody receives the data",
    );
    missing(
        !processor && spec.retention.is_empty(),
        "spec.retention",
        "Art. 30(1)(f)",
        "the envisaged time limits for erasure",
    );
    missing(
        spec.role == Role::JointController && spec.joint_controllers.is_empty(),
        "spec.jointControllers",
        "Art. 30(1)(a)",
        "the joint controllers",
    );
}

/// Everybody who is named can be reached.
fn parties(spec: &ProcessingActivitySpec, findings: &mut Vec<Finding>) {
    for party in spec
        .joint_controllers
        .iter()
        .filter(|party| party.contact.is_none() && party.address.is_none())
    {
        findings.push(found::ART30_FIELD_MISSING.at(
            format!("spec.jointControllers[{}].contact", party.name),
            "Art. 30(1)(a) asks for name and contact details of each joint controller",
        ));
    }
    for principal in spec.on_behalf_of.iter().filter(|principal| principal.contact.is_none()) {
        findings.push(found::ART30_FIELD_MISSING.at(
            format!("spec.onBehalfOf[{}].contact", principal.name),
            "Art. 30(2)(a) asks for name and contact details of each controller",
        ));
    }
}

fn bases(spec: &ProcessingActivitySpec, findings: &mut Vec<Finding>) {
    if spec.legal_bases.is_empty() {
        findings.push(found::LEGAL_BASIS_MISSING.at("spec.legalBases", "no legal basis is named"));
    }
    for (index, basis) in spec.legal_bases.iter().enumerate() {
        if basis.basis == LegalBasisKind::LegitimateInterests && basis.interest.is_none() {
            findings.push(found::INTEREST_MISSING.at(
                format!("spec.legalBases[{index}].interest"),
                "the legitimate interest is not named",
            ));
        }
    }
}

/// Whether the next review was due before today.
fn overdue(review: &Review, introduced: Option<Date>, today: Date) -> Vec<Finding> {
    let mut findings = Vec::new();
    let every: Result<Period, _> = review.every.parse();
    let Some(every) = every.ok().filter(|period| !period.has_time_part()) else {
        findings.push(found::INVALID_PERIOD.at(
            "spec.review.every",
            format!("`{}` is no period of days, weeks, months or years", review.every),
        ));
        return findings;
    };
    let last = date(review.last_on.as_deref(), "spec.review.lastOn", &mut findings);
    let from = match (&review.last_on, last) {
        (Some(_), None) => return findings,
        (_, last) => last.or(introduced),
    };
    let span = Span::new()
        .try_months(every.months())
        .and_then(|span| span.try_days(every.days()));
    let due = from.and_then(|from| from.checked_add(span.ok()?).ok());
    match (from, due) {
        (None, _) => findings.push(found::REVIEW_OVERDUE.at(
            "spec.review.lastOn",
            "the record was never reviewed, and the day on which it began is not known",
        )),
        (Some(_), Some(due)) if due < today => {
            findings.push(found::REVIEW_OVERDUE.at("spec.review.lastOn", format!("the review was due on {due}")));
        }
        _ => {}
    }
    findings
}
