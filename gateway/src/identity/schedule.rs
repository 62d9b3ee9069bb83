//! When a certificate is renewed (docs/security.md, R-7, R-8). Pure: clock and chance are passed in.

use std::time::{Duration, SystemTime};

/// Until a certificate that our clock takes for expired is renewed: the clocks of two machines may differ by minutes,
/// and the authority must not be asked without pause.
const CLOCKS_DISAGREE: Duration = Duration::from_secs(30);
/// However short a certificate lives.
const SHORTEST: Duration = Duration::from_millis(500);
/// Of the half of a life, up or down.
const JITTER: f64 = 0.1;

/// When to renew a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// From its receipt, by a clock that never jumps.
    wait: Duration,
    /// By the clock on the wall: a machine that slept has waited less than it should have.
    latest: SystemTime,
}

impl Plan {
    /// For a certificate received `now`; `random` is a number from 0 to 1. Counted from the receipt: a certificate is
    /// dated back a little when it is made.
    pub(crate) fn new(not_after: SystemTime, now: SystemTime, random: f64) -> Self {
        let left = not_after.duration_since(now).unwrap_or_default();
        let wait = if left.is_zero() {
            CLOCKS_DISAGREE
        } else {
            (left / 2).mul_f64(1.0 - JITTER + 2.0 * JITTER * random.clamp(0.0, 1.0)).max(SHORTEST)
        };
        Self { wait, latest: now.checked_add(wait.max(left / 4 * 3)).unwrap_or(now) }
    }

    /// How long to sleep at most before asking again; zero = renew.
    pub(crate) fn remaining(&self, since_receipt: Duration, now: SystemTime) -> Duration {
        if now >= self.latest { Duration::ZERO } else { self.wait.saturating_sub(since_receipt) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn now() -> SystemTime {
        UNIX_EPOCH + HOUR * 400_000
    }

    #[test]
    fn half_of_what_is_left_more_or_less() {
        let wait = |random| Plan::new(now() + HOUR * 24, now(), random).wait;
        assert_eq!(wait(0.0).as_secs(), 38_880);
        assert_eq!(wait(0.5).as_secs(), 43_200);
        assert_eq!(wait(1.0).as_secs(), 47_520);
    }

    #[test]
    fn time_is_counted_without_the_wall_clock_until_that_says_it_is_late() {
        let plan = Plan::new(now() + HOUR * 24, now(), 0.5);
        assert_eq!(plan.remaining(Duration::ZERO, now()), HOUR * 12);
        // The clock was set back, or forward by a bit.
        assert_eq!(plan.remaining(HOUR, now() - HOUR * 100), HOUR * 11);
        assert_eq!(plan.remaining(HOUR, now() + HOUR * 17), HOUR * 11);
        // The machine slept.
        assert_eq!(plan.remaining(HOUR, now() + HOUR * 18), Duration::ZERO);
        assert_eq!(plan.remaining(HOUR * 12, now()), Duration::ZERO);
        assert_eq!(plan.remaining(HOUR * 50, now()), Duration::ZERO);
    }

    #[test]
    fn one_that_seems_expired_is_not_asked_for_without_pause() {
        let plan = Plan::new(now() - HOUR, now(), 0.0);
        assert_eq!(plan.remaining(Duration::ZERO, now()), CLOCKS_DISAGREE);
        assert_eq!(plan.remaining(CLOCKS_DISAGREE, now()), Duration::ZERO);
        let short = Plan::new(now() + Duration::from_millis(10), now(), 0.0);
        assert_eq!(short.remaining(Duration::ZERO, now()), SHORTEST);
    }
}
