//! One address that serves a cluster.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use pingora_core::upstreams::peer::HttpPeer;

use crate::upstream::peer;
use crate::upstream::pending::Pending;

/// Immutable but for its live state, which endpoints of the same address hand on from table to table.
#[derive(Debug)]
pub struct Endpoint {
    address: Address,
    weight: u32,
    live: Arc<Live>,
    /// What pingora is told, made once.
    pub(crate) peer: HttpPeer,
}

/// An address that can be connected to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Address {
    Socket(SocketAddr),
    Unix(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Unix(path) => f.write_str(path),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Live {
    active: AtomicU32,
    pending: Pending,
}

impl Endpoint {
    /// `None` where the address cannot be connected to.
    pub(crate) fn new(cluster: &ir::Cluster, address: Address, weight: u32, live: Arc<Live>) -> Option<Self> {
        let peer = peer::of(cluster, &address)?;
        Some(Self { address, weight: weight.max(1), live, peer })
    }

    /// As logs show it.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// Requests under way.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.live.active.load(Ordering::Relaxed)
    }

    /// Connections that are being opened.
    pub(crate) fn pending(&self) -> &Pending {
        &self.live.pending
    }

    pub(crate) fn key(&self) -> &Address {
        &self.address
    }

    pub(crate) fn live(&self) -> &Arc<Live> {
        &self.live
    }
}

/// Counts a request as active for as long as it lives.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Endpoint>);

impl Busy {
    pub(crate) fn new(endpoint: Arc<Endpoint>) -> Self {
        endpoint.live.active.fetch_add(1, Ordering::Relaxed);
        Self(endpoint)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.live.active.fetch_sub(1, Ordering::Relaxed);
    }
}
