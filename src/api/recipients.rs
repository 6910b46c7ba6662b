//! Who receives personal data, and what makes a transfer to a third country lawful.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Somebody who receives personal data.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recipient {
    /// Kind of recipient, for example `hosting`.
    #[schemars(length(min = 1, max = 253))]
    pub category: String,

    /// Its name, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,

    /// What it is in law. Absent: not known (finding `RecipientRoleMissing`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RecipientRole>,

    /// Countries in which it handles the data, as in ISO 3166-1 (two capital letters).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 2, max = 2), regex(pattern = r"^[A-Z]{2}$")))]
    pub countries: Vec<String>,

    /// Purposes for which it may use the data, keys of `purposes`. Absent: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 128), regex(pattern = r"^[a-z0-9_]+(\.[a-z0-9_]+)*$"))
    )]
    pub allowed_purposes: Vec<String>,

    /// The agreement with it: needed for processors (Art. 28) and joint controllers (Art. 26).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Agreement>,

    /// It gives money or something else of value for the data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sold: bool,
}

/// What a recipient is in law.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum RecipientRole {
    /// Processes on behalf of the controller (Art. 28).
    Processor,
    /// Processes on behalf of a processor (Art. 28(4)).
    SubProcessor,
    /// Decides for itself what it does with the data.
    Controller,
    /// Decides together with the controller (Art. 26).
    JointController,
    /// A public authority.
    Authority,
    /// Everybody: the data is published.
    Public,
}

/// An agreement with a recipient.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Agreement {
    /// Which agreement.
    #[serde(rename = "type")]
    pub type_: AgreementType,

    /// Day of the last signature, as `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub signed_on: Option<String>,

    /// Where it is filed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub reference: Option<String>,
}

/// The agreements that the law asks for.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum AgreementType {
    /// With a processor.
    Art28,
    /// Between joint controllers.
    Art26,
    /// Any other.
    Other,
}

/// A transfer to third countries.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Transfer {
    /// Who receives the data there: the name or the category of a recipient.
    #[schemars(length(min = 1, max = 253))]
    pub recipient: String,

    /// The countries, as in ISO 3166-1 (two capital letters).
    #[schemars(
        length(min = 1, max = 64),
        inner(length(min = 2, max = 2), regex(pattern = r"^[A-Z]{2}$"))
    )]
    pub countries: Vec<String>,

    /// What makes the transfer lawful. Absent: nothing is known (finding `TransferWithoutMechanism`). Where two apply,
    /// write two transfers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<TransferMechanism>,

    /// Where the clauses, the decision, the certificate or the assessment can be found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub reference: Option<String>,

    /// Day on which clauses or rules were executed, as `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub executed_on: Option<String>,

    /// Day of the first transfer, as `YYYY-MM-DD`. Absent: `introducedOn` of the activity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub active_from: Option<String>,

    /// It happens now and then, and not as a routine. Only then do the derogations of Art. 49 carry it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub occasional: bool,
}

/// What can make a transfer to a third country lawful (chapter V).
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum TransferMechanism {
    /// A decision of the Commission (Art. 45(3)).
    AdequacyDecision,
    /// Standard contractual clauses of the Commission (Art. 46(2)(c)).
    StandardContractualClauses,
    /// Binding corporate rules (Art. 46(2)(b)).
    BindingCorporateRules,
    /// An approved code of conduct (Art. 46(2)(e)).
    CodeOfConduct,
    /// An approved certification (Art. 46(2)(f)).
    Certification,
    /// Explicit consent to the transfer (Art. 49(1)(a)): a derogation.
    ExplicitConsent,
    /// Needed for a contract with, or in the interest of, the person (Art. 49(1)(b), (c)): a derogation.
    ContractNecessity,
    /// Needed for legal claims (Art. 49(1)(e)): a derogation.
    LegalClaims,
    /// Compelling legitimate interests (Art. 49(1), second subparagraph): `reference` names the documented safeguards.
    CompellingInterests,
}
