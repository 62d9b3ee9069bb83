//! ProxyConfig: settings for each proxy, as MeshConfig's `defaultConfig` holds them (docs/semantics.md §8).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Map;
use crate::common::enumeration::enumeration;

/// Settings for each proxy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProxyConfig {
    /// Directory for generated files.
    pub config_path: Option<String>,
    /// Path of the proxy's binary.
    pub binary_path: Option<String>,
    /// Name of the proxy's service in traces.
    pub service_cluster: Option<String>,
    /// How the service is named in traces.
    pub tracing_service_name: Option<Value>,
    /// How long a closing listener still serves its connections.
    pub drain_duration: Option<String>,
    /// Address of the control plane.
    pub discovery_address: Option<String>,
    /// Deprecated and without effect.
    pub discovery_refresh_delay: Option<String>,
    /// Deprecated address of the trace collector.
    pub zipkin_address: Option<String>,
    /// Address statistics are sent to.
    pub statsd_udp_address: Option<String>,
    /// Deprecated address of a metrics service.
    pub envoy_metrics_service_address: Option<String>,
    /// Port of the administration interface.
    pub proxy_admin_port: Option<i64>,
    /// Deprecated and without effect.
    pub availability_zone: Option<String>,
    /// How the control plane is authenticated.
    pub control_plane_auth_policy: Option<Value>,
    /// Path of a configuration used instead of the generated one.
    pub custom_config_file: Option<String>,
    /// Longest name of a statistic.
    pub stat_name_length: Option<i64>,
    /// Worker threads; 0 for one per core.
    pub concurrency: Option<i64>,
    /// Path of the template of the first configuration.
    pub proxy_bootstrap_template_path: Option<String>,
    /// How traffic is captured.
    pub interception_mode: Option<Value>,
    /// How requests are traced.
    pub tracing: Option<Value>,
    /// Deprecated and without effect.
    pub sds: Option<Value>,
    /// Service the access log goes to.
    pub envoy_access_log_service: Option<Value>,
    /// Service metrics go to.
    pub envoy_metrics_service: Option<Value>,
    /// Environment variables of the proxy.
    pub proxy_metadata: Map,
    /// Runtime values of the proxy.
    pub runtime_values: Map,
    /// Port of readiness and merged metrics.
    pub status_port: Option<i64>,
    /// Further labels of metrics.
    pub extra_stat_tags: Vec<String>,
    /// What stands in front of a gateway.
    pub gateway_topology: Option<Topology>,
    /// How long a terminating proxy still serves.
    pub termination_drain_duration: Option<String>,
    /// Name of the mesh.
    pub mesh_id: Option<String>,
    /// How virtual machines are probed.
    pub readiness_probe: Option<Value>,
    /// Which statistics are kept.
    pub proxy_stats_matcher: Option<Value>,
    /// Whether the application waits for its proxy.
    pub hold_application_until_proxy_starts: Option<bool>,
    /// Further authorities to trust.
    pub ca_certificates_pem: Vec<String>,
    /// Which image of the proxy is used.
    pub image: Option<Value>,
    /// Where private keys are used.
    pub private_key_provider: Option<Value>,
    /// Which headers the proxy adds.
    pub proxy_headers: Option<ProxyHeaders>,
    /// How often logs are written out.
    pub file_flush_interval: Option<String>,
    /// At which size logs are written out.
    pub file_flush_min_size_kb: Option<i64>,
    /// Whether metrics may be compressed.
    pub stats_compression: Option<bool>,
    /// Limits on connections from clients.
    pub connection_settings: Option<ConnectionSettings>,
}

/// What stands in front of a gateway (docs/semantics.md §15.11).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Topology {
    /// How many proxies in front are trusted to name the client.
    pub num_trusted_proxies: Option<i64>,
    /// What happens to the header that describes client certificates.
    pub forward_client_cert_details: ForwardClientCertDetails,
    /// Expect the PROXY protocol; the block has no fields.
    pub proxy_protocol: Option<Value>,
}

/// Which headers the proxy adds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProxyHeaders {
    /// What happens to the header that describes client certificates.
    pub forwarded_client_cert: ForwardClientCertDetails,
    /// What that header says.
    pub set_current_client_cert_details: Option<Value>,
    /// `x-request-id`.
    pub request_id: Option<Disabled>,
    /// `server`.
    pub server: Option<ServerHeader>,
    /// `x-envoy-attempt-count`.
    pub attempt_count: Option<Disabled>,
    /// The proxy's headers for debugging.
    pub envoy_debug_headers: Option<Disabled>,
    /// Headers that tell workloads about each other.
    pub metadata_exchange_headers: Option<Value>,
    /// Whether HTTP/1.1 header names keep their case.
    pub preserve_http1_header_case: Option<bool>,
    /// `x-forwarded-host`.
    pub x_forwarded_host: Option<Enabled>,
    /// `x-forwarded-port`.
    pub x_forwarded_port: Option<Enabled>,
}

