//! Raw connections: one cluster per connection, bytes both ways (docs/semantics.md §2.9).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use crate::table::{ClusterId, Table};
use crate::upstream::{Busy, Endpoint};
use crate::worker::Worker;

/// How often silence is looked for within the time that it may last.
const LOOKS: u32 = 4;

/// Where a new connection goes.
pub(crate) fn endpoint(table: &Table, destinations: &[(ClusterId, u32)], total_weight: u64) -> Option<Arc<Endpoint>> {
    let id = draw(destinations, fastrand::u64(..total_weight.max(1)))?;
    let (_, endpoint) = table.cluster(id)?.pick(&[])?;
    Some(endpoint)
}

/// Connects a client to an endpoint until either side ends, or neither has said anything for that long. A client whose
/// upstream cannot be reached is closed.
pub(crate) async fn serve<IO>(
    io: IO,
    worker: &Worker,
    abort: &CancellationToken,
    endpoint: Arc<Endpoint>,
    idle_timeout: Duration,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send,
{
    let opened = tokio::select! {
        opened = worker.upstream.open(&endpoint) => opened,
        () = abort.cancelled() => return,
    };
    let Ok(mut upstream) = opened else { return };
    let _busy = Busy::new(endpoint);
    let moved = Arc::new(AtomicBool::new(false));
    let mut io = Heard { io, moved: Arc::clone(&moved) };
    tokio::select! {
        // Either side may close at any time; that is how raw connections end.
        _ = tokio::io::copy_bidirectional(&mut io, &mut upstream) => {}
        () = silence(&moved, idle_timeout) => {}
        () = abort.cancelled() => {}
    }
}

/// Waits until nothing has moved for so long.
async fn silence(moved: &AtomicBool, limit: Duration) {
    let mut quiet = 0;
    while quiet < LOOKS {
        tokio::time::sleep(limit / LOOKS).await;
        quiet = if moved.swap(false, Ordering::Relaxed) { 0 } else { quiet + 1 };
    }
}

/// A client's side of a raw connection; all bytes pass it, whichever way.
struct Heard<IO> {
    io: IO,
    moved: Arc<AtomicBool>,
}

impl<IO> Heard<IO> {
    fn note<T>(&self, result: Poll<T>) -> Poll<T> {
        if result.is_ready() {
            self.moved.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Heard<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        self.note(result)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Heard<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, buf);
        self.note(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

fn draw(destinations: &[(ClusterId, u32)], mut ticket: u64) -> Option<ClusterId> {
    for (id, weight) in destinations {
        match ticket.checked_sub(u64::from(*weight)) {
            Some(rest) => ticket = rest,
            None => return Some(*id),
        }
    }
    destinations.last().map(|(id, _)| *id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_is_noticed_and_a_byte_now_and_then_is_none() {
        let moved = Arc::new(AtomicBool::new(false));
        let hour = Duration::from_secs(3600);
        let begun = tokio::time::Instant::now();
        let talking = Arc::clone(&moved);
        tokio::spawn(async move {
            for _ in 0..5 {
                tokio::time::sleep(hour / 2).await;
                talking.store(true, Ordering::Relaxed);
            }
        });
        silence(&moved, hour).await;
        let took = begun.elapsed();
        assert!(took > hour * 3 && took < hour * 4, "{took:?}");
    }
}
