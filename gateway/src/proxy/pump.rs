//! Moves one request's bytes: to an upstream until its response begins, then both ways until both are done.
//!
//! One task polls all four directions; nothing is split, nothing is queued beyond what a side has asked for.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::proxy::head::{Fields, ResponseHead};
use crate::proxy::http1::parse::Framing;
use crate::proxy::stream::{Downstream, Gone, Piece, Upstream, UpstreamError};
use crate::proxy::trailers;

/// What has been read of the request's body, kept so that another attempt can send it again.
#[derive(Debug)]
pub(crate) struct Upload {
    kept: Vec<u8>,
    limit: usize,
    /// More was read than is kept.
    overflowed: bool,
    /// Everything was read from the client.
    pub(crate) complete: bool,
    /// Bytes read from the client.
    pub(crate) received: u64,
    /// Trailers are passed on, as far as they may be (docs/security.md, H1-9).
    trailers: bool,
}

impl Upload {
    /// `trailers`: what follows the body is of use to the upstream.
    pub(crate) fn new(framing: Framing, limit: usize, trailers: bool) -> Self {
        let complete = framing == Framing::None;
        Self { kept: Vec::new(), limit, overflowed: false, complete, received: 0, trailers }
    }

    /// Whether an attempt can start over.
    pub(crate) fn can_replay(&self) -> bool {
        !self.overflowed
    }

    /// Counts a piece; true if it is to be kept.
    fn take(&mut self, length: usize) -> bool {
        self.received += length as u64;
        if !self.overflowed && self.kept.len() + length > self.limit {
            self.overflow();
        }
        !self.overflowed
    }

    fn overflow(&mut self) {
        self.overflowed = true;
        self.kept = Vec::new();
    }
}

/// A time limit that starts to run when the request was sent.
#[derive(Debug)]
pub(crate) struct Deadline {
    limit: Option<Duration>,
    at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        Self { limit, at: None, timer: None }
    }

    fn start(&mut self) {
        if let (Some(limit), None) = (self.limit, self.at) {
            self.at = Some(Instant::now() + limit);
        }
    }

    /// What is left; `None` = no limit.
    pub(crate) fn left(&self) -> Option<Duration> {
        match self.at {
            Some(at) => Some(at.saturating_duration_since(Instant::now())),
            None => self.limit,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        self.timer.get_or_insert_with(|| Box::pin(sleep_until(at))).as_mut().poll(cx)
    }

    /// Ends `work` early when the time is up.
    pub(crate) async fn limit<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(it) => Poll::Ready(Some(it)),
            Poll::Pending => self.poll(cx).map(|()| None),
        })
        .await
    }
}

/// Why an attempt brought no response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptError {
    Upstream(UpstreamError),
    Downstream(Gone),
    Timeout,
    PerTryTimeout,
}

impl From<UpstreamError> for AttemptError {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

impl From<Gone> for AttemptError {
    fn from(error: Gone) -> Self {
        Self::Downstream(error)
    }
}

/// Sends the body and waits for the final response head.
pub(crate) async fn send<D: Downstream, U: Upstream>(
    down: &mut D,
    up: &mut U,
    upload: &mut Upload,
    total: &mut Deadline,
    per_try: &mut Deadline,
) -> Result<(ResponseHead, Framing), AttemptError> {
    let mut sender = Sender::new(upload, up);
    poll_fn(|cx| {
        let reads = sender.poll(cx, down, up, upload)?;
        if upload.complete {
            total.start();
            per_try.start();
        }
        // A final answer can come while the body is still being sent.
        loop {
            match up.poll_head(cx)? {
                Poll::Ready((head, framing)) if head.status >= 200 || head.status == 101 => {
                    return Poll::Ready(Ok((head, framing)));
                }
                Poll::Ready((head, _)) => {
                    down.send_interim(&head);
                    if let Poll::Ready(result) = down.poll_flush(cx) {
                        result?;
                    }
                }
                Poll::Pending => break,
            }
        }
        if per_try.poll(cx).is_ready() {
            return Poll::Ready(Err(AttemptError::PerTryTimeout));
        }
        if total.poll(cx).is_ready() {
            return Poll::Ready(Err(AttemptError::Timeout));
        }
        if !reads && down.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(AttemptError::Downstream(Gone::Closed)));
        }
        Poll::Pending
    })
    .await
}

/// The request body's way to the upstream: first what is kept, then what still comes.
struct Sender {
    finished: bool,
}

