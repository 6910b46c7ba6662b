//! Tells on a port how far the run is. Counts only: whoever asks learns no value from the store.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::contract::progress::{LiveProgress, PROGRESS_PATH, Step};

/// How far the run is, shared by who does the work and who tells of it.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<LiveProgress>>);

impl Progress {
    /// A step begins with so many rows done already, of so many.
    pub fn step(&self, step: Step, rows: i64, of: Option<i64>) {
        self.change(|live| (live.step, live.rows, live.of) = (step, rows, of));
    }

    /// So many more rows are done.
    pub fn add_rows(&self, rows: u64) {
        self.change(|live| live.rows = live.rows.saturating_add_unsigned(rows));
    }

    /// So many bytes are written.
    pub fn set_bytes(&self, bytes: i64) {
        self.change(|live| live.bytes = Some(bytes));
    }

    /// How far it is now.
    #[must_use]
    pub fn now(&self) -> LiveProgress {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut LiveProgress)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Answers on the port until the task is ended.
pub async fn serve(listener: TcpListener, progress: Progress) {
    let router = Router::new().route(PROGRESS_PATH, get(tell)).with_state(progress);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::warn!(%error, "progress is no longer told");
    }
}

async fn tell(State(progress): State<Progress>) -> impl IntoResponse {
    let counts = serde_json::to_string(&progress.now()).unwrap_or_default();
    ([(CONTENT_TYPE, "application/json")], counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_begins_again_forgets_what_was_added_to_it() {
        let progress = Progress::default();
        progress.step(Step::Disposing, 0, Some(10));
        progress.add_rows(7);
        assert_eq!((progress.now().rows, progress.now().of), (7, Some(10)));
        progress.step(Step::Disposing, 5, Some(10));
        assert_eq!(progress.now().rows, 5);
    }
}
