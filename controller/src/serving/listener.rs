//! The accept loop. Handshakes run beside it, a bounded number of them at a time, each with one deadline; while there is
//! no room, new connections wait in the socket's queue.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::Stream;
use rustls::ServerConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::admission::Admission;
use super::connection::Connection;

/// After a failure to accept that is not about one connection, as for want of descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// Connections that wait in the socket's queue.
const BACKLOG: u32 = 1024;

/// What a crowd of clients can take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From accepting a connection to the end of its handshake.
    pub handshake_timeout: Duration,
    pub unfinished_handshakes: usize,
    /// Begun in a second; 0 is without limit.
    pub handshakes_per_second: u32,
    pub connections: usize,
    /// A peer that is gone without a word is found out by probes this far apart.
    pub tcp_keepalive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            unfinished_handshakes: 1_000,
            handshakes_per_second: 100,
            connections: 10_000,
            tcp_keepalive: Duration::from_secs(10),
        }
    }
}

/// A bound socket that nobody accepts from yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    config: Arc<ServerConfig>,
    limits: Limits,
}

impl Listener {
    /// # Errors
    /// When the address cannot be had.
    pub fn bind(address: SocketAddr, config: Arc<ServerConfig>, limits: Limits) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Connections of a process before us may still be closing.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self { socket: socket.listen(BACKLOG)?, config, limits })
    }

    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until told to stop; then the stream ends. Connections that were yielded are not touched.
    pub fn incoming(self, stop: CancellationToken) -> io::Result<Incoming> {
        let local = self.local_addr()?;
        let (ready, connections) = mpsc::channel(64);
        tokio::spawn(self.accept(ready, stop));
        Ok(Incoming { connections, local })
    }

    async fn accept(self, ready: mpsc::Sender<Connection>, stop: CancellationToken) {
        let Self { socket, config, limits } = self;
        let acceptor = TlsAcceptor::from(config);
        let handshakes = Arc::new(Semaphore::new(limits.unfinished_handshakes.max(1)));
        let places = Arc::new(Semaphore::new(limits.connections.max(1)));
        let mut admission = Admission::new(limits.handshakes_per_second, Instant::now());
        let work = async {
            loop {
                let Ok(turn) = Arc::clone(&handshakes).acquire_owned().await else { return };
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let (stream, remote) = match socket.accept().await {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        failed(&error).await;
                        continue;
                    }
                };
                let wait = admission.wait(Instant::now());
                if !wait.is_zero() {
                    sleep(wait).await;
                }
                prepare(&stream, &limits);
                let start = Handshake { acceptor: acceptor.clone(), limit: limits.handshake_timeout, turn, place };
                tokio::spawn(start.run(stream, remote, ready.clone()));
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
            () = ready.closed() => {}
        }
    }
}

struct Handshake {
    acceptor: TlsAcceptor,
    limit: Duration,
    turn: OwnedSemaphorePermit,
    place: OwnedSemaphorePermit,
}

impl Handshake {
    async fn run(self, stream: TcpStream, remote: SocketAddr, ready: mpsc::Sender<Connection>) {
        let Self { acceptor, limit, turn, place } = self;
        match timeout(limit, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                drop(turn);
                let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
                // Fails when nobody serves any more.
                let _ = ready.send(Connection::new(stream, remote, place)).await;
            }
            Ok(Err(error)) => debug!(%remote, %error, "TLS handshake failed"),
            Err(_) => debug!(%remote, "TLS handshake not finished in time"),
        }
    }
}

/// A connection that was gone before it was accepted is nothing; anything else is worth a pause.
async fn failed(error: &io::Error) {
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        warn!(%error, "connections cannot be accepted");
        sleep(PAUSE).await;
    }
}

/// What fails here makes a connection slower, not wrong.
fn prepare(stream: &TcpStream, limits: &Limits) {
    let _ = stream.set_nodelay(true);
    let probes =
        TcpKeepalive::new().with_time(limits.tcp_keepalive).with_interval(limits.tcp_keepalive).with_retries(3);
    let _ = SockRef::from(stream).set_tcp_keepalive(&probes);
}

/// Connections whose handshake is done, for a gRPC server or for `axum::serve`.
#[derive(Debug)]
pub struct Incoming {
    connections: mpsc::Receiver<Connection>,
    local: SocketAddr,
}

impl Incoming {
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.connections.poll_recv(cx).map(|connection| connection.map(Ok))
    }
}

impl axum::serve::Listener for Incoming {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.connections.recv().await {
            Some(connection) => {
                let remote = connection.info().remote;
                (connection, remote)
            }
            // There will be none; the server ends by its own signal.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}
