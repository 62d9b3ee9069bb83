//! Turns for work that several parties want: so many at a time in all and for each, the rest waits in line for as long as
//! it can bear. Some turns are kept for parties that were there before.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::shares::Places;

/// Parties whose turns are counted before those without any are forgotten.
const PARTIES: usize = 1_000;

/// Turns and the parties that wait for them.
pub(crate) struct Turns<K> {
    each: usize,
    /// How many of one party may wait.
    waiting: usize,
    shared: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    parties: Mutex<HashMap<K, Arc<Party>>>,
}

struct Party {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A turn; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _own: OwnedSemaphorePermit,
    _shared: OwnedSemaphorePermit,
}

/// Counts one that waits, however its waiting ends.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<K: Eq + Hash> Turns<K> {
    pub(crate) fn new(places: Places, waiting: usize) -> Self {
        let Places { all, each, reserve } = places;
        let all = all.max(1);
        let reserve = reserve.min(all - 1);
        Self {
            each: each.max(1),
            waiting,
            shared: Arc::new(Semaphore::new(all - reserve)),
            reserve: Arc::new(Semaphore::new(reserve)),
            parties: Mutex::default(),
        }
    }

    /// A turn for a party, which is known or a newcomer; `None` when there was none in time, or too many of the party wait.
    pub(crate) async fn take(&self, party: K, known: bool, patience: Duration) -> Option<Turn> {
        let party = self.party(party);
        let before = party.waiting.fetch_add(1, Ordering::Relaxed);
        let waits = Waiting(&party.waiting);
        if before >= self.waiting {
            return None;
        }
        let turn = async {
            let own = Arc::clone(&party.turns).acquire_owned().await.ok()?;
            let shared = Arc::clone(&self.shared).acquire_owned();
            let shared = if known {
                tokio::select! {
                    biased;
                    turn = shared => turn,
                    turn = Arc::clone(&self.reserve).acquire_owned() => turn,
                }
            } else {
                shared.await
            };
            Some(Turn { _own: own, _shared: shared.ok()? })
        };
        let turn = tokio::time::timeout(patience, turn).await.ok().flatten();
        drop(waits);
        turn
    }

    fn party(&self, party: K) -> Arc<Party> {
        let mut parties = self.parties.lock().unwrap_or_else(PoisonError::into_inner);
        if parties.len() >= PARTIES {
            parties.retain(|_, party| Arc::strong_count(party) > 1 || party.turns.available_permits() < self.each);
        }
        let new = || Party { turns: Arc::new(Semaphore::new(self.each)), waiting: AtomicUsize::new(0) };
        Arc::clone(parties.entry(party).or_insert_with(|| Arc::new(new())))
    }
}

impl<K> fmt::Debug for Turns<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").field("free", &self.shared.available_permits()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn one_party_has_its_own_turns_only_and_newcomers_leave_the_reserve() {
        let turns = Turns::new(Places { all: 4, each: 2, reserve: 1 }, 10);
        let a = (turns.take("a", false, SHORT).await.unwrap(), turns.take("a", false, SHORT).await.unwrap());
        assert!(turns.take("a", true, SHORT).await.is_none());
        let _b = turns.take("b", false, SHORT).await.unwrap();
        assert!(turns.take("c", false, SHORT).await.is_none());
        let _c = turns.take("c", true, SHORT).await.unwrap();
        drop(a);
        assert!(turns.take("d", false, SHORT).await.is_some());
    }

    #[tokio::test]
    async fn no_more_than_so_many_of_a_party_wait() {
        let turns = Arc::new(Turns::new(Places { all: 2, each: 1, reserve: 0 }, 3));
        let _turn = turns.take("a", false, SHORT).await.unwrap();
        let wait =
            |turns: Arc<Turns<&'static str>>| async move { turns.take("a", false, Duration::from_secs(5)).await };
        let waiting: Vec<_> = (0..3).map(|_| tokio::spawn(wait(Arc::clone(&turns)))).collect();
        tokio::task::yield_now().await;
        assert!(turns.take("a", false, Duration::from_secs(60)).await.is_none(), "at once");
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn parties_without_turns_are_forgotten() {
        let turns = Turns::new(Places { all: 4, each: 2, reserve: 1 }, 10);
        let _held = turns.take(usize::MAX, false, SHORT).await.unwrap();
        for party in 0..3 * PARTIES {
            turns.take(party, false, SHORT).await.unwrap();
        }
        let parties = turns.parties.lock().unwrap();
        assert!(parties.len() <= PARTIES && parties.contains_key(&usize::MAX));
    }
}
