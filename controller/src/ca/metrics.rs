//! What the authority counts, under Istio's names.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Gauge, IntCounter, IntCounterVec, Opts, Registry};

use super::authority::Authority;

/// Counters of the signing service.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) requests: IntCounter,
    pub(super) issued: IntCounter,
    pub(super) authentication_failures: IntCounter,
    pub(super) unreadable: IntCounter,
    pub(super) sign_errors: IntCounterVec,
    pub(super) throttled: IntCounter,
    root_expiry: Gauge,
    chain_expiry: Gauge,
}

impl Metrics {
    /// # Errors
    /// When one of the names is taken in this registry.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = Gauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let sign_errors = IntCounterVec::new(
            Opts::new("citadel_server_csr_sign_err_count", "Certificate requests that could not be signed."),
            &["error"],
        )?;
        registry.register(Box::new(sign_errors.clone()))?;
        Ok(Self {
            requests: counter("citadel_server_csr_count", "Certificate requests received.")?,
            issued: counter("citadel_server_success_cert_issuance_count", "Certificates issued.")?,
            authentication_failures: counter(
                "citadel_server_authentication_failure_count",
                "Certificate requests whose sender has not proven who it is.",
            )?,
            unreadable: counter(
                "citadel_server_csr_parsing_err_count",
                "Certificate requests that cannot be read, or whose key or signature is not in order.",
            )?,
            sign_errors,
            throttled: counter(
                "citadel_server_csr_throttled_count",
                "Certificate requests beyond what one workload may ask for.",
            )?,
            root_expiry: gauge(
                "citadel_server_root_cert_expiry_timestamp",
                "When the root certificate expires, in seconds since 1970.",
            )?,
            chain_expiry: gauge(
                "citadel_server_cert_chain_expiry_timestamp",
                "When the first certificate between leaves and root expires, in seconds since 1970.",
            )?,
        })
    }

    /// Shows how long the authority in force lives.
    pub fn observe(&self, authority: &Authority) {
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let bundle = authority.bundle();
        self.root_expiry.set(seconds(bundle.root_expires()));
        self.chain_expiry.set(seconds(bundle.expires()));
    }
}
