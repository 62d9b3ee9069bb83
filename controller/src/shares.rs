//! Places that several parties share: so many in all, so many for each, and some that are kept for parties that were
//! there before, so that newcomers, however many, cannot take everything. Reads no clock.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many places there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    pub(crate) all: usize,
    pub(crate) each: usize,
    /// Of all, those that only known parties may take.
    pub(crate) reserve: usize,
}

/// Places and the parties that have them.
pub(crate) struct Shares<K> {
    places: Places,
    taken: Mutex<Taken<K>>,
}

struct Taken<K> {
    all: usize,
    each: HashMap<K, usize>,
}

/// A place; given back when it is dropped.
pub(crate) struct Share<K: Eq + Hash> {
    shares: Arc<Shares<K>>,
    owner: K,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The party has all that one party may have.
    Own,
    /// All together have what there is.
    All,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    pub(crate) fn new(places: Places) -> Arc<Self> {
        Arc::new(Self { places, taken: Mutex::new(Taken { all: 0, each: HashMap::new() }) })
    }

    /// A place for a party, which is known or a newcomer.
    pub(crate) fn take(self: &Arc<Self>, owner: K, known: bool) -> Result<Share<K>, Full> {
        let Places { all, each, reserve } = self.places;
        let room = if known { all } else { all.saturating_sub(reserve) };
        let mut taken = self.taken();
        let own = taken.each.get(&owner).copied().unwrap_or_default();
        if own >= each {
            return Err(Full::Own);
        }
        if taken.all >= room {
            return Err(Full::All);
        }
        taken.all += 1;
        taken.each.insert(owner.clone(), own + 1);
        Ok(Share { shares: Arc::clone(self), owner })
    }

    /// How many places are taken.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.taken().all
    }
}

impl<K> Shares<K> {
    fn taken(&self) -> MutexGuard<'_, Taken<K>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        taken.all = taken.all.saturating_sub(1);
        if let Some(own) = taken.each.get_mut(&self.owner) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.each.remove(&self.owner);
            }
        }
    }
}

impl<K> fmt::Debug for Shares<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shares").field("places", &self.places).field("taken", &self.taken().all).finish()
    }
}

/// Parties that have shown before that they belong here. A bounded number of them; the one that was longest away is
/// forgotten first.
#[derive(Debug)]
pub(crate) struct Known<K> {
    most: usize,
    seen: HashMap<K, Instant>,
}

/// For how long a party counts as known.
const LASTS: Duration = Duration::from_secs(60 * 60);

impl<K: Eq + Hash + Clone> Known<K> {
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.max(1), seen: HashMap::new() }
    }

    /// A party has shown that it belongs here.
    pub(crate) fn note(&mut self, party: K, now: Instant) {
        if self.seen.len() >= self.most && !self.seen.contains_key(&party) {
            let longest = self.seen.iter().min_by_key(|(_, at)| **at).map(|(party, _)| party.clone());
            longest.and_then(|party| self.seen.remove(&party));
        }
        self.seen.insert(party, now);
    }

    pub(crate) fn contains(&self, party: &K, now: Instant) -> bool {
        self.seen.get(party).is_some_and(|at| now.saturating_duration_since(*at) < LASTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_party_cannot_take_everything_nor_newcomers_the_reserve() {
        let shares = Shares::new(Places { all: 4, each: 2, reserve: 1 });
        let _a = (shares.take("a", false).ok().unwrap(), shares.take("a", true).ok().unwrap());
        assert_eq!(shares.take("a", true).err(), Some(Full::Own));
        let b = shares.take("b", false).ok().unwrap();
        assert_eq!(shares.take("c", false).err(), Some(Full::All));
        let _known = shares.take("c", true).ok().unwrap();
        assert_eq!(shares.take("d", true).err(), Some(Full::All));
        drop(b);
        assert_eq!(shares.len(), 3);
        assert!(shares.take("d", true).is_ok());
        assert_eq!(shares.taken().each.len(), 2, "parties without a place are forgotten");
    }

    #[test]
    fn the_known_are_bounded_and_forgotten_in_time() {
        let start = Instant::now();
        let mut known = Known::new(2);
        for (index, party) in ["a", "b", "c"].into_iter().enumerate() {
            known.note(party, start + Duration::from_secs(index as u64));
        }
        assert!(!known.contains(&"a", start) && known.contains(&"b", start) && known.contains(&"c", start));
        assert!(!known.contains(&"c", start + LASTS + Duration::from_secs(2)));
    }
}
