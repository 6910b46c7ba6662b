//! Objects for tests, written as their users write them.

use jiff::Timestamp;

use super::settings::WorkerSettings;
use super::validate::{Inputs, validate};
use super::validated::Validated;
use super::work_plan::{Planned, plan};
use crate::api::{DataRetentionPolicy, DataSource};

/// The time of the tests.
#[must_use]
pub fn now() -> Timestamp {
    "2026-11-22T05:00:00Z".parse().unwrap()
}

/// A store with two tables.
#[must_use]
pub fn source() -> DataSource {
    serde_saphyr::from_str(
        r"
apiVersion: privacy-operator.dev/v1alpha1
kind: DataSource
metadata: {name: platform-db, namespace: shop, uid: source-uid, generation: 1}
spec:
  postgres:
    host: platform-db
    database: platform
    tls: {mode: VerifyFull, caSecretRef: {name: platform-db-ca, key: ca.crt}}
    credentialsSecretRef: {name: platform-db-retention}
  network: {podSelector: {matchLabels: {app: postgres}}}
  datasets:
  - name: access-log
    table: public.access_log
    fields:
    - {column: client_ip, category: user.device.ip_address}
    - {column: seen_on, timeZone: Europe/Berlin}
  - {name: accounts, table: public.accounts}
",
    )
    .unwrap()
}

/// Two rules for one table: a delete and a mask.
#[must_use]
pub fn policy() -> DataRetentionPolicy {
    serde_saphyr::from_str(
        r#"
apiVersion: privacy-operator.dev/v1alpha1
kind: DataRetentionPolicy
metadata: {name: logs, namespace: shop, uid: policy-uid, generation: 3}
spec:
  dataSourceRef: {name: platform-db}
  schedule: "23 * * * *"
  timeZone: Europe/Berlin
  rules:
  - name: seven-days
    promise: {clause: "4.1", quote: "Logs are kept for at most 7 days."}
    dataset: access-log
    keepWhile: [{name: age, from: requested_at, for: P7D, bound: Maximum}]
    then: {delete: {}}
  - name: addresses
    dataset: access-log
    always: {}
    then: {mask: [{column: client_ip, strategy: TruncateIp}]}
"#,
    )
    .unwrap()
}

/// How the tests' workers are made.
#[must_use]
pub fn settings() -> WorkerSettings {
    WorkerSettings {
        image: "privacy-operator:test".to_owned(),
        image_pull_policy: "IfNotPresent".to_owned(),
        cpu_request: "50m".to_owned(),
        cpu_limit: String::new(),
        memory_request: "32Mi".to_owned(),
        memory_limit: "64Mi".to_owned(),
        export_memory_limit: "128Mi".to_owned(),
        operator_namespace: "privacy-operator".to_owned(),
    }
}

/// The policy, validated.
#[must_use]
pub fn validated(policy: &DataRetentionPolicy) -> Validated {
    validate(&Inputs {
        policy,
        source: Some(&source()),
        others: &[],
        holds: &[],
        now: now(),
    })
    .unwrap()
}

/// The policy, planned.
#[must_use]
pub fn planned(policy: &DataRetentionPolicy) -> Planned {
    plan(policy, validated(policy), now()).unwrap()
}
