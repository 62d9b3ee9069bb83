//! Where the other replicas are.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use crds::{Body, ObjectKind};
use translate::World;

/// How replicas are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Find {
    /// They are the pods that run as the controller's service account in its namespace, all on one port.
    Pods { port: u16 },
    /// They are there.
    Fixed(Vec<SocketAddr>),
}

impl Find {
    /// Everybody but `own`, which is the name of this one's pod.
    pub(super) fn others(&self, world: &World, namespace: &str, account: &str, own: &str) -> BTreeSet<SocketAddr> {
        let port = match self {
            Self::Pods { port } => *port,
            Self::Fixed(addresses) => return addresses.iter().copied().collect(),
        };
        let mut found = BTreeSet::new();
        for object in world.objects() {
            let key = object.key();
            if key.kind != ObjectKind::Pod || key.namespace != namespace || key.name == own {
                continue;
            }
            let Body::Pod(pod) = &object.body else { continue };
            if pod.service_account.as_deref() == Some(account) {
                let address = pod.addresses.first().and_then(|text| text.parse::<IpAddr>().ok());
                found.extend(address.map(|ip| SocketAddr::new(ip, port)));
            }
        }
        found
    }
}
