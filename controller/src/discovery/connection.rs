//! One proxy's stream: a push, its answer, the next push. However slow a proxy is, what is kept for it is the number of
//! the point it stands at.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ir::{Delta, Key};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Status, Streaming};
use tracing::{debug, warn};
use wire::convert::Refusal;
use wire::discovery::{Request, Response};

use super::parts;
use super::subscription::Subscription;
use crate::fleet::{Answer, Cursor, Fleet, FleetMetrics, Member, Pull, Refused};

/// A reason that a proxy gives is cut to this.
const MAX_REASON: usize = 1024;

/// What bounds a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From the last byte of a push to its answer, and for the push itself to be taken.
    pub(super) answer: Duration,
}

/// A stream whose proxy is known.
pub(super) struct Connection {
    pub(super) fleet: Fleet,
    pub(super) member: Arc<Member>,
    pub(super) metrics: FleetMetrics,
    pub(super) controller: String,
    pub(super) patience: Patience,
    pub(super) requests: Streaming<Request>,
    pub(super) responses: mpsc::Sender<Result<Response, Status>>,
}

/// Takes the proxy off the list, however its stream ends.
struct Enlisted(Fleet, Arc<Member>);

impl Drop for Enlisted {
    fn drop(&mut self) {
        self.0.leave(Arc::clone(&self.1));
    }
}

/// A push without an answer.
struct Outstanding {
    nonce: String,
    cursor: Cursor,
    versions: HashMap<Key, Arc<str>>,
    removed: Vec<Key>,
    until: Instant,
}

/// Where a stream stands.
struct Standing {
    subscription: Subscription,
    /// What the proxy has from an earlier stream; until the first push.
    known: Option<HashMap<Key, Arc<str>>>,
    cursor: Cursor,
    /// Names asked for later, which are told about even if nothing changed.
    asked: HashSet<Key>,
    /// The subscription grew by whole kinds: everything wanted must be looked at again.
    widened: bool,
    pushes: u64,
    outstanding: Option<Outstanding>,
}

impl Connection {
    /// Serves until the proxy is gone or must go.
    pub(super) async fn run(mut self, first: Request) {
        let _enlisted = Enlisted(self.fleet.clone(), Arc::clone(&self.member));
        if let Err(status) = self.serve(first).await {
            debug!(proxy = %self.member.info.name(), code = ?status.code(), reason = status.message(), "discovery stream ended");
            // The proxy may be gone already.
            let _ = self.responses.try_send(Err(status));
        }
    }

