//! A stream's outgoing body: bytes wait here until the peer's window has room for them.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::SendStream;
use http::HeaderMap;

use crate::proxy::head::Fields;
use crate::proxy::http2::fields_to_map;
use crate::proxy::http2::streams::Streams;

/// Bytes waiting before the source is asked for no more.
const HIGH_WATER: usize = 64 * 1024;

/// The peer takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

pub(crate) struct Sender {
    /// `None` before the head of a response was sent, and after the end.
    stream: Option<SendStream<Bytes>>,
    /// Handed to the stream piece by piece.
    held: Bytes,
    pending: Vec<u8>,
    /// Trailers, if any, once the end was asked for.
    end: Option<Option<HeaderMap>>,
    /// Counts what waits here, where the connection's streams share a bound.
    streams: Option<Arc<Streams>>,
    counted: usize,
}

impl Sender {
    pub(crate) fn new(stream: Option<SendStream<Bytes>>, streams: Option<Arc<Streams>>) -> Self {
        Self { stream, held: Bytes::new(), pending: Vec::new(), end: None, streams, counted: 0 }
    }

    fn waiting(&self) -> usize {
        self.pending.len() + self.held.len()
    }

    /// Tells the connection how much waits.
    fn count(&mut self) {
        let waiting = self.waiting();
        if let Some(streams) = &self.streams {
            if waiting > self.counted {
                streams.hold(waiting - self.counted);
            } else {
                streams.release(self.counted - waiting);
            }
            self.counted = waiting;
        }
    }

    pub(crate) fn open(&mut self, stream: Option<SendStream<Bytes>>) {
        self.stream = stream;
    }

    pub(crate) fn stream(&mut self) -> Option<&mut SendStream<Bytes>> {
        self.stream.as_mut()
    }

    /// The stream, if it has not ended.
    pub(crate) fn take(&mut self) -> Option<SendStream<Bytes>> {
        self.stream.take()
    }

    pub(crate) fn send_data(&mut self, data: &[u8]) {
        self.pending.extend_from_slice(data);
        self.count();
    }

    pub(crate) fn finish(&mut self, trailers: Option<&Fields>) {
        self.end = Some(trailers.map(fields_to_map));
    }

    /// Ready when more can be taken.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        let waiting = self.waiting();
        let has_room = || self.streams.as_ref().is_none_or(|streams| streams.has_room());
        if waiting == 0 || waiting < HIGH_WATER && has_room() { Poll::Ready(Ok(())) } else { self.poll_send(cx) }
    }

    /// Moves what is waiting into the stream, as far as the peer's window lets it.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        let sent = self.send(cx);
        self.count();
        sent
    }

    fn send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(())) };
        loop {
            if self.held.is_empty() {
                if self.pending.is_empty() {
                    break;
                }
                self.held = Bytes::from(std::mem::take(&mut self.pending));
            }
            stream.reserve_capacity(self.held.len());
            let Some(room) = ready!(poll_capacity(stream, cx)) else { return Poll::Ready(Err(Refused)) };
            let piece = self.held.split_to(room.min(self.held.len()));
            let last = self.held.is_empty() && self.pending.is_empty() && matches!(self.end, Some(None));
            if stream.send_data(piece, last).is_err() {
                return Poll::Ready(Err(Refused));
            }
            if last {
                self.end = None;
                self.stream = None;
                return Poll::Ready(Ok(()));
            }
        }
        let sent = match self.end.take() {
            Some(Some(trailers)) => stream.send_trailers(trailers),
            Some(None) => stream.send_data(Bytes::new(), true),
            None => return Poll::Ready(Ok(())),
        };
        self.stream = None;
        Poll::Ready(sent.map_err(|_| Refused))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if let Some(streams) = &self.streams {
            streams.release(self.counted);
        }
    }
}

fn poll_capacity(stream: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<Option<usize>> {
    let room = stream.capacity();
    if room > 0 {
        return Poll::Ready(Some(room));
    }
    stream.poll_capacity(cx).map(|room| room.and_then(Result::ok))
}
