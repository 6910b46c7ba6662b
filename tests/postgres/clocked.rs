//! Trials on a server whose clock stands still, so that a boundary is a point and not a range.
//!
//! All of them share one server, and so its clock: they run one after another.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use privacy_operator::contract::WorkReport;
use privacy_operator::worker;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

use crate::harness::{Trial, trial_on};
use crate::support::postgres::Server;

/// The worker's clock: that of the server, in microseconds.
static NOW: AtomicI64 = AtomicI64::new(0);

/// A trial at a fixed time.
pub struct Clocked {
    pub trial: Trial<'static>,
    pub now: Timestamp,
    clock: Clock,
}

/// The right to set the clock of the shared server.
pub struct Clock {
    pub server: &'static Server,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for the clock of the shared server.
pub async fn clock() -> Clock {
    static TURN: Mutex<()> = Mutex::const_new(());
    static SERVER: OnceLock<Server> = OnceLock::new();
    let turn = TURN.lock().await;
    let server = SERVER.get_or_init(|| Server::start_with_clock(Timestamp::UNIX_EPOCH));
    Clock { server, _turn: turn }
}

/// A database at a time, for example `2027-02-28T12:00:00Z`.
pub async fn at(now: &str, schema: &str) -> Clocked {
    let now = now.parse().unwrap();
    let clock = clock().await;
    clock.server.set_clock(now);
    let mut trial = trial_on(clock.server, schema).await;
    // Other tests look at TLS, and these run one after another.
    trial.plan.store.verify_tls = false;
    Clocked { trial, now, clock }
}

impl Clocked {
    pub fn rules(mut self, rules: &[Value]) -> Self {
        self.trial = self.trial.rules(rules);
        self
    }

    pub fn set_clock(&mut self, now: &str) {
        self.now = now.parse().unwrap();
        self.clock.server.set_clock(self.now);
    }

    /// Runs the plan at the time.
    pub async fn run(&self) -> WorkReport {
        run_at(&self.trial, self.now).await
    }
}

/// Runs the plan of a trial on a server whose clock stands at `now`.
pub async fn run_at(trial: &Trial<'_>, now: Timestamp) -> WorkReport {
    NOW.store(now.as_microsecond(), Ordering::SeqCst);
    let told = || Timestamp::from_microsecond(NOW.load(Ordering::SeqCst)).unwrap();
    worker::execute(&trial.settings(), told).await
}
