//! One stream from a controller: says what is wanted and what is there, puts each push in force as a whole, answers it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ir::{Delta, Key};
use tokio::sync::{mpsc, watch};
use tonic::{Code, Status, Streaming};
use tracing::{debug, info};
use wire::convert;
use wire::discovery::discovery_client::DiscoveryClient;
use wire::discovery::{Node, Rejected, Request, Response};
use wire::hello::{self, Kept};

use crate::discovery::client::{Client, Life};
use crate::discovery::push::{Collector, Push, PushError};
use crate::discovery::short;
use crate::discovery::state::{LastPush, Rejection, State, Stream};
use crate::discovery::wanted::Wanted;
use crate::identity::channel::{self, ConnectError};
use crate::identity::credentials::{Credential, is_refusal};
use crate::identity::roots::RootsError;
use crate::identity::token::TokenError;
use crate::telemetry::control::{ControlMetrics, seconds};

/// Requests of ours that may wait for a controller that does not read.
const QUEUE: usize = 4;

/// Why a stream ended or never began.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("there is nothing to show who this proxy is")]
    Credential(#[from] TokenError),
    #[error("the controller cannot be verified")]
    Roots(#[from] RootsError),
    #[error("the controller cannot be reached")]
    Connect(#[from] ConnectError),
    #[error("the token cannot stand in a header")]
    Token,
    #[error("the controller does not answer within {0:?}")]
    Silent(Duration),
    #[error("a push is not complete, and nothing more of it came for {0:?}")]
    Slow(Duration),
    #[error("the controller does not read for {0:?}")]
    Stuck(Duration),
    #[error("the controller says {code:?}: {message}")]
    Status { code: Code, message: String },
    #[error("the controller's push cannot be used")]
    Push(#[from] PushError),
    #[error("the controller closed it")]
    Ended,
}

impl StreamError {
    fn status(status: &Status) -> Self {
        Self::Status { code: status.code(), message: short(status.message()) }
    }

    /// Whether nobody did anything wrong.
    pub(crate) fn is_end(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// A word for metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Credential(_) | Self::Token => "credential",
            Self::Roots(_) => "roots",
            Self::Connect(error) => error.reason(),
            Self::Silent(_) | Self::Slow(_) | Self::Stuck(_) => "timeout",
            Self::Status { code: Code::Unauthenticated, .. } => "unauthenticated",
            Self::Status { code: Code::PermissionDenied, .. } => "denied",
            Self::Status { code: Code::OutOfRange | Code::ResourceExhausted, .. } => "limit",
            Self::Status { .. } => "status",
            Self::Push(PushError::TooLarge { .. }) => "limit",
            Self::Push(_) => "malformed",
            Self::Ended => "ended",
        }
    }
}

/// Says that a stream is up, until it is dropped.
struct Up<'a> {
    state: &'a State,
    metrics: &'a ControlMetrics,
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        self.metrics.connected.set(0);
        self.state.lock().stream = None;
    }
}

impl Client {
    /// Follows one stream to its end.
    pub(crate) async fn stream(&mut self, life: &mut Life) -> StreamError {
        match self.follow(life).await {
            Err(error) => error,
            Ok(never) => match never {},
        }
    }

