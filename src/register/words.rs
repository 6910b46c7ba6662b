//! The words of the register, in English and German.

use super::Language;
use crate::api::measures::{Measure, MeasureKind, Protected};
use crate::api::privacy_notice::ProhibitionKind;
use crate::api::processing_activity::{
    AgreementType, LegalBasisKind, RecipientRole, Role, StoredBy, TransferMechanism,
};

/// A section: key, article for controllers, article for processors, heading in English and German.
pub(super) struct Heading {
    pub key: &'static str,
    pub article: &'static str,
    pub processor: &'static str,
    pub english: &'static str,
    pub german: &'static str,
}

const fn heading(
    key: &'static str,
    article: &'static str,
    processor: &'static str,
    english: &'static str,
    german: &'static str,
) -> Heading {
    Heading {
        key,
        article,
        processor,
        english,
        german,
    }
}

pub(super) const CONTROLLERS: Heading = heading("controllers", "Art. 30(1)(a)", "", "Controllers", "Verantwortliche");
pub(super) const REPRESENTATIVE: Heading = heading(
    "representative",
    "Art. 30(1)(a)",
    "",
    "Representative in the Union",
    "Vertreter in der Union",
);
pub(super) const OFFICER: Heading = heading(
    "dataProtectionOfficer",
    "Art. 30(1)(a)",
    "",
    "Data protection officer",
    "Datenschutzbeauftragte(r)",
);
pub(super) const AUTHORITY: Heading = heading(
    "supervisoryAuthority",
    "",
    "",
    "Supervisory authority",
    "Aufsichtsbehörde",
);
pub(super) const NOTICE: Heading = heading("notice", "", "", "Privacy notice", "Datenschutzerklärung");
pub(super) const PROHIBITIONS: Heading = heading(
    "prohibitions",
    "",
    "",
    "What the notice rules out",
    "Was die Erklärung ausschließt",
);
pub(super) const GENERAL: Heading = heading("general", "", "", "General", "Allgemeines");
pub(super) const ROLE: Heading = heading(
    "role",
    "Art. 30(1)(a)",
    "Art. 30(2)(a)",
    "Role, and on whose behalf",
    "Rolle und Auftraggeber",
);
pub(super) const PURPOSES: Heading = heading(
    "purposes",
    "Art. 30(1)(b)",
    "Art. 30(2)(b)",
    "Purposes of the processing",
    "Zwecke der Verarbeitung",
);
pub(super) const BASES: Heading = heading("legalBases", "Art. 6(1)", "", "Legal bases", "Rechtsgrundlagen");
pub(super) const SUBJECTS: Heading = heading(
    "dataSubjects",
    "Art. 30(1)(c)",
    "",
    "Categories of data subjects",
    "Kategorien betroffener Personen",
);
pub(super) const CATEGORIES: Heading = heading(
    "dataCategories",
    "Art. 30(1)(c)",
    "",
    "Categories of personal data",
    "Kategorien personenbezogener Daten",
);
pub(super) const SOURCES: Heading = heading("sources", "Art. 14(2)(f)", "", "Sources", "Herkunft der Daten");
pub(super) const DECISIONS: Heading = heading(
    "automatedDecisions",
    "Art. 22",
    "",
    "Automated decisions and profiling",
    "Automatisierte Entscheidungen und Profiling",
);
pub(super) const RECIPIENTS: Heading = heading(
    "recipients",
    "Art. 30(1)(d)",
    "",
    "Categories of recipients",
    "Kategorien von Empfängern",
);
pub(super) const TRANSFERS: Heading = heading(
    "transfers",
    "Art. 30(1)(e)",
    "Art. 30(2)(c)",
    "Transfers to third countries",
    "Übermittlungen in Drittländer",
);
pub(super) const RETENTION: Heading = heading(
    "retention",
    "Art. 30(1)(f)",
    "",
    "Time limits for erasure",
    "Fristen für die Löschung",
);
pub(super) const MEASURES: Heading = heading(
    "measures",
    "Art. 30(1)(g), 32",
    "Art. 30(2)(d), 32",
    "Technical and organisational measures",
    "Technische und organisatorische Maßnahmen",
);
pub(super) const STORES: Heading = heading("stores", "", "", "Where the data is", "Wo die Daten liegen");
pub(super) const CLAUSES: Heading = heading("clauses", "", "", "What the notice says", "Was die Erklärung sagt");
pub(super) const FINDINGS: Heading = heading("findings", "", "", "Findings", "Befunde");

