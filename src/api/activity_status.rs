//! What a `ProcessingActivity` says of itself.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::findings::{Finding, ObservedLine};

/// How a record of processing stands: what is observed, and what was found.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ProcessingActivityStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The purposes, for `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purposes: Option<String>,

    /// How many lines were seen to be so, of all; and how many were seen not to be so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,

    /// Number of findings, for `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings_summary: Option<String>,

    /// What was found, the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,

    /// Each retention line of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retention: Vec<ObservedLine>,

    /// Each measure of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measures: Vec<ObservedLine>,

    /// What people were told: the version of the notice, and what of this record was in force when it was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disclosed: Option<Disclosed>,

    /// `Ready`: the notice was found and the record understood. `Complete`: no finding of severity Error or Warning.
    /// `Observed`: whether every line that can be seen from here was seen to be so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// What people were told of an activity.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Disclosed {
    /// Version of the notice.
    pub notice_version: String,

    /// Hash of what this record told when that version was first seen. Another one under the same version: the notice is
    /// behind (finding `NoticeBehind`).
    pub hash: String,
}
