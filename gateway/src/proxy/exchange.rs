//! An exchange with an upstream in whichever protocol it speaks.

use std::task::{Context, Poll};

use crate::proxy::head::{Fields, ResponseHead};
use crate::proxy::http1::parse::Framing;
use crate::proxy::http1::write::Unwritable;
use crate::proxy::stream::{Piece, Upstream, UpstreamError};
use crate::proxy::{http1, http2};

pub(crate) enum Exchange {
    Http1(http1::client::Exchange),
    Http2(http2::client::Exchange),
}

/// Why an exchange did not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BeginError {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
}

/// Calls the same method of whichever it is.
macro_rules! either {
    ($self:ident, $it:ident => $call:expr) => {
        match $self {
            Self::Http1($it) => $call,
            Self::Http2($it) => $call,
        }
    };
}

impl Upstream for Exchange {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        either!(self, it => it.poll_room(cx))
    }

    fn send_data(&mut self, data: &[u8]) {
        either!(self, it => it.send_data(data));
    }

    fn finish(&mut self, trailers: Option<&Fields>) {
        either!(self, it => it.finish(trailers));
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        either!(self, it => it.poll_flush(cx))
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(ResponseHead, Framing), UpstreamError>> {
        either!(self, it => it.poll_head(cx))
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece<'_>, UpstreamError>> {
        either!(self, it => it.poll_body(cx))
    }
}
