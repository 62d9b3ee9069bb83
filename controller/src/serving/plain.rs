//! HTTP servers beside gRPC: connections of a bounded number, shared fairly by addresses, each with deadlines for what a
//! client has to say. Knows no paths.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::serve::Listener;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tracing::debug;

use super::connection::{Connection, Handle};
use super::guarded::Guarded;
use super::register::{Capacity, Place, Register};

/// Open connections of a port without TLS: probes, a scraper or two, a person.
const PLAIN: Capacity = Capacity { all: 256, per_address: 64, unproven: 256 };

/// Deadlines and sizes of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Plain {
    /// For the head of a request, and for the next one on a connection.
    pub idle: Duration,
    /// After so long a connection ends with its next answer, and soon after in any case; `None` = never.
    pub life: Option<Duration>,
    /// For requests under way when told to stop, or at the end of a connection's life.
    pub grace: Duration,
    /// Requests at a time on a connection of HTTP/2.
    pub streams: u32,
}

impl Default for Plain {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(10),
            life: Some(Duration::from_secs(60)),
            grace: Duration::from_secs(5),
            streams: 16,
        }
    }
}

/// Longest list of fields in a request, bytes.
pub(crate) const HEADER_LIST: u32 = 32 << 10;

/// Who sent a request; an extension of each.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Where it comes from.
    pub remote: SocketAddr,
    handle: Option<Handle>,
}

impl Proof {
    /// Of a connection that nothing keeps.
    #[cfg(test)]
    pub(crate) fn of(remote: SocketAddr) -> Self {
        Self { remote, handle: None }
    }

    /// The request shows that its sender belongs here: its connection may stay.
    pub(crate) fn proven(&self) {
        if let Some(handle) = &self.handle {
            handle.proven();
        }
    }
}

/// A connection that may have a place to be kept.
pub trait Placed {
    fn handle(&self) -> Option<Handle>;
}

impl Placed for Connection {
    fn handle(&self) -> Option<Handle> {
        Some(Connection::handle(self))
    }
}

impl Placed for Guarded<TcpStream> {
    fn handle(&self) -> Option<Handle> {
        None
    }
}

impl Placed for TcpStream {
    fn handle(&self) -> Option<Handle> {
        None
    }
}

/// A socket without TLS whose connections are bounded.
#[derive(Debug)]
pub struct PlainListener {
    socket: TcpListener,
    register: Arc<Register>,
}

impl PlainListener {
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::bounded(address, PLAIN).await
    }

    async fn bounded(address: SocketAddr, capacity: Capacity) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, register: Register::new(capacity) })
    }

    fn enter(&self, remote: SocketAddr) -> Option<Place> {
        self.register.enter(remote.ip(), Instant::now())
    }
}

impl Listener for PlainListener {
    type Io = Guarded<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, remote) = Listener::accept(&mut self.socket).await;
            let Some(place) = self.enter(remote) else {
                debug!(%remote, "no room for a connection of this address");
                continue;
            };
            return (Guarded::new(stream, Arc::new(place), None), remote);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Serves these connections, HTTP/1.1 and HTTP/2, until told to stop; requests under way are finished.
pub async fn serve_http<L>(mut incoming: L, router: Router, settings: Plain, stop: CancellationToken)
where
    L: Listener<Addr = SocketAddr>,
    L::Io: Placed,
{
    let Plain { idle, life, grace, streams } = settings;
    let connections = TaskTracker::new();
    loop {
        let (io, remote) = tokio::select! {
            accepted = incoming.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let proof = Proof { remote, handle: io.handle() };
        let router = router.clone();
        let service = tower::service_fn(move |mut request: Request<_>| {
            request.extensions_mut().insert(proof.clone());
            let router = router.clone();
            async move { Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {})) }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(idle).max_buf_size(64 << 10);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(idle)
            .keep_alive_timeout(idle)
            .max_concurrent_streams(streams)
            .max_pending_accept_reset_streams(20)
            .max_header_list_size(HEADER_LIST);
        let stop = stop.clone();
        connections.spawn(async move {
            let connection = builder.serve_connection(TokioIo::new(io), TowerToHyperService::new(service));
            tokio::pin!(connection);
            let aged = async {
                match life {
                    Some(life) => tokio::time::sleep(life).await,
                    None => std::future::pending().await,
                }
            };
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
                () = aged => {
                    connection.as_mut().graceful_shutdown();
                    tokio::time::timeout(grace, connection).await.unwrap_or(Ok(()))
                }
            };
            if let Err(error) = ended {
                debug!(%error, "a connection ended early");
            }
        });
    }
    connections.close();
    // What is not done by then is not waited for.
    let _ = tokio::time::timeout(grace, connections.wait()).await;
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A probe is answered although others hold as many connections as there may be, and say nothing.
    #[tokio::test]
    async fn silent_connections_do_not_keep_a_probe_from_its_answer() {
        let capacity = Capacity { all: 8, per_address: 8, unproven: 8 };
        let listener = PlainListener::bounded(([127, 0, 0, 1], 0).into(), capacity).await.unwrap();
        let address = listener.local_addr().unwrap();
        let register = Arc::clone(&listener.register);
        let router = Router::new().route("/ready", get(|| async { "ok" }));
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve_http(listener, router, Plain::default(), stop.clone()));
        let mut silent = Vec::new();
        for _ in 0..20 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut probe = TcpStream::connect(address).await.unwrap();
        probe.write_all(b"GET /ready HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        probe.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(register.count().0 <= 8);
        stop.cancel();
        drop(silent);
        task.await.unwrap();
    }

    /// A head that never ends is not waited for.
    #[tokio::test]
    async fn a_slow_head_ends_the_connection() {
        let listener = PlainListener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = Plain { idle: Duration::from_millis(50), ..Plain::default() };
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve_http(listener, Router::new(), settings, stop.clone()));
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
        let mut answer = Vec::new();
        // The end of the stream, whatever is said before.
        let _ = slow.read_to_end(&mut answer).await;
        stop.cancel();
        task.await.unwrap();
    }
}
