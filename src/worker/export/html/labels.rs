//! The words of the pages, in English and German.

use serde::de::DeserializeOwned;

use crate::contract::export::{Basis, Language, Localized, Origin, Regime, Right};
use crate::register;
use crate::worker::export::dataset::{LeftOut, Withheld};

/// The words of the pages in one language.
pub struct Labels {
    /// Code of the language.
    pub code: &'static str,
    /// What the other language calls itself.
    pub own_name: &'static str,
    /// Heading where no controller is known.
    pub title: &'static str,
    /// Heading before the controller's name.
    pub title_at: &'static str,
    pub access: &'static str,
    pub portability: &'static str,
    pub received: &'static str,
    pub collected: &'static str,
    pub contents: &'static str,
    pub contents_hint: &'static str,
    pub files_hint: &'static str,
    pub dataset: &'static str,
    pub belongs_to: &'static str,
    pub rows: &'static str,
    pub no_rows: &'static str,
    pub why: &'static str,
    pub purposes: &'static str,
    pub legal_bases: &'static str,
    pub categories: &'static str,
    pub required: &'static str,
    pub recipients: &'static str,
    pub transfers: &'static str,
    pub retention: &'static str,
    pub sources: &'static str,
    pub decisions: &'static str,
    pub decisions_none: &'static str,
    pub decisions_some: &'static str,
    pub on_behalf_of: &'static str,
    pub not_stated: &'static str,
    pub no_transfer: &'static str,
    pub from_you: &'static str,
    pub rights: &'static str,
    pub rights_lead: &'static str,
    pub rights_list: &'static [&'static str],
    pub complaint: &'static str,
    pub who: &'static str,
    pub controller: &'static str,
    pub representative: &'static str,
    pub officer: &'static str,
    pub authority: &'static str,
    pub missing: &'static str,
    pub missing_hint: &'static str,
    pub nothing_missing: &'static str,
    pub withheld: &'static str,
    pub undeclared: &'static str,
    pub uncovered: &'static str,
    pub other_person: &'static str,
    pub other_person_hint: &'static str,
    pub page: &'static str,
    pub previous: &'static str,
    pub next: &'static str,
    pub back: &'static str,
    pub row: &'static str,
    pub file: &'static str,
    pub shortened: &'static str,
    pub empty: &'static str,
    pub notice: &'static str,
}

/// English.
pub const ENGLISH: Labels = Labels {
    code: "en",
    own_name: "English",
    title: "Your personal data",
    title_at: "Your personal data at",
    access: "This is the answer to your request for access",
    portability: "These are your data to take with you",
    received: "Request received",
    collected: "Data collected",
    contents: "What we hold about you",
    contents_hint: "Each line leads to a page with the data itself.",
    files_hint: "Besides these pages the archive holds",
    dataset: "Data",
    belongs_to: "Used for",
    rows: "Entries",
    no_rows: "no entries about you",
    why: "Why, for how long, and who gets it",
    purposes: "Purposes",
    legal_bases: "Legal basis",
    categories: "Kinds of data",
    required: "must be provided",
    recipients: "Recipients",
    transfers: "Transfers to other countries, and safeguards",
    retention: "Kept for",
    sources: "Where the data comes from",
    decisions: "Automated decisions",
    decisions_none: "none, and no profiling",
    decisions_some: "Decisions are made automatically",
    on_behalf_of: "On behalf of",
    not_stated: "not stated",
    no_transfer: "none stated",
    from_you: "from you and from your use of the service; no other source is stated",
    rights: "Your rights",
    rights_lead: "You have the right",
    rights_list: &[
        "to have wrong data corrected",
        "to have data erased",
        "to have its use restricted",
        "to object to its use",
        "to receive data that you provided in a form that machines read",
        "to withdraw a consent at any time, for the future",
    ],
    complaint: "You may complain to a supervisory authority",
    who: "Who is responsible",
    controller: "Controller",
    representative: "Representative",
    officer: "Data protection officer",
    authority: "Supervisory authority",
    missing: "What is not in here, and why",
    missing_hint: "Nothing is left out without being named here.",
    nothing_missing: "Nothing was left out.",
    withheld: "columns that are withheld",
    undeclared: "columns that are not described yet and are therefore not read; ask us about them",
    uncovered: "kinds of data that are named above but for which no place of storage is described here",
    other_person: "other person",
    other_person_hint: "Where an entry is about several people, the others' part is shown as \"other person\".",
    page: "Page",
    previous: "Previous page",
    next: "Next page",
    back: "Back to the overview",
    row: "Entry",
    file: "file",
    shortened: "shortened here; whole in data.json",
    empty: "empty",
    notice: "Version of the privacy notice",
};

