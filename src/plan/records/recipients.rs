//! Recipients, the agreements with them, and transfers to third countries.

use super::{Inputs, countries, covers, date, found};
use crate::api::findings::{Finding, Severity};
use crate::api::processing_activity::{
    AgreementType, ProcessingActivitySpec, Recipient, RecipientRole, Transfer, TransferMechanism,
};

pub(super) fn findings(inputs: &Inputs<'_>) -> Vec<Finding> {
    let spec = &inputs.activity.spec;
    let mut findings = Vec::new();
    for (index, recipient) in spec.recipients.iter().enumerate() {
        let path = format!("spec.recipients[{index}]");
        of_recipient(spec, recipient, &path, &mut findings);
        agreement(recipient, &path, &mut findings);
    }
    for (index, transfer) in spec.transfers.iter().enumerate() {
        of_transfer(spec, transfer, &format!("spec.transfers[{index}]"), &mut findings);
    }
    findings
}

fn who(recipient: &Recipient) -> &str {
    recipient.name.as_ref().unwrap_or(&recipient.category)
}

fn is_named(recipient: &Recipient, by: &str) -> bool {
    recipient.category == by || recipient.name.as_deref() == Some(by)
}

fn of_recipient(spec: &ProcessingActivitySpec, recipient: &Recipient, path: &str, findings: &mut Vec<Finding>) {
    let name = who(recipient);
    let is_public = recipient.role == Some(RecipientRole::Public);
    if recipient.role.is_none() {
        findings
            .push(found::RECIPIENT_ROLE_MISSING.at(format!("{path}.role"), format!("what {name} is, is not known")));
    }
    let transferred: Vec<&Transfer> = spec
        .transfers
        .iter()
        .filter(|transfer| is_named(recipient, &transfer.recipient))
        .collect();
    if recipient.countries.is_empty() && transferred.is_empty() && !is_public {
        let message = format!("where {name} handles the data is not known");
        findings.push(found::COUNTRY_MISSING.at(format!("{path}.countries"), message));
    }
    for country in recipient
        .countries
        .iter()
        .filter(|country| countries::is_third(country))
    {
        let covered = transferred.iter().any(|transfer| transfer.countries.contains(country));
        if !covered && !countries::is_adequate_for_everybody(country) {
            findings.push(found::TRANSFER_WITHOUT_MECHANISM.at(
                format!("{path}.countries"),
                format!("{name} handles the data in {country}, a third country, and transfers has no entry for it"),
            ));
        }
    }
    for purpose in &recipient.allowed_purposes {
        if !spec.purposes.iter().any(|known| covers(&known.key, purpose)) {
            findings.push(found::RECIPIENT_PURPOSE.at(
                format!("{path}.allowedPurposes"),
                format!("{name} may use the data for {purpose}, which is no purpose of this activity"),
            ));
        }
    }
}

fn agreement(recipient: &Recipient, path: &str, findings: &mut Vec<Finding>) {
    let name = who(recipient);
    let wanted = match recipient.role {
        Some(RecipientRole::Processor | RecipientRole::SubProcessor) => AgreementType::Art28,
        Some(RecipientRole::JointController) => AgreementType::Art26,
        _ => AgreementType::Other,
    };
    let agreement = recipient.agreement.as_ref();
    let there = agreement.is_some_and(|agreement| agreement.type_ == wanted);
    match wanted {
        AgreementType::Art28 if !there => findings.push(found::PROCESSOR_WITHOUT_AGREEMENT.at(
            format!("{path}.agreement"),
            format!("{name} is a processor, and no agreement of Art. 28 is written down"),
        )),
        AgreementType::Art26 if !there => findings.push(found::JOINT_ARRANGEMENT_MISSING.at(
            format!("{path}.agreement"),
            format!("{name} is a joint controller, and no arrangement of Art. 26 is written down"),
        )),
        _ => {}
    }
    let field = format!("{path}.agreement.signedOn");
    match agreement {
        Some(agreement) if there && agreement.signed_on.is_none() && wanted != AgreementType::Other => findings.push(
            found::AGREEMENT_UNDATED.at(field, format!("when the agreement with {name} was signed is not known")),
        ),
        Some(agreement) => {
            date(agreement.signed_on.as_deref(), &field, findings);
        }
        None => {}
    }
}

