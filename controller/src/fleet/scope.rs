//! Proxies that are told the same, as their connections see it: a log to read from and a bell that rings when it has
//! grown.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ir::{Delta, Encoded, Key, Kind};
use tokio::sync::watch;
use translate::ProxyScope;
use wire::digest::Digest;

use super::log::{Cursor, Log, Position, Slice};

/// What all proxies of one workload are told.
#[derive(Debug)]
pub struct Scope {
    proxy: ProxyScope,
    log: Mutex<Log>,
    /// The log's head; `None` until there is anything to tell: an empty state must not be taken for a state.
    head: watch::Sender<Option<Cursor>>,
}

/// A difference, and where it leads.
#[derive(Debug)]
pub struct Pull {
    pub delta: Delta,
    pub cursor: Cursor,
}

impl Scope {
    pub(crate) fn new(proxy: ProxyScope) -> Arc<Self> {
        Arc::new(Self { proxy, log: Mutex::default(), head: watch::Sender::new(None) })
    }

    #[must_use]
    pub fn proxy(&self) -> &ProxyScope {
        &self.proxy
    }

    /// Follows the head of the log.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<Option<Cursor>> {
        self.head.subscribe()
    }

    /// A part of what changed after a place, of what is wanted: about so many bytes, but at least one resource. The second
    /// value is the head at this moment: where the part leads to if it is the last one.
    #[must_use]
    pub fn slice(&self, from: &Position, bytes: usize, wanted: impl Fn(&Key) -> bool) -> (Slice, Cursor) {
        let log = self.log();
        (log.slice(from, bytes, wanted), log.head())
    }

    /// What changed after a point, of what is wanted, all at once.
    #[must_use]
    pub fn since(&self, cursor: Cursor, wanted: impl Fn(&Key) -> bool) -> Pull {
        let log = self.log();
        Pull { delta: log.since(cursor, wanted), cursor: log.head() }
    }

    /// What someone lacks who has these versions from an earlier connection, of what is wanted.
    #[must_use]
    pub fn beyond(&self, known: &HashMap<Key, Arc<str>>, wanted: impl Fn(&Key) -> bool) -> Pull {
        let log = self.log();
        Pull { delta: log.beyond(known, wanted), cursor: log.head() }
    }

    /// In which buckets of these kinds there is something else here, of what is wanted of them; and the head at this moment.
    /// `names` tells what is wanted of a kind, `None` for everything.
    #[must_use]
    pub fn differing<'a>(
        &self,
        digests: &BTreeMap<Kind, Digest>,
        names: impl Fn(Kind) -> Option<&'a BTreeSet<Arc<str>>>,
    ) -> (Vec<(Kind, Vec<u8>)>, Cursor) {
        let log = self.log();
        let of_names = |kind: Kind, names: &BTreeSet<Arc<str>>| {
            let mut digest = Digest::default();
            for name in names {
                let key = Key { kind, name: Arc::clone(name) };
                if let Some(version) = log.version(&key) {
                    digest.add(&key, version);
                }
            }
            digest
        };
        let differing = digests.iter().map(|(kind, digest)| {
            let buckets = match (names(*kind), log.digest(*kind)) {
                (Some(names), _) => digest.differing(&of_names(*kind, names)),
                (None, Some(own)) => digest.differing(own),
                (None, None) => digest.differing(&Digest::default()),
            };
            (*kind, buckets)
        });
        (differing.collect(), log.head())
    }

    /// One resource as it is now.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Encoded> {
        self.log().get(key).cloned()
    }

    /// Names and versions of everything.
    #[must_use]
    pub fn versions(&self) -> Vec<(Key, Arc<str>)> {
        let log = self.log();
        log.keys().filter_map(|key| Some((key.clone(), Arc::clone(log.version(key)?)))).collect()
    }

    /// How many resources there are, and how many bytes they have.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        self.log().size()
    }

    /// Enters a change and rings the bell. Tells the new point if there is one.
    pub(crate) fn publish(&self, delta: Delta) -> Option<Cursor> {
        let (entered, head) = {
            let mut log = self.log();
            (log.enter(delta), log.head())
        };
        self.head.send_if_modified(|seen| {
            let differs = *seen != Some(head);
            *seen = Some(head);
            differs
        });
        entered
    }

    pub(crate) fn published(&self) -> Option<Cursor> {
        *self.head.borrow()
    }

    pub(crate) fn forget_gone(&self, before: Cursor) {
        self.log().forget_gone(before);
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        // Nothing in there can be left half done by a panic that matters more than serving on.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
