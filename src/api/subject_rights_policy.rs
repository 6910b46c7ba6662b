//! `SubjectRightsPolicy`: how requests of people about their data are answered.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{SecretKeyReference, SecretReference};
use super::data_source::Network;

/// How requests of people about their data are answered: in which form, where to, how often, how fast.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "privacy-operator.dev",
    version = "v1alpha1",
    kind = "SubjectRightsPolicy",
    plural = "subjectrightspolicies",
    shortname = "srp",
    category = "privacy",
    namespaced,
    status = "SubjectRightsPolicyStatus",
    derive = "PartialEq",
    doc = "How requests of people about their data are answered: in which form, where to, how often, how fast. Creating a request takes the verb `use` on this object.",
    printcolumn(name = "Regime", type_ = "string", json_path = ".spec.regime"),
    printcolumn(
        name = "Open",
        type_ = "integer",
        json_path = ".status.open",
        description = "Requests that are not answered yet."
    ),
    printcolumn(
        name = "Due-Soon",
        type_ = "integer",
        json_path = ".status.dueSoon",
        description = "Open requests that are due within seven days."
    ),
    printcolumn(
        name = "Overdue",
        type_ = "integer",
        json_path = ".status.overdue",
        description = "Open requests whose due date has passed."
    ),
    printcolumn(
        name = "Requests",
        type_ = "integer",
        json_path = ".status.requests",
        description = "All requests that refer to this policy."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Expire-After",
        type_ = "string",
        json_path = ".spec.expireAfter",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        priority = 1
    )
)]
#[x_kube(
    validation = Rule::new("self.regime != 'GDPR' || !has(self.limits) || self.limits.all(l, l.onExceed != 'Refuse')").message("limits[].onExceed: under the GDPR a request is not refused for its number (Art. 12(5)); use Defer")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubjectRightsPolicySpec {
    /// The law under which requests are answered: `GDPR`, `CCPA`, or `ShineTheLight` (California Civil Code 1798.83).
    /// It decides about the deadlines that are not said here.
    pub regime: Regime,

    /// IANA time zone of dates and deadlines, for example `Europe/Berlin`.
    #[serde(default = "default_time_zone")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,

    /// Languages of the pages that a person reads: `en`, `de`. The first is that of `index.html`.
    #[serde(default = "default_languages")]
    #[schemars(length(min = 1, max = 2))]
    pub languages: Vec<Language>,

    /// What an archive holds beside its manifest: `html` (to be read), `json` (to be imported), `csv` (a table for each
    /// dataset).
    #[serde(default = "default_formats")]
    #[schemars(length(min = 1, max = 3))]
    pub formats: Vec<Format>,

    /// Where archives are put.
    pub delivery: Delivery,

    /// Public keys of `age` (`age1...`) for whose holders archives are sealed, where a request names none: the app's or
    /// the officer's. A request keeps the keys that were here when it was accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 62, max = 62), regex(pattern = r"^age1[02-9ac-hj-np-z]{58}$"))
    )]
    pub seal_to: Vec<String>,

    /// Whether an archive may be delivered that nobody sealed: `Refuse` (default) or `Allow`. With `Allow`, whoever can
    /// read the place of delivery can read the data.
    #[serde(default)]
    pub unsealed: Unsealed,

    /// Whether somebody must approve each request (`handling.approvedOn`) before anything is read: `Required` (default)
    /// or `NotRequired`, for example where people are logged in and ask for themselves.
    #[serde(default)]
    pub approval: Approval,

    /// How long an archive is kept after its delivery, an ISO 8601 duration. Then the archive itself is deleted.
    #[serde(default = "default_expire_after")]
    #[schemars(length(min = 3, max = 32))]
    pub expire_after: String,

    /// How often one person's request for a right is carried out. Without an entry there is no limit for that right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub limits: Vec<Limit>,

    /// Name of the identity by which limits count a person, for example `user_id`. A request whose Secret lacks it is not
    /// carried out. Absent: the first in the alphabet, of those that the stores know, that the Secret has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-zA-Z0-9_]([-._a-zA-Z0-9]*[a-zA-Z0-9_])?$")
    )]
    pub count_by: Option<String>,

    /// Secret and key with at least 32 random bytes. By them a person becomes a tag that says nothing about them, and by
    /// which limits count. Only workers mount it. With another key limits begin anew, after their longest window.
    pub hash_key_secret_ref: SecretKeyReference,

    /// By when requests are acknowledged and answered.
    #[serde(default)]
    pub deadlines: Deadlines,

    /// How long a request object stays after it was answered or refused, an ISO 8601 duration.
    #[serde(default = "default_delete_after")]
    #[schemars(length(min = 3, max = 32))]
    pub delete_after: String,

    /// Largest archive, as delivered, in bytes; 10 GiB unless said. A larger one is not delivered at all.
    #[serde(default = "default_max_bytes")]
    #[schemars(range(min = 1_048_576, max = 5_497_558_138_880_i64))]
    pub max_bytes: i64,

    /// Longest time that one export may take, an ISO 8601 duration of hours, minutes and seconds.
    #[serde(default = "default_active_deadline")]
    #[schemars(length(min = 3, max = 32))]
    pub active_deadline: String,

    /// Name of the `PrivacyNotice` whose controllers, officer and authority the first page prints. Absent: the one that
    /// the activities of the datasets refer to, where they agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub notice: Option<String>,
}

