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
    /// Probe by an HTTP request.
    pub http_get: Option<HttpHealthCheckConfig>,
    /// Probe by a connection.
    pub tcp_socket: Option<TcpHealthCheckConfig>,
    /// Probe by a command.
    pub exec: Option<ExecHealthCheckConfig>,
    /// Probe by gRPC's health service.
    pub grpc: Option<GrpcHealthCheckConfig>,
}

/// A probe by an HTTP request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpHealthCheckConfig {
    /// The path asked for.
    pub path: Option<String>,
    /// The port asked.
    pub port: i64,
    /// The host asked.
    pub host: Option<String>,
    /// `HTTP` or `HTTPS`.
    pub scheme: Option<String>,
    /// Headers of the request.
    pub http_headers: Vec<HttpHeader>,
}

/// A header of a probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpHeader {
    /// Its name.
    pub name: Option<String>,
    /// Its value.
    pub value: Option<String>,
}

/// A probe by a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpHealthCheckConfig {
    /// The host connected to; `localhost` without it.
    pub host: Option<String>,
    /// The port connected to.
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
    /// The port asked.
    pub port: Option<i64>,
    /// The service asked about.
    pub service: Option<String>,
}