/// The `server` header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServerHeader {
    /// Leave the upstream's.
    pub disabled: Option<bool>,
    /// Its value.
    pub value: Option<String>,
}

/// Something that is on unless disabled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Disabled {
    /// Switch it off.
    pub disabled: Option<bool>,
}

/// Something that is off unless enabled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Enabled {
    /// Switch it on.
    pub enabled: Option<bool>,
}

/// Limits on connections from clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConnectionSettings {
    /// A set of values to start from.
    pub profile: Option<ConnectionProfile>,
    /// Bytes kept per connection from a client.
    pub listener_per_connection_buffer_limit_bytes: Option<i64>,
    /// Bytes kept per connection to an endpoint.
    pub cluster_per_connection_buffer_limit_bytes: Option<i64>,
    /// How long a connection may be idle.
    pub http_idle_timeout: Option<String>,
    /// How long a connection may live.
    pub http_max_connection_duration: Option<String>,
    /// How long a closing connection still serves.
    pub http_drain_timeout: Option<String>,
    /// How long a request may take to arrive.
    pub http_request_timeout: Option<String>,
    /// How long its headers may take to arrive.
    pub http_request_headers_timeout: Option<String>,
    /// How long a stream may be idle.
    pub http_stream_idle_timeout: Option<String>,
    /// How long a stream may live.
    pub http_max_stream_duration: Option<String>,
    /// Streams per connection at most.
    pub http_max_concurrent_streams: Option<i64>,
    /// Flow control window of a stream.
    pub http2_initial_stream_window_size: Option<i64>,
    /// Flow control window of a connection.
    pub http2_initial_connection_window_size: Option<i64>,
    /// What happens to header names with underscores.
    pub http_headers_with_underscores_action: HeadersWithUnderscoresAction,
    /// Whether repeated slashes become one.
    pub http_merge_slashes: Option<bool>,
    /// What happens to escaped slashes.
    pub http_path_with_escaped_slashes_action: PathWithEscapedSlashesAction,
    /// Connections per listener at most.
    pub listener_connection_limit: Option<i64>,
    /// Connections of the whole proxy at most.
    pub global_downstream_connection_limit: Option<i64>,
}

enumeration! {
    /// What happens to the header that describes client certificates.
    ForwardClientCertDetails {
        /// As the kind of proxy demands.
        Undefined = ("UNDEFINED", 0),
        /// It is removed.
        Sanitize = ("SANITIZE", 1),
        /// It is forwarded over mutual TLS.
        ForwardOnly = ("FORWARD_ONLY", 2),
        /// It is forwarded and added to over mutual TLS.
        AppendForward = ("APPEND_FORWARD", 3),
        /// It is replaced.
        SanitizeSet = ("SANITIZE_SET", 4),
        /// It is always forwarded.
        AlwaysForwardOnly = ("ALWAYS_FORWARD_ONLY", 5),
    }
}

enumeration! {
    /// A set of limits.
    ConnectionProfile {
        /// For proxies beside an application.
        Sidecar = ("SIDECAR", 0),
        /// For proxies that face the internet.
        Edge = ("EDGE", 1),
    }
}

enumeration! {
    /// What happens to header names with underscores.
    HeadersWithUnderscoresAction {
        /// As `HEADERS_WITH_UNDERSCORES_ALLOW`.
        Unspecified = ("HEADERS_WITH_UNDERSCORES_UNSPECIFIED", 0),
        /// They pass.
        Allow = ("HEADERS_WITH_UNDERSCORES_ALLOW", 1),
        /// The request is refused.
        RejectRequest = ("HEADERS_WITH_UNDERSCORES_REJECT_REQUEST", 2),
        /// The header is dropped.
        DropHeader = ("HEADERS_WITH_UNDERSCORES_DROP_HEADER", 3),
    }
}

enumeration! {
    /// What happens to escaped slashes in paths.
    PathWithEscapedSlashesAction {
        /// As `KEEP_UNCHANGED`.
        Unspecified = ("PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED", 0),
        /// They stay.
        KeepUnchanged = ("KEEP_UNCHANGED", 1),
        /// The request is refused.
        RejectRequest = ("REJECT_REQUEST", 2),
        /// The client is sent to the unescaped path.
        UnescapeAndRedirect = ("UNESCAPE_AND_REDIRECT", 3),
        /// The unescaped path is used.
        UnescapeAndForward = ("UNESCAPE_AND_FORWARD", 4),
    }
}
