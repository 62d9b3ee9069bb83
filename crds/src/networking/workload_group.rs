//! WorkloadGroup: what workloads outside of the platform have in common (docs/semantics.md §6).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::networking::workload_entry::WorkloadEntry;

/// A template for the WorkloadEntries of workloads that register themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadGroup {
    /// Labels and annotations of the WorkloadEntries.
    pub metadata: Option<WorkloadGroupMeta>,
    /// Fields of the WorkloadEntries; the address is each workload's own.
    pub template: Option<WorkloadEntry>,
    /// How the workload's health is found out.
    pub probe: Option<ReadinessProbe>,
}

/// Labels and annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadGroupMeta {
    /// Labels of the WorkloadEntries.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the WorkloadEntries.
    pub annotations: BTreeMap<String, String>,
}

/// How a workload's health is found out: by one of the four ways.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadinessProbe {
    /// Seconds before the first probe.
    pub initial_delay_seconds: Option<i64>,
    /// Seconds an answer may take; 1 without it.
    pub timeout_seconds: Option<i64>,
    /// Seconds between probes; 10 without it.
    pub period_seconds: Option<i64>,
    /// Successes in a row that make the workload healthy; 1 without it.
    pub success_threshold: Option<i64>,
    /// Failures in a row that make it unhealthy; 3 without it.
    pub failure_threshold: Option<i64>,
    /// Probe by an HTTP request; statuses from 200 to 399 are success.
    pub http_get: Option<HttpHealthCheckConfig>,
    /// Probe by opening a connection.
    pub tcp_socket: Option<TcpHealthCheckConfig>,
    /// Probe by a command on the workload.
    pub exec: Option<ExecHealthCheckConfig>,
    /// Probe by gRPC's health service.
    pub grpc: Option<GrpcHealthCheckConfig>,
}

/// A probe by an HTTP request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpHealthCheckConfig {
    /// The path of the request; `/` without it.
    pub path: Option<String>,
    /// The port the request goes to.
    pub port: i64,
    /// The host the request names.
    pub host: Option<String>,
    /// `HTTP` or `HTTPS`; `HTTP` without it.
    pub scheme: Option<String>,
    /// Headers of the request, besides the usual ones.
    pub http_headers: Vec<HttpHeader>,
}

/// A header of a probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpHeader {
    /// The header's name.
    pub name: Option<String>,
    /// The header's value.
    pub value: Option<String>,
}

/// A probe by a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpHealthCheckConfig {
    /// The host connected to; `localhost` without it.
    pub host: Option<String>,
    /// The port that is connected to.
    pub port: i64,
}

/// A probe by a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecHealthCheckConfig {
    /// The command and its arguments; exit code 0 is success.
    pub command: Vec<String>,
}

/// A probe by gRPC's health service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcHealthCheckConfig {
    /// The port of the health service.
    pub port: Option<i64>,
    /// The service that is asked about; the server as a whole without it.
    pub service: Option<String>,
}
