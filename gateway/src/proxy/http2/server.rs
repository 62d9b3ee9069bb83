//! A client's HTTP/2 connection: every stream is a task of its own.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::proxy::connection::Connection;
use crate::proxy::handle;
use crate::proxy::head::{FieldId, Fields, Protocol, RequestHead, ResponseHead};
use crate::proxy::http1::parse::Framing;
use crate::proxy::http2::rewind::Rewind;
use crate::proxy::stream::{Downstream, Gone, Piece};

/// Windows and floods (docs/security.md, "HTTP/2").
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1 << 20;
const MAX_RESETS: usize = 100;
const MAX_SEND_BUFFER: usize = 64 * 1024;
/// Bytes waiting to be sent on a stream before its source is asked for no more.
const HIGH_WATER: usize = 64 * 1024;

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
    let handshake = builder.handshake(Rewind::new(io, first));
    let Ok(Ok(mut server)) = timeout(limits.head_timeout, handshake).await else { return };

    let mut closing = std::pin::pin!(connection.closing.clone().cancelled_owned());
    let idle_timeout = limits.idle_timeout;
    let mut idle = std::pin::pin!(tokio::time::sleep(idle_timeout));
    let mut draining = false;
    loop {
        let accepted = poll_fn(|cx| {
            if !draining && closing.as_mut().poll(cx).is_ready() {
                draining = true;
                server.graceful_shutdown();
            }
            if let Poll::Ready(accepted) = server.poll_accept(cx) {
                return Poll::Ready(accepted);
            }
            if !draining && idle.as_mut().poll(cx).is_ready() {
                if server.has_streams() {
                    idle.as_mut().reset(tokio::time::Instant::now() + idle_timeout);
                    // The timer must be asked again to wake this task.
                    let _ = idle.as_mut().poll(cx);
                } else {
                    draining = true;
                    server.graceful_shutdown();
                    cx.waker().wake_by_ref();
                }
            }
            Poll::Pending
        })
        .await;
        match accepted {
            Some(Ok((request, respond))) => {
                idle.as_mut().reset(tokio::time::Instant::now() + idle_timeout);
                let connection = Arc::clone(&connection);
                let tasks = connection.worker.shared.tasks.clone();
                tasks.spawn(async move {
                    let abort = connection.abort.clone();
                    tokio::select! {
                        () = stream(connection, request, respond) => {}
                        () = abort.cancelled() => {}
                    }
                });
            }
            // The connection is at its end, by either side's will.
            Some(Err(_)) | None => return,
        }
    }
}

async fn stream(connection: Arc<Connection>, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
    let (parts, body) = request.into_parts();
    let Some(head) = head_of(&parts, connection.limits().max_header_fields) else {
        let mut respond = respond;
        respond.send_reset(Reason::PROTOCOL_ERROR);
        return;
    };
    let framing = if body.is_end_stream() {
        Framing::None
    } else {
        match parts.headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()) {
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        }
    };
    let mut stream =
        Stream { body, respond, send: None, held: Bytes::new(), pending: Vec::new(), end: None, chunk: Bytes::new() };
    let _ = handle(&connection, head, framing, &mut stream).await;
}

/// The request head in our own form; `None` for what is no request to a gateway.
fn head_of(parts: &http::request::Parts, max_fields: usize) -> Option<RequestHead> {
    let mut fields = Fields::with_capacity(512, parts.headers.len() + 12);
    if parts.headers.len() > max_fields {
        return None;
    }
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
        None => parts.headers.get(http::header::HOST)?.as_bytes().to_vec(),
    };
    let scheme = parts.uri.scheme_str().unwrap_or("http");
    let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let method = parts.method.as_str().as_bytes();
    Some(RequestHead::new(Protocol::Http2, fields, method, scheme.as_bytes(), &authority, target.as_bytes()))
}

struct Stream {
    body: RecvStream,
    respond: SendResponse<Bytes>,
    send: Option<SendStream<Bytes>>,
    /// Handed to the stream piece by piece as its window allows.
    held: Bytes,
    pending: Vec<u8>,
    /// Trailers, if any, once the end was asked for.
    end: Option<Option<HeaderMap>>,
    /// The piece of the request's body that is lent out.
    chunk: Bytes,
}

