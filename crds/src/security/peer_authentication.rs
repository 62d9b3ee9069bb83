//! PeerAuthentication: whether workloads accept plaintext, mutual TLS or both (docs/semantics.md §11).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::enumeration::enumeration;
use crate::common::selector::PolicySelector;

/// Whether workloads accept plaintext, mutual TLS or both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct PeerAuthentication {
    /// Workloads of the namespace it applies to; without it, all of them.
    pub selector: Option<PolicySelector>,
    /// What is accepted on every port; without it, as the policy above says.
    pub mtls: Option<MutualTls>,
    /// What is accepted on single ports of the workload, by their numbers.
    pub port_level_mtls: BTreeMap<String, MutualTls>,
}

/// What is accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct MutualTls {
    /// Plaintext, mutual TLS, or both.
    pub mode: MutualTlsMode,
}

enumeration! {
    /// What a workload accepts.
    MutualTlsMode {
        /// As the policy above says; both where none does.
        Unset = ("UNSET", 0),
        /// Connections are passed on as they are.
        Disable = ("DISABLE", 1),
        /// Plaintext and mutual TLS.
        Permissive = ("PERMISSIVE", 2),
        /// Mutual TLS only.
        Strict = ("STRICT", 3),
    }
}
