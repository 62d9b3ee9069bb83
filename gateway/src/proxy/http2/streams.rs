//! What the streams of one client's HTTP/2 connection hold, and how many of them come to nothing (docs/security.md,
//! H2-2 and H2-5). No IO; the clock is the caller's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::task::Context;
use std::time::Instant;

use futures::task::AtomicWaker;

use crate::limits::GatewayLimits;

/// How long lost streams are counted before a new count begins.
const WINDOW_MILLIS: u64 = 10_000;

/// Shared by a connection and the tasks of its streams, which run on one thread: the atomics are for the compiler.
#[derive(Debug)]
pub(crate) struct Streams {
    head_bytes_limit: usize,
    held_bytes_limit: usize,
    resets_limit: u32,
    begun: Instant,
    /// Bytes of request heads of streams in progress.
    head_bytes: AtomicUsize,
    /// Bytes of bodies that wait here, either way.
    held_bytes: AtomicUsize,
    /// Milliseconds from `begun` to the start of the window that runs.
    since: AtomicU64,
    /// Streams of the window that were lost, beyond those that completed.
    lost: AtomicU32,
    is_over: AtomicBool,
    waker: AtomicWaker,
}

/// Bytes that are counted as held for as long as this lives.
#[derive(Debug)]
pub(crate) struct Head {
    streams: Arc<Streams>,
    bytes: usize,
}

impl Streams {
    pub(crate) fn new(limits: &GatewayLimits, now: Instant) -> Self {
        Self {
            head_bytes_limit: limits.h2_head_bytes_per_connection,
            held_bytes_limit: limits.h2_body_bytes_per_connection,
            resets_limit: limits.h2_resets_per_window,
            begun: now,
            head_bytes: AtomicUsize::new(0),
            held_bytes: AtomicUsize::new(0),
            since: AtomicU64::new(0),
            lost: AtomicU32::new(0),
            is_over: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// Room for a request head of that many bytes; `None` when the heads of streams in progress take all there is.
    pub(crate) fn admit(self: &Arc<Self>, bytes: usize) -> Option<Head> {
        let held = self.head_bytes.load(Ordering::Relaxed);
        // A stream that is alone is always served: its head is bounded by itself.
        if held > 0 && held + bytes > self.head_bytes_limit {
            return None;
        }
        self.head_bytes.fetch_add(bytes, Ordering::Relaxed);
        Some(Head { streams: Arc::clone(self), bytes })
    }

    /// Whether the connection holds less of bodies than it may.
    pub(crate) fn has_room(&self) -> bool {
        self.held_bytes.load(Ordering::Relaxed) < self.held_bytes_limit
    }

    pub(crate) fn hold(&self, bytes: usize) {
        self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts a stream's end: completed, or reset, refused or malformed.
    pub(crate) fn ended(&self, completed: bool, now: Instant) {
        let now = u64::try_from(now.saturating_duration_since(self.begun).as_millis()).unwrap_or(u64::MAX);
        if now.saturating_sub(self.since.load(Ordering::Relaxed)) >= WINDOW_MILLIS {
            self.since.store(now, Ordering::Relaxed);
            self.lost.store(0, Ordering::Relaxed);
        }
        let lost = self.lost.load(Ordering::Relaxed);
        let lost = if completed { lost.saturating_sub(1) } else { lost.saturating_add(1) };
        self.lost.store(lost, Ordering::Relaxed);
        if lost > self.resets_limit {
            self.is_over.store(true, Ordering::Relaxed);
            self.waker.wake();
        }
    }

    /// Whether more streams were lost than a client may lose.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// As [`Self::is_over`]; `cx` is woken when that comes to be so.
    pub(crate) fn poll_over(&self, cx: &Context<'_>) -> bool {
        self.waker.register(cx.waker());
        self.is_over()
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        self.streams.head_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn streams(now: Instant) -> Arc<Streams> {
        let limits = GatewayLimits {
            h2_head_bytes_per_connection: 1000,
            h2_body_bytes_per_connection: 1000,
            h2_resets_per_window: 100,
            ..GatewayLimits::default()
        };
        Arc::new(Streams::new(&limits, now))
    }

    #[test]
    fn a_hundred_lost_streams_in_ten_seconds_are_put_up_with() {
        let start = Instant::now();
        let it = streams(start);
        (0..100).for_each(|_| it.ended(false, start));
        assert!(!it.is_over());
        it.ended(false, start + Duration::from_millis(9_999));
        assert!(it.is_over());
    }

    #[test]
    fn streams_that_complete_make_up_for_lost_ones_but_save_up_nothing() {
        let start = Instant::now();
        let it = streams(start);
        (0..1000).for_each(|_| it.ended(true, start));
        for _ in 0..500 {
            it.ended(false, start);
            it.ended(true, start);
        }
        assert!(!it.is_over());
        (0..101).for_each(|_| it.ended(false, start));
        assert!(it.is_over());
    }

    #[test]
    fn a_new_window_starts_at_nothing() {
        let start = Instant::now();
        let it = streams(start);
        for second in 0..100 {
            (0..9).for_each(|_| it.ended(false, start + Duration::from_secs(second)));
        }
        assert!(!it.is_over());
    }

    #[test]
    fn bodies_are_held_up_to_the_limit() {
        let it = streams(Instant::now());
        it.hold(999);
        assert!(it.has_room());
        it.hold(1);
        assert!(!it.has_room());
        it.release(1000);
        assert_eq!(it.held_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn heads_are_held_up_to_the_limit_and_given_back() {
        let it = streams(Instant::now());
        let first = it.admit(600).unwrap();
        assert!(it.admit(401).is_none());
        let second = it.admit(400).unwrap();
        assert_eq!(it.head_bytes.load(Ordering::Relaxed), 1000);
        assert!(it.admit(1).is_none());
        drop((first, second));
        assert_eq!(it.head_bytes.load(Ordering::Relaxed), 0);
        assert!(it.admit(5000).is_some(), "one alone is bounded by the limit of a head");
    }
}