impl Sender {
    fn new<U: Upstream>(upload: &Upload, up: &mut U) -> Self {
        if !upload.kept.is_empty() {
            up.send_data(&upload.kept);
        }
        if upload.complete {
            up.finish(None);
        }
        Self { finished: upload.complete }
    }

    /// False: the client is not listened to at the moment.
    fn poll<D: Downstream, U: Upstream>(
        &mut self,
        cx: &mut Context<'_>,
        down: &mut D,
        up: &mut U,
        upload: &mut Upload,
    ) -> Result<bool, AttemptError> {
        while !self.finished {
            match up.poll_room(cx) {
                Poll::Ready(result) => result?,
                Poll::Pending => return Ok(false),
            }
            if !down.has_room() {
                match up.poll_flush(cx) {
                    Poll::Ready(_) => down.settled(),
                    Poll::Pending => return Ok(false),
                }
            }
            match down.poll_body(cx) {
                Poll::Ready(Ok(Piece::Data(data))) => {
                    up.send_data(data);
                    let length = data.len();
                    if upload.take(length) {
                        upload.kept.extend_from_slice(data);
                        if !down.may_keep(length) {
                            upload.overflow();
                        }
                    }
                }
                Poll::Ready(Ok(Piece::End(trailers))) => {
                    let mut trailers = trailers.filter(|_| upload.trailers);
                    if let Some(fields) = &mut trailers {
                        trailers::filter(fields);
                    }
                    up.finish(trailers.as_ref());
                    upload.complete = true;
                    self.finished = true;
                }
                Poll::Ready(Err(gone)) => return Err(gone.into()),
                Poll::Pending => break,
            }
        }
        // An upstream may answer and close without reading everything: its answer counts, its loss shows there.
        if up.poll_flush(cx).is_ready() {
            down.settled();
        }
        Ok(!self.finished)
    }
}

/// How a response that had begun ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RelayEnd {
    /// All of it reached the client's connection.
    Complete,
    Upstream,
    Downstream,
    Timeout,
}

/// Passes the response's body on, and the rest of the request's. `framing` is what the client was told of the body.
/// Adds up the bytes sent.
pub(crate) async fn relay<D: Downstream, U: Upstream>(
    down: &mut D,
    up: &mut U,
    framing: Framing,
    upload: &mut Upload,
    total: &mut Deadline,
    sent: &mut u64,
) -> (RelayEnd, Option<Fields>) {
    let mut sender = Sender { finished: upload.complete };
    let mut upload_failed = false;
    let mut ended = false;
    let mut trailers = None;
    let end = poll_fn(|cx| {
        let mut reads = false;
        if !upload_failed && !ended {
            match sender.poll(cx, down, up, upload) {
                Ok(it) => reads = it,
                Err(AttemptError::Downstream(Gone::Closed)) => return Poll::Ready(RelayEnd::Downstream),
                // The request is lost, but the response may still be whole.
                Err(_) => upload_failed = true,
            }
        }
        if upload.complete {
            total.start();
        }
        while !ended {
            match down.poll_room(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(RelayEnd::Downstream),
                Poll::Pending => break,
            }
            match up.poll_body(cx) {
                // Behind a head without body these would be the client's next response.
                Poll::Ready(Ok(Piece::Data(data))) if framing == Framing::None && !data.is_empty() => {
                    return Poll::Ready(RelayEnd::Upstream);
                }
                Poll::Ready(Ok(Piece::Data(data))) => {
                    *sent += data.len() as u64;
                    down.send_data(data);
                }
                Poll::Ready(Ok(Piece::End(mut fields))) => {
                    if let Some(fields) = &mut fields {
                        trailers::filter(fields);
                    }
                    down.finish(fields.as_ref());
                    trailers = fields;
                    ended = true;
                }
                Poll::Ready(Err(_)) => {
                    // What came before the loss is the client's all the same, as far as it takes it at once.
                    let _ = down.poll_flush(cx);
                    return Poll::Ready(RelayEnd::Upstream);
                }
                Poll::Pending => break,
            }
        }
        match down.poll_flush(cx) {
            Poll::Ready(Err(_)) => return Poll::Ready(RelayEnd::Downstream),
            Poll::Ready(Ok(())) if ended => return Poll::Ready(RelayEnd::Complete),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        if total.poll(cx).is_ready() {
            return Poll::Ready(RelayEnd::Timeout);
        }
        if !reads && down.poll_gone(cx).is_ready() {
            return Poll::Ready(RelayEnd::Downstream);
        }
        Poll::Pending
    })
    .await;
    (end, trailers)
}
