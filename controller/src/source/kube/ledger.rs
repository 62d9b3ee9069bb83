//! What is known of the objects of one watch: their names and versions, so that listing them again yields nothing but
//! the differences. Pure; holds no objects.

use std::collections::HashMap;

/// Names an object among those of its kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name {
    /// Empty for kinds that live in none.
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
}

#[derive(Debug)]
struct Known {
    uid: Box<str>,
    resource_version: Box<str>,
    /// The listing it was last seen in or after.
    round: u32,
}

/// What a version of an object is to those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    New,
    Changed,
    /// Another object of the same name.
    Replaced,
    /// This version is known already.
    Same,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    known: HashMap<Name, Known>,
    round: u32,
}

impl Ledger {
    /// A listing begins. One that was not finished counts for nothing: what it did not show is still there.
    pub(super) fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// An object was listed, or a watch told of it.
    pub(super) fn see(&mut self, name: &Name, uid: &str, resource_version: &str) -> Seen {
        let round = self.round;
        let Some(known) = self.known.get_mut(name) else {
            let known = Known { uid: uid.into(), resource_version: resource_version.into(), round };
            self.known.insert(name.clone(), known);
            return Seen::New;
        };
        known.round = round;
        let replaced = *known.uid != *uid;
        if !replaced && *known.resource_version == *resource_version {
            return Seen::Same;
        }
        *known = Known { uid: uid.into(), resource_version: resource_version.into(), round };
        if replaced { Seen::Replaced } else { Seen::Changed }
    }

    /// The listing is complete: what it did not show is gone.
    pub(super) fn finish(&mut self) -> Vec<Name> {
        let round = self.round;
        self.take(|known| known.round != round)
    }

    /// An object was deleted. Says whether it was known.
    pub(super) fn forget(&mut self, name: &Name) -> bool {
        self.known.remove(name).is_some()
    }

    /// All objects are gone.
    pub(super) fn clear(&mut self) -> Vec<Name> {
        self.take(|_| true)
    }

    /// Whatever is seen next counts as changed: the same versions say something else now.
    pub(super) fn distrust(&mut self) {
        for known in self.known.values_mut() {
            known.resource_version = "".into();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    fn take(&mut self, which: impl Fn(&Known) -> bool) -> Vec<Name> {
        let mut taken: Vec<Name> = self.known.extract_if(|_, known| which(known)).map(|(name, _)| name).collect();
        taken.sort_unstable();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name { namespace: "ns".into(), name: text.into() }
    }

    fn listed(ledger: &mut Ledger, objects: &[(&str, &str, &str)]) -> Vec<Seen> {
        ledger.begin();
        objects.iter().map(|(object, uid, version)| ledger.see(&name(object), uid, version)).collect()
    }

    #[test]
    fn a_second_listing_yields_the_differences() {
        let mut ledger = Ledger::default();
        let seen = listed(&mut ledger, &[("a", "u1", "1"), ("b", "u2", "2"), ("c", "u3", "3"), ("d", "u4", "4")]);
        assert_eq!(seen, [Seen::New; 4]);
        assert!(ledger.finish().is_empty());
        let seen = listed(&mut ledger, &[("a", "u1", "1"), ("b", "u2", "9"), ("c", "u5", "8"), ("e", "u6", "7")]);
        assert_eq!(seen, [Seen::Same, Seen::Changed, Seen::Replaced, Seen::New]);
        assert_eq!(ledger.finish(), [name("d")]);
        assert_eq!(ledger.len(), 4);
    }

    #[test]
    fn a_listing_that_was_not_finished_deletes_nothing() {
        let mut ledger = Ledger::default();
        listed(&mut ledger, &[("a", "u1", "1"), ("b", "u2", "2")]);
        ledger.finish();
        listed(&mut ledger, &[("a", "u1", "1")]);
        assert_eq!(listed(&mut ledger, &[("a", "u1", "1"), ("b", "u2", "2")]), [Seen::Same; 2]);
        assert!(ledger.finish().is_empty());
    }

    #[test]
    fn what_a_watch_tells_survives_the_end_of_the_listing_before() {
        let mut ledger = Ledger::default();
        listed(&mut ledger, &[("a", "u1", "1")]);
        ledger.finish();
        assert_eq!(ledger.see(&name("b"), "u2", "5"), Seen::New);
        assert_eq!(ledger.see(&name("b"), "u2", "5"), Seen::Same);
        assert!(ledger.forget(&name("a")) && !ledger.forget(&name("a")));
        assert_eq!(listed(&mut ledger, &[("b", "u2", "5")]), [Seen::Same]);
        assert!(ledger.finish().is_empty());
    }

    #[test]
    fn an_empty_listing_deletes_everything() {
        let mut ledger = Ledger::default();
        listed(&mut ledger, &[("b", "u1", "1"), ("a", "u2", "2")]);
        ledger.finish();
        ledger.begin();
        assert_eq!(ledger.finish(), [name("a"), name("b")]);
        assert_eq!(ledger.len(), 0);
    }

    #[test]
    fn after_distrust_the_same_version_counts_as_changed_once() {
        let mut ledger = Ledger::default();
        listed(&mut ledger, &[("a", "u1", "1")]);
        ledger.finish();
        ledger.distrust();
        assert_eq!(listed(&mut ledger, &[("a", "u1", "1")]), [Seen::Changed]);
        assert_eq!(listed(&mut ledger, &[("a", "u1", "1")]), [Seen::Same]);
        assert_eq!(ledger.clear(), [name("a")]);
    }
}