    async fn follow(&mut self, life: &mut Life) -> Result<Infallible, StreamError> {
        let mut wanted = self.wanted.borrow_and_update().clone();
        self.drop_unwanted(&wanted).await;
        let credential = self.credentials.choose(SystemTime::now())?;
        let roots = self.roots.load()?;
        let keepalive = self.limits.keepalive;
        let connection = match channel::connect(&self.address, roots, credential.identity(), keepalive).await {
            Err(error) if error.is_after_handshake() => {
                self.credentials.refused(&credential);
                return Err(error.into());
            }
            other => other?,
        };
        let peer = connection.peer;
        let mut client = DiscoveryClient::with_origin(connection.channel, connection.origin)
            .max_decoding_message_size(self.limits.message_bytes)
            .max_encoding_message_size(usize::MAX);
        let (first, kept) = self.hello(&wanted).await;
        let mut kept = Some(kept);
        let (requests, queued) = mpsc::channel(QUEUE);
        self.send(&requests, first).await?;
        let call = outgoing(queued, &credential)?;
        let mut incoming = match tokio::time::timeout(self.limits.answer_timeout, client.stream(call)).await {
            Err(_) => return Err(StreamError::Silent(self.limits.answer_timeout)),
            Ok(Err(status)) => {
                if is_refusal(&status) {
                    self.credentials.refused(&credential);
                }
                return Err(StreamError::status(&status));
            }
            Ok(Ok(answer)) => answer.into_inner(),
        };

        let gateway = self.gateway.clone();
        let (state, metrics) = (gateway.following(), &gateway.metrics().control);
        life.opened = Some(Instant::now());
        let up = Up { state, metrics };
        metrics.connected.set(1);
        metrics.connects.inc();
        let (since, credential_name) = (SystemTime::now(), credential.name());
        state.lock().stream = Some(Stream { since, peer, credential: credential_name, controller: String::new() });
        info!(controller = %self.address, %peer, credential = credential_name, "following the controller");

        let mut collector = Collector::new(self.limits.push_bytes);
        let mut deadline = None;
        loop {
            let part = tokio::select! {
                part = next(&mut incoming, deadline, self.limits.push_timeout) => match part? {
                    Ok(part) => part,
                    Err(status) => {
                        if matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied) {
                            self.credentials.refused(&credential);
                        }
                        return Err(StreamError::status(&status));
                    }
                },
                () = change(&mut self.wanted) => {
                    let new = self.wanted.borrow_and_update().clone();
                    let (subscribe, unsubscribe) = wanted.changes(&new);
                    wanted = new;
                    self.drop_unwanted(&wanted).await;
                    self.send(&requests, Request { subscribe, unsubscribe, ..Request::default() }).await?;
                    continue;
                }
            };
            let received = Instant::now();
            if let Some(stream) = &mut up.state.lock().stream
                && !part.controller.is_empty()
            {
                stream.controller = short(&part.controller);
            }
            if !part.ask.is_empty() {
                for request in kept.take().unwrap_or_default().told(&part.ask) {
                    self.send(&requests, request).await?;
                }
                continue;
            }
            // It knows what we have.
            kept = None;
            match collector.take(part, &wanted)? {
                None => deadline = Some(received + self.limits.push_timeout),
                Some(push) => {
                    deadline = None;
                    life.pushed |= !push.delta.is_empty();
                    let answer = self.put_in_force(push, received).await;
                    self.send(&requests, answer).await?;
                }
            }
        }
    }

    /// Who we are, what we want, what we have.
    async fn hello(&self, wanted: &Wanted) -> (Request, Kept) {
        let node = &self.node;
        let mut versions = self.gateway.versions().await;
        versions.retain(|(key, _)| wanted.covers(key));
        let node = Node {
            pod: node.pod.clone(),
            namespace: node.namespace.clone(),
            service_account: node.service_account.clone(),
            cluster: node.cluster.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: self.instance.clone(),
        };
        hello::hello(node, wanted.subscriptions(), versions)
    }

    async fn send(&self, requests: &mpsc::Sender<Request>, request: Request) -> Result<(), StreamError> {
        let limit = self.limits.answer_timeout;
        match tokio::time::timeout(limit, requests.send(request)).await {
            Ok(Ok(())) => Ok(()),
            // The call is over; why, its answers say.
            Ok(Err(_)) => Ok(()),
            Err(_) => Err(StreamError::Stuck(limit)),
        }
    }

    /// What is no longer subscribed to is not announced as removed.
    async fn drop_unwanted(&self, wanted: &Wanted) {
        let versions = self.gateway.versions().await;
        let removed: Vec<Key> = versions.into_iter().map(|(key, _)| key).filter(|key| !wanted.covers(key)).collect();
        if removed.is_empty() {
            return;
        }
        let delta = Delta { removed, ..Delta::default() };
        if let Some(snapshot) = &self.snapshot {
            snapshot.record(&delta, |_| false);
        }
        self.gateway.apply(delta).await;
    }

    /// Applies a push and says what became of it.
    async fn put_in_force(&self, push: Push, received: Instant) -> Request {
        let Push { nonce, delta, unknown } = push;
        let (changed, removed) = (delta.changed.len(), delta.removed.len());
        let versions: HashMap<Key, Arc<str>> =
            delta.changed.iter().map(|it| (it.key.clone(), Arc::clone(&it.version))).collect();
        let applied = self.gateway.apply(delta.clone()).await;
        let refused: HashMap<&Key, &str> =
            applied.rejected.iter().map(|(key, reason)| (key, reason.as_str())).collect();
        if let Some(snapshot) = &self.snapshot {
            snapshot.record(&delta, |key| refused.contains_key(key));
        }
        let took = received.elapsed();
        let mut rejected: Vec<Rejected> = unknown;
        for (key, reason) in &refused {
            let version = versions.get(key).map(|version| &**version).unwrap_or_default();
            rejected.push(convert::rejected(key, version, &reason_of(reason)));
        }
        // In force and kept on disk all the same; only the controller is to tell of it.
        for (key, reason) in applied.flawed.iter().filter(|(key, _)| !refused.contains_key(key)) {
            let version = versions.get(key).map(|version| &**version).unwrap_or_default();
            rejected.push(convert::rejected(key, version, &reason_of(reason)));
        }
        rejected.sort_by(|a, b| {
            let name = |it: &Rejected| it.key.as_ref().map(|key| (key.kind.clone(), key.name.clone()));
            name(a).cmp(&name(b))
        });
        debug!(nonce, changed, removed, rejected = rejected.len(), ?took, "push in force");

        let now = SystemTime::now();
        let mut state = self.gateway.following().lock();
        for (key, version) in versions {
            match refused.get(&key) {
                Some(reason) => {
                    let rejection = Rejection { version: version.to_string(), reason: reason_of(reason), at: now };
                    state.rejected.insert(key, rejection);
                }
                None => drop(state.rejected.remove(&key)),
            }
        }
        for key in &delta.removed {
            state.rejected.remove(key);
        }
        state.last_push = Some(LastPush { at: now, changed, removed, rejected: rejected.len(), took });
        let metrics = &self.gateway.metrics().control;
        metrics.pushes.inc();
        metrics.last_push.set(seconds(now));
        metrics.rejected.set(i64::try_from(state.rejected.len()).unwrap_or(i64::MAX));
        drop(state);
        let applied_micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        Request { nonce, rejected, applied_micros, ..Request::default() }
    }
}

