//! `LegalHold`: rows that nothing may touch until somebody releases them. It names nobody.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition as StatusCondition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::SecretReference;
use super::data_retention_policy::{Condition, DataSourceReference};

/// Rows that no rule deletes, masks or sets until the hold is released.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "privacy-operator.dev",
    version = "v1alpha1",
    kind = "LegalHold",
    plural = "legalholds",
    shortname = "lh",
    category = "privacy",
    namespaced,
    status = "LegalHoldStatus",
    derive = "PartialEq",
    doc = "Rows that no rule deletes, masks or sets until the hold is released. It binds from the moment its condition `InForce` is True. Deleting it does not release it: set `spec.released`. What it binds cannot be changed: create another hold, then release this one.",
    printcolumn(name = "Matter", type_ = "string", json_path = ".spec.matter"),
    printcolumn(name = "Basis", type_ = "string", json_path = ".spec.basis"),
    printcolumn(
        name = "In-Force",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='InForce')].status",
        description = "Whether nothing can touch the rows."
    ),
    printcolumn(
        name = "Since",
        type_ = "date",
        json_path = ".status.since",
        description = "How long it has been in force."
    ),
    printcolumn(
        name = "Review",
        type_ = "string",
        json_path = ".spec.reviewAt",
        description = "Day on which somebody decides whether it is still needed."
    ),
    printcolumn(name = "Released", type_ = "boolean", json_path = ".spec.released"),
    printcolumn(
        name = "Source",
        type_ = "string",
        json_path = ".spec.dataSourceRef.name",
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
    )
)]
#[x_kube(
    validation = Rule::new("!has(self.when) || !has(self.subjectSecretRef)").message("set at most one of when (rows by their columns) and subjectSecretRef (rows of a person); without both every row of the datasets is held"),
    validation = Rule::new("!self.released || self.basis != 'Restriction' || has(self.subjectInformedOn)").message("a Restriction is released after the person was told (Art. 18(3) GDPR): set subjectInformedOn"),
    validation = Rule::new("self.released || !oldSelf.released").message("a released hold stays released: create a new one"),
    validation = Rule::new("self.dataSourceRef == oldSelf.dataSourceRef && self.datasets == oldSelf.datasets && has(self.when) == has(oldSelf.when) && (!has(self.when) || self.when == oldSelf.when) && has(self.subjectSecretRef) == has(oldSelf.subjectSecretRef) && (!has(self.subjectSecretRef) || self.subjectSecretRef == oldSelf.subjectSecretRef) && self.matter == oldSelf.matter && self.basis == oldSelf.basis").message("what a hold binds, and why, cannot be changed: create another hold, then release this one")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LegalHoldSpec {
    /// The store, an object of this namespace. The hold binds the policies of every namespace that name this store.
    pub data_source_ref: DataSourceReference,

    /// Names of datasets of the `DataSource`. For `subjectSecretRef` those come along through which a row is found to be
    /// the person's.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)))]
    pub datasets: Vec<String>,

    /// Which rows of each dataset are held: all conditions hold. Columns are those of the dataset, none that says who
    /// somebody is. Neither `now` nor columns of related rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub when: Vec<Condition>,

    /// Secret of this namespace that names a person: a key for each identity by which the datasets say whose rows they
    /// have. An empty value says that the person has no such identity. It is read by workers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_secret_ref: Option<SecretReference>,

    /// File number, such as `M-2026-014`. No names.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[A-Za-z0-9]([-._/A-Za-z0-9]*[A-Za-z0-9])?$")
    )]
    pub matter: String,

    /// Why the rows must stay.
    pub basis: HoldBasis,

    /// The law behind it, for example `Art. 17(3)(e) GDPR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub legal_reference: Option<String>,

    /// Day on which somebody decides whether the hold is still needed, as `YYYY-MM-DD`. The hold does not end then.
    #[schemars(length(min = 10, max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub review_at: String,

    /// Ends the hold, for good. What is due by then goes with the next run.
    #[serde(default)]
    pub released: bool,

    /// Day on which the person was told that a `Restriction` ends, as `YYYY-MM-DD`. A release counts from that day on (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub subject_informed_on: Option<String>,
}

/// Why rows must stay.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum HoldBasis {
    /// Legal claims are made, exercised or defended (Art. 17(3)(e) GDPR).
    LegalClaims,
    /// The person asked for restriction instead of deletion (Art. 18 GDPR).
    Restriction,
    /// An authority or an internal inquiry needs them.
    Investigation,
}

/// Whether the hold binds.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LegalHoldStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Since when it has been in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,

    /// Tables of which it binds rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,

    /// Policies, as `namespace/name`, whose work does not know the hold yet, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<String>,

    /// `Ready`: the hold is understood. `InForce`: no run can touch what it binds. `ReviewOverdue`: the day of `reviewAt` has
    /// come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<StatusCondition>,
}
