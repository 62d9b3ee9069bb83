//! How often one workload may ask for certificates (docs/security.md, CP-4): a bucket of tokens for each, refilled
//! evenly. Knows nothing of certificates.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

use crate::bucket::Bucket;

/// Most workloads that are kept apart; those that have not asked for a while are forgotten first.
const CAPACITY: usize = 100_000;

/// So many requests in a minute.
#[derive(Debug)]
pub struct RateLimit<K> {
    full: Bucket,
    buckets: HashMap<K, Bucket>,
}

impl<K: Eq + Hash> RateLimit<K> {
    /// None at all if the number is 0.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        Self::with_burst(per_minute, per_minute)
    }

    /// So many at once, however many come in a minute.
    #[must_use]
    pub(crate) fn with_burst(per_minute: u32, burst: u32) -> Self {
        Self { full: Bucket::with_burst(per_minute, burst), buckets: HashMap::new() }
    }

    /// Takes one request; false if there have been too many.
    pub fn take(&mut self, key: K, now: Instant) -> bool {
        if self.buckets.len() >= CAPACITY && !self.buckets.contains_key(&key) {
            // A full bucket says as much as none.
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            if self.buckets.len() >= CAPACITY {
                return false;
            }
        }
        self.buckets.entry(key).or_insert_with(|| self.full.clone()).take(now)
    }

    /// Whether one more request would be taken.
    pub(crate) fn has_turn(&self, key: &K, now: Instant) -> bool {
        self.buckets.get(key).is_none_or(|bucket| bucket.has_turn(now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn so_many_at_once_and_then_evenly() {
        let mut limit = RateLimit::new(5);
        let start = Instant::now();
        for _ in 0..5 {
            assert!(limit.take("a", start));
        }
        assert!(!limit.take("a", start));
        assert!(limit.take("b", start));
        assert!(!limit.take("a", start + Duration::from_secs(11)));
        assert!(limit.take("a", start + Duration::from_secs(12)));
        assert!(!limit.take("a", start + Duration::from_secs(13)));
        let later = start + Duration::from_secs(600);
        let taken = (0..10).filter(|_| limit.take("a", later)).count();
        assert_eq!(taken, 5);
    }

    #[test]
    fn who_has_not_asked_for_a_minute_is_forgotten() {
        let mut limit = RateLimit::new(5);
        let start = Instant::now();
        for key in 0..CAPACITY {
            assert!(limit.take(key, start));
        }
        assert!(!limit.take(usize::MAX, start));
        assert!(limit.take(usize::MAX, start + Duration::from_secs(61)));
        assert_eq!(limit.buckets.len(), 1);
    }
}