    async fn serve(&mut self, first: Request) -> Result<(), Status> {
        let mut known = HashMap::with_capacity(first.initial_resource_versions.len());
        for version in first.initial_resource_versions {
            let (key, version) = version.try_into().map_err(unreadable)?;
            known.insert(key, version);
        }
        let mut subscription = Subscription::default();
        subscription.change(first.subscribe, first.unsubscribe).map_err(unreadable)?;
        let mut standing = Standing {
            subscription,
            known: Some(known),
            cursor: 0,
            asked: HashSet::new(),
            widened: false,
            pushes: 0,
            outstanding: None,
        };
        let member = Arc::clone(&self.member);
        let mut head = member.scope.head();
        loop {
            if standing.outstanding.is_none() && head.borrow_and_update().is_some() {
                self.push(&mut standing).await?;
            }
            let until = standing.outstanding.as_ref().map(|push| push.until);
            tokio::select! {
                request = self.requests.message() => match request? {
                    Some(request) => self.request(request, &mut standing).await?,
                    None => return Ok(()),
                },
                changed = head.changed(), if standing.outstanding.is_none() => {
                    changed.map_err(|_| Status::unavailable("the controller is ending"))?;
                }
                () = tokio::time::sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    warn!(proxy = %member.info.name(), after = ?self.patience.answer, "the proxy does not answer a push; its stream is ended");
                    return Err(Status::deadline_exceeded("the push was not answered in time"));
                }
                why = member.ended() => return Err(Status::aborted(why.to_string())),
            }
        }
    }

    /// Sends what the proxy lacks, if anything.
    async fn push(&mut self, standing: &mut Standing) -> Result<(), Status> {
        let first = standing.known.is_some();
        let Pull { mut delta, cursor } = self.pull(standing);
        for key in standing.asked.drain() {
            match self.member.scope.get(&key) {
                Some(resource) if !delta.changed.iter().any(|one| one.key == key) => delta.changed.push(resource),
                None if !delta.removed.contains(&key) => delta.removed.push(key),
                Some(_) | None => {}
            }
        }
        standing.cursor = cursor;
        if delta.is_empty() && !first {
            // Nothing the proxy wants has changed: it is up to date as it is.
            if cursor > self.member.acked() {
                self.fleet.answered(&self.member, Answer { cursor, ..Answer::default() }).await;
            }
            return Ok(());
        }
        standing.pushes += 1;
        let nonce = standing.pushes.to_string();
        self.send(&delta, &nonce).await?;
        self.member.note_sent(cursor);
        let Delta { changed, removed } = delta;
        standing.outstanding = Some(Outstanding {
            nonce,
            cursor,
            versions: changed.into_iter().map(|one| (one.key, one.version)).collect(),
            removed,
            until: Instant::now() + self.patience.answer,
        });
        Ok(())
    }

    fn pull(&self, standing: &mut Standing) -> Pull {
        let scope = &self.member.scope;
        let wants = |key: &Key| standing.subscription.wants(key);
        match standing.known.take() {
            Some(known) => scope.beyond(&known, wants),
            // Sending again what the proxy has is harmless: it knows versions.
            None if std::mem::take(&mut standing.widened) => scope.since(0, wants),
            None => scope.since(standing.cursor, wants),
        }
    }

    async fn send(&self, delta: &Delta, nonce: &str) -> Result<(), Status> {
        let bytes: usize = delta.changed.iter().map(|one| one.body.len()).sum();
        self.metrics.push_bytes.inc_by(bytes as u64);
        let sending = async {
            for part in parts::parts(delta, nonce, &self.controller) {
                self.responses.send(Ok(part)).await.map_err(|_| Status::cancelled("the proxy is gone"))?;
            }
            Ok(())
        };
        tokio::select! {
            sent = tokio::time::timeout(self.patience.answer, sending) => {
                sent.unwrap_or_else(|_| Err(Status::deadline_exceeded("the push was not taken in time")))
            }
            why = self.member.ended() => Err(Status::aborted(why.to_string())),
        }
    }

    async fn request(&self, request: Request, standing: &mut Standing) -> Result<(), Status> {
        let Request {
            node: _,
            subscribe,
            unsubscribe,
            initial_resource_versions: _,
            nonce,
            rejected,
            applied_micros,
            more: _,
        } = request;
        standing.widened |= subscribe.iter().any(|one| one.names.iter().any(|name| name == wire::convert::WILDCARD));
        standing.asked.extend(standing.subscription.change(subscribe, unsubscribe).map_err(unreadable)?);
        if nonce.is_empty() {
            return Ok(());
        }
        let Some(push) = standing.outstanding.take_if(|push| push.nonce == nonce) else {
            debug!(proxy = %self.member.info.name(), nonce, "an answer to no push");
            return Ok(());
        };
        let mut refused = Vec::new();
        for message in rejected {
            let Refusal { key, version, mut reason } = message.try_into().map_err(unreadable)?;
            if push.versions.get(&key) == Some(&version) {
                let end = reason.floor_char_boundary(MAX_REASON);
                reason.truncate(end);
                refused.push((key, Refused { version: version.to_string(), reason }));
            }
        }
        debug!(proxy = %self.member.info.name(), cursor = push.cursor, refused = refused.len(), applied_micros, "push answered");
        let pushed = push.versions.into_keys().chain(push.removed).collect();
        self.fleet.answered(&self.member, Answer { cursor: push.cursor, pushed, refused }).await;
        Ok(())
    }
}

fn unreadable(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(error.to_string())
}
