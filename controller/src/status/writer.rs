//! Writes the status of objects while this controller is the leader: differences only, what somebody may be waiting for
//! first, no more per second than allowed.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::{ObjectKey, ObjectKind};
use futures::StreamExt as _;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::api::{StatusApi, Stored, Target, WriteError};
use super::bucket::Bucket;
use super::conditions::{self, Desired};
use super::events::{Events, Told};
use super::ingress::{self, IngressAddress};
use super::memory::{Memory, Present};
use super::metrics::StatusMetrics;
use super::patch::{self, Weight};
use super::queue::{Class, Queue};
use crate::fleet::{Dirty, Fleet, Gone, ObjectStatus};
use crate::leader::{Leadership, NotLeader};

/// Objects looked at in one go: pushes wait as long as the fleet is asked about them.
const BATCH: usize = 16;
/// Whether an Ingress is ours depends on objects that nobody tells about.
const INGRESSES_EVERY: Duration = Duration::from_secs(60);

/// How status is written.
#[derive(Clone, Debug)]
pub struct StatusOptions {
    pub writes_per_second: u32,
    pub burst: u32,
    /// Writes on their way at a time.
    pub parallel: usize,
    /// What changes within this time is written at once: a change is usually in force at every proxy by then.
    pub settle: Duration,
    /// Numbers alone are written no more often than this.
    pub lazy: Duration,
    /// The pause after a failure, which doubles up to `retry_most`.
    pub retry_first: Duration,
    pub retry_most: Duration,
    /// After somebody else has changed what is written here, it is left like that for so long, twice as long each time.
    pub contest_first: Duration,
    pub contest_most: Duration,
    /// For how long a kind that has no status, or may not be written, is left alone.
    pub give_up: Duration,
}

impl Default for StatusOptions {
    fn default() -> Self {
        Self {
            writes_per_second: 50,
            burst: 100,
            parallel: 4,
            settle: Duration::from_millis(50),
            lazy: Duration::from_secs(1),
            retry_first: Duration::from_millis(200),
            retry_most: Duration::from_secs(30),
            contest_first: Duration::from_secs(10),
            contest_most: Duration::from_secs(600),
            give_up: Duration::from_secs(600),
        }
    }
}

/// What there is to be told.
pub trait Objects: Send + Sync + 'static {
    /// Moves whenever [`Objects::take_dirty`] has something to say.
    fn dirty(&self) -> watch::Receiver<u64>;
    fn take_dirty(&self) -> impl Future<Output = Result<Dirty, Gone>> + Send;
    fn mark_all_dirty(&self) -> impl Future<Output = Result<(), Gone>> + Send;
    /// Objects that are gone are left out.
    fn status_of(&self, keys: Vec<ObjectKey>) -> impl Future<Output = Result<Vec<ObjectStatus>, Gone>> + Send;
    /// The Ingresses that our gateways serve.
    fn ingresses(&self) -> impl Future<Output = Result<BTreeSet<ObjectKey>, Gone>> + Send;
}

/// The fleet's.
#[derive(Clone, Debug)]
pub struct OfFleet {
    pub fleet: Fleet,
    pub control_namespace: String,
}

impl Objects for OfFleet {
    fn dirty(&self) -> watch::Receiver<u64> {
        self.fleet.dirty()
    }

    async fn take_dirty(&self) -> Result<Dirty, Gone> {
        self.fleet.take_dirty().await
    }

    async fn mark_all_dirty(&self) -> Result<(), Gone> {
        self.fleet.mark_all_dirty().await
    }

    async fn status_of(&self, keys: Vec<ObjectKey>) -> Result<Vec<ObjectStatus>, Gone> {
        self.fleet.status_of(keys).await
    }

    async fn ingresses(&self) -> Result<BTreeSet<ObjectKey>, Gone> {
        let world = self.fleet.world().await?;
        Ok(translate::ingresses(&world, &self.control_namespace).into_iter().collect())
    }
}

