//! What a scope is told, in the order in which it came about: any proxy can be brought from wherever it stands to the
//! present by one difference, however long it was silent, and nothing has to be remembered per proxy but a number.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use ir::{Delta, Encoded, Key, Kind};
use wire::digest::Digest;

/// A point in a scope's history. 0 is before everything.
pub type Cursor = u64;

/// A place within a scope's history, between two keys of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    at: Cursor,
    /// The last key of that point that lies before; `None` = all of its keys do.
    key: Option<Key>,
}

impl Position {
    /// After everything of a point.
    #[must_use]
    pub fn after(cursor: Cursor) -> Self {
        Self { at: cursor, key: None }
    }
}

/// A part of a difference. What lies beyond it may change before it is asked for: then it lies at the end, so that
/// whoever takes slices until there is no next one has the state of that moment, and never had to be given all at once.
#[derive(Debug, Default)]
pub struct Slice {
    pub delta: Delta,
    /// Where the next one begins; `None` = this one leads to the head.
    pub next: Option<Position>,
}

/// The present state, each part with the point at which it last changed.
#[derive(Debug, Default)]
pub(crate) struct Log {
    head: Cursor,
    entries: HashMap<Key, Entry>,
    /// Every key once, by the point of its last change.
    order: BTreeSet<(Cursor, Key)>,
    /// How many entries are there only to tell that something is gone.
    gone: usize,
    /// What there is of each kind, in short.
    digests: HashMap<Kind, Digest>,
}

#[derive(Debug)]
struct Entry {
    at: Cursor,
    /// `None` once removed.
    resource: Option<Encoded>,
}

impl Log {
    pub(crate) fn head(&self) -> Cursor {
        self.head
    }

    /// The version in force.
    pub(crate) fn version(&self, key: &Key) -> Option<&Arc<str>> {
        self.entries.get(key)?.resource.as_ref().map(|resource| &resource.version)
    }

    /// What there is of a kind, in short.
    pub(crate) fn digest(&self, kind: Kind) -> Option<&Digest> {
        self.digests.get(&kind)
    }

    /// How many resources there are, and how many bytes they have.
    pub(crate) fn size(&self) -> (usize, usize) {
        let bodies = self.entries.values().filter_map(|entry| entry.resource.as_ref()).map(|one| one.body.len());
        (self.entries.len() - self.gone, bodies.sum())
    }

    /// Enters a change; what is in place already does not count. Tells the new point if there is one.
    pub(crate) fn enter(&mut self, delta: Delta) -> Option<Cursor> {
        let Delta { changed, removed } = delta;
        let at = self.head + 1;
        let mut any = false;
        for resource in changed {
            if self.version(&resource.key) != Some(&resource.version) {
                any = true;
                self.put(resource.key.clone(), Entry { at, resource: Some(resource) });
            }
        }
        for key in removed {
            if self.version(&key).is_some() {
                any = true;
                self.put(key, Entry { at, resource: None });
            }
        }
        if any {
            self.head = at;
        }
        any.then_some(at)
    }

    /// What changed after a place, of what is wanted: about so many bytes of it, but at least one resource.
    pub(crate) fn slice(&self, from: &Position, bytes: usize, wanted: impl Fn(&Key) -> bool) -> Slice {
        let mut slice = Slice::default();
        let mut filled = 0;
        let begin = match &from.key {
            Some(key) => Bound::Excluded((from.at, key.clone())),
            // No key is less.
            None => Bound::Included((from.at.saturating_add(1), Key { kind: Kind::Settings, name: Arc::default() })),
        };
        for (at, key) in self.order.range((begin, Bound::Unbounded)).filter(|(_, key)| wanted(key)) {
            match self.entries.get(key).and_then(|entry| entry.resource.as_ref()) {
                Some(resource) => {
                    filled += size(resource);
                    slice.delta.changed.push(resource.clone());
                }
                None => {
                    filled += key.name.len() + OVERHEAD;
                    slice.delta.removed.push(key.clone());
                }
            }
            if filled >= bytes {
                slice.next = Some(Position { at: *at, key: Some(key.clone()) });
                break;
            }
        }
        slice
    }

    /// What changed after a point, of what is wanted.
    pub(crate) fn since(&self, cursor: Cursor, wanted: impl Fn(&Key) -> bool) -> Delta {
        self.slice(&Position::after(cursor), usize::MAX, wanted).delta
    }

    /// What someone lacks who has these versions, of what is wanted.
    pub(crate) fn beyond(&self, known: &HashMap<Key, Arc<str>>, wanted: impl Fn(&Key) -> bool) -> Delta {
        let current = self.entries.values().filter_map(|entry| entry.resource.as_ref());
        let differing = current.filter(|one| wanted(&one.key) && known.get(&one.key) != Some(&one.version));
        let changed = differing.cloned().collect();
        let removed = known.keys().filter(|key| self.version(key).is_none()).cloned().collect();
        Delta { changed, removed }
    }

    /// One resource.
    pub(crate) fn get(&self, key: &Key) -> Option<&Encoded> {
        self.entries.get(key)?.resource.as_ref()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.entries.iter().filter(|(_, entry)| entry.resource.is_some()).map(|(key, _)| key)
    }

    /// Forgets what is gone and known to be gone by everybody who stands at this point or after it.
    pub(crate) fn forget_gone(&mut self, before: Cursor) {
        // Worth a walk only when they have become many.
        if self.gone < 256 || self.gone * 4 < self.entries.len() {
            return;
        }
        let Self { entries, order, gone, .. } = self;
        entries.retain(|key, entry| {
            let keep = entry.resource.is_some() || entry.at > before;
            if !keep {
                order.remove(&(entry.at, key.clone()));
                *gone -= 1;
            }
            keep
        });
    }

