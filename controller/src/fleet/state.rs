//! The fleet's state and its transitions; reads no clock and does no IO.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crds::{ObjectKey, ObjectKind};
use tracing::{error, info, warn};
use translate::{Change, Changes, ProxyScope, Translator, Update, World};

use super::member::{Answer, Ended, Member, ProxyInfo};
use super::objects::{Objects, has_status};
use super::pod::{self, Home};
use super::serving::Serving;
use super::status::{Dirty, ObjectStatus};
use crate::ca::RateLimit;
use crate::identity::Workloads;
use crate::limits::ControllerLimits;
use crate::source::kube::{KubeBatch, ObjectEvent, SecretRef};

/// How long publishing waits for a secret that was not looked at yet.
const SECRET_WAIT: Duration = Duration::from_secs(2);

/// Refused resources of one answer that have a line in the log each.
const LOGGED_REFUSALS: usize = 10;

/// Everything the fleet knows.
#[derive(Debug)]
pub(crate) struct State {
    home: Home,
    pub(crate) workloads: Arc<Workloads>,
    pub(crate) world: World,
    pub(crate) objects: Objects,
    pub(crate) scopes: BTreeMap<ScopeName, Serving>,
    /// Whether all kinds have been listed. Before that nothing is translated: half a state is a wrong state.
    pub(crate) synced: bool,
    known_secrets: BTreeSet<SecretRef>,
    wanted_secrets: BTreeSet<SecretRef>,
    next_member: u64,
    /// By namespace and service account.
    new_scopes: RateLimit<String>,
    /// Objects whose latest version could not be translated, by a mistake of ours.
    failed: BTreeSet<ObjectKey>,
    dirty: BTreeSet<ObjectKey>,
    lazily_dirty: BTreeSet<ObjectKey>,
    all_dirty: bool,
    /// Numbers of all objects may have changed.
    counts_dirty: bool,
}

/// Orders scopes; two proxies of one name are told the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ScopeName {
    namespace: String,
    name: String,
    labels: BTreeMap<String, String>,
}

impl From<&ProxyScope> for ScopeName {
    fn from(proxy: &ProxyScope) -> Self {
        Self { namespace: proxy.namespace.clone(), name: proxy.name.clone(), labels: proxy.labels.clone() }
    }
}

/// What a batch did.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) objects: usize,
    pub(crate) units_run: usize,
    pub(crate) translated: Duration,
}

/// Why a proxy is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    #[error("there is no pod {namespace}/{pod}, as far as this controller knows")]
    UnknownPod { namespace: String, pod: String },
    #[error("pod {namespace}/{pod} does not run as service account {service_account}")]
    OtherServiceAccount { namespace: String, pod: String, service_account: String },
    #[error("the cluster's state has not been read yet")]
    NotSynced,
    #[error("{of} has {limit} workloads that are told something else each, which is all it may have (limit {name})")]
    TooManyWorkloads { of: String, limit: usize, name: &'static str },
    #[error("service account {account} has new workloads too often (limit new-scopes-per-minute)")]
    TooManyNew { account: String },
}

impl State {
    pub(crate) fn new(home: Home) -> Self {
        let new_scopes = {
            let burst = u32::try_from(home.bounds.scopes_per_account).unwrap_or(u32::MAX);
            RateLimit::with_burst(home.bounds.new_scopes_per_minute, burst)
        };
        Self {
            world: World::bounded(home.limits.clone()),
            home,
            workloads: Arc::default(),
            objects: Objects::default(),
            scopes: BTreeMap::new(),
            synced: false,
            known_secrets: BTreeSet::new(),
            wanted_secrets: BTreeSet::new(),
            next_member: 0,
            new_scopes,
            failed: BTreeSet::new(),
            dirty: BTreeSet::new(),
            lazily_dirty: BTreeSet::new(),
            all_dirty: false,
            counts_dirty: false,
        }
    }

