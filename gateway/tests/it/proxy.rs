//! A gateway under test, and the questions that tests ask it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use gateway::discovery::{Follower, Options};
use gateway::{Config, Gateway};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::controller::PATIENCE;

pub(crate) struct Proxy {
    pub(crate) gateway: Gateway,
    pub(crate) follower: Follower,
}

impl Proxy {
    /// On free ports.
    pub(crate) async fn start(options: Options) -> Self {
        let free = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let config = Config { threads: 1, admin: free, metrics: free, ready: free, ..Config::default() };
        let gateway = gateway::start(config).await.unwrap();
        let follower = gateway::discovery::follow(&gateway, options).await;
        Self { gateway, follower }
    }

    /// Ends as the process does.
    pub(crate) async fn stop(self) {
        let Self { gateway, follower } = self;
        follower.stop().await;
        gateway.drain().await;
    }

    /// Where a listener is bound.
    pub(crate) async fn listener(&self, name: &str) -> Option<SocketAddr> {
        self.gateway.listeners().await.get(&ir::ListenerName::from(name)).copied()
    }

    /// The status that a host's requests get; `None` where there is no listener.
    pub(crate) async fn status(&self, host: &str) -> Option<u16> {
        let address = self.listener("http").await?;
        let stream = TcpStream::connect(address).await.ok()?;
        Some(get(stream, host, "/").await.0)
    }

    /// The same over TLS.
    pub(crate) async fn tls_status(&self, host: &'static str, config: Arc<ClientConfig>) -> Option<u16> {
        let stream = TcpStream::connect(self.listener("https").await?).await.ok()?;
        let name = ServerName::try_from(host).unwrap();
        let stream = TlsConnector::from(config).connect(name, stream).await.ok()?;
        Some(get(stream, host, "/").await.0)
    }

    /// Whether it says that it is ready.
    pub(crate) async fn is_ready(&self) -> bool {
        let stream = TcpStream::connect(self.gateway.addresses().ready.unwrap()).await.unwrap();
        get(stream, "localhost", "/healthz/ready").await.0 == 200
    }

    /// A page of the admin interface.
    pub(crate) async fn admin(&self, path: &str) -> Value {
        let stream = TcpStream::connect(self.gateway.addresses().admin.unwrap()).await.unwrap();
        let (status, body) = get(stream, "localhost", path).await;
        assert_eq!(status, 200);
        serde_json::from_str(&body).unwrap()
    }

    /// The value of a series.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        let text = self.gateway.metrics().text().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        Some(line.parse().unwrap())
    }
}

/// Status and body.
async fn get(mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &str, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    // A TLS connection may end without saying so.
    let _ = stream.read_to_string(&mut text).await;
    let status = text.split(' ').nth(1).expect("a status line").parse().unwrap();
    (status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// Looks again and again until there is a value.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = look().await {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
