//! The accept loop of one listener on one worker, and what becomes of a connection: sniff, handshake, protocol.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use crate::listener::sniff;
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
                if !has_room(worker).await {
                    continue;
                }
                // Small messages must not wait for an acknowledgement; failing is only slower.
                let _ = stream.set_nodelay(true);
                let (worker, name, stop) = (Arc::clone(worker), name.clone(), stop.clone());
                let tasks = worker.shared.tasks.clone();
                tasks.spawn(async move { serve_tcp(worker, name, stream, peer, stop).await });
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
                let (worker, name, stop) = (Arc::clone(worker), name.clone(), stop.clone());
                let tasks = worker.shared.tasks.clone();
                tasks.spawn(async move { serve_unix(worker, name, stream, stop).await });
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

/// Waits until there are fewer connections than allowed.
async fn has_room(worker: &Worker) -> bool {
    while open_connections(worker) >= worker.shared.table.load().limits().max_connections {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
            () = worker.shared.abort.cancelled() => return false,
        }
    }
    true
}

fn open_connections(worker: &Worker) -> usize {
    usize::try_from(worker.shared.metrics.connections.get()).unwrap_or(0)
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

async fn serve_tcp(worker: Arc<Worker>, name: ir::ListenerName, stream: TcpStream, peer: SocketAddr, stop: Stop) {
    let _open = Open::new(&worker);
    let Ok(local) = stream.local_addr() else { return };
    let (peer, local) = (unmapped(peer), unmapped(local));
    let table = worker.shared.table.load_full();
    let Some(listener) = table.listener(&name).cloned() else { return };
    let deadline = table.limits().handshake_timeout;
    let tls = match (&listener.plaintext, listener.tls.is_empty()) {
        (_, true) => false,
        (_, false) => {
            let first = tokio::select! {
                first = timeout(deadline, sniff::is_tls(&stream)) => first,
                () = stop.closing.cancelled() => return,
            };
            match first {
                Ok(Ok(tls)) => tls,
                // A client that says nothing, or is gone.
                Ok(Err(_)) | Err(_) => return,
            }
        }
    };
    let parts = Parts { worker: Arc::clone(&worker), table, listener: name, peer, local, stop };
    if tls {
        let shaken = Box::pin(handshake(&parts, &listener, stream, deadline)).await;
        drop(listener);
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

async fn serve_unix(worker: Arc<Worker>, name: ir::ListenerName, stream: UnixStream, stop: Stop) {
    let _open = Open::new(&worker);
    let table = worker.shared.table.load_full();
    let Some(chain) = table.listener(&name).and_then(|listener| listener.plaintext.clone()) else { return };
    // Clients on a unix socket have no address; the loopback one stands for them.
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    let parts = Parts { worker: Arc::clone(&worker), table, listener: name, peer: here, local: here, stop };
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
                    worker: self.worker,
                });
                // From here on each request looks at the table of its own time.
                drop(self.table);
                http(io, connection, is_http2).await;
            }
            Chain::Tcp { destinations, total_weight } => {
                Box::pin(tcp::serve(io, &self.worker, &self.table, &self.stop.abort, destinations, *total_weight))
                    .await;
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
type Shaken = (TlsStream<TcpStream>, Chain, TlsFacts, bool);

/// Finishes a handshake; `None` if the connection is to be closed.
async fn handshake(parts: &Parts, listener: &Listener, stream: TcpStream, deadline: Duration) -> Option<Shaken> {
    let rejected = |reason| parts.worker.shared.metrics.rejected_connections.with_label_values(&[reason]).inc();
    let mut facts = None;
    let accepted = timeout(deadline, async {
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
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
