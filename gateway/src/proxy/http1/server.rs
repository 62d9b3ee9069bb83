//! A client's HTTP/1.1 connection: requests one after the other, each answered before the next is read.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::proxy::connection::Connection;
use crate::proxy::head::{Fields, ResponseHead};
use crate::proxy::http1::body::{Decoded, Decoder};
use crate::proxy::http1::buffer::Buffer;
use crate::proxy::http1::outbox::Outbox;
use crate::proxy::http1::parse::{self, Framing, HeadLimits, Parsed, Refusal, Request, may_have_body};
use crate::proxy::http1::write;
use crate::proxy::stream::{Downstream, Gone, NotSent, Piece};
use crate::proxy::{Handled, handle, refuse};

/// The first bytes of an HTTP/2 connection (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How much of an unwanted body is read, and for how long, so that the client gets to see the reply (H1-11).
const LINGER_BYTES: usize = 64 * 1024;
const LINGER: Duration = Duration::from_secs(1);
/// How long an idle connection that is to be closed is kept for a request that may be on its way already.
const GRACE: Duration = Duration::from_secs(1);
/// Pipelined bytes held while a request is being answered. Beyond them nothing that was pipelined is served: the bytes
/// are read only to see whether the client is still there, up to a bound.
const MAX_PIPELINED: usize = 64 * 1024;
const MAX_DISCARDED: usize = 1024 * 1024;

/// How the connection ended.
pub(crate) enum Ended<IO> {
    /// It is to be closed.
    Closed,
    /// The client speaks HTTP/2 from the first byte on; nothing was answered.
    Http2(IO, Bytes),
}

/// Serves a connection until it ends. `input` was read from it already.
pub(crate) async fn serve<IO>(io: IO, input: Buffer, connection: Arc<Connection>) -> Ended<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut server = Server::new(io, input, connection);
    let mut first = true;
    loop {
        let next = server.next(first).await;
        first = false;
        let request = match next {
            Next::Request(request) => request,
            Next::Closed => return Ended::Closed,
            Next::Http2 => {
                let rest = server.input.take();
                return Ended::Http2(server.io, rest);
            }
            Next::Refused(refusal) => {
                server.close = true;
                let connection = Arc::clone(&server.connection);
                Box::pin(refuse(&connection, refusal, &mut server)).await;
                Box::pin(server.linger()).await;
                return Ended::Closed;
            }
        };
        server.begin(&request);
        let connection = Arc::clone(&server.connection);
        let _working = connection.slot.work();
        // Boxed, as everything here that is large: a connection at rest should hold none of it.
        match Box::pin(handle(&connection, request.head, request.framing, &mut server)).await {
            Handled::Done => {}
            Handled::Tunnel(upstream) => {
                Box::pin(server.tunnel(upstream)).await;
                return Ended::Closed;
            }
        }
        if server.broken {
            return Ended::Closed;
        }
        if server.close || !server.body.is_done() {
            if !server.body.is_done() || !server.input.is_empty() {
                Box::pin(server.linger()).await;
            } else {
                // The error is of no interest: the reply is out and the connection at its end.
                let _ = tokio::time::timeout(LINGER, server.io.shutdown()).await;
            }
            return Ended::Closed;
        }
    }
}

/// How long a client may say nothing at all; one that has shaken hands has said something.
fn first_timeout(connection: &Connection) -> Duration {
    let idle = connection.limits().idle_timeout;
    if connection.tls.is_some() { idle } else { idle.min(connection.worker.shared.limits.first_byte) }
}

enum Next {
    Request(Request),
    Refused(Refusal),
    Http2,
    Closed,
}

