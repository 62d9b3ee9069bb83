//! Connections to endpoints: pingora's connector and pool, and the only place that tells pingora about an upstream.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use pingora_core::ErrorType;
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::protocols::Stream as Io;
use pingora_core::upstreams::peer::{HttpPeer, Peer as _};

use crate::limits::GatewayLimits;
use crate::proxy::error::Failure;
use crate::proxy::exchange::Exchange;
use crate::upstream::endpoint::{Address, Endpoint};
use crate::upstream::shared::{SharedConnections, Stream};

/// Unused connections a worker keeps, to all upstreams together; beyond it the oldest are closed.
const POOL_SIZE: usize = 4096;

/// A worker's connections. Each worker has its own, so nothing is contended.
pub(crate) struct Upstreams {
    connector: TransportConnector,
    shared: SharedConnections,
    /// Connections that may be in the making to one endpoint.
    pending_limit: u32,
}

/// A connection to send a request over.
pub(crate) struct Connected {
    pub(crate) transport: Transport,
    /// It has served requests before.
    pub(crate) reused: bool,
}

pub(crate) enum Transport {
    Http1(Io),
    Http2(SendRequest<Bytes>, Stream),
}

impl Upstreams {
    pub(crate) fn new(limits: &GatewayLimits) -> Self {
        let connector = TransportConnector::new(Some(ConnectorOptions::new(POOL_SIZE)));
        let pending_limit = limits.pending_connects_per_endpoint;
        Self { connector, shared: SharedConnections::default(), pending_limit }
    }

    /// A kept connection if `reuse` and there is one, else a new one.
    pub(crate) async fn connect(&self, endpoint: &Endpoint, http2: bool, reuse: bool) -> Result<Connected, Failure> {
        if http2 {
            let peer = &endpoint.peer;
            let (send, stream, reused) =
                self.shared.get(peer.reuse_hash(), peer.idle_timeout(), self.open(endpoint)).await?;
            return Ok(Connected { transport: Transport::Http2(send, stream), reused });
        }
        if reuse && let Some(io) = self.connector.reused_stream(&endpoint.peer).await {
            return Ok(Connected { transport: Transport::Http1(io), reused: true });
        }
        let io = self.open(endpoint).await?;
        Ok(Connected { transport: Transport::Http1(io), reused: false })
    }

    /// A new connection, for whatever is spoken on it.
    pub(crate) async fn open(&self, endpoint: &Endpoint) -> Result<Io, Failure> {
        let _opening = endpoint.pending().enter(self.pending_limit).ok_or(Failure::Overflow)?;
        self.connector.new_stream(&endpoint.peer).await.map_err(|error| failure(&error))
    }

    /// Keeps an exchange's connection for the next request, if one can follow.
    pub(crate) fn release(&self, endpoint: &Endpoint, exchange: Exchange) {
        let Exchange::Http1(exchange) = exchange else { return };
        if let Some(io) = exchange.into_reusable() {
            self.connector.release_stream(io, endpoint.peer.reuse_hash(), endpoint.peer.idle_timeout());
        }
    }
}

impl std::fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstreams").finish_non_exhaustive()
    }
}

impl Transport {
    /// Our own end, where the connection is this request's alone.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Http1(io) => io.get_socket_digest()?.local_addr()?.as_inet().copied(),
            Self::Http2(..) => None,
        }
    }
}

fn failure(error: &pingora_core::BError) -> Failure {
    match error.etype() {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Failure::ConnectTimeout,
        ErrorType::ConnectRefused => Failure::ConnectFailed { reason: "Connection_refused" },
        ErrorType::ConnectNoRoute => Failure::ConnectFailed { reason: "No_route_to_host" },
        _ => Failure::ConnectFailed { reason: "Connection_failed" },
    }
}

/// What pingora is told about an address of a cluster; `None` for an address it cannot take.
pub(crate) fn of(cluster: &ir::Cluster, address: &Address) -> Option<HttpPeer> {
    let mut peer = match address {
        Address::Socket(address) => HttpPeer::new(*address, false, String::new()),
        Address::Unix(path) => HttpPeer::new_uds(path, false, String::new()).ok()?,
    };
    // Connections are shared inside a cluster only: another cluster may have other settings for the same address.
    let mut hasher = DefaultHasher::new();
    cluster.name.hash(&mut hasher);
    peer.group_key = hasher.finish();
    peer.options.connection_timeout = Some(cluster.connect_timeout);
    peer.options.total_connection_timeout = Some(cluster.connect_timeout + Duration::from_millis(100));
    peer.options.idle_timeout = cluster.idle_timeout;
    Some(peer)
}
