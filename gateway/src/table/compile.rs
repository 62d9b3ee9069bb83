//! Resources → table, incrementally: what did not change is shared with the table before. A resource that does not
//! compile is refused alone; its last good version stays (D6). Runs on a config thread only.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ir::{Delta, Key, Kind, Resource};
use router::{Hosts, RegexCache};

use crate::app::Served;
use crate::discovery::store::Store;
use crate::table::clusters::Clusters;
use crate::table::groups::Group;
use crate::table::listeners::{Chain, Listener, TlsChain};
use crate::table::virtual_hosts::VirtualHosts;
use crate::table::{Table, TableId};
use crate::telemetry::metrics::Metrics;
use crate::tls::files::Found;
use crate::tls::server::Certificates;
use crate::upstream::Guard;
use crate::upstream::resolve::Resolved;

/// A resource that was not taken, with the reason for whoever sent it.
pub type Rejected = (Key, String);

/// What one delta led to.
#[derive(Debug)]
pub struct Compiled {
    pub table: Arc<Table>,
    pub rejected: Vec<Rejected>,
    /// Resources in force of which a part cannot be used.
    pub flawed: Vec<Rejected>,
}

/// Everything the proxy was told, and the table made of it.
#[derive(Debug)]
pub struct Compiler {
    metrics: Arc<Metrics>,
    store: Store,
    /// Shared by all groups: equal patterns are compiled once.
    regexes: RegexCache,
    settings: Arc<ir::ProxySettings>,
    groups: HashMap<Arc<str>, Group>,
    hosts: VirtualHosts,
    clusters: Clusters,
    certificates: Certificates,
    listener_configs: HashMap<ir::ListenerName, ir::Listener>,
    listeners: HashMap<ir::ListenerName, Arc<Listener>>,
    table: Arc<Table>,
}

impl Default for Compiler {
    /// For whoever wants tables without a proxy.
    fn default() -> Self {
        Self::new(Arc::new(Metrics::new()), Guard::open())
    }
}

impl Compiler {
    pub(crate) fn new(metrics: Arc<Metrics>, guard: Guard) -> Self {
        Self {
            metrics,
            store: Store::default(),
            regexes: RegexCache::default(),
            settings: Arc::default(),
            groups: HashMap::new(),
            hosts: VirtualHosts::default(),
            clusters: Clusters::new(guard),
            certificates: Certificates::default(),
            listener_configs: HashMap::new(),
            listeners: HashMap::new(),
            table: Arc::default(),
        }
    }

    /// Takes what changed.
    pub fn apply(&mut self, delta: &Delta) -> Compiled {
        let mut rejected = Vec::new();
        let mut listeners = HashSet::new();
        for encoded in &delta.changed {
            if self.store.has(encoded) {
                continue;
            }
            let taken = match ir::codec::decode(encoded) {
                Ok(resource) => self.set(resource, &mut listeners),
                Err(error) => Err(chain(&error)),
            };
            match taken {
                Ok(()) => self.store.put(encoded),
                Err(reason) => rejected.push((encoded.key.clone(), reason)),
            }
        }
        for key in &delta.removed {
            if self.store.remove(key) {
                self.unset(key, &mut listeners);
            }
        }
        self.rebuild_listeners(&listeners);
        self.regexes.shrink();
        let mut flawed: Vec<Rejected> = listeners.iter().filter_map(|name| self.listener_flaw(name)).collect();
        let endpoints = delta.changed.iter().filter(|it| it.key.kind == Kind::Endpoints);
        flawed.extend(endpoints.filter_map(|it| Some((it.key.clone(), self.clusters.refusal(&it.key.name)?))));
        Compiled { table: self.build(), rejected, flawed }
    }

    /// Takes a name's addresses; `None` if nobody uses it.
    pub(crate) fn resolved(&mut self, resolved: Resolved) -> Option<Arc<Table>> {
        self.clusters.set_resolved(resolved, &self.metrics).then(|| self.build())
    }

    /// Takes what stands in certificate files; `None` if that changes nothing.
    pub(crate) fn found(&mut self, found: Found) -> Option<Arc<Table>> {
        let source = found.source.clone();
        if !self.certificates.set_files(found) {
            return None;
        }
        let users = self.users_of(|used| *used == source);
        if users.is_empty() {
            return None;
        }
        self.rebuild_listeners(&users);
        Some(self.build())
    }

    /// Certificate files that listeners name.
    pub(crate) fn files(&self) -> HashSet<ir::CertificateSource> {
        self.listener_configs.values().flat_map(files_of).cloned().collect()
    }

