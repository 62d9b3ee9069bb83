//! A bucket of turns that is refilled evenly: so many at once, and so many in a minute.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// Turns of one party.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    per_minute: u32,
    burst: u32,
    /// When the bucket was, or will be, full again; `None` = it is full.
    full_at: Option<Instant>,
}

impl Bucket {
    /// A full bucket; none at all if the number is 0.
    pub(crate) fn per_minute(per_minute: u32) -> Self {
        Self::with_burst(per_minute, per_minute)
    }

    /// A full bucket that holds more, or fewer, turns than come in a minute.
    pub(crate) fn with_burst(per_minute: u32, burst: u32) -> Self {
        Self { per_minute, burst, full_at: None }
    }

    /// Takes a turn; false if there have been too many.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let Some(each) = MINUTE.checked_div(self.per_minute) else { return false };
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + each;
        if full_at > now + each * self.burst {
            return false;
        }
        self.full_at = Some(full_at);
        true
    }

    /// Whether a turn could be taken.
    pub(crate) fn has_turn(&self, now: Instant) -> bool {
        self.clone().take(now)
    }

    /// A full bucket says as much as none.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }
}

/// Lines of a log that peers can cause: so many in a minute, so that none of them fills it.
#[derive(Debug)]
pub(crate) struct Sparse(Mutex<Bucket>);

impl Sparse {
    pub(crate) fn per_minute(lines: u32) -> Self {
        Self(Mutex::new(Bucket::per_minute(lines)))
    }

    /// Whether there is room for a line.
    pub(crate) fn allows(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_evenly() {
        let start = Instant::now();
        let mut bucket = Bucket::per_minute(5);
        assert!(bucket.is_full(start));
        assert!((0..5).all(|_| bucket.take(start)));
        assert!(!bucket.has_turn(start) && !bucket.take(start) && !bucket.is_full(start));
        assert!(!bucket.take(start + Duration::from_secs(11)));
        assert!(bucket.has_turn(start + Duration::from_secs(12)) && bucket.take(start + Duration::from_secs(12)));
        assert_eq!((0..10).filter(|_| bucket.take(start + Duration::from_secs(600))).count(), 5);
        assert!(!Bucket::per_minute(0).take(start));
        let mut large = Bucket::with_burst(6, 100);
        assert_eq!((0..200).filter(|_| large.take(start)).count(), 100);
        assert_eq!((0..200).filter(|_| large.take(start + MINUTE)).count(), 6);
    }
}
