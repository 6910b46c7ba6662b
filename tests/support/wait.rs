//! Waiting for a condition, at most a minute.

use std::time::{Duration, Instant};

/// Waits until the condition holds. `what` says what was waited for.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < Duration::from_mins(1), "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
