//! Sessions that change rows beside a sweep.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio_postgres::{Client, NoTls};

use crate::harness::Trial;

/// Sessions, each in a thread of its own, that go on until they are told to end.
pub struct Disturbers {
    beside: Beside,
    tasks: Vec<std::thread::JoinHandle<()>>,
}

/// What a session knows of the run beside it.
#[derive(Clone, Default)]
pub struct Beside {
    stop: Arc<AtomicBool>,
    changes: Arc<AtomicU64>,
}

impl Beside {
    /// Whether to go on.
    pub fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// So many more changes are committed.
    pub fn changed(&self, changes: u64) {
        self.changes.fetch_add(changes, Ordering::Relaxed);
    }
}

impl Disturbers {
    /// Starts so many: `work` gets a connection, the number of the session from 0, and when to end.
    pub fn start<F: Future<Output = ()>>(
        trial: &Trial<'_>,
        sessions: i32,
        work: impl Fn(Client, i32, Beside) -> F + Copy + Send + 'static,
    ) -> Self {
        let beside = Beside::default();
        let tasks = (0..sessions)
            .map(|session| {
                let (url, beside) = (trial.database.socket_url("postgres"), beside.clone());
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .unwrap();
                    runtime.block_on(async {
                        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
                        tokio::spawn(connection);
                        work(client, session, beside).await;
                    });
                })
            })
            .collect();
        Self { beside, tasks }
    }

    /// Whether all have come to an end by themselves.
    pub fn are_done(&self) -> bool {
        self.tasks.iter().all(std::thread::JoinHandle::is_finished)
    }

    /// How much they have changed so far.
    pub fn changes(&self) -> u64 {
        self.beside.changes.load(Ordering::Relaxed)
    }

    /// Ends them; how much they have changed.
    pub fn finish(self) -> u64 {
        self.beside.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.join().unwrap();
        }
        self.beside.changes.load(Ordering::Relaxed)
    }
}
