//! When a lease may be taken, and until when it is held: decisions only, no requests, no clock of its own.
//!
//! Nobody's wall clock is believed. A lease counts as abandoned when it has not been seen to change for its whole
//! duration, and as held from the moment before the renewal was sent, both by this process's monotonic clock; so clocks
//! that differ between nodes, or jump, do no harm (docs/security.md, R-8). Every write names the version it replaces,
//! which leaves one winner.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::Options;

/// How long a lease is held that was renewed at a certain moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Term {
    /// No write begins later.
    pub(super) begins_before: Instant,
    /// Every write is given up by then: it is the earliest moment at which somebody else can hold the lease.
    pub(super) ends_before: Instant,
}

/// What to do about the lease as it was found.
#[derive(Debug, PartialEq)]
pub(super) enum Move {
    /// Put this in place of what was found.
    Put(Box<LeaseSpec>),
    /// Somebody else holds it; look again after this time at the latest.
    Wait(Duration),
}

#[derive(Debug)]
pub(super) struct Elector {
    options: Options,
    /// The version last seen, and when it was first seen. Not what is written in it: a clock that stands still may not make
    /// a holder look dead.
    seen: Option<(String, Instant)>,
    term: Option<Term>,
}

impl Elector {
    pub(super) fn new(options: Options) -> Self {
        Self { options, seen: None, term: None }
    }

    /// Decides about a lease that was found; an empty one is as good as none.
    pub(super) fn decide(&mut self, version: &str, found: &LeaseSpec, now: Instant, time: Timestamp) -> Move {
        let since = match &self.seen {
            Some((before, since)) if before == version => *since,
            Some(_) | None => now,
        };
        self.seen = Some((version.to_owned(), since));
        let holder = found.holder_identity.as_deref().unwrap_or_default();
        if holder == self.options.identity {
            return Move::Put(Box::new(self.renewed(found, time)));
        }
        // Whoever holds it now is no longer us, whatever we thought.
        self.term = None;
        let written = found.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
        let abandoned = since + self.options.lease_duration.max(Duration::from_secs(written));
        if holder.is_empty() || now >= abandoned {
            return Move::Put(Box::new(self.taken(found, time)));
        }
        Move::Wait(self.options.retry_period.min(abandoned - now))
    }

    /// Our version is in place; it was sent at that moment.
    pub(super) fn confirmed(&mut self, version: &str, sent: Instant) -> Term {
        let term =
            Term { begins_before: sent + self.options.renew_deadline, ends_before: sent + self.options.lease_duration };
        self.seen = Some((version.to_owned(), sent));
        self.term = Some(term);
        term
    }

    /// The time that is left for holding the lease.
    pub(super) fn term(&self, now: Instant) -> Option<Term> {
        self.term.filter(|term| now < term.begins_before)
    }

    /// What is left behind for the next one to take at once.
    pub(super) fn released(&self, found: &LeaseSpec, time: Timestamp) -> LeaseSpec {
        LeaseSpec {
            holder_identity: None,
            renew_time: Some(MicroTime(time)),
            lease_duration_seconds: Some(1),
            ..found.clone()
        }
    }

    fn renewed(&self, found: &LeaseSpec, time: Timestamp) -> LeaseSpec {
        LeaseSpec { renew_time: Some(MicroTime(time)), lease_duration_seconds: Some(self.seconds()), ..found.clone() }
    }

