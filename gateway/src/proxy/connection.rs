//! What is known of a client's connection for as long as it lasts.

use std::net::SocketAddr;
use std::sync::Arc;

use router::Hosts;

use crate::listener::places::Slot;
use crate::table::{Chain, Table, TableId, VirtualHost};
use crate::worker::{Stop, Worker};

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) worker: Arc<Worker>,
    pub(crate) listener: ir::ListenerName,
    /// Which virtual hosts its requests see.
    pub(crate) table: TableId,
    pub(crate) limits: Arc<ir::Limits>,
    pub(crate) tls: Option<TlsFacts>,
    pub(crate) peer: SocketAddr,
    /// The peer's address as header fields say it.
    pub(crate) peer_text: Box<str>,
    pub(crate) local: SocketAddr,
    /// Where it says whether it is at work.
    pub(crate) slot: Arc<Slot>,
    /// When the connection is to end.
    pub(crate) stop: Stop,
}

/// What the handshake showed.
#[derive(Debug)]
pub(crate) struct TlsFacts {
    /// In lower case; `None` where the client sent no name.
    pub(crate) server_name: Option<Arc<str>>,
    /// As logs spell it: `TLSv1.3`.
    pub(crate) version: &'static str,
    pub(crate) cipher: &'static str,
}

impl Connection {
    pub(crate) fn limits(&self) -> &ir::Limits {
        &self.limits
    }

    /// The virtual hosts that its requests see. A server that was renamed or went to another Gateway has other ones:
    /// then those that a new connection for the same name would get.
    pub(crate) fn hosts<'t>(&self, table: &'t Table) -> Option<&'t Arc<Hosts<Arc<VirtualHost>>>> {
        if let Some(hosts) = table.route_table(self.table) {
            return Some(hosts);
        }
        let listener = table.listener(&self.listener)?;
        let chain = match &self.tls {
            Some(tls) => &listener.server(tls.server_name.as_deref())?.chain,
            None => listener.plaintext.as_ref()?,
        };
        match chain {
            Chain::Http { table: id, .. } => table.route_table(*id),
            Chain::Tcp { .. } => None,
        }
    }

    pub(crate) fn scheme(&self) -> &'static [u8] {
        if self.tls.is_some() { b"https" } else { b"http" }
    }
}
