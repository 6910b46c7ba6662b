//! `PrivacyNotice`: what the published privacy policy says of the whole platform.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Party;
use super::findings::Finding;
use super::processing_activity::LegalBasisKind;

/// The published privacy notice: who is responsible, which version is in force, and what it rules out for every
/// processing activity that refers to it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "privacy-operator.dev",
    version = "v1alpha1",
    kind = "PrivacyNotice",
    plural = "privacynotices",
    shortname = "pn",
    category = "privacy",
    status = "PrivacyNoticeStatus",
    derive = "PartialEq",
    doc = "The published privacy notice: who is responsible, which version is in force, and what it rules out for every processing activity that refers to it. It is the head of the register. Cluster-scoped: the activities of every namespace may refer to it.",
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(
        name = "Controller",
        type_ = "string",
        json_path = ".spec.controllers[0].name",
        description = "The first controller."
    ),
    printcolumn(
        name = "Activities",
        type_ = "integer",
        json_path = ".status.activities",
        description = "How many processing activities refer to it."
    ),
    printcolumn(
        name = "Findings",
        type_ = "integer",
        json_path = ".status.findingsCount",
        description = "Findings about the notice itself."
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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrivacyNoticeSpec {
    /// Version as published, for example `1.1` or `2021-06-22`.
    #[schemars(length(min = 1, max = 64))]
    pub version: String,

    /// Day from which this version is in force, as `YYYY-MM-DD`. Activities that were introduced or changed later are
    /// not described by it (finding `NoticeBehind`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub effective_from: Option<String>,

    /// Languages in which it is published, as `de` or `en-GB`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 2, max = 16)))]
    pub languages: Vec<String>,

    /// Domains for which it is published.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub domains: Vec<String>,

    /// The controllers; several are joint (Art. 30(1)(a)).
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub controllers: Vec<Party>,

    /// Representative in the Union of a controller outside of it (Art. 27).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub representative: Option<Party>,

    /// Data protection officer (Art. 37).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_protection_officer: Option<Party>,

    /// Supervisory authority to which people can complain (Art. 77).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervisory_authority: Option<Party>,

    /// Legal bases that the notice names. An activity with another one is a finding. Absent: every basis is allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 6))]
    pub allowed_legal_bases: Vec<LegalBasisKind>,

    /// What the notice promises not to do. An activity that does it is a finding.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["kind".into()]))]
    pub prohibitions: Vec<Prohibition>,

    /// All recipients that the notice names, by the name or the category that activities use. Set: the list is closed,
    /// and an activity with another recipient is a finding. Absent: not checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 253)))]
    pub recipients: Vec<String>,
}

/// Something that the notice rules out.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prohibition {
    /// What is ruled out.
    pub kind: ProhibitionKind,

    /// Where the notice says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub clause: Option<String>,
}

/// What a notice can rule out, so that activities can be held against it.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum ProhibitionKind {
    /// No special categories of personal data (Art. 9(1)).
    SpecialCategories,
    /// No selling, renting or trading of personal data: no recipient has `sold: true`.
    Sale,
    /// No profiling (Art. 4(4)): no activity has `automatedDecisions.profiling: true` or a purpose of profiling.
    Profiling,
    /// No decisions by machines alone (Art. 22): no activity has `automatedDecisions.used: true`.
    AutomatedDecisions,
    /// Nothing is meant for children: no activity has data subjects `child` or `children`.
    Children,
    /// No numbers of payment cards in stores of its own.
    PaymentCards,
    /// Nothing is stored on devices for advertising.
    AdvertisingOnDevices,
}

/// What is known about the notice.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PrivacyNoticeStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Number of activities that refer to it, in the namespaces that are watched.
    #[serde(default)]
    pub activities: i64,

    /// Number of `findings`.
    #[serde(default)]
    pub findings_count: i64,

    /// What is missing in the notice itself, or not as the law wants it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,

    /// `Ready`: understood. `Complete`: no finding of severity Error or Warning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
