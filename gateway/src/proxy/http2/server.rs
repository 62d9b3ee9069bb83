//! A client's HTTP/2 connection: every stream is a task of its own.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response, Uri};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::proxy::connection::Connection;
use crate::proxy::head::{Fields, Protocol, RequestHead, ResponseHead};
use crate::proxy::http1::parse::{Framing, Refusal, may_have_body};
use crate::proxy::http1::write::Unwritable;
use crate::proxy::http2::blocks::Blocks;
use crate::proxy::http2::rewind::Rewind;
use crate::proxy::http2::sender::Sender;
use crate::proxy::http2::streams::{Head, Streams};
use crate::proxy::http2::watch::{Fragments, Watch};
use crate::proxy::http2::{framing_of, head_to_map, trailers_of};
use crate::proxy::stream::{Downstream, Gone, NotSent, Piece};
use crate::proxy::trailers::TooMany;
use crate::proxy::{handle, refuse};

/// Windows and floods (docs/security.md, "HTTP/2").
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1 << 20;
const MAX_RESETS: usize = 100;
const MAX_SEND_BUFFER: usize = 32 * 1024;
/// How long a client has to read why its connection ends.
const GOODBYE: Duration = Duration::from_secs(1);

/// Serves a connection until it ends. `first` was read from it already.
pub(crate) async fn serve<IO>(io: IO, first: Bytes, connection: Arc<Connection>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = connection.limits();
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(limits.max_concurrent_streams)
        .max_header_list_size(u32::try_from(limits.max_head_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(Some(MAX_RESETS))
        .max_send_buffer_size(MAX_SEND_BUFFER);
    let fragments = Arc::new(Fragments::default());
    let io = Watch::new(Rewind::new(io, first), Arc::clone(&fragments));
    let handshake = builder.handshake(Blocks::new(io, limits.head_timeout));
    let Ok(Ok(mut server)) = timeout(limits.head_timeout, handshake).await else { return };

    let mut closing = std::pin::pin!(connection.stop.closing.clone().cancelled_owned());
    let idle_timeout = limits.idle_timeout;
    let mut idle = std::pin::pin!(tokio::time::sleep(idle_timeout));
    let close_grace = connection.worker.shared.limits.close_grace;
    let mut draining = false;
    let streams = Arc::new(Streams::new(&connection.worker.shared.limits, Instant::now()));
    loop {
        if streams.is_over() {
            return calm(server).await;
        }
        let accepted = poll_fn(|cx| {
            if streams.poll_over(cx) {
                return Poll::Ready(None);
            }
            if !draining && closing.as_mut().poll(cx).is_ready() {
                draining = true;
                server.graceful_shutdown();
                idle.as_mut().reset(tokio::time::Instant::now() + close_grace);
            }
            if let Poll::Ready(accepted) = server.poll_accept(cx) {
                return Poll::Ready(accepted);
            }
            // The timer must be asked again to wake this task.
            while idle.as_mut().poll(cx).is_ready() {
                if server.has_streams() {
                    idle.as_mut()
                        .reset(tokio::time::Instant::now() + if draining { close_grace } else { idle_timeout });
                } else if draining {
                    // The client was told and has not closed.
                    return Poll::Ready(None);
                } else {
                    draining = true;
                    server.graceful_shutdown();
                    idle.as_mut().reset(tokio::time::Instant::now() + close_grace);
                    cx.waker().wake_by_ref();
                }
            }
            Poll::Pending
        })
        .await;
        match accepted {
            Some(Ok((request, mut respond))) => {
                let Some(head) = streams.admit(head_bytes(request.headers(), request.uri())) else {
                    respond.send_reset(Reason::REFUSED_STREAM);
                    streams.ended(false, Instant::now());
                    continue;
                };
                if !draining {
                    idle.as_mut().reset(tokio::time::Instant::now() + idle_timeout);
                }
                let has_fragment = fragments.take(respond.stream_id().as_u32());
                let connection = Arc::clone(&connection);
                let tasks = connection.worker.shared.tasks.clone();
                let working = connection.slot.work();
                let served = serve_stream(connection, Arc::clone(&streams), head, request, respond, has_fragment);
                // Cut off with its connection: a stream whose connection is gone sees its client gone.
                tasks.spawn(async move {
                    let _working = working;
                    served.await;
                });
            }
            None if streams.is_over() => {}
            // The connection is at its end, by either side's will.
            Some(Err(_)) | None => return,
        }
    }
}

/// Ends a connection whose client loses more streams than it may.
async fn calm<IO>(mut server: h2::server::Connection<IO, Bytes>)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    server.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
    // A client that does not read it is cut off all the same.
    let _ = timeout(GOODBYE, poll_fn(|cx| server.poll_closed(cx))).await;
}

/// What a head takes, counted as HTTP/2 counts it (RFC 9113 §6.5.2).
fn head_bytes(fields: &HeaderMap, uri: &Uri) -> usize {
    let lines: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    lines + uri.path_and_query().map_or(0, |target| target.as_str().len()) + 128
}

/// Serves one stream. `head` holds the place of its head.
async fn serve_stream(
    connection: Arc<Connection>,
    streams: Arc<Streams>,
    head: Head,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    has_fragment: bool,
) {
    // A client that has taken its request back already causes no work.
    let is_gone = poll_fn(|cx| Poll::Ready(respond.poll_reset(cx).is_ready())).await;
    let end = if is_gone {
        StreamEnd::Lost
    } else {
        stream(&connection, Arc::clone(&streams), request, respond, has_fragment).await
    };
    drop(head);
    match end {
        StreamEnd::Completed => streams.ended(true, Instant::now()),
        StreamEnd::Lost => streams.ended(false, Instant::now()),
        StreamEnd::Cut => {}
    }
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StreamEnd {
    /// The response went out as a whole.
    Completed,
    /// By the client's doing: it was reset, refused or malformed.
    Lost,
    /// By the upstream's doing, or ours.
    Cut,
}

async fn stream(
    connection: &Arc<Connection>,
    streams: Arc<Streams>,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    has_fragment: bool,
) -> StreamEnd {
    let (parts, body) = request.into_parts();
    let framing = framing_of(&parts.headers, body.is_end_stream());
    let mut stream = Stream {
        body,
        respond,
        sender: Sender::new(None, Some(Arc::clone(&streams))),
        chunk: Bytes::new(),
        to_head: false,
        answered: false,
        lost: false,
        streams,
        kept: 0,
        unsettled: 0,
    };
    if parts.headers.len() > connection.limits().max_header_fields {
        drop(parts);
        refuse(connection, Refusal::TooLarge, &mut stream).await;
        return StreamEnd::Lost;
    }
    let head = head_of(&parts, connection.scheme());
    // One copy of the fields is enough to hold.
    drop(parts);
    match (head, framing) {
        (Some(mut head), Ok(framing)) => {
            if has_fragment {
                // The library has cut it off; with it the path is refused where all such paths are.
                head.set_target(&[head.target(), b"#"].concat());
            }
            stream.to_head = head.is_head();
            // HTTP/2 switches no protocols, so nothing is left to do for the connection.
            let _ = handle(connection, head, framing, &mut stream).await;
            if stream.answered && stream.sender.stream().is_none() {
                StreamEnd::Completed
            } else if stream.lost {
                StreamEnd::Lost
            } else {
                StreamEnd::Cut
            }
        }
        _ => {
            stream.respond.send_reset(Reason::PROTOCOL_ERROR);
            StreamEnd::Lost
        }
    }
}

/// The request head in our own form; `None` for what is no request to a gateway.
fn head_of(parts: &http::request::Parts, scheme: &'static [u8]) -> Option<RequestHead> {
    let mut fields = Fields::with_capacity(head_bytes(&parts.headers, &parts.uri) + 512, parts.headers.len() + 12);
    let mut cookie: Vec<u8> = Vec::new();
    for (name, value) in &parts.headers {
        match name.as_str() {
            "host" => {}
            // HTTP/2 splits cookies, HTTP/1 wants them whole (RFC 9113 §8.2.3).
            "cookie" => {
                if !cookie.is_empty() {
                    cookie.extend_from_slice(b"; ");
                }
                cookie.extend_from_slice(value.as_bytes());
            }
            name => fields.push(name.as_bytes(), value.as_bytes().trim_ascii()),
        }
    }
    if !cookie.is_empty() {
        fields.push(b"cookie", &cookie);
    }
    let authority = match parts.uri.authority() {
        Some(authority) => authority.as_str().as_bytes().to_vec(),
        None => {
            let mut hosts = parts.headers.get_all(http::header::HOST).iter();
            let host = hosts.next().filter(|_| hosts.next().is_none())?;
            host.as_bytes().to_vec()
        }
    };
    let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let method = parts.method.as_str().as_bytes();
    // The client's `:scheme` is its own word; the connection's counts (docs/semantics.md §2.6).
    Some(RequestHead::new(Protocol::Http2, fields, method, scheme, &authority, target.as_bytes()))
}

struct Stream {
    body: RecvStream,
    respond: SendResponse<Bytes>,
    sender: Sender,
    /// The piece of the request's body that is lent out.
    chunk: Bytes,
    to_head: bool,
    /// The final head was sent.
    answered: bool,
    /// The client took the request back or broke the protocol.
    lost: bool,
    streams: Arc<Streams>,
    /// Bytes of the request's body that are kept for retries.
    kept: usize,
    /// Bytes of the request's body that the upstream's connection has not taken yet.
    unsettled: usize,
}

impl Stream {
    fn gone(&mut self, gone: Gone) -> Gone {
        self.lost = true;
        gone
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.streams.release(self.kept + self.unsettled);
    }
}

fn response(head: &ResponseHead) -> Result<Response<()>, Unwritable> {
    let mut response = Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(head.status).map_err(|_| Unwritable)?;
    *response.headers_mut() = head_to_map(&head.fields)?;
    if head.status < 200 || head.status == 204 {
        // RFC 9110 §8.6.
        response.headers_mut().remove(http::header::CONTENT_LENGTH);
    }
    Ok(response)
}

impl Downstream for Stream {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece<'_>, Gone>> {
        if !self.chunk.is_empty() {
            let used = self.chunk.len();
            self.chunk = Bytes::new();
            // The piece lent out before was taken; the client may send as much again.
            let _ = self.body.flow_control().release_capacity(used);
        }
        match ready!(self.body.poll_data(cx)) {
            Some(Ok(data)) => {
                self.streams.hold(data.len());
                self.unsettled += data.len();
                self.chunk = data;
                Poll::Ready(Ok(Piece::Data(&self.chunk)))
            }
            Some(Err(_)) => Poll::Ready(Err(self.gone(Gone::Closed))),
            None => match ready!(self.body.poll_trailers(cx)) {
                Ok(trailers) => match trailers_of(trailers) {
                    Ok(trailers) => Poll::Ready(Ok(Piece::End(trailers))),
                    Err(TooMany) => Poll::Ready(Err(self.gone(Gone::Malformed))),
                },
                Err(_) => Poll::Ready(Err(self.gone(Gone::Closed))),
            },
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let reset = match self.sender.stream() {
            Some(send) => send.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        };
        self.lost |= reset.is_ready();
        reset.map(|_| ())
    }

    fn send_interim(&mut self, head: &ResponseHead) {
        if let Ok(response) = response(head) {
            // A client that is gone is noticed with the final response.
            let _ = self.respond.send_informational(response);
        }
    }

    fn send_switch(&mut self, _head: &ResponseHead) -> Result<(), NotSent> {
        // HTTP/2 has no such thing, and no request on it asks for one.
        self.abort();
        Err(NotSent::Gone)
    }

    fn send_head(&mut self, head: &ResponseHead, framing: Framing) -> Result<(), NotSent> {
        let response = response(head)?;
        let last = framing == Framing::None || !may_have_body(head.status, self.to_head);
        let Ok(send) = self.respond.send_response(response, last) else {
            self.lost = true;
            return Err(NotSent::Gone);
        };
        self.sender.open((!last).then_some(send));
        self.answered = true;
        Ok(())
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.sender.poll_room(cx).map_err(|_| self.gone(Gone::Closed))
    }

    fn send_data(&mut self, data: &[u8]) {
        // Behind a head that has no body nothing follows.
        if self.sender.stream().is_some() {
            self.sender.send_data(data);
        }
    }

    fn finish(&mut self, trailers: Option<&Fields>) {
        self.sender.finish(trailers);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.sender.poll_send(cx).map_err(|_| self.gone(Gone::Closed))
    }

    fn close_after(&mut self) {}

    fn has_room(&self) -> bool {
        self.unsettled == 0 || self.streams.has_room()
    }

    fn settled(&mut self) {
        self.streams.release(std::mem::take(&mut self.unsettled));
    }

    fn may_keep(&mut self, bytes: usize) -> bool {
        let may = self.streams.has_room();
        if may {
            self.streams.hold(bytes);
            self.kept += bytes;
        }
        may
    }

    fn abort(&mut self) {
        match self.sender.stream() {
            Some(send) => send.send_reset(Reason::INTERNAL_ERROR),
            None => self.respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}
