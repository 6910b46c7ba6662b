//! The custom resources: one file a kind, types only, no I/O and no clock.
//!
//! What these types accept is exactly what the operator acts on. A field that nothing reads does not exist, so that
//! no promise is written down and then forgotten.

#![allow(
    clippy::duplicated_attributes,
    reason = "each printer column of #[kube(...)] has a name and a type: clippy takes them for repetitions"
)]

pub mod activity_status;
pub mod cluster_encryption;
pub mod common;
pub mod data_retention_policy;
pub mod data_source;
pub mod disposal;
pub mod export_request;
pub mod export_status;
pub mod findings;
pub mod legal_hold;
pub mod measures;
pub mod privacy_notice;
pub mod processing_activity;
pub mod recipients;
pub mod status;
pub mod subject_rights_policy;

pub use cluster_encryption::{ClusterEncryption, ClusterEncryptionSpec};
pub use common::{SecretKeyReference, SecretReference};
pub use data_retention_policy::{DataRetentionPolicy, DataRetentionPolicySpec};
pub use data_source::{DataSource, DataSourceSpec};
pub use export_request::{ExportRequest, ExportRequestSpec};
pub use legal_hold::{LegalHold, LegalHoldSpec};
pub use privacy_notice::{PrivacyNotice, PrivacyNoticeSpec};
pub use processing_activity::{ProcessingActivity, ProcessingActivitySpec};
pub use subject_rights_policy::{SubjectRightsPolicy, SubjectRightsPolicySpec};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// API group of every kind of this project.
pub const GROUP: &str = "privacy-operator.dev";

/// Served version.
pub const VERSION: &str = "v1alpha1";

/// Annotation of each CRD with the hash of its schema, by which the operator notices that an older one is served.
pub const SCHEMA_HASH_ANNOTATION: &str = "privacy-operator.dev/schema-hash";

/// Every CRD as it is installed, each with [`SCHEMA_HASH_ANNOTATION`].
#[must_use]
pub fn all_crds() -> Vec<CustomResourceDefinition> {
    [
        DataSource::crd(),
        DataRetentionPolicy::crd(),
        SubjectRightsPolicy::crd(),
        ExportRequest::crd(),
        ClusterEncryption::crd(),
        ProcessingActivity::crd(),
        PrivacyNotice::crd(),
        LegalHold::crd(),
    ]
    .into_iter()
    .map(with_schema_hash)
    .collect()
}

fn with_schema_hash(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let hash = crate::domain::hash::short(&serde_json::to_vec(&crd.spec).unwrap_or_default());
    crd.metadata
        .annotations
        .get_or_insert_default()
        .insert(SCHEMA_HASH_ANNOTATION.to_owned(), hash);
    // Helm must never take the promises away together with the operator.
    crd.metadata
        .annotations
        .get_or_insert_default()
        .insert("helm.sh/resource-policy".to_owned(), "keep".to_owned());
    crd.metadata
        .labels
        .get_or_insert_default()
        .insert("app.kubernetes.io/name".to_owned(), "privacy-operator".to_owned());
    crd
}
