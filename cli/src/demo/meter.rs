//! What the demo's traffic sees: rate, shares, failures, latency. Counts over the last seconds; the clock is passed
//! in.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Seconds that a reading covers. Long enough for a steady share, short enough to follow an edit.
const WINDOW: usize = 5;
/// Longer answers are counted as this.
const MAX_MICROS: u64 = 60_000_000;

/// Counters, one slot per second.
pub(crate) struct Meter {
    started: Instant,
    slots: VecDeque<Slot>,
    requests: u64,
    failures: u64,
    last_failure: Option<String>,
}

struct Slot {
    /// Whole seconds since the start.
    second: u64,
    /// When counting in this slot began.
    since: Instant,
    versions: BTreeMap<String, u64>,
    latency: Histogram<u32>,
    finished: u64,
}

/// The figures of the last seconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) per_second: f64,
    /// Answers by version.
    pub(crate) versions: BTreeMap<String, u64>,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// Since the start.
    pub(crate) requests: u64,
    /// Since the start.
    pub(crate) failures: u64,
    pub(crate) last_failure: Option<String>,
}

impl Meter {
    pub(crate) fn new(now: Instant) -> Self {
        Self { started: now, slots: VecDeque::new(), requests: 0, failures: 0, last_failure: None }
    }

    pub(crate) fn success(&mut self, now: Instant, version: &str, took: Duration) {
        self.requests += 1;
        let slot = self.slot(now);
        slot.finished += 1;
        *slot.versions.entry(version.to_owned()).or_default() += 1;
        let micros = u64::try_from(took.as_micros()).unwrap_or(MAX_MICROS).clamp(1, MAX_MICROS);
        slot.latency.saturating_record(micros);
    }

    pub(crate) fn failure(&mut self, now: Instant, what: String) {
        self.requests += 1;
        self.failures += 1;
        self.last_failure = Some(what);
        self.slot(now).finished += 1;
    }

    /// Forgets who answered so far, so that the shares show the new configuration alone.
    pub(crate) fn restart_shares(&mut self) {
        for slot in &mut self.slots {
            slot.versions.clear();
        }
    }

    pub(crate) fn read(&mut self, now: Instant) -> Reading {
        let second = self.second(now);
        self.forget(second);
        let mut versions = BTreeMap::new();
        let mut latency = histogram();
        let mut finished = 0;
        for slot in &self.slots {
            finished += slot.finished;
            for (version, count) in &slot.versions {
                *versions.entry(version.clone()).or_default() += count;
            }
            // Same bounds and precision: nothing to refuse.
            let _ = latency.add(&slot.latency);
        }
        let since = self.slots.front().map_or(now, |slot| slot.since);
        // Less than a second is no basis for a rate.
        let seconds = now.saturating_duration_since(since).as_secs_f64().max(1.0);
        let quantile = |q| Duration::from_micros(latency.value_at_quantile(q));
        Reading {
            per_second: finished as f64 / seconds,
            versions,
            p50: quantile(0.50),
            p99: quantile(0.99),
            requests: self.requests,
            failures: self.failures,
            last_failure: self.last_failure.clone(),
        }
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_secs()
    }

    fn forget(&mut self, second: u64) {
        while self.slots.front().is_some_and(|slot| slot.second + WINDOW as u64 <= second) {
            self.slots.pop_front();
        }
    }

    fn slot(&mut self, now: Instant) -> &mut Slot {
        let second = self.second(now);
        self.forget(second);
        if self.slots.back().is_none_or(|slot| slot.second < second) {
            let since = if self.slots.is_empty() { now } else { self.started + Duration::from_secs(second) };
            self.slots.push_back(Slot { second, since, versions: BTreeMap::new(), latency: histogram(), finished: 0 });
        }
        let last = self.slots.len() - 1;
        &mut self.slots[last]
    }
}

fn histogram() -> Histogram<u32> {
    Histogram::new_with_bounds(1, MAX_MICROS, 2).expect("the bounds are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn a_reading_covers_the_last_seconds_and_totals_cover_all() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        for i in 0..1000 {
            let version = if i % 10 == 0 { "v2" } else { "v1" };
            meter.success(at(start, i * 20), version, Duration::from_micros(if i % 100 == 99 { 9_000 } else { 500 }));
        }
        let reading = meter.read(at(start, 19_999));
        assert_eq!(reading.requests, 1000);
        assert!((reading.per_second - 50.0).abs() < 1.0, "{reading:?}");
        assert_eq!((reading.versions["v1"], reading.versions["v2"]), (225, 25));
        assert!((480..=520).contains(&reading.p50.as_micros()), "{reading:?}");
        let late = meter.read(at(start, 60_000));
        assert_eq!((late.versions.len(), late.requests), (0, 1000));
    }

    #[test]
    fn failures_are_never_forgotten() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        meter.failure(start, "status 503".to_owned());
        meter.restart_shares();
        let reading = meter.read(at(start, 30_000));
        assert_eq!((reading.failures, reading.last_failure.as_deref()), (1, Some("status 503")));
    }

    #[test]
    fn after_a_restart_only_new_answers_make_the_shares() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        meter.success(start, "v1", Duration::from_millis(1));
        meter.restart_shares();
        meter.success(at(start, 100), "v2", Duration::from_millis(1));
        let reading = meter.read(at(start, 200));
        assert_eq!(reading.versions.get("v1"), None);
        assert_eq!(reading.versions.get("v2"), Some(&1));
        assert_eq!(reading.per_second, 2.0);
    }
}
