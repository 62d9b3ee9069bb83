//! A TLS connection whose handshake is done, with what became known of the peer in it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::guarded::Guarded;
use super::register::Place;

/// What is known of the peer of a connection.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    pub remote: SocketAddr,
    /// The chain that it has presented and whose key it has proven to hold, the leaf first. Empty if it has none.
    pub certificates: Arc<[CertificateDer<'static>]>,
}

/// A connection as its requests see it; an extension of each of them.
#[derive(Clone, Debug)]
pub struct Handle {
    info: PeerInfo,
    place: Arc<Place>,
}

impl Handle {
    #[must_use]
    pub fn info(&self) -> &PeerInfo {
        &self.info
    }

    /// A call on this connection has proven an identity: the connection may stay.
    pub fn proven(&self) {
        self.place.prove(Instant::now());
    }
}

/// A connection to be served.
#[derive(Debug)]
pub struct Connection {
    stream: Guarded<TlsStream<TcpStream>>,
    info: PeerInfo,
}

impl Connection {
    /// `within` is how long it may take until a call is authenticated; `None` = for ever.
    pub(super) fn new(
        stream: TlsStream<TcpStream>,
        remote: SocketAddr,
        place: Arc<Place>,
        within: Option<Duration>,
    ) -> Self {
        let presented = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let certificates = presented.iter().map(|it| it.clone().into_owned()).collect();
        Self { stream: Guarded::new(stream, place, within), info: PeerInfo { remote, certificates } }
    }

    #[must_use]
    pub fn info(&self) -> &PeerInfo {
        &self.info
    }

    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { info: self.info.clone(), place: Arc::clone(self.stream.place()) }
    }
}

impl Connected for Connection {
    type ConnectInfo = Handle;

    fn connect_info(&self) -> Handle {
        self.handle()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
