//! Where a cluster's requests can go. A resource of its own: endpoints change far more often than clusters.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::name::ClusterName;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoints {
    pub cluster: ClusterName,
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    pub address: EndpointAddress,
    /// Positive; relative to the cluster's other endpoints.
    pub weight: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum EndpointAddress {
    Socket(SocketAddr),
    /// A name to resolve; only in clusters with [`crate::Discovery::Dns`].
    Name {
        host: String,
        port: u16,
    },
    /// A unix socket; a leading `@` stands for the abstract name space.
    Unix(PathBuf),
}
