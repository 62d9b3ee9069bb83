//! Which namespaces should hold the roots and which do: what to write next, and when. Writes nothing itself; the clock is
//! passed in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

/// A namespace that is written again within this time of the last write has somebody else at work in it.
const CALM: Duration = Duration::from_secs(10 * 60);
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);

/// What should be, what is, and what was tried.
#[derive(Debug)]
pub(super) struct Desired {
    ignored: BTreeSet<String>,
    content: u64,
    /// True for those that are being deleted.
    namespaces: BTreeMap<String, bool>,
    held: HashMap<String, u64>,
    attempts: HashMap<String, Attempts>,
    /// Names in a list that is not complete yet.
    listing: [Option<BTreeSet<String>>; 2],
    is_known: [bool; 2],
}

const NAMESPACES: usize = 0;
const HELD: usize = 1;

#[derive(Debug)]
struct Attempts {
    last: Instant,
    in_a_row: u32,
}

/// What came of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Written,
    /// Nothing can be written there any more.
    NamespaceEnds,
    Failed,
}

impl Desired {
    pub(super) fn new(ignored: BTreeSet<String>) -> Self {
        Self {
            ignored,
            content: 0,
            namespaces: BTreeMap::new(),
            held: HashMap::new(),
            attempts: HashMap::new(),
            listing: [None, None],
            is_known: [false, false],
        }
    }

    pub(super) fn set_content(&mut self, content: &str) {
        self.content = hash(content);
    }

    pub(super) fn namespace(&mut self, name: String, is_ending: bool) {
        if let Some(seen) = &mut self.listing[NAMESPACES] {
            seen.insert(name.clone());
        }
        if !self.ignored.contains(&name) {
            self.namespaces.insert(name, is_ending);
        }
    }

    pub(super) fn namespace_gone(&mut self, name: &str) {
        self.namespaces.remove(name);
        self.held.remove(name);
        self.attempts.remove(name);
    }

    pub(super) fn held(&mut self, namespace: String, content: &str) {
        if let Some(seen) = &mut self.listing[HELD] {
            seen.insert(namespace.clone());
        }
        self.held.insert(namespace, hash(content));
    }

    pub(super) fn held_gone(&mut self, namespace: &str) {
        self.held.remove(namespace);
    }

    pub(super) fn namespaces_begin(&mut self) {
        self.listing[NAMESPACES] = Some(BTreeSet::new());
    }

    pub(super) fn namespaces_complete(&mut self) {
        if let Some(seen) = self.listing[NAMESPACES].take() {
            let gone: Vec<_> = self.namespaces.keys().filter(|name| !seen.contains(*name)).cloned().collect();
            gone.iter().for_each(|name| self.namespace_gone(name));
        }
        self.is_known[NAMESPACES] = true;
    }

    pub(super) fn held_begin(&mut self) {
        self.listing[HELD] = Some(BTreeSet::new());
    }

    pub(super) fn held_complete(&mut self) {
        if let Some(seen) = self.listing[HELD].take() {
            self.held.retain(|name, _| seen.contains(name));
        }
        self.is_known[HELD] = true;
    }

    /// Namespaces to be written now. None before everything is known: it may be there already.
    pub(super) fn due(&self, now: Instant) -> Vec<String> {
        self.differing().filter(|name| self.earliest(name).is_none_or(|at| at <= now)).cloned().collect()
    }

    /// When the next one that has to wait may be written.
    pub(super) fn next(&self) -> Option<Instant> {
        self.differing().filter_map(|name| self.earliest(name)).min()
    }

    pub(super) fn written(&mut self, namespace: &str, content: &str, outcome: &Outcome, now: Instant) {
        match outcome {
            // The watch will say the same, later.
            Outcome::Written => drop(self.held.insert(namespace.to_owned(), hash(content))),
            Outcome::NamespaceEnds => {
                if let Some(is_ending) = self.namespaces.get_mut(namespace) {
                    *is_ending = true;
                }
            }
            Outcome::Failed => {}
        }
        let attempts = self.attempts.entry(namespace.to_owned()).or_insert(Attempts { last: now, in_a_row: 0 });
        if now.duration_since(attempts.last) > CALM {
            attempts.in_a_row = 0;
        }
        attempts.last = now;
        attempts.in_a_row += 1;
    }

