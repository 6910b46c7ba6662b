//! Waiting for a condition, at most a minute unless said otherwise.

use std::time::{Duration, Instant};

/// Waits until the condition holds. `what` says what was waited for.
pub async fn until(what: &str, condition: impl AsyncFnMut() -> bool) {
    until_within(Duration::from_mins(1), what, condition).await;
}

/// As [`until`], for what takes longer than a minute.
pub async fn until_within(longest: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < longest, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until the condition gives something, at most `limit`. `seen` tells what was there instead.
pub async fn within<T>(
    limit: Duration,
    what: &str,
    seen: impl AsyncFn() -> String,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        let is_late = began.elapsed() >= limit;
        assert!(!is_late, "waited in vain for {what}; seen: {}", seen().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
