//! What is known of a client's connection for as long as it lasts.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::table::TableId;
use crate::worker::{Stop, Worker};

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) worker: Arc<Worker>,
    /// Which virtual hosts its requests see.
    pub(crate) table: TableId,
    pub(crate) limits: Arc<ir::Limits>,
    pub(crate) tls: Option<TlsFacts>,
    pub(crate) peer: SocketAddr,
    /// The peer's address as header fields say it.
    pub(crate) peer_text: Box<str>,
    pub(crate) local: SocketAddr,
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

    pub(crate) fn scheme(&self) -> &'static [u8] {
        if self.tls.is_some() { b"https" } else { b"http" }
    }
}
