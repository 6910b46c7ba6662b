//! Metrics for Prometheus.
//!
//! What is known of a policy is read from the caches at each scrape: it is never older than the policy's status, and the
//! series of a deleted policy vanish with it. Only what has no place in a status is counted here.

mod exports;
mod holds;
mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::api::DataRetentionPolicy;
use crate::api::cluster_encryption::ClusterEncryptionStatus;
use crate::api::data_retention_policy::{Mode, Then};
use crate::api::status::RuleStatus;
use crate::controller::Stores;
use crate::plan::runs::FinishedRun;

/// Upper bounds of the duration of a reconcile, in seconds.
const BUCKETS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReconcileLabels {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

/// Namespace, policy, rule and action of rows that are gone.
type Disposed = BTreeMap<(String, String), BTreeMap<(String, &'static str), u64>>;

/// Everything that is measured.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ReconcileLabels, Counter>,
    durations: Family<KindLabels, Histogram>,
    policies: Arc<Policies>,
    exports: Arc<exports::Exports>,
}

/// What is read and counted of policies.
struct Policies {
    stores: RwLock<Stores>,
    disposed: Mutex<Disposed>,
    now: fn() -> Timestamp,
}

impl Metrics {
    /// Metrics without a policy yet.
    #[must_use]
    pub fn new(now: fn() -> Timestamp) -> Self {
        let mut registry = Registry::default();
        let reconciles = Family::default();
        registry.register(
            "privacy_operator_reconcile",
            "Reconciles by kind and result (success, conflict, error)",
            reconciles.clone(),
        );
        let durations = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        registry.register(
            "privacy_operator_reconcile_duration_seconds",
            "Duration of reconciles",
            durations.clone(),
        );
        let policies = Arc::new(Policies {
            stores: RwLock::default(),
            disposed: Mutex::default(),
            now,
        });
        registry.register_collector(Box::new(policies.clone()));
        let exports = Arc::new(exports::Exports::new(now));
        registry.register_collector(Box::new(exports.clone()));
        Self {
            registry,
            reconciles,
            durations,
            policies,
            exports,
        }
    }

    /// Lets the policies of these caches be measured.
    pub fn watch(&self, stores: Stores) {
        self.exports.watch(stores.clone());
        *self.policies.stores.write().unwrap_or_else(PoisonError::into_inner) = stores;
    }

    /// Counts a reconcile.
    pub fn reconciled(&self, kind: &'static str, result: &'static str, duration: Duration) {
        self.reconciles.get_or_create(&ReconcileLabels { kind, result }).inc();
        self.durations
            .get_or_create(&KindLabels { kind })
            .observe(duration.as_secs_f64());
    }

    /// Counts an archive that stays because nothing can delete it any more.
    pub fn archive_abandoned(&self, namespace: &str, location: &str) {
        self.exports.abandoned(namespace, location);
    }

    /// Counts the rows of a run that has entered the status.
    pub fn count_run(&self, policy: &DataRetentionPolicy, run: &FinishedRun) {
        let Some((report, _)) = &run.report else { return };
        if report.mode == Mode::Observe {
            return;
        }
        let mut disposed = self.policies.disposed.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = disposed.entry(key(policy)).or_default();
        for (name, rule) in run.rule_names.iter().zip(&report.rules) {
            let then = policy
                .spec
                .rules
                .iter()
                .find(|spec| spec.name == *name)
                .and_then(|spec| spec.then.as_ref());
            if let (Some(then), Ok(affected @ 1..)) = (then, u64::try_from(rule.affected)) {
                *counts.entry((name.clone(), action(then))).or_default() += affected;
            }
        }
    }

    /// The text that Prometheus reads.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn key(policy: &DataRetentionPolicy) -> (String, String) {
    (policy.namespace().unwrap_or_default(), policy.name_any())
}

fn action(then: &Then) -> &'static str {
    if then.delete.is_some() {
        "delete"
    } else if then.mask.is_empty() {
        "set"
    } else {
        "mask"
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Policies")
    }
}

