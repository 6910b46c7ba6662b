//! An activity held against its notice, and the notice against the law.

use super::{Inputs, article30, countries, covers, date, found, sorted};
use crate::api::findings::Finding;
use crate::api::privacy_notice::ProhibitionKind;
use crate::api::processing_activity::{LegalBasisKind, ProcessingActivitySpec, StoredBy};
use crate::api::{PrivacyNotice, ProcessingActivity};
use crate::domain::hash;

/// What of an activity people must be told, as a hash: when it changes under one version of the notice, the notice is
/// behind. Reviews, measures and units are no part of it.
#[must_use]
pub fn disclosure_hash(activity: &ProcessingActivity) -> String {
    let spec = &activity.spec;
    let retention: Vec<_> = spec
        .retention
        .iter()
        .map(|line| (&line.categories, &line.stated))
        .collect();
    let told = serde_json::to_vec(&(
        (spec.role, &spec.purposes, &spec.legal_bases),
        (&spec.data_subjects, &spec.data_categories, &spec.sources),
        (&spec.automated_decisions, &spec.recipients, &spec.recipients_closed),
        (&spec.transfers, retention),
    ));
    // These types have string keys and finite numbers only: serialisation cannot fail.
    hash::short(&told.unwrap_or_default())
}

/// An activity held against the notice that it names.
pub(super) fn of_activity(inputs: &Inputs<'_>) -> Vec<Finding> {
    let spec = &inputs.activity.spec;
    let Some(notice) = inputs.notice else {
        let name = &spec.notice_ref.name;
        return vec![found::UNKNOWN_NOTICE.at("spec.noticeRef.name", format!("there is no PrivacyNotice `{name}`"))];
    };
    let mut findings = Vec::new();
    allowed_bases(spec, notice, &mut findings);
    for prohibition in &notice.spec.prohibitions {
        let clause = prohibition
            .clause
            .as_ref()
            .map_or_else(String::new, |clause| format!(" (clause {clause})"));
        for (field, what) in violations(prohibition.kind, spec) {
            let message = format!("{what}, and the notice {} rules it out{clause}", spec.notice_ref.name);
            findings.push(found::PROHIBITION_VIOLATED.at(field, message));
        }
    }
    named_recipients(spec, notice, &mut findings);
    behind(inputs, notice, &mut findings);
    findings
}

fn allowed_bases(spec: &ProcessingActivitySpec, notice: &PrivacyNotice, findings: &mut Vec<Finding>) {
    let allowed = &notice.spec.allowed_legal_bases;
    if allowed.is_empty() {
        return;
    }
    for (index, basis) in spec.legal_bases.iter().enumerate() {
        if !allowed.contains(&basis.basis) {
            let field = format!("spec.legalBases[{index}].basis");
            let message = format!(
                "the notice {} does not name {}",
                spec.notice_ref.name,
                basis_words(basis.basis)
            );
            findings.push(found::LEGAL_BASIS_NOT_IN_NOTICE.at(field, message));
        }
    }
}

/// A basis with its letter of Art. 6(1).
#[must_use]
pub const fn basis_words(basis: LegalBasisKind) -> &'static str {
    match basis {
        LegalBasisKind::Consent => "consent (Art. 6(1)(a))",
        LegalBasisKind::Contract => "a contract (Art. 6(1)(b))",
        LegalBasisKind::LegalObligation => "a legal obligation (Art. 6(1)(c))",
        LegalBasisKind::VitalInterests => "vital interests (Art. 6(1)(d))",
        LegalBasisKind::PublicTask => "a public task (Art. 6(1)(e))",
        LegalBasisKind::LegitimateInterests => "legitimate interests (Art. 6(1)(f))",
    }
}

/// Fields of an activity that do what is ruled out, each with what they do.
fn violations(kind: ProhibitionKind, spec: &ProcessingActivitySpec) -> Vec<(String, String)> {
    let categories = |wanted: &dyn Fn(&str) -> bool, what: &str| -> Vec<(String, String)> {
        spec.data_categories
            .iter()
            .filter(|category| wanted(&category.key))
            .map(|category| {
                let field = format!("spec.dataCategories[{}]", category.key);
                (field, format!("{} {what}", category.key))
            })
            .collect()
    };
    let decisions = spec.automated_decisions.as_ref();
    match kind {
        ProhibitionKind::SpecialCategories => {
            let marked: Vec<&str> = spec
                .data_categories
                .iter()
                .filter(|category| category.art9.is_some())
                .map(|category| category.key.as_str())
                .collect();
            categories(
                &|key| article30::is_special(key) || marked.contains(&key),
                "is a special category",
            )
        }
        ProhibitionKind::PaymentCards => categories(&is_payment_card, "is a number of a payment card"),
        ProhibitionKind::Sale => spec
            .recipients
            .iter()
            .enumerate()
            .filter(|(_, recipient)| recipient.sold)
            .map(|(index, _)| {
                (
                    format!("spec.recipients[{index}].sold"),
                    "the recipient gives something for the data".to_owned(),
                )
            })
            .collect(),
        ProhibitionKind::Profiling => {
            let declared = decisions.filter(|decisions| decisions.profiling).map(|_| {
                (
                    "spec.automatedDecisions.profiling".to_owned(),
                    "people are profiled".to_owned(),
                )
            });
            let purposes = spec
                .purposes
                .iter()
                .filter(|purpose| purpose.key.split('.').any(|part| part == "profiling"))
                .map(|purpose| {
                    (
                        format!("spec.purposes[{}]", purpose.key),
                        "the purpose is profiling".to_owned(),
                    )
                });
            declared.into_iter().chain(purposes).collect()
        }
        ProhibitionKind::AutomatedDecisions => decisions
            .filter(|decisions| decisions.used)
            .map(|_| {
                (
                    "spec.automatedDecisions.used".to_owned(),
                    "machines decide alone".to_owned(),
                )
            })
            .into_iter()
            .collect(),
        ProhibitionKind::Children => spec
            .data_subjects
            .iter()
            .filter(|subject| matches!(subject.as_str(), "child" | "children"))
            .map(|subject| ("spec.dataSubjects".to_owned(), format!("data subjects are {subject}")))
            .collect(),
        ProhibitionKind::AdvertisingOnDevices => {
            let advertises = spec
                .purposes
                .iter()
                .any(|purpose| covers("marketing.advertising", &purpose.key));
            spec.retention
                .iter()
                .enumerate()
                .filter(|(_, line)| {
                    advertises
                        && line
                            .stated
                            .as_ref()
                            .is_some_and(|stated| stated.stored_by == StoredBy::Device)
                })
                .map(|(index, _)| {
                    (
                        format!("spec.retention[{index}].stated.storedBy"),
                        "something is stored on devices for advertising".to_owned(),
                    )
                })
                .collect()
        }
    }
}