    fn put(&mut self, key: Key, entry: Entry) {
        self.order.insert((entry.at, key.clone()));
        self.gone += usize::from(entry.resource.is_none());
        let digest = self.digests.entry(key.kind).or_default();
        if let Some(new) = &entry.resource {
            digest.add(&key, &new.version);
        }
        if let Some(old) = self.entries.insert(key.clone(), entry) {
            if let Some(old) = &old.resource {
                digest.remove(&key, &old.version);
            }
            self.order.remove(&(old.at, key));
            self.gone -= usize::from(old.resource.is_none());
        }
    }
}

/// What a resource takes in a message besides its name and body, about, bytes.
const OVERHEAD: usize = 64;

/// About how many bytes a resource takes in a message.
pub(crate) fn size(resource: &Encoded) -> usize {
    resource.body.len() + resource.key.name.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key { kind: Kind::Cluster, name: Arc::from(name) }
    }

    fn resource(name: &str, version: &str) -> Encoded {
        Encoded { key: key(name), version: Arc::from(version), body: Arc::from(version.as_bytes()) }
    }

    fn delta(changed: &[(&str, &str)], removed: &[&str]) -> Delta {
        Delta {
            changed: changed.iter().map(|(name, version)| resource(name, version)).collect(),
            removed: removed.iter().map(|name| key(name)).collect(),
        }
    }

    fn names(delta: &Delta) -> (Vec<String>, Vec<String>) {
        let mut changed: Vec<_> = delta.changed.iter().map(|one| format!("{}@{}", one.key.name, one.version)).collect();
        let mut removed: Vec<_> = delta.removed.iter().map(|key| key.name.to_string()).collect();
        changed.sort();
        removed.sort();
        (changed, removed)
    }

    #[test]
    fn everybody_is_brought_to_the_present_from_where_they_stand() {
        let mut log = Log::default();
        assert_eq!(log.enter(delta(&[("a", "1"), ("b", "1")], &[])), Some(1));
        assert_eq!(log.enter(delta(&[("a", "1")], &["c"])), None, "nothing new");
        assert_eq!(log.enter(delta(&[("a", "2")], &["b"])), Some(2));
        assert_eq!(log.enter(delta(&[("c", "1")], &[])), Some(3));
        let all = |_: &Key| true;
        assert_eq!(names(&log.since(0, all)), (vec!["a@2".into(), "c@1".into()], vec!["b".into()]));
        assert_eq!(names(&log.since(1, all)), (vec!["a@2".into(), "c@1".into()], vec!["b".into()]));
        assert_eq!(names(&log.since(2, all)), (vec!["c@1".into()], vec![]));
        assert_eq!(names(&log.since(3, all)), (vec![], vec![]));
        assert_eq!(names(&log.since(0, |key| &*key.name == "c")), (vec!["c@1".into()], vec![]));
        let known = [(key("a"), Arc::from("2")), (key("x"), Arc::from("1"))].into();
        assert_eq!(names(&log.beyond(&known, all)), (vec!["c@1".into()], vec!["x".into()]));
    }

    /// Whatever happens between two slices, all of them together are the state of the moment of the last one.
    #[test]
    fn slices_lead_to_the_present_while_it_moves() {
        let mut log = Log::default();
        let all: Vec<(String, &str)> = (0..40).map(|index| (format!("r{index:02}"), "1")).collect();
        log.enter(delta(&all.iter().map(|(name, version)| (name.as_str(), *version)).collect::<Vec<_>>(), &[]));
        let mut has = HashMap::new();
        let (mut next, mut slices) = (Some(Position::after(0)), 0);
        while let Some(position) = next {
            let slice = log.slice(&position, 5 * size(&resource("r00", "1")), |key| &*key.name != "r07");
            assert!(slice.delta.changed.len() + slice.delta.removed.len() <= 6);
            has.extend(slice.delta.changed.into_iter().map(|one| (one.key, one.version)));
            slice.delta.removed.iter().for_each(|key| drop(has.remove(key)));
            next = slice.next;
            slices += 1;
            match slices {
                // One that was told, one that was not; one of each is gone, and something is new.
                2 => drop(log.enter(delta(&[("r01", "2"), ("r30", "2"), ("new", "1")], &["r02", "r31"]))),
                4 => drop(log.enter(delta(&[("r01", "3"), ("r02", "9")], &["new"]))),
                _ => {}
            }
        }
        assert!(slices > 8, "{slices}");
        let now: HashMap<_, _> = log.keys().map(|key| (key.clone(), log.version(key).unwrap().clone())).collect();
        has.insert(key("r07"), Arc::from("1"));
        assert_eq!(has, now);
        let mut digest = Digest::default();
        now.iter().for_each(|(key, version)| digest.add(key, version));
        assert_eq!(log.digest(Kind::Cluster), Some(&digest));
        let one = log.slice(&Position::after(0), 0, |_| true);
        assert_eq!(one.delta.changed.len(), 1, "a resource that is too large goes alone");
    }

    #[test]
    fn what_is_gone_is_forgotten_once_everybody_knows() {
        let mut log = Log::default();
        for index in 0..1_000 {
            log.enter(delta(&[(&format!("r{index}"), "1")], &[]));
        }
        for index in 0..900 {
            log.enter(delta(&[], &[&format!("r{index}")]));
        }
        log.forget_gone(1_500);
        assert_eq!(log.since(1_500, |_| true).removed.len(), 400);
        assert_eq!(log.entries.len(), 500);
        assert_eq!(log.order.len(), 500);
        assert_eq!(log.size().0, 100);
    }
}