/// There is always one.
fn reason_of(reason: &str) -> String {
    if reason.is_empty() { "it cannot be used".to_owned() } else { short(reason) }
}

/// Waits until something else is wanted.
async fn change(wanted: &mut watch::Receiver<Wanted>) {
    if wanted.changed().await.is_err() {
        // Nobody is left who could want anything.
        std::future::pending::<()>().await;
    }
}

fn outgoing(
    mut queued: mpsc::Receiver<Request>,
    credential: &Credential,
) -> Result<tonic::Request<impl futures::Stream<Item = Request> + Send + use<>>, StreamError> {
    let mut call = tonic::Request::new(futures::stream::poll_fn(move |cx| queued.poll_recv(cx)));
    if let Some(token) = credential.token() {
        call.metadata_mut().insert("authorization", token.bearer().ok_or(StreamError::Token)?);
    }
    Ok(call)
}

/// The next part; outside a push it may take any time, inside one it has a deadline.
async fn next(
    incoming: &mut Streaming<Response>,
    deadline: Option<Instant>,
    limit: Duration,
) -> Result<Result<Response, Status>, StreamError> {
    let message = match deadline {
        None => incoming.message().await,
        Some(deadline) => match tokio::time::timeout_at(deadline.into(), incoming.message()).await {
            Err(_) => return Err(StreamError::Slow(limit)),
            Ok(message) => message,
        },
    };
    match message {
        Ok(Some(part)) => Ok(Ok(part)),
        Ok(None) => Err(StreamError::Ended),
        Err(status) => Ok(Err(status)),
    }
}
