//! Polite built-in traffic: a few keepalive connections through the gateway, over TLS with HTTP/2 and HTTP/1.1,
//! about fifty requests a second together. It is an ordinary client and knows nothing of the gateway's insides.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsConnector;

use super::backend::VERSION;
use super::meter::Meter;

/// Connections of each protocol.
const CONNECTIONS: u32 = 2;
const PER_SECOND: u32 = 50;
const PATIENCE: Duration = Duration::from_secs(5);

/// Whom to call, and how.
pub(crate) struct Target {
    host: &'static str,
    ip: IpAddr,
    /// Followed when an edit of the Gateway moves it.
    port: Arc<AtomicU16>,
    h1: TlsConnector,
    h2: TlsConnector,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("read the demo's root certificate")]
    Root(#[source] rustls_pki_types::pem::Error),
    #[error("set up the TLS client of the demo's traffic")]
    Tls(#[from] rustls::Error),
}

/// Why a request has no good answer.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error("connect: {0}")]
    Connect(#[from] io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("status {0}")]
    Status(StatusCode),
    #[error("no answer within {PATIENCE:?}")]
    Timeout,
}

impl Target {
    /// Reaches `host` there, trusting this root alone.
    pub(crate) fn new(host: &'static str, ip: IpAddr, port: Arc<AtomicU16>, root: &str) -> Result<Self, TargetError> {
        let root = CertificateDer::from_pem_slice(root.as_bytes()).map_err(TargetError::Root)?;
        let mut roots = RootCertStore::empty();
        roots.add(root)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let speaking = |protocol: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            TlsConnector::from(Arc::new(config))
        };
        Ok(Self { host, ip, port, h1: speaking(b"http/1.1"), h2: speaking(b"h2") })
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.load(Ordering::Relaxed))
    }
}

/// Sends requests until it is cancelled.
pub(crate) async fn send(target: Target, meter: Arc<Mutex<Meter>>) {
    let target = Arc::new(target);
    let mut clients = JoinSet::new();
    for index in 0..2 * CONNECTIONS {
        clients.spawn(client(Arc::clone(&target), Arc::clone(&meter), index));
    }
    while clients.join_next().await.is_some() {}
}

/// One connection's worth of requests; the first half speaks HTTP/2.
async fn client(target: Arc<Target>, meter: Arc<Mutex<Meter>>, index: u32) {
    let clients = 2 * CONNECTIONS;
    let period = Duration::from_secs(1) * clients / PER_SECOND;
    // Spread out, so that the connections take turns.
    let first = tokio::time::Instant::now() + period * index / clients;
    let mut ticks = tokio::time::interval_at(first, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connection = None;
    loop {
        ticks.tick().await;
        let started = Instant::now();
        let result = tokio::time::timeout(PATIENCE, one(&target, &mut connection, index < CONNECTIONS))
            .await
            .unwrap_or(Err(RequestError::Timeout));
        let now = Instant::now();
        let mut meter = meter.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(version) => meter.success(now, &version, now - started),
            Err(error) => {
                connection = None;
                meter.failure(now, error.to_string());
            }
        }
    }
}

/// Sends one request over the connection, or over a new one where the server has said goodbye to the old.
async fn one(target: &Target, connection: &mut Option<Connection>, h2: bool) -> Result<String, RequestError> {
    let mut kept = connection.take();
    if let Some(open) = &mut kept
        && open.ready().await.is_err()
    {
        kept = None;
    }
    let mut open = match kept {
        Some(open) => open,
        None => Connection::open(target, h2).await?,
    };
    let response = match open.send(target).await {
        Ok(response) => response,
        // Closed between two requests before this one was on its way: every HTTP client sends it again.
        Err(error) if error.is_canceled() => {
            open = Connection::open(target, h2).await?;
            open.send(target).await?
        }
        Err(error) => return Err(error.into()),
    };
    let status = response.status();
    let version = response.headers().get(VERSION).and_then(|value| value.to_str().ok()).unwrap_or("another").to_owned();
    response.into_body().collect().await?;
    *connection = Some(open);
    if status == StatusCode::OK { Ok(version) } else { Err(RequestError::Status(status)) }
}

/// A connection; dropping it ends its task too.
struct Connection {
    sender: Sender,
    _driver: JoinSet<()>,
}

enum Sender {
    H1(http1::SendRequest<Empty<Bytes>>),
    H2(http2::SendRequest<Empty<Bytes>>),
}