struct Server<IO> {
    io: IO,
    connection: Arc<Connection>,
    input: Buffer,
    out: Outbox,
    /// Of the current request.
    body: Decoder,
    to_head: bool,
    /// Of the current response.
    framing: Framing,
    /// No request follows.
    close: bool,
    /// Pipelined bytes that were thrown away.
    discarded: usize,
    /// Nothing more can be said on the connection.
    broken: bool,
    idle: Pin<Box<Sleep>>,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    /// `closing` will wake this task.
    armed: bool,
}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send> Server<IO> {
    fn new(io: IO, input: Buffer, connection: Arc<Connection>) -> Self {
        let idle = Box::pin(sleep_until(Instant::now() + first_timeout(&connection)));
        let closing = Box::pin(connection.stop.closing.clone().cancelled_owned());
        Self {
            io,
            connection,
            input,
            out: Outbox::default(),
            body: Decoder::Done,
            to_head: false,
            framing: Framing::None,
            close: false,
            discarded: 0,
            broken: false,
            idle,
            closing,
            armed: false,
        }
    }

    /// Whether the connection is to end. Asking the token once is enough to be woken by it.
    fn is_closing(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.armed {
            self.armed = true;
            if self.closing.as_mut().poll_unpinned(cx).is_ready() {
                return true;
            }
        }
        self.connection.stop.is_closing()
    }

    fn begin(&mut self, request: &Request) {
        self.body = Decoder::new(request.framing);
        self.to_head = request.head.is_head();
        self.close = request.close;
        self.framing = Framing::None;
    }

    /// Waits for the next request. While nothing of it has come, no buffer is held and the connection may be ended
    /// from our side.
    async fn next(&mut self, first: bool) -> Next {
        self.input.rest();
        self.out.rest();
        let limits = self.connection.limits();
        let head_limits = HeadLimits { bytes: limits.max_head_bytes, fields: limits.max_header_fields };
        let idle_timeout = if first { first_timeout(&self.connection) } else { limits.idle_timeout };
        let head_timeout = limits.head_timeout;
        let idle_since = Instant::now();
        let scheme = self.connection.scheme();
        let mut head_deadline: Option<Pin<Box<Sleep>>> = None;
        // Once the connection is to be closed: until when a request may still come.
        let mut grace: Option<Instant> = None;
        poll_fn(|cx| {
            loop {
                if !self.input.is_empty() {
                    let bytes = self.input.bytes();
                    let shared = bytes.len().min(PREFACE.len());
                    if first && bytes[..shared] == PREFACE[..shared] {
                        if shared == PREFACE.len() {
                            return Poll::Ready(Next::Http2);
                        }
                    } else {
                        match parse::request(bytes, head_limits, scheme) {
                            Ok(Parsed::Head(request, length)) => {
                                self.input.consume(length);
                                return Poll::Ready(Next::Request(request));
                            }
                            Ok(Parsed::Partial) => {}
                            Err(refusal) => return Poll::Ready(Next::Refused(refusal)),
                        }
                    }
                    let deadline =
                        head_deadline.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + head_timeout)));
                    if deadline.as_mut().poll_unpinned(cx).is_ready() {
                        return Poll::Ready(Next::Refused(Refusal::Timeout));
                    }
                }
                // What the client has sent is answered, whatever else is going on.
                match self.input.poll_first(&mut self.io, cx) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Next::Closed),
                    Poll::Ready(Ok(_)) => continue,
                    Poll::Pending if !self.input.is_empty() => return Poll::Pending,
                    Poll::Pending => {}
                }
                if grace.is_none() && self.is_closing(cx) {
                    let until = Instant::now() + GRACE;
                    grace = Some(until);
                    self.idle.as_mut().reset(until);
                }
                while self.idle.as_mut().poll_unpinned(cx).is_ready() {
                    // The timer is moved when it fires, not with every request.
                    let deadline = grace.unwrap_or(idle_since + idle_timeout);
                    if deadline <= Instant::now() {
                        return Poll::Ready(Next::Closed);
                    }
                    self.idle.as_mut().reset(deadline);
                }
                return Poll::Pending;
            }
        })
        .await
    }

    /// Says goodbye and reads on a little: a reset would take the reply away from the client.
    async fn linger(&mut self) {
        let discard = async {
            if self.io.shutdown().await.is_err() {
                return;
            }
            let (mut left, mut bytes) = (LINGER_BYTES, [0; 1024]);
            while left > 0 {
                match self.io.read(&mut bytes).await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => left = left.saturating_sub(count),
                }
            }
        };
        // Time running out is as good an end as any.
        let _ = tokio::time::timeout(LINGER, discard).await;
    }

    /// Copies bytes both ways after a switch of protocols.
    async fn tunnel(mut self, upstream: super::client::Exchange) {
        let (mut stream, early) = upstream.into_tunnel();
        let work = async {
            self.io.write_all(&early).await?;
            self.io.flush().await?;
            stream.write_all(&self.input.take()).await?;
            stream.flush().await?;
            tokio::io::copy_bidirectional(&mut self.io, &mut stream).await.map(|_| ())
        };
        tokio::select! {
            // Either side may close at any time; that is how a tunnel ends.
            _ = work => {}
            () = self.connection.stop.abort.cancelled() => {}
        }
    }

    fn lost(&mut self) -> Gone {
        self.broken = true;
        Gone::Closed
    }

    fn sent(&mut self, result: io::Result<()>) -> Result<(), Gone> {
        result.map_err(|_| self.lost())
    }
}

