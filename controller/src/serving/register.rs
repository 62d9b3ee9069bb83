//! Which connections are open and which of them may go: each address has its share, a part of all places is kept for
//! addresses that have shown before that they belong here, and when there is no room, a connection that has shown nothing
//! yet goes rather than the newest visitor (docs/security.md, CP-4). Does no IO.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::shares::Known;

/// Addresses that are remembered as known.
const KNOWN: usize = 10_000;

/// Bounds of a register.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    pub(crate) all: usize,
    pub(crate) per_address: usize,
    /// Connections that have not proven anything yet.
    pub(crate) unproven: usize,
}

/// The open connections of a listener.
#[derive(Debug)]
pub(crate) struct Register {
    capacity: Capacity,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    next: u64,
    addresses: HashMap<IpAddr, Count>,
    all: usize,
    /// In the order in which they came.
    unproven: BTreeMap<u64, Unproven>,
    known: Known<IpAddr>,
}

#[derive(Debug, Default)]
struct Count {
    all: usize,
    unproven: usize,
}

#[derive(Debug)]
struct Unproven {
    address: IpAddr,
    /// It has said something that only a client of this listener says.
    greeted: bool,
    end: CancellationToken,
}

/// The place of an open connection.
#[derive(Debug)]
pub(crate) struct Place {
    register: Arc<Register>,
    id: u64,
    address: IpAddr,
    end: CancellationToken,
    proven: AtomicBool,
}

