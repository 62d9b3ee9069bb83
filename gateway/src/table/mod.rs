//! Everything a request needs, as one immutable value behind one swap: routes, clusters, certificates and settings that
//! belong together change together (D6). Made by [`compile::Compiler`] on a config thread, read by all others.

mod clusters;
pub mod compile;
mod groups;
mod listeners;
mod route;
mod virtual_hosts;

use std::collections::HashMap;
use std::sync::Arc;

use router::{Hosts, Router};

use crate::upstream::Cluster;

pub use listeners::{Chain, Listener, TlsChain};
pub use route::{Action, Destination, Forward, Route};

pub(crate) use crate::filter::headers::HeaderEdits;
use crate::proxy::head::RequestHead;

/// Index of a route table. Never used again for another one, so that a connection cannot change tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableId(pub(crate) u32);

/// Index of a cluster in the table it was compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClusterId(pub(crate) u32);

/// A virtual host.
#[derive(Debug)]
pub struct VirtualHost {
    pub host: ir::Host,
    /// Plaintext requests are redirected to https, whatever route they have; but for the few routes that are there for
    /// plaintext.
    pub https_redirect: bool,
    pub router: Router<Arc<Route>>,
}

impl VirtualHost {
    /// Whether a request is redirected to https.
    pub(crate) fn redirects(&self, request: &RequestHead) -> bool {
        self.https_redirect
            && request.scheme() != b"https"
            && !self.router.find(request).is_some_and(|route| route.plaintext)
    }
}

/// One proxy's configuration.
#[derive(Debug, Default)]
pub struct Table {
    generation: u64,
    settings: Arc<ir::ProxySettings>,
    limits: Arc<ir::Limits>,
    route_tables: Vec<Option<Arc<Hosts<Arc<VirtualHost>>>>>,
    clusters: Vec<Option<Arc<Cluster>>>,
    listeners: HashMap<ir::ListenerName, Arc<Listener>>,
}

impl Table {
    /// Counts the tables of this process.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    #[must_use]
    pub fn settings(&self) -> &Arc<ir::ProxySettings> {
        &self.settings
    }

    pub(crate) fn limits(&self) -> &Arc<ir::Limits> {
        &self.limits
    }

    /// The virtual hosts of a route table; `None` once it is gone.
    #[must_use]
    pub fn route_table(&self, id: TableId) -> Option<&Arc<Hosts<Arc<VirtualHost>>>> {
        self.route_tables.get(id.0 as usize)?.as_ref()
    }

    /// All route tables by index.
    pub fn route_tables(&self) -> impl Iterator<Item = (TableId, &Arc<Hosts<Arc<VirtualHost>>>)> {
        let numbered = (0..).map(TableId).zip(&self.route_tables);
        numbered.filter_map(|(id, hosts)| Some((id, hosts.as_ref()?)))
    }

    /// `None` where no such cluster exists.
    #[must_use]
    pub fn cluster(&self, id: ClusterId) -> Option<&Arc<Cluster>> {
        self.clusters.get(id.0 as usize)?.as_ref()
    }

    #[must_use]
    pub fn listener(&self, name: &ir::ListenerName) -> Option<&Arc<Listener>> {
        self.listeners.get(name)
    }

    pub fn listeners(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.listeners.values()
    }

    pub fn clusters(&self) -> impl Iterator<Item = &Arc<Cluster>> {
        self.clusters.iter().flatten()
    }

    /// How many routes all virtual hosts have together.
    #[must_use]
    pub fn route_count(&self) -> usize {
        self.route_tables.iter().flatten().flat_map(|hosts| hosts.iter()).map(|(_, host)| host.router.len()).sum()
    }
}
