//! ProxyConfig: settings of proxies that take effect when their pods start (docs/semantics.md §8). MeshConfig's
//! `defaultConfig` has the same name and many more fields; it is [`crate::mesh_config::ProxyConfig`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::selector::PolicySelector;

/// Settings of the proxies it selects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ProxyConfig {
    /// Workloads of the namespace it applies to; without it, all of them.
    pub selector: Option<PolicySelector>,
    /// Worker threads of the proxy; 0 for one per core.
    pub concurrency: Option<i64>,
    /// Environment variables of the proxy.
    pub environment_variables: BTreeMap<String, String>,
    /// Which image of the proxy is used when pods start.
    pub image: Option<ProxyImage>,
}

/// An image of the proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ProxyImage {
    /// `default`, `debug` or `distroless`.
    pub image_type: Option<String>,
}
