//! What of its scope a proxy wants.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use ir::{Key, Kind};
use wire::convert::{self, ConvertError, WILDCARD};
use wire::discovery::Subscription as Message;

use super::budget::{Account, OverBudget};
use super::size;

/// Kinds and names. What they take is in the stream's account.
#[derive(Debug)]
pub(super) struct Subscription {
    account: Account,
    /// How many single names a proxy may ask for.
    most: usize,
    count: usize,
    all: BTreeSet<Kind>,
    names: BTreeMap<Kind, BTreeSet<Arc<str>>>,
}

/// Why a subscription is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum SubscriptionError {
    #[error(transparent)]
    Unreadable(#[from] ConvertError),
    #[error("more than {most} single names; subscribe to `*` instead (limit names-per-stream)")]
    TooMany { most: usize },
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
}

impl Subscription {
    /// To nothing yet.
    pub(super) fn new(account: Account, most: usize) -> Self {
        Self { account, most, count: 0, all: BTreeSet::new(), names: BTreeMap::new() }
    }

    /// The account of the stream, for what else is kept of it.
    pub(super) fn account(&mut self) -> &mut Account {
        &mut self.account
    }

    pub(super) fn wants(&self, key: &Key) -> bool {
        self.all.contains(&key.kind) || self.names.get(&key.kind).is_some_and(|names| names.contains(&*key.name))
    }

    /// The names that are wanted of a kind; `None` for all.
    pub(super) fn names(&self, kind: Kind) -> Option<&BTreeSet<Arc<str>>> {
        static NONE: BTreeSet<Arc<str>> = BTreeSet::new();
        if self.all.contains(&kind) { None } else { Some(self.names.get(&kind).unwrap_or(&NONE)) }
    }

