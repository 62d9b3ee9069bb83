//! Who may hold a connection while there are fewer places than clients (docs/security.md, "Limits"): when the process is
//! full the connection that has been idle longest goes, that of the address with the most connections first, and the new
//! one is taken. The lock here is taken when connections come and go, never by a request: those mark their connection
//! as busy or idle in two words of its own.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

/// Part of all places that is for addresses of which a connection was served already: one in so many.
const RESERVE: usize = 10;
/// Part of the unfinished connections that one address may have: one in so many.
const UNFINISHED_SHARE: usize = 5;

/// States of a connection that are no point in time.
const BUSY: u64 = 0;
const EVICTED: u64 = u64::MAX;

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    pub(crate) connections: usize,
    pub(crate) per_address: usize,
    pub(crate) unfinished: usize,
}

/// Why there is no place for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    Full,
    Address,
}

impl NoPlace {
    /// A label of metrics.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Full => "connection_limit",
            Self::Address => "address_limit",
        }
    }
}

/// All places of a process.
#[derive(Debug)]
pub(crate) struct Places {
    start: Instant,
    taken: Mutex<Taken>,
    unfinished: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Taken {
    count: usize,
    next: u64,
    all: Idlest,
    fresh: Fresh,
    addresses: HashMap<IpAddr, Address>,
    /// The addresses by how many connections they have.
    by_count: BTreeSet<(usize, IpAddr)>,
}

#[derive(Debug, Default)]
struct Address {
    count: usize,
    unfinished: Arc<AtomicUsize>,
    idlest: Idlest,
    fresh: Fresh,
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Since when it has been idle, in milliseconds of [`Places::start`] and one, or a state that is none.
    state: AtomicU64,
    /// Requests under way.
    busy: AtomicU32,
    /// The client has not yet said anything that makes sense.
    fresh: AtomicBool,
    served: AtomicBool,
    /// It has no place any more.
    gone: AtomicBool,
    unfinished: [Arc<AtomicUsize>; 2],
    address: Option<IpAddr>,
    /// Of [`Places`].
    start: Instant,
    /// Ends the connection.
    evict: CancellationToken,
}

/// A place that a connection has. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    slot: Arc<Slot>,
}

/// A request under way; the connection is idle again when the last one ends.
#[derive(Debug)]
pub(crate) struct Working {
    slot: Arc<Slot>,
}

impl Default for Places {
    fn default() -> Self {
        Self { start: Instant::now(), taken: Mutex::default(), unfinished: Arc::default() }
    }
}

impl Places {
    /// A place for a connection of a client, if need be that of one which is idle. `None` stands for clients that have no
    /// address. `evict` is said when the connection has to go.
    ///
    /// # Errors
    /// When all that could make room are at work.
    pub(crate) fn take(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        most: Most,
        evict: CancellationToken,
    ) -> Result<Place, NoPlace> {
        let now = self.now();
        let mut guard = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = &mut *guard;
        if let Some(ip) = address
            && let Some(known) = taken.addresses.get_mut(&ip)
        {
            if known.unfinished.load(Ordering::Relaxed) >= (most.unfinished / UNFINISHED_SHARE).max(1)
                && let Some(slot) = known.fresh.evict()
            {
                taken.left(&slot);
            }
            if let Some(known) = taken.addresses.get_mut(&ip)
                && known.count >= most.per_address
            {
                let slot = known.idlest.evict(now).ok_or(NoPlace::Address)?;
                taken.left(&slot);
            }
        }
        if self.unfinished.load(Ordering::Relaxed) >= most.unfinished {
            taken.evict_fresh();
        }
        // The last places are for addresses that were there before.
        let reserve = most.connections / RESERVE;
        if taken.count + reserve >= most.connections {
            let known = address.is_none_or(|ip| taken.addresses.get(&ip).is_some_and(Address::was_served));
            if (!known || taken.count >= most.connections) && !taken.evict(now) {
                return Err(NoPlace::Full);
            }
        }
        Ok(self.seat(taken, address, now, evict))
    }

