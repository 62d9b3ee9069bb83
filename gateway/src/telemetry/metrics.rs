//! All metrics (docs/semantics.md §16). Series of requests are looked up once per combination of labels and cluster,
//! then found without lock or hash.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::proxy::flags::Flags;
use crate::telemetry::control::ControlMetrics;

pub const REQUESTS_TOTAL: &str = "istio_requests_total";
pub const REQUEST_DURATION: &str = "istio_request_duration_milliseconds";

/// Upper bounds in milliseconds, as Istio's.
const BUCKETS: &[f64] = &[
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// Labels of every request series, in the order in which their values are given.
const LABELS: &[&str] = &[
    "reporter",
    "source_workload",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_cluster",
    "source_canonical_service",
    "source_canonical_revision",
    "destination_workload",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_cluster",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_service",
    "destination_service_name",
    "destination_service_namespace",
    "request_protocol",
    "response_code",
    "response_flags",
    "grpc_response_status",
    "connection_security_policy",
];

/// The process's metrics. Several sets can live in one process (tests).
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    workload: Mutex<Arc<ir::WorkloadIdentity>>,
    services: Mutex<HashMap<ir::ServiceIdentity, Weak<ClusterMetrics>>>,
    /// Requests that ended in a panic.
    pub panics: IntCounter,
    /// Heads that were not sent because of what edits made of them, by reason.
    pub refused_heads: IntCounterVec,
    /// Open client connections.
    pub connections: IntGauge,
    /// Connections closed before a request because no chain fits or the handshake failed, by reason.
    pub rejected_connections: IntCounterVec,
    /// Connections that could not be accepted, as for want of file descriptors.
    pub accept_errors: IntCounter,
    /// Tables put in force.
    pub table_updates: IntCounter,
    /// Resources refused, by kind.
    pub rejected_resources: IntCounterVec,
    /// Counts the table in force.
    pub table_generation: IntGauge,
    /// Seconds from a delta to the table in force.
    pub apply_seconds: Histogram,
    /// Access log lines thrown away because the writer could not keep up.
    pub access_log_dropped: IntCounter,
    /// Names of endpoints that are not resolved because there are too many.
    pub unresolved_names: IntGauge,
    /// Endpoints found that may not be connected to, by class.
    pub refused_endpoints: IntCounterVec,
    /// 1 = listening, by listener.
    pub listeners: IntGaugeVec,
    /// Of following a controller.
    pub control: ControlMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let requests =
            IntCounterVec::new(Opts::new(REQUESTS_TOTAL, "Requests, by source, destination and result."), LABELS);
        let durations = HistogramVec::new(
            HistogramOpts::new(
                REQUEST_DURATION,
                "Milliseconds from the first byte of a request to the last of its response.",
            )
            .buckets(BUCKETS.to_vec()),
            LABELS,
        );
        let counter = |name, help| IntCounter::new(name, help).expect("names and helps are constants");
        let gauge = |name, help| IntGauge::new(name, help).expect("names and helps are constants");
        let counters = |name, help, label| {
            IntCounterVec::new(Opts::new(name, help), &[label]).expect("names and helps are constants")
        };
        let metrics = Self {
            requests: requests.expect("names and labels are constants"),
            durations: durations.expect("names and labels are constants"),
            workload: Mutex::default(),
            services: Mutex::default(),
            panics: counter("sluice_request_panics_total", "Requests that ended in a panic of the proxy."),
            refused_heads: counters(
                "sluice_refused_heads_total",
                "Heads of requests and responses that were answered 500 instead of being sent, by reason.",
                "reason",
            ),
            connections: gauge("sluice_downstream_connections", "Open client connections."),
            rejected_connections: counters(
                "sluice_downstream_connections_rejected_total",
                "Client connections closed before any request, by reason.",
                "reason",
            ),
            accept_errors: counter("sluice_accept_errors_total", "Connections that could not be accepted."),
            table_updates: counter("sluice_table_updates_total", "Configurations put in force."),
            rejected_resources: counters(
                "sluice_rejected_resources_total",
                "Resources that could not be compiled and were refused, by kind.",
                "kind",
            ),
            table_generation: gauge("sluice_table_generation", "Number of the configuration in force."),
            apply_seconds: Histogram::with_opts(
                HistogramOpts::new(
                    "sluice_table_apply_seconds",
                    "Seconds from a configuration's arrival to its being in force.",
                )
                .buckets(vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0]),
            )
            .expect("names and helps are constants"),
            access_log_dropped: counter("sluice_access_log_dropped_total", "Access log lines that were thrown away."),
            unresolved_names: gauge(
                "sluice_dns_names_beyond_limit",
                "Names of endpoints that are not resolved because there are too many.",
            ),
            refused_endpoints: counters(
                "sluice_endpoints_refused_total",
                "Endpoints found that belong to the proxy or its node and get no requests, by class.",
                "reason",
            ),
            listeners: IntGaugeVec::new(
                Opts::new("sluice_listener_up", "1 for a listener that is bound."),
                &["listener"],
            )
            .expect("names and helps are constants"),
            control: ControlMetrics::new(),
            registry,
        };
        metrics.register();
        metrics
    }

    fn register(&self) {
        let all: [Box<dyn prometheus::core::Collector>; 15] = [
            Box::new(self.requests.clone()),
            Box::new(self.durations.clone()),
            Box::new(self.panics.clone()),
            Box::new(self.refused_heads.clone()),
            Box::new(self.connections.clone()),
            Box::new(self.rejected_connections.clone()),
            Box::new(self.accept_errors.clone()),
            Box::new(self.table_updates.clone()),
            Box::new(self.rejected_resources.clone()),
            Box::new(self.table_generation.clone()),
            Box::new(self.apply_seconds.clone()),
            Box::new(self.access_log_dropped.clone()),
            Box::new(self.unresolved_names.clone()),
            Box::new(self.refused_endpoints.clone()),
            Box::new(self.listeners.clone()),
        ];
        for collector in all.into_iter().chain(self.control.collectors()) {
            self.registry.register(collector).expect("names are different constants");
        }
    }

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// When a metric cannot be written down.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Who the proxy is, for series made from now on.
    pub(crate) fn set_workload(&self, workload: &ir::WorkloadIdentity) {
        *self.workload.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(workload.clone());
    }

    /// The series of a service, shared by all of its clusters: ports and subsets are no labels.
    pub(crate) fn of_service(self: &Arc<Self>, service: &ir::ServiceIdentity) -> Arc<ClusterMetrics> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = services.get(service).and_then(Weak::upgrade) {
            return known;
        }
        services.retain(|_, known| known.strong_count() > 0);
        let made = Arc::new(ClusterMetrics::new(Arc::clone(self), Some(service)));
        services.insert(service.clone(), Arc::downgrade(&made));
        made
    }

    fn workload(&self) -> Arc<ir::WorkloadIdentity> {
        Arc::clone(&self.workload.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What tells the series of one cluster apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Case {
    status: u16,
    flags: Flags,
    grpc: bool,
    grpc_status: Option<u16>,
}

#[derive(Clone, Debug)]
struct Series {
    case: Case,
    labels: Arc<[String]>,
    count: IntCounter,
    duration: Histogram,
}

/// The series of one destination. They go away with the last reference.
#[derive(Debug)]
pub struct ClusterMetrics {
    metrics: Arc<Metrics>,
    service: Option<ir::ServiceIdentity>,
    series: ArcSwap<Vec<Series>>,
}

impl ClusterMetrics {
    /// `service` is `None` for requests without destination.
    pub(crate) fn new(metrics: Arc<Metrics>, service: Option<&ir::ServiceIdentity>) -> Self {
        Self { metrics, service: service.cloned(), series: ArcSwap::default() }
    }

    pub(crate) fn record(&self, status: u16, flags: Flags, grpc: bool, grpc_status: Option<u16>, duration: Duration) {
        let case = Case { status, flags, grpc, grpc_status };
        let millis = duration.as_secs_f64() * 1000.0;
        let known = self.series.load();
        match known.iter().find(|series| series.case == case) {
            Some(series) => series.add(millis),
            None => self.make(case).add(millis),
        }
    }

    #[cold]
    fn make(&self, case: Case) -> Series {
        let labels = self.labels(case);
        let values: Vec<&str> = labels.iter().map(String::as_str).collect();
        let series = Series {
            case,
            count: self.metrics.requests.with_label_values(&values),
            duration: self.metrics.durations.with_label_values(&values),
            labels: labels.into(),
        };
        self.series.rcu(|known| {
            let mut all = Vec::clone(known);
            if !all.iter().any(|it| it.case == case) {
                all.push(series.clone());
            }
            all
        });
        series
    }

    fn labels(&self, case: Case) -> Vec<String> {
        let workload = self.metrics.workload();
        let ir::WorkloadIdentity { name, namespace, app, version, canonical_service, canonical_revision, cluster } =
            &*workload;
        let known = |text: &str| if text.is_empty() { "unknown" } else { text }.to_owned();
        let unknown = || "unknown".to_owned();
        let (host, short, service_namespace) = match &self.service {
            Some(service) => (known(&service.host), known(&service.name), known(&service.namespace)),
            None => (unknown(), unknown(), unknown()),
        };
        vec![
            "source".to_owned(),
            known(name),
            known(namespace),
            unknown(),
            known(app),
            known(version),
            known(cluster),
            known(canonical_service),
            known(canonical_revision),
            unknown(),
            unknown(),
            unknown(),
            unknown(),
            unknown(),
            unknown(),
            unknown(),
            unknown(),
            host,
            short,
            service_namespace,
            if case.grpc { "grpc" } else { "http" }.to_owned(),
            case.status.to_string(),
            case.flags.to_string(),
            case.grpc_status.map(|status| status.to_string()).unwrap_or_default(),
            unknown(),
        ]
    }
}

impl Series {
    fn add(&self, millis: f64) {
        self.count.inc();
        self.duration.observe(millis);
    }
}

impl Drop for ClusterMetrics {
    fn drop(&mut self) {
        for series in self.series.load().iter() {
            let values: Vec<&str> = series.labels.iter().map(String::as_str).collect();
            // Missing ones are as good as removed ones.
            let _ = self.metrics.requests.remove_label_values(&values);
            let _ = self.metrics.durations.remove_label_values(&values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_come_with_requests_and_go_with_their_cluster() {
        let metrics = Arc::new(Metrics::new());
        let service = ir::ServiceIdentity {
            host: "reviews.shop.svc.cluster.local".into(),
            name: "reviews".into(),
            namespace: "shop".into(),
        };
        let cluster = metrics.of_service(&service);
        assert!(Arc::ptr_eq(&cluster, &metrics.of_service(&service)));
        cluster.record(200, Flags::NONE, false, None, Duration::from_millis(3));
        cluster.record(200, Flags::NONE, false, None, Duration::from_millis(3));
        cluster.record(503, Flags::UH, true, Some(14), Duration::from_millis(3));
        let text = metrics.text().unwrap();
        let line =
            text.lines().find(|line| line.starts_with("istio_requests_total{") && line.contains("\"200\"")).unwrap();
        assert!(line.ends_with(" 2"), "{line}");
        for label in [r#"reporter="source""#, r#"destination_service_name="reviews""#, r#"response_flags="-""#] {
            assert!(line.contains(label), "{line}");
        }
        assert!(text.contains(r#"request_protocol="grpc""#) && text.contains(r#"grpc_response_status="14""#));
        drop(cluster);
        assert!(!metrics.text().unwrap().contains("istio_requests_total{"));
    }
}
