//! How long to wait before the next attempt. Pure: chance is passed in.

use std::time::Duration;

/// The longest first pause.
const FIRST: Duration = Duration::from_millis(200);
/// The longest pause of all.
const MOST: Duration = Duration::from_secs(30);

/// Full jitter: each pause is any length up to a limit that doubles with every failure, so that a thousand proxies that
/// lost the same controller do not come back at the same time (docs/security.md, R-10).
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    limit: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { limit: FIRST }
    }
}

impl Backoff {
    /// The next pause, given a number from 0 to 1.
    pub(crate) fn pause(&mut self, random: f64) -> Duration {
        let limit = self.limit;
        self.limit = (limit * 2).min(MOST);
        limit.mul_f64(random.clamp(0.0, 1.0))
    }

    /// After a success.
    pub(crate) fn reset(&mut self) {
        self.limit = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_start_over_after_a_success() {
        let mut backoff = Backoff::default();
        let longest: Vec<u128> = (0..10).map(|_| backoff.pause(1.0).as_millis()).collect();
        assert_eq!(longest, [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
        assert_eq!(backoff.pause(0.5), Duration::from_secs(15));
        assert_eq!(backoff.pause(0.0), Duration::ZERO);
        backoff.reset();
        assert_eq!(backoff.pause(2.0), FIRST);
    }
}