pub(super) const fn title(language: Language) -> &'static str {
    language.pick(
        "Record of processing activities (Art. 30 GDPR)",
        "Verzeichnis von Verarbeitungstätigkeiten (Art. 30 DSGVO)",
    )
}

pub(super) const fn observed(word: &str, language: Language) -> &'static str {
    match word.as_bytes() {
        b"True" => language.pick("seen to be so", "gesehen"),
        b"False" => language.pick("NOT so", "NICHT so"),
        _ => language.pick("not seen", "nicht gesehen"),
    }
}

/// The spec's own words in English.
pub(super) fn prohibition(kind: ProhibitionKind, language: Language) -> String {
    let german = match kind {
        ProhibitionKind::SpecialCategories => "Besondere Kategorien personenbezogener Daten",
        ProhibitionKind::Sale => "Verkauf",
        ProhibitionKind::Profiling => "Profiling",
        ProhibitionKind::AutomatedDecisions => "Automatisierte Entscheidungen",
        ProhibitionKind::Children => "Daten von Kindern",
        ProhibitionKind::PaymentCards => "Zahlungskarten",
        ProhibitionKind::AdvertisingOnDevices => "Werbung auf Geräten",
    };
    language.pick(&format!("{kind:?}"), german).to_owned()
}

/// What is claimed, in German. `None`: a measure in words.
pub(super) fn measure(measure: &Measure) -> Option<String> {
    let kind = match measure.kind {
        MeasureKind::EncryptionAtRest => "Verschlüsselung gespeicherter Daten",
        MeasureKind::EncryptionInTransit => "Verschlüsselung der Übertragung",
        MeasureKind::PasswordHashing => "Passwörter nur als Hash",
        MeasureKind::AccessControl => "Beschränkter Zugriff",
        MeasureKind::Described => return None,
    };
    let of = measure.of.map(|of| match of {
        Protected::KubernetesSecrets => "Secrets des Clusters",
        Protected::Database => "Datenbank",
        Protected::Volume => "Datenträger",
        Protected::Backup => "Sicherungskopien",
        Protected::Routes => "Verbindungen",
    });
    let fields = measure
        .fields
        .iter()
        .map(|field| format!("{}.{}", field.dataset, field.column));
    let of: Vec<String> = of
        .map(str::to_owned)
        .into_iter()
        .chain(fields)
        .chain(measure.secrets.clone())
        .collect();
    Some(format!("{kind} ({})", of.join(", ")))
}

pub(super) fn severity(word: &str, language: Language) -> &str {
    match word {
        "Error" => language.pick("Error", "Fehler"),
        "Warning" => language.pick("Warning", "Warnung"),
        _ => language.pick("Info", "Hinweis"),
    }
}

pub(super) const fn role(role: Role, language: Language) -> &'static str {
    match role {
        Role::Controller => language.pick("Controller", "Verantwortlicher"),
        Role::JointController => language.pick("Joint controller (Art. 26)", "Gemeinsam Verantwortlicher (Art. 26)"),
        Role::Processor => language.pick("Processor (Art. 28)", "Auftragsverarbeiter (Art. 28)"),
    }
}

