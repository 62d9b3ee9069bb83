//! What the fleet counts. Names as Istio's control plane has them, where it has them (docs/semantics.md §16.1).

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::member::Answer;

/// Handles of the fleet's metrics.
#[derive(Clone, Debug)]
pub struct FleetMetrics {
    pub(crate) proxies: IntGauge,
    pub(crate) convergence: Histogram,
    queue: Histogram,
    translation: Histogram,
    events: IntCounter,
    units: IntCounter,
    rejected: IntCounterVec,
    pushes: IntCounter,
    pub(crate) push_bytes: IntCounter,
    pub(crate) refused_proxies: IntCounterVec,
}

impl FleetMetrics {
    /// # Errors
    /// When the registry has metrics of these names already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str, start: f64| {
            let buckets = prometheus::exponential_buckets(start, 2.0, 18)?;
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let proxies = IntGauge::new("pilot_xds", "Proxies connected to this replica.")?;
        registry.register(Box::new(proxies.clone()))?;
        let opts = Opts::new("sluice_controller_rejected_resources_total", "Resources that a proxy could not use.");
        let rejected = IntCounterVec::new(opts, &["kind"])?;
        registry.register(Box::new(rejected.clone()))?;
        let opts = Opts::new(
            "sluice_controller_refused_streams_total",
            "Streams of proxies that were not served, or ended, by code.",
        );
        let refused_proxies = IntCounterVec::new(opts, &["code"])?;
        registry.register(Box::new(refused_proxies.clone()))?;
        Ok(Self {
            refused_proxies,
            proxies,
            convergence: histogram(
                "pilot_proxy_convergence_time",
                "Seconds from the notice of a change to a proxy's answer that it has it.",
                0.0005,
            )?,
            queue: histogram(
                "pilot_proxy_queue_time",
                "Seconds from the notice of a change to the start of its translation.",
                0.000_05,
            )?,
            translation: histogram(
                "sluice_controller_translation_seconds",
                "Seconds that translating the changes of one step took, for all proxies.",
                0.000_05,
            )?,
            events: counter("sluice_controller_changes_total", "Changes of objects taken in.")?,
            units: counter("sluice_controller_translations_total", "Translations run.")?,
            rejected,
            pushes: counter("pilot_xds_pushes", "Pushes answered by proxies.")?,
            push_bytes: counter("sluice_controller_push_bytes_total", "Bytes of resources sent to proxies.")?,
        })
    }

    pub(crate) fn batch(&self, objects: usize, units_run: usize, waited: Duration, translated: Duration) {
        self.events.inc_by(objects as u64);
        self.units.inc_by(units_run as u64);
        self.queue.observe(waited.as_secs_f64());
        self.translation.observe(translated.as_secs_f64());
    }

    pub(crate) fn answer(&self, answer: &Answer) {
        self.pushes.inc();
        for (key, _) in &answer.refused {
            self.rejected.with_label_values(&[&key.kind.to_string()]).inc();
        }
    }
}