/// `Future::poll` on a pinned box without naming the trait at every call.
trait PollUnpinned {
    fn poll_unpinned(self, cx: &mut Context<'_>) -> Poll<()>;
}

impl<F: Future<Output = ()>> PollUnpinned for Pin<&mut F> {
    fn poll_unpinned(self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(cx)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send> Downstream for Server<IO> {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece<'_>, Gone>> {
        loop {
            let Ok(decoded) = self.body.decode(self.input.bytes()) else {
                self.close = true;
                return Poll::Ready(Err(Gone::Malformed));
            };
            match decoded {
                Decoded::Data { data, consumed } => {
                    return Poll::Ready(Ok(Piece::Data(self.input.used(data, consumed))));
                }
                Decoded::End { consumed } => {
                    self.input.consume(consumed);
                    return Poll::Ready(Ok(Piece::End(None)));
                }
                Decoded::More { consumed } => self.input.consume(consumed),
            }
            match ready!(self.input.poll_fill(&mut self.io, cx)) {
                Ok(0) | Err(_) => return Poll::Ready(Err(self.lost())),
                Ok(_) => {}
            }
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let full = self.input.bytes().len() >= MAX_PIPELINED;
            // What of this request's body has come is kept; the rest waits in the kernel.
            if full && !self.body.is_done() {
                return Poll::Pending;
            }
            match ready!(self.input.poll_first(&mut self.io, cx)) {
                Ok(0) | Err(_) => break,
                Ok(count) if full => {
                    self.close = true;
                    self.input.forget_last(count);
                    self.discarded += count;
                    if self.discarded > MAX_DISCARDED {
                        break;
                    }
                }
                Ok(_) => {}
            }
        }
        self.broken = true;
        Poll::Ready(())
    }

    fn send_interim(&mut self, head: &ResponseHead) {
        // One that cannot be written is left out: the final response is what counts.
        let _ = write::response(self.out.bytes(), head, Framing::None, false, false);
    }

    fn send_switch(&mut self, head: &ResponseHead) -> Result<(), NotSent> {
        Ok(write::switching(self.out.bytes(), head)?)
    }

    fn send_head(&mut self, head: &ResponseHead, framing: Framing) -> Result<(), NotSent> {
        // HTTP/1.1 clients need no end of connection to find the end of a body.
        self.framing = match framing {
            _ if !may_have_body(head.status, self.to_head) => Framing::None,
            Framing::UntilClose => Framing::Chunked,
            Framing::None | Framing::Length(_) | Framing::Chunked => framing,
        };
        self.close |= self.connection.stop.is_closing();
        Ok(write::response(self.out.bytes(), head, self.framing, self.to_head, self.close)?)
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let result = ready!(self.out.poll_room(&mut self.io, cx));
        Poll::Ready(self.sent(result))
    }

    fn send_data(&mut self, data: &[u8]) {
        // Behind a head that has no body nothing follows: it would be taken for the next response.
        if self.framing == Framing::None {
            return;
        }
        write::data(self.out.bytes(), data, self.framing);
    }

    fn finish(&mut self, _trailers: Option<&Fields>) {
        // HTTP/1.1 clients are not told trailers, as Envoy's are not by default.
        write::end(self.out.bytes(), self.framing);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let result = ready!(self.out.poll_flush(&mut self.io, cx));
        Poll::Ready(self.sent(result))
    }

    fn close_after(&mut self) {
        self.close = true;
    }

    fn abort(&mut self) {
        self.broken = true;
    }
}