/// The task that writes.
pub struct StatusWriter<O, A> {
    objects: O,
    api: A,
    leadership: Leadership,
    events: Events,
    addresses: watch::Receiver<Option<BTreeSet<IngressAddress>>>,
    options: StatusOptions,
    metrics: StatusMetrics,
    queue: Queue,
    bucket: Bucket,
    memory: Memory,
    told: Told,
    /// Kinds at versions that cannot be written, and until when.
    closed: HashMap<(ObjectKind, String), Instant>,
    /// Kinds whose trouble was told.
    complained: BTreeSet<(ObjectKind, &'static str)>,
}

/// One write to be made.
struct Write {
    target: Target,
    uid: String,
    generation: i64,
    desired: u64,
    patch: Value,
}

impl<O: Objects, A: StatusApi> StatusWriter<O, A> {
    /// `addresses` are those of Ingresses ([`follow_ingress_addresses`](super::follow_ingress_addresses)).
    #[must_use]
    pub fn new(
        objects: O,
        api: A,
        leadership: Leadership,
        events: Events,
        addresses: watch::Receiver<Option<BTreeSet<IngressAddress>>>,
        options: StatusOptions,
        metrics: StatusMetrics,
    ) -> Self {
        let bucket = Bucket::new(options.writes_per_second, options.burst, Instant::now());
        Self {
            objects,
            api,
            leadership,
            events,
            addresses,
            options,
            metrics,
            queue: Queue::default(),
            bucket,
            memory: Memory::default(),
            told: Told::default(),
            closed: HashMap::new(),
            complained: BTreeSet::new(),
        }
    }