    fn taken(&self, found: &LeaseSpec, time: Timestamp) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.options.identity.clone()),
            acquire_time: Some(MicroTime(time)),
            renew_time: Some(MicroTime(time)),
            lease_duration_seconds: Some(self.seconds()),
            lease_transitions: Some(found.lease_transitions.unwrap_or(0).saturating_add(1)),
            ..found.clone()
        }
    }

    fn seconds(&self) -> i32 {
        i32::try_from(self.options.lease_duration.as_secs_f64().ceil() as i64).unwrap_or(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elector(identity: &str) -> Elector {
        Elector::new(Options { identity: identity.to_owned(), ..Options::default() })
    }

    fn put(decision: Move) -> LeaseSpec {
        match decision {
            Move::Put(spec) => *spec,
            Move::Wait(_) => panic!("expected a write, found {decision:?}"),
        }
    }

    /// Wall clocks hours apart change nothing.
    fn time(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3_600).unwrap()
    }

    #[test]
    fn a_lease_that_changes_is_left_alone_and_one_that_does_not_is_taken() {
        let start = Instant::now();
        let (mut one, mut two) = (elector("one"), elector("two"));
        let options = Options::default();
        let mut lease = put(one.decide("0", &LeaseSpec::default(), start, time(0)));
        one.confirmed("1", start);
        let mut now = start;
        let mut version = String::new();
        for count in 1..20 {
            version = count.to_string();
            now += options.retry_period;
            assert!(matches!(two.decide(&version, &lease, now, time(40)), Move::Wait(_)));
            // Its clock stands still.
            lease = put(one.decide(&version, &lease, now, time(0)));
            one.confirmed(&format!("{}", count + 1), now);
        }
        assert_eq!(two.decide(&version, &lease, now, time(40)), Move::Wait(options.retry_period));
        let abandoned = now + options.lease_duration;
        let just_before = abandoned - Duration::from_millis(1);
        assert_eq!(two.decide(&version, &lease, just_before, time(40)), Move::Wait(Duration::from_millis(1)));
        let taken = put(two.decide(&version, &lease, abandoned, time(40)));
        assert_eq!((taken.holder_identity.as_deref(), taken.lease_transitions), (Some("two"), Some(2)));
    }

    #[test]
    fn nobody_writes_between_the_deadline_and_the_end() {
        let start = Instant::now();
        let mut one = elector("one");
        let options = Options::default();
        one.decide("0", &LeaseSpec::default(), start, time(0));
        assert!(one.term(start).is_none());
        let term = one.confirmed("1", start);
        assert_eq!(one.term(start + options.renew_deadline - Duration::from_millis(1)), Some(term));
        assert_eq!(one.term(start + options.renew_deadline), None);
        assert!(term.ends_before - term.begins_before >= Duration::from_secs(2));
    }

    #[test]
    fn a_holder_who_slept_finds_that_another_took_it() {
        let start = Instant::now();
        let (mut one, mut two) = (elector("one"), elector("two"));
        let lease = put(one.decide("0", &LeaseSpec::default(), start, time(0)));
        one.confirmed("1", start);
        two.decide("1", &lease, start, time(0));
        let later = start + Options::default().lease_duration;
        let taken = put(two.decide("1", &lease, later, time(0)));
        two.confirmed("2", later);
        assert!(one.term(later).is_none(), "before it has even looked");
        assert!(matches!(one.decide("2", &taken, later, time(0)), Move::Wait(_)));
        assert!(two.term(later).is_some());
    }

    #[test]
    fn a_released_lease_is_taken_at_once() {
        let start = Instant::now();
        let (mut one, mut two) = (elector("one"), elector("two"));
        let lease = put(one.decide("0", &LeaseSpec::default(), start, time(0)));
        two.decide("1", &lease, start, time(0));
        let released = one.released(&lease, time(0));
        assert_eq!(put(two.decide("2", &released, start, time(0))).holder_identity.as_deref(), Some("two"));
    }

    /// Electors that are paused anywhere, among a server that refuses versions that are not the last.
    #[test]
    fn never_two_at_once_whatever_is_paused() {
        let options = Options::default();
        let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
        let mut roll = |sides: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            (dice >> 11) % sides
        };
        let start = Instant::now();
        let mut now = start;
        let names = ["one", "two", "three"];
        let mut electors = names.map(elector);
        let (mut lease, mut version) = (LeaseSpec::default(), 0_u64);
        // What each found and means to put in its place, and when it sent that.
        let mut pending: [Option<(LeaseSpec, u64, Instant)>; 3] = [None, None, None];
        let mut asleep = [start; 3];
        let mut changes = 0;
        for _ in 0..50_000 {
            now += Duration::from_millis(roll(700));
            let index = usize::try_from(roll(3)).unwrap();
            if roll(150) == 0 {
                asleep[index] = now + Duration::from_secs(roll(40));
            }
            if now < asleep[index] {
                continue;
            }
            match pending[index].take() {
                Some((spec, read, sent)) => {
                    if read == version && roll(20) != 0 {
                        changes += u32::from(lease.holder_identity != spec.holder_identity);
                        (lease, version) = (spec.clone(), version + 1);
                        // The answer may be lost.
                        if roll(20) != 0 {
                            electors[index].confirmed(&version.to_string(), sent);
                        }
                    }
                }
                None => {
                    if let Move::Put(spec) = electors[index].decide(&version.to_string(), &lease, now, time(0)) {
                        pending[index] = Some((*spec, version, now));
                    }
                }
            }
            let holding: Vec<&str> =
                names.iter().zip(&electors).filter(|(_, it)| it.term(now).is_some()).map(|(name, _)| *name).collect();
            assert!(holding.len() <= 1, "{holding:?} after {:?}", now - start);
        }
        assert!(changes > 20 && options.lease_duration > options.renew_deadline, "{changes} changes only");
    }
}
