//! What the pump needs of a client's and of an upstream's side of a request, whichever protocol they speak.
//!
//! Everything is a poll so that one task drives both directions of both sides without splitting a connection.

use std::task::{Context, Poll};

use crate::proxy::head::{Fields, ResponseHead};
use crate::proxy::http1::parse::Framing;
use crate::proxy::http1::write::Unwritable;

/// The next part of a body.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    Data(&'a [u8]),
    /// The end, with what follows the body.
    End(Option<Fields>),
}

/// The client cannot be talked to any more, or broke the protocol in its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Gone {
    #[error("client closed the connection")]
    Closed,
    #[error("client sent a malformed body")]
    Malformed,
}

/// A response's head was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotSent {
    #[error("client closed the connection")]
    Gone,
    /// Another head may be sent instead.
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
}

/// A request's client side.
pub(crate) trait Downstream: Send {
    /// The next part of the request's body. After [`Piece::End`] not to be called again.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece<'_>, Gone>>;

    /// Ready once the client has gone away. To be polled while nobody reads the body; what comes of it is kept.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// An interim response (1xx).
    fn send_interim(&mut self, head: &ResponseHead);

    /// The head of a switch of protocols; raw bytes follow. Only where an upgrade was asked for.
    fn send_switch(&mut self, head: &ResponseHead) -> Result<(), NotSent>;

    /// The final response's head, at most once. `framing` is the body's, [`Framing::None`] for no body.
    fn send_head(&mut self, head: &ResponseHead, framing: Framing) -> Result<(), NotSent>;

    /// Ready when [`Self::send_data`] may be called.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>>;

    fn send_data(&mut self, data: &[u8]);

    /// Ends the response.
    fn finish(&mut self, trailers: Option<&Fields>);

    /// Ready when everything sent so far is on its way.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>>;

    /// Whether more of the request's body may be read while what was read waits for the upstream to take it.
    fn has_room(&self) -> bool {
        true
    }

    /// The upstream has taken what was read of the request's body.
    fn settled(&mut self) {}

    /// Whether that many bytes of the request's body may be kept until the request is done; true counts them.
    fn may_keep(&mut self, _bytes: usize) -> bool {
        true
    }

    /// No further request is to be taken from the client after this response, where the protocol serves one at a
    /// time. Before [`Self::send_head`].
    fn close_after(&mut self);

    /// Cuts the response so that the client sees that it is not whole (docs/security.md, O-3).
    fn abort(&mut self);
}

/// Why an upstream gave no (whole) response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// Closed or reset; `unprocessed` when the upstream said that it did nothing with the request.
    #[error("upstream closed the connection")]
    Closed { unprocessed: bool },
    #[error("upstream broke the protocol")]
    Protocol,
}

/// A request's upstream side, its head already on the way.
pub(crate) trait Upstream: Send {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>>;
    fn send_data(&mut self, data: &[u8]);
    fn finish(&mut self, trailers: Option<&Fields>);
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>>;

    /// The next response head, interim ones included.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(ResponseHead, Framing), UpstreamError>>;
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece<'_>, UpstreamError>>;
}