    /// Takes a request's wishes in. Single names that are new are added to `asked`; those that are no longer wanted leave
    /// it, so that it never has more than is subscribed to.
    pub(super) fn change(
        &mut self,
        subscribe: Vec<Message>,
        unsubscribe: Vec<Message>,
        asked: &mut HashSet<Key>,
    ) -> Result<(), SubscriptionError> {
        for Message { kind, names } in subscribe {
            let kind = convert::kind(&kind)?;
            for name in names {
                if name == WILDCARD {
                    self.all.insert(kind);
                } else {
                    self.add(kind, &name, asked)?;
                }
            }
        }
        for Message { kind, names } in unsubscribe {
            let kind = convert::kind(&kind)?;
            for name in names {
                if name == WILDCARD {
                    self.all.remove(&kind);
                } else {
                    self.remove(kind, name, asked);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, kind: Kind, name: &str, asked: &mut HashSet<Key>) -> Result<(), SubscriptionError> {
        let wanted = self.names.entry(kind).or_default();
        if wanted.contains(name) {
            return Ok(());
        }
        if self.count >= self.most {
            return Err(SubscriptionError::TooMany { most: self.most });
        }
        self.account.take(size::of_name(name))?;
        let name: Arc<str> = name.into();
        wanted.insert(Arc::clone(&name));
        self.count += 1;
        asked.insert(Key { kind, name });
        Ok(())
    }

    fn remove(&mut self, kind: Kind, name: String, asked: &mut HashSet<Key>) {
        let key = Key { kind, name: name.into() };
        if self.names.get_mut(&kind).is_some_and(|wanted| wanted.remove(&key.name)) {
            asked.remove(&key);
            self.count -= 1;
            self.account.give(size::of_name(&key.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::budget::Budget;
    use crate::identity::SpiffeId;
    use crate::limits::ControllerLimits;

    fn key(kind: Kind, name: &str) -> Key {
        Key { kind, name: name.into() }
    }

    fn subscription(limits: &ControllerLimits) -> (Subscription, Arc<Budget>) {
        let budget = Budget::new(limits);
        let owner = SpiffeId::new("cluster.local", "shop", "web").unwrap();
        (Subscription::new(budget.open(owner), limits.names_per_stream), budget)
    }

    #[test]
    fn everything_of_a_kind_or_single_names() {
        let (mut wanted, _) = subscription(&ControllerLimits::default());
        let mut asked = HashSet::new();
        assert!(!wanted.wants(&key(Kind::Cluster, "a")));
        let names =
            |names: &[&str]| vec![convert::subscription(Kind::Cluster, names.iter().map(|name| (*name).to_owned()))];
        wanted.change(names(&["a", "b"]), vec![], &mut asked).unwrap();
        assert_eq!(asked.len(), 2);
        asked.clear();
        wanted.change(names(&["a"]), vec![], &mut asked).unwrap();
        assert!(asked.is_empty());
        assert!(wanted.wants(&key(Kind::Cluster, "a")) && !wanted.wants(&key(Kind::Cluster, "c")));
        assert!(!wanted.wants(&key(Kind::Secret, "a")));
        wanted.change(vec![convert::wildcard(Kind::Cluster)], names(&["a"]), &mut asked).unwrap();
        assert!(wanted.wants(&key(Kind::Cluster, "a")) && wanted.wants(&key(Kind::Cluster, "c")));
        wanted.change(vec![], vec![convert::wildcard(Kind::Cluster)], &mut asked).unwrap();
        assert!(!wanted.wants(&key(Kind::Cluster, "a")) && wanted.wants(&key(Kind::Cluster, "b")));
        let unknown = Message { kind: "hologram".to_owned(), names: vec![] };
        assert!(wanted.change(vec![unknown], vec![], &mut asked).is_err());
        let many = (0..=100_000).map(|index| index.to_string());
        assert!(wanted.change(vec![convert::subscription(Kind::Cluster, many)], vec![], &mut asked).is_err());
    }

    /// One message after the other with other names: what is kept is bounded in bytes, not only in names.
    #[test]
    fn a_stream_keeps_a_bounded_number_of_bytes_of_names() {
        let limits = ControllerLimits::default();
        let (mut wanted, budget) = subscription(&limits);
        let mut asked = HashSet::new();
        let name = |message: usize, index: usize| format!("{message}-{index}-{}", "x".repeat(1_000));
        let refused = (0..400).find_map(|message| {
            let names = (0..4_000).map(|index| name(message, index));
            wanted.change(vec![convert::subscription(Kind::Cluster, names)], vec![], &mut asked).err()
        });
        assert!(matches!(refused, Some(SubscriptionError::OverBudget(OverBudget::Stream { .. }))), "{refused:?}");
        assert!(budget.bytes() <= limits.stream_bytes && budget.bytes() > limits.stream_bytes / 2);
        drop(wanted);
        assert_eq!(budget.bytes(), 0);
    }

    #[test]
    fn a_gateway_may_list_thirty_thousand_names() {
        let limits = ControllerLimits::default();
        let (mut wanted, budget) = subscription(&limits);
        let names = (0..30_000).map(|index| format!("outbound|8080|v1|service-{index}.namespace.svc.cluster.local"));
        let mut asked = HashSet::new();
        wanted.change(vec![convert::subscription(Kind::Endpoints, names)], vec![], &mut asked).unwrap();
        assert_eq!(asked.len(), 30_000);
        assert!(budget.bytes() < limits.stream_bytes / 2, "{}", budget.bytes());
    }

    #[test]
    fn names_that_come_and_go_leave_nothing() {
        let (mut wanted, budget) = subscription(&ControllerLimits::default());
        let mut asked = HashSet::new();
        for round in 0..1_000 {
            let names = || vec![convert::subscription(Kind::Cluster, (0..10).map(|index| format!("{round}-{index}")))];
            wanted.change(names(), vec![], &mut asked).unwrap();
            wanted.change(vec![], names(), &mut asked).unwrap();
        }
        assert_eq!((budget.bytes(), asked.len(), wanted.count), (0, 0, 0));
    }
}
