//! What of its scope a proxy wants.

use std::collections::{BTreeMap, BTreeSet};

use ir::{Key, Kind};
use wire::convert::{self, ConvertError, WILDCARD};
use wire::discovery::Subscription as Message;

/// How many single names a proxy may ask for.
const MAX_NAMES: usize = 100_000;

/// Kinds and names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    all: BTreeSet<Kind>,
    names: BTreeMap<Kind, BTreeSet<String>>,
}

/// Why a subscription is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum SubscriptionError {
    #[error(transparent)]
    Unreadable(#[from] ConvertError),
    #[error("more than {MAX_NAMES} single names; subscribe to `*` instead")]
    TooMany,
}

impl Subscription {
    pub(super) fn wants(&self, key: &Key) -> bool {
        self.all.contains(&key.kind) || self.names.get(&key.kind).is_some_and(|names| names.contains(&*key.name))
    }

    /// The names that are wanted of a kind; `None` for all.
    pub(super) fn names(&self, kind: Kind) -> Option<&BTreeSet<String>> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        if self.all.contains(&kind) { None } else { Some(self.names.get(&kind).unwrap_or(&NONE)) }
    }

    /// Takes a request's wishes in; tells the single names that are new.
    pub(super) fn change(
        &mut self,
        subscribe: Vec<Message>,
        unsubscribe: Vec<Message>,
    ) -> Result<Vec<Key>, SubscriptionError> {
        let mut new = Vec::new();
        for Message { kind, names } in subscribe {
            let kind = convert::kind(&kind)?;
            for name in names {
                if name == WILDCARD {
                    self.all.insert(kind);
                } else if self.names.entry(kind).or_default().insert(name.clone()) {
                    new.push(Key { kind, name: name.into() });
                }
            }
        }
        for Message { kind, names } in unsubscribe {
            let kind = convert::kind(&kind)?;
            for name in names {
                if name == WILDCARD {
                    self.all.remove(&kind);
                } else if let Some(wanted) = self.names.get_mut(&kind) {
                    wanted.remove(&name);
                }
            }
        }
        if self.names.values().map(BTreeSet::len).sum::<usize>() > MAX_NAMES {
            return Err(SubscriptionError::TooMany);
        }
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: Kind, name: &str) -> Key {
        Key { kind, name: name.into() }
    }

    #[test]
    fn everything_of_a_kind_or_single_names() {
        let mut wanted = Subscription::default();
        assert!(!wanted.wants(&key(Kind::Cluster, "a")));
        let names =
            |names: &[&str]| vec![convert::subscription(Kind::Cluster, names.iter().map(|name| (*name).to_owned()))];
        assert_eq!(wanted.change(names(&["a", "b"]), vec![]).unwrap().len(), 2);
        assert_eq!(wanted.change(names(&["a"]), vec![]).unwrap(), []);
        assert!(wanted.wants(&key(Kind::Cluster, "a")) && !wanted.wants(&key(Kind::Cluster, "c")));
        assert!(!wanted.wants(&key(Kind::Secret, "a")));
        wanted.change(vec![convert::wildcard(Kind::Cluster)], names(&["a"])).unwrap();
        assert!(wanted.wants(&key(Kind::Cluster, "a")) && wanted.wants(&key(Kind::Cluster, "c")));
        wanted.change(vec![], vec![convert::wildcard(Kind::Cluster)]).unwrap();
        assert!(!wanted.wants(&key(Kind::Cluster, "a")) && wanted.wants(&key(Kind::Cluster, "b")));
        let unknown = Message { kind: "hologram".to_owned(), names: vec![] };
        assert!(wanted.change(vec![unknown], vec![]).is_err());
        let many = (0..=MAX_NAMES).map(|index| index.to_string());
        assert!(wanted.change(vec![convert::subscription(Kind::Cluster, many)], vec![]).is_err());
    }
}
