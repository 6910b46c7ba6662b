//! `ProcessingActivity`: a line of the record of processing (Art. 30 GDPR), and how it stands in reality.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::activity_status::ProcessingActivityStatus;
use super::common::Party;
pub use super::measures::{AccessSubject, HashScheme, HashedField, Measure, MeasureKind, Protected, SubjectKind};
pub use super::recipients::{Agreement, AgreementType, Recipient, RecipientRole, Transfer, TransferMechanism};

/// What is done with personal data, for which purpose, on which basis, by whom, and for how long: one record of
/// processing (Art. 30 GDPR).
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "privacy-operator.dev",
    version = "v1alpha1",
    kind = "ProcessingActivity",
    plural = "processingactivities",
    shortname = "pa",
    category = "privacy",
    namespaced,
    status = "ProcessingActivityStatus",
    derive = "PartialEq",
    doc = "What is done with personal data, for which purpose, on which basis, by whom, and for how long: one record of processing (Art. 30 GDPR). Status says of each retention line and measure whether it is observed, and lists what is missing or contradicts the notice.",
    printcolumn(name = "Role", type_ = "string", json_path = ".spec.role"),
    printcolumn(name = "Purposes", type_ = "string", json_path = ".status.purposes"),
    printcolumn(
        name = "Observed",
        type_ = "string",
        json_path = ".status.observed",
        description = "Retention lines and measures that were seen to be so, of all."
    ),
    printcolumn(
        name = "Findings",
        type_ = "string",
        json_path = ".status.findingsSummary",
        description = "Number of findings, with those of severity Error."
    ),
    printcolumn(
        name = "Title",
        type_ = "string",
        json_path = ".spec.title",
        priority = 1
    ),
    printcolumn(
        name = "Notice",
        type_ = "string",
        json_path = ".spec.noticeRef.name",
        priority = 1
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        priority = 1
    ),
    validation = Rule::new("self.spec.role == 'Processor' || !has(self.spec.onBehalfOf)").message("spec.onBehalfOf goes only with role Processor: it names the controllers for whom the data is processed"),
    validation = Rule::new("self.spec.role == 'JointController' || !has(self.spec.jointControllers)").message("spec.jointControllers goes only with role JointController")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProcessingActivitySpec {
    /// The notice that tells people of this activity.
    pub notice_ref: NoticeReference,

    /// Name of the activity in the register.
    #[schemars(length(min = 1, max = 253))]
    pub title: String,

    /// What happens, in a few sentences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub description: Option<String>,

    /// Where the notice speaks of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub clauses: Vec<Clause>,

    /// Department that is responsible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub responsible_unit: Option<String>,

    /// Day on which the activity began, as `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub introduced_on: Option<String>,

    /// Day on which something last changed of which people must be told, as `YYYY-MM-DD`. In the cluster such a change
    /// is noticed without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub changed_on: Option<String>,

    /// How often the record is looked over, and when it last was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,

    /// In which role the data is processed. A `Processor` is asked for the record of Art. 30(2) only.
    pub role: Role,

    /// The other controllers of a joint activity (Art. 26).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub joint_controllers: Vec<Party>,

    /// The controllers for whom a processor works (Art. 30(2)(a)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub on_behalf_of: Vec<Principal>,

    /// The purposes (Art. 30(1)(b)); of a processor the categories of processing (Art. 30(2)(b)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["key".into()]))]
    pub purposes: Vec<Purpose>,

    /// Why it is lawful (Art. 6). A processor needs none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub legal_bases: Vec<LegalBasis>,

    /// Whose data it is, keys such as `customer` or `job_applicant` (Art. 30(1)(c)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9_]+$")))]
    pub data_subjects: Vec<String>,

    /// Which data it is (Art. 30(1)(c)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["key".into()]))]
    pub data_categories: Vec<DataCategory>,

    /// Where data comes from that the people did not give themselves (Art. 14(2)(f)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub sources: Vec<Source>,

    /// Decisions by machines alone, and profiling (Art. 13(2)(f), 22).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automated_decisions: Option<AutomatedDecisions>,

    /// Who receives the data (Art. 30(1)(d)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub recipients: Vec<Recipient>,

    /// The notice says that nobody but `recipients` receives the data. With no recipients: nobody at all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recipients_closed: bool,

    /// Transfers to third countries and what makes them lawful (Art. 30(1)(e), 30(2)(c)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub transfers: Vec<Transfer>,

    /// How long each category is kept (Art. 30(1)(f)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub retention: Vec<RetentionLine>,

    /// Technical and organisational measures (Art. 30(1)(g), 30(2)(d), 32).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub measures: Vec<Measure>,
}

/// Names a `PrivacyNotice`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoticeReference {
    /// Name of the `PrivacyNotice`, which is cluster-scoped.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A place of the notice and what it says there.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Clause {
    /// Where it stands, for example `4.2`.
    #[schemars(length(min = 1, max = 64))]
    pub clause: String,

    /// What it says, in your words or its own.
    #[schemars(length(min = 1, max = 1024))]
    pub says: String,
}

/// How often a record is looked over.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Review {
    /// ISO 8601 period between two reviews, in days, weeks, months or years, for example `P1Y`.
    #[schemars(length(min = 3, max = 32))]
    pub every: String,

    /// Day of the last review, as `YYYY-MM-DD`. Absent: none yet, and the first is due `every` after `introducedOn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub last_on: Option<String>,
}

