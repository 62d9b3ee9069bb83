//! A client's HTTP/2 connection: every stream is a task of its own.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::proxy::connection::Connection;
use crate::proxy::head::{Fields, Protocol, RequestHead, ResponseHead};
use crate::proxy::http1::parse::{Framing, Refusal};
use crate::proxy::http2::rewind::Rewind;
use crate::proxy::http2::sender::Sender;
use crate::proxy::http2::{fields_of, fields_to_map};
use crate::proxy::stream::{Downstream, Gone, Piece};
use crate::proxy::{handle, refuse};

/// Windows and floods (docs/security.md, "HTTP/2").
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1 << 20;
const MAX_RESETS: usize = 100;
const MAX_SEND_BUFFER: usize = 64 * 1024;

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

    let mut closing = std::pin::pin!(connection.stop.closing.clone().cancelled_owned());
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
                // Cut off with its connection: a stream whose connection is gone sees its client gone.
                tasks.spawn(stream(connection, request, respond));
            }
            // The connection is at its end, by either side's will.
            Some(Err(_)) | None => return,
        }
    }
}

async fn stream(connection: Arc<Connection>, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
    let (parts, body) = request.into_parts();
    let framing = if body.is_end_stream() {
        Framing::None
    } else {
        match parts.headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()) {
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        }
    };
    let mut stream = Stream { body, respond, sender: Sender::new(None), chunk: Bytes::new() };
    if parts.headers.len() > connection.limits().max_header_fields {
        return refuse(&connection, Refusal::TooLarge, &mut stream).await;
    }
    match head_of(&parts) {
        Some(head) => {
            // HTTP/2 switches no protocols, so nothing is left to do for the connection.
            let _ = handle(&connection, head, framing, &mut stream).await;
        }
        None => stream.respond.send_reset(Reason::PROTOCOL_ERROR),
    }
}

/// The request head in our own form; `None` for what is no request to a gateway.
fn head_of(parts: &http::request::Parts) -> Option<RequestHead> {
    let mut fields = Fields::with_capacity(512, parts.headers.len() + 12);
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
    sender: Sender,
    /// The piece of the request's body that is lent out.
    chunk: Bytes,
}

fn response(head: &ResponseHead) -> Option<Response<()>> {
    let mut response = Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(head.status).ok()?;
    *response.headers_mut() = fields_to_map(&head.fields);
    Some(response)
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
        match self.sender.stream() {
            Some(send) => send.poll_reset(cx).map(|_| ()),
            None => self.respond.poll_reset(cx).map(|_| ()),
        }
    }

    fn send_interim(&mut self, head: &ResponseHead) {
        if let Some(response) = response(head) {
            // A client that is gone is noticed with the final response.
            let _ = self.respond.send_informational(response);
        }
    }

    fn send_switch(&mut self, _head: &ResponseHead) {
        // HTTP/2 has no such thing, and no request on it asks for one.
        self.abort();
    }

    fn send_head(&mut self, head: &ResponseHead, framing: Framing) -> Result<(), Gone> {
        let response = response(head).ok_or(Gone::Closed)?;
        let last = framing == Framing::None;
        let send = self.respond.send_response(response, last).map_err(|_| Gone::Closed)?;
        self.sender.open((!last).then_some(send));
        Ok(())
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.sender.poll_room(cx).map_err(|_| Gone::Closed)
    }

    fn send_data(&mut self, data: &[u8]) {
        self.sender.send_data(data);
    }

    fn finish(&mut self, trailers: Option<&Fields>) {
        self.sender.finish(trailers);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.sender.poll_send(cx).map_err(|_| Gone::Closed)
    }

    fn close_after(&mut self) {}

    fn abort(&mut self) {
        match self.sender.stream() {
            Some(send) => send.send_reset(Reason::INTERNAL_ERROR),
            None => self.respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}
