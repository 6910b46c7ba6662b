//! `ExportRequest`: one person's request for their data, and how it is answered. It names nobody.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::SecretReference;
use super::data_retention_policy::DataSourceReference;
pub use super::export_status::ExportRequestStatus;
use super::subject_rights_policy::Right;

/// One person's request for their data. The person is named in a Secret that only workers read.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "privacy-operator.dev",
    version = "v1alpha1",
    kind = "ExportRequest",
    plural = "exportrequests",
    shortname = "xr",
    category = "privacy",
    namespaced,
    status = "ExportRequestStatus",
    derive = "PartialEq",
    doc = "One person's request for their data. The person is named in a Secret that only workers read. Nothing is read before the identity is confirmed and, unless the policy needs none, the request is approved. Only `spec.handling` can be changed.",
    printcolumn(
        name = "Phase",
        type_ = "string",
        json_path = ".status.phase",
        description = "Where the request stands."
    ),
    printcolumn(
        name = "Right",
        type_ = "string",
        json_path = ".spec.right",
        description = "What the person asks for."
    ),
    printcolumn(
        name = "Due",
        type_ = "string",
        json_path = ".status.dueOn",
        description = "Last day for the answer, without regard to weekends."
    ),
    printcolumn(
        name = "Days-Left",
        type_ = "integer",
        json_path = ".status.daysLeft",
        description = "Days until then; negative when overdue. Gone once answered."
    ),
    printcolumn(
        name = "Rows",
        type_ = "integer",
        json_path = ".status.rows",
        description = "Rows of the person, so far while the export runs."
    ),
    printcolumn(
        name = "Size",
        type_ = "string",
        json_path = ".status.size",
        description = "Size of the archive, so far while the export runs."
    ),
    printcolumn(
        name = "Policy",
        type_ = "string",
        json_path = ".spec.rightsPolicyRef.name",
        description = "The policy that the request is handled by.",
        priority = 1
    ),
    printcolumn(
        name = "Lawful-Until",
        type_ = "string",
        json_path = ".status.lawfulUntil",
        description = "Last day for the answer by law: the next working day where the due day is none.",
        priority = 1
    ),
    printcolumn(
        name = "Archive",
        type_ = "string",
        json_path = ".status.archive.location",
        description = "Where the archive is.",
        priority = 1
    ),
    printcolumn(
        name = "Expires",
        type_ = "string",
        json_path = ".status.archive.expiresAt",
        description = "When the archive is deleted.",
        priority = 1
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Why it is ready or is not.",
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
    validation = Rule::new("self.right == oldSelf.right && self.rightsPolicyRef == oldSelf.rightsPolicyRef && self.subjectSecretRef == oldSelf.subjectSecretRef && self.receivedAt == oldSelf.receivedAt").message("only spec.handling can be changed: create a new request"),
    validation = Rule::new("has(self.sealTo) == has(oldSelf.sealTo) && (!has(self.sealTo) || self.sealTo == oldSelf.sealTo) && has(self.dataSourceRefs) == has(oldSelf.dataSourceRefs) && (!has(self.dataSourceRefs) || self.dataSourceRefs == oldSelf.dataSourceRefs)").message("only spec.handling can be changed: create a new request")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportRequestSpec {
    /// What the person asks for: `Access` or `Portability`.
    pub right: Right,

    /// How it is answered: a policy of this namespace.
    pub rights_policy_ref: SubjectRightsPolicyReference,

    /// Secret that names the person. Its keys are names of identities (`user_id`, `email`) as the `subjects` of the
    /// datasets have them, its values the person's, to the byte. Give the Secret an owner reference to this request, so
    /// that it goes with it.
    pub subject_secret_ref: SecretReference,

    /// The stores to look into. Absent: every `DataSource` of this namespace. Those that are left out are named in the
    /// archive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub data_source_refs: Vec<DataSourceReference>,

    /// When the request was received, as an RFC 3339 time: deadlines count from here.
    #[schemars(
        length(min = 20, max = 40),
        regex(
            pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
        )
    )]
    pub received_at: String,

    /// Public keys of `age` (`age1...`) for whose holders the archive is sealed: the person's own, if they have one.
    /// Absent: those of the policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 62, max = 62), regex(pattern = r"^age1[02-9ac-hj-np-z]{58}$"))
    )]
    pub seal_to: Vec<String>,

    /// What people did about it: dates and references, the only part that can be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handling: Option<Handling>,
}

/// Names a `SubjectRightsPolicy` of the object's own namespace.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubjectRightsPolicyReference {
    /// Name of the `SubjectRightsPolicy`, in the namespace of this object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What people did about a request. Every date is a day in the policy's `timeZone`, as `YYYY-MM-DD`.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Handling {
    /// How and when it was made sure who asks. Nothing is read before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,

    /// Day of the approval. Nothing is read before, unless the policy says `approval: NotRequired`. Setting it takes the
    /// verb `approve` on this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub approved_on: Option<String>,

    /// Day on which the person was told that the request has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub acknowledged_on: Option<String>,

    /// More time, with grounds. It counts only if the person was told of it within the first deadline, and never beyond the
    /// policy's `maxExtension`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<Extension>,

    /// The request is not carried out. An archive that is already there is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,

    /// Day on which somebody made sure that no store really has data of this person. Where an export finds no row, the
    /// request does not count as answered without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub nothing_found_confirmed_on: Option<String>,

    /// Day on which the person got the answer. It ends the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub answered_on: Option<String>,

    /// Raise it to try once more after a failure that does not pass by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub retry: Option<i32>,
}

/// How and when it was made sure who asks.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// By what.
    pub method: IdentityMethod,

    /// On which day. Absent: not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub confirmed_on: Option<String>,
}

/// By what it was made sure who asks.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum IdentityMethod {
    /// The person is logged in to their account.
    LoggedIn,
    /// A message to the address on file was answered.
    ConfirmedAddress,
    /// The person knows what only they can know.
    KnownData,
    /// A document was seen.
    Document,
    /// The person was there.
    InPerson,
    /// A representative, whose authority was proven.
    Representative,
}

/// More time for the answer.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Extension {
    /// The new last day.
    #[schemars(length(min = 10, max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub until: String,

    /// Why: `Complexity` of the request, or the `NumberOfRequests` (Art. 12(3) GDPR).
    pub grounds: ExtensionGrounds,

    /// Day on which the person was told, with the reasons.
    #[schemars(length(min = 10, max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub informed_on: String,
}

/// Why more time is needed.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum ExtensionGrounds {
    /// The request is complex.
    Complexity,
    /// There are many requests.
    NumberOfRequests,
}

/// The request is not carried out.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refusal {
    /// On which provision, for example `12(5)(b)` or `1798.145(h)(3)`.
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = r"^[0-9]{1,5}(\.[0-9]{1,5})?[a-z]?(\([0-9a-zA-Z]{1,4}\))*$")
    )]
    pub article: String,

    /// Day on which the person was told, with the reasons and where to complain. It ends the clock. Absent: not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub informed_on: Option<String>,
}
