//! The upstream side of one exchange over HTTP/1.1.

use std::task::{Context, Poll, ready};

use pingora_core::protocols::Stream;

use crate::proxy::head::{Fields, RequestHead, ResponseHead};
use crate::proxy::http1::body::{Decoded, Decoder};
use crate::proxy::http1::buffer::Buffer;
use crate::proxy::http1::outbox::Outbox;
use crate::proxy::http1::parse::{self, Framing, HeadLimits, Parsed};
use crate::proxy::http1::write::{self, Unwritable};
use crate::proxy::stream::{Piece, Upstream, UpstreamError};

/// Bounds of a response head (docs/security.md §7).
pub(crate) const LIMITS: HeadLimits = HeadLimits { bytes: 60 * 1024, fields: 200 };
/// Interim answers per request.
pub(crate) const MAX_INTERIM: u32 = 16;

const CLOSED: UpstreamError = UpstreamError::Closed { unprocessed: false };

pub(crate) struct Exchange {
    io: Stream,
    input: Buffer,
    out: Outbox,
    to_head: bool,
    upgrade: bool,
    /// Of the request's body.
    framing: Framing,
    sent_all: bool,
    decoder: Decoder,
    interim: u32,
    /// A final head was read.
    answered: bool,
    close: bool,
    failed: bool,
}

impl Exchange {
    /// Puts the request's head on its way over a fresh or idle connection.
    pub(crate) fn new(io: Stream, head: &RequestHead, framing: Framing, upgrade: bool) -> Result<Self, Unwritable> {
        let mut out = Outbox::default();
        out.bytes().reserve(1024);
        write::request(out.bytes(), head, framing, upgrade)?;
        Ok(Self {
            io,
            input: Buffer::default(),
            out,
            to_head: head.is_head(),
            upgrade,
            framing,
            sent_all: framing == Framing::None,
            decoder: Decoder::Done,
            interim: 0,
            answered: false,
            close: false,
            failed: false,
        })
    }

    /// The connection, if another request can follow on it.
    pub(crate) fn into_reusable(self) -> Option<Stream> {
        let clean = self.answered && self.sent_all && self.out.is_empty() && self.decoder.is_done();
        (clean && !self.failed && !self.close && self.input.is_empty()).then_some(self.io)
    }

    /// The raw connection and what was read beyond the head, after a switch of protocols.
    pub(crate) fn into_tunnel(mut self) -> (Stream, bytes::Bytes) {
        let rest = self.input.take();
        (self.io, rest)
    }

    fn fail(&mut self, error: UpstreamError) -> UpstreamError {
        self.failed = true;
        error
    }
}

impl Upstream for Exchange {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        match ready!(self.out.poll_room(&mut self.io, cx)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(_) => Poll::Ready(Err(self.fail(CLOSED))),
        }
    }

    fn send_data(&mut self, data: &[u8]) {
        write::data(self.out.bytes(), data, self.framing);
    }

    fn finish(&mut self, _trailers: Option<&Fields>) {
        // Trailers of requests are dropped (docs/security.md, H1-9).
        write::end(self.out.bytes(), self.framing);
        self.sent_all = true;
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        match ready!(self.out.poll_flush(&mut self.io, cx)) {
            Ok(()) => {
                if self.sent_all {
                    // The head's bytes are not kept while the answer is waited for.
                    self.out.rest();
                }
                Poll::Ready(Ok(()))
            }
            Err(_) => Poll::Ready(Err(self.fail(CLOSED))),
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(ResponseHead, Framing), UpstreamError>> {
        loop {
            if !self.input.is_empty() {
                let Ok(parsed) = parse::response(self.input.bytes(), LIMITS, self.to_head) else {
                    return Poll::Ready(Err(self.fail(UpstreamError::Protocol)));
                };
                if let Parsed::Head(response, length) = parsed {
                    self.input.consume(length);
                    if response.head.status == 101 {
                        // Only an upgrade that was asked for (docs/security.md, H1-12).
                        if !self.upgrade {
                            return Poll::Ready(Err(self.fail(UpstreamError::Protocol)));
                        }
                        self.close = true;
                    } else if response.head.status < 200 {
                        self.interim += 1;
                        if self.interim > MAX_INTERIM {
                            return Poll::Ready(Err(self.fail(UpstreamError::Protocol)));
                        }
                    } else {
                        self.answered = true;
                        self.close = response.close;
                        self.decoder = Decoder::new(response.framing);
                    }
                    return Poll::Ready(Ok((response.head, response.framing)));
                }
            }
            match ready!(self.input.poll_fill(&mut self.io, cx)) {
                Ok(0) | Err(_) => return Poll::Ready(Err(self.fail(CLOSED))),
                Ok(_) => {}
            }
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece<'_>, UpstreamError>> {
        loop {
            let Ok(decoded) = self.decoder.decode(self.input.bytes()) else {
                return Poll::Ready(Err(self.fail(UpstreamError::Protocol)));
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
                Ok(0) if self.decoder.ends_with_connection() => {
                    self.decoder = Decoder::Done;
                    return Poll::Ready(Ok(Piece::End(None)));
                }
                Ok(0) | Err(_) => return Poll::Ready(Err(self.fail(CLOSED))),
                Ok(_) => {}
            }
        }
    }
}
