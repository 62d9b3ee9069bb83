//! WorkloadEntry: one endpoint outside of the platform (docs/semantics.md §6).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One endpoint, as written in a ServiceEntry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadEntry {
    /// IP address, name, or `unix://` socket.
    pub address: Option<String>,
    /// Its port for each of the service's ports, by name.
    pub ports: BTreeMap<String, i64>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The network it is in.
    pub network: Option<String>,
    /// Where it is: `region/zone/subzone`.
    pub locality: Option<String>,
    /// Its share of the traffic.
    pub weight: Option<i64>,
    /// Who it runs as.
    pub service_account: Option<String>,
}