fn default_time_zone() -> String {
    "Etc/UTC".to_owned()
}

fn default_languages() -> Vec<Language> {
    vec![Language::En]
}

fn default_formats() -> Vec<Format> {
    vec![Format::Html, Format::Json]
}

fn default_expire_after() -> String {
    "P7D".to_owned()
}

fn default_delete_after() -> String {
    "P3Y".to_owned()
}

const fn default_max_bytes() -> i64 {
    10 * 1024 * 1024 * 1024
}

fn default_active_deadline() -> String {
    "PT1H".to_owned()
}

/// The law under which a request is answered.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum Regime {
    /// Regulation (EU) 2016/679.
    #[serde(rename = "GDPR")]
    Gdpr,
    /// California Consumer Privacy Act.
    #[serde(rename = "CCPA")]
    Ccpa,
    /// California Civil Code 1798.83: disclosures to third parties for their direct marketing.
    ShineTheLight,
}

impl Regime {
    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gdpr => "GDPR",
            Self::Ccpa => "CCPA",
            Self::ShineTheLight => "ShineTheLight",
        }
    }
}

/// A language of the pages.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    En,
    /// German.
    De,
}

/// A form in which data is delivered.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Pages for people.
    Html,
    /// One document with a stable schema.
    Json,
    /// A table for each dataset.
    Csv,
}

/// Where archives are put.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("has(self.objectStore) != has(self.volume)").message("delivery takes exactly one of objectStore and volume"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delivery {
    /// An S3-compatible object store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_store: Option<ObjectStoreDelivery>,

    /// A volume of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeDelivery>,
}

/// An S3-compatible object store.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("!has(self.caSecretRef) || self.endpoint.startsWith('https://')").message("caSecretRef has no meaning with http: use https, or remove it"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectStoreDelivery {
    /// `https://host` or `https://host:port`, without a path. `http://` sends everything in clear and must be said out
    /// loud like this.
    #[schemars(
        length(min = 8, max = 300),
        regex(pattern = r"^https?://[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?(:[0-9]{1,5})?$")
    )]
    pub endpoint: String,

    /// Region, for the signature. `us-east-1` where the store has none.
    #[serde(default = "default_region")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[-a-zA-Z0-9]+$"))]
    pub region: String,

    /// Bucket. It must exist, without versioning: in a versioned bucket a deleted archive would stay readable.
    #[schemars(length(min = 3, max = 63), regex(pattern = r"^[a-z0-9][-.a-z0-9]*[a-z0-9]$"))]
    pub bucket: String,

    /// What the names of archives begin with, for example `exports/`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256), regex(pattern = r"^([a-zA-Z0-9][-_.a-zA-Z0-9]*/)*$"))]
    pub prefix: String,

    /// Secret with the keys `accessKeyId` and `secretAccessKey`. Only workers mount it. It needs the rights to put, head
    /// and delete objects of the prefix, and to abort and list their multipart uploads.
    pub credentials_secret_ref: SecretReference,

    /// Certificate authority (PEM) of the endpoint. Absent: the authorities of the worker's image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyReference>,

    /// Where the object store is on the network, for the NetworkPolicy of export workers. Absent: none, and requests say
    /// `EgressOpen`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

