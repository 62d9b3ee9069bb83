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
    /// The object it is attached to, in place of `selector`; `targetRefs` takes several.
    pub target_ref: Option<PolicyTargetReference>,
    /// The objects it is attached to, in place of `selector`: a Gateway, GatewayClass, Service or ServiceEntry.
    pub target_refs: Vec<PolicyTargetReference>,
    /// How requests are traced; the first entry counts.
    pub tracing: Vec<Tracing>,
    /// Which metrics are kept, and with which labels.
    pub metrics: Vec<Metrics>,
    /// Where the access log goes, and what is written.
    pub access_logging: Vec<AccessLogging>,
}

/// Names a provider of MeshConfig's `extensionProviders`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ProviderRef {
    /// The provider's name among MeshConfig's `extensionProviders`.
    pub name: String,
}

/// Traces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Tracing {
    /// Which traffic it is for.
    #[serde(rename = "match")]
    pub matches: Option<TracingSelector>,
    /// Where spans go: one of the mesh's extension providers.
    pub providers: Vec<ProviderRef>,
    /// Percent of requests that are traced where the client does not decide.
    pub random_sampling_percentage: Option<f64>,
    /// Report no spans, but pass the client's trace on.
    pub disable_span_reporting: Option<bool>,
    /// Further tags of spans, by their names.
    pub custom_tags: BTreeMap<String, CustomTag>,
    /// Decide by `x-request-id` what is traced; it decides without it.
    pub use_request_id_for_trace_sampling: Option<bool>,
    /// Put Istio's own tags on spans; they are put without it.
    pub enable_istio_tags: Option<bool>,
    /// Send no trace headers on to the destination.
    pub disable_context_propagation: Option<bool>,
}

/// Which traffic a [`Tracing`] is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TracingSelector {
    /// Traffic from the workload, to it, or both.
    pub mode: WorkloadMode,
}

/// A tag: its value comes from one of the four.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomTag {
    /// A value that is always the same.
    pub literal: Option<Literal>,
    /// The value of an environment variable of the proxy.
    pub environment: Option<TagEnvironment>,
    /// The value of a header of the request.
    pub header: Option<RequestHeader>,
    /// A format with the access log's operators.
    pub formatter: Option<Formatter>,
}

/// A fixed value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Literal {
    /// The tag's value.
    pub value: String,
}

/// An environment variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TagEnvironment {
    /// The variable's name.
    pub name: String,
    /// The tag's value where the variable is not set.
    pub default_value: Option<String>,
}

/// A header of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestHeader {
    /// The header's name.
    pub name: String,
    /// The tag's value where the header is not there.
    pub default_value: Option<String>,
}

/// A format with the access log's operators.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Formatter {
    /// The format, such as `%RESPONSE_CODE%`.
    pub value: String,
}

/// Metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Metrics {
    /// Where metrics go: names of the mesh's extension providers; the default ones without it.
    pub providers: Vec<ProviderRef>,
    /// Changes to single metrics; later ones win.
    pub overrides: Vec<MetricsOverrides>,
    /// How often metrics of open TCP connections are written; 5s without it.
    pub reporting_interval: Option<String>,
}

/// Changes to metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricsOverrides {
    /// Which metrics the change is for; all without it.
    #[serde(rename = "match")]
    pub matches: Option<MetricSelector>,
    /// Leave the metrics out.
    pub disabled: Option<bool>,
    /// Changes to the metrics' labels, by the labels' names.
    pub tag_overrides: BTreeMap<String, TagOverride>,
}

/// Which metrics: one of Istio's, or one by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricSelector {
    /// One of Istio's metrics, or all of them.
    pub metric: Option<IstioMetric>,
    /// Any other metric, by its name.
    pub custom_metric: Option<String>,
    /// Traffic from the workload, to it, or both.
    pub mode: WorkloadMode,
}

/// A change to a label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TagOverride {
    /// Write the label or leave it out.
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
    /// Where the log goes: names of the mesh's extension providers; the default ones without it.
    pub providers: Vec<ProviderRef>,
    /// Write no log for this traffic.
    pub disabled: Option<bool>,
    /// Which requests are written; all without it.
    pub filter: Option<LogFilter>,
}

/// Which traffic an [`AccessLogging`] is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct LogSelector {
    /// Traffic from the workload, to it, or both.
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
