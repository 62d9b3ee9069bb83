//! ServiceEntry: a service the platform does not know (docs/semantics.md §5).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::enumeration::enumeration;
use crate::common::selector::WorkloadSelector;
use crate::networking::workload_entry::WorkloadEntry;

/// Adds services to the registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceEntry {
    /// Names of the services: full names, or wildcards such as `*.example.com`.
    pub hosts: Vec<String>,
    /// Virtual addresses of the services; networks with resolution NONE and STATIC only.
    pub addresses: Vec<String>,
    /// The ports of the services.
    pub ports: Vec<ServicePort>,
    /// Whether the services run inside or outside of the mesh.
    pub location: Location,
    /// How the endpoints of the services are found.
    pub resolution: Resolution,
    /// The endpoints; with resolution DNS and none of them, the hosts themselves are looked up.
    pub endpoints: Vec<WorkloadEntry>,
    /// Labels of the workloads that are the endpoints, in place of `endpoints`.
    pub workload_selector: Option<WorkloadSelector>,
    /// Namespaces this is visible in: `.` for its own, `*` for all, `~` for none, or names. Without it, as the mesh
    /// says: all.
    pub export_to: Vec<String>,
    /// Names the endpoints' certificates must carry.
    pub subject_alt_names: Vec<String>,
}

/// A port of a [`ServiceEntry`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ServicePort {
    /// The number that clients use.
    pub number: i64,
    /// The protocol spoken: HTTP, HTTP2, GRPC, GRPC-WEB, HTTPS, TLS, TCP, MONGO, REDIS, MYSQL or UDP; found out without
    /// it.
    pub protocol: Option<String>,
    /// A name, unique among the ports of the entry.
    pub name: String,
    /// The number the endpoints use, where it differs.
    pub target_port: Option<i64>,
}

enumeration! {
    /// Where a service runs.
    Location {
        /// Outside of the mesh.
        MeshExternal = ("MESH_EXTERNAL", 0),
        /// Inside of the mesh.
        MeshInternal = ("MESH_INTERNAL", 1),
    }
}

enumeration! {
    /// How endpoints are found.
    Resolution {
        /// By the address the client asked for.
        None = ("NONE", 0),
        /// By the addresses given.
        Static = ("STATIC", 1),
        /// By all addresses a name resolves to.
        Dns = ("DNS", 2),
        /// By the first address a name resolves to.
        DnsRoundRobin = ("DNS_ROUND_ROBIN", 3),
        /// By the name of each request.
        DynamicDns = ("DYNAMIC_DNS", 4),
    }
}
