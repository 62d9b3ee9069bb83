//! A connection to a controller: TLS by the roots of the moment, with the credential of the moment. Made anew each time,
//! because both change, and because another replica may answer.

use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::{BoxFuture, Service};
use tonic::transport::{Channel, Endpoint};

use crate::identity::Identity;

/// To one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses that are tried.
const ADDRESSES: usize = 8;
/// A controller that many proxies come back to lets them in one after the other.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// What may be under way to us on one stream, and on all.
const WINDOW: u32 = 1 << 20;

/// Where a controller is: a host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

/// How the other end is found to be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Without a word for so long it is asked whether it is there …
    pub interval: Duration,
    /// … and has so long to answer.
    pub timeout: Duration,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { interval: Duration::from_secs(30), timeout: Duration::from_secs(10) }
    }
}

/// Why text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not of the form host:port")]
pub struct AddressError {
    text: String,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError { text: text.to_owned() };
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => inner.parse::<Ipv6Addr>().map_err(|_| wrong())?.to_string(),
            None if host.contains(':') => return Err(wrong()),
            None => host.to_owned(),
        };
        ServerName::try_from(host.as_str()).map_err(|_| wrong())?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("resolving {host}")]
    Resolve {
        host: String,
        #[source]
        source: io::Error,
    },
    #[error("{host} has no address")]
    NoAddress { host: String },
    #[error("connecting to {address}")]
    Connect {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("TLS with {address} as {host}")]
    Tls {
        host: String,
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("TLS settings")]
    Settings(#[source] rustls::Error),
    #[error("HTTP/2 with {address}")]
    Http {
        address: SocketAddr,
        #[source]
        source: tonic::transport::Error,
    },
    #[error("{0} cannot stand in a URI")]
    Uri(Address),
}

impl ConnectError {
    /// A word for metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Resolve { .. } | Self::NoAddress { .. } => "resolve",
            Self::Connect { .. } => "connect",
            Self::Tls { .. } | Self::Settings(_) => "tls",
            Self::Http { .. } => "http",
            Self::Uri(_) => "address",
        }
    }

    /// Whether the other end was there: it may have been our certificate that it did not like.
    pub(crate) fn is_after_handshake(&self) -> bool {
        matches!(self, Self::Http { .. })
    }
}

/// One connection, for as many calls as wanted.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) channel: Channel,
    /// What calls name as their target.
    pub(crate) origin: Uri,
    pub(crate) peer: SocketAddr,
}

/// Connects to any of the addresses that the name has now.
///
/// # Errors
/// When none of them answers as that name.
pub(crate) async fn connect(
    address: &Address,
    roots: Arc<RootCertStore>,
    identity: Option<&Arc<Identity>>,
    keepalive: Keepalive,
) -> Result<Connection, ConnectError> {
    let config = client_config(roots, identity).map_err(ConnectError::Settings)?;
    let (stream, peer) = dial(address, keepalive).await?;
    let failed = |source| ConnectError::Tls { host: address.host.clone(), address: peer, source };
    let name = ServerName::try_from(address.host.clone()).map_err(|_| ConnectError::Uri(address.clone()))?;
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake)
        .await
        .map_err(|_| failed(io::ErrorKind::TimedOut.into()))?
        .map_err(failed)?;
    // TLS is below; tonic is not told, because its own settings could not change from one connection to the next.
    let uri =
        |scheme: &str| Uri::try_from(format!("{scheme}://{address}")).map_err(|_| ConnectError::Uri(address.clone()));
    let origin = uri("https")?;
    let endpoint = Endpoint::from(uri("http")?)
        .origin(origin.clone())
        .http2_keep_alive_interval(keepalive.interval)
        .keep_alive_timeout(keepalive.timeout)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(2 * WINDOW);
    let channel = endpoint.connect_with_connector(Once(Some(stream))).await;
    let channel = channel.map_err(|source| ConnectError::Http { address: peer, source })?;
    Ok(Connection { channel, origin, peer })
}

fn client_config(roots: Arc<RootCertStore>, identity: Option<&Arc<Identity>>) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(identity) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(identity.certified_key()))))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    // There is no second connection with these settings.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

async fn dial(address: &Address, keepalive: Keepalive) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let Address { host, port } = address;
    let resolved = tokio::net::lookup_host((host.as_str(), *port)).await;
    let mut all: Vec<SocketAddr> =
        resolved.map_err(|source| ConnectError::Resolve { host: host.clone(), source })?.collect();
    fastrand::shuffle(&mut all);
    let mut error = ConnectError::NoAddress { host: host.clone() };
    for address in all.into_iter().take(ADDRESSES) {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
        match connected
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .and_then(|stream| tune(&stream, keepalive).map(|()| stream))
        {
            Ok(stream) => return Ok((stream, address)),
            Err(source) => error = ConnectError::Connect { address, source },
        }
    }
    Err(error)
}

/// A peer that is gone without a word is noticed even while bytes of ours are on their way to it (docs/security.md,
///
fn tune(stream: &TcpStream, keepalive: Keepalive) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let Keepalive { interval, timeout } = keepalive;
    // The kernel counts whole seconds.
    let [time, again] = [interval, timeout].map(|it| it.max(Duration::from_secs(1)));
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(time).with_interval(again))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(interval))?;
    Ok(())
}

/// Hands out one stream, once.
struct Once(Option<TlsStream<TcpStream>>);

impl Service<Uri> for Once {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = BoxFuture<Self::Response, io::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        // A second connection is made by whoever wanted the first, with what holds by then.
        let stream = self.0.take().map(TokioIo::new).ok_or_else(|| io::ErrorKind::NotConnected.into());
        Box::pin(std::future::ready(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_host_and_a_port() {
        for text in ["istiod.istio-system.svc:15012", "127.0.0.1:15012", "[::1]:15012"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "istiod",
            "istiod:",
            "istiod:0",
            "istiod:70000",
            ":15012",
            "::1:15012",
            "[x]:1",
            "a b:1",
            "https://a:1",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