pub(super) const fn basis(basis: LegalBasisKind, language: Language) -> &'static str {
    match basis {
        LegalBasisKind::Consent => language.pick("Consent, Art. 6(1)(a)", "Einwilligung, Art. 6 Abs. 1 lit. a"),
        LegalBasisKind::Contract => language.pick("Contract, Art. 6(1)(b)", "Vertrag, Art. 6 Abs. 1 lit. b"),
        LegalBasisKind::LegalObligation => language.pick(
            "Legal obligation, Art. 6(1)(c)",
            "Rechtliche Verpflichtung, Art. 6 Abs. 1 lit. c",
        ),
        LegalBasisKind::VitalInterests => language.pick(
            "Vital interests, Art. 6(1)(d)",
            "Lebenswichtige Interessen, Art. 6 Abs. 1 lit. d",
        ),
        LegalBasisKind::PublicTask => {
            language.pick("Public task, Art. 6(1)(e)", "Öffentliche Aufgabe, Art. 6 Abs. 1 lit. e")
        }
        LegalBasisKind::LegitimateInterests => language.pick(
            "Legitimate interests, Art. 6(1)(f)",
            "Berechtigte Interessen, Art. 6 Abs. 1 lit. f",
        ),
    }
}

pub(crate) const fn recipient_role(role: RecipientRole, language: Language) -> &'static str {
    match role {
        RecipientRole::Processor => language.pick("processor", "Auftragsverarbeiter"),
        RecipientRole::SubProcessor => language.pick("sub-processor", "Unterauftragsverarbeiter"),
        RecipientRole::Controller => language.pick("controller of its own", "eigener Verantwortlicher"),
        RecipientRole::JointController => language.pick("joint controller", "gemeinsam Verantwortlicher"),
        RecipientRole::Authority => language.pick("public authority", "Behörde"),
        RecipientRole::Public => language.pick("the public", "Öffentlichkeit"),
    }
}

pub(super) const fn agreement(agreement: AgreementType, language: Language) -> &'static str {
    match agreement {
        AgreementType::Art28 => language.pick(
            "processing agreement (Art. 28)",
            "Auftragsverarbeitungsvertrag (Art. 28)",
        ),
        AgreementType::Art26 => language.pick("joint arrangement (Art. 26)", "Vereinbarung (Art. 26)"),
        AgreementType::Other => language.pick("agreement", "Vertrag"),
    }
}

pub(crate) const fn mechanism(mechanism: TransferMechanism, language: Language) -> &'static str {
    match mechanism {
        TransferMechanism::AdequacyDecision => {
            language.pick("adequacy decision, Art. 45", "Angemessenheitsbeschluss, Art. 45")
        }
        TransferMechanism::StandardContractualClauses => language.pick(
            "standard contractual clauses, Art. 46(2)(c)",
            "Standardvertragsklauseln, Art. 46 Abs. 2 lit. c",
        ),
        TransferMechanism::BindingCorporateRules => language.pick(
            "binding corporate rules, Art. 46(2)(b)",
            "verbindliche interne Vorschriften, Art. 46 Abs. 2 lit. b",
        ),
        TransferMechanism::CodeOfConduct => language.pick(
            "code of conduct, Art. 46(2)(e)",
            "Verhaltensregeln, Art. 46 Abs. 2 lit. e",
        ),
        TransferMechanism::Certification => {
            language.pick("certification, Art. 46(2)(f)", "Zertifizierung, Art. 46 Abs. 2 lit. f")
        }
        TransferMechanism::ExplicitConsent => language.pick(
            "explicit consent, Art. 49(1)(a)",
            "ausdrückliche Einwilligung, Art. 49 Abs. 1 lit. a",
        ),
        TransferMechanism::ContractNecessity => language.pick(
            "needed for a contract, Art. 49(1)(b)",
            "für einen Vertrag erforderlich, Art. 49 Abs. 1 lit. b",
        ),
        TransferMechanism::LegalClaims => language.pick(
            "needed for legal claims, Art. 49(1)(e)",
            "für Rechtsansprüche erforderlich, Art. 49 Abs. 1 lit. e",
        ),
        TransferMechanism::CompellingInterests => language.pick(
            "compelling interests, Art. 49(1)",
            "zwingende Interessen, Art. 49 Abs. 1",
        ),
    }
}

pub(super) const fn stored_by(by: StoredBy, language: Language) -> &'static str {
    match by {
        StoredBy::Device => language.pick("on the person's device", "auf dem Gerät der Person"),
        StoredBy::ThirdParty => language.pick("at a third party", "bei einem Dritten"),
        StoredBy::Other => language.pick("without a rule of this operator", "ohne Regel dieses Operators"),
    }
}