/// The numbers of cards themselves: what a payment service hands back for them is none.
fn is_payment_card(key: &str) -> bool {
    covers("user.financial.credit_card", key) || covers("user.payment.card", key)
}

fn named_recipients(spec: &ProcessingActivitySpec, notice: &PrivacyNotice, findings: &mut Vec<Finding>) {
    let named = &notice.spec.recipients;
    if named.is_empty() {
        return;
    }
    for (index, recipient) in spec.recipients.iter().enumerate() {
        let known =
            named.contains(&recipient.category) || recipient.name.as_ref().is_some_and(|name| named.contains(name));
        if !known {
            let who = recipient.name.as_ref().unwrap_or(&recipient.category);
            findings.push(found::RECIPIENT_NOT_IN_NOTICE.at(
                format!("spec.recipients[{index}]"),
                format!("the notice {} does not name {who}", spec.notice_ref.name),
            ));
        }
    }
}

/// The activity began or changed after the notice, or what people were told has changed since this version was first
/// seen with it.
fn behind(inputs: &Inputs<'_>, notice: &PrivacyNotice, findings: &mut Vec<Finding>) {
    let spec = &inputs.activity.spec;
    let mut ignored = Vec::new();
    if let Some(effective) = date(notice.spec.effective_from.as_deref(), "", &mut ignored) {
        for (field, text) in [
            ("spec.introducedOn", &spec.introduced_on),
            ("spec.changedOn", &spec.changed_on),
        ] {
            if let Some(day) = date(text.as_deref(), field, &mut ignored).filter(|day| *day > effective) {
                findings.push(found::NOTICE_BEHIND.at(
                    field,
                    format!("this is of {day}, and the notice in force is from {effective}"),
                ));
            }
        }
    }
    let disclosed = inputs
        .activity
        .status
        .as_ref()
        .and_then(|status| status.disclosed.as_ref());
    if let Some(disclosed) = disclosed
        && disclosed.notice_version == notice.spec.version
        && disclosed.hash != disclosure_hash(inputs.activity)
    {
        findings.push(found::NOTICE_BEHIND.at(
            "spec",
            format!(
                "the record has changed since version {} of the notice was published",
                notice.spec.version
            ),
        ));
    }
}

/// The notice held against the law.
#[must_use]
pub fn of_notice(notice: &PrivacyNotice) -> Vec<Finding> {
    let spec = &notice.spec;
    let mut findings = Vec::new();
    for controller in &spec.controllers {
        let path = format!("spec.controllers[{}]", controller.name);
        if controller.address.is_none() {
            findings.push(found::ART30_FIELD_MISSING.at(
                format!("{path}.address"),
                "Art. 30(1)(a) asks for contact details of the controller: there is no address",
            ));
        }
        if controller.contact.is_none() {
            findings.push(found::ART30_FIELD_MISSING.at(
                format!("{path}.contact"),
                "Art. 30(1)(a) asks for contact details of the controller: there is no e-mail address, number or page",
            ));
        }
    }
    let all_outside = spec
        .controllers
        .iter()
        .all(|controller| controller.country.as_deref().is_some_and(countries::is_third));
    if all_outside && spec.representative.is_none() {
        findings.push(found::REPRESENTATIVE_MISSING.at(
            "spec.representative",
            "no controller is in the Union, and there is no representative",
        ));
    }
    if spec.data_protection_officer.is_none() {
        findings.push(found::OFFICER_MISSING.at("spec.dataProtectionOfficer", "no data protection officer is named"));
    }
    if spec.supervisory_authority.is_none() {
        findings.push(found::AUTHORITY_MISSING.at("spec.supervisoryAuthority", "no supervisory authority is named"));
    }
    match spec.effective_from.as_deref() {
        None => findings.push(found::NOTICE_UNDATED.at("spec.effectiveFrom", "the notice has no day")),
        Some(text) => {
            date(Some(text), "spec.effectiveFrom", &mut findings);
        }
    }
    sorted(findings)
}
