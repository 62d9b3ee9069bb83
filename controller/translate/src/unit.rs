//! The pieces a proxy's configuration is translated in. Each is run again alone, when an answer it got has changed.

use std::collections::{BTreeMap, BTreeSet};

use crds::ObjectKey;
use ir::{ClusterName, Key, Resource, SecretName};

use crate::ProxyScope;
use crate::mesh::Mesh;
use crate::report::Report;
use crate::world::{Lookup, View};

/// Names a piece.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum UnitId {
    Settings,
    /// All Gateways together: their servers share ports.
    Gateways,
    /// One VirtualService, or the default backend of one Ingress.
    Group(ObjectKey),
    /// One host of all Ingresses together.
    IngressHost(String),
    Cluster(ClusterName),
    Endpoints(ClusterName),
    Secret(SecretName),
}

/// What a translation may look at.
pub(crate) struct Context<'a> {
    pub(crate) view: View<'a>,
    pub(crate) proxy: &'a ProxyScope,
    pub(crate) mesh: &'a Mesh,
}

/// Clusters that something sends traffic to.
pub(crate) type Needed = BTreeSet<ClusterName>;

/// A translation's last result.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    pub(crate) asked: BTreeSet<Lookup>,
    pub(crate) resources: BTreeMap<Key, Resource>,
    pub(crate) needed: Needed,
    pub(crate) reports: Vec<Report>,
}

impl Unit {
    pub(crate) fn put(&mut self, resources: impl IntoIterator<Item = Resource>) {
        self.resources.extend(resources.into_iter().map(|resource| (resource.key(), resource)));
    }
}