impl Connection {
    async fn open(target: &Target, h2: bool) -> Result<Self, RequestError> {
        let stream = TcpStream::connect(target.address()).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(target.host).map_err(io::Error::other)?;
        let connector = if h2 { &target.h2 } else { &target.h1 };
        let stream = TokioIo::new(connector.connect(name, stream).await?);
        let mut driver = JoinSet::new();
        if h2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            driver.spawn(async move {
                // Its failure reaches the request.
                let _ = connection.await;
            });
            Ok(Self { sender: Sender::H2(sender), _driver: driver })
        } else {
            let (sender, connection) = http1::handshake(stream).await?;
            driver.spawn(async move {
                let _ = connection.await;
            });
            Ok(Self { sender: Sender::H1(sender), _driver: driver })
        }
    }

    async fn ready(&mut self) -> Result<(), hyper::Error> {
        match &mut self.sender {
            Sender::H1(sender) => sender.ready().await,
            Sender::H2(sender) => sender.ready().await,
        }
    }

    async fn send(&mut self, target: &Target) -> Result<Response<Incoming>, hyper::Error> {
        let authority = format!("{}:{}", target.host, target.address().port());
        let user_agent = concat!("sluice-demo/", env!("CARGO_PKG_VERSION"));
        let request = Request::builder().header(header::USER_AGENT, user_agent);
        match &mut self.sender {
            Sender::H1(sender) => {
                let request = request.uri("/").header(header::HOST, authority).body(Empty::new());
                sender.send_request(request.expect("fixed parts make a request")).await
            }
            Sender::H2(sender) => {
                let request = request.uri(format!("https://{authority}/")).body(Empty::new());
                sender.send_request(request.expect("fixed parts make a request")).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::Ipv4Addr;

    use http_body_util::Full;
    use hyper::service::service_fn;
    use hyper_util::server::conn::auto;
    use rustls::ServerConfig;
    use rustls_pki_types::PrivateKeyDer;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::demo::certificates::Certificates;

    const HOST: &str = "shop.localhost";

    /// A server that speaks both protocols; every third connection is closed after its first answer.
    async fn serve(listener: TcpListener, certificates: Certificates, seen: Arc<Mutex<Vec<http::Version>>>) {
        let chain = vec![CertificateDer::from_pem_slice(certificates.chain.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(certificates.key.as_bytes()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.unwrap();
                let answer = service_fn(|request: Request<Incoming>| {
                    let mut seen = seen.lock().unwrap();
                    seen.push(request.version());
                    let mut response = Response::new(Full::new(Bytes::from_static(b"hello")));
                    response.headers_mut().insert(VERSION, http::HeaderValue::from_static("v2"));
                    if seen.len().is_multiple_of(3) && request.version() == http::Version::HTTP_11 {
                        response.headers_mut().insert(header::CONNECTION, http::HeaderValue::from_static("close"));
                    }
                    std::future::ready(Ok::<_, Infallible>(response))
                });
                let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    }

    #[tokio::test]
    async fn both_protocols_are_spoken_and_closed_connections_are_no_failures() {
        let certificates = Certificates::make(&[HOST], time::OffsetDateTime::now_utc()).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = Arc::new(AtomicU16::new(listener.local_addr().unwrap().port()));
        let target = Target::new(HOST, Ipv4Addr::LOCALHOST.into(), port, &certificates.root).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let server = tokio::spawn(serve(listener, certificates, Arc::clone(&seen)));
        let meter = Arc::new(Mutex::new(Meter::new(Instant::now())));
        let _ = tokio::time::timeout(Duration::from_millis(900), send(target, Arc::clone(&meter))).await;
        server.abort();
        let reading = meter.lock().unwrap().read(Instant::now());
        assert_eq!((reading.failures, reading.last_failure), (0, None));
        assert!((20..=50).contains(&reading.requests), "{}", reading.requests);
        assert_eq!(reading.versions.get("v2"), Some(&reading.requests));
        let seen = seen.lock().unwrap();
        let h2 = seen.iter().filter(|version| **version == http::Version::HTTP_2).count();
        assert!(h2 >= seen.len() / 3 && h2 < seen.len(), "{h2} of {}", seen.len());
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_or_not_trusted_is_a_failure() {
        let certificates = Certificates::make(&[HOST], time::OffsetDateTime::now_utc()).unwrap();
        let other = Certificates::make(&[HOST], time::OffsetDateTime::now_utc()).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = Arc::new(AtomicU16::new(listener.local_addr().unwrap().port()));
        let target = Target::new(HOST, Ipv4Addr::LOCALHOST.into(), Arc::clone(&port), &other.root).unwrap();
        let server = tokio::spawn(serve(listener, certificates, Arc::default()));
        let mut none = None;
        let error = one(&target, &mut none, true).await.unwrap_err().to_string();
        assert!(error.contains("certificate"), "{error}");
        server.abort();
        let _ = server.await;
        let error = one(&target, &mut none, false).await.unwrap_err().to_string();
        assert!(error.starts_with("connect: "), "{error}");
    }
}