/// A network of IPv6 is as easily had as an address of IPv4.
pub(crate) fn party(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

impl Register {
    pub(crate) fn new(capacity: Capacity) -> Arc<Self> {
        let Capacity { all, per_address, unproven } = capacity;
        let capacity = Capacity { all: all.max(1), per_address: per_address.max(1), unproven: unproven.max(1) };
        let inner =
            Inner { next: 0, addresses: HashMap::new(), all: 0, unproven: BTreeMap::new(), known: Known::new(KNOWN) };
        Arc::new(Self { capacity, inner: Mutex::new(inner) })
    }

    /// Makes room for a connection from this address, if there can be any.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr, now: Instant) -> Option<Place> {
        let address = party(address);
        let mut inner = self.inner();
        let Capacity { all, per_address, unproven } = self.capacity;
        let of = |most: usize, known: bool| if known { most } else { most - most / 4 };
        let known = inner.known.contains(&address, now);
        if inner.addresses.get(&address).is_some_and(|count| count.all >= per_address) {
            // Its own oldest one makes room, or nothing does.
            inner.end_oldest_of(address)?;
        }
        if inner.all >= of(all, known) || inner.unproven.len() >= of(unproven, known) {
            inner.make_room()?;
        }
        let id = inner.next;
        inner.next += 1;
        inner.all += 1;
        let count = inner.addresses.entry(address).or_default();
        count.all += 1;
        count.unproven += 1;
        let end = CancellationToken::new();
        inner.unproven.insert(id, Unproven { address, greeted: false, end: end.clone() });
        drop(inner);
        Some(Place { register: Arc::clone(self), id, address, end, proven: AtomicBool::new(false) })
    }

    /// Whether connections from this address have proven something before.
    pub(crate) fn knows(&self, address: IpAddr, now: Instant) -> bool {
        self.inner().known.contains(&party(address), now)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are open, and how many of them have proven nothing.
    #[cfg(test)]
    pub(crate) fn count(&self) -> (usize, usize) {
        let inner = self.inner();
        (inner.all, inner.unproven.len())
    }
}

impl Inner {
    fn end_oldest_of(&mut self, address: IpAddr) -> Option<()> {
        let oldest = self.unproven.iter().find(|(_, one)| one.address == address).map(|(id, _)| *id)?;
        self.end(oldest)
    }

    /// Ends the oldest unproven connection of the address that has the most of them. Where each has one, the oldest that
    /// was silent so far; where all have spoken, there is no room.
    fn make_room(&mut self) -> Option<()> {
        let (address, count) = self.addresses.iter().max_by_key(|(_, count)| count.unproven)?;
        if count.unproven > 1 {
            let address = *address;
            return self.end_oldest_of(address);
        }
        let silent = self.unproven.iter().find(|(_, one)| !one.greeted).map(|(id, _)| *id)?;
        self.end(silent)
    }

    fn end(&mut self, id: u64) -> Option<()> {
        let Unproven { address, end, .. } = self.unproven.remove(&id)?;
        end.cancel();
        self.uncount(address, true);
        Some(())
    }

    fn uncount(&mut self, address: IpAddr, unproven: bool) {
        self.all = self.all.saturating_sub(1);
        if let Some(count) = self.addresses.get_mut(&address) {
            count.all = count.all.saturating_sub(1);
            count.unproven = count.unproven.saturating_sub(usize::from(unproven));
            if count.all == 0 {
                self.addresses.remove(&address);
            }
        }
    }
}

impl Place {
    /// The client has spoken.
    pub(crate) fn greeted(&self) {
        if let Some(one) = self.register.inner().unproven.get_mut(&self.id) {
            one.greeted = true;
        }
    }

    /// The client has shown that it belongs here: its connection stays, and its address is known.
    pub(crate) fn prove(&self, now: Instant) {
        let mut inner = self.register.inner();
        inner.known.note(self.address, now);
        if inner.unproven.remove(&self.id).is_some() {
            if let Some(count) = inner.addresses.get_mut(&self.address) {
                count.unproven = count.unproven.saturating_sub(1);
            }
            self.proven.store(true, Ordering::Release);
        }
    }

    pub(crate) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Acquire)
    }

    /// Cancelled when the connection has to make room.
    pub(crate) fn end(&self) -> &CancellationToken {
        &self.end
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.register.inner();
        let unproven = inner.unproven.remove(&self.id).is_some();
        // One that had to make room does not count any more.
        if unproven || self.proven.load(Ordering::Acquire) {
            inner.uncount(self.address, unproven);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn register(all: usize, per_address: usize, unproven: usize) -> Arc<Register> {
        Register::new(Capacity { all, per_address, unproven })
    }

    fn address(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    #[test]
    fn an_address_that_takes_many_places_loses_its_own() {
        let register = register(100, 3, 100);
        let now = Instant::now();
        let places: Vec<Place> = (0..5).map(|_| register.enter(address(1), now).unwrap()).collect();
        let ended: Vec<bool> = places.iter().map(|place| place.end().is_cancelled()).collect();
        assert_eq!(ended, [true, true, false, false, false]);
        assert_eq!(register.count(), (3, 3));
        let other = register.enter(address(2), now).unwrap();
        assert!(!other.end().is_cancelled());
        drop(places);
        assert_eq!(register.count(), (1, 1));
        // Proven ones are never ended: the newest has to go without.
        let proven: Vec<Place> = (0..3).map(|_| register.enter(address(1), now).unwrap()).collect();
        proven.iter().for_each(|place| place.prove(now));
        assert!(register.enter(address(1), now).is_none());
        assert!(proven.iter().all(|place| !place.end().is_cancelled() && place.is_proven()));
    }

    #[test]
    fn when_all_places_are_taken_the_oldest_of_the_largest_crowd_goes() {
        let register = register(100, 100, 8);
        let now = Instant::now();
        let quiet = register.enter(address(1), now).unwrap();
        let crowd: Vec<Place> = (0..5).map(|_| register.enter(address(2), now).unwrap()).collect();
        let visitor = register.enter(address(3), now).unwrap();
        assert!(crowd[0].end().is_cancelled() && !crowd[1].end().is_cancelled());
        assert!(!quiet.end().is_cancelled() && !visitor.end().is_cancelled());
    }

    #[test]
    fn where_each_address_has_one_place_the_silent_go_first() {
        let register = register(100, 100, 4);
        let now = Instant::now();
        let spoken = register.enter(address(1), now).unwrap();
        spoken.greeted();
        let silent = register.enter(address(2), now).unwrap();
        let third = register.enter(address(3), now).unwrap();
        third.greeted();
        let fourth = register.enter(address(4), now).unwrap();
        assert!(silent.end().is_cancelled() && !spoken.end().is_cancelled());
        fourth.greeted();
        assert!(register.enter(address(5), now).is_none(), "all have spoken");
    }

    #[test]
    fn a_part_is_kept_for_addresses_that_were_there_before() {
        let register = register(8, 8, 8);
        let now = Instant::now();
        register.enter(address(1), now).unwrap().prove(now);
        let crowd: Vec<Place> = (2..8).map(|number| register.enter(address(number), now).unwrap()).collect();
        crowd.iter().for_each(|place| place.prove(now));
        assert!(register.enter(address(9), now).is_none());
        assert!(register.enter(address(1), now).is_some());
        assert!(register.knows(address(1), now) && !register.knows(address(9), now));
        assert!(!register.knows(address(1), now + Duration::from_secs(7_200)));
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        assert_eq!(party("2001:db8::1".parse().unwrap()), party("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(party("2001:db8::1".parse().unwrap()), party("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(party("::ffff:10.0.0.1".parse().unwrap()), address(1));
    }
}
