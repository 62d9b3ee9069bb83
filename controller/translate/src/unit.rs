//! The pieces a proxy's configuration is translated in. Each is run again alone, when an answer it got has changed.

use std::collections::BTreeSet;

use crds::ObjectKey;
use ir::{ClusterName, SecretName};

use crate::ProxyScope;
use crate::mesh::Mesh;
use crate::world::View;

/// Names a piece.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum UnitId {
    Settings,
    /// All Gateways together: their servers share ports.
    Gateways,
    /// One VirtualService.
    Group(ObjectKey),
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
