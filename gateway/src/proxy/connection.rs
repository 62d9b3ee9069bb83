//! What is known of a client's connection for as long as it lasts.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::table::TableId;
use crate::worker::Worker;

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) worker: Arc<Worker>,
    /// Which virtual hosts its requests see.
    pub(crate) table: TableId,
    pub(crate) limits: Arc<ir::Limits>,
    pub(crate) tls: Option<TlsFacts>,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// Said when the connection is to end as soon as its requests are answered.
    pub(crate) closing: CancellationToken,
    /// Said when it is to end at once.
    pub(crate) abort: CancellationToken,
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
