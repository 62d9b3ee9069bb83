//! The group telemetry.istio.io, in the versions v1 and v1alpha1, whose schemas are the same (docs/semantics.md §16.5).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::enumeration::enumeration;
use crate::common::selector::PolicySelector;
use crate::common::target::PolicyTargetReference;

/// What proxies tell about the traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Telemetry {
    /// Workloads of the namespace it applies to; without it and targets, all of them.
    pub selector: Option<PolicySelector>,
    /// The object it is attached to.
    pub target_ref: Option<PolicyTargetReference>,
    /// The objects it is attached to.
    pub target_refs: Vec<PolicyTargetReference>,
    /// Traces; the first entry counts.
    pub tracing: Vec<Tracing>,
    /// Metrics.
    pub metrics: Vec<Metrics>,
    /// The access log.
    pub access_logging: Vec<AccessLogging>,
}

/// Names a provider of MeshConfig's `extensionProviders`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ProviderRef {
    /// Its name.
    pub name: String,
}

/// Traces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Tracing {
    /// Which traffic it is for.
    #[serde(rename = "match")]
    pub matches: Option<TracingSelector>,
    /// Where spans go; one at most.
    pub providers: Vec<ProviderRef>,
    /// Percent of requests that are traced where the client does not decide.
    pub random_sampling_percentage: Option<f64>,
    /// Report no spans, but pass the client's trace on.
    pub disable_span_reporting: Option<bool>,
    /// Further tags of spans, by name.
    pub custom_tags: BTreeMap<String, CustomTag>,
    /// Decide by `x-request-id` what is traced.
    pub use_request_id_for_trace_sampling: Option<bool>,
    /// Put Istio's own tags on spans.
    pub enable_istio_tags: Option<bool>,
    /// Send no trace headers on.
    pub disable_context_propagation: Option<bool>,
}

/// Which traffic a [`Tracing`] is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TracingSelector {
    /// From or to the workload.
    pub mode: WorkloadMode,
}

/// A tag: its value comes from one of the four.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomTag {
    /// A fixed value.
    pub literal: Option<Literal>,
    /// An environment variable of the proxy.
    pub environment: Option<TagEnvironment>,
    /// A header of the request.
    pub header: Option<RequestHeader>,
    /// A format with the access log's operators.
    pub formatter: Option<Formatter>,
}

/// A fixed value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Literal {
    /// The value.
    pub value: String,
}

/// An environment variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TagEnvironment {
    /// Its name.
    pub name: String,
    /// The value where it is not set.
    pub default_value: Option<String>,
}

/// A header of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestHeader {
    /// Its name.
    pub name: String,
    /// The value where it is not there.
    pub default_value: Option<String>,
}

/// A format with the access log's operators.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Formatter {
    /// The format.
    pub value: String,
}

/// Metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Metrics {
    /// Where metrics go.
    pub providers: Vec<ProviderRef>,
    /// Changes to single metrics; later ones win.
    pub overrides: Vec<MetricsOverrides>,
    /// How often metrics of open TCP connections are written.
    pub reporting_interval: Option<String>,
}

/// Changes to metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricsOverrides {
    /// Which metrics.
    #[serde(rename = "match")]
    pub matches: Option<MetricSelector>,
    /// Leave them out.
    pub disabled: Option<bool>,
    /// Changes to their labels, by name.
    pub tag_overrides: BTreeMap<String, TagOverride>,
}

/// Which metrics: one of Istio's, or one by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricSelector {
    /// One of Istio's.
    pub metric: Option<IstioMetric>,
    /// One by name.
    pub custom_metric: Option<String>,
    /// From or to the workload.
    pub mode: WorkloadMode,
}

/// A change to a label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TagOverride {
    /// Write or leave out.
    pub operation: TagOperation,
    /// The value to write: a CEL expression.
    pub value: Option<String>,
}

/// The access log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessLogging {
    /// Which traffic it is for.
    #[serde(rename = "match")]
    pub matches: Option<LogSelector>,
    /// Where it goes.
    pub providers: Vec<ProviderRef>,
    /// Write none.
    pub disabled: Option<bool>,
    /// Which requests are written.
    pub filter: Option<LogFilter>,
}

/// Which traffic an [`AccessLogging`] is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct LogSelector {
    /// From or to the workload.
    pub mode: WorkloadMode,
}

/// Which requests are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct LogFilter {
    /// A CEL expression, such as `response.code >= 400`.
    pub expression: String,
}

enumeration! {
    /// Traffic from or to a workload.
    WorkloadMode {
        /// Both.
        ClientAndServer = ("CLIENT_AND_SERVER", 0),
        /// From the workload.
        Client = ("CLIENT", 1),
        /// To the workload; traffic of gateways is SERVER, too.
        Server = ("SERVER", 2),
    }
}

enumeration! {
    /// One of Istio's metrics.
    IstioMetric {
        /// All of them.
        AllMetrics = ("ALL_METRICS", 0),
        /// `istio_requests_total`.
        RequestCount = ("REQUEST_COUNT", 1),
        /// `istio_request_duration_milliseconds`.
        RequestDuration = ("REQUEST_DURATION", 2),
        /// `istio_request_bytes`.
        RequestSize = ("REQUEST_SIZE", 3),
        /// `istio_response_bytes`.
        ResponseSize = ("RESPONSE_SIZE", 4),
        /// `istio_tcp_connections_opened_total`.
        TcpOpenedConnections = ("TCP_OPENED_CONNECTIONS", 5),
        /// `istio_tcp_connections_closed_total`.
        TcpClosedConnections = ("TCP_CLOSED_CONNECTIONS", 6),
        /// `istio_tcp_sent_bytes_total`.
        TcpSentBytes = ("TCP_SENT_BYTES", 7),
        /// `istio_tcp_received_bytes_total`.
        TcpReceivedBytes = ("TCP_RECEIVED_BYTES", 8),
        /// `istio_request_messages_total`.
        GrpcRequestMessages = ("GRPC_REQUEST_MESSAGES", 9),
        /// `istio_response_messages_total`.
        GrpcResponseMessages = ("GRPC_RESPONSE_MESSAGES", 10),
    }
}

enumeration! {
    /// What happens to a label.
    TagOperation {
        /// It is written.
        Upsert = ("UPSERT", 0),
        /// It is left out.
        Remove = ("REMOVE", 1),
    }
}
