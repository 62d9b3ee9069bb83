//! Clusters by index: routes hold numbers, the table holds the clusters.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::table::ClusterId;
use crate::telemetry::metrics::Metrics;
use crate::upstream::resolve::{Resolved, sockets};
use crate::upstream::{Address, Cluster, Guard};

/// All clusters known, with the indexes of those that routes name.
#[derive(Debug)]
pub(crate) struct Clusters {
    guard: Guard,
    configs: HashMap<ir::ClusterName, Arc<ir::Cluster>>,
    endpoints: HashMap<ir::ClusterName, Arc<ir::Endpoints>>,
    built: HashMap<ir::ClusterName, Arc<Cluster>>,
    /// Index and number of mentions.
    ids: HashMap<ir::ClusterName, (ClusterId, usize)>,
    free: Vec<ClusterId>,
    slots: Vec<Option<Arc<Cluster>>>,
    resolved: HashMap<String, Vec<IpAddr>>,
    /// The clusters whose endpoints may have names: few, so that nobody looks through all of them.
    resolving: HashMap<ir::ClusterName, Duration>,
}

impl Clusters {
    /// `guard` says which endpoints are connected to.
    pub(crate) fn new(guard: Guard) -> Self {
        Self {
            guard,
            configs: HashMap::new(),
            endpoints: HashMap::new(),
            built: HashMap::new(),
            ids: HashMap::new(),
            free: Vec::new(),
            slots: Vec::new(),
            resolved: HashMap::new(),
            resolving: HashMap::new(),
        }
    }

    /// The index of a cluster, existing or not, for one more mention of it.
    pub(crate) fn mention(&mut self, name: &ir::ClusterName) -> ClusterId {
        if let Some((id, mentions)) = self.ids.get_mut(name) {
            *mentions += 1;
            return *id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            ClusterId(u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 clusters fit into memory"))
        });
        self.ids.insert(name.clone(), (id, 1));
        self.slots[id.0 as usize] = self.built.get(name).cloned();
        id
    }

