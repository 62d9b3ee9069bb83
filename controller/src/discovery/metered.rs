//! What of a long message lies in memory until its end is there: messages that proxies send in the ordinary course pass,
//! longer ones wait for a turn before more of them is read, few at a time in all and for each address, and each has to be
//! whole in time.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures::future::BoxFuture;
use http::Request;
use hyper::body::{Body as HttpBody, Frame};
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use crate::serving::{Handle, party};
use crate::shares::Places;
use crate::turns::{Turn, Turns};

/// Longest message that passes without a turn: one part of what a proxy has, and some.
const ORDINARY: usize = 160 << 10;
/// Bytes before each message: a flag, and its length.
const HEAD: usize = 5;
/// Streams of one address that may wait.
const WAITING: usize = 256;

/// A service whose requests are metered.
#[derive(Clone)]
pub(crate) struct Metered<S> {
    inner: S,
    meter: Meter,
}

#[derive(Clone)]
struct Meter {
    turns: Arc<Turns<IpAddr>>,
    /// From the first byte of a message to its last.
    deadline: Duration,
}

impl<S> Metered<S> {
    /// So many long messages at a time.
    pub(crate) fn new(inner: S, messages: usize, deadline: Duration) -> Self {
        let places = Places { all: messages, each: messages.div_ceil(8), reserve: 0 };
        Self { inner, meter: Meter { turns: Arc::new(Turns::new(places, WAITING)), deadline } }
    }
}

impl<S: NamedService> NamedService for Metered<S> {
    const NAME: &'static str = S::NAME;
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Metered<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        let address = request.extensions().get::<Handle>().map(|handle| party(handle.info().remote.ip()));
        let meter = self.meter.clone();
        let request = request.map(|body| Body::new(Messages::new(body, meter, address)));
        self.inner.call(request)
    }
}

/// The messages of a stream as they come in.
struct Messages<B> {
    body: B,
    meter: Meter,
    address: Option<IpAddr>,
    /// Of the head of the next message, what is there.
    head: Vec<u8>,
    /// Of the present message, what is still to come.
    missing: usize,
    turn: Option<Turn>,
    /// Waits for a turn; what has been read meanwhile is kept.
    waiting: Option<(BoxFuture<'static, Option<Turn>>, Bytes)>,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<B> Messages<B> {
    fn new(body: B, meter: Meter, address: Option<IpAddr>) -> Self {
        Self { body, meter, address, head: Vec::new(), missing: 0, turn: None, waiting: None, deadline: None }
    }

    /// Follows the messages in these bytes. Tells whether a long one has begun.
    fn follow(&mut self, mut bytes: &[u8]) -> bool {
        let mut long = false;
        while !bytes.is_empty() {
            if self.missing > 0 {
                let some = self.missing.min(bytes.len());
                bytes.advance(some);
                self.missing -= some;
            } else {
                let some = (HEAD - self.head.len()).min(bytes.len());
                self.head.extend_from_slice(&bytes[..some]);
                bytes.advance(some);
                if let [_, a, b, c, d] = self.head[..] {
                    self.missing = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
                    self.head.clear();
                }
            }
            if self.missing == 0 && self.head.is_empty() {
                (self.turn, self.deadline, long) = (None, None, false);
                continue;
            }
            long |= self.missing > ORDINARY && self.turn.is_none();
            self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.meter.deadline)));
        }
        long
    }
}