    /// Takes in what happened in the cluster, and publishes what it means.
    pub(crate) fn batch(&mut self, batch: KubeBatch, now: Instant) -> Outcome {
        let KubeBatch { events, answered, noticed, synced } = batch;
        let mut changes = Vec::with_capacity(events.len());
        let mut touched = BTreeSet::new();
        for event in events {
            self.note_pod(&event);
            let taken = self.objects.take(event);
            if taken.has_status {
                touched.insert(taken.key.clone());
            } else if has_status(taken.key.kind) {
                self.dirty.remove(&taken.key);
                self.lazily_dirty.remove(&taken.key);
                self.scopes.values_mut().for_each(|serving| serving.forget(&taken.key));
            }
            self.failed.remove(&taken.key);
            changes.extend(taken.change);
        }
        self.known_secrets.extend(answered);
        if synced && !self.synced {
            self.workloads.synced();
        }
        self.synced |= synced;
        self.dirty.extend(touched.iter().cloned());
        let mut outcome = Outcome { objects: changes.len(), ..Outcome::default() };
        if !self.synced {
            self.world = self.world.apply(changes).0;
            return outcome;
        }
        // The clock is the caller's; how long translating took is only told.
        let started = Instant::now();
        self.scopes.retain(|_, serving| !serving.is_over(now));
        self.step(changes, &touched, noticed, now, &mut outcome);
        outcome.translated = started.elapsed();
        self.publish(now);
        outcome
    }

    /// Keeps account of which pods run as whom.
    fn note_pod(&self, event: &ObjectEvent) {
        match event {
            ObjectEvent::Applied { object, revision } => {
                if let crds::Body::Pod(pod) = &object.body {
                    let account = pod.service_account.as_deref().unwrap_or("default");
                    self.workloads.pod(&object.meta.namespace, &object.meta.name, &revision.uid, account);
                }
            }
            ObjectEvent::Deleted { key } if key.kind == ObjectKind::Pod => {
                self.workloads.pod_gone(&key.namespace, &key.name);
            }
            // A pod that cannot be read is still the one before.
            ObjectEvent::Deleted { .. } | ObjectEvent::Unreadable { .. } => {}
        }
    }