/// German.
pub const GERMAN: Labels = Labels {
    code: "de",
    own_name: "Deutsch",
    title: "Ihre personenbezogenen Daten",
    title_at: "Ihre personenbezogenen Daten bei",
    access: "Dies ist die Antwort auf Ihr Auskunftsersuchen",
    portability: "Dies sind Ihre Daten zum Mitnehmen",
    received: "Anfrage eingegangen",
    collected: "Daten zusammengestellt",
    contents: "Was wir über Sie speichern",
    contents_hint: "Jede Zeile führt zu einer Seite mit den Daten selbst.",
    files_hint: "Neben diesen Seiten enthält das Archiv",
    dataset: "Daten",
    belongs_to: "Verwendet für",
    rows: "Einträge",
    no_rows: "keine Einträge über Sie",
    why: "Wozu, wie lange und wer sie erhält",
    purposes: "Zwecke",
    legal_bases: "Rechtsgrundlage",
    categories: "Arten von Daten",
    required: "muss angegeben werden",
    recipients: "Empfänger",
    transfers: "Übermittlung in andere Länder und Garantien",
    retention: "Speicherdauer",
    sources: "Woher die Daten stammen",
    decisions: "Automatisierte Entscheidungen",
    decisions_none: "keine, auch kein Profiling",
    decisions_some: "Entscheidungen werden automatisiert getroffen",
    on_behalf_of: "Im Auftrag von",
    not_stated: "keine Angabe",
    no_transfer: "keine angegeben",
    from_you: "von Ihnen und aus Ihrer Nutzung des Dienstes; keine andere Quelle ist angegeben",
    rights: "Ihre Rechte",
    rights_lead: "Sie haben ein Recht",
    rights_list: &[
        "auf Berichtigung falscher Daten",
        "auf Löschung",
        "auf Einschränkung der Verarbeitung",
        "auf Widerspruch gegen die Verarbeitung",
        "auf Erhalt der von Ihnen bereitgestellten Daten in maschinenlesbarer Form",
        "auf Widerruf einer Einwilligung, jederzeit und für die Zukunft",
    ],
    complaint: "Sie können sich bei einer Aufsichtsbehörde beschweren",
    who: "Wer verantwortlich ist",
    controller: "Verantwortlicher",
    representative: "Vertreter",
    officer: "Datenschutzbeauftragter",
    authority: "Aufsichtsbehörde",
    missing: "Was hier fehlt und warum",
    missing_hint: "Nichts ist weggelassen, ohne dass es hier steht.",
    nothing_missing: "Nichts wurde weggelassen.",
    withheld: "Spalten, die zurückgehalten werden",
    undeclared: "Spalten, die noch nicht beschrieben sind und darum nicht gelesen wurden; fragen Sie uns danach",
    uncovered: "Arten von Daten, die oben genannt sind, zu denen hier aber kein Speicherort beschrieben ist",
    other_person: "andere Person",
    other_person_hint: "Wo ein Eintrag mehrere Menschen betrifft, steht an der Stelle der anderen „andere Person“.",
    page: "Seite",
    previous: "Vorige Seite",
    next: "Nächste Seite",
    back: "Zurück zur Übersicht",
    row: "Eintrag",
    file: "Datei",
    shortened: "hier gekürzt; vollständig in data.json",
    empty: "leer",
    notice: "Fassung der Datenschutzerklärung",
};

/// The words of a language.
#[must_use]
pub const fn labels(language: Language) -> &'static Labels {
    match language {
        Language::English => &ENGLISH,
        Language::German => &GERMAN,
    }
}

