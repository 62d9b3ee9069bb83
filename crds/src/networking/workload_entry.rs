//! WorkloadEntry: one endpoint outside of the platform (docs/semantics.md §6).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One endpoint, as written in a ServiceEntry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadEntry {
    /// Where the workload is reached: an IP address, a name with resolution DNS, or a `unix://` socket.
    pub address: Option<String>,
    /// Its port for each of the service's ports, by their names, where it differs.
    pub ports: BTreeMap<String, i64>,
    /// Labels of the workload, for subsets and selectors.
    pub labels: BTreeMap<String, String>,
    /// The network it is in, for meshes of several networks.
    pub network: Option<String>,
    /// Where it is: `region/zone/subzone`.
    pub locality: Option<String>,
    /// Its share of the traffic, relative to the other endpoints'; 1 without it.
    pub weight: Option<i64>,
    /// The service account of its namespace that it runs as, which becomes its identity.
    pub service_account: Option<String>,
}