fn of_transfer(spec: &ProcessingActivitySpec, transfer: &Transfer, path: &str, findings: &mut Vec<Finding>) {
    let to = &transfer.recipient;
    if !spec.recipients.iter().any(|recipient| is_named(recipient, to)) {
        let closed = if spec.recipients_closed {
            ", and the notice says that nobody else receives the data"
        } else {
            ""
        };
        findings.push(found::RECIPIENT_NOT_LISTED.at(
            format!("{path}.recipient"),
            format!("data is transferred to {to}, which is none of the recipients{closed}"),
        ));
    }
    let third: Vec<&String> = transfer
        .countries
        .iter()
        .filter(|country| countries::is_third(country))
        .collect();
    let Some(mechanism) = transfer.mechanism else {
        for country in third
            .iter()
            .filter(|country| !countries::is_adequate_for_everybody(country))
        {
            let message = format!("data is transferred to {to} in {country}, and nothing says what makes it lawful");
            findings.push(found::TRANSFER_WITHOUT_MECHANISM.at(format!("{path}.mechanism"), message));
        }
        return;
    };
    match mechanism {
        TransferMechanism::AdequacyDecision => {
            for country in third {
                adequacy(transfer, country, path, findings);
            }
        }
        TransferMechanism::StandardContractualClauses | TransferMechanism::BindingCorporateRules => {
            order(spec, transfer, path, findings);
        }
        TransferMechanism::ExplicitConsent | TransferMechanism::ContractNecessity | TransferMechanism::LegalClaims => {
            derogation(transfer, mechanism, path, findings);
        }
        TransferMechanism::CompellingInterests => {
            derogation(transfer, mechanism, path, findings);
            if transfer.reference.is_none() {
                findings.push(found::SAFEGUARDS_UNDOCUMENTED.at(
                    format!("{path}.reference"),
                    "the second subparagraph of Art. 49(1) and Art. 30(1)(e) ask for documented safeguards",
                ));
            }
        }
        TransferMechanism::CodeOfConduct | TransferMechanism::Certification => {}
    }
}

fn adequacy(transfer: &Transfer, country: &str, path: &str, findings: &mut Vec<Finding>) {
    let as_of = countries::AS_OF;
    match countries::adequacy(country) {
        None => {
            let mut finding = found::ADEQUACY_NOT_KNOWN.at(
                format!("{path}.mechanism"),
                format!("no adequacy decision for {country} was in force on {as_of}"),
            );
            if transfer.reference.is_some() {
                // Somebody looked it up: to be checked, but no longer wrong on the face of it.
                finding.severity = Severity::Info;
            }
            findings.push(finding);
        }
        Some(decision) => {
            if let (Some(only_for), None) = (decision.only_for, &transfer.reference) {
                findings.push(found::ADEQUACY_CONDITIONAL.at(
                    format!("{path}.reference"),
                    format!("the decision for {country} holds for {only_for} only"),
                ));
            }
        }
    }
}

/// Clauses come first, data second.
fn order(spec: &ProcessingActivitySpec, transfer: &Transfer, path: &str, findings: &mut Vec<Finding>) {
    let executed = date(transfer.executed_on.as_deref(), &format!("{path}.executedOn"), findings);
    let mut ignored = Vec::new();
    let active = match &transfer.active_from {
        Some(text) => date(Some(text), &format!("{path}.activeFrom"), findings),
        None => date(spec.introduced_on.as_deref(), "", &mut ignored),
    };
    match (executed, active) {
        (None, _) if transfer.executed_on.is_none() => findings.push(found::MECHANISM_UNDATED.at(
            format!("{path}.executedOn"),
            format!(
                "when the clauses with {} were executed is not known",
                transfer.recipient
            ),
        )),
        (Some(executed), Some(active)) if executed > active => findings.push(found::CLAUSES_AFTER_TRANSFER.at(
            format!("{path}.executedOn"),
            format!("the clauses were executed on {executed}, and the transfer began on {active}"),
        )),
        _ => {}
    }
}

fn derogation(transfer: &Transfer, mechanism: TransferMechanism, path: &str, findings: &mut Vec<Finding>) {
    if transfer.occasional {
        return;
    }
    findings.push(found::DEROGATION_FOR_ROUTINE.at(
        format!("{path}.mechanism"),
        format!(
            "the transfer to {} is a routine, and {} is a derogation for specific situations",
            transfer.recipient,
            derogation_words(mechanism)
        ),
    ));
}

const fn derogation_words(mechanism: TransferMechanism) -> &'static str {
    match mechanism {
        TransferMechanism::ExplicitConsent => "explicit consent (Art. 49(1)(a))",
        TransferMechanism::ContractNecessity => "need for a contract (Art. 49(1)(b))",
        TransferMechanism::LegalClaims => "need for legal claims (Art. 49(1)(e))",
        _ => "compelling interests (Art. 49(1))",
    }
}
