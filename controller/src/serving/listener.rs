//! The accept loop. It waits for nothing but the socket: what a connection has to wait for, it waits for by itself. A
//! connection that says nothing costs its place until a visitor needs it; turns for handshakes are for those whose
//! ClientHello is there.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::Stream;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::admission::Admission;
use super::connection::Connection;
use super::register::{Capacity, Place, Register, party};
use crate::limits::ControllerLimits;
use crate::shares::Places;
use crate::turns::Turns;

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
    /// From the end of the handshake to the first call that is authenticated; `None` where calls are not.
    pub authentication: Option<Duration>,
    /// Shares of one address.
    pub bounds: ControllerLimits,
}

impl Default for Limits {
    fn default() -> Self {
        let bounds = ControllerLimits::default();
        Self {
            handshake_timeout: Duration::from_secs(10),
            unfinished_handshakes: 1_000,
            handshakes_per_second: 100,
            connections: 10_000,
            tcp_keepalive: Duration::from_secs(10),
            authentication: Some(bounds.unauthenticated_connection),
            bounds,
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
        let handshakes = Arc::new(Handshakes::new(config, limits));
        let work = async {
            loop {
                let (stream, remote) = match socket.accept().await {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        failed(&error).await;
                        continue;
                    }
                };
                let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
                let Some(place) = handshakes.register.enter(remote.ip(), Instant::now()) else {
                    debug!(%remote, "no room for a connection of this address");
                    continue;
                };
                prepare(&stream, &handshakes.limits);
                tokio::spawn(Arc::clone(&handshakes).run(stream, remote, place, ready.clone()));
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
            () = ready.closed() => {}
        }
    }
}

/// What the handshakes of a listener share.
struct Handshakes {
    config: Arc<ServerConfig>,
    limits: Limits,
    register: Arc<Register>,
    turns: Turns<IpAddr>,
    admission: Mutex<Admission>,
}

/// Why a connection does not come to be.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Tls(#[from] io::Error),
    #[error("too many handshakes wait for their turn")]
    Crowd,
    #[error("it had to make room for another")]
    Room,
    #[error("not finished in time")]
    Deadline,
}

impl Handshakes {
    fn new(config: Arc<ServerConfig>, limits: Limits) -> Self {
        let ControllerLimits {
            connections_per_address: per_address,
            unauthenticated_connections: unproven,
            unfinished_per_address,
            handshakes_per_address,
            ..
        } = limits.bounds;
        let unfinished = limits.unfinished_handshakes.max(1);
        let places = Places { all: unfinished, each: unfinished_per_address, reserve: unfinished / 4 };
        let now = Instant::now();
        Self {
            config,
            register: Register::new(Capacity { all: limits.connections, per_address, unproven }),
            turns: Turns::new(places, per_address),
            admission: Mutex::new(Admission::new(limits.handshakes_per_second, handshakes_per_address, now)),
            limits,
        }
    }

    async fn run(
        self: Arc<Self>,
        stream: TcpStream,
        remote: SocketAddr,
        place: Place,
        ready: mpsc::Sender<Connection>,
    ) {
        let end = place.end().clone();
        let done = tokio::select! {
            done = timeout(self.limits.handshake_timeout, self.handshake(stream, remote, place)) => {
                done.unwrap_or(Err(Failure::Deadline))
            }
            () = end.cancelled() => Err(Failure::Room),
        };
        match done {
            // Fails when the server has ended.
            Ok(connection) => drop(ready.send(connection).await),
            Err(failure) => debug!(%remote, %failure, "TLS handshake failed"),
        }
    }

    async fn handshake(&self, stream: TcpStream, remote: SocketAddr, place: Place) -> Result<Connection, Failure> {
        let begun = Instant::now();
        let greeting = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        place.greeted();
        let address = party(remote.ip());
        let known = self.register.knows(address, Instant::now());
        let patience = || self.limits.handshake_timeout.saturating_sub(begun.elapsed());
        let own = self.admission().of_address(address, Instant::now(), patience()).ok_or(Failure::Crowd)?;
        sleep(own).await;
        // For the work itself: a handshake whose peer is slow has it for as long as it takes.
        let turn = self.turns.take(address, known, patience()).await.ok_or(Failure::Crowd)?;
        let all = self.admission().of_all(known, Instant::now(), patience()).ok_or(Failure::Crowd)?;
        sleep(all).await;
        let stream = greeting.into_stream(Arc::clone(&self.config)).await?;
        drop(turn);
        Ok(Connection::new(stream, remote, Arc::new(place), self.limits.authentication))
    }

    fn admission(&self) -> std::sync::MutexGuard<'_, Admission> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
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
