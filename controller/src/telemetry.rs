//! What the controller counts, in one registry. Every part adds its own struct of handles here; names start with
//! `sluice_controller_`. Counts nothing by itself and serves nothing.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

/// All counters of a controller.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    pub watch: WatchMetrics,
}

/// Of the watches of an API server.
#[derive(Clone, Debug)]
pub struct WatchMetrics {
    /// By `kind` and `reason`.
    pub errors: IntCounterVec,
    /// By `kind`.
    pub objects: IntGaugeVec,
}

/// Why metrics cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    #[error("cannot register a metric")]
    Register(#[source] prometheus::Error),
    #[error("cannot write metrics as text")]
    Encode(#[source] prometheus::Error),
}

impl Metrics {
    /// # Errors
    /// When two metrics have the same name, which is a bug.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let watch = WatchMetrics::new(&registry)?;
        Ok(Self { registry, watch })
    }

    /// Where other parts register what they count.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// When a metric has a name or label that the format does not allow, which is a bug.
    pub fn render(&self) -> Result<String, MetricsError> {
        TextEncoder::new().encode_to_string(&self.registry.gather()).map_err(MetricsError::Encode)
    }
}

impl WatchMetrics {
    /// # Errors
    /// When the registry has metrics of these names already.
    pub fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let opts = Opts::new("sluice_controller_watch_errors_total", "Failed lists and watches of the API server.");
        let errors = IntCounterVec::new(opts, &["kind", "reason"]).map_err(MetricsError::Register)?;
        let opts = Opts::new("sluice_controller_objects", "Objects known from the API server.");
        let objects = IntGaugeVec::new(opts, &["kind"]).map_err(MetricsError::Register)?;
        registry.register(Box::new(errors.clone())).map_err(MetricsError::Register)?;
        registry.register(Box::new(objects.clone())).map_err(MetricsError::Register)?;
        Ok(Self { errors, objects })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_told_as_text() {
        let metrics = Metrics::new().unwrap();
        metrics.watch.errors.with_label_values(&["Gateway", "forbidden"]).inc();
        metrics.watch.objects.with_label_values(&["Pod"]).set(3);
        let text = metrics.render().unwrap();
        assert!(
            text.contains(r#"sluice_controller_watch_errors_total{kind="Gateway",reason="forbidden"} 1"#),
            "{text}"
        );
        assert!(text.contains(r#"sluice_controller_objects{kind="Pod"} 3"#), "{text}");
        assert!(WatchMetrics::new(metrics.registry()).is_err());
    }
}