impl Stream {
    fn fields_to_map(fields: &Fields) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(fields.len());
        for (id, name, value) in fields.iter() {
            if id.is_hop_by_hop() || id == FieldId::Host {
                continue;
            }
            // Both were fields once; what HTTP/2 cannot carry is left out.
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                map.append(name, value);
            }
        }
        map
    }

    fn head(head: &ResponseHead) -> Option<Response<()>> {
        let mut response = Response::new(());
        *response.status_mut() = http::StatusCode::from_u16(head.status).ok()?;
        *response.headers_mut() = Self::fields_to_map(&head.fields);
        Some(response)
    }

    /// Moves what is waiting into the stream, as far as the client's window lets it.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let Some(send) = &mut self.send else { return Poll::Ready(Ok(())) };
        loop {
            if self.held.is_empty() {
                if self.pending.is_empty() {
                    break;
                }
                self.held = Bytes::from(std::mem::take(&mut self.pending));
            }
            send.reserve_capacity(self.held.len());
            let Some(Ok(room)) = ready!(poll_capacity(send, cx)) else { return Poll::Ready(Err(Gone::Closed)) };
            let piece = self.held.split_to(room.min(self.held.len()));
            let last = self.held.is_empty() && self.pending.is_empty() && matches!(self.end, Some(None));
            if send.send_data(piece, last).is_err() {
                return Poll::Ready(Err(Gone::Closed));
            }
            if last {
                self.end = None;
                self.send = None;
                return Poll::Ready(Ok(()));
            }
        }
        match self.end.take() {
            Some(Some(trailers)) => {
                let sent = send.send_trailers(trailers);
                self.send = None;
                Poll::Ready(sent.map_err(|_| Gone::Closed))
            }
            Some(None) => {
                let sent = send.send_data(Bytes::new(), true);
                self.send = None;
                Poll::Ready(sent.map_err(|_| Gone::Closed))
            }
            None => Poll::Ready(Ok(())),
        }
    }
}

fn poll_capacity(send: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<Option<Result<usize, h2::Error>>> {
    let room = send.capacity();
    if room > 0 {
        return Poll::Ready(Some(Ok(room)));
    }
    send.poll_capacity(cx)
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
                self.chunk = data;
                Poll::Ready(Ok(Piece::Data(&self.chunk)))
            }
            Some(Err(_)) => Poll::Ready(Err(Gone::Closed)),
            None => match ready!(self.body.poll_trailers(cx)) {
                Ok(trailers) => Poll::Ready(Ok(Piece::End(trailers.as_ref().map(fields_of)))),
                Err(_) => Poll::Ready(Err(Gone::Closed)),
            },
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.send {
            Some(send) => send.poll_reset(cx).map(|_| ()),
            None => self.respond.poll_reset(cx).map(|_| ()),
        }
    }

    fn send_interim(&mut self, head: &ResponseHead) {
        if let Some(response) = Self::head(head) {
            // A client that is gone is noticed with the final response.
            let _ = self.respond.send_informational(response);
        }
    }

    fn send_switch(&mut self, _head: &ResponseHead) {
        // HTTP/2 has no such thing, and no request on it asks for one.
        self.abort();
    }

    fn send_head(&mut self, head: &ResponseHead, framing: Framing) -> Result<(), Gone> {
        let response = Self::head(head).ok_or(Gone::Closed)?;
        let last = framing == Framing::None;
        let send = self.respond.send_response(response, last).map_err(|_| Gone::Closed)?;
        self.send = (!last).then_some(send);
        Ok(())
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        if self.pending.len() + self.held.len() < HIGH_WATER { Poll::Ready(Ok(())) } else { self.poll_send(cx) }
    }

    fn send_data(&mut self, data: &[u8]) {
        self.pending.extend_from_slice(data);
    }

    fn finish(&mut self, trailers: Option<&Fields>) {
        self.end = Some(trailers.map(Self::fields_to_map));
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.poll_send(cx)
    }

    fn close_after(&mut self) {}

    fn abort(&mut self) {
        match &mut self.send {
            Some(send) => send.send_reset(Reason::INTERNAL_ERROR),
            None => self.respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}

fn fields_of(map: &HeaderMap) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in map {
        fields.push(name.as_str().as_bytes(), value.as_bytes());
    }
    fields
}
