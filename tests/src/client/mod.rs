//! Clients that show every byte.

mod h1;
mod h2;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;

pub use h1::H1;
pub use h2::{Answering, H2};

/// Longer than anything a test waits for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    /// Names in the case in which they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Which backend answered; empty for the proxy itself.
    #[must_use]
    pub fn backend(&self) -> &str {
        self.header("x-backend").unwrap_or_default()
    }

    /// What the backend saw.
    #[must_use]
    pub fn seen(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The values of a field as the backend saw it.
    #[must_use]
    pub fn seen_header(&self, name: &str) -> Vec<String> {
        let seen = self.seen();
        let headers = seen["headers"].as_array().cloned().unwrap_or_default();
        let lines = headers.into_iter().filter(|line| line[0] == name);
        lines.map(|line| line[1].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// A TLS connection.
///
/// # Errors
/// When the connection is refused or the handshake fails.
pub async fn tls(
    address: SocketAddr,
    name: &str,
    config: Arc<ClientConfig>,
) -> anyhow::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let connector = tokio_rustls::TlsConnector::from(config);
    Ok(tokio::time::timeout(PATIENCE, connector.connect(ServerName::try_from(name.to_owned())?, stream)).await??)
}
