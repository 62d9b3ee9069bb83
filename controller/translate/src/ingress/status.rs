//! What writers of `status.loadBalancer` need to know: which Ingresses are ours, and whose addresses they get. Writes
//! nothing itself.

use crds::{MeshConfig, ObjectKey, ObjectKind};

use super::{class, place};
use crate::ProxyScope;
use crate::memo::Memo;
use crate::mesh;
use crate::world::{Edge, View, World};

/// Whose addresses are those of an Ingress (docs/semantics.md §17).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IngressAddresses {
    /// A Service's: its external addresses and those of its load balancer.
    Service(ObjectKey),
    /// The external addresses of the nodes that run pods with this label, in the control plane's namespace.
    NodesOf { namespace: String, label: String, value: String },
}

/// The Ingresses that our gateways serve, oldest first.
#[must_use]
pub fn ingresses(world: &World, control_namespace: &str) -> Vec<ObjectKey> {
    let nothing = Edge::default();
    let memo = Memo::default();
    let view = View::new(world, &nothing, &memo);
    let found = view.ingresses();
    class::ours(&view, &config(world, control_namespace), found)
        .map(|ingress| ingress.key(ObjectKind::Ingress))
        .collect()
}

/// Where our Ingresses can be reached.
#[must_use]
pub fn ingress_addresses(world: &World, control_namespace: &str) -> IngressAddresses {
    let mesh = config(world, control_namespace);
    match mesh.ingress_service.as_deref() {
        // Written and empty says that there is no Service.
        Some("") => {
            let (label, value) = place::selector(&mesh);
            IngressAddresses::NodesOf {
                namespace: control_namespace.to_owned(),
                label: label.to_owned(),
                value: value.to_owned(),
            }
        }
        name => {
            let name = name.unwrap_or(place::SERVICE);
            IngressAddresses::Service(ObjectKey::new(ObjectKind::Service, control_namespace, name))
        }
    }
}

/// The label, with its value, of the pods that serve our Ingresses.
#[must_use]
pub fn ingress_selector(world: &World, control_namespace: &str) -> (String, String) {
    let mesh = config(world, control_namespace);
    let (label, value) = place::selector(&mesh);
    (label.to_owned(), value.to_owned())
}

/// The mesh's settings; the defaults where they cannot be read, which is reported elsewhere.
fn config(world: &World, control_namespace: &str) -> MeshConfig {
    let proxy = ProxyScope { control_namespace: control_namespace.to_owned(), ..ProxyScope::default() };
    mesh::read(world.get(&mesh::object_key(&proxy)).map(|object| &**object)).unwrap_or_default()
}