impl Labels {
    /// A text in this language, or in the other where there is none.
    #[must_use]
    pub fn of<'a>(&self, text: &'a Localized) -> &'a str {
        let (own, other) = if self.code == "de" {
            (&text.de, &text.en)
        } else {
            (&text.en, &text.de)
        };
        if own.is_empty() { other } else { own }
    }

    /// One of two texts.
    const fn pick(&self, english: &'static str, german: &'static str) -> &'static str {
        if self.code.as_bytes()[0] == b'd' {
            german
        } else {
            english
        }
    }

    /// What the person asked for, and under which law.
    #[must_use]
    pub fn request(&self, right: Right, regime: Regime) -> String {
        let what = match right {
            Right::Access => self.access,
            Right::Portability => self.portability,
        };
        let law = match (regime, right) {
            (Regime::Gdpr, Right::Access) => self.pick("Art. 15 GDPR", "Art. 15 DSGVO"),
            (Regime::Gdpr, Right::Portability) => self.pick("Art. 20 GDPR", "Art. 20 DSGVO"),
            (Regime::Ccpa, _) => "California Consumer Privacy Act",
            (Regime::ShineTheLight, _) => "California Civil Code § 1798.83",
        };
        format!("{what} ({law}).")
    }

    /// The language of the record, whose words these pages share.
    const fn language(&self) -> register::Language {
        if self.code.as_bytes()[0] == b'd' {
            register::Language::German
        } else {
            register::Language::English
        }
    }

    /// What a recipient is.
    #[must_use]
    pub fn role(&self, role: &str) -> String {
        word(role, |role| register::recipient_role(role, self.language()))
    }

    /// What a transfer to another country rests on.
    #[must_use]
    pub fn mechanism(&self, mechanism: &str) -> String {
        word(mechanism, |mechanism| register::mechanism(mechanism, self.language()))
    }

    /// A legal basis.
    #[must_use]
    pub const fn basis(&self, basis: Basis) -> &'static str {
        match basis {
            Basis::Consent => self.pick(
                "your consent (Art. 6(1)(a) GDPR)",
                "Ihre Einwilligung (Art. 6 Abs. 1 lit. a DSGVO)",
            ),
            Basis::Contract => self.pick(
                "a contract with you (Art. 6(1)(b) GDPR)",
                "ein Vertrag mit Ihnen (Art. 6 Abs. 1 lit. b DSGVO)",
            ),
            Basis::LegalObligation => self.pick(
                "a legal obligation (Art. 6(1)(c) GDPR)",
                "eine rechtliche Verpflichtung (Art. 6 Abs. 1 lit. c DSGVO)",
            ),
            Basis::VitalInterests => self.pick(
                "vital interests (Art. 6(1)(d) GDPR)",
                "lebenswichtige Interessen (Art. 6 Abs. 1 lit. d DSGVO)",
            ),
            Basis::PublicTask => self.pick(
                "a public task (Art. 6(1)(e) GDPR)",
                "eine öffentliche Aufgabe (Art. 6 Abs. 1 lit. e DSGVO)",
            ),
            Basis::LegitimateInterests => self.pick(
                "legitimate interests (Art. 6(1)(f) GDPR)",
                "berechtigte Interessen (Art. 6 Abs. 1 lit. f DSGVO)",
            ),
        }
    }

    /// Where a column's data came from.
    #[must_use]
    pub const fn origin(&self, origin: Origin) -> &'static str {
        match origin {
            Origin::Provided => self.pick("provided by you", "von Ihnen angegeben"),
            Origin::Observed => self.pick("from your use", "aus Ihrer Nutzung"),
            Origin::Derived => self.pick("derived", "abgeleitet"),
            Origin::ThirdParty => self.pick("from others", "von anderen"),
        }
    }

    /// Why a column is withheld.
    #[must_use]
    pub const fn reason(&self, reason: Withheld) -> &'static str {
        match reason {
            Withheld::Secret => self.pick(
                "a password, token or other secret, which protects you",
                "ein Passwort, Token oder anderes Geheimnis, das Sie schützt",
            ),
            Withheld::NotPortable => self.pick(
                "neither provided by you nor observed of you (Art. 20(1) GDPR)",
                "weder von Ihnen bereitgestellt noch bei Ihnen beobachtet (Art. 20 Abs. 1 DSGVO)",
            ),
        }
    }

    /// Why a dataset is left out.
    #[must_use]
    pub const fn left_out(&self, reason: LeftOut) -> &'static str {
        match reason {
            LeftOut::NoSubjects => self.pick(
                "it is not described whose these entries are",
                "es ist nicht beschrieben, wessen Einträge dies sind",
            ),
            LeftOut::NotPortable => self.pick(
                "not based on consent or contract (Art. 20(1) GDPR)",
                "beruht nicht auf Einwilligung oder Vertrag (Art. 20 Abs. 1 DSGVO)",
            ),
            LeftOut::NoColumns => self.pick(
                "none of its columns may leave or is described",
                "keine ihrer Spalten darf heraus oder ist beschrieben",
            ),
        }
    }
}

/// A word of the plan in a language; one that is not known stays as it is.
fn word<W: DeserializeOwned>(name: &str, words: impl Fn(W) -> &'static str) -> String {
    serde_json::from_value(name.into()).map_or_else(|_| name.to_owned(), |word| words(word).to_owned())
}

/// A category key for people: `user.contact.phone_number` becomes `contact › phone number`.
#[must_use]
pub fn category(key: &str) -> String {
    key.strip_prefix("user.")
        .unwrap_or(key)
        .replace('.', " › ")
        .replace('_', " ")
}
