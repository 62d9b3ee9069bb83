//! One scope as the fleet sees it: its translation, what is not published yet, who is connected, and how far they are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::ObjectKey;
use ir::{Delta, Encoded, Key};
use translate::{ProxyScope, Translator, Update};

use super::log::Cursor;
use super::member::Member;
use super::scope::Scope;
use super::steps::{Finished, Steps, Waits};
use crate::source::kube::SecretRef;

/// How long what nobody is connected for stays translated.
const ALONE: Duration = Duration::from_secs(10 * 60);

/// A scope with its proxies.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) scope: Arc<Scope>,
    pub(crate) translator: Translator,
    pending: Pending,
    /// Secrets that are named but of which nothing is known yet. Publishing waits for them, for a while: telling a proxy
    /// that a certificate is gone because it has not been looked at would be an outage.
    awaited: BTreeSet<SecretRef>,
    awaited_until: Option<Instant>,
    pub(crate) secrets: BTreeSet<SecretRef>,
    pub(crate) members: BTreeMap<u64, Arc<Member>>,
    /// How many of them have answered at least once; before, a proxy serves something else and counts for nothing.
    pub(crate) counting: usize,
    /// Another replica serves such proxies, and this one tells what is wrong with objects for them.
    pub(crate) shadow: bool,
    /// Since when no proxy is connected, as far as it was looked at.
    alone_since: Option<Instant>,
    /// When the last proxy came; of scopes without proxies, the one used longest ago goes first.
    used_at: Option<Instant>,
    /// The service account that it was begun for; nothing for what other replicas serve.
    pub(crate) account: Option<String>,
    steps: Steps,
    marks: HashMap<ObjectKey, Mark>,
}

/// Where the latest version of an object came into the scope's history.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) at: Cursor,
    pub(crate) waits: Option<Arc<Waits>>,
}

/// Translated and not published.
#[derive(Debug, Default)]
struct Pending {
    changed: BTreeMap<Key, Encoded>,
    removed: BTreeSet<Key>,
    objects: BTreeSet<ObjectKey>,
    noticed: Option<Instant>,
}

impl Serving {
    pub(crate) fn new(proxy: ProxyScope) -> Self {
        Self {
            scope: Scope::new(proxy.clone()),
            translator: Translator::new(proxy),
            pending: Pending::default(),
            awaited: BTreeSet::new(),
            awaited_until: None,
            secrets: BTreeSet::new(),
            members: BTreeMap::new(),
            counting: 0,
            shadow: false,
            alone_since: None,
            used_at: None,
            account: None,
            steps: Steps::default(),
            marks: HashMap::new(),
        }
    }

    /// Whether there is a proxy of the kind, here or elsewhere.
    pub(crate) fn concerns_anybody(&self) -> bool {
        self.shadow || !self.members.is_empty()
    }

    /// Whether it is time to stop translating for nobody. A gateway that restarts finds everything as it was; one that is
    /// not coming back, because its workload is called or labelled otherwise now, must not cost for ever.
    pub(crate) fn is_over(&mut self, now: Instant) -> bool {
        if self.concerns_anybody() {
            self.alone_since = None;
            return false;
        }
        let since = *self.alone_since.get_or_insert(now);
        now.saturating_duration_since(since) >= ALONE
    }

    /// Since when no proxy is connected; `None` while one is.
    pub(crate) fn alone_since(&self) -> Option<Instant> {
        if self.concerns_anybody() { None } else { self.alone_since.or(self.used_at) }
    }

    /// Starts its translation anew, after a failure.
    pub(crate) fn reset(&mut self) {
        self.translator = Translator::new(self.scope.proxy().clone());
    }

    /// Takes in what a translation changed, for the objects that caused it.
    pub(crate) fn take(&mut self, update: Update, objects: &BTreeSet<ObjectKey>, noticed: Instant) {
        for encoded in update.encoded {
            self.pending.removed.remove(&encoded.key);
            self.pending.changed.insert(encoded.key.clone(), encoded);
        }
        for key in update.removed {
            self.pending.changed.remove(&key);
            self.pending.removed.insert(key);
        }
        self.pending.objects.extend(objects.iter().cloned());
        self.pending.noticed = Some(self.pending.noticed.map_or(noticed, |before| before.min(noticed)));
    }

