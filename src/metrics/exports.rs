//! What is measured of requests: counts by namespace and policy. No name of a request and nothing about a person: a
//! user can give a request any name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError, RwLock};

use jiff::Timestamp;
use kube::ResourceExt as _;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::api::ExportRequest;
use crate::api::export_status::Phase;
use crate::controller::Stores;
use crate::plan::export::status::is_true;
use crate::plan::reasons;

/// What is read and counted of requests.
pub struct Exports {
    stores: RwLock<Stores>,
    abandoned: Mutex<BTreeMap<(String, String), u64>>,
    now: fn() -> Timestamp,
}

impl fmt::Debug for Exports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exports")
    }
}

/// Namespace and policy.
type Key = (String, String);

/// A gauge for each policy: its name, what it means, and which requests count.
type Gauge = (&'static str, &'static str, fn(&ExportRequest, Timestamp) -> bool);

const GAUGES: [Gauge; 5] = [
    (
        "privacy_export_requests_open",
        "Requests that are neither answered nor refused",
        |request, _| is_open(request),
    ),
    (
        "privacy_export_requests_due_soon",
        "Open requests that are due within seven days",
        |request, _| is_open(request) && is_true(request.status.as_ref(), reasons::DUE_SOON),
    ),
    (
        "privacy_export_requests_overdue",
        "Open requests whose due date has passed",
        |request, _| is_open(request) && is_true(request.status.as_ref(), reasons::OVERDUE),
    ),
    (
        "privacy_export_requests_not_ready",
        "Open requests that cannot go on: condition Ready is False",
        |request, _| is_open(request) && is_not_ready(request),
    ),
    (
        "privacy_export_archives_outliving",
        "Archives that are there although their time has passed",
        |request, now| {
            let archive = request.status.as_ref().and_then(|status| status.archive.as_ref());
            archive.is_some_and(|archive| archive.deleted_at.is_none() && archive.expires_at.0 < now)
        },
    ),
];

fn is_open(request: &ExportRequest) -> bool {
    request.status.as_ref().is_none_or(|status| status.closed_on.is_none())
}

fn is_not_ready(request: &ExportRequest) -> bool {
    let conditions = request.status.iter().flat_map(|status| &status.conditions);
    conditions
        .into_iter()
        .any(|condition| condition.type_ == reasons::READY && condition.status == "False")
}

impl Exports {
    /// Without a request yet.
    pub fn new(now: fn() -> Timestamp) -> Self {
        Self {
            stores: RwLock::default(),
            abandoned: Mutex::default(),
            now,
        }
    }

    /// Lets the requests of these caches be measured.
    pub fn watch(&self, stores: Stores) {
        *self.stores.write().unwrap_or_else(PoisonError::into_inner) = stores;
    }

    /// Counts an archive that stays behind.
    pub fn abandoned(&self, namespace: &str, location: &str) {
        let mut abandoned = self.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
        *abandoned
            .entry((namespace.to_owned(), location.to_owned()))
            .or_default() += 1;
    }

    fn encode_abandoned(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let abandoned = self.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
        if abandoned.is_empty() {
            return Ok(());
        }
        let name = "privacy_export_archives_abandoned";
        let help = "Archives that stayed when their namespace was deleted: delete them by hand";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for ((namespace, location), count) in abandoned.iter() {
            let labels = [("namespace", namespace.as_str()), ("location", location.as_str())];
            metric
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(count, None)?;
        }
        Ok(())
    }
}

impl Collector for Exports {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        self.encode_abandoned(&mut encoder)?;
        let guarded = self.stores.read().unwrap_or_else(PoisonError::into_inner).requests();
        let requests: Vec<&ExportRequest> = guarded.iter().filter_map(|request| request.0.as_ref().ok()).collect();
        if requests.is_empty() {
            return Ok(());
        }
        let now = (self.now)();
        let mut by_policy: BTreeMap<Key, Vec<&ExportRequest>> = BTreeMap::new();
        for request in requests {
            let key = (
                request.namespace().unwrap_or_default(),
                request.spec.rights_policy_ref.name.clone(),
            );
            by_policy.entry(key).or_default().push(request);
        }
        for (name, help, counts) in GAUGES {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for ((namespace, policy), requests) in &by_policy {
                let labels = [("namespace", namespace.as_str()), ("policy", policy.as_str())];
                metric
                    .encode_family(&labels)?
                    .encode_gauge(&count(requests, |request| counts(request, now)))?;
            }
        }
        let name = "privacy_export_requests";
        let mut metric = encoder.encode_descriptor(name, "Requests by phase", None, MetricType::Gauge)?;
        for ((namespace, policy), requests) in &by_policy {
            for phase in Phase::ALL {
                let labels = [
                    ("namespace", namespace.as_str()),
                    ("policy", policy.as_str()),
                    ("phase", phase.as_str()),
                ];
                let has_phase =
                    |request: &ExportRequest| request.status.as_ref().and_then(|status| status.phase) == Some(phase);
                metric
                    .encode_family(&labels)?
                    .encode_gauge(&count(requests, has_phase))?;
            }
        }
        Ok(())
    }
}

fn count(requests: &[&ExportRequest], wanted: impl Fn(&ExportRequest) -> bool) -> i64 {
    let count = requests.iter().filter(|request| wanted(request)).count();
    i64::try_from(count).unwrap_or(i64::MAX)
}