    fn seat(self: &Arc<Self>, taken: &mut Taken, address: Option<IpAddr>, now: u64, evict: CancellationToken) -> Place {
        let of_address = address.map(|ip| Arc::clone(&taken.addresses.entry(ip).or_default().unfinished));
        let unfinished = [Arc::clone(&self.unfinished), of_address.unwrap_or_default()];
        for count in &unfinished {
            count.fetch_add(1, Ordering::Relaxed);
        }
        taken.next += 1;
        let slot = Arc::new(Slot {
            state: AtomicU64::new(now),
            busy: AtomicU32::new(0),
            fresh: AtomicBool::new(true),
            served: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            unfinished,
            address,
            start: self.start,
            evict,
        });
        let entry = Entry { since: now, number: taken.next, slot: Arc::clone(&slot) };
        taken.count += 1;
        taken.all.push(entry.clone(), taken.count);
        taken.fresh.push(entry.clone(), self.unfinished.load(Ordering::Relaxed));
        if let Some(ip) = address
            && let Some(known) = taken.addresses.get_mut(&ip)
        {
            taken.by_count.remove(&(known.count, ip));
            known.count += 1;
            taken.by_count.insert((known.count, ip));
            known.idlest.push(entry.clone(), known.count);
            known.fresh.push(entry, known.unfinished.load(Ordering::Relaxed));
        }
        Place { places: Arc::clone(self), slot }
    }

    fn now(&self) -> u64 {
        since(self.start)
    }
}

/// Milliseconds and one, so that no point in time is a state.
fn since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(EVICTED - 2).saturating_add(1)
}

impl Taken {
    /// A slot gives up its place.
    fn left(&mut self, slot: &Slot) {
        if slot.gone.swap(true, Ordering::Relaxed) {
            return;
        }
        slot.spoke();
        self.count -= 1;
        let Some(ip) = slot.address else { return };
        let Some(known) = self.addresses.get_mut(&ip) else { return };
        self.by_count.remove(&(known.count, ip));
        known.count -= 1;
        if known.count == 0 {
            self.addresses.remove(&ip);
        } else {
            self.by_count.insert((known.count, ip));
        }
    }

    /// Ends the connection that is idle longest: of the address with the most connections if it has more than twice what
    /// addresses have on average, or else of all.
    fn evict(&mut self, now: u64) -> bool {
        let heaviest = self.by_count.last().copied();
        let from_heaviest = heaviest
            .filter(|(count, _)| count * self.addresses.len() > 2 * self.count)
            .and_then(|(_, ip)| self.addresses.get_mut(&ip)?.idlest.evict(now));
        let Some(slot) = from_heaviest.or_else(|| self.all.evict(now)) else { return false };
        self.left(&slot);
        true
    }

    fn evict_fresh(&mut self) {
        if let Some(slot) = self.fresh.evict() {
            self.left(&slot);
        }
    }
}

impl Address {
    fn was_served(&self) -> bool {
        self.idlest.0.iter().any(|Reverse(entry)| !entry.slot.gone() && entry.slot.served.load(Ordering::Relaxed))
    }
}