/// A gauge of each rule: its name, what it means, and how it is read from the rule's status.
type RuleGauge = (&'static str, &'static str, fn(&RuleStatus, Timestamp) -> Option<i64>);

const RULE_GAUGES: [RuleGauge; 5] = [
    (
        "privacy_rule_due_rows",
        "Rows due and still there when the last run ended",
        |rule, _| rule.due,
    ),
    (
        "privacy_rule_overdue_rows",
        "Rows that stayed longer than promised",
        |rule, _| rule.overdue,
    ),
    (
        "privacy_rule_held_rows",
        "Rows that would be disposed of if no LegalHold bound them",
        |rule, _| rule.held,
    ),
    (
        "privacy_rule_seconds_until_overdue",
        "Seconds until a row could become overdue if no run succeeds before; negative once it has passed",
        |rule, now| {
            rule.overdue_from
                .as_ref()
                .map(|from| from.0.duration_since(now).as_secs())
        },
    ),
    (
        "privacy_rule_on_time",
        "Whether the rule keeps its promise: 1 it does, 0 it does not, -1 it cannot be told",
        |rule, _| {
            Some(match rule.on_time.as_deref()? {
                "True" => 1,
                "False" => 0,
                _ => -1,
            })
        },
    ),
];

impl Collector for Policies {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let stores = self.stores.read().unwrap_or_else(PoisonError::into_inner).clone();
        records::encode(&stores, &mut encoder)?;
        holds::encode(&stores, &mut encoder)?;
        encryption(&mut encoder, &stores, (self.now)())?;
        let guarded = stores.policies();
        let policies: Vec<&DataRetentionPolicy> = guarded.iter().filter_map(|policy| policy.0.as_ref().ok()).collect();
        if policies.is_empty() {
            return Ok(());
        }
        let now = (self.now)();
        for (name, help, read) in RULE_GAUGES {
            rule_gauge(
                encoder.encode_descriptor(name, help, None, MetricType::Gauge)?,
                &policies,
                |rule| read(rule, now),
            )?;
        }
        self.rows_disposed(&mut encoder, &policies)?;
        let name = "privacy_policy_last_run_timestamp_seconds";
        let help = "End of the last run that reported, in seconds since 1970";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for policy in &policies {
            let last = policy.status.as_ref().and_then(|status| status.last_run_at.as_ref());
            if let Some(last) = last {
                let (namespace, policy) = key(policy);
                let labels = [("namespace", namespace), ("policy", policy)];
                metric.encode_family(&labels)?.encode_gauge(&last.0.as_second())?;
            }
        }
        conditions(&mut encoder, &policies)
    }
}

/// A gauge of the `ClusterEncryption`.
type EncryptionGauge = (
    &'static str,
    &'static str,
    fn(&ClusterEncryptionStatus, Timestamp) -> Option<i64>,
);

const ENCRYPTION_GAUGES: [EncryptionGauge; 5] = [
    (
        "privacy_encryption_readable",
        "Whether every API server reads every object: 1 it does, 0 it does not, -1 it cannot be told",
        |status, _| status.readable.as_deref().map(truth),
    ),
    (
        "privacy_encryption_safe_to_restart",
        "Whether an API server that restarts now reads everything: 1, 0, or -1 where it cannot be told",
        |status, _| status.safe_to_restart_api_server.as_deref().map(truth),
    ),
    (
        "privacy_encryption_rotating",
        "Whether a rotation is under way",
        |status, _| Some(i64::from(status.step.as_deref()? != "Settled")),
    ),
    (
        "privacy_encryption_objects_left",
        "Objects that the running pass has not looked at yet",
        |status, _| status.objects_left,
    ),
    (
        "privacy_encryption_seconds_until_rotation",
        "Seconds until the next rotation begins; negative once that time has passed",
        |status, now| {
            let next = status.next_rotation_at.as_ref()?;
            Some(next.0.duration_since(now).as_secs())
        },
    ),
];

fn truth(word: &str) -> i64 {
    match word {
        "True" => 1,
        "False" => 0,
        _ => -1,
    }
}

