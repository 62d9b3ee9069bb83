//! The connector pingora-core drives for TLS to an upstream.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::Connect;

use crate::registry;

/// Starts client handshakes, with the configuration that the server name's token stands for, else with its own.
#[derive(Clone)]
pub struct TlsConnector {
    own: Arc<ClientConfig>,
}

impl From<Arc<ClientConfig>> for TlsConnector {
    fn from(own: Arc<ClientConfig>) -> Self {
        Self { own }
    }
}

impl TlsConnector {
    /// Begins the handshake on `stream`.
    pub fn connect<IO>(&self, server_name: ServerName<'static>, stream: IO) -> Connect<IO>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        match registry::lookup(&server_name) {
            Some(chosen) => tokio_rustls::TlsConnector::from(chosen.config).connect(chosen.server_name, stream),
            None => tokio_rustls::TlsConnector::from(Arc::clone(&self.own)).connect(server_name, stream),
        }
    }
}
