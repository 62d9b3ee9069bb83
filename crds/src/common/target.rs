//! What a policy is attached to when it names it instead of selecting workloads (docs/semantics.md §1.6).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Names an object a policy is attached to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyTargetReference {
    /// The object's group; empty for Kubernetes' core.
    pub group: Option<String>,
    /// `Gateway`, `GatewayClass`, `Service` or `ServiceEntry`.
    pub kind: String,
    /// The object's name, in the policy's own namespace.
    pub name: String,
    /// Must be empty: the object is in the policy's namespace.
    pub namespace: Option<String>,
}
