//! The objects there are: immutable, indexed, cheap to copy. Knows nothing of where they come from, and does not
//! interpret them beyond what the indexes need.

mod lookup;
mod shards;
mod view;

use std::collections::BTreeSet;
use std::sync::Arc;

use crds::{Object, ObjectKey, ObjectKind};

pub(crate) use lookup::{GatewayName, Lookup, MESH, Mark, lookups, selects};
pub(crate) use view::{Edge, ServersByGateway, Typed, View};

use shards::Shards;

use crate::limits::TranslationLimits;

/// A snapshot of all objects.
#[derive(Clone, Debug, Default)]
pub struct World {
    limits: Arc<TranslationLimits>,
    objects: Shards<ObjectKey, Arc<Object>>,
    index: Shards<Lookup, Arc<BTreeSet<Arc<ObjectKey>>>>,
}

/// One step from a world to the next.
#[derive(Clone, Debug)]
pub enum Change {
    /// Puts an object in place of the one of its name, if there is one.
    Upsert(Arc<Object>),
    Remove(ObjectKey),
}

/// What differs between two worlds, in the terms in which translations ask.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub(crate) touched: BTreeSet<Lookup>,
    pub(crate) objects: BTreeSet<ObjectKey>,
}

impl Changes {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The objects that came, went or became different.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectKey> {
        self.objects.iter()
    }

    /// Adds the changes of a later step, for callers that take several steps before they translate.
    pub fn merge(&mut self, later: Self) {
        let Self { touched, objects } = later;
        self.touched.extend(touched);
        self.objects.extend(objects);
    }
}

impl World {
    /// A world without objects, translated within these bounds.
    #[must_use]
    pub fn bounded(limits: TranslationLimits) -> Self {
        Self { limits: Arc::new(limits), ..Self::default() }
    }

    /// The bounds of translation.
    #[must_use]
    pub fn limits(&self) -> &TranslationLimits {
        &self.limits
    }

    /// The world after these changes. Objects that equal the ones in place do not count as changed.
    #[must_use]
    pub fn apply(&self, changes: Vec<Change>) -> (Self, Changes) {
        let mut next = self.clone();
        let mut done = Changes::default();
        for change in changes {
            match change {
                Change::Upsert(object) => next.put(object, &mut done),
                Change::Remove(key) => next.take(&key, &mut done),
            }
        }
        (next, done)
    }

    /// An object by name.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Arc<Object>> {
        self.objects.get(key)
    }

    /// Every object, in no meaningful order.
    pub fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.iter().map(|(_, object)| object)
    }

    pub(crate) fn keys_of(&self, kind: ObjectKind) -> impl Iterator<Item = &ObjectKey> {
        self.objects.iter().map(|(key, _)| key).filter(move |key| key.kind == kind)
    }

    /// Whether any object has a part in the answer.
    pub(crate) fn has(&self, lookup: &Lookup) -> bool {
        self.found(lookup).is_some()
    }

    fn found(&self, lookup: &Lookup) -> Option<&BTreeSet<Arc<ObjectKey>>> {
        self.index.get(lookup).map(|keys| &**keys)
    }

    fn put(&mut self, object: Arc<Object>, done: &mut Changes) {
        let key = object.key();
        let before = self.objects.get(&key).cloned();
        if before.as_ref().is_some_and(|before| *before == object) {
            return;
        }
        let old = before.as_deref().map(lookup::lookups).unwrap_or_default();
        let new = lookup::lookups(&object);
        let shared = Arc::new(key.clone());
        for lookup in old.iter().filter(|lookup| !new.contains(lookup)) {
            self.unlist(lookup, &shared);
        }
        for lookup in new.iter().filter(|lookup| !old.contains(lookup)) {
            self.list(lookup, &shared);
        }
        let unaffected = before.as_deref().and_then(|before| lookup::unaffected(before, &object));
        done.touched.extend(old.into_iter().chain(new).filter(|lookup| Some(lookup) != unaffected.as_ref()));
        done.touched.insert(Lookup::Object(key.clone()));
        self.objects.insert(key.clone(), object);
        done.objects.insert(key);
    }

    fn take(&mut self, key: &ObjectKey, done: &mut Changes) {
        let Some(before) = self.objects.remove(key) else { return };
        let shared = Arc::new(key.clone());
        for lookup in lookup::lookups(&before) {
            self.unlist(&lookup, &shared);
            done.touched.insert(lookup);
        }
        done.touched.insert(Lookup::Object(key.clone()));
        done.objects.insert(key.clone());
    }

    fn list(&mut self, lookup: &Lookup, key: &Arc<ObjectKey>) {
        // Taken out first: a set that nobody else holds is not copied.
        let mut keys = self.index.remove(lookup).unwrap_or_default();
        Arc::make_mut(&mut keys).insert(Arc::clone(key));
        self.index.insert(lookup.clone(), keys);
    }

    fn unlist(&mut self, lookup: &Lookup, key: &Arc<ObjectKey>) {
        let Some(mut keys) = self.index.remove(lookup) else { return };
        Arc::make_mut(&mut keys).remove(key);
        if !keys.is_empty() {
            self.index.insert(lookup.clone(), keys);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::{Body, Meta, ServiceEntry};

    fn entry(name: &str, hosts: &[&str]) -> Change {
        let spec = ServiceEntry { hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), ..Default::default() };
        let meta = Meta { name: name.to_owned(), namespace: "shop".to_owned(), ..Meta::default() };
        Change::Upsert(Arc::new(Object { meta, body: Body::ServiceEntry(Box::new(spec)) }))
    }

    #[test]
    fn indexes_follow_the_objects() {
        let (world, _) = World::default().apply(vec![entry("a", &["x.test", "y.test"]), entry("b", &["y.test"])]);
        let (next, changes) = world.apply(vec![entry("a", &["y.test", "z.test"])]);
        let count =
            |world: &World, host: &str| world.found(&Lookup::EntriesOf(host.to_owned())).map_or(0, BTreeSet::len);
        assert_eq!([count(&world, "x.test"), count(&world, "y.test"), count(&world, "z.test")], [1, 2, 0]);
        assert_eq!([count(&next, "x.test"), count(&next, "y.test"), count(&next, "z.test")], [0, 2, 1]);
        for host in ["x.test", "y.test", "z.test"] {
            assert!(changes.touched.contains(&Lookup::EntriesOf(host.to_owned())), "{host}");
        }
        let (gone, _) = next.apply(vec![Change::Remove(ObjectKey::new(ObjectKind::ServiceEntry, "shop", "a"))]);
        assert_eq!([count(&gone, "y.test"), count(&gone, "z.test")], [1, 0]);
    }

    #[test]
    fn saving_the_same_again_changes_nothing() {
        let (world, _) = World::default().apply(vec![entry("a", &["x.test"])]);
        let (_, changes) = world.apply(vec![entry("a", &["x.test"])]);
        assert!(changes.is_empty() && changes.touched.is_empty());
    }
}
