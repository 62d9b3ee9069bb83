//! A controller that runs: what can be asked of it, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use super::Addresses;
use crate::ca::Authority;
use crate::fleet::Fleet;
use crate::leader::Leadership;
use crate::telemetry::Metrics;

/// How long ending may take, beyond the drain delay.
const END: Duration = Duration::from_secs(5);

/// A controller that runs.
pub struct Running {
    pub(super) addresses: Addresses,
    pub(super) fleet: Fleet,
    pub(super) leadership: Leadership,
    pub(super) metrics: Metrics,
    pub(super) authority: Arc<Authority>,
    pub(super) ready: watch::Sender<bool>,
    pub(super) drain_delay: Duration,
    pub(super) serving: CancellationToken,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    #[must_use]
    pub fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Roots that its certificates chain to, PEM.
    #[must_use]
    pub fn roots_pem(&self) -> String {
        self.authority.roots_pem()
    }

    /// Becomes true once the cluster's state has been read.
    #[must_use]
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Resolves when it cannot go on: what it holds grows old, and a new process would not have the trouble.
    pub async fn failed(&self) {
        let mut blind = self.fleet.blind();
        if blind.wait_for(|blind| *blind).await.is_err() {
            error!("the thread that knows everything has ended");
        }
    }

    /// Ends in order: not ready, then streams end so that proxies go to another replica, then the rest; the lease is
    /// given back.
    pub async fn end(self) {
        self.ready.send_replace(false);
        tokio::time::sleep(self.drain_delay).await;
        self.serving.cancel();
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(END, self.tasks.wait()).await.is_err() {
            warn!("not everything ended in time");
        }
    }

    /// Ends at once, as a killed process does, as far as one process can tell.
    pub fn abort(self) {
        self.serving.cancel();
        self.stop.cancel();
    }
}
