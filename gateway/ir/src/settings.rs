//! What holds for a proxy as a whole: from MeshConfig, and who the proxy is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::format::Format;

/// One resource per proxy, named `proxy`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxySettings {
    /// The proxy's own side in metrics.
    pub workload: WorkloadIdentity,
    /// Absent = no access log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_log: Option<AccessLog>,
    pub path_normalization: PathNormalization,
    /// Proxies in front whose `x-forwarded-*` are believed (docs/semantics.md §15.11).
    pub trusted_proxies: u32,
    pub limits: Limits,
}

/// Labels of the proxy's workload (docs/semantics.md §16.2); empty = unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadIdentity {
    pub name: String,
    pub namespace: String,
    pub app: String,
    pub version: String,
    pub canonical_service: String,
    pub canonical_revision: String,
    pub cluster: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessLog {
    /// `/dev/stdout`, `/dev/stderr` or a file that lines are appended to.
    pub path: String,
    pub format: AccessLogFormat,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AccessLogFormat {
    /// Istio's default line.
    Text,
    /// Istio's default JSON object.
    Json,
    /// A line of the user's own.
    Custom(Format),
    /// A flat JSON object of the user's own, keys in this order.
    CustomJson(Vec<(String, Format)>),
}

/// What happens to the path before it is matched and forwarded (docs/semantics.md §2.6, §15.14).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathNormalization {
    None,
    #[default]
    Base,
    MergeSlashes,
    DecodeAndMergeSlashes,
}

/// Bounds of every downstream connection. Sizes are bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Request line and fields together; more is 431.
    pub max_head_bytes: usize,
    /// Field lines; more is 431.
    pub max_header_fields: usize,
    /// First to last byte of a request head; later is 408.
    pub head_timeout: Duration,
    /// Unused connection.
    pub idle_timeout: Duration,
    /// From accept to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// HTTP/2 streams at a time on a connection.
    pub max_concurrent_streams: u32,
    /// Body bytes held per request so that it can be sent again; a longer one is not retried.
    pub retry_buffer_bytes: usize,
    /// Open client connections of the process; beyond it accepting pauses.
    pub max_connections: usize,
    /// After the stop signal, until what is still running is cut off.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_head_bytes: 60 * 1024,
            max_header_fields: 100,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(3600),
            handshake_timeout: Duration::from_secs(10),
            max_concurrent_streams: 100,
            retry_buffer_bytes: 64 * 1024,
            max_connections: 10_000,
            drain_timeout: Duration::from_secs(45),
        }
    }
}