impl<B> HttpBody for Messages<B>
where
    B: HttpBody<Data = Bytes, Error = Status> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if let Some(deadline) = &mut this.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Some(Err(Status::deadline_exceeded("a message was not whole in time"))));
        }
        if let Some((turn, _)) = &mut this.waiting {
            let Poll::Ready(turn) = turn.as_mut().poll(context) else { return Poll::Pending };
            let bytes = this.waiting.take().map(|(_, bytes)| bytes).unwrap_or_default();
            let Some(turn) = turn else {
                let full = Status::resource_exhausted("too many long messages at once; try again");
                return Poll::Ready(Some(Err(full)));
            };
            this.turn = Some(turn);
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let frame = match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => frame,
            other => return other,
        };
        let bytes = match frame.into_data() {
            Ok(bytes) => bytes,
            Err(frame) => return Poll::Ready(Some(Ok(frame))),
        };
        if this.follow(&bytes)
            && let Some(address) = this.address
        {
            let (turns, patience) = (Arc::clone(&this.meter.turns), this.meter.deadline);
            let turn = Box::pin(async move { turns.take(address, false, patience).await });
            this.waiting = Some((turn, bytes));
            // Polled at once, so that this task is woken when the turn is there.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Frames that are there, and then none for ever.
    struct Frames(VecDeque<Bytes>);

    impl HttpBody for Frames {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            match self.0.pop_front() {
                Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                None => Poll::Pending,
            }
        }
    }

    fn meter(messages: usize, deadline: Duration) -> Meter {
        let places = Places { all: messages, each: 1, reserve: 0 };
        Meter { turns: Arc::new(Turns::new(places, WAITING)), deadline }
    }

    /// A message of this length of which so much is there.
    fn message(length: usize, there: usize) -> Vec<u8> {
        [&[0][..], &u32::try_from(length).unwrap().to_be_bytes(), &vec![b'x'; there]].concat()
    }

    fn stream(bytes: &[u8], meter: &Meter, address: u8) -> Messages<Frames> {
        let frames = bytes.chunks(16 << 10).map(Bytes::copy_from_slice).collect();
        Messages::new(Frames(frames), meter.clone(), Some([10, 0, 0, address].into()))
    }

    /// Bytes that are let through until nothing more comes, or the error.
    async fn read(stream: &mut Messages<Frames>, wait: Duration) -> Result<usize, Status> {
        let mut read = 0;
        loop {
            let frame = std::future::poll_fn(|context| Pin::new(&mut *stream).poll_frame(context));
            match tokio::time::timeout(wait, frame).await {
                Ok(Some(Ok(frame))) => read += frame.into_data().unwrap().len(),
                Ok(Some(Err(status))) => return Err(status),
                Ok(None) | Err(_) => return Ok(read),
            }
        }
    }

    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn few_long_messages_are_held_at_a_time() {
        let meter = meter(2, Duration::from_secs(10));
        let begun = message(4 << 20, 1 << 20);
        let mut streams: Vec<_> = (0..20).map(|number| stream(&begun, &meter, number / 5)).collect();
        let mut held = Vec::new();
        for stream in &mut streams {
            held.push(read(stream, SHORT).await.unwrap());
        }
        assert_eq!(held.iter().filter(|bytes| **bytes > 0).count(), 2, "{held:?}");
        // One ends, and another one goes on.
        drop(streams.remove(0));
        let mut more = 0;
        for stream in &mut streams {
            more += read(stream, SHORT).await.unwrap();
        }
        assert_eq!(more, begun.len());
    }

    #[tokio::test]
    async fn ordinary_messages_pass_however_they_are_cut() {
        let meter = meter(1, Duration::from_secs(10));
        let _turn = meter.turns.take([10, 0, 0, 1].into(), false, SHORT).await.unwrap();
        let bytes = [message(100_000, 100_000), message(0, 0), message(3, 3), message(ORDINARY, ORDINARY)].concat();
        assert_eq!(read(&mut stream(&bytes, &meter, 2), SHORT).await.unwrap(), bytes.len());
        let mut single = stream(&bytes, &meter, 2);
        single.body.0 = bytes.chunks(1).map(Bytes::copy_from_slice).collect();
        assert_eq!(read(&mut single, SHORT).await.unwrap(), bytes.len());
        assert!(single.deadline.is_none() && single.turn.is_none());
    }

    #[tokio::test]
    async fn a_message_that_does_not_end_ends_the_stream() {
        let meter = meter(2, Duration::from_millis(30));
        let mut slow = stream(&message(100, 10), &meter, 1);
        let status = read(&mut slow, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(status.message(), "a message was not whole in time");
    }
}
