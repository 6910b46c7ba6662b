//! Which of several operators leads, by a Lease.
//!
//! Whoever holds the Lease renews it every two seconds. Others take it over when they have seen no renewal for fifteen
//! seconds of their own clock: times written by other machines are never compared. The leader may write for ten seconds
//! after the beginning of its last successful renewal, by a clock that nobody can set; so it has stopped five seconds
//! before anybody else can begin.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, PostParams};

/// Others take over when they have seen no renewal for this long.
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// The leader may write for this long after the beginning of its last successful renewal.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Pause between tries and between renewals.
const RETRY_PERIOD: Duration = Duration::from_secs(2);

/// Until when this process may write.
#[derive(Clone, Debug, Default)]
pub struct Leadership(Arc<Mutex<Option<Instant>>>);

impl Leadership {
    /// Whether this process may write now.
    #[must_use]
    pub fn may_write(&self) -> bool {
        self.deadline().is_some_and(|deadline| Instant::now() < deadline)
    }

    fn deadline(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, deadline: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }
}

/// What was seen of the Lease, and when it last changed, by this process's own clock.
#[derive(Debug, Clone, PartialEq)]
struct Sighting {
    renewed: Option<MicroTime>,
    holder: Option<String>,
    since: Instant,
}

/// What to do about the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Create,
    Renew,
    TakeOver,
    Wait,
}

/// Decides what to do.
fn decide(seen: Option<&Sighting>, identity: &str, now: Instant) -> Move {
    let Some(seen) = seen else { return Move::Create };
    match seen.holder.as_deref() {
        Some(holder) if holder == identity => Move::Renew,
        // Released on purpose.
        None | Some("") => Move::TakeOver,
        Some(_) if now.duration_since(seen.since) >= LEASE_DURATION => Move::TakeOver,
        Some(_) => Move::Wait,
    }
}

/// Takes part in the election.
pub struct Elector {
    api: Api<Lease>,
    name: String,
    identity: String,
    leadership: Leadership,
    now: fn() -> Timestamp,
    sighting: Option<Sighting>,
}

