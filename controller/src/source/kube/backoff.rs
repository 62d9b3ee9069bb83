//! How long to wait after a failure: twice as long after each, within bounds, and never all watches at once.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
    last: Option<Instant>,
}

impl Backoff {
    pub(super) fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, failures: 0, last: None }
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The pause after one more failure. A watch that works is silent, so a long time without a failure is a success.
    pub(super) fn next(&mut self, now: Instant) -> Duration {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) > self.most * 4) {
            self.failures = 0;
        }
        self.last = Some(now);
        let pause = self.first.saturating_mul(1 << self.failures.min(20)).min(self.most);
        self.failures = self.failures.saturating_add(1);
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound_and_differ() {
        let (first, most) = (Duration::from_millis(100), Duration::from_secs(5));
        let now = Instant::now();
        let mut backoff = Backoff::new(first, most);
        for expected in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let (pause, expected) = (backoff.next(now), Duration::from_millis(expected));
            assert!(pause >= expected / 2 && pause <= expected, "{pause:?} for {expected:?}");
        }
        for _ in 0..100 {
            assert!(backoff.next(now) <= most);
        }
        backoff.reset();
        assert!(backoff.next(now) <= first);
        backoff.next(now);
        assert!(backoff.next(now + most * 5) <= first);
    }
}
