//! What every reconcile can use.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::guarded::Guarded;
use jiff::Timestamp;
use kube::Client;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::{Mutex, RwLock};

use super::cluster_encryption::{self, GuardedEncryption};
use super::error::Backoff;
use super::{Error, Scopes};
use crate::api::{
    DataRetentionPolicy, DataSource, ExportRequest, LegalHold, PrivacyNotice, ProcessingActivity, SubjectRightsPolicy,
};
use crate::metrics::Metrics;
use crate::plan::settings::WorkerSettings;

/// A policy that may not be readable.
pub type GuardedPolicy = Guarded<DataRetentionPolicy>;
/// A source that may not be readable.
pub type GuardedSource = Guarded<DataSource>;

/// A policy of rights that may not be readable.
pub type GuardedRightsPolicy = Guarded<SubjectRightsPolicy>;
/// A request that may not be readable.
pub type GuardedRequest = Guarded<ExportRequest>;
/// An activity that may not be readable.
pub type GuardedActivity = Guarded<ProcessingActivity>;
/// A hold that may not be readable.
pub type GuardedHold = Guarded<LegalHold>;
/// A notice that may not be readable.
pub type GuardedNotice = Guarded<PrivacyNotice>;

/// Everything a reconcile needs.
pub struct Context {
    /// The cluster.
    pub client: Client,
    /// How workers are made.
    pub worker: WorkerSettings,
    /// Counters and histograms.
    pub metrics: Arc<Metrics>,
    /// What is known of all policies and sources.
    pub stores: Stores,
    /// Signs of life.
    pub health: Arc<Health>,
    /// Whether this replica may write.
    pub may_write: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The time.
    pub now: fn() -> Timestamp,
    /// Name of this replica, in events.
    pub instance: String,
    /// Pauses after failures.
    pub backoff: Mutex<Backoff>,
    /// What the encryption of the cluster needs.
    pub encryption: Arc<cluster_encryption::Settings>,
    /// Which namespaces are watched.
    pub scopes: Scopes,
    /// Held to read from the moment at which the holds are listed until the plan made by them is applied. Whoever gets it to
    /// write knows that every plan applied from then on knows the holds that were there before.
    pub planning: RwLock<()>,
}

impl Context {
    /// Refuses to go on when this replica no longer leads.
    pub fn ensure_leading(&self) -> Result<(), Error> {
        if (self.may_write)() {
            Ok(())
        } else {
            Err(Error::NotLeading)
        }
    }
}

/// The caches of all scopes that are watched.
#[derive(Clone, Default)]
pub struct Stores {
    /// Policies.
    pub policies: Vec<Store<GuardedPolicy>>,
    /// Sources.
    pub sources: Vec<Store<GuardedSource>>,
    /// Policies of rights.
    pub rights: Vec<Store<GuardedRightsPolicy>>,
    /// Requests.
    pub requests: Vec<Store<GuardedRequest>>,
    /// Activities.
    pub activities: Vec<Store<GuardedActivity>>,
    /// Holds, for what is told of them; those that plans are made by are listed.
    pub holds: Vec<Store<GuardedHold>>,
    /// Notices. They are cluster-scoped: there is one cache, whatever is watched.
    pub notices: Vec<Store<GuardedNotice>>,
    /// The encryption of the cluster.
    pub encryptions: Vec<Store<GuardedEncryption>>,
}

impl Stores {
    /// Every readable policy.
    #[must_use]
    pub fn policies(&self) -> Vec<Arc<GuardedPolicy>> {
        self.policies.iter().flat_map(Store::state).collect()
    }

    /// Every source, readable or not.
    #[must_use]
    pub fn sources(&self) -> Vec<Arc<GuardedSource>> {
        self.sources.iter().flat_map(Store::state).collect()
    }

    /// Every request, readable or not.
    #[must_use]
    pub fn requests(&self) -> Vec<Arc<GuardedRequest>> {
        self.requests.iter().flat_map(Store::state).collect()
    }

    /// The `SubjectRightsPolicy` of a name, if it is there.
    #[must_use]
    pub fn rights_policy(&self, namespace: &str, name: &str) -> Option<Arc<GuardedRightsPolicy>> {
        let reference = ObjectRef::new(name).within(namespace);
        self.rights.iter().find_map(|store| store.get(&reference))
    }

    /// Every activity.
    #[must_use]
    pub fn activities(&self) -> Vec<Arc<GuardedActivity>> {
        self.activities.iter().flat_map(Store::state).collect()
    }

    /// Every hold, readable or not.
    #[must_use]
    pub fn holds(&self) -> Vec<Arc<GuardedHold>> {
        self.holds.iter().flat_map(Store::state).collect()
    }

    /// Every notice.
    #[must_use]
    pub fn notices(&self) -> Vec<Arc<GuardedNotice>> {
        self.notices.iter().flat_map(Store::state).collect()
    }

    /// The `ClusterEncryption`, if it is there and readable.
    #[must_use]
    pub fn encryptions(&self) -> Vec<Arc<GuardedEncryption>> {
        self.encryptions.iter().flat_map(Store::state).collect()
    }

    /// The `DataSource` of a name, if it is there and readable.
    #[must_use]
    pub fn source(&self, namespace: &str, name: &str) -> Option<Arc<GuardedSource>> {
        let reference = ObjectRef::new(name).within(namespace);
        self.sources.iter().find_map(|store| store.get(&reference))
    }
}

/// When the reconcile loop last showed a sign of life.
#[derive(Debug, Default)]
pub struct Health {
    started: AtomicI64,
    finished: AtomicI64,
}

impl Health {
    /// A reconcile that takes longer than this is stuck. Every request has its own, much shorter limit.
    const STUCK_SECONDS: i64 = 600;

    /// A reconcile begins.
    pub fn begin(&self, now: Timestamp) {
        self.started.store(now.as_second(), Ordering::Relaxed);
    }

    /// A reconcile has come to its end.
    pub fn end(&self, now: Timestamp) {
        self.finished.store(now.as_second(), Ordering::Relaxed);
    }

    /// Whether reconciles begin and do not end.
    #[must_use]
    pub fn is_stuck(&self, now: Timestamp) -> bool {
        let (started, finished) = (
            self.started.load(Ordering::Relaxed),
            self.finished.load(Ordering::Relaxed),
        );
        started > finished && now.as_second() - started > Self::STUCK_SECONDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reconcile_that_does_not_end_is_noticed_and_a_quiet_hour_is_not() {
        let start: Timestamp = "2026-11-22T05:00:00Z".parse().unwrap();
        let hour = jiff::SignedDuration::from_hours(1);
        let health = Health::default();
        assert!(!health.is_stuck(start));
        health.begin(start);
        assert!(!health.is_stuck(start + jiff::SignedDuration::from_secs(60)));
        assert!(health.is_stuck(start + hour));
        health.end(start);
        assert!(!health.is_stuck(start + hour));
    }
}
