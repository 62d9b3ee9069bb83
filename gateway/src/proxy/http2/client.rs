//! The upstream side of one exchange over HTTP/2: a stream of a connection that others use, too.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderName, HeaderValue, Method, Request, Uri};

use crate::proxy::exchange::BeginError;
use crate::proxy::head::{Fields, RequestHead, ResponseHead};
use crate::proxy::http1::client::{LIMITS, MAX_INTERIM};
use crate::proxy::http1::parse::{BadLength, Framing, is_status, may_have_body};
use crate::proxy::http1::write::Unwritable;
use crate::proxy::http2::sender::Sender;
use crate::proxy::http2::{fields_of, framing_of, head_to_map, trailers_of};
use crate::proxy::stream::{Piece, Upstream, UpstreamError};
use crate::proxy::trailers::TooMany;
use crate::upstream::Stream;

pub(crate) struct Exchange {
    response: ResponseFuture,
    sender: Sender,
    body: Option<RecvStream>,
    to_head: bool,
    interim: u32,
    /// A final head that can have no body, until the stream has shown that it has none.
    bodiless: Option<ResponseHead>,
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
    ) -> Result<Self, BeginError> {
        let request = request(head, framing)?;
        let last = framing == Framing::None;
        // A connection that cannot take a stream any more has seen nothing of the request.
        let (response, send) =
            connection.send_request(request, last).map_err(|_| UpstreamError::Closed { unprocessed: true })?;
        Ok(Self {
            response,
            sender: Sender::new((!last).then_some(send), None),
            body: None,
            to_head: head.is_head(),
            interim: 0,
            bodiless: None,
            chunk: Bytes::new(),
            _stream: stream,
        })
    }
}

impl Exchange {
    /// A head that can have no body is passed on when the stream has ended without any: bytes behind it are no part of
    /// a response, and the client is told nothing of either.
    fn poll_bodiless(&mut self, cx: &mut Context<'_>) -> Poll<Result<(ResponseHead, Framing), UpstreamError>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Err(UpstreamError::Protocol)) };
        loop {
            match ready!(body.poll_data(cx)) {
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(_)) => return Poll::Ready(Err(UpstreamError::Protocol)),
                Some(Err(error)) => return Poll::Ready(Err(lost(&error))),
                None => break,
            }
        }
        let head = self.bodiless.take().ok_or(UpstreamError::Protocol)?;
        Poll::Ready(Ok((head, Framing::None)))
    }
}

fn request(head: &RequestHead, framing: Framing) -> Result<Request<()>, Unwritable> {
    let uri = Uri::builder().scheme(head.scheme()).authority(head.authority()).path_and_query(head.target());
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(head.method()).map_err(|_| Unwritable)?;
    *request.uri_mut() = uri.build().map_err(|_| Unwritable)?;
    *request.headers_mut() = head_to_map(&head.fields)?;
    if let Framing::Length(length) = framing {
        request.headers_mut().insert(HeaderName::from_static("content-length"), HeaderValue::from(length));
    }
    Ok(request)
}

fn lost(error: &h2::Error) -> UpstreamError {
    match error.reason() {
        // The library resets what it does not accept: malformed heads, too large ones, wrong lengths.
        Some(_) if error.is_library() => UpstreamError::Protocol,
        Some(Reason::REFUSED_STREAM) => UpstreamError::Closed { unprocessed: true },
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
        if self.bodiless.is_some() {
            return self.poll_bodiless(cx);
        }
        if let Poll::Ready(Some(interim)) = self.response.poll_informational(cx) {
            let (parts, ()) = interim.map_err(|error| lost(&error))?.into_parts();
            self.interim += 1;
            // HTTP/2 has no switch of protocols (RFC 9113 §8.6).
            if parts.status.as_u16() == 101 || self.interim > MAX_INTERIM || parts.headers.len() > LIMITS.fields {
                return Poll::Ready(Err(UpstreamError::Protocol));
            }
            let head = ResponseHead { status: parts.status.as_u16(), fields: fields_of(&parts.headers, 0) };
            return Poll::Ready(Ok((head, Framing::None)));
        }
        let response = match ready!(Pin::new(&mut self.response).poll(cx)) {
            Ok(response) => response,
            Err(error) => return Poll::Ready(Err(lost(&error))),
        };
        let (parts, body) = response.into_parts();
        let status = parts.status.as_u16();
        let framing = framing_of(&parts.headers, body.is_end_stream()).map_err(|BadLength| UpstreamError::Protocol)?;
        if parts.headers.len() > LIMITS.fields || !is_status(status) {
            return Poll::Ready(Err(UpstreamError::Protocol));
        }
        let head = ResponseHead { status, fields: fields_of(&parts.headers, 256) };
        self.body = Some(body);
        if framing != Framing::None && !may_have_body(status, self.to_head) {
            self.bodiless = Some(head);
            return self.poll_bodiless(cx);
        }
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
                Ok(trailers) => match trailers_of(trailers) {
                    Ok(trailers) => Poll::Ready(Ok(Piece::End(trailers))),
                    Err(TooMany) => Poll::Ready(Err(UpstreamError::Protocol)),
                },
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
