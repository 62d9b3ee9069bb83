//! Destinations.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::name::ClusterName;

/// One destination: a service's port, perhaps narrowed to a subset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    pub name: ClusterName,
    pub service: ServiceIdentity,
    pub discovery: Discovery,
    pub protocol: UpstreamProtocol,
    pub balancing: Balancing,
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept; absent = for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Duration>,
}

/// What metrics call the service (docs/semantics.md §16.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceIdentity {
    /// `reviews.default.svc.cluster.local`
    pub host: String,
    /// `reviews`
    pub name: String,
    pub namespace: String,
}

/// Where endpoints come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Discovery {
    /// The addresses of the [`crate::Endpoints`] resource of the same name.
    Listed,
    /// The same, but names in it are resolved: every address of each name, anew after `refresh` or the record's
    /// shorter lifetime. `first_only` uses the first address alone.
    Dns { refresh: Duration, first_only: bool },
}

/// What is spoken to endpoints (docs/semantics.md §15.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum UpstreamProtocol {
    Http1,
    Http2,
    /// What the client speaks.
    SameAsDownstream,
}

/// How an endpoint is chosen (docs/semantics.md §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Balancing {
    /// The less busy of two random ones.
    LeastRequest,
    RoundRobin,
    Random,
}