fn encryption(encoder: &mut DescriptorEncoder<'_>, stores: &Stores, now: Timestamp) -> fmt::Result {
    let all = stores.encryptions();
    let statuses = all
        .iter()
        .filter_map(|encryption| encryption.0.as_ref().ok()?.status.as_ref());
    let Some(status) = statuses.into_iter().next() else {
        return Ok(());
    };
    for (name, help, read) in ENCRYPTION_GAUGES {
        if let Some(value) = read(status, now) {
            encoder
                .encode_descriptor(name, help, None, MetricType::Gauge)?
                .encode_gauge(&value)?;
        }
    }
    let name = "privacy_encryption_condition";
    let help = "Conditions of the ClusterEncryption: 1 for the status that a condition has";
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    encode_conditions(&mut metric, &[], &status.conditions)
}

/// The conditions of an object, which `whose` names: 1 for the status that each has, 0 for the others.
fn encode_conditions(metric: &mut MetricEncoder<'_>, whose: &[(&str, &str)], conditions: &[Condition]) -> fmt::Result {
    for condition in conditions {
        for status in ["True", "False", "Unknown"] {
            let labels = [whose, &[("type", &condition.type_), ("status", status)]].concat();
            let value = i64::from(condition.status == status);
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
    }
    Ok(())
}

fn rule_gauge(
    mut metric: MetricEncoder<'_>,
    policies: &[&DataRetentionPolicy],
    read: impl Fn(&RuleStatus) -> Option<i64>,
) -> fmt::Result {
    for policy in policies {
        let (namespace, name) = key(policy);
        for rule in policy.status.iter().flat_map(|status| &status.rules) {
            if let Some(value) = read(rule) {
                let labels = [("namespace", &namespace), ("policy", &name), ("rule", &rule.name)];
                metric.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
    }
    Ok(())
}

fn conditions(encoder: &mut DescriptorEncoder<'_>, policies: &[&DataRetentionPolicy]) -> fmt::Result {
    let name = "privacy_policy_condition";
    let help = "Conditions of policies: 1 for the status that a condition has";
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for policy in policies {
        let (namespace, name) = key(policy);
        if let Some(status) = &policy.status {
            let whose = [("namespace", namespace.as_str()), ("policy", name.as_str())];
            encode_conditions(&mut metric, &whose, &status.conditions)?;
        }
    }
    Ok(())
}

impl Policies {
    fn rows_disposed(&self, encoder: &mut DescriptorEncoder<'_>, policies: &[&DataRetentionPolicy]) -> fmt::Result {
        let mut disposed = self.disposed.lock().unwrap_or_else(PoisonError::into_inner);
        let alive: BTreeSet<(String, String)> = policies.iter().map(|policy| key(policy)).collect();
        disposed.retain(|key, _| alive.contains(key));
        let name = "privacy_rows_disposed";
        let help = "Rows deleted, masked or set, from the reports that this process has read";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for ((namespace, policy), counts) in disposed.iter() {
            for ((rule, action), count) in counts {
                let labels = [
                    ("namespace", namespace.as_str()),
                    ("policy", policy.as_str()),
                    ("rule", rule.as_str()),
                    ("action", action),
                ];
                metric
                    .encode_family(&labels)?
                    .encode_counter::<prometheus_client::encoding::NoLabelSet, _, u64>(count, None)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::store;
    use kube::runtime::watcher::Event;

    use super::*;
    use crate::controller::guarded::Guarded;
    use crate::plan::fixtures;
    use crate::report::{RuleReport, RunResult, WorkReport};

    fn policy_with_status() -> DataRetentionPolicy {
        let mut policy = fixtures::policy();
        policy.status = Some(
            serde_json::from_value(serde_json::json!({
                "rules": [{"name": "seven-days", "due": 5, "overdue": 2, "onTime": "False", "overdueFrom": "2026-11-22T04:59:00Z"}],
                "conditions": [{"type": "Halted", "status": "True", "reason": "LimitExceeded", "message": "", "lastTransitionTime": "2026-11-22T05:00:00Z"}],
            }))
            .unwrap(),
        );
        policy
    }

    fn run(affected: i64) -> FinishedRun {
        let report = WorkReport {
            version: 1,
            plan_hash: String::new(),
            mode: Mode::Enforce,
            generation: None,
            result: RunResult::Done,
            started_at: fixtures::now(),
            finished_at: fixtures::now(),
            server_version: None,
            rules: vec![RuleReport {
                affected,
                ..RuleReport::default()
            }],
            ledger: None,
            problem: None,
        };
        FinishedRun {
            job: "job".to_owned(),
            uid: "uid".to_owned(),
            plan_hash: None,
            rules_hash: None,
            rule_names: vec!["seven-days".to_owned()],
            mode: Mode::Enforce,
            started_at: None,
            finished_at: fixtures::now(),
            report: Some((report, String::new())),
            cause: None,
        }
    }

    #[test]
    fn a_scrape_tells_the_status_of_each_rule_and_forgets_deleted_policies() {
        let metrics = Metrics::new(fixtures::now);
        let (reader, mut writer) = store();
        let policy = policy_with_status();
        writer.apply_watcher_event(&Event::Apply(Guarded(Ok(policy.clone()))));
        metrics.watch(Stores {
            policies: vec![reader],
            ..Stores::default()
        });
        metrics.count_run(&policy, &run(7));
        metrics.count_run(&policy, &run(4));
        let text = metrics.encode().unwrap();
        for line in [
            r#"privacy_rule_due_rows{namespace="shop",policy="logs",rule="seven-days"} 5"#,
            r#"privacy_rule_overdue_rows{namespace="shop",policy="logs",rule="seven-days"} 2"#,
            r#"privacy_rule_on_time{namespace="shop",policy="logs",rule="seven-days"} 0"#,
            r#"privacy_rule_seconds_until_overdue{namespace="shop",policy="logs",rule="seven-days"} -60"#,
            r#"privacy_rows_disposed_total{namespace="shop",policy="logs",rule="seven-days",action="delete"} 11"#,
            r#"privacy_policy_condition{namespace="shop",policy="logs",type="Halted",status="True"} 1"#,
            r#"privacy_policy_condition{namespace="shop",policy="logs",type="Halted",status="False"} 0"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        writer.apply_watcher_event(&Event::Delete(Guarded(Ok(policy))));
        assert!(!metrics.encode().unwrap().contains("seven-days"));
    }

    #[test]
    fn a_scrape_tells_how_the_encryption_stands() {
        let metrics = Metrics::new(fixtures::now);
        let (reader, mut writer) = store();
        let encryption = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "cluster"}, "spec": {},
            "status": {"readable": "True", "safeToRestartApiServer": "Unknown", "step": "Verify", "objectsLeft": 7,
                "conditions": [{"type": "Stopped", "status": "True", "reason": "ObjectsRefused", "message": "", "lastTransitionTime": "2026-11-22T05:00:00Z"}]},
        }))
        .unwrap();
        writer.apply_watcher_event(&Event::Apply(Guarded(Ok(encryption))));
        metrics.watch(Stores {
            encryptions: vec![reader],
            ..Stores::default()
        });
        let text = metrics.encode().unwrap();
        for line in [
            "privacy_encryption_readable 1",
            "privacy_encryption_safe_to_restart -1",
            "privacy_encryption_rotating 1",
            "privacy_encryption_objects_left 7",
            r#"privacy_encryption_condition{type="Stopped",status="True"} 1"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn reconciles_are_counted_by_kind_and_result() {
        let metrics = Metrics::new(fixtures::now);
        metrics.reconciled("DataSource", "success", Duration::from_millis(3));
        let text = metrics.encode().unwrap();
        assert!(
            text.contains(r#"privacy_operator_reconcile_total{kind="DataSource",result="success"} 1"#),
            "{text}"
        );
        assert!(
            text.contains("privacy_operator_reconcile_duration_seconds_bucket"),
            "{text}"
        );
    }
}
