//! The pieces a proxy's configuration is translated in. Each is run again alone, when an answer it got has changed.

use std::collections::{BTreeMap, BTreeSet};

use crds::ObjectKey;
use ir::{ClusterName, Encoded, Key, Resource, SecretName};

use crate::ProxyScope;
use crate::few::Few;
use crate::mesh::Mesh;
use crate::report::Report;
use crate::world::{Mark, View};

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
    /// What holds for a service as a whole, whichever of its clusters are used: reports.
    Service(String),
    Secret(SecretName),
}

/// What a translation may look at.
pub(crate) struct Context<'a, 'w> {
    pub(crate) view: View<'a, 'w>,
    pub(crate) proxy: &'a ProxyScope,
    pub(crate) mesh: &'a Mesh,
}

/// Clusters that something sends traffic to.
pub(crate) type Needed = BTreeSet<ClusterName>;

/// A translation's last result.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    /// Marks of what it asked.
    pub(crate) asked: Few<Mark>,
    pub(crate) resources: Resources,
    pub(crate) needed: Few<ClusterName>,
    pub(crate) reports: Vec<Report>,
}

/// What a unit made. Kept as it is sent, which takes a fraction of what the values take, and is shared with whoever sends
/// it; the values are there only until they were compared with those before.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    /// Sorted by key.
    encoded: Vec<Encoded>,
    fresh: Vec<Resource>,
}

impl Resources {
    pub(crate) fn put(&mut self, resources: impl IntoIterator<Item = Resource>) {
        let resources: BTreeMap<Key, Resource> = std::mem::take(&mut self.fresh)
            .into_iter()
            .chain(resources)
            .map(|resource| (resource.key(), resource))
            .collect();
        self.fresh = resources.into_values().collect();
        self.encoded = self.fresh.iter().map(ir::codec::encode).collect();
        self.encoded.shrink_to_fit();
    }

    /// The version of a resource, if it is among them.
    pub(crate) fn version(&self, key: &Key) -> Option<&str> {
        let at = self.encoded.binary_search_by(|own| own.key.cmp(key)).ok()?;
        Some(&self.encoded[at].version)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.encoded.iter().map(|encoded| &encoded.key)
    }

    /// As values, read back.
    pub(crate) fn values(&self) -> impl Iterator<Item = Resource> {
        self.encoded.iter().map(|encoded| ir::codec::decode(encoded).expect("what was written here can be read"))
    }

    /// Each with its value, which is not kept any longer.
    pub(crate) fn settle(&mut self) -> impl Iterator<Item = (&Encoded, Resource)> {
        self.encoded.iter().zip(std::mem::take(&mut self.fresh))
    }
}
