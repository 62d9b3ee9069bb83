//! What a proxy subscribes to: all of a kind, or names it has learned of. Pure.

use std::collections::{BTreeMap, BTreeSet};

use ir::{Key, Kind};
use wire::convert::{KINDS, WILDCARD, subscription, wildcard};
use wire::discovery::Subscription;

/// Names of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    All,
    Only(BTreeSet<String>),
}

/// Kinds and names to follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted(BTreeMap<Kind, Names>);

impl Wanted {
    /// Everything there is for this proxy.
    #[must_use]
    pub fn everything() -> Self {
        Self(KINDS.into_iter().map(|kind| (kind, Names::All)).collect())
    }

    /// All of a kind besides.
    pub fn add_all(&mut self, kind: Kind) {
        self.0.insert(kind, Names::All);
    }

    /// One resource besides.
    pub fn add(&mut self, key: &Key) {
        match self.0.entry(key.kind).or_insert_with(|| Names::Only(BTreeSet::new())) {
            Names::All => {}
            Names::Only(names) => {
                names.insert(key.name.to_string());
            }
        }
    }

    /// One resource less; no change where all of its kind are wanted.
    pub fn remove(&mut self, key: &Key) {
        if let Some(Names::Only(names)) = self.0.get_mut(&key.kind) {
            names.remove(&*key.name);
        }
    }

    /// Nothing of a kind any more.
    pub fn remove_all(&mut self, kind: Kind) {
        self.0.remove(&kind);
    }

    /// Whether a resource belongs to what is wanted.
    #[must_use]
    pub fn covers(&self, key: &Key) -> bool {
        match self.0.get(&key.kind) {
            None => false,
            Some(Names::All) => true,
            Some(Names::Only(names)) => names.contains(&*key.name),
        }
    }

    /// The whole of it as a subscription.
    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        Self::default().changes(self).0
    }

    /// What must be subscribed to and unsubscribed from so that `next` holds.
    pub(crate) fn changes(&self, next: &Self) -> (Vec<Subscription>, Vec<Subscription>) {
        let (mut more, mut less) = (Vec::new(), Vec::new());
        for kind in KINDS {
            let (old, new) = (self.0.get(&kind), next.0.get(&kind));
            if old == new {
                continue;
            }
            let (had, wants) = (names(old), names(new));
            let added: Vec<String> = wants.difference(&had).cloned().collect();
            let dropped: Vec<String> = had.difference(&wants).cloned().collect();
            if !added.is_empty() {
                more.push(if new == Some(&Names::All) { wildcard(kind) } else { subscription(kind, added) });
            }
            if !dropped.is_empty() {
                less.push(if old == Some(&Names::All) { wildcard(kind) } else { subscription(kind, dropped) });
            }
        }
        (more, less)
    }
}

fn names(of: Option<&Names>) -> BTreeSet<String> {
    match of {
        None => BTreeSet::new(),
        Some(Names::All) => BTreeSet::from([WILDCARD.to_owned()]),
        Some(Names::Only(names)) => names.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: Kind, name: &str) -> Key {
        Key { kind, name: name.into() }
    }

    fn shown(subscriptions: &[Subscription]) -> Vec<String> {
        subscriptions.iter().map(|it| format!("{} {}", it.kind, it.names.join(","))).collect()
    }

    #[test]
    fn everything_is_a_wildcard_of_every_kind() {
        let all = Wanted::everything();
        let told = all.subscriptions();
        assert_eq!(told.len(), KINDS.len());
        assert!(told.iter().all(|it| it.names == ["*"]));
        assert!(all.covers(&key(Kind::Cluster, "any")));
    }

    #[test]
    fn names_come_and_go_on_demand() {
        let mut old = Wanted::default();
        old.add(&key(Kind::Cluster, "a"));
        old.add(&key(Kind::Cluster, "b"));
        old.add_all(Kind::Listener);
        let mut new = old.clone();
        new.remove(&key(Kind::Cluster, "a"));
        new.add(&key(Kind::Cluster, "c"));
        new.remove(&key(Kind::Listener, "x"));
        new.add_all(Kind::Secret);
        let (more, less) = old.changes(&new);
        assert_eq!(shown(&more), ["secret *", "cluster c"]);
        assert_eq!(shown(&less), ["cluster a"]);
        assert!(new.covers(&key(Kind::Cluster, "b")) && !new.covers(&key(Kind::Cluster, "a")));
        assert!(new.covers(&key(Kind::Listener, "x")) && !new.covers(&key(Kind::Endpoints, "b")));
        new.remove_all(Kind::Listener);
        assert_eq!(shown(&old.changes(&new).1), ["cluster a", "listener *"]);
        assert!(new.changes(&new).0.is_empty());
    }
}