/// A volume of the namespace.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeDelivery {
    /// Name of the `PersistentVolumeClaim`. Export workers write `UID.zip.age` into it.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
}

/// Whether an archive may be delivered that nobody sealed.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Unsealed {
    /// Without a key nothing is read.
    #[default]
    Refuse,
    /// Without a key the archive is readable for everybody who gets it.
    Allow,
}

/// Whether somebody must approve each request.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Approval {
    /// Nothing is read before `handling.approvedOn`.
    #[default]
    Required,
    /// A confirmed identity is enough.
    NotRequired,
}

/// How often one person's request for a right is carried out.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limit {
    /// The right.
    pub right: Right,

    /// How many requests of one person within the window.
    #[schemars(range(min = 1, max = 1000))]
    pub max: i32,

    /// `CalendarYear` (in `timeZone`), or an ISO 8601 duration that slides with the clock, at most one year: `PT1H`, `P1Y`.
    #[schemars(length(min = 3, max = 32))]
    pub window: String,

    /// What happens to one more: `Defer` (default) carries it out when the window allows, `Refuse` never does; somebody
    /// must then tell the person. `Refuse` is not possible under the GDPR.
    #[serde(default)]
    pub on_exceed: OnExceed,
}

/// What a person asks for.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum Right {
    /// Everything about the person (Art. 15 GDPR).
    Access,
    /// What the person provided or what was observed of them, on consent or contract (Art. 20 GDPR).
    Portability,
}

impl Right {
    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "Access",
            Self::Portability => "Portability",
        }
    }
}

/// What happens to one request too many.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OnExceed {
    /// It waits until the window allows it.
    #[default]
    Defer,
    /// It is not carried out.
    Refuse,
}

/// By when requests are acknowledged and answered. The day of receipt is not counted.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deadlines {
    /// By when the person hears that the request has come. Absent: 10 business days under the CCPA, else nothing is promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge: Option<Acknowledge>,

    /// Time for the answer, an ISO 8601 duration in days, weeks, months or years. Absent: `P1M` under the GDPR, `P45D`
    /// under the CCPA, `P30D` under Shine the Light.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 32))]
    pub respond: Option<String>,

    /// Longest extension, an ISO 8601 duration in days, weeks, months or years. Absent: `P2M` under the GDPR, `P45D` under
    /// the CCPA, none under Shine the Light.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 32))]
    pub max_extension: Option<String>,

    /// ConfigMap of this namespace with public holidays. Each key is a year, its value one date a line, `#` begins a
    /// comment: `"2026": "2026-01-01 # New Year"`. A year without a key counts as one without holidays, which makes
    /// deadlines earlier, never later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holidays_ref: Option<ConfigMapReference>,
}

/// By when the person hears that the request has come.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Acknowledge {
    /// Business days after the day of receipt: no Saturdays, Sundays and holidays.
    #[schemars(range(min = 1, max = 60))]
    pub business_days: i32,
}

/// Names a ConfigMap of the object's own namespace.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMapReference {
    /// Name of the ConfigMap, in the namespace of this object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// How the requests under this policy stand.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SubjectRightsPolicyStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Requests that refer to it.
    #[serde(default)]
    pub requests: i64,

    /// Requests that are neither answered nor refused.
    #[serde(default)]
    pub open: i64,

    /// Open requests that are due within seven days.
    #[serde(default)]
    pub due_soon: i64,

    /// Open requests whose due date has passed.
    #[serde(default)]
    pub overdue: i64,

    /// `Ready`: requests can be carried out. `DeadlinesBeyondLaw`: more time is promised than the law gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
