//! How many handshakes may begin in a second (docs/security.md, R-10): when all proxies come back at once, they are taken
//! one after the other instead of all at the same time, and none of them waits for longer than it can bear. One address
//! cannot have all of it, and addresses that were there before have a share of their own. Reads no clock.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A bucket that holds one second's worth.
#[derive(Debug)]
struct Rate {
    interval: Duration,
    /// When the next one may begin if there were no saved-up ones.
    next: Instant,
}

const BURST: Duration = Duration::from_secs(1);

/// Addresses whose pace is remembered.
const ADDRESSES: usize = 10_000;

impl Rate {
    /// No limit if the number is 0.
    fn new(per_second: u32, now: Instant) -> Self {
        let interval = Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
        Self { interval, next: now.checked_sub(BURST).unwrap_or(now) }
    }

    /// How long the next one has to wait. One that would have to wait for longer than it can takes no turn.
    fn wait(&mut self, now: Instant, patience: Duration) -> Option<Duration> {
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let turn = self.next.max(earliest) + self.interval;
        let wait = turn.saturating_duration_since(now);
        if wait > patience {
            return None;
        }
        self.next = turn;
        Some(wait)
    }
}

/// The turns of a listener.
#[derive(Debug)]
pub(super) struct Admission {
    shared: Rate,
    /// For addresses that were there before.
    known: Rate,
    each: u32,
    addresses: HashMap<IpAddr, Rate>,
}

impl Admission {
    /// No limit if the number is 0.
    pub(super) fn new(per_second: u32, each: u32, now: Instant) -> Self {
        let known = Rate::new(if per_second == 0 { 0 } else { per_second.div_ceil(4) }, now);
        let each = if per_second == 0 { 0 } else { each };
        Self { shared: Rate::new(per_second, now), known, each, addresses: HashMap::new() }
    }

    /// How long the next handshake of an address waits for the turn of its address.
    pub(super) fn of_address(&mut self, address: IpAddr, now: Instant, patience: Duration) -> Option<Duration> {
        if self.each == 0 {
            return Some(Duration::ZERO);
        }
        if self.addresses.len() >= ADDRESSES && !self.addresses.contains_key(&address) {
            // A full bucket says as much as none.
            self.addresses.retain(|_, rate| rate.next + BURST > now);
            if self.addresses.len() >= ADDRESSES {
                return None;
            }
        }
        self.addresses.entry(address).or_insert_with(|| Rate::new(self.each, now)).wait(now, patience)
    }

    /// And then for the turn of all.
    pub(super) fn of_all(&mut self, known: bool, now: Instant, patience: Duration) -> Option<Duration> {
        if known && let Some(wait) = self.known.wait(now, Duration::ZERO) {
            return Some(wait);
        }
        self.shared.wait(now, patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn address(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    #[test]
    fn a_second_of_them_at_once_and_then_evenly() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut admission = Admission::new(100, 50, start);
        let mut wait = |now| admission.of_all(false, now, PATIENCE);
        for number in 0..100 {
            assert_eq!(wait(start), Some(Duration::ZERO), "{number}");
        }
        assert_eq!(wait(start), Some(Duration::from_millis(10)));
        assert_eq!(wait(start), Some(Duration::from_millis(20)));
        let later = start + Duration::from_secs(60);
        let free = (0..200).filter(|_| wait(later) == Some(Duration::ZERO)).count();
        assert_eq!(free, 100);
    }

    #[test]
    fn one_address_cannot_have_all_turns() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut admission = Admission::new(100, 50, start);
        let waits: Vec<_> = (0..600).map(|_| admission.of_address(address(1), start, PATIENCE)).collect();
        assert_eq!(waits.iter().filter(|wait| **wait == Some(Duration::ZERO)).count(), 50);
        // Beyond its patience there is no turn, and none is used up.
        assert_eq!(waits.iter().flatten().count(), 550);
        assert_eq!(admission.of_address(address(2), start, PATIENCE), Some(Duration::ZERO));
    }

    #[test]
    fn a_crowd_of_newcomers_does_not_delay_those_that_were_there_before() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut admission = Admission::new(100, 50, start);
        while admission.of_all(false, start, PATIENCE).is_some() {}
        assert!((0..25).all(|_| admission.of_all(true, start, PATIENCE) == Some(Duration::ZERO)));
        assert_eq!(admission.of_all(true, start, PATIENCE), None);
        assert_eq!(admission.of_all(true, start + Duration::from_secs(1), PATIENCE), Some(Duration::ZERO));
    }

    #[test]
    fn zero_is_no_limit() {
        let start = Instant::now();
        let mut admission = Admission::new(0, 50, start);
        assert!((0..10_000).all(|_| admission.of_address(address(1), start, PATIENCE) == Some(Duration::ZERO)));
        assert!((0..10_000).all(|_| admission.of_all(false, start, PATIENCE) == Some(Duration::ZERO)));
    }

    #[test]
    fn paces_of_addresses_are_forgotten() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut admission = Admission::new(100, 50, start);
        for number in 0..u16::try_from(ADDRESSES).unwrap() {
            let [a, b] = number.to_be_bytes();
            assert!(admission.of_address([10, 1, a, b].into(), start, PATIENCE).is_some());
        }
        assert_eq!(admission.of_address(address(1), start, PATIENCE), None);
        assert!(admission.of_address(address(1), start + Duration::from_secs(2), PATIENCE).is_some());
        assert_eq!(admission.addresses.len(), 1);
    }
}
