//! A map that is cheap to copy: copies share every shard that was not written to since.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// With 10,000 keys a write copies some forty of them.
const SHARDS: usize = 256;

#[derive(Debug)]
pub(crate) struct Shards<K, V> {
    shards: Arc<Vec<Arc<BTreeMap<K, V>>>>,
}

impl<K, V> Clone for Shards<K, V> {
    fn clone(&self) -> Self {
        Self { shards: Arc::clone(&self.shards) }
    }
}

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        let empty = Arc::new(BTreeMap::new());
        Self { shards: Arc::new(vec![empty; SHARDS]) }
    }
}

impl<K: Clone + Ord + Hash, V: Clone> Shards<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.shards[shard_of(key)].get(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.shard_mut(&key).insert(key, value)
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.get(key)?;
        self.shard_mut(key).remove(key)
    }

    /// All entries, in an order that depends on nothing but the keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    fn shard_mut(&mut self, key: &K) -> &mut BTreeMap<K, V> {
        let index = shard_of(key);
        Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[index])
    }
}

fn shard_of<K: Hash>(key: &K) -> usize {
    // This hasher has fixed keys.
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    usize::try_from(hasher.finish() % SHARDS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_do_not_see_later_writes() {
        let mut map = Shards::default();
        for number in 0..1000 {
            map.insert(number, number);
        }
        let before = map.clone();
        map.insert(7, 70);
        map.remove(&8);
        assert_eq!((before.get(&7), before.get(&8)), (Some(&7), Some(&8)));
        assert_eq!((map.get(&7), map.get(&8)), (Some(&70), None));
        assert_eq!(map.iter().count(), 999);
    }
}
