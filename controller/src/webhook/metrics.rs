//! What the webhook counts.

use prometheus::{Histogram, HistogramOpts, IntCounterVec, Opts, Registry};

/// Handles; all of them count for the same webhook.
#[derive(Clone, Debug)]
pub struct WebhookMetrics {
    /// By `kind` (empty where it could not be read) and `result`: `allowed`, `denied` or why there was no answer.
    pub(super) requests: IntCounterVec,
    pub(super) duration: Histogram,
    /// Changes of its own registration, by `result`.
    pub(super) registrations: IntCounterVec,
}

impl WebhookMetrics {
    /// # Errors
    /// When the registry has metrics of these names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = Opts::new("sluice_controller_webhook_requests_total", "Objects the API server asked about.");
        let requests = IntCounterVec::new(opts, &["kind", "result"])?;
        let opts = HistogramOpts::new("sluice_controller_webhook_duration_seconds", "Time to judge an object.")
            .buckets(vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]);
        let duration = Histogram::with_opts(opts)?;
        let opts = Opts::new(
            "sluice_controller_webhook_registrations_total",
            "Changes of the webhook's own ValidatingWebhookConfiguration.",
        );
        let registrations = IntCounterVec::new(opts, &["result"])?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(registrations.clone()))?;
        Ok(Self { requests, duration, registrations })
    }
}
