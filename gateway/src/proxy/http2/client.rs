//! The upstream side of one exchange over HTTP/2: a stream of a connection that others use, too.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderName, HeaderValue, Method, Request, Uri};

use crate::proxy::head::{Fields, RequestHead, ResponseHead};
use crate::proxy::http1::parse::Framing;
use crate::proxy::http2::sender::Sender;
use crate::proxy::http2::{fields_of, fields_to_map};
use crate::proxy::stream::{Piece, Upstream, UpstreamError};
use crate::upstream::Stream;

pub(crate) struct Exchange {
    response: ResponseFuture,
    sender: Sender,
    body: Option<RecvStream>,
    /// The piece of the response's body that is lent out.
    chunk: Bytes,
    /// Counts the stream as open on its connection.
    _stream: Stream,
}

impl Exchange {
    /// Opens a stream and sends the request's head.
    pub(crate) fn new(
        mut connection: SendRequest<Bytes>,
        stream: Stream,
        head: &RequestHead,
        framing: Framing,
    ) -> Result<Self, UpstreamError> {
        let request = request(head, framing).ok_or(UpstreamError::Protocol)?;
        let last = framing == Framing::None;
        // A connection that cannot take a stream any more has seen nothing of the request.
        let (response, send) =
            connection.send_request(request, last).map_err(|_| UpstreamError::Closed { unprocessed: true })?;
        Ok(Self {
            response,
            sender: Sender::new((!last).then_some(send)),
            body: None,
            chunk: Bytes::new(),
            _stream: stream,
        })
    }
}

fn request(head: &RequestHead, framing: Framing) -> Option<Request<()>> {
    let uri =
        Uri::builder().scheme(head.scheme()).authority(head.authority()).path_and_query(head.target()).build().ok()?;
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(head.method()).ok()?;
    *request.uri_mut() = uri;
    *request.headers_mut() = fields_to_map(&head.fields);
    if let Framing::Length(length) = framing {
        request.headers_mut().insert(HeaderName::from_static("content-length"), HeaderValue::from(length));
    }
    Some(request)
}

fn lost(error: &h2::Error) -> UpstreamError {
    match error.reason() {
        Some(Reason::REFUSED_STREAM) => UpstreamError::Closed { unprocessed: true },
        Some(Reason::PROTOCOL_ERROR) if error.is_library() => UpstreamError::Protocol,
        _ => UpstreamError::Closed { unprocessed: false },
    }
}

const CLOSED: UpstreamError = UpstreamError::Closed { unprocessed: false };

impl Upstream for Exchange {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        self.sender.poll_room(cx).map_err(|_| CLOSED)
    }

    fn send_data(&mut self, data: &[u8]) {
        self.sender.send_data(data);
    }

    fn finish(&mut self, trailers: Option<&Fields>) {
        self.sender.finish(trailers);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        self.sender.poll_send(cx).map_err(|_| CLOSED)
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(ResponseHead, Framing), UpstreamError>> {
        // Interim responses end here: h2 clients have no way to pass them on in order.
        let response = match ready!(Pin::new(&mut self.response).poll(cx)) {
            Ok(response) => response,
            Err(error) => return Poll::Ready(Err(lost(&error))),
        };
        let (parts, body) = response.into_parts();
        let framing = if body.is_end_stream() {
            Framing::None
        } else {
            let length = parts.headers.get(http::header::CONTENT_LENGTH);
            length.and_then(|value| value.to_str().ok()?.parse().ok()).map_or(Framing::Chunked, Framing::Length)
        };
        let head = ResponseHead { status: parts.status.as_u16(), fields: fields_of(&parts.headers) };
        self.body = Some(body);
        Poll::Ready(Ok((head, framing)))
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece<'_>, UpstreamError>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Err(UpstreamError::Protocol)) };
        if !self.chunk.is_empty() {
            let used = self.chunk.len();
            self.chunk = Bytes::new();
            // The piece lent out before was taken; the upstream may send as much again.
            let _ = body.flow_control().release_capacity(used);
        }
        match ready!(body.poll_data(cx)) {
            Some(Ok(data)) => {
                self.chunk = data;
                Poll::Ready(Ok(Piece::Data(&self.chunk)))
            }
            Some(Err(error)) => Poll::Ready(Err(lost(&error))),
            None => match ready!(body.poll_trailers(cx)) {
                Ok(trailers) => Poll::Ready(Ok(Piece::End(trailers.as_ref().map(fields_of)))),
                Err(error) => Poll::Ready(Err(lost(&error))),
            },
        }
    }
}

/// The sending half may outlive its use; dropping it unfinished resets the stream, which cancels the upstream's work.
impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(send) = self.sender.take() {
            reset(send);
        }
    }
}

fn reset(mut send: SendStream<Bytes>) {
    send.send_reset(Reason::CANCEL);
}
