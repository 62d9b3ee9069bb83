//! Metrics about the proxy's own control plane: the stream it is configured by, its certificate, its snapshot.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};

/// Everything about following a controller; all zero where none is followed.
#[derive(Clone, Debug)]
pub struct ControlMetrics {
    /// 1 while a stream is up.
    pub connected: IntGauge,
    pub connects: IntCounter,
    /// Streams that ended or never began, by reason.
    pub failures: IntCounterVec,
    pub pushes: IntCounter,
    /// Resources refused by now, by version the controller would have in force.
    pub rejected: IntGauge,
    pub last_push: IntGauge,
    /// When the certificate of the proxy expires.
    pub certificate_expiry: IntGauge,
    /// 1 while the certificate is due to be renewed and cannot be.
    pub certificate_overdue: IntGauge,
    /// Requests for a certificate, by result.
    pub renewals: IntCounterVec,
    pub snapshot: SnapshotMetrics,
}

/// Of the snapshot on disk.
#[derive(Clone, Debug)]
pub struct SnapshotMetrics {
    writes: IntCounterVec,
    bytes: IntGauge,
    written: IntGauge,
}

const OK: &str = "ok";
const ERROR: &str = "error";

impl Default for ControlMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl ControlMetrics {
    #[must_use]
    pub fn new() -> Self {
        let counter = |name, help| IntCounter::new(name, help).expect("names and helps are constants");
        let gauge = |name, help| IntGauge::new(name, help).expect("names and helps are constants");
        let counters = |name, help, label| {
            IntCounterVec::new(Opts::new(name, help), &[label]).expect("names and helps are constants")
        };
        Self {
            connected: gauge("sluice_discovery_connected", "1 while the stream from the controller is up."),
            connects: counter("sluice_discovery_connects_total", "Streams from a controller that came up."),
            failures: counters(
                "sluice_discovery_failures_total",
                "Streams from a controller that ended or did not come up, by reason.",
                "reason",
            ),
            pushes: counter("sluice_discovery_pushes_total", "Changes that a controller pushed."),
            rejected: gauge("sluice_discovery_rejected", "Resources of the controller that are refused at present."),
            last_push: gauge(
                "sluice_discovery_last_push_timestamp_seconds",
                "When the last change was pushed, in seconds since 1970.",
            ),
            certificate_expiry: gauge(
                "sluice_certificate_expiry_timestamp_seconds",
                "When the certificate of this proxy expires, in seconds since 1970; 0 while it has none.",
            ),
            certificate_overdue: gauge(
                "sluice_certificate_renewal_overdue",
                "1 while the certificate of this proxy should have been renewed and could not be.",
            ),
            renewals: counters(
                "sluice_certificate_renewals_total",
                "Requests for a certificate of this proxy, by result.",
                "result",
            ),
            snapshot: SnapshotMetrics {
                writes: counters("sluice_snapshot_writes_total", "Snapshots written to disk, by result.", "result"),
                bytes: gauge("sluice_snapshot_bytes", "Size of the last snapshot."),
                written: gauge(
                    "sluice_snapshot_timestamp_seconds",
                    "When the last snapshot was written, in seconds since 1970; 0 while there is none.",
                ),
            },
        }
    }

    /// What a registry needs.
    pub(crate) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let Self {
            connected,
            connects,
            failures,
            pushes,
            rejected,
            last_push,
            certificate_expiry,
            certificate_overdue,
            renewals,
            snapshot: SnapshotMetrics { writes, bytes, written },
        } = self;
        vec![
            Box::new(connected.clone()),
            Box::new(connects.clone()),
            Box::new(failures.clone()),
            Box::new(pushes.clone()),
            Box::new(rejected.clone()),
            Box::new(last_push.clone()),
            Box::new(certificate_expiry.clone()),
            Box::new(certificate_overdue.clone()),
            Box::new(renewals.clone()),
            Box::new(writes.clone()),
            Box::new(bytes.clone()),
            Box::new(written.clone()),
        ]
    }

    /// A request for a certificate and what became of it.
    pub(crate) fn renewal(&self, ok: bool) {
        self.renewals.with_label_values(&[if ok { OK } else { ERROR }]).inc();
    }
}

impl SnapshotMetrics {
    pub(crate) fn written(&self, bytes: u64, at: SystemTime) {
        self.writes.with_label_values(&[OK]).inc();
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.written.set(seconds(at));
    }

    pub(crate) fn failed(&self) {
        self.writes.with_label_values(&[ERROR]).inc();
    }

    #[cfg(test)]
    pub(crate) fn writes(&self) -> u64 {
        self.writes.with_label_values(&[OK]).get()
    }

    #[cfg(test)]
    pub(crate) fn failures(&self) -> u64 {
        self.writes.with_label_values(&[ERROR]).get()
    }
}

/// Since 1970.
pub(crate) fn seconds(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
