//! The pieces a proxy's configuration is translated in. Each is run again alone, when an answer it got has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::ObjectKey;
use ir::{ClusterName, Key, Resource, SecretName};

use crate::ProxyScope;
use crate::few::Few;
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
    /// Shared with the list of who asked what.
    pub(crate) asked: Few<Arc<Lookup>>,
    pub(crate) resources: Resources,
    pub(crate) needed: Few<ClusterName>,
    pub(crate) reports: Vec<Report>,
}

/// Most units make one resource, or none; a list of pointers, sorted by key.
#[derive(Debug, Default)]
pub(crate) struct Resources(Vec<(Key, Box<Resource>)>);

impl Resources {
    pub(crate) fn put(&mut self, resources: impl IntoIterator<Item = Resource>) {
        let resources: BTreeMap<Key, Resource> =
            resources.into_iter().map(|resource| (resource.key(), resource)).collect();
        self.0.extend(resources.into_iter().map(|(key, resource)| (key, Box::new(resource))));
        self.0.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.0.shrink_to_fit();
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Resource> {
        let at = self.0.binary_search_by(|(own, _)| own.cmp(key)).ok()?;
        Some(&self.0[at].1)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Resource> {
        self.0.iter().map(|(_, resource)| &**resource)
    }
}
