//! The accept loop of one listener on one worker, and what becomes of a connection: sniff, handshake, protocol.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use crate::listener::places::{Most, Place, Slot};
use crate::listener::sniff;
use crate::listener::watched::Watched;
use crate::proxy::connection::{Connection, TlsFacts};
use crate::proxy::http1::buffer::Buffer;
use crate::proxy::http1::server::{self as http1, Ended};
use crate::proxy::{http2, tcp};
use crate::table::{Chain, Listener, Table};
use crate::tls::suites::version_name;
use crate::worker::{Serve, Socket, Stop, Worker};

/// After a failure to accept that is not about one connection, as for want of descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts until the listener is stopped. Connections already in the socket's queue are still served.
pub(crate) async fn run(worker: Arc<Worker>, serve: Serve) {
    // The claim goes last: when it is gone, so are all sockets.
    let Serve { name, socket, stop, claim: _claim } = serve;
    match socket {
        Socket::Tcp(socket) => match TcpListener::from_std(socket) {
            Ok(socket) => tcp_loop(&worker, &name, socket, &stop).await,
            Err(error) => warn!(listener = %name, error = %error, "listener cannot be served"),
        },
        Socket::Unix(socket) => match UnixListener::from_std(socket) {
            Ok(socket) => unix_loop(&worker, &name, socket, &stop).await,
            Err(error) => warn!(listener = %name, error = %error, "listener cannot be served"),
        },
    }
}

async fn tcp_loop(worker: &Arc<Worker>, name: &ir::ListenerName, socket: TcpListener, stop: &Stop) {
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = socket.accept() => accepted,
            () = stop.closing.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some((place, stop)) = place(worker, Some(peer.ip().to_canonical()), stop) else { continue };
                // Small messages must not wait for an acknowledgement; failing is only slower.
                let _ = stream.set_nodelay(true);
                let (worker, name) = (Arc::clone(worker), name.clone());
                let tasks = worker.shared.tasks.clone();
                tasks.spawn(async move { serve_tcp(worker, name, stream, peer, stop, place).await });
            }
            Err(error) => failed(worker, name, &error).await,
        }
    }
}

async fn unix_loop(worker: &Arc<Worker>, name: &ir::ListenerName, socket: UnixListener, stop: &Stop) {
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = socket.accept() => accepted,
            () = stop.closing.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let Some((place, stop)) = place(worker, None, stop) else { continue };
                let (worker, name) = (Arc::clone(worker), name.clone());
                let tasks = worker.shared.tasks.clone();
                tasks.spawn(async move { serve_unix(worker, name, stream, stop, place).await });
            }
            Err(error) => failed(worker, name, &error).await,
        }
    }
}

/// A connection that was gone before it was accepted is nothing; anything else is worth a pause.
async fn failed(worker: &Worker, name: &ir::ListenerName, error: &io::Error) {
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    worker.shared.metrics.accept_errors.inc();
    warn!(listener = %name, error = %error, "connections cannot be accepted");
    tokio::time::sleep(PAUSE).await;
}

/// A place for a connection, and what ends it; `None` where there is none.
fn place(worker: &Worker, address: Option<IpAddr>, stop: &Stop) -> Option<(Place, Stop)> {
    let shared = &worker.shared;
    let most = Most {
        connections: shared.table.load().limits().max_connections.min(shared.most_connections),
        per_address: shared.limits.connections_per_address,
        unfinished: shared.limits.unfinished_connections,
    };
    let stop = stop.of_connection();
    match shared.places.take(address, most, stop.abort.clone()) {
        Ok(place) => Some((place, stop)),
        Err(why) => {
            // Closed without a word: a client that retries is served as soon as there is a place.
            shared.metrics.rejected_connections.with_label_values(&[why.reason()]).inc();
            None
        }
    }
}

/// Counts a connection as open for as long as it lives.
struct Open<'w>(&'w Worker);

impl<'w> Open<'w> {
    fn new(worker: &'w Worker) -> Self {
        worker.shared.metrics.connections.inc();
        Self(worker)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.shared.metrics.connections.dec();
    }
}

async fn serve_tcp(
    worker: Arc<Worker>,
    name: ir::ListenerName,
    stream: TcpStream,
    peer: SocketAddr,
    stop: Stop,
    place: Place,
) {
    let _open = Open::new(&worker);
    let Ok(local) = stream.local_addr() else { return };
    let (peer, local) = (unmapped(peer), unmapped(local));
    let table = worker.shared.table.load_full();
    let Some(listener) = table.listener(&name).cloned() else { return };
    // One for all of it, from accept on (docs/security.md, T-5).
    let deadline = Instant::now() + table.limits().handshake_timeout;
    let tls = match (&listener.plaintext, listener.tls.is_empty()) {
        (_, true) => false,
        (_, false) => {
            let first = tokio::select! {
                first = timeout_at(deadline, sniff::is_tls(&stream)) => first,
                () = stop.closing.cancelled() => return,
                () = stop.abort.cancelled() => return,
            };
            match first {
                Ok(Ok(tls)) => tls,
                // A client that says nothing, or is gone.
                Ok(Err(_)) | Err(_) => return,
            }
        }
    };
    let slot = Arc::clone(place.slot());
    let parts = Parts { worker: Arc::clone(&worker), table, listener: name, peer, local, stop, slot };
    let stream = Watched::new(stream, worker.shared.limits.write_stall);
    if tls {
        let abort = parts.stop.abort.clone();
        let shaken = tokio::select! {
            shaken = Box::pin(handshake(&parts, &listener, stream, deadline)) => shaken,
            () = abort.cancelled() => return,
        };
        drop(listener);
        place.slot().spoke();
        if let Some((stream, chain, tls, is_http2)) = shaken {
            Box::pin(parts.serve(stream, &chain, Some((tls, is_http2)))).await;
        }
    } else if let Some(chain) = &listener.plaintext {
        let chain = chain.clone();
        drop(listener);
        parts.serve(stream, &chain, None).await;
    } else {
        // Closed without a word, as Envoy does where no chain fits.
        worker.shared.metrics.rejected_connections.with_label_values(&["filter_chain_not_found"]).inc();
    }
}

