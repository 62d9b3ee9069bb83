//! Where the time from a save to the first request that sees it goes, and quantiles of that.

use std::time::Duration;

/// One edit. The stages follow each other; what the total has more than they have is the wait for the next request of
/// the client, less what the proxy does after requests already see the change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stages {
    /// From the save to the first request that sees it.
    pub total: Duration,
    /// Until the controller knows that something happened.
    pub notice: Duration,
    /// Until the proxy is told: gathering what belongs together, reading the file, translating, encoding.
    pub translate: Duration,
    /// Until the proxy has answered: decoding, compiling, swapping.
    pub compile: Duration,
}

/// The value that this share of the values does not exceed.
///
/// # Panics
/// Without values.
#[must_use]
pub fn quantile(values: impl Iterator<Item = Duration>, share: f64) -> Duration {
    let mut values: Vec<Duration> = values.collect();
    values.sort_unstable();
    let rank = (share * values.len() as f64).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let of = |count: u64, share: f64| quantile((1..=count).rev().map(Duration::from_millis), share).as_millis();
        assert_eq!((of(200, 0.5), of(200, 0.99), of(200, 1.0)), (100, 198, 200));
        assert_eq!((of(1, 0.0), of(1, 0.99), of(3, 0.5)), (1, 1, 2));
    }
}