    fn differing(&self) -> impl Iterator<Item = &String> {
        let is_known = self.is_known == [true, true];
        let differs = |name: &str| self.held.get(name) != Some(&self.content);
        self.namespaces
            .iter()
            .filter(move |(name, is_ending)| is_known && !**is_ending && differs(name))
            .map(|(name, _)| name)
    }

    /// One repair is made at once. When there is always something to repair, or to try again, the time between doubles:
    /// another control plane may be writing its own roots.
    fn earliest(&self, namespace: &str) -> Option<Instant> {
        let attempts = self.attempts.get(namespace)?;
        let wait = match attempts.in_a_row {
            0 | 1 => Duration::from_millis(200),
            many => Duration::from_secs(1 << (many - 2).min(9)).min(LONGEST_WAIT),
        };
        Some(attempts.last + wait)
    }
}

fn hash(content: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(namespaces: &[&str], held: &[(&str, &str)]) -> Desired {
        let mut desired = Desired::new(["kube-system".to_owned()].into());
        desired.set_content("roots");
        desired.namespaces_begin();
        namespaces.iter().for_each(|name| desired.namespace((*name).into(), false));
        desired.namespaces_complete();
        desired.held_begin();
        held.iter().for_each(|(name, content)| desired.held((*name).into(), content));
        desired.held_complete();
        desired
    }

    #[test]
    fn only_what_is_missing_or_differs_is_written() {
        let desired = known(&["a", "b", "c", "kube-system"], &[("a", "roots"), ("b", "others"), ("kube-system", "x")]);
        assert_eq!(desired.due(Instant::now()), ["b", "c"]);
    }

    #[test]
    fn nothing_is_written_before_everything_is_known() {
        let mut desired = Desired::new(BTreeSet::new());
        desired.set_content("roots");
        desired.namespaces_begin();
        desired.namespace("a".into(), false);
        desired.namespaces_complete();
        assert!(desired.due(Instant::now()).is_empty());
        desired.held_begin();
        desired.held_complete();
        assert_eq!(desired.due(Instant::now()), ["a"]);
    }

    #[test]
    fn deletions_and_edits_are_repaired_and_new_roots_written_everywhere() {
        let mut desired = known(&["a", "b"], &[("a", "roots"), ("b", "roots")]);
        let now = Instant::now();
        assert!(desired.due(now).is_empty());
        desired.held_gone("a");
        desired.held("b".into(), "edited");
        assert_eq!(desired.due(now), ["a", "b"]);
        desired.written("a", "roots", &Outcome::Written, now);
        desired.written("b", "roots", &Outcome::Written, now);
        assert!(desired.due(now).is_empty());
        assert_eq!(desired.next(), None);
        desired.set_content("new roots");
        assert_eq!(desired.due(now + Duration::from_secs(1)), ["a", "b"]);
    }

    #[test]
    fn a_namespace_that_ends_is_left_alone() {
        let mut desired = known(&["a", "b"], &[]);
        desired.namespace("a".into(), true);
        let now = Instant::now();
        desired.written("b", "roots", &Outcome::NamespaceEnds, now);
        assert!(desired.due(now + CALM).is_empty());
        desired.namespace_gone("b");
        desired.namespace("b".into(), false);
        assert_eq!(desired.due(now), ["b"]);
    }

    #[test]
    fn what_fails_again_and_again_is_tried_less_and_less_often() {
        let mut desired = known(&["a", "b"], &[]);
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert!(desired.due(now).contains(&"a".to_owned()));
            desired.written("a", "roots", &Outcome::Failed, now);
            assert!(!desired.due(now).contains(&"a".to_owned()));
            let next = desired.next().unwrap();
            waits.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert!(desired.due(now).contains(&"b".to_owned()));
    }

    #[test]
    fn a_list_that_begins_again_forgets_what_is_no_longer_there() {
        let mut desired = known(&["a", "b"], &[("a", "roots"), ("b", "roots")]);
        desired.namespaces_begin();
        desired.namespace("b".into(), false);
        desired.namespaces_complete();
        desired.held_begin();
        desired.held_complete();
        assert_eq!(desired.due(Instant::now()), ["b"]);
    }
}