    /// Certificate files that a change names and of which nothing is known.
    pub(crate) fn new_files(&self, delta: &Delta) -> HashSet<ir::CertificateSource> {
        let listeners = delta.changed.iter().filter(|it| it.key.kind == Kind::Listener && !self.store.has(it));
        let listeners = listeners.filter_map(|encoded| match ir::codec::decode(encoded) {
            Ok(Resource::Listener(listener)) => Some(listener),
            // What cannot be read is refused later.
            _ => None,
        });
        let mut new = HashSet::new();
        for listener in listeners {
            new.extend(files_of(&listener).filter(|source| !self.certificates.knows(source)).cloned());
        }
        new
    }

    /// Why a listener serves less than it says.
    fn listener_flaw(&self, name: &ir::ListenerName) -> Option<Rejected> {
        let listener = self.listener_configs.get(name)?;
        let why = listener.tls.iter().find_map(|chain| {
            let problem = chain.tls.certificates.iter().find_map(|source| self.certificates.problem(source))?;
            let host = chain.sni.first().map_or("*", |host| host.as_str());
            Some(format!("the server for {host} has a certificate that cannot be used: {problem}"))
        })?;
        Some((Key { kind: Kind::Listener, name: name.as_str().into() }, why))
    }

    /// What is to be told of names that are not resolved, as far as the change has to do with them.
    pub(crate) fn unresolved(&self, names: &HashSet<String>, most: usize, delta: &Delta) -> Vec<Rejected> {
        if names.is_empty() {
            return Vec::new();
        }
        let changed: HashSet<&Key> = delta.changed.iter().map(|it| &it.key).collect();
        let told = self.clusters.users_of(names).map(|(cluster, name)| {
            let why = format!("{name} is not resolved: this proxy resolves {most} names (--limit dns-names)");
            (Key { kind: Kind::Endpoints, name: cluster.as_str().into() }, why)
        });
        told.filter(|(key, _)| changed.contains(key)).collect()
    }

    /// Every name that endpoints have.
    pub(crate) fn names(&mut self) -> HashMap<String, std::time::Duration> {
        self.clusters.names()
    }

    /// Certificate chains by where they come from.
    pub(crate) fn certificates(&self) -> Vec<Served> {
        self.certificates.chains().collect()
    }

    /// Keys and versions of everything in force.
    pub(crate) fn versions(&self) -> impl Iterator<Item = (&Key, &Arc<str>)> {
        self.store.versions()
    }

    fn set(&mut self, resource: Resource, listeners: &mut HashSet<ir::ListenerName>) -> Result<(), String> {
        match resource {
            Resource::Settings(settings) => {
                self.settings = Arc::new(settings);
                self.metrics.set_workload(&self.settings.workload);
            }
            Resource::Secret(secret) => {
                let source = ir::CertificateSource::Secret(secret.name.clone());
                self.certificates.set_secret(&secret).map_err(|error| chain(&error))?;
                listeners.extend(self.users_of(|used| *used == source));
            }
            Resource::Endpoints(endpoints) => {
                let name = endpoints.cluster.clone();
                self.clusters.set_endpoints(Some(endpoints), &name, &self.metrics);
            }
            Resource::Cluster(cluster) => {
                let name = cluster.name.clone();
                self.clusters.set_config(Some(cluster), &name, &self.metrics);
            }
            Resource::RouteGroup(group) => self.set_group(&group)?,
            Resource::RouteTable(table) => {
                let name = table.name.clone();
                self.hosts.set_table(&name, Some(&table));
            }
            Resource::Listener(listener) => {
                listeners.insert(listener.name.clone());
                self.listener_configs.insert(listener.name.clone(), listener);
            }
        }
        Ok(())
    }

    fn unset(&mut self, key: &Key, listeners: &mut HashSet<ir::ListenerName>) {
        match key.kind {
            Kind::Settings => {
                self.settings = Arc::default();
                self.metrics.set_workload(&self.settings.workload);
            }
            Kind::Secret => {
                let source = ir::CertificateSource::Secret(ir::SecretName::from(&*key.name));
                self.certificates.remove(&source);
                listeners.extend(self.users_of(|used| *used == source));
            }
            Kind::Endpoints => self.clusters.set_endpoints(None, &ir::ClusterName::from(&*key.name), &self.metrics),
            Kind::Cluster => self.clusters.set_config(None, &ir::ClusterName::from(&*key.name), &self.metrics),
            Kind::RouteGroup => {
                if let Some(old) = self.groups.remove(&key.name) {
                    self.hosts.remove(&old);
                    self.clusters.forget(&old.clusters);
                }
            }
            Kind::RouteTable => self.hosts.set_table(&ir::TableName::from(&*key.name), None),
            Kind::Listener => {
                let name = ir::ListenerName::from(&*key.name);
                self.listener_configs.remove(&name);
                listeners.insert(name);
            }
        }
    }

