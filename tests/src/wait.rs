//! Waiting for what has no event of its own.

use std::time::{Duration, Instant};

/// Longer than anything a test waits for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks again and again until there is a value.
///
/// # Panics
/// When there is none in time.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(what, PATIENCE, look).await
}

/// As [`until`], for what may take longer.
///
/// # Panics
/// When there is none in time.
pub async fn until_within<T>(what: &str, patience: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = look().await {
            return value;
        }
        assert!(start.elapsed() < patience, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
