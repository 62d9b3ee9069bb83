//! Which namespaces should hold the roots and which do: what to write next, and when. Writes nothing itself; the clock is
//! passed in. Content is compared by its certificates: two control planes that publish the same roots, each with its own
//! comments and order, have nothing to correct in each other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

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
    held: HashMap<String, Held>,
    /// Whether those without the owner they should have are written for that alone.
    insists_on_owner: bool,
    attempts: HashMap<String, Attempts>,
    /// Names in a list that is not complete yet.
    listing: [Option<BTreeSet<String>>; 2],
    is_known: [bool; 2],
}

const NAMESPACES: usize = 0;
const HELD: usize = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    content: u64,
    lacks_owner: bool,
}

#[derive(Debug)]
struct Attempts {
    last: Instant,
    in_a_row: u32,
}

/// What came of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Written,
    /// Written, but it may not be given an owner.
    OwnerRefused,
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
            insists_on_owner: true,
            attempts: HashMap::new(),
            listing: [None, None],
            is_known: [false, false],
        }
    }

    pub(super) fn set_content(&mut self, content: &str) {
        self.content = mark(content);
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

    pub(super) fn held(&mut self, namespace: String, content: &str, lacks_owner: bool) {
        if let Some(seen) = &mut self.listing[HELD] {
            seen.insert(namespace.clone());
        }
        self.held.insert(namespace, Held { content: mark(content), lacks_owner });
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
            Outcome::Written | Outcome::OwnerRefused => {
                self.insists_on_owner &= *outcome == Outcome::Written;
                self.held.insert(namespace.to_owned(), Held { content: mark(content), lacks_owner: false });
            }
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
        let differs = |name: &str| {
            let differs = |held: &Held| held.content != self.content || held.lacks_owner && self.insists_on_owner;
            self.held.get(name).is_none_or(differs)
        };
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

/// The same for the same certificates. What is not certificates through and through differs from everything else.
fn mark(content: &str) -> u64 {
    let certificates: Result<BTreeSet<_>, _> =
        CertificateDer::pem_slice_iter(content.as_bytes()).map(|one| one.map(|one| one.to_vec())).collect();
    let mut hasher = DefaultHasher::new();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => certificates.hash(&mut hasher),
        Ok(_) | Err(_) => content.hash(&mut hasher),
    }
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
        held.iter().for_each(|(name, content)| desired.held((*name).into(), content, false));
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
        desired.held("b".into(), "edited", false);
        assert_eq!(desired.due(now), ["a", "b"]);
        desired.written("a", "roots", &Outcome::Written, now);
        desired.written("b", "roots", &Outcome::Written, now);
        assert!(desired.due(now).is_empty());
        assert_eq!(desired.next(), None);
        desired.set_content("new roots");
        assert_eq!(desired.due(now + Duration::from_secs(1)), ["a", "b"]);
    }

    #[test]
    fn the_same_certificates_are_the_same_content() {
        let pem = || rcgen::generate_simple_self_signed(["root.test".to_owned()]).unwrap().cert.pem();
        let (one, two) = (pem(), pem());
        let mut desired = known(&["a", "b", "c", "d"], &[]);
        desired.set_content(&format!("{one}{two}"));
        desired.held(
            "a".into(),
            &format!("# the new one\r\n{}\n# the old one\n{one}{one}", two.replace('\n', "\r\n")),
            false,
        );
        desired.held("b".into(), &one, false);
        desired.held("c".into(), &format!("{one}{two}-----BEGIN CERTIFICATE-----\nAAAA"), false);
        desired.held("d".into(), "# nothing", false);
        assert_eq!(desired.due(Instant::now()), ["b", "c", "d"]);
    }

    #[test]
    fn those_without_their_owner_are_written_until_that_is_refused() {
        let mut desired = known(&["a", "b"], &[("a", "roots"), ("b", "roots")]);
        desired.held("a".into(), "roots", true);
        desired.held("b".into(), "roots", true);
        let now = Instant::now();
        assert_eq!(desired.due(now), ["a", "b"]);
        desired.written("a", "roots", &Outcome::Written, now);
        assert_eq!(desired.due(now), ["b"]);
        desired.written("b", "roots", &Outcome::OwnerRefused, now);
        desired.held("a".into(), "roots", true);
        assert_eq!(desired.due(now + CALM), [""; 0], "it would be refused again");
        desired.held("a".into(), "edited", true);
        assert_eq!(desired.due(now + CALM), ["a"]);
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
