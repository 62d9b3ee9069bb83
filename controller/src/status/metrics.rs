//! What the writer of status counts.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

/// Handles; all of them count for the same writer.
#[derive(Clone, Debug)]
pub struct StatusMetrics {
    /// By `kind` and `result`.
    pub(super) writes: IntCounterVec,
    /// Objects that wait to be looked at.
    pub(super) queue: IntGauge,
    /// 1 while this controller is the one that writes.
    pub(super) leader: IntGauge,
    /// By `result`.
    pub(super) events: IntCounterVec,
}

impl StatusMetrics {
    /// # Errors
    /// When the registry has metrics of these names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = Opts::new("sluice_controller_status_writes_total", "Writes to the status of objects.");
        let writes = IntCounterVec::new(opts, &["kind", "result"])?;
        let queue = IntGauge::new("sluice_controller_status_queue", "Objects whose status is to be looked at.")?;
        let leader = IntGauge::new("sluice_controller_status_leader", "Whether this controller writes status.")?;
        let opts = Opts::new("sluice_controller_status_events_total", "Kubernetes Events about objects.");
        let events = IntCounterVec::new(opts, &["result"])?;
        registry.register(Box::new(writes.clone()))?;
        registry.register(Box::new(queue.clone()))?;
        registry.register(Box::new(leader.clone()))?;
        registry.register(Box::new(events.clone()))?;
        Ok(Self { writes, queue, leader, events })
    }
}
