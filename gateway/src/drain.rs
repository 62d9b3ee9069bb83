//! The end of a gateway's life.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::{info, warn};

use crate::worker::Shared;

/// After the cut, until connections' tasks have seen it.
const LAST: Duration = Duration::from_secs(1);

/// Readiness is gone already: goes on accepting for `delay`, then lets connections end after their requests, then cuts
/// off what is left. Returns whether nothing had to be cut.
pub(crate) async fn run(shared: &Shared, delay: Duration, limit: Option<Duration>) -> bool {
    info!(connections = shared.metrics.connections.get(), "draining");
    // From now on replies announce the end of their connection, so that clients go elsewhere of their own accord.
    shared.is_closing.store(true, Ordering::Relaxed);
    tokio::time::sleep(delay).await;
    let limit = limit.unwrap_or_else(|| shared.table.load().limits().drain_timeout);
    shared.closing.cancel();
    shared.tasks.close();
    if tokio::time::timeout(limit, shared.tasks.wait()).await.is_ok() {
        info!("drained");
        return true;
    }
    warn!(connections = shared.metrics.connections.get(), "drain took too long; what is left is cut off");
    shared.abort.cancel();
    let _ = tokio::time::timeout(LAST, shared.tasks.wait()).await;
    false
}