/// A connection in one of the orders, by when it became idle as far as was known when it was put there.
#[derive(Clone, Debug)]
struct Entry {
    since: u64,
    number: u64,
    slot: Arc<Slot>,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.since, self.number).cmp(&(other.since, other.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

/// Entries beyond twice those of use, and this many, are cleared out.
const SLACK: usize = 64;

/// The connection that is idle longest. Its entries are put right when they come up: connections mark themselves only.
#[derive(Debug, Default)]
struct Idlest(BinaryHeap<Reverse<Entry>>, u64);

impl Idlest {
    fn push(&mut self, entry: Entry, live: usize) {
        if self.0.len() > 2 * live + SLACK {
            self.0.retain(|Reverse(entry)| !entry.slot.gone());
        }
        self.0.push(Reverse(entry));
    }

    fn evict(&mut self, now: u64) -> Option<Arc<Slot>> {
        /// Entries looked through in a millisecond at most, where all are busy.
        const PACE: usize = 1000;
        let Self(entries, not_before) = self;
        if now < *not_before {
            return None;
        }
        let mut busy = Vec::new();
        let mut found = None;
        while let Some(Reverse(mut entry)) = entries.pop() {
            if entry.slot.gone() {
                continue;
            }
            match entry.slot.state.load(Ordering::Relaxed) {
                state if state == entry.since && entry.slot.evict_since(state) => {
                    found = Some(entry.slot);
                    break;
                }
                state if state == BUSY || state == entry.since => {
                    entry.since = now;
                    busy.push(Reverse(entry));
                }
                state => {
                    entry.since = state;
                    entries.push(Reverse(entry));
                }
            }
        }
        entries.extend(busy);
        if found.is_none() {
            *not_before = now + (entries.len() / PACE) as u64;
        }
        found
    }
}

/// The unfinished connections in the order in which they came.
#[derive(Debug, Default)]
struct Fresh(VecDeque<Entry>);

impl Fresh {
    fn push(&mut self, entry: Entry, live: usize) {
        while self.0.front().is_some_and(|entry| !entry.slot.is_fresh()) {
            self.0.pop_front();
        }
        if self.0.len() > 2 * live + SLACK {
            self.0.retain(|entry| entry.slot.is_fresh());
        }
        self.0.push_back(entry);
    }

    fn evict(&mut self) -> Option<Arc<Slot>> {
        while let Some(entry) = self.0.pop_front() {
            if entry.slot.is_fresh() && entry.slot.evict_since(entry.since) {
                return Some(entry.slot);
            }
        }
        None
    }
}

impl Slot {
    /// Of a connection that takes no place.
    #[cfg(test)]
    pub(crate) fn unseated() -> Arc<Self> {
        let most = Most { connections: 1, per_address: 1, unfinished: 1 };
        let place = Arc::new(Places::default()).take(None, most, CancellationToken::new());
        Arc::clone(place.expect("the first place is free").slot())
    }

    /// The client has said something that makes sense: a handshake is complete, or a request has begun.
    pub(crate) fn spoke(&self) {
        if self.fresh.load(Ordering::Relaxed) && self.fresh.swap(false, Ordering::Relaxed) {
            for count in &self.unfinished {
                count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Busy for as long as what is returned lives.
    pub(crate) fn work(self: &Arc<Self>) -> Working {
        self.spoke();
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.state.store(BUSY, Ordering::Relaxed);
        Working { slot: Arc::clone(self) }
    }

    fn evict_since(&self, state: u64) -> bool {
        let evicted = self.state.compare_exchange(state, EVICTED, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if evicted {
            self.evict.cancel();
        }
        evicted
    }

    fn is_fresh(&self) -> bool {
        self.fresh.load(Ordering::Relaxed) && !self.gone()
    }

    fn gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

impl Place {
    /// What the connection marks itself in.
    pub(crate) fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.lock().unwrap_or_else(PoisonError::into_inner).left(&self.slot);
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let slot = &self.slot;
        if slot.busy.fetch_sub(1, Ordering::Relaxed) == 1 {
            slot.served.store(true, Ordering::Relaxed);
            slot.state.store(since(slot.start), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Most = Most { connections: 8, per_address: 6, unfinished: 100 };

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    struct Seat(Place, CancellationToken);

    impl Seat {
        fn evicted(&self) -> bool {
            self.1.is_cancelled()
        }

        /// As after a request at that time.
        fn idle_since(self, time: u64) -> Self {
            drop(self.0.slot().work());
            self.0.slot().state.store(time, Ordering::Relaxed);
            self
        }
    }

    fn take(places: &Arc<Places>, address: u8, most: Most) -> Result<Seat, NoPlace> {
        let evict = CancellationToken::new();
        places.take(Some(ip(address)), most, evict.clone()).map(|place| Seat(place, evict))
    }

    fn evicted(seats: &[Seat]) -> Vec<usize> {
        (0..seats.len()).filter(|index| seats[*index].evicted()).collect()
    }

    #[test]
    fn when_it_is_full_the_one_that_is_idle_longest_goes() {
        let places = Arc::new(Places::default());
        let times = [5, 3, 9, 4, 7, 8, 6, 10].map(|time| 1_000_000 + time);
        let seats: Vec<Seat> =
            (1..).zip(times).map(|(address, time)| take(&places, address, MOST).unwrap().idle_since(time)).collect();
        let working = seats[1].0.slot().work();
        let mut newcomers = Vec::new();
        for (newcomer, expected) in [(101, vec![3]), (102, vec![0, 3]), (103, vec![0, 3, 6])] {
            let seat = take(&places, newcomer, MOST).unwrap();
            newcomers.push((seat.0.slot().work(), seat));
            assert_eq!(evicted(&seats), expected, "{newcomer}");
        }
        drop(working);
    }

    #[test]
    fn nothing_at_work_is_ended_for_a_newcomer() {
        let places = Arc::new(Places::default());
        let seats: Vec<Seat> = (1..=8).map(|address| take(&places, address, MOST).unwrap()).collect();
        let working: Vec<Working> = seats.iter().map(|seat| seat.0.slot().work()).collect();
        assert_eq!(take(&places, 9, MOST).err(), Some(NoPlace::Full));
        drop(working);
        let again = take(&places, 9, MOST);
        assert!(again.is_ok());
        assert_eq!(evicted(&seats).len(), 1);
    }

    #[test]
    fn an_address_makes_room_among_its_own() {
        let places = Arc::new(Places::default());
        let visitor = take(&places, 1, MOST).unwrap().idle_since(1);
        let flood: Vec<Seat> = (0..20).map(|_| take(&places, 2, MOST).unwrap()).collect();
        assert!(!visitor.evicted());
        assert_eq!(evicted(&flood).len(), 14);
        let working: Vec<Working> = flood[14..].iter().map(|seat| seat.0.slot().work()).collect();
        assert_eq!(take(&places, 2, MOST).err(), Some(NoPlace::Address));
        assert!(take(&places, 3, MOST).is_ok());
        drop(working);
    }

    #[test]
    fn the_address_with_the_most_connections_goes_before_older_visitors() {
        let places = Arc::new(Places::default());
        let most = Most { connections: 20, per_address: 20, unfinished: 100 };
        let visitors: Vec<Seat> = (1..=5).map(|n| take(&places, n, most).unwrap().idle_since(1)).collect();
        let flood: Vec<Seat> = (0..200).map(|_| take(&places, 200, most).unwrap()).collect();
        assert_eq!(evicted(&visitors), [0_usize; 0]);
        assert!(evicted(&flood).len() >= 185);
    }

    #[test]
    fn the_reserve_is_for_addresses_that_were_served() {
        let places = Arc::new(Places::default());
        let most = Most { connections: 20, per_address: 20, unfinished: 100 };
        let visitor = take(&places, 1, most).unwrap().idle_since(1);
        let flood: Vec<Seat> = (2..19).map(|n| take(&places, n, most).unwrap()).collect();
        let working: Vec<Working> = flood.iter().chain([&visitor]).map(|seat| seat.0.slot().work()).collect();
        assert_eq!(take(&places, 100, most).err(), Some(NoPlace::Full));
        let more: Vec<Seat> = (0..2).map(|_| take(&places, 1, most).unwrap()).collect();
        assert_eq!((evicted(&more).len(), evicted(&flood).len()), (0, 0));
        drop(working);
    }

    #[test]
    fn silent_connections_are_bounded_in_all_and_by_address() {
        let places = Arc::new(Places::default());
        let most = Most { connections: 1000, per_address: 1000, unfinished: 20 };
        let flood: Vec<Seat> = (0..10).map(|_| take(&places, 1, most).unwrap()).collect();
        assert_eq!(evicted(&flood), [0, 1, 2, 3, 4, 5]);
        let others: Vec<Seat> = (0..30).map(|n| take(&places, 10 + n, most).unwrap()).collect();
        assert_eq!(places.unfinished.load(Ordering::Relaxed), 20);
        assert_eq!(evicted(&others).len(), 10);
        for seat in &others {
            seat.0.slot().spoke();
        }
        assert_eq!(places.unfinished.load(Ordering::Relaxed), 0);
        drop((flood, others));
        let taken = places.taken.lock().unwrap();
        assert_eq!((taken.count, taken.addresses.len(), taken.by_count.len()), (0, 0, 0));
        drop(taken);
        // What is left in the orders is bounded.
        for _ in 0..10_000 {
            drop(take(&places, 1, most));
        }
        let taken = places.taken.lock().unwrap();
        assert!(taken.all.0.len() + taken.fresh.0.len() < 4 * SLACK);
    }
}
