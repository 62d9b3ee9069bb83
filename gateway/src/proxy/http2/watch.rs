//! Looks at a client's frames on their way to the `h2` crate, for what the crate does not tell: requests whose `:path`
//! holds a `#` ([`super::hpack`]). The bytes pass unchanged; at most one header block is held.

use std::collections::BTreeSet;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::proxy::http2::hpack::Paths;

/// Of the connection preface (RFC 9113 §3.4).
const PREFACE_BYTES: usize = 24;
const FRAME_HEAD_BYTES: usize = 9;
/// Larger frames and blocks end the connection inside the library.
const MAX_FRAME_BYTES: usize = 16 * 1024;
const MAX_BLOCK_BYTES: usize = 256 * 1024;
/// Streams that were noted and never came to be requests.
const MAX_NOTED: usize = 1024;

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;

/// The streams whose path has a fragment, as far as they were not asked for yet.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    /// There is one, so that other requests need not look closer.
    any: AtomicBool,
    /// The frames could not be followed: no path can be told, and all have to be refused.
    lost: AtomicBool,
    streams: Mutex<BTreeSet<u32>>,
}

impl Fragments {
    /// Whether the request of that stream is to be refused.
    pub(crate) fn take(&self, stream: u32) -> bool {
        if !self.any.load(Ordering::Relaxed) {
            return false;
        }
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.remove(&stream) || self.lost.load(Ordering::Relaxed)
    }

    fn note(&self, stream: u32) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        self.any.store(true, Ordering::Relaxed);
        if streams.len() < MAX_NOTED {
            streams.insert(stream);
        } else {
            self.lost.store(true, Ordering::Relaxed);
        }
    }

    fn lose(&self) {
        self.any.store(true, Ordering::Relaxed);
        self.lost.store(true, Ordering::Relaxed);
    }

    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Follows the frames of one direction.
#[derive(Debug)]
struct Frames {
    found: Arc<Fragments>,
    paths: Paths,
    preface_left: usize,
    head: [u8; FRAME_HEAD_BYTES],
    head_read: usize,
    payload_left: usize,
    /// Of the frame that is being read, if it is of a header block and came in pieces.
    payload: Vec<u8>,
    /// Of the block that is being read, if it has several frames.
    block: Vec<u8>,
}

impl Frames {
    fn new(found: Arc<Fragments>) -> Self {
        Self {
            found,
            paths: Paths::default(),
            preface_left: PREFACE_BYTES,
            head: [0; FRAME_HEAD_BYTES],
            head_read: 0,
            payload_left: 0,
            payload: Vec::new(),
            block: Vec::new(),
        }
    }

    fn is_block(&self) -> bool {
        matches!(self.head[3], HEADERS | CONTINUATION)
    }

    fn feed(&mut self, mut bytes: &[u8]) {
        let skip = self.preface_left.min(bytes.len());
        self.preface_left -= skip;
        bytes = &bytes[skip..];
        while !bytes.is_empty() && !self.found.is_lost() {
            if self.head_read < FRAME_HEAD_BYTES {
                let take = (FRAME_HEAD_BYTES - self.head_read).min(bytes.len());
                self.head[self.head_read..self.head_read + take].copy_from_slice(&bytes[..take]);
                self.head_read += take;
                bytes = &bytes[take..];
                if self.head_read < FRAME_HEAD_BYTES {
                    return;
                }
                let [high, middle, low, ..] = self.head;
                self.payload_left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                if self.payload_left > MAX_FRAME_BYTES {
                    return self.found.lose();
                }
                if self.payload_left == 0 {
                    self.end(&[]);
                }
                continue;
            }
            let take = self.payload_left.min(bytes.len());
            let (piece, rest) = bytes.split_at(take);
            self.payload_left -= take;
            bytes = rest;
            if self.payload_left == 0 {
                self.end(piece);
            } else if self.is_block() {
                self.payload.extend_from_slice(piece);
            }
        }
    }

    /// The frame is whole with this last piece.
    fn end(&mut self, piece: &[u8]) {
        self.head_read = 0;
        if !self.is_block() {
            return;
        }
        if self.payload.is_empty() {
            return self.frame(piece);
        }
        let mut payload = std::mem::take(&mut self.payload);
        payload.extend_from_slice(piece);
        self.frame(&payload);
    }

