//! Bytes waiting to be written to a connection: gathered, so that a head and a small body are one write.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

/// Above this much the writer waits for the peer before it takes more.
const HIGH_WATER: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outbox {
    /// Where to append.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Gives memory back while nothing waits.
    pub(crate) fn rest(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Ready when there is room for more.
    pub(crate) fn poll_room<IO: AsyncWrite + Unpin + ?Sized>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.bytes.len() - self.sent < HIGH_WATER { Poll::Ready(Ok(())) } else { self.poll_flush(io, cx) }
    }

    /// Ready when everything was handed to the kernel.
    pub(crate) fn poll_flush<IO: AsyncWrite + Unpin + ?Sized>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.sent < self.bytes.len() {
            let count = ready!(Pin::new(&mut *io).poll_write(cx, &self.bytes[self.sent..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count;
        }
        self.bytes.clear();
        self.sent = 0;
        // TLS streams hold records back until flushed.
        Pin::new(io).poll_flush(cx)
    }
}
