//! A client's HTTP/2 connection that does not stop in the middle of a head: a field block, or any frame but one of a
//! body, has to be complete in time. `h2` shows neither, so the boundaries of frames are followed as they are read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// RFC 9113 §3.4, §4.1, §6.
const PREFACE: usize = 24;
const FRAME_HEADER: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Where in the sequence of frames a connection stands.
#[derive(Debug)]
struct Position {
    header: [u8; FRAME_HEADER],
    /// Bytes of `header` that were read.
    have: usize,
    /// Bytes of the frame's payload to come.
    left: usize,
    in_body: bool,
    in_block: bool,
}

impl Position {
    fn new() -> Self {
        Self { header: [0; FRAME_HEADER], have: 0, left: PREFACE, in_body: false, in_block: false }
    }

    /// Whether something has begun that has to be finished.
    fn is_open(&self) -> bool {
        self.in_block || self.have > 0 || self.left > 0 && !self.in_body
    }

    fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let count = self.left.min(bytes.len());
                self.left -= count;
                bytes = &bytes[count..];
                continue;
            }
            let count = (FRAME_HEADER - self.have).min(bytes.len());
            self.header[self.have..self.have + count].copy_from_slice(&bytes[..count]);
            self.have += count;
            bytes = &bytes[count..];
            if self.have == FRAME_HEADER {
                self.begin();
            }
        }
    }

    fn begin(&mut self) {
        let [a, b, c, kind, flags, ..] = self.header;
        self.have = 0;
        self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.in_body = kind == DATA;
        if matches!(kind, HEADERS | CONTINUATION) {
            self.in_block = flags & END_HEADERS == 0;
        }
    }
}

#[derive(Debug)]
pub(crate) struct Blocks<IO> {
    io: IO,
    position: Position,
    patience: Duration,
    /// Made when a client stops in the middle for the first time.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl<IO> Blocks<IO> {
    /// `patience`: from the moment at which something open is waited for until it is complete.
    pub(crate) fn new(io: IO, patience: Duration) -> Self {
        Self { io, position: Position::new(), patience, timer: None, waiting: false }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Blocks<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        self.position.read(&buf.filled()[before..]);
        if !self.position.is_open() {
            self.waiting = false;
            return result;
        }
        if !self.waiting {
            self.waiting = true;
            let until = Instant::now() + self.patience;
            self.timer.get_or_insert_with(|| Box::pin(sleep_until(until))).as_mut().reset(until);
        }
        let late = self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
        if late { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { result }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Blocks<IO> {
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

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        bytes.resize(FRAME_HEADER + usize::from(length), 0);
        bytes
    }

    #[test]
    fn what_is_open_is_known_however_the_bytes_are_cut() {
        let mut all = vec![0; PREFACE];
        let mut closed_at = vec![all.len()];
        for (kind, flags, length, closes) in [
            (4, 0, 6, true),
            (HEADERS, 0, 5, false),
            (CONTINUATION, 0, 5, false),
            (CONTINUATION, END_HEADERS, 5, true),
            (HEADERS, END_HEADERS | 1, 0, true),
            (DATA, 0, 0, true),
            (8, 0, 4, true),
        ] {
            all.extend(frame(kind, flags, length));
            if closes {
                closed_at.push(all.len());
            }
        }
        for piece in 1..all.len() {
            let mut position = Position::new();
            let mut at = 0;
            for bytes in all.chunks(piece) {
                position.read(bytes);
                at += bytes.len();
                assert_eq!(position.is_open(), !closed_at.contains(&at), "at {at}, in pieces of {piece}");
            }
        }
    }

    #[test]
    fn bodies_may_pause() {
        let mut position = Position::new();
        position.read(&[0; PREFACE]);
        position.read(&frame(DATA, 0, 200)[..50]);
        assert!(!position.is_open());
    }
}
