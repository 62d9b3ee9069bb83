//! The bytes read from a connection and not used yet. An idle connection holds none: its first bytes are read into a
//! buffer of the thread's and copied.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

/// Of the thread's buffer for first bytes: more than nearly every head.
const SCRATCH: usize = 16 * 1024;
/// Of a read in place: a small message fits; one that fills it is followed by reads of [`LARGE`].
const SMALL: usize = 4 * 1024;
const LARGE: usize = 64 * 1024;

thread_local! {
    static SCRATCH_BYTES: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: BytesMut,
    /// Bytes at the front that were handed out by [`Self::used`].
    handed: usize,
    /// The last read filled all the room it was given.
    hungry: bool,
}

impl Buffer {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.handed..]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.len() == self.handed
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.bytes.advance(self.handed + count);
        self.handed = 0;
    }

    /// The bytes `data` of what is held, of which `consumed` are done with once the result is.
    pub(crate) fn used(&mut self, data: Range<usize>, consumed: usize) -> &[u8] {
        let at = self.handed;
        self.handed += consumed;
        &self.bytes[at + data.start..at + data.end]
    }

    /// Gives memory back while nothing is held.
    pub(crate) fn rest(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Forgets the last `count` bytes that were read.
    pub(crate) fn forget_last(&mut self, count: usize) {
        let kept = self.bytes.len().saturating_sub(count).max(self.handed);
        self.bytes.truncate(kept);
    }

    /// Takes what is held.
    pub(crate) fn take(&mut self) -> Bytes {
        self.consume(0);
        self.bytes.split().freeze()
    }

    /// Reads by way of the thread's buffer; 0 = the peer will send no more.
    pub(crate) fn poll_first<IO: AsyncRead + Unpin + ?Sized>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        SCRATCH_BYTES.with_borrow_mut(|scratch| {
            let mut read = ReadBuf::new(scratch);
            ready!(Pin::new(io).poll_read(cx, &mut read))?;
            self.bytes.extend_from_slice(read.filled());
            Poll::Ready(Ok(read.filled().len()))
        })
    }

    /// Reads in place; 0 = the peer will send no more.
    pub(crate) fn poll_fill<IO: AsyncRead + Unpin + ?Sized>(
        &mut self,
        mut io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.consume(0);
        let room = if self.hungry { LARGE } else { SMALL };
        self.bytes.reserve(room);
        let count = ready!(poll_read_buf(Pin::new(&mut io), cx, &mut self.bytes))?;
        self.hungry = count >= room;
        Poll::Ready(Ok(count))
    }
}
