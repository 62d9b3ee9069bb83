//! What every part of a controller is given: its place in the cluster, metrics, and the ways to be told to end.

use std::net::SocketAddr;
use std::sync::Arc;

use kube::Client;
use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use super::{ClusterOptions, StartError};
use crate::serving::{Incoming, Limits, Listener};
use crate::telemetry::Metrics;

pub(super) struct Shared {
    pub(super) client: Client,
    /// The control namespace.
    pub(super) namespace: String,
    /// Name of this replica.
    pub(super) replica: String,
    pub(super) service_account: String,
    pub(super) limits: Limits,
    pub(super) metrics: Metrics,
    pub(super) tasks: TaskTracker,
    /// Ends what serves others; they go to another replica then.
    pub(super) serving: CancellationToken,
    /// Ends everything else.
    pub(super) stop: CancellationToken,
}

impl Shared {
    pub(super) fn new(client: Client, options: &ClusterOptions) -> Result<Self, StartError> {
        Ok(Self {
            client,
            namespace: options.namespace.clone(),
            replica: options.replica.clone(),
            service_account: options.service_account.clone(),
            limits: Limits {
                authentication: Some(options.bounds.unauthenticated_connection),
                bounds: options.bounds.clone(),
                ..options.limits.clone()
            },
            metrics: Metrics::new()?,
            tasks: TaskTracker::new(),
            serving: CancellationToken::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Connections over TLS, until serving ends.
    pub(super) fn listen(
        &self,
        what: &'static str,
        address: SocketAddr,
        config: Arc<ServerConfig>,
        limits: Limits,
    ) -> Result<Incoming, StartError> {
        let incoming = Listener::bind(address, config, limits)
            .and_then(|bound| bound.incoming(self.serving.clone()))
            .map_err(|source| StartError::Listen { what, address, source })?;
        info!(address = %incoming.local_addr(), what, "listening");
        Ok(incoming)
    }
}