    /// Takes mentions back; an index that nobody holds is free for another cluster.
    pub(crate) fn forget<'n>(&mut self, names: impl IntoIterator<Item = &'n ir::ClusterName>) {
        for name in names {
            let Some((id, mentions)) = self.ids.get_mut(name) else { continue };
            *mentions -= 1;
            if *mentions == 0 {
                let id = *id;
                self.ids.remove(name);
                self.slots[id.0 as usize] = None;
                self.free.push(id);
            }
        }
    }

    pub(crate) fn set_config(&mut self, config: Option<ir::Cluster>, name: &ir::ClusterName, metrics: &Arc<Metrics>) {
        match config.as_ref().map(|config| config.discovery) {
            Some(ir::Discovery::Dns { refresh, .. }) => self.resolving.insert(name.clone(), refresh),
            Some(ir::Discovery::Listed) | None => self.resolving.remove(name),
        };
        match config {
            Some(config) => self.configs.insert(name.clone(), Arc::new(config)),
            None => self.configs.remove(name),
        };
        self.rebuild(name, metrics);
    }

    pub(crate) fn set_endpoints(
        &mut self,
        endpoints: Option<ir::Endpoints>,
        name: &ir::ClusterName,
        metrics: &Arc<Metrics>,
    ) {
        match endpoints {
            Some(endpoints) => self.endpoints.insert(name.clone(), Arc::new(endpoints)),
            None => self.endpoints.remove(name),
        };
        self.rebuild(name, metrics);
    }

    /// Takes a name's addresses; true if a cluster uses it.
    pub(crate) fn set_resolved(&mut self, resolved: Resolved, metrics: &Arc<Metrics>) -> bool {
        let users: Vec<_> = self
            .endpoints
            .values()
            .filter(|it| names(it).any(|name| name == resolved.name))
            .map(|it| it.cluster.clone())
            .collect();
        // An answer for a name that went away meanwhile is nothing to keep.
        if !users.is_empty() {
            self.resolved.insert(resolved.name, resolved.addresses);
        }
        for name in &users {
            self.rebuild(name, metrics);
        }
        !users.is_empty()
    }

    /// Every name that endpoints have, with how often it is to be asked for.
    pub(crate) fn names(&mut self) -> HashMap<String, Duration> {
        let mut all = HashMap::new();
        for (cluster, refresh) in &self.resolving {
            for name in self.endpoints.get(cluster).into_iter().flat_map(|endpoints| names(endpoints)) {
                let known = all.entry(name.to_owned()).or_insert(*refresh);
                *known = (*refresh).min(*known);
            }
        }
        // What nothing names any more is asked for anew when it comes back.
        self.resolved.retain(|name, _| all.contains_key(name));
        all
    }

    /// Clusters that have one of these names, with the first of them.
    pub(crate) fn users_of<'a>(
        &'a self,
        wanted: &'a HashSet<String>,
    ) -> impl Iterator<Item = (&'a ir::ClusterName, &'a str)> {
        self.resolving.keys().filter_map(|cluster| {
            let name = names(self.endpoints.get(cluster)?).find(|name| wanted.contains(*name))?;
            Some((cluster, name))
        })
    }

    /// Why endpoints of a cluster get no requests, if some do not.
    pub(crate) fn refusal(&self, name: &str) -> Option<String> {
        let refused = self.built.get(&ir::ClusterName::from(name))?.refused();
        let (address, reason) = refused.first()?;
        let more = match refused.len() {
            1 => String::new(),
            count => format!(", and {} more", count - 1),
        };
        Some(format!("endpoint {address} gets no requests: {reason}{more}"))
    }

    pub(crate) fn slots(&self) -> &[Option<Arc<Cluster>>] {
        &self.slots
    }

    fn rebuild(&mut self, name: &ir::ClusterName, metrics: &Arc<Metrics>) {
        let built = self.configs.get(name).map(|config| {
            let addresses =
                self.endpoints.get(name).map_or_else(Vec::new, |endpoints| self.addresses(config, endpoints));
            let previous = self.built.get(name).map(Arc::as_ref);
            let built = Cluster::build(Arc::clone(config), addresses, previous, &self.guard, metrics);
            tell_refused(&built, previous, metrics);
            Arc::new(built)
        });
        if let Some((id, _)) = self.ids.get(name) {
            self.slots[id.0 as usize].clone_from(&built);
        }
        match built {
            Some(built) => self.built.insert(name.clone(), built),
            None => self.built.remove(name),
        };
    }

    fn addresses(&self, config: &ir::Cluster, endpoints: &ir::Endpoints) -> Vec<(Address, u32)> {
        let mut all = Vec::with_capacity(endpoints.endpoints.len());
        for ir::Endpoint { address, weight } in &endpoints.endpoints {
            match address {
                ir::EndpointAddress::Socket(address) => all.push((Address::Socket(*address), *weight)),
                ir::EndpointAddress::Unix(path) => {
                    all.push((Address::Unix(path.to_string_lossy().into_owned()), *weight));
                }
                ir::EndpointAddress::Name { host, port } => {
                    let first_only = matches!(config.discovery, ir::Discovery::Dns { first_only: true, .. });
                    let known = self.resolved.get(host).map(Vec::as_slice).unwrap_or_default();
                    all.extend(sockets(known, *port, first_only).map(|it| (Address::Socket(it), *weight)));
                }
            }
        }
        all
    }
}

/// Tells of addresses that are refused and were not before: once per change, so that no log line repeats.
fn tell_refused(built: &Cluster, previous: Option<&Cluster>, metrics: &Metrics) {
    /// Addresses that one line shows.
    const SHOWN: usize = 5;
    let before = previous.map(Cluster::refused).unwrap_or_default();
    if built.refused() == before {
        return;
    }
    let known: HashSet<_> = before.iter().collect();
    let new: Vec<_> = built.refused().iter().filter(|it| !known.contains(it)).collect();
    for (_, reason) in &new {
        metrics.refused_endpoints.with_label_values(&[reason.name()]).inc();
    }
    if let Some((_, reason)) = new.first() {
        let shown: Vec<String> = new.iter().take(SHOWN).map(|(address, _)| address.to_string()).collect();
        warn!(
            cluster = %built.name(),
            addresses = ?shown,
            count = new.len(),
            reason = %reason,
            "endpoints are refused; no request goes there"
        );
    }
}

fn names(endpoints: &ir::Endpoints) -> impl Iterator<Item = &str> {
    endpoints.endpoints.iter().filter_map(|endpoint| match &endpoint.address {
        ir::EndpointAddress::Name { host, .. } => Some(host.as_str()),
        ir::EndpointAddress::Socket(_) | ir::EndpointAddress::Unix(_) => None,
    })
}