    /// When something that is held back must be published; see [`State::publish`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.scopes.values().filter_map(Serving::deadline).min()
    }

    pub(crate) fn publish(&mut self, now: Instant) {
        for serving in self.scopes.values_mut() {
            let about = serving.publish(now);
            self.dirty.extend(about.into_iter().filter(|key| has_status(key.kind)));
        }
    }

    /// The secrets that accepted Gateways of connected proxies name.
    pub(crate) fn wanted_secrets(&mut self) -> Option<BTreeSet<SecretRef>> {
        let wanted: BTreeSet<SecretRef> =
            self.scopes.values().flat_map(|serving| serving.secrets.iter().cloned()).collect();
        // What is not followed any more is not known any more.
        self.known_secrets.retain(|secret| wanted.contains(secret));
        if wanted == self.wanted_secrets {
            return None;
        }
        self.wanted_secrets.clone_from(&wanted);
        Some(wanted)
    }

    /// What a proxy is to be told, by the pod it runs in.
    pub(crate) fn scope_of(&self, proxy: &ProxyInfo) -> Result<ProxyScope, JoinError> {
        let ProxyInfo { namespace, pod, service_account, .. } = proxy;
        if !self.synced {
            return Err(JoinError::NotSynced);
        }
        let key = ObjectKey::new(ObjectKind::Pod, namespace, pod);
        let unknown = || JoinError::UnknownPod { namespace: namespace.clone(), pod: pod.clone() };
        let object = self.world.get(&key).ok_or_else(unknown)?;
        let crds::Body::Pod(body) = &object.body else { return Err(unknown()) };
        if body.service_account.as_deref().unwrap_or("default") != service_account {
            return Err(JoinError::OtherServiceAccount {
                namespace: namespace.clone(),
                pod: pod.clone(),
                service_account: service_account.clone(),
            });
        }
        pod::scope(object, &self.home).ok_or_else(unknown)
    }

    /// Enters a proxy. One that is there already under the same name is ended: a proxy has one stream (CP-4).
    pub(crate) fn join(&mut self, info: ProxyInfo, now: Instant, clock: SystemTime) -> Result<Arc<Member>, JoinError> {
        let proxy = self.scope_of(&info)?;
        let same = |member: &&Arc<Member>| member.info.namespace == info.namespace && member.info.pod == info.pod;
        for old in self.scopes.values().flat_map(|serving| serving.members.values()).filter(same) {
            info!(proxy = %info.name(), "a new stream of the proxy takes the place of the one before");
            old.end(Ended::Replaced);
        }
        let name = ScopeName::from(&proxy);
        self.open(proxy, Some(&info.service_account), now)?;
        self.next_member += 1;
        let id = self.next_member;
        let serving = self.scopes.get_mut(&name).expect("it was put there just now");
        let member = Member::new(id, info, Arc::clone(&serving.scope), clock);
        serving.enter(Arc::clone(&member), now);
        Ok(member)
    }

    /// Which proxies other replicas serve.
    pub(crate) fn shadow(&mut self, proxies: Vec<ProxyScope>, now: Instant) {
        if !self.synced {
            return;
        }
        let names: BTreeSet<ScopeName> = proxies.iter().map(ScopeName::from).collect();
        for proxy in proxies {
            // Where there is no room, the other replica serves on; only what is told of it is missing here.
            if let Err(full) = self.open(proxy, None, now) {
                warn!(reason = %full, "what another replica serves is not looked at here");
                break;
            }
        }
        for (name, serving) in &mut self.scopes {
            let shadow = names.contains(name);
            self.all_dirty |= std::mem::replace(&mut serving.shadow, shadow) != shadow;
        }
    }

    /// What is told here to anybody.
    pub(crate) fn served(&self) -> Vec<ProxyScope> {
        let served = self.scopes.values().filter(|serving| !serving.members.is_empty());
        served.map(|serving| serving.scope.proxy().clone()).collect()
    }

    /// Begins to translate for such proxies, if nobody did and there is room. `account` is of the proxy that needs it.
    fn open(&mut self, proxy: ProxyScope, account: Option<&str>, now: Instant) -> Result<(), JoinError> {
        let name = ScopeName::from(&proxy);
        if self.scopes.contains_key(&name) {
            return Ok(());
        }
        self.make_room(&name, account)?;
        if let Some(account) = account {
            let account = format!("{}/{account}", name.namespace);
            if !self.new_scopes.take(account.clone(), now) {
                return Err(JoinError::TooManyNew { account });
            }
        }
        let mut serving = Serving::new(proxy);
        serving.account = account.map(str::to_owned);
        match guarded(&mut serving.translator, &self.world, &Changes::default()) {
            Ok(update) => serving.take(update, &BTreeSet::new(), now),
            Err(Panicked) => {
                let workload = &serving.scope.proxy().name;
                error!(workload, "translating for the proxy failed, which is a bug in Sluice");
            }
        }
        if !serving.translator.serves_other_namespaces() {
            let (namespace, workload) = (&name.namespace, &serving.scope.proxy().name);
            info!(%namespace, workload, "MeshConfig's gatewayNamespaces does not list the namespace of this proxy: it is told the Gateways of its own namespace only");
        }
        serving.follow_secrets(&self.known_secrets, now + SECRET_WAIT);
        serving.publish(now);
        self.scopes.insert(name, serving);
        Ok(())
    }

    /// Each scope is a translation of everything. One that serves nobody goes for one that is needed, the one that was
    /// used longest ago first; those that serve a proxy stay.
    fn make_room(&mut self, name: &ScopeName, account: Option<&str>) -> Result<(), JoinError> {
        let ControllerLimits { scopes, scopes_per_namespace, scopes_per_account, .. } = self.home.bounds;
        let namespace = &name.namespace;
        if let Some(account) = account {
            let of_account = |one: &ScopeName, serving: &Serving| {
                one.namespace == *namespace && serving.account.as_deref() == Some(account)
            };
            if !free(&mut self.scopes, scopes_per_account, of_account) {
                let of = format!("service account {namespace}/{account}");
                return Err(JoinError::TooManyWorkloads { of, limit: scopes_per_account, name: "scopes-per-account" });
            }
        }
        if !free(&mut self.scopes, scopes_per_namespace, |one, _| one.namespace == *namespace) {
            let of = format!("namespace {namespace}");
            return Err(JoinError::TooManyWorkloads { of, limit: scopes_per_namespace, name: "scopes-per-namespace" });
        }
        if !free(&mut self.scopes, scopes, |_, _| true) {
            let of = "the controller".to_owned();
            return Err(JoinError::TooManyWorkloads { of, limit: scopes, name: "scopes" });
        }
        Ok(())
    }

    /// Removes a proxy. What it was told stays translated for the next of its kind, until nothing like it can come: a
    /// restart of the only gateway must not cost a translation.
    pub(crate) fn leave(&mut self, member: &Member) {
        let name = ScopeName::from(member.scope.proxy());
        let Some(serving) = self.scopes.get_mut(&name) else { return };
        let (counted, done) = serving.leave(member.id);
        self.dirty.extend(done);
        self.counts_dirty |= counted;
        self.forget_idle(&member.info);
    }

    /// Of the workloads of an account that nothing is connected for, few are kept: a pod can be another one each time it
    /// comes.
    fn forget_idle(&mut self, proxy: &ProxyInfo) {
        let ProxyInfo { namespace, service_account, .. } = proxy;
        let idle = self.scopes.iter().filter(|(name, serving)| {
            let of_account = serving.account.as_deref() == Some(service_account);
            name.namespace == *namespace && of_account && !serving.concerns_anybody()
        });
        let mut idle: Vec<_> = idle.map(|(name, serving)| (serving.alone_since(), name.clone())).collect();
        let surplus = idle.len().saturating_sub(self.home.bounds.idle_scopes_per_account);
        idle.sort();
        for (_, name) in idle.into_iter().take(surplus) {
            self.scopes.remove(&name);
        }
    }

    /// Takes a proxy's answer. Tells how long each step took that it has now.
    pub(crate) fn answered(
        &mut self,
        member: &Member,
        answer: &Answer,
        now: Instant,
        clock: SystemTime,
    ) -> Vec<Duration> {
        let had_refused = !member.refused().is_empty();
        let before = member.note_acked(answer, clock);
        for (key, refused) in answer.refused.iter().take(LOGGED_REFUSALS) {
            warn!(proxy = %member.info.name(), resource = %key, reason = refused.reason, "the proxy could not use a resource; its version before stays in force there");
        }
        if answer.refused.len() > LOGGED_REFUSALS {
            warn!(proxy = %member.info.name(), refused = answer.refused.len(), "the proxy could not use further resources of the same push");
        }
        // Refusals concern few objects, but finding out which costs more than looking at all.
        self.all_dirty |= had_refused || !answer.refused.is_empty();
        let name = ScopeName::from(member.scope.proxy());
        let Some(serving) = self.scopes.get_mut(&name) else { return Vec::new() };
        let (first, finished) = serving.answered(before, answer.cursor, now);
        self.counts_dirty |= first;
        self.dirty.extend(finished.done.into_iter().filter(|key| has_status(key.kind)));
        self.lazily_dirty.extend(finished.advanced.into_iter().filter(|key| has_status(key.kind)));
        finished.waits
    }

    /// Takes the list of objects whose status may differ from what was last asked.
    pub(crate) fn take_dirty(&mut self) -> Dirty {
        if !self.synced {
            return Dirty::default();
        }
        let all = std::mem::take(&mut self.all_dirty);
        let counts = std::mem::take(&mut self.counts_dirty);
        let mut dirty = Dirty { urgent: std::mem::take(&mut self.dirty), lazy: std::mem::take(&mut self.lazily_dirty) };
        if all {
            dirty.urgent.extend(self.objects.keys().cloned());
        } else if counts {
            dirty.lazy.extend(self.objects.keys().cloned());
        }
        dirty
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.synced && (self.all_dirty || self.counts_dirty || !self.dirty.is_empty() || !self.lazily_dirty.is_empty())
    }

    /// Somebody wants to know everything anew.
    pub(crate) fn mark_all_dirty(&mut self) {
        self.all_dirty = true;
    }

    /// Translates changes for every scope; `touched` are objects that were looked at anew even if nothing follows.
    fn step(
        &mut self,
        changes: Vec<Change>,
        touched: &BTreeSet<ObjectKey>,
        noticed: Instant,
        now: Instant,
        outcome: &mut Outcome,
    ) {
        let singly = changes.clone();
        let (next, diff) = self.world.apply(changes);
        let mut about: BTreeSet<ObjectKey> = touched.clone();
        // What is gone has no status, and must leave nothing behind.
        about.extend(diff.objects().filter(|key| self.objects.get(key).is_some()).cloned());
        let moved: Vec<ObjectKey> = diff.objects().filter(|key| key.kind == ObjectKind::Pod).cloned().collect();
        let mut poisoned = Vec::new();
        for (name, serving) in &mut self.scopes {
            match guarded(&mut serving.translator, &next, &diff) {
                Ok(update) => {
                    outcome.units_run += update.units_run;
                    self.dirty.extend(update.reported.iter().filter(|key| has_status(key.kind)).cloned());
                    serving.take(update, &about, noticed);
                }
                Err(Panicked) => poisoned.push(name.clone()),
            }
        }
        if poisoned.is_empty() {
            self.world = next;
        } else {
            self.step_around(next, singly, &poisoned, &about, noticed);
        }
        for serving in self.scopes.values_mut() {
            serving.follow_secrets(&self.known_secrets, now + SECRET_WAIT);
        }
        self.end_moved(&moved);
    }

    /// A change made translating fail, by a mistake of ours: finds it, leaves it out, and brings every scope to the
    /// state without it.
    fn step_around(
        &mut self,
        next: World,
        singly: Vec<Change>,
        poisoned: &[ScopeName],
        about: &BTreeSet<ObjectKey>,
        noticed: Instant,
    ) {
        let mut good = self.world.clone();
        let mut revert = Vec::new();
        for change in singly {
            let key = match &change {
                Change::Upsert(object) => object.key(),
                Change::Remove(key) => key.clone(),
            };
            let (candidate, _) = good.apply(vec![change]);
            let fails = |name: &ScopeName| {
                let proxy = self.scopes.get(name).map(|serving| serving.scope.proxy().clone());
                let mut probe = Translator::new(proxy.unwrap_or_default());
                guarded(&mut probe, &candidate, &Changes::default()).is_err()
            };
            if poisoned.iter().any(fails) {
                error!(object = %key, "translating the object failed, which is a bug in Sluice; its version before stays in force");
                revert.push(match good.get(&key) {
                    Some(object) => Change::Upsert(Arc::clone(object)),
                    None => Change::Remove(key.clone()),
                });
                self.failed.insert(key);
            } else {
                good = candidate;
            }
        }
        let (world, diff) = next.apply(revert);
        for (name, serving) in &mut self.scopes {
            let update = if poisoned.contains(name) {
                serving.reset();
                guarded(&mut serving.translator, &world, &Changes::default()).inspect(|all| serving.retain_only(all))
            } else {
                guarded(&mut serving.translator, &world, &diff)
            };
            match update {
                Ok(update) => serving.take(update, about, noticed),
                Err(Panicked) => {
                    error!(proxy = %serving.scope.proxy().name, "translating failed without the change, too; the proxies stay as they are")
                }
            }
        }
        self.world = world;
    }

    /// Ends the streams of proxies whose pods are something else now.
    fn end_moved(&self, pods: &[ObjectKey]) {
        for key in pods {
            let Some(object) = self.world.get(key) else { continue };
            let Some(now) = pod::scope(object, &self.home).map(|proxy| ScopeName::from(&proxy)) else { continue };
            for (_, serving) in self.scopes.iter().filter(|(name, _)| **name != now) {
                let here = serving.members.values();
                for member in here.filter(|one| one.info.namespace == key.namespace && one.info.pod == key.name) {
                    member.end(Ended::Moved);
                }
            }
        }
    }

    /// What is to be said about an object; `None` once it is gone.
    pub(crate) fn status_of(&self, key: &ObjectKey) -> Option<ObjectStatus> {
        super::status::of(self, key)
    }

    pub(crate) fn has_failed(&self, key: &ObjectKey) -> bool {
        self.failed.contains(key)
    }
}

/// Whether there are fewer than `limit` of such scopes, after one without proxies has gone if need be.
fn free(scopes: &mut BTreeMap<ScopeName, Serving>, limit: usize, of: impl Fn(&ScopeName, &Serving) -> bool) -> bool {
    let count = scopes.iter().filter(|(name, serving)| of(name, serving)).count();
    if count < limit {
        return true;
    }
    let alone = scopes.iter().filter(|(name, serving)| of(name, serving) && !serving.concerns_anybody());
    let oldest = alone.min_by_key(|(_, serving)| serving.alone_since()).map(|(name, _)| name.clone());
    oldest.is_some_and(|name| scopes.remove(&name).is_some())
}

/// A translation panicked.
#[derive(Debug)]
struct Panicked;

fn guarded(translator: &mut Translator, world: &World, changes: &Changes) -> Result<Update, Panicked> {
    catch_unwind(AssertUnwindSafe(|| translator.update(world, changes))).map_err(|_| Panicked)
}