    /// After a reset the whole state is in `update`: what is not in it any more is removed.
    pub(crate) fn retain_only(&mut self, update: &Update) {
        let now: BTreeSet<&Key> = update.encoded.iter().map(|one| &one.key).collect();
        for (key, _) in self.scope.versions() {
            if !now.contains(&key) {
                self.pending.removed.insert(key);
            }
        }
    }

    /// Looks which secrets are named now; new ones of which `known` says nothing are waited for.
    pub(crate) fn follow_secrets(&mut self, known: &BTreeSet<SecretRef>, until: Instant) {
        let wanted = self.translator.wanted_secrets();
        let secrets: BTreeSet<SecretRef> = wanted
            .map(|(namespace, name)| SecretRef { namespace: namespace.to_owned(), name: name.to_owned() })
            .collect();
        let awaited: BTreeSet<SecretRef> = secrets.difference(known).cloned().collect();
        if awaited.difference(&self.awaited).next().is_some() {
            self.awaited_until = Some(until);
        }
        self.awaited = awaited;
        self.secrets = secrets;
    }

    /// When what is held back is published even if secrets have not been heard of.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.is_held() { self.awaited_until } else { None }
    }

    fn is_held(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Publishes what there is, unless it must wait. Tells the objects it was about.
    pub(crate) fn publish(&mut self, now: Instant) -> BTreeSet<ObjectKey> {
        if self.is_held() && self.awaited_until.is_some_and(|until| now < until) {
            return BTreeSet::new();
        }
        self.awaited.clear();
        let Pending { changed, removed, objects, noticed } = std::mem::take(&mut self.pending);
        if self.scope.published().is_some() && noticed.is_none() {
            return objects;
        }
        let delta = Delta { changed: changed.into_values().collect(), removed: removed.into_iter().collect() };
        let first = self.scope.published().is_none();
        let entered = self.scope.publish(delta);
        let waits = match entered {
            // The first state answers nobody's change.
            Some(at) if !first => {
                let about = objects.iter().cloned().collect();
                Some(self.steps.begin(at, noticed.unwrap_or(now), about, self.counting))
            }
            Some(_) | None => None,
        };
        let head = self.scope.published().unwrap_or(0);
        for key in &objects {
            self.marks.insert(key.clone(), Mark { at: head, waits: waits.clone() });
        }
        if entered.is_some() {
            let least = self.members.values().map(|member| member.acked()).min().unwrap_or(head);
            self.scope.forget_gone(least);
        }
        objects
    }

    /// Where an object's latest version is in the history.
    pub(crate) fn mark(&self, key: &ObjectKey) -> Option<&Mark> {
        self.marks.get(key)
    }

    /// Whether an object's latest version is still to be published.
    pub(crate) fn is_pending(&self, key: &ObjectKey) -> bool {
        self.pending.objects.contains(key)
    }

    /// An object is gone.
    pub(crate) fn forget(&mut self, key: &ObjectKey) {
        self.marks.remove(key);
        self.pending.objects.remove(key);
    }

    /// A proxy answered. Tells whether it counts from now on, and what it finished.
    pub(crate) fn answered(&mut self, before: Cursor, cursor: Cursor, now: Instant) -> (bool, Finished) {
        let first = before == 0;
        if first {
            self.counting += 1;
            self.steps.joined(cursor);
            return (true, Finished::default());
        }
        (false, self.steps.answered(before, cursor, now))
    }

    /// A proxy comes.
    pub(crate) fn enter(&mut self, member: Arc<Member>, now: Instant) {
        self.used_at = Some(now);
        self.members.insert(member.id, member);
    }

    /// A proxy is gone. Tells whether it counted, and which changes everybody has because of that.
    pub(crate) fn leave(&mut self, id: u64) -> (bool, Vec<ObjectKey>) {
        let Some(member) = self.members.remove(&id) else { return (false, Vec::new()) };
        let acked = member.acked();
        if acked == 0 {
            return (false, Vec::new());
        }
        self.counting -= 1;
        (true, self.steps.left(acked))
    }
}