    /// Works until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            Err(Gone) = self.follow() => debug!("nothing to write status of any more"),
            () = stop.cancelled() => {}
        }
        self.metrics.leader.set(0);
    }

    async fn follow(&mut self) -> Result<(), Gone> {
        let mut held = self.leadership.watch();
        loop {
            self.metrics.leader.set(0);
            if held.wait_for(|held| *held).await.is_err() {
                return Err(Gone);
            }
            self.metrics.leader.set(1);
            // Somebody else may have written meanwhile.
            self.memory.clear();
            self.told.clear();
            self.closed.clear();
            self.objects.mark_all_dirty().await?;
            self.lead(&mut held).await?;
            self.queue.clear();
            self.metrics.queue.set(0);
        }
    }

    /// Until the leadership is lost.
    async fn lead(&mut self, held: &mut watch::Receiver<bool>) -> Result<(), Gone> {
        let mut dirty = self.objects.dirty();
        let mut addresses = self.addresses.clone();
        dirty.mark_changed();
        addresses.mark_changed();
        let mut ingresses = tokio::time::interval(INGRESSES_EVERY);
        ingresses.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let next = self.due().map(Into::into);
            let due = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            // What it yields may not be kept while something is waited for.
            let lost = async { held.wait_for(|held| !*held).await.map(drop).is_ok() };
            tokio::select! {
                lost = lost => return if lost { Ok(()) } else { Err(Gone) },
                Ok(()) = dirty.changed() => self.take_dirty().await?,
                Ok(()) = addresses.changed() => self.take_ingresses(Class::Urgent).await?,
                _ = ingresses.tick() => self.take_ingresses(Class::Lazy).await?,
                () = due => self.work().await?,
            }
            self.metrics.queue.set(i64::try_from(self.queue.len()).unwrap_or(i64::MAX));
        }
    }

    /// When there is something to do that may be done.
    fn due(&mut self) -> Option<Instant> {
        let (now, next) = (Instant::now(), self.queue.next()?);
        let allowed = if self.bucket.available(now) == 0 { now + self.bucket.wait() } else { now };
        Some(next.max(allowed))
    }

    async fn take_dirty(&mut self) -> Result<(), Gone> {
        let Dirty { urgent, lazy } = self.objects.take_dirty().await?;
        let now = Instant::now();
        for key in urgent {
            self.queue.add(key, Class::Urgent, now + self.options.settle);
        }
        for key in lazy {
            self.queue.add(key, Class::Lazy, now + self.options.lazy);
        }
        Ok(())
    }

    async fn take_ingresses(&mut self, class: Class) -> Result<(), Gone> {
        let now = Instant::now();
        for key in self.objects.ingresses().await? {
            self.queue.add(key, class, now);
        }
        Ok(())
    }

    /// Looks at what is due and writes what differs.
    async fn work(&mut self) -> Result<(), Gone> {
        let now = Instant::now();
        let room = self.bucket.available(now).min(BATCH);
        let keys = self.queue.take(now, room);
        if keys.is_empty() {
            return Ok(());
        }
        let statuses = self.objects.status_of(keys.clone()).await?;
        let found: BTreeSet<&ObjectKey> = statuses.iter().map(|status| &status.key).collect();
        for gone in keys.iter().filter(|key| !found.contains(*key)) {
            self.forget(gone);
        }
        let ours = match statuses.iter().any(|status| status.key.kind == ObjectKind::Ingress) {
            true => self.objects.ingresses().await?,
            false => BTreeSet::new(),
        };
        let mut writes = Vec::new();
        for status in &statuses {
            writes.extend(self.plan(status, &ours, now));
        }
        self.write_all(writes).await;
        Ok(())
    }

    /// What to write for an object, if anything, and now.
    fn plan(&mut self, object: &ObjectStatus, ours: &BTreeSet<ObjectKey>, now: Instant) -> Option<Write> {
        let key = &object.key;
        let present = self.memory.present(key, &object.revision);
        if key.kind != ObjectKind::Ingress || ours.contains(key) {
            for fact in self.told.news(object, present.status.as_deref()) {
                self.events.tell(object, fact);
            }
        } else {
            // Somebody else's, who does not want to hear of us.
            self.told.forget(key);
        }
        let kind = (key.kind, object.revision.api_version.clone());
        if self.closed.get(&kind).is_some_and(|until| now < *until) {
            return None;
        }
        let Desired { fields, digest } = self.desired(object, &present, ours)?;
        if self.memory.is_settled(key, digest, &present) {
            self.queue.settled(key);
            return None;
        }
        let Some((patch, weight)) = patch::difference(present.status.as_deref(), &fields) else {
            self.queue.settled(key);
            return None;
        };
        let since = self.memory.written(key).map(|written| now.saturating_duration_since(written));
        if weight == Weight::Numbers
            && let Some(rest) = since.and_then(|since| self.options.lazy.checked_sub(since))
        {
            self.queue.add(key.clone(), Class::Lazy, now + rest);
            return None;
        }
        let truce = self.memory.truce(key, digest, self.options.contest_first, self.options.contest_most);
        if let (Some(truce), Some(since)) = (truce, since)
            && let Some(rest) = truce.checked_sub(since)
        {
            self.contested(key);
            self.queue.add(key.clone(), Class::Lazy, now + rest);
            return None;
        }
        self.bucket.take();
        let target = Target {
            key: key.clone(),
            api_version: object.revision.api_version.clone(),
            resource_version: present.version,
        };
        let revision = &object.revision;
        Some(Write { target, uid: revision.uid.clone(), generation: revision.generation, desired: digest, patch })
    }

    fn desired(&self, object: &ObjectStatus, present: &Present, ours: &BTreeSet<ObjectKey>) -> Option<Desired> {
        let status = present.status.as_deref();
        if object.key.kind != ObjectKind::Ingress {
            return Some(conditions::desired(object, status, Timestamp::now()));
        }
        let addresses = self.addresses.borrow();
        let addresses = addresses.as_ref().filter(|_| ours.contains(&object.key))?;
        let mut hasher = DefaultHasher::new();
        addresses.hash(&mut hasher);
        let fields = if ingress::is_current(status, addresses) { Map::new() } else { ingress::desired(addresses) };
        Some(Desired { fields, digest: hasher.finish() })
    }

    async fn write_all(&mut self, writes: Vec<Write>) {
        let (api, leadership) = (&self.api, &self.leadership);
        let made: Vec<_> = futures::stream::iter(writes)
            .map(|write| async move {
                let result = leadership.write(api.merge(&write.target, &write.patch)).await;
                (write, result)
            })
            .buffer_unordered(self.options.parallel.max(1))
            .collect()
            .await;
        for (write, result) in made {
            let result = match result {
                // Whoever leads next looks at everything; unless that is us, without having noticed.
                Err(NotLeader) => {
                    let due = Instant::now() + self.options.lazy;
                    self.queue.add(write.target.key.clone(), Class::Urgent, due);
                    "not_leader"
                }
                Ok(result) => self.wrote(&write, result),
            };
            self.metrics.writes.with_label_values(&[write.target.key.kind.as_str(), result]).inc();
        }
    }

    /// Draws the conclusions from an answer; tells its name.
    fn wrote(&mut self, write: &Write, result: Result<Stored, WriteError>) -> &'static str {
        let now = Instant::now();
        let key = &write.target.key;
        let error = match result {
            Ok(stored) => {
                debug!(object = %key, generation = write.generation, "wrote status");
                self.queue.settled(key);
                self.memory.wrote(key, &write.uid, write.desired, &write.target.resource_version, stored, now);
                return "written";
            }
            Err(error) => error,
        };
        let close = |until: Duration| ((key.kind, write.target.api_version.clone()), now + until);
        let again = |writer: &mut Self| {
            let StatusOptions { retry_first, retry_most, .. } = writer.options;
            writer.queue.retry(key.clone(), now, retry_first, retry_most);
        };
        match &error {
            WriteError::Conflict => {
                self.memory.doubt(key);
                again(self);
                "conflict"
            }
            WriteError::Gone => {
                self.forget(&key.clone());
                "gone"
            }
            WriteError::NoStatus => {
                let (kind, until) = close(self.options.give_up);
                self.closed.insert(kind, until);
                self.complain(key, "no_status", &error);
                "no_status"
            }
            WriteError::Forbidden(_) => {
                // Namespaces that are ending forbid writes, too, so the others are tried on.
                self.complain(key, "forbidden", &error);
                let StatusOptions { retry_most, .. } = self.options;
                self.queue.retry(key.clone(), now, retry_most, retry_most);
                "forbidden"
            }
            WriteError::Refused(_) => {
                self.complain(key, "refused", &error);
                "refused"
            }
            WriteError::Later(_) => {
                self.complain(key, "failed", &error);
                again(self);
                "failed"
            }
        }
    }

    /// Once for each kind: there may be thousands of objects.
    fn complain(&mut self, key: &ObjectKey, what: &'static str, error: &WriteError) {
        if self.complained.insert((key.kind, what)) {
            warn!(object = %key, %error, "cannot write status; the same for others of this kind is not told again");
        } else {
            debug!(object = %key, %error, "cannot write status");
        }
    }

    fn contested(&mut self, key: &ObjectKey) {
        if self.complained.insert((key.kind, "contested")) {
            warn!(object = %key, "somebody else writes the same conditions; is there another control plane for it?");
        }
    }

    fn forget(&mut self, key: &ObjectKey) {
        self.memory.forget(key);
        self.told.forget(key);
        self.queue.settled(key);
    }
}

/// Shared handles work as well.
impl<A: StatusApi> StatusApi for Arc<A> {
    fn merge(&self, target: &Target, status: &Value) -> impl Future<Output = Result<Stored, WriteError>> + Send {
        (**self).merge(target, status)
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
