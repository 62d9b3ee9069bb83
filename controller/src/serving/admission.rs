//! How many handshakes may begin in a second (docs/security.md, R-10): when all proxies come back at once, they are taken
//! one after the other instead of all at the same time, and none of them waits for longer than it can bear.

use std::time::{Duration, Instant};

/// A bucket that holds one second's worth.
#[derive(Debug)]
pub(super) struct Admission {
    interval: Duration,
    /// When the next one may begin if there were no saved-up ones.
    next: Instant,
}

const BURST: Duration = Duration::from_secs(1);

impl Admission {
    /// No limit if the number is 0.
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        let interval = Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
        Self { interval, next: now.checked_sub(BURST).unwrap_or(now) }
    }

    /// How long the next handshake has to wait.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let begin = self.next.max(earliest);
        self.next = begin + self.interval;
        (begin + self.interval).saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_them_at_once_and_then_evenly() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut admission = Admission::new(100, start);
        for number in 0..100 {
            assert_eq!(admission.wait(start), Duration::ZERO, "{number}");
        }
        assert_eq!(admission.wait(start), Duration::from_millis(10));
        assert_eq!(admission.wait(start), Duration::from_millis(20));
        let later = start + Duration::from_secs(60);
        let free = (0..200).filter(|_| admission.wait(later).is_zero()).count();
        assert_eq!(free, 100);
    }

    #[test]
    fn zero_is_no_limit() {
        let start = Instant::now();
        let mut admission = Admission::new(0, start);
        assert!((0..10_000).all(|_| admission.wait(start).is_zero()));
    }
}