async fn serve_unix(worker: Arc<Worker>, name: ir::ListenerName, stream: UnixStream, stop: Stop, place: Place) {
    let _open = Open::new(&worker);
    let table = worker.shared.table.load_full();
    let Some(chain) = table.listener(&name).and_then(|listener| listener.plaintext.clone()) else { return };
    // Clients on a unix socket have no address; the loopback one stands for them.
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    let slot = Arc::clone(place.slot());
    let parts = Parts { worker: Arc::clone(&worker), table, listener: name, peer: here, local: here, stop, slot };
    let stream = Watched::new(stream, worker.shared.limits.write_stall);
    parts.serve(stream, &chain, None).await;
}

/// What a connection is made of, whatever it turns out to speak.
struct Parts {
    worker: Arc<Worker>,
    table: Arc<Table>,
    listener: ir::ListenerName,
    peer: SocketAddr,
    local: SocketAddr,
    stop: Stop,
    slot: Arc<Slot>,
}

impl Parts {
    async fn serve<IO>(self, io: IO, chain: &Chain, tls: Option<(TlsFacts, bool)>)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (tls, is_http2) = tls.map_or((None, false), |(facts, is_http2)| (Some(facts), is_http2));
        match chain {
            Chain::Http { table, .. } => {
                let connection = Arc::new(Connection {
                    listener: self.listener,
                    table: *table,
                    limits: Arc::clone(self.table.limits()),
                    tls,
                    peer_text: self.peer.ip().to_string().into(),
                    peer: self.peer,
                    local: self.local,
                    stop: self.stop,
                    slot: self.slot,
                    worker: self.worker,
                });
                // From here on each request looks at the table of its own time.
                drop(self.table);
                http(io, connection, is_http2).await;
            }
            Chain::Tcp { destinations, total_weight } => {
                // Nothing tells a pause from an end, so that only silence for long makes room.
                let _working = self.slot.work();
                let Some(endpoint) = tcp::endpoint(&self.table, destinations, *total_weight) else { return };
                let idle_timeout = self.table.limits().idle_timeout;
                // A connection may outlive many tables.
                drop(self.table);
                Box::pin(tcp::serve(io, &self.worker, &self.stop.abort, endpoint, idle_timeout)).await;
            }
        }
    }
}

async fn http<IO>(io: IO, connection: Arc<Connection>, is_http2: bool)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let abort = connection.stop.abort.clone();
    let work = async move {
        if is_http2 {
            Box::pin(http2::server::serve(io, bytes::Bytes::new(), connection)).await;
        } else if let Ended::Http2(io, first) = http1::serve(io, Buffer::default(), Arc::clone(&connection)).await {
            Box::pin(http2::server::serve(io, first, connection)).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = abort.cancelled() => {}
    }
}

/// A finished handshake: the stream, what is behind it, and whether HTTP/2 was negotiated.
type Shaken = (TlsStream<Watched<TcpStream>>, Chain, TlsFacts, bool);

/// Finishes a handshake; `None` if the connection is to be closed.
async fn handshake(
    parts: &Parts,
    listener: &Listener,
    mut stream: Watched<TcpStream>,
    deadline: Instant,
) -> Option<Shaken> {
    let rejected = |reason| parts.worker.shared.metrics.rejected_connections.with_label_values(&[reason]).inc();
    let mut facts = None;
    stream.set_budget(Some(parts.worker.shared.limits.client_hello_bytes));
    let accepted = timeout_at(deadline, async {
        let mut start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        start.io.set_budget(None);
        let hello = start.client_hello();
        let server_name: Option<Arc<str>> = hello.server_name().map(|name| name.to_ascii_lowercase().into());
        let Some(chain) = listener.server(server_name.as_deref()) else {
            rejected("filter_chain_not_found");
            return Ok(None);
        };
        let Some(configs) = &chain.configs else {
            rejected("no_certificate");
            return Ok(None);
        };
        let config = match hello.alpn() {
            Some(offered) => configs.choose(offered),
            None => configs.choose(std::iter::empty()),
        };
        facts = Some((server_name, chain.chain.clone()));
        start.into_stream(config).await.map(Some)
    })
    .await;
    let stream = match accepted {
        Ok(Ok(Some(stream))) => stream,
        // Closed without a word, as Envoy does where no chain fits.
        Ok(Ok(None)) => return None,
        Ok(Err(error)) => {
            rejected("handshake_failed");
            debug!(peer = %parts.peer, error = %error, "TLS handshake failed");
            return None;
        }
        Err(_) => {
            rejected("handshake_timeout");
            return None;
        }
    };
    let (server_name, chain) = facts?;
    let session = stream.get_ref().1;
    let is_http2 = session.alpn_protocol() == Some(b"h2");
    let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("-");
    let tls = TlsFacts { server_name, version: version_name(session.protocol_version()), cipher };
    Some((stream, chain, tls, is_http2))
}

/// IPv4 clients of a socket for both families, as IPv4.
fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
