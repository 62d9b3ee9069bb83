//! A client's socket whose client has to go on: what it may send before its first message is understood is bounded, and
//! so is the time for which it takes nothing of what it is sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

#[derive(Debug)]
pub(crate) struct Watched<IO> {
    io: IO,
    /// Bytes that may still be read.
    budget: Option<usize>,
    stall: Duration,
    /// Made when the client falls behind for the first time.
    timer: Option<Pin<Box<Sleep>>>,
    stalled: bool,
}

impl<IO> Watched<IO> {
    /// `stall`: how long the client may take nothing.
    pub(crate) fn new(io: IO, stall: Duration) -> Self {
        Self { io, budget: None, stall, timer: None, stalled: false }
    }

    /// How much may be read from here on; `None` = without end.
    pub(crate) fn set_budget(&mut self, budget: Option<usize>) {
        self.budget = budget;
    }

    /// Passes on how a write went, unless there was no progress for too long.
    fn progress<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = false;
            return written;
        }
        if !self.stalled {
            self.stalled = true;
            let until = Instant::now() + self.stall;
            self.timer.get_or_insert_with(|| Box::pin(sleep_until(until))).as_mut().reset(until);
        }
        let late = self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
        if late { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { Poll::Pending }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(budget) = self.budget else { return Pin::new(&mut self.io).poll_read(cx, buf) };
        if budget == 0 {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        // First messages are small and come once, so that copying them costs nothing worth saving.
        let mut bytes = [0; 1024];
        let most = budget.min(buf.remaining()).min(bytes.len());
        let mut part = ReadBuf::new(&mut bytes[..most]);
        let result = Pin::new(&mut self.io).poll_read(cx, &mut part);
        buf.put_slice(part.filled());
        self.budget = Some(budget - part.filled().len());
        result
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.progress(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.progress(cx, written)
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        let (near, mut far) = duplex(8);
        let mut watched = Watched::new(near, Duration::from_secs(10));
        let slow = tokio::spawn(async move {
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_secs(9)).await;
                far.read_exact(&mut [0; 8]).await.unwrap();
            }
            far
        });
        watched.write_all(&[0; 40]).await.unwrap();
        let far = slow.await.unwrap();
        assert_eq!(watched.write_all(&[0; 9]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(far);
    }

    #[tokio::test]
    async fn no_more_is_read_than_the_budget_says() {
        let (near, mut far) = duplex(64);
        let mut watched = Watched::new(near, Duration::from_secs(10));
        far.write_all(&[7; 20]).await.unwrap();
        watched.set_budget(Some(6));
        let mut read = Vec::new();
        assert_eq!(watched.read_to_end(&mut read).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read, [7; 6]);
        watched.set_budget(None);
        let mut rest = [0; 14];
        watched.read_exact(&mut rest).await.unwrap();
        assert_eq!(rest, [7; 14]);
    }
}