    fn frame(&mut self, payload: &[u8]) {
        let [_, _, _, kind, flags, stream @ ..] = self.head;
        let fragment = if kind == HEADERS { fields_of(payload, flags) } else { Some(payload) };
        let Some(fragment) = fragment else { return self.found.lose() };
        let is_last = flags & END_HEADERS != 0;
        let found = if is_last && self.block.is_empty() {
            self.paths.has_fragment(fragment)
        } else {
            self.block.extend_from_slice(fragment);
            if self.block.len() > MAX_BLOCK_BYTES {
                return self.found.lose();
            }
            if !is_last {
                return;
            }
            self.paths.has_fragment(&std::mem::take(&mut self.block))
        };
        match found {
            Ok(true) => self.found.note(u32::from_be_bytes(stream) & 0x7fff_ffff),
            Ok(false) => {}
            Err(_) => self.found.lose(),
        }
    }
}

/// A HEADERS frame's part of the block, without padding and priority (RFC 9113 §6.2).
fn fields_of(mut payload: &[u8], flags: u8) -> Option<&[u8]> {
    let mut padding = 0;
    if flags & PADDED != 0 {
        let (first, rest) = payload.split_first()?;
        padding = usize::from(*first);
        payload = rest;
    }
    if flags & PRIORITY != 0 {
        payload = payload.get(5..)?;
    }
    payload.get(..payload.len().checked_sub(padding)?)
}

/// A connection whose incoming frames are looked at.
#[derive(Debug)]
pub(crate) struct Watch<IO> {
    io: IO,
    frames: Frames,
}

impl<IO> Watch<IO> {
    pub(crate) fn new(io: IO, found: Arc<Fragments>) -> Self {
        Self { io, frames: Frames::new(found) }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watch<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.frames.feed(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watch<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = vec![length[1], length[2], length[3], kind, flags];
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn streams_are_noted_however_their_frames_come() {
        let mut block = vec![0x82, 0x87, 0x44, 6];
        block.extend_from_slice(b"/a#b/c");
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(4, 0, 0, &[]));
        bytes.extend(frame(HEADERS, END_HEADERS | 1, 1, &[0x82, 0x84, 0x87]));
        bytes.extend(frame(HEADERS, END_HEADERS | 1, 3, &block));
        bytes.extend(frame(0, 0, 1, b"#####"));
        // Padded, with a priority, in three frames, and by the dynamic table.
        let padded = [&[2, 0, 0, 0, 0, 1][..], &[0x82, 0x84, 0x87], &[0, 0]].concat();
        bytes.extend(frame(HEADERS, END_HEADERS | PADDED | PRIORITY, 5, &padded));
        bytes.extend(frame(HEADERS, 0, 7, &block[..3]));
        bytes.extend(frame(CONTINUATION, 0, 7, &[]));
        bytes.extend(frame(CONTINUATION, END_HEADERS, 7, &block[3..]));
        bytes.extend(frame(HEADERS, END_HEADERS, 9, &[0x82, 0x87, 0x80 | 62]));
        for step in 1..bytes.len() {
            let found = Arc::new(Fragments::default());
            let mut frames = Frames::new(Arc::clone(&found));
            bytes.chunks(step).for_each(|piece| frames.feed(piece));
            let taken: Vec<u32> = [1, 3, 5, 7, 9].into_iter().filter(|stream| found.take(*stream)).collect();
            assert_eq!(taken, [3, 7, 9], "in pieces of {step}");
            assert!(!found.take(3), "noted once");
            assert_eq!((frames.payload.capacity(), frames.block.capacity()), (0, 0), "nothing is held at rest");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_refused_altogether() {
        for (kind, payload) in [(HEADERS, vec![0x80]), (HEADERS, vec![0xff; 9]), (4, vec![0; MAX_FRAME_BYTES + 1])] {
            let found = Arc::new(Fragments::default());
            let mut frames = Frames::new(Arc::clone(&found));
            frames.feed(&[0; PREFACE_BYTES]);
            frames.feed(&frame(kind, END_HEADERS, 1, &payload));
            assert!(found.take(1) && found.take(3));
        }
        let found = Arc::new(Fragments::default());
        (0..=u32::try_from(MAX_NOTED).unwrap()).for_each(|stream| found.note(stream));
        assert!(found.is_lost());
    }
}