impl Elector {
    /// Takes part in the election by the Lease `name` in `namespace`.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str, now: fn() -> Timestamp) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            leadership: Leadership::default(),
            now,
            sighting: None,
        }
    }

    /// Tells whether this process leads, for whoever writes.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Comes back when this process leads.
    pub async fn acquire(&mut self) {
        let mut told = false;
        loop {
            match self.attempt().await {
                Ok(true) => {
                    tracing::info!(lease = %self.name, identity = %self.identity, "leading");
                    return;
                }
                Ok(false) if !told => {
                    told = true;
                    let holder = self
                        .sighting
                        .as_ref()
                        .and_then(|seen| seen.holder.clone())
                        .unwrap_or_default();
                    tracing::info!(lease = %self.name, %holder, "another operator leads; waiting");
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(lease = %self.name, %error, "the Lease cannot be read or written"),
            }
            tokio::time::sleep(RETRY_PERIOD).await;
        }
    }

    /// Renews, and comes back when the leadership is lost.
    pub async fn keep(&mut self) {
        loop {
            tokio::time::sleep(RETRY_PERIOD).await;
            match self.attempt().await {
                Ok(true) => {}
                Ok(false) => {
                    tracing::error!(lease = %self.name, "another operator took the lead");
                    break;
                }
                Err(error) => {
                    tracing::warn!(lease = %self.name, %error, "the Lease cannot be renewed");
                    if !self.leadership.may_write() {
                        tracing::error!(lease = %self.name, "the Lease was not renewed in time: leadership is lost");
                        break;
                    }
                }
            }
        }
        self.leadership.set(None);
    }

    /// Gives the Lease back, so that another can lead at once.
    pub async fn release(&mut self) {
        self.leadership.set(None);
        let released: Result<(), kube::Error> = async {
            let Some(mut lease) = self.api.get_opt(&self.name).await? else {
                return Ok(());
            };
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(&self.identity) {
                spec.holder_identity = None;
                self.api.replace(&self.name, &PostParams::default(), &lease).await?;
            }
            Ok(())
        }
        .await;
        if let Err(error) = released {
            tracing::warn!(lease = %self.name, %error, "the Lease cannot be released; it runs out by itself");
        }
    }

    /// One try. True: this process leads.
    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        // The deadline counts from before the request: its answer may take long.
        let begin = Instant::now();
        let limit = self.remaining(begin);
        let result = tokio::time::timeout(limit, self.look_and_move()).await;
        match result {
            Ok(Ok(true)) => {
                self.leadership.set(Some(begin + RENEW_DEADLINE));
                Ok(true)
            }
            Ok(other) => other,
            Err(_) => Err(kube::Error::Service("the API server did not answer in time".into())),
        }
    }

    /// How long a try may take: not beyond the time for which this process leads.
    fn remaining(&self, now: Instant) -> Duration {
        let left = self
            .leadership
            .deadline()
            .map(|deadline| deadline.saturating_duration_since(now));
        left.unwrap_or(RENEW_DEADLINE).max(Duration::from_millis(500))
    }

    async fn look_and_move(&mut self) -> Result<bool, kube::Error> {
        let lease = self.api.get_opt(&self.name).await?;
        let now = Instant::now();
        self.sighting = lease.as_ref().map(|lease| sight(lease, self.sighting.take(), now));
        let chosen = decide(self.sighting.as_ref(), &self.identity, now);
        let written = match (chosen, lease) {
            (Move::Wait, _) => return Ok(false),
            (Move::Create, _) | (_, None) => {
                let lease = Lease {
                    metadata: ObjectMeta {
                        name: Some(self.name.clone()),
                        ..ObjectMeta::default()
                    },
                    spec: Some(self.spec(&LeaseSpec::default(), true)),
                };
                self.api.create(&PostParams::default(), &lease).await
            }
            (chosen, Some(mut lease)) => {
                let spec = self.spec(&lease.spec.clone().unwrap_or_default(), chosen == Move::TakeOver);
                lease.spec = Some(spec);
                // The resourceVersion lets one of two win.
                self.api.replace(&self.name, &PostParams::default(), &lease).await
            }
        };
        match written {
            Ok(lease) => {
                self.sighting = Some(sight(&lease, self.sighting.take(), now));
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.code == 409 && chosen != Move::Renew => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn spec(&self, old: &LeaseSpec, new_holder: bool) -> LeaseSpec {
        let now = MicroTime((self.now)());
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
            renew_time: Some(now.clone()),
            acquire_time: if new_holder {
                Some(now)
            } else {
                old.acquire_time.clone()
            },
            lease_transitions: Some(old.lease_transitions.unwrap_or(0).saturating_add(i32::from(new_holder))),
            ..LeaseSpec::default()
        }
    }
}

/// What is seen now: with the time of the last change, which is the first sighting of what stands there.
fn sight(lease: &Lease, before: Option<Sighting>, now: Instant) -> Sighting {
    let spec = lease.spec.clone().unwrap_or_default();
    let since = match before {
        Some(before) if before.renewed == spec.renew_time && before.holder == spec.holder_identity => before.since,
        _ => now,
    };
    Sighting {
        renewed: spec.renew_time,
        holder: spec.holder_identity,
        since,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: Option<&str>, renewed: &str) -> Lease {
        Lease {
            metadata: ObjectMeta::default(),
            spec: Some(LeaseSpec {
                holder_identity: holder.map(str::to_owned),
                renew_time: Some(MicroTime(renewed.parse().unwrap())),
                ..LeaseSpec::default()
            }),
        }
    }

    const FIRST: &str = "2026-11-22T05:00:00Z";
    const SECOND: &str = "2026-11-22T05:00:02Z";

    #[test]
    fn a_lease_of_another_is_taken_over_only_after_fifteen_seconds_without_a_renewal() {
        let start = Instant::now();
        let seen = sight(&lease(Some("other"), FIRST), None, start);
        assert_eq!(decide(Some(&seen), "me", start), Move::Wait);
        assert_eq!(decide(Some(&seen), "me", start + Duration::from_secs(14)), Move::Wait);
        assert_eq!(
            decide(Some(&seen), "me", start + Duration::from_secs(15)),
            Move::TakeOver
        );
        // A renewal starts the time anew.
        let later = start + Duration::from_secs(10);
        let renewed = sight(&lease(Some("other"), SECOND), Some(seen), later);
        assert_eq!(
            decide(Some(&renewed), "me", start + Duration::from_secs(20)),
            Move::Wait
        );
    }

    #[test]
    fn the_time_that_another_machine_wrote_is_never_compared_with_ours() {
        let start = Instant::now();
        let ancient = sight(&lease(Some("other"), "1999-01-01T00:00:00Z"), None, start);
        assert_eq!(decide(Some(&ancient), "me", start), Move::Wait);
        let future = sight(&lease(Some("other"), "2099-01-01T00:00:00Z"), None, start);
        assert_eq!(decide(Some(&future), "me", start + LEASE_DURATION), Move::TakeOver);
    }

    #[test]
    fn a_released_lease_is_taken_at_once_and_ones_own_is_renewed() {
        let now = Instant::now();
        assert_eq!(decide(None, "me", now), Move::Create);
        assert_eq!(
            decide(Some(&sight(&lease(None, FIRST), None, now)), "me", now),
            Move::TakeOver
        );
        assert_eq!(
            decide(Some(&sight(&lease(Some("me"), FIRST), None, now)), "me", now),
            Move::Renew
        );
    }

    #[test]
    fn writing_ends_with_the_deadline() {
        let leadership = Leadership::default();
        assert!(!leadership.may_write());
        leadership.set(Some(Instant::now() + RENEW_DEADLINE));
        assert!(leadership.may_write());
        leadership.set(Some(Instant::now()));
        assert!(!leadership.may_write());
    }

    #[test]
    fn the_leader_stops_before_anybody_else_can_begin() {
        assert!(RENEW_DEADLINE < LEASE_DURATION);
        assert!(RETRY_PERIOD * 2 < RENEW_DEADLINE);
    }
}
