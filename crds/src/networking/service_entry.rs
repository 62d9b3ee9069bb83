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
    /// Names of the services.
    pub hosts: Vec<String>,
    /// Virtual addresses of the services.
    pub addresses: Vec<String>,
    /// Their ports.
    pub ports: Vec<ServicePort>,
    /// Inside or outside of the mesh.
    pub location: Location,
    /// How the endpoints are found.
    pub resolution: Resolution,
    /// The endpoints.
    pub endpoints: Vec<WorkloadEntry>,
    /// Workloads that are the endpoints.
    pub workload_selector: Option<WorkloadSelector>,
    /// Namespaces this is visible in: `.`, `*`, `~` or names.
    pub export_to: Vec<String>,
    /// Names the endpoints' certificates must carry.
    pub subject_alt_names: Vec<String>,
}

/// A port of a [`ServiceEntry`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ServicePort {
    /// The number clients use.
    pub number: i64,
    /// The protocol spoken.
    pub protocol: Option<String>,
    /// A name, unique among the ports.
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