    fn set_group(&mut self, group: &ir::RouteGroup) -> Result<(), String> {
        let mut mentioned = Vec::new();
        let clusters = &mut self.clusters;
        let compiled = Group::compile(group, &mut self.regexes, |name| {
            mentioned.push(name.clone());
            clusters.mention(name)
        });
        let compiled = match compiled {
            Ok(compiled) => compiled,
            Err(error) => {
                self.clusters.forget(&mentioned);
                return Err(chain(&error));
            }
        };
        if let Some(old) = self.groups.remove(group.name.as_str()) {
            self.hosts.remove(&old);
            self.clusters.forget(&old.clusters);
        }
        self.hosts.add(&compiled);
        self.groups.insert(group.name.as_str().into(), compiled);
        Ok(())
    }

    /// Listeners with a chain whose certificate fits.
    fn users_of(&self, fits: impl Fn(&ir::CertificateSource) -> bool) -> HashSet<ir::ListenerName> {
        let uses = |listener: &&ir::Listener| listener.tls.iter().flat_map(|chain| &chain.tls.certificates).any(&fits);
        self.listener_configs.values().filter(uses).map(|listener| listener.name.clone()).collect()
    }

    fn rebuild_listeners(&mut self, names: &HashSet<ir::ListenerName>) {
        for name in names {
            match self.listener_configs.get(name).cloned() {
                Some(config) => {
                    let listener = Arc::new(self.listener(&config));
                    self.listeners.insert(name.clone(), listener);
                }
                None => {
                    self.listeners.remove(name);
                }
            }
        }
        if !names.is_empty() {
            let used = self.listener_configs.values().flat_map(|it| &it.tls).flat_map(|chain| &chain.tls.certificates);
            self.certificates.keep_only(&used.cloned().collect());
        }
    }

    fn listener(&mut self, config: &ir::Listener) -> Listener {
        let ir::Listener { name, bind, created, plaintext, tls } = config;
        let mut chains = Hosts::default();
        for ir::TlsChain { sni, tls, chain } in tls {
            let compiled = Arc::new(TlsChain {
                configs: self.certificates.server_configs(tls),
                certificates: tls.certificates.clone(),
                chain: self.chain(chain),
            });
            if sni.is_empty() {
                chains.insert(ir::Host::from("*"), Arc::clone(&compiled));
            }
            for host in sni {
                chains.insert(host.clone(), Arc::clone(&compiled));
            }
        }
        let plaintext = plaintext.as_ref().map(|chain| self.chain(chain));
        Listener { name: name.clone(), bind: bind.clone(), created: *created, plaintext, tls: chains }
    }

    fn chain(&mut self, chain: &ir::Chain) -> Chain {
        match chain {
            ir::Chain::Http { table } => Chain::Http { table: self.hosts.id(table), name: table.clone() },
            ir::Chain::Tcp(ir::TcpChain { destinations }) => {
                // The mentions of listeners are never taken back: there are few, and an index is four bytes.
                let clusters = destinations.iter().map(|(name, weight)| (self.clusters.mention(name), *weight));
                Chain::Tcp {
                    destinations: clusters.collect(),
                    total_weight: destinations.iter().map(|(_, weight)| u64::from(*weight)).sum(),
                }
            }
        }
    }

    fn build(&mut self) -> Arc<Table> {
        self.table = Arc::new(Table {
            generation: self.table.generation + 1,
            settings: Arc::clone(&self.settings),
            limits: Arc::new(self.settings.limits.clone()),
            route_tables: self.hosts.build(),
            clusters: self.clusters.slots().to_vec(),
            listeners: self.listeners.clone(),
        });
        Arc::clone(&self.table)
    }
}

/// The certificate files that a listener names.
fn files_of(listener: &ir::Listener) -> impl Iterator<Item = &ir::CertificateSource> {
    let sources = listener.tls.iter().flat_map(|chain| &chain.tls.certificates);
    sources.filter(|source| matches!(source, ir::CertificateSource::Files { .. }))
}

/// The index by which connections of a chain find their routes.
impl Chain {
    #[must_use]
    pub fn table(&self) -> Option<TableId> {
        match self {
            Self::Http { table, .. } => Some(*table),
            Self::Tcp { .. } => None,
        }
    }
}

/// An error with its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
