//! A connection that has to go when it must make room for another, or when it proves nothing in time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::register::Place;

/// A stream and its place. Ends by an error of reading, which a server always waits for.
#[derive(Debug)]
pub struct Guarded<S> {
    stream: S,
    place: Arc<Place>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Guarded<S> {
    /// `within` is how long it may take to prove something; `None` = for ever.
    pub(super) fn new(stream: S, place: Arc<Place>, within: Option<Duration>) -> Self {
        let ended = Box::pin(place.end().clone().cancelled_owned());
        let deadline = within.map(|within| Box::pin(sleep(within)));
        Self { stream, place, ended, deadline }
    }

    pub(super) fn place(&self) -> &Arc<Place> {
        &self.place
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let gone = |why: &str| Poll::Ready(io::Error::new(io::ErrorKind::ConnectionAborted, why));
        if self.ended.as_mut().poll(cx).is_ready() {
            return gone("the connection had to make room for another");
        }
        if let Some(deadline) = &mut self.deadline {
            if self.place.is_proven() {
                self.deadline = None;
            } else if deadline.as_mut().poll(cx).is_ready() {
                return gone("no call on the connection was authenticated in time");
            }
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(error) = self.poll_end(cx) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::AsyncReadExt as _;

    use super::super::register::{Capacity, Register};
    use super::*;

    fn place() -> Arc<Place> {
        let register = Register::new(Capacity { all: 9, per_address: 9, unproven: 9 });
        Arc::new(register.enter([127, 0, 0, 1].into(), Instant::now()).unwrap())
    }

    #[tokio::test]
    async fn a_connection_that_proves_nothing_is_closed_however_much_it_says() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut guarded = Guarded::new(server, place(), Some(Duration::from_millis(50)));
        let talk = tokio::spawn(async move {
            // Acks of pings, for example.
            while tokio::io::AsyncWriteExt::write_all(&mut client, b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let error = loop {
            if let Err(error) = guarded.read_u8().await {
                break error;
            }
        };
        assert_eq!(error.to_string(), "no call on the connection was authenticated in time");
        talk.abort();
    }

    #[tokio::test]
    async fn one_that_has_proven_something_stays_until_it_must_make_room() {
        let (_client, server) = tokio::io::duplex(64);
        let place = place();
        let mut guarded = Guarded::new(server, Arc::clone(&place), Some(Duration::from_millis(10)));
        place.prove(Instant::now());
        assert!(tokio::time::timeout(Duration::from_millis(50), guarded.read_u8()).await.is_err());
        place.end().cancel();
        assert!(guarded.read_u8().await.unwrap_err().to_string().contains("make room"));
    }
}
