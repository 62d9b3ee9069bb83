//! A token bucket: so many at once, so many per second. Takes the time as given.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    burst: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    /// A full one. A rate of 0 counts as 1: nothing would ever be written.
    pub(super) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst.max(1));
        Self { per_second: f64::from(per_second.max(1)), burst, level: burst, at: now }
    }

    /// How many can be had now.
    pub(super) fn available(&mut self, now: Instant) -> usize {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.level = (self.level + gained).min(self.burst);
        self.at = self.at.max(now);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the burst")]
        let whole = self.level.max(0.0) as usize;
        whole
    }

    /// Takes one; it must be available.
    pub(super) fn take(&mut self) {
        self.level -= 1.0;
    }

    /// How long until there is one.
    pub(super) fn wait(&self) -> Duration {
        Duration::from_secs_f64(((1.0 - self.level) / self.per_second).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 3, start);
        assert_eq!(bucket.available(start), 3);
        (0..3).for_each(|_| bucket.take());
        assert_eq!((bucket.available(start), bucket.wait()), (0, Duration::from_millis(100)));
        assert_eq!(bucket.available(start + Duration::from_millis(250)), 2);
        assert_eq!(bucket.available(start + Duration::from_secs(60)), 3, "no more than a burst");
    }
}