/// In which role data is processed.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Role {
    /// Decides on purposes and means alone.
    Controller,
    /// Decides on them together with others (Art. 26).
    JointController,
    /// Processes on behalf of a controller (Art. 28).
    Processor,
}

/// A controller for whom a processor works.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Principal {
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// How to reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub contact: Option<String>,

    /// Its representative in the Union, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub representative: Option<String>,

    /// Its data protection officer, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub data_protection_officer: Option<String>,
}

/// What data is used for.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Purpose {
    /// A data use of the Fideslang taxonomy such as `employment.recruitment`, or a key of your own of that form.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[a-z0-9_]+(\.[a-z0-9_]+)*$"))]
    pub key: String,

    /// The purpose in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub description: Option<String>,

    /// The notice says that the data is used for nothing else. A dataset of this activity that also serves an activity
    /// with other purposes is a finding.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exclusive: bool,
}

/// Why a processing is lawful.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LegalBasis {
    /// The letter of Art. 6(1), as a word.
    pub basis: LegalBasisKind,

    /// The legitimate interest that is pursued (Art. 13(1)(d)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub interest: Option<String>,

    /// To whom or what this basis applies, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub applies_to: Option<String>,

    /// The provision, for example `§ 26 BDSG`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub reference: Option<String>,
}

/// The legal bases of Art. 6(1).
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum LegalBasisKind {
    /// Art. 6(1)(a).
    Consent,
    /// Art. 6(1)(b).
    Contract,
    /// Art. 6(1)(c).
    LegalObligation,
    /// Art. 6(1)(d).
    VitalInterests,
    /// Art. 6(1)(e).
    PublicTask,
    /// Art. 6(1)(f).
    LegitimateInterests,
}

/// A category of personal data.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataCategory {
    /// A data category of the Fideslang taxonomy such as `user.contact.email`, or a key of your own of that form. It
    /// covers what stands below it: `user.contact` covers `user.contact.email`.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[a-z0-9_]+(\.[a-z0-9_]+)*$"))]
    pub key: String,

    /// The category in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub description: Option<String>,

    /// Whether people must give it, by law or contract (Art. 13(2)(e)). Absent: not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,

    /// What happens when they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub consequence: Option<String>,

    /// The condition of Art. 9(2) under which a special category may be processed. Set: it is a special category,
    /// whatever its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub art9: Option<Art9Condition>,
}

/// The conditions of Art. 9(2).
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Art9Condition {
    /// Explicit consent.
    #[serde(rename = "A9-2-a")]
    A,
    /// Employment and social protection law.
    #[serde(rename = "A9-2-b")]
    B,
    /// Vital interests.
    #[serde(rename = "A9-2-c")]
    C,
    /// A foundation or association with a political, philosophical, religious or trade union aim.
    #[serde(rename = "A9-2-d")]
    D,
    /// Made public by the person.
    #[serde(rename = "A9-2-e")]
    E,
    /// Legal claims, courts.
    #[serde(rename = "A9-2-f")]
    F,
    /// Substantial public interest.
    #[serde(rename = "A9-2-g")]
    G,
    /// Health and social care.
    #[serde(rename = "A9-2-h")]
    H,
    /// Public health.
    #[serde(rename = "A9-2-i")]
    I,
    /// Archives, research, statistics.
    #[serde(rename = "A9-2-j")]
    J,
}

/// Where data comes from that the people did not give themselves.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// Name or kind of the source.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// Everybody can look there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public: bool,
}

/// Decisions by machines alone, and profiling.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AutomatedDecisions {
    /// Decisions with legal or similar effect are made without a person.
    pub used: bool,

    /// Personal aspects are evaluated, as in interests, behaviour or performance.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub profiling: bool,

    /// The logic involved, and what it means for people. Required by Art. 13(2)(f) where `used` is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub logic: Option<String>,
}

/// How long categories of data are kept.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("has(self.ruleRef) != has(self.stated)").message("set exactly one of ruleRef (a rule of a DataRetentionPolicy keeps it) and stated (it is written down only)"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetentionLine {
    /// Categories that the line is about, keys of `dataCategories` or above them.
    #[schemars(
        length(min = 1, max = 64),
        inner(length(min = 1, max = 128), regex(pattern = r"^[a-z0-9_]+(\.[a-z0-9_]+)*$"))
    )]
    pub categories: Vec<String>,

    /// The rule that keeps the promise. Whether it does is shown in status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_ref: Option<RuleReference>,

    /// A period that no rule of this operator keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated: Option<StatedRetention>,
}

/// Names a rule of a `DataRetentionPolicy` of this namespace.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleReference {
    /// Name of the policy.
    #[schemars(length(min = 1, max = 253))]
    pub policy: String,

    /// Name of the rule in it.
    #[schemars(length(min = 1, max = 63))]
    pub rule: String,
}

/// A period that is written down only.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatedRetention {
    /// The words of the notice.
    #[schemars(length(min = 1, max = 512))]
    pub text: String,

    /// The period as an ISO 8601 duration. Absent: the notice gives no number (finding `RetentionIndeterminate`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 32))]
    pub period: Option<String>,

    /// Where the data is.
    pub stored_by: StoredBy,
}

/// Who holds data that no rule of this operator reaches.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum StoredBy {
    /// The person's own device, as a cookie.
    Device,
    /// Somebody else.
    ThirdParty,
    /// A store, a file or a cupboard of the controller without a rule.
    Other,
}
