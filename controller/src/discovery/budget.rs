//! How many bytes are kept of what proxies have said: by stream, by identity and by all of them. Bytes are counted where
//! they are taken in, and given back when the stream ends, however it ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::identity::SpiffeId;
use crate::limits::ControllerLimits;

/// What is kept for all streams.
#[derive(Debug)]
pub(super) struct Budget {
    stream: usize,
    identity: usize,
    all: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    identities: HashMap<SpiffeId, usize>,
}

/// What is kept for one stream.
#[derive(Debug)]
pub(super) struct Account {
    budget: Arc<Budget>,
    owner: SpiffeId,
    held: usize,
}

/// There is no room for what a proxy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OverBudget {
    #[error("the proxy lists more than {limit} bytes of names and versions (limit stream-bytes)")]
    Stream { limit: usize },
    #[error(
        "the proxies of this service account list more than {limit} bytes of names and versions (limit identity-bytes)"
    )]
    Identity { limit: usize },
    #[error("all proxies together list more than {limit} bytes of names and versions (limit streams-bytes)")]
    All { limit: usize },
}

impl Budget {
    pub(super) fn new(limits: &ControllerLimits) -> Arc<Self> {
        let ControllerLimits { stream_bytes, identity_bytes, streams_bytes, .. } = limits;
        Arc::new(Self { stream: *stream_bytes, identity: *identity_bytes, all: *streams_bytes, held: Mutex::default() })
    }

    /// An account with nothing in it yet.
    pub(super) fn open(self: &Arc<Self>, owner: SpiffeId) -> Account {
        Account { budget: Arc::clone(self), owner, held: 0 }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes kept at the moment.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.held().all
    }
}

impl Account {
    /// Takes so many bytes more.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), OverBudget> {
        let Budget { stream, identity, all, .. } = *self.budget;
        if self.held.saturating_add(bytes) > stream {
            return Err(OverBudget::Stream { limit: stream });
        }
        let mut held = self.budget.held();
        if held.all.saturating_add(bytes) > all {
            return Err(OverBudget::All { limit: all });
        }
        let of_owner = held.identities.get(&self.owner).copied().unwrap_or_default();
        if of_owner.saturating_add(bytes) > identity {
            return Err(OverBudget::Identity { limit: identity });
        }
        held.all += bytes;
        held.identities.insert(self.owner.clone(), of_owner + bytes);
        self.held += bytes;
        Ok(())
    }

    /// Gives so many bytes back.
    pub(super) fn give(&mut self, bytes: usize) {
        let bytes = bytes.min(self.held);
        self.held -= bytes;
        let mut held = self.budget.held();
        held.all = held.all.saturating_sub(bytes);
        if let Some(of_owner) = held.identities.get_mut(&self.owner) {
            *of_owner = of_owner.saturating_sub(bytes);
            if *of_owner == 0 {
                held.identities.remove(&self.owner);
            }
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.give(self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(account: &str) -> SpiffeId {
        SpiffeId::new("cluster.local", "shop", account).unwrap()
    }

    #[test]
    fn a_stream_an_identity_and_all_of_them_have_a_bound_of_their_own() {
        let limits = ControllerLimits {
            stream_bytes: 100,
            identity_bytes: 150,
            streams_bytes: 200,
            ..ControllerLimits::default()
        };
        let budget = Budget::new(&limits);
        let (mut one, mut two, mut other) = (budget.open(owner("a")), budget.open(owner("a")), budget.open(owner("b")));
        assert_eq!(one.take(101), Err(OverBudget::Stream { limit: 100 }));
        assert_eq!(one.take(usize::MAX), Err(OverBudget::Stream { limit: 100 }));
        assert_eq!(one.take(90), Ok(()));
        assert_eq!(two.take(61), Err(OverBudget::Identity { limit: 150 }));
        assert_eq!(two.take(60), Ok(()));
        assert_eq!(other.take(51), Err(OverBudget::All { limit: 200 }));
        assert_eq!(other.take(50), Ok(()));
        assert_eq!(budget.bytes(), 200);
        one.give(40);
        assert_eq!(two.take(40), Ok(()));
        drop((one, two, other));
        assert_eq!(budget.bytes(), 0);
        assert!(budget.held().identities.is_empty());
    }
}
