//! One proxy's stream: a push, its answer, the next push. However slow a proxy is and however much there is to tell it,
//! what is kept for it is the place it stands at, and the part of a push that is on its way.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use ir::{Delta, Key, Kind};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tonic::{Status, Streaming};
use tracing::{debug, warn};
use wire::convert::{self, Refusal};
use wire::digest::{self, Digest};
use wire::discovery::{Ask, Request, Response, Subscription as Subscribe};

use super::budget::Account;
use super::life::Life;
use super::parts::{Envelope, PART_BYTES};
use super::size;
use super::subscription::{Subscription, SubscriptionError};
use crate::bucket::Bucket;
use crate::fleet::{Answer, Cursor, Fleet, FleetMetrics, Member, Position, Pull, Refused};
use crate::limits::ControllerLimits;

/// A reason that a proxy gives is cut to this.
const MAX_REASON: usize = 1024;

/// In how many messages a proxy may say what it has.
const MAX_HELLO_PARTS: usize = 4096;

/// And how many resources. What it has beyond that would be sent again and again.
const MAX_KNOWN: usize = 500_000;

/// What a returning proxy lacks is kept as a list up to so many resources; beyond, it is told everything.
const MAX_LACKING: usize = 1_000;

/// What bounds a stream.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    /// From the last byte of a push to its answer, and for each part of a push to be taken.
    pub(super) answer: Duration,
    /// For all that a proxy has to say of what it has, once it is its turn.
    pub(super) hello: Duration,
    /// Whose turn it is: what a proxy has is held until it is known what it lacks, and a thousand of them may come back
    /// in the same second.
    pub(super) turns: Arc<Semaphore>,
    pub(super) limits: ControllerLimits,
}

/// A stream whose proxy is known.
pub(super) struct Connection {
    pub(super) fleet: Fleet,
    pub(super) member: Arc<Member>,
    pub(super) life: Life,
    pub(super) metrics: FleetMetrics,
    pub(super) controller: String,
    pub(super) bounds: Bounds,
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
    /// What the proxy had refused before and was told anew.
    settled: Vec<Key>,
    until: Instant,
}

/// Where a stream stands.
struct Standing {
    subscription: Subscription,
    /// Nothing has been pushed yet: the first push is sent even if it is empty.
    first: bool,
    /// Goes before what the log has after the cursor.
    lead: Delta,
    cursor: Cursor,
    /// Names asked for later, which are told about even if nothing changed.
    asked: HashSet<Key>,
    /// The subscription grew by whole kinds: everything wanted must be looked at again.
    widened: bool,
    pushes: u64,
    outstanding: Option<Outstanding>,
    /// Of messages that change the subscription.
    pace: Bucket,
}

impl Standing {
    /// Takes wishes in that came after the first.
    fn resubscribe(&mut self, subscribe: Vec<Subscribe>, unsubscribe: Vec<Subscribe>) -> Result<(), Status> {
        self.widened |= subscribe.iter().any(|one| one.names.iter().any(|name| name == convert::WILDCARD));
        self.subscription.change(subscribe, unsubscribe, &mut self.asked).map_err(unsubscribable)
    }

    /// A message more that answers no push.
    fn paced(&mut self) -> Result<(), Status> {
        if self.pace.take(Instant::now().into_std()) {
            return Ok(());
        }
        Err(Status::resource_exhausted("too many messages in a minute (limit messages-per-minute)"))
    }
}

impl Connection {
    /// Serves until the proxy is gone or must go.
    pub(super) async fn run(mut self, first: Request, account: Account) {
        let _enlisted = Enlisted(self.fleet.clone(), Arc::clone(&self.member));
        if let Err(status) = self.serve(first, account).await {
            self.metrics.refused_proxies.with_label_values(&[&format!("{:?}", status.code())]).inc();
            debug!(proxy = %self.member.info.name(), code = ?status.code(), reason = status.message(), "discovery stream ended");
            // The proxy may be gone already.
            let _ = self.responses.try_send(Err(status));
        }
    }

