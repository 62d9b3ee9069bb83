//! Authority → virtual host (docs/semantics.md §1.2). Knows nothing of what a virtual host is.

use std::borrow::{Borrow, Cow};
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};

/// Longest name that is put into lower case without allocating; names in DNS have at most 255 bytes.
const INLINE: usize = 256;

/// A value per host. The full name wins, then the longest wildcard tail, then `*`.
///
/// Cloning copies pointers, not names: with a cheap `V`, cloning ten thousand hosts to change one takes well under a
/// millisecond.
#[derive(Clone, Debug)]
pub struct Hosts<V> {
    exact: HashMap<Name, V>,
    wildcard: HashMap<Tail, V>,
    /// How many wildcards have a tail of that length; none has length 0.
    tails: BTreeMap<usize, usize>,
    any: Option<(ir::Host, V)>,
}

impl<V> Default for Hosts<V> {
    fn default() -> Self {
        Self { exact: HashMap::new(), wildcard: HashMap::new(), tails: BTreeMap::new(), any: None }
    }
}

impl<V> FromIterator<(ir::Host, V)> for Hosts<V> {
    /// Of equal hosts, the last one stays.
    fn from_iter<I: IntoIterator<Item = (ir::Host, V)>>(hosts: I) -> Self {
        let mut all = Self::default();
        all.extend(hosts);
        all
    }
}

impl<V> Extend<(ir::Host, V)> for Hosts<V> {
    fn extend<I: IntoIterator<Item = (ir::Host, V)>>(&mut self, hosts: I) {
        for (host, value) in hosts {
            self.insert(host, value);
        }
    }
}

impl<V> Hosts<V> {
    /// Returns what was there before.
    pub fn insert(&mut self, host: ir::Host, value: V) -> Option<V> {
        match host.wildcard_tail().map(str::len) {
            None => self.exact.insert(Name(host), value),
            Some(0) => self.any.replace((host, value)).map(|(_, old)| old),
            Some(length) => {
                let old = self.wildcard.insert(Tail(host), value);
                if old.is_none() {
                    *self.tails.entry(length).or_default() += 1;
                }
                old
            }
        }
    }

    /// Returns what was there.
    pub fn remove(&mut self, host: &ir::Host) -> Option<V> {
        match host.wildcard_tail() {
            None => self.exact.remove(host.as_str().as_bytes()),
            Some("") => self.any.take().map(|(_, old)| old),
            Some(tail) => {
                let old = self.wildcard.remove(tail.as_bytes())?;
                if let Some(count) = self.tails.get_mut(&tail.len()) {
                    *count -= 1;
                    if *count == 0 {
                        self.tails.remove(&tail.len());
                    }
                }
                Some(old)
            }
        }
    }

    /// The value of exactly this host, wildcards taken as text.
    #[must_use]
    pub fn get(&self, host: &ir::Host) -> Option<&V> {
        match host.wildcard_tail() {
            None => self.exact.get(host.as_str().as_bytes()),
            Some("") => self.any.as_ref().map(|(_, value)| value),
            Some(tail) => self.wildcard.get(tail.as_bytes()),
        }
    }

    /// The value for a request's authority, in whatever case and with whatever port it was sent. What is not
    /// `host[:port]` is a name as a whole, which only `*` is for; requests with one are refused before.
    #[must_use]
    pub fn find(&self, authority: &[u8]) -> Option<&V> {
        let name = without_port(authority);
        if !name.iter().any(u8::is_ascii_uppercase) {
            return self.find_lower(name);
        }
        let mut buffer = [0; INLINE];
        match buffer.get_mut(..name.len()) {
            Some(lower) => {
                lower.copy_from_slice(name);
                lower.make_ascii_lowercase();
                self.find_lower(lower)
            }
            None => self.find_lower(&name.to_ascii_lowercase()),
        }
    }

    /// All hosts, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&ir::Host, &V)> {
        let exact = self.exact.iter().map(|(Name(host), value)| (host, value));
        let wildcard = self.wildcard.iter().map(|(Tail(host), value)| (host, value));
        exact.chain(wildcard).chain(self.any.iter().map(|(host, value)| (host, value)))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.exact.len() + self.wildcard.len() + usize::from(self.any.is_some())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find_lower(&self, name: &[u8]) -> Option<&V> {
        self.exact.get(name).or_else(|| self.find_wildcard(name)).or(self.any.as_ref().map(|(_, value)| value))
    }

    /// One look-up per length of tail: their number is bounded by the length of a name, not by the number of hosts.
    fn find_wildcard(&self, name: &[u8]) -> Option<&V> {
        // The star stands for at least one character, as in Envoy.
        let shorter = self.tails.range(..name.len()).rev();
        shorter.map(|(length, _)| &name[name.len() - length..]).find_map(|tail| self.wildcard.get(tail))
    }
}

/// The host that an authority names: without port and in lower case. An empty port goes too; a trailing dot stays, and
/// so do the brackets of an IPv6 address. What is not `host[:port]` stays as a whole.
#[must_use]
pub fn host_of(authority: &[u8]) -> Cow<'_, [u8]> {
    let name = without_port(authority);
    match name.iter().any(u8::is_ascii_uppercase) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

fn without_port(authority: &[u8]) -> &[u8] {
    ir::text::parts(authority).map_or(authority, |parts| parts.host)
}

/// A host without wildcard, found by its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name(ir::Host);

/// A wildcard host, found by the bytes after the star.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tail(ir::Host);

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        self.0.as_str().as_bytes()
    }
}

impl Borrow<[u8]> for Tail {
    fn borrow(&self) -> &[u8] {
        self.0.wildcard_tail().unwrap_or_default().as_bytes()
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Borrow::<[u8]>::borrow(self).hash(state);
    }
}

impl Hash for Tail {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Borrow::<[u8]>::borrow(self).hash(state);
    }
}
