//! Listeners as the accept loops read them.

use std::sync::Arc;

use router::Hosts;

use crate::table::{ClusterId, TableId};
use crate::tls::server::ServerConfigs;

/// What becomes of the connections of a socket.
#[derive(Debug)]
pub struct Listener {
    pub name: ir::ListenerName,
    pub bind: ir::Bind,
    /// Creation of the oldest Gateway that has a part in it.
    pub created: i64,
    pub plaintext: Option<Chain>,
    /// By SNI; the chain without condition is under `*`.
    pub tls: Hosts<Arc<TlsChain>>,
}

impl Listener {
    /// The server for the name that a client asks for; without one only that for every host fits.
    pub(crate) fn server(&self, name: Option<&str>) -> Option<&Arc<TlsChain>> {
        match name {
            Some(name) => self.tls.find(name.as_bytes()),
            None => self.tls.get(&ir::Host::from("*")),
        }
    }
}

/// A terminating server.
#[derive(Debug)]
pub struct TlsChain {
    /// `None` while no certificate can be used: handshakes are closed.
    pub(crate) configs: Option<ServerConfigs>,
    /// Where its certificates come from, for people.
    pub certificates: Vec<ir::CertificateSource>,
    pub chain: Chain,
}

impl TlsChain {
    /// Whether handshakes can succeed.
    #[must_use]
    pub fn has_certificate(&self) -> bool {
        self.configs.is_some()
    }
}

#[derive(Clone, Debug)]
pub enum Chain {
    Http { table: TableId, name: ir::TableName },
    Tcp { destinations: Arc<[(ClusterId, u32)]>, total_weight: u64 },
}