    async fn serve(&mut self, first: Request, account: Account) -> Result<(), Status> {
        let member = Arc::clone(&self.member);
        let mut head = member.scope.head();
        let mut standing = tokio::select! {
            begun = self.begin(first, account, &mut head) => begun?,
            why = member.ended() => return Err(Status::aborted(why.to_string())),
        };
        let mut looks = tokio::time::interval(self.bounds.limits.identity_check);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
                    changed.map_err(|_| ending())?;
                }
                () = tokio::time::sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    warn!(proxy = %member.info.name(), after = ?self.bounds.answer, "the proxy does not answer a push; its stream is ended");
                    return Err(Status::deadline_exceeded("the push was not answered in time"));
                }
                _ = looks.tick() => self.life.goes_on()?,
                why = member.ended() => return Err(Status::aborted(why.to_string())),
            }
        }
    }

    /// Finds out what the proxy lacks. What it says it has is not kept.
    async fn begin(
        &mut self,
        mut first: Request,
        account: Account,
        head: &mut watch::Receiver<Option<Cursor>>,
    ) -> Result<Standing, Status> {
        let limits = &self.bounds.limits;
        let mut subscription = Subscription::new(account, limits.names_per_stream);
        let (subscribe, unsubscribe) = (take(&mut first.subscribe), take(&mut first.unsubscribe));
        // All of it is told anyway: nothing has been pushed yet.
        subscription.change(subscribe, unsubscribe, &mut HashSet::new()).map_err(unsubscribable)?;
        let mut standing = Standing {
            subscription,
            first: true,
            lead: Delta::default(),
            cursor: 0,
            asked: HashSet::new(),
            widened: false,
            pushes: 0,
            outstanding: None,
            pace: Bucket::per_minute(limits.messages_per_minute),
        };
        // One of each kind, however many were sent: comparing them is work.
        let digests =
            first.digests.iter().map(Digest::read).collect::<Result<BTreeMap<_, _>, _>>().map_err(unreadable)?;
        if first.initial_resource_versions.is_empty() && !first.more && digests.is_empty() {
            return Ok(standing);
        }
        // It waits below, in memory, for the cluster's state and for its turn.
        let mut said = size::of_versions(&first.initial_resource_versions);
        standing.subscription.account().take(said).map_err(exhausted)?;
        head.wait_for(Option::is_some).await.map_err(|_| ending())?;
        let scope = Arc::clone(&self.member.scope);
        let (differing, at) = scope.differing(&digests, |kind| standing.subscription.names(kind));
        let asked: Vec<Ask> = differing
            .iter()
            .filter(|(_, buckets)| !buckets.is_empty())
            .map(|(kind, buckets)| Ask { kind: convert::kind_name(*kind).to_owned(), buckets: buckets.clone() })
            .collect();
        let known = if asked.is_empty() && !first.more && first.initial_resource_versions.is_empty() {
            HashMap::new()
        } else {
            let _turn = Arc::clone(&self.bounds.turns).acquire_owned().await.map_err(|_| ending())?;
            let known =
                tokio::time::timeout(self.bounds.hello, self.known(first, asked, &mut said, &mut standing)).await;
            known.map_err(|_| Status::deadline_exceeded("what the proxy has was not told in time"))??
        };
        // What is kept below is versions of ours.
        standing.subscription.account().give(said);
        let differing: HashMap<Kind, HashSet<u8>> =
            differing.into_iter().map(|(kind, buckets)| (kind, buckets.into_iter().collect())).collect();
        let Pull { delta, cursor } = scope.beyond(&known, |key| {
            standing.subscription.wants(key)
                && differing.get(&key.kind).is_none_or(|buckets| buckets.contains(&digest::bucket(key)))
        });
        if delta.changed.len() > MAX_LACKING {
            standing.lead.removed = delta.removed;
        } else {
            // Where there was no difference, what has changed since it was looked at.
            (standing.lead, standing.cursor) = (delta, if differing.is_empty() { cursor } else { at });
        }
        Ok(standing)
    }

    /// Everything that the proxy has from an earlier stream.
    async fn known(
        &mut self,
        first: Request,
        ask: Vec<Ask>,
        said: &mut usize,
        standing: &mut Standing,
    ) -> Result<HashMap<Key, Arc<str>>, Status> {
        let mut part = first;
        if !ask.is_empty() {
            self.send(Response { ask, ..Response::default() }).await?;
            // Follows, whatever the first said.
            part.more = true;
        }
        let mut known = HashMap::with_capacity(part.initial_resource_versions.len());
        for _ in 0..MAX_HELLO_PARTS {
            if known.len() + part.initial_resource_versions.len() > MAX_KNOWN {
                break;
            }
            for version in part.initial_resource_versions {
                let (key, version) = version.try_into().map_err(unreadable)?;
                known.insert(key, version);
            }
            if !part.more {
                return Ok(known);
            }
            part = loop {
                let next = self.requests.message().await?;
                let mut next = next.ok_or_else(|| Status::cancelled("the stream ended before it began"))?;
                size::check(&next, &self.bounds.limits).map_err(unreadable)?;
                if next.subscribe.is_empty() && next.unsubscribe.is_empty() {
                    let more = size::of_versions(&next.initial_resource_versions);
                    standing.subscription.account().take(more).map_err(exhausted)?;
                    *said += more;
                    break next;
                }
                standing.paced()?;
                // It has learned meanwhile what else it wants, which is no part of what it has.
                standing.resubscribe(take(&mut next.subscribe), take(&mut next.unsubscribe))?;
            };
        }
        Err(Status::resource_exhausted("the proxy has more than a proxy can have"))
    }

    /// Sends what the proxy lacks, if anything.
    async fn push(&mut self, standing: &mut Standing) -> Result<(), Status> {
        let scope = Arc::clone(&self.member.scope);
        let mut lead = take(&mut standing.lead);
        for key in standing.asked.drain() {
            match scope.get(&key) {
                Some(resource) => lead.changed.push(resource),
                None => lead.removed.push(key),
            }
        }
        let wants = |key: &Key| standing.subscription.wants(key);
        // Sending again what the proxy has is harmless: it knows versions.
        let from = if take(&mut standing.widened) { 0 } else { standing.cursor };
        let (mut slice, mut cursor) = scope.slice(&Position::after(from), PART_BYTES, wants);
        let empty = lead.is_empty() && slice.delta.is_empty() && slice.next.is_none();
        if empty && !standing.first {
            standing.cursor = cursor;
            // Nothing the proxy wants has changed: it is up to date as it is.
            if cursor > self.member.acked() {
                self.fleet.answered(&self.member, Answer { cursor, ..Answer::default() }).await;
            }
            return Ok(());
        }
        standing.first = false;
        standing.pushes += 1;
        let nonce = standing.pushes.to_string();
        let controller = self.controller.clone();
        let envelope = Envelope { nonce: &nonce, controller: &controller };
        let refused = self.member.refused();
        let mut settled = Vec::new();
        settle(&lead, &refused, &mut settled);
        for part in envelope.parts(lead) {
            self.send(part).await?;
        }
        loop {
            settle(&slice.delta, &refused, &mut settled);
            self.send(envelope.part(&slice.delta, slice.next.is_some())).await?;
            let Some(next) = slice.next else { break };
            (slice, cursor) = scope.slice(&next, PART_BYTES, wants);
        }
        standing.cursor = cursor;
        self.member.note_sent(cursor);
        let until = Instant::now() + self.bounds.answer;
        standing.outstanding = Some(Outstanding { nonce, cursor, settled, until });
        Ok(())
    }

    async fn send(&self, part: Response) -> Result<(), Status> {
        // A push to a slow proxy takes long.
        self.life.goes_on()?;
        let bytes: usize = part.changed.iter().map(|one| one.body.len()).sum();
        self.metrics.push_bytes.inc_by(bytes as u64);
        tokio::select! {
            sent = tokio::time::timeout(self.bounds.answer, self.responses.send(Ok(part))) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(Status::cancelled("the proxy is gone")),
                Err(_) => Err(Status::deadline_exceeded("the push was not taken in time")),
            },
            why = self.member.ended() => Err(Status::aborted(why.to_string())),
        }
    }

    async fn request(&self, request: Request, standing: &mut Standing) -> Result<(), Status> {
        size::check(&request, &self.bounds.limits).map_err(unreadable)?;
        let Request {
            node: _,
            subscribe,
            unsubscribe,
            initial_resource_versions: _,
            nonce,
            rejected,
            applied_micros,
            more: _,
            digests: _,
        } = request;
        let answers = standing.outstanding.as_ref().is_some_and(|push| push.nonce == nonce);
        if !answers {
            // Answers come at the pace of pushes.
            standing.paced()?;
        }
        standing.resubscribe(subscribe, unsubscribe)?;
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
            // A proxy can only refuse what there is, and there is no need to remember what it was told.
            if refused.len() < self.bounds.limits.refused_per_push && self.member.scope.get(&key).is_some() {
                reason.truncate(reason.floor_char_boundary(MAX_REASON));
                refused.push((key, Refused { version: version.to_string(), reason }));
            }
        }
        debug!(proxy = %self.member.info.name(), cursor = push.cursor, refused = refused.len(), applied_micros, "push answered");
        let Outstanding { cursor, settled, .. } = push;
        self.fleet.answered(&self.member, Answer { cursor, settled, refused }).await;
        Ok(())
    }
}

/// Of what the proxy had refused, what it is told about now.
fn settle(delta: &Delta, refused: &BTreeMap<Key, Refused>, settled: &mut Vec<Key>) {
    if refused.is_empty() {
        return;
    }
    let told = delta.changed.iter().map(|one| &one.key).chain(&delta.removed);
    settled.extend(told.filter(|key| refused.contains_key(*key)).cloned());
}

fn ending() -> Status {
    Status::unavailable("the controller is ending")
}

/// There is no room for what the proxy says.
fn exhausted(error: impl std::fmt::Display) -> Status {
    Status::resource_exhausted(error.to_string())
}

fn unsubscribable(error: SubscriptionError) -> Status {
    match error {
        SubscriptionError::Unreadable(error) => unreadable(error),
        SubscriptionError::TooMany { .. } | SubscriptionError::OverBudget(_) => exhausted(error),
    }
}

pub(super) fn unreadable(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(error.to_string())
}
