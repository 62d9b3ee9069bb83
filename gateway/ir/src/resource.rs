//! The unit of delivery.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Cluster, Endpoints, Listener, ProxySettings, RouteGroup, RouteTable, Secret};

/// Every kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Settings,
    Secret,
    Endpoints,
    Cluster,
    RouteGroup,
    RouteTable,
    Listener,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settings => "settings",
            Self::Secret => "secret",
            Self::Endpoints => "endpoints",
            Self::Cluster => "cluster",
            Self::RouteGroup => "route group",
            Self::RouteTable => "route table",
            Self::Listener => "listener",
        })
    }
}

/// Names a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    pub kind: Kind,
    pub name: Arc<str>,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    Settings(ProxySettings),
    Secret(Secret),
    Endpoints(Endpoints),
    Cluster(Cluster),
    RouteGroup(RouteGroup),
    RouteTable(RouteTable),
    Listener(Listener),
}

/// The name of the one [`ProxySettings`].
pub const SETTINGS: &str = "proxy";

impl Resource {
    #[must_use]
    pub fn key(&self) -> Key {
        let (kind, name) = match self {
            Self::Settings(_) => (Kind::Settings, SETTINGS),
            Self::Secret(it) => (Kind::Secret, it.name.as_str()),
            Self::Endpoints(it) => (Kind::Endpoints, it.cluster.as_str()),
            Self::Cluster(it) => (Kind::Cluster, it.name.as_str()),
            Self::RouteGroup(it) => (Kind::RouteGroup, it.name.as_str()),
            Self::RouteTable(it) => (Kind::RouteTable, it.name.as_str()),
            Self::Listener(it) => (Kind::Listener, it.name.as_str()),
        };
        Key { kind, name: Arc::from(name) }
    }
}

/// A resource on its way: equal versions mean equal bodies.
#[derive(Clone, PartialEq, Eq)]
pub struct Encoded {
    pub key: Key,
    /// Hash of the body, hexadecimal.
    pub version: Arc<str>,
    pub body: Arc<[u8]>,
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body may hold a private key.
        write!(f, "{} @{} ({} bytes)", self.key, self.version, self.body.len())
    }
}

/// What changed for a proxy. Everything in it takes effect together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    pub changed: Vec<Encoded>,
    pub removed: Vec<Key>,
}

impl Delta {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}
