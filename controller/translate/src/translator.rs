//! Runs translations: all at first, later only those that looked at something that changed. Knows nothing of what they
//! do.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crds::{Body, ObjectKey, ObjectKind};
use ir::{ClusterName, Encoded, Key, Resource, SecretName};

use crate::ProxyScope;
use crate::few::Few;
use crate::gateway::{self, SecretUse};
use crate::holders::{Holder, Holders};
use crate::limits::TranslationLimits;
use crate::memo::Memo;
use crate::mesh::{self, Mesh};
use crate::names::Names;
use crate::report::{Problem, Report, bound};
use crate::step::Step;
use crate::tenancy;
use crate::unit::{Context, Needed, Unit, UnitId};
use crate::world::{Changes, Edge, Lookup, Mark, Typed, View, World, lookups};
use crate::{cluster, endpoints, ingress, secret, service, settings, virtual_service};

/// What one proxy is told, kept up to date.
#[derive(Debug)]
pub struct Translator {
    proxy: ProxyScope,
    mesh: Mesh,
    mesh_report: Option<Report>,
    units: BTreeMap<Arc<UnitId>, Unit>,
    /// Who asked what. Names of units are shared with the units, which are many.
    askers: HashMap<Mark, Few<Arc<UnitId>>>,
    edge: Edge,
    secrets: BTreeMap<SecretName, Vec<SecretUse>>,
    /// How many units name a cluster.
    needed: BTreeMap<ClusterName, usize>,
    /// The clusters of a host that are named.
    clusters: BTreeMap<String, BTreeSet<ClusterName>>,
    /// Names to resolve.
    names: Names,
    /// Who has which virtual host.
    holders: Holders,
    /// Whose reports are about an object.
    reporters: HashMap<ObjectKey, Few<Arc<UnitId>>>,
    /// Reports about one object.
    most_reports: usize,
    started: bool,
}

/// What one step changed.
#[derive(Clone, Debug, Default)]
pub struct Update {
    pub changed: Vec<Resource>,
    /// The same, as it is sent.
    pub encoded: Vec<Encoded>,
    pub removed: Vec<Key>,
    /// How many translations were run.
    pub units_run: usize,
    /// Whether [`Translator::reports`] yields something else than before.
    pub reports_changed: bool,
    /// The objects about which it does.
    pub reported: BTreeSet<ObjectKey>,
}

impl Update {
    /// Whether the proxy has nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}

impl Translator {
    #[must_use]
    pub fn new(proxy: ProxyScope) -> Self {
        Self {
            mesh: Mesh::new(crds::MeshConfig::default(), &proxy),
            proxy,
            mesh_report: None,
            units: BTreeMap::new(),
            askers: HashMap::new(),
            edge: Edge::default(),
            secrets: BTreeMap::new(),
            needed: BTreeMap::new(),
            clusters: BTreeMap::new(),
            names: Names::default(),
            holders: Holders::default(),
            reporters: HashMap::new(),
            most_reports: TranslationLimits::default().reports_per_object,
            started: false,
        }
    }

    /// Follows the world. `changes` must say all that happened since the last call; the first call needs none.
    pub fn update(&mut self, world: &World, changes: &Changes) -> Update {
        let mut step = Step::default();
        let everything = !self.started | self.read_mesh(world, changes, &mut step);
        self.started = true;
        self.most_reports = world.limits().reports_per_object;
        if everything {
            step.dirty.extend(self.units.keys().map(|id| UnitId::clone(id)));
            step.dirty.extend([UnitId::Settings, UnitId::Gateways]);
            for kind in [ObjectKind::VirtualService, ObjectKind::Ingress] {
                step.dirty.extend(world.keys_of(kind).cloned().map(UnitId::Group));
            }
            let ingresses = world.keys_of(ObjectKind::Ingress).filter_map(|key| world.get(key));
            step.dirty.extend(ingresses.flat_map(|ingress| lookups(ingress)).filter_map(host_of));
        }
        for lookup in &changes.touched {
            self.mark(lookup, &mut step);
            step.dirty.extend(host_of(lookup.clone()));
        }
        let has_group = |key: &&ObjectKey| matches!(key.kind, ObjectKind::VirtualService | ObjectKind::Ingress);
        for key in changes.objects.iter().filter(has_group) {
            step.dirty.insert(UnitId::Group(key.clone()));
        }
        let memo = Memo::default();
        // In this order, because each stage decides what the next ones have to do.
        self.run(&UnitId::Settings, world, &memo, &mut step);
        self.run(&UnitId::Gateways, world, &memo, &mut step);
        while let Some(unit) = step.dirty.range(first_group()..).find(|unit| matches!(unit, UnitId::Group(_))).cloned()
        {
            self.run(&unit, world, &memo, &mut step);
        }
        loop {
            while let Some(unit) = step.dirty.pop_first() {
                step.dirty.insert(unit.clone());
                self.run(&unit, world, &memo, &mut step);
            }
            // What is granted depends on all; what is asked for does not depend on what is granted.
            let changed = self.names.grant(world.limits());
            if changed.is_empty() {
                break;
            }
            step.dirty.extend(changed.into_iter().map(UnitId::Endpoints));
        }
        step.finish()
    }

    /// Everything the proxy is told now, read back from how it is told.
    pub fn resources(&self) -> impl Iterator<Item = Resource> {
        self.units.values().flat_map(|unit| unit.resources.values())
    }

    /// Whether the proxy serves Gateways and Ingresses of namespaces other than its own (docs/semantics.md §1.9).
    #[must_use]
    pub fn serves_other_namespaces(&self) -> bool {
        tenancy::is_shared(&self.mesh.config, &self.proxy)
    }

    /// Where the proxy listens for connections to a port as Gateways, and clients of a Service in front of the proxy,
    /// call it (docs/semantics.md §2.3).
    #[must_use]
    pub fn listening_port(&self, world: &World, port: u16) -> u16 {
        let memo = Memo::default();
        let context = Context { view: View::new(world, &self.edge, &memo), proxy: &self.proxy, mesh: &self.mesh };
        gateway::listening_port(&context, port)
    }

    /// What is wrong with objects among the others; every problem once.
    pub fn reports(&self) -> impl Iterator<Item = Report> {
        let mut seen = BTreeSet::new();
        let all = self.mesh_report.iter().chain(self.units.values().flat_map(|unit| &unit.reports));
        let unique: Vec<&Report> =
            all.filter(|report| seen.insert((&report.object, &report.field, report.problem.to_string()))).collect();
        let mut unique: Vec<Report> = unique.into_iter().cloned().collect();
        unique.extend(self.holders.reports());
        unique.sort_by(|a, b| (&a.object, &a.field).cmp(&(&b.object, &b.field)));
        bound(&mut unique, self.most_reports);
        unique.into_iter()
    }

    /// What is wrong with one object among the others; every problem once. A Secret has no place to tell it: what is wrong
    /// with it is told of the Gateways that name it, too (docs/semantics.md §1.8).
    #[must_use]
    pub fn reports_about(&self, object: &ObjectKey) -> Vec<Report> {
        let units = self.reporters.get(object).into_iter().flatten().filter_map(|id| self.units.get(&**id));
        let own = self.mesh_report.iter().chain(units.flat_map(|unit| &unit.reports));
        let own = own.filter(|report| report.object == *object).cloned();
        let mut seen = BTreeSet::new();
        let mut unique: Vec<Report> = own
            .chain(self.reports_about_secrets_of(object))
            .chain(self.holders.reports_about(object))
            .filter(|report| seen.insert((report.field.clone(), report.problem.to_string())))
            .collect();
        unique.sort_by(|a, b| a.field.cmp(&b.field));
        bound(&mut unique, self.most_reports);
        unique
    }

    fn reports_about_secrets_of<'a>(&'a self, gateway: &'a ObjectKey) -> impl Iterator<Item = Report> + 'a {
        let secrets = self.secrets.iter().filter(|_| gateway.kind == ObjectKind::Gateway);
        secrets.flat_map(move |(name, uses)| {
            let unit = self.units.get(&UnitId::Secret(name.clone()));
            let wrong = unit
                .into_iter()
                .flat_map(|unit| &unit.reports)
                .filter(|report| report.object.kind == ObjectKind::Secret);
            wrong.flat_map(move |report| {
                uses.iter().filter(move |one| one.gateway == *gateway).map(|one| Report {
                    object: gateway.clone(),
                    field: one.field.clone(),
                    problem: report.problem.clone(),
                })
            })
        })
    }

    /// The Secrets that Gateways of this proxy name, as namespace and name: all that may ever be read for it.
    pub fn wanted_secrets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.secrets.keys().map(|name| (self.proxy.namespace.as_str(), secret::object_name(name.as_str())))
    }

    /// What an object has a part in among all that the proxy is told; empty when it does not concern the proxy.
    #[must_use]
    pub fn resources_of(&self, world: &World, object: &ObjectKey) -> BTreeSet<Key> {
        let Some(found) = world.get(object) else { return BTreeSet::new() };
        let memo = Memo::default();
        let mut units: BTreeSet<&UnitId> = BTreeSet::new();
        // Every proxy looks at every Gateway; those it does not select have no part in it.
        // The same goes for Ingresses.
        let has_part = match &found.body {
            Body::Gateway(spec) => gateway::is_selected(Typed { meta: &found.meta, spec }, &self.proxy, &self.mesh),
            Body::Ingress(spec) => {
                let context =
                    Context { view: View::new(world, &self.edge, &memo), proxy: &self.proxy, mesh: &self.mesh };
                ingress::is_served(&context, Typed { meta: &found.meta, spec })
            }
            _ => true,
        };
        if matches!(found.body, Body::Gateway(_)) && has_part {
            units.insert(&UnitId::Gateways);
        } else if has_part {
            let own = UnitId::Group(object.clone());
            units.extend(self.units.get_key_value(&own).map(|(id, _)| &**id));
            for lookup in lookups(found).into_iter().chain([Lookup::Object(object.clone())]) {
                units.extend(self.askers.get(&lookup.mark()).into_iter().flatten().map(|id| &**id));
            }
        }
        units.into_iter().filter_map(|id| self.units.get(id)).flat_map(|unit| unit.resources.keys().cloned()).collect()
    }

    /// Reads MeshConfig again if it changed; tells whether everything depends on something new.
    fn read_mesh(&mut self, world: &World, changes: &Changes, step: &mut Step) -> bool {
        let key = mesh::object_key(&self.proxy);
        if self.started && !changes.objects.contains(&key) {
            return false;
        }
        let report = match mesh::read(world.get(&key).map(|object| &**object)) {
            Ok(config) => {
                let mesh = Mesh::new(config, &self.proxy);
                let differs = mesh != self.mesh;
                self.mesh = mesh;
                if let Some(healed) = self.mesh_report.take() {
                    step.reports_changed = true;
                    step.reported.insert(healed.object);
                }
                return differs;
            }
            Err(report) => Some(*report),
        };
        if self.mesh_report != report {
            step.reports_changed = true;
            step.reported.insert(key);
        }
        self.mesh_report = report;
        false
    }

    fn mark(&self, lookup: &Lookup, step: &mut Step) {
        step.dirty.extend(self.askers.get(&lookup.mark()).into_iter().flatten().map(|id| UnitId::clone(id)));
    }

    /// Runs a unit if it is due.
    fn run<'w>(&mut self, id: &UnitId, world: &'w World, memo: &Memo<'w>, step: &mut Step) {
        if !step.dirty.remove(id) {
            return;
        }
        step.units_run += 1;
        let edge = std::mem::take(&mut self.edge);
        let context = Context { view: View::new(world, &edge, memo), proxy: &self.proxy, mesh: &self.mesh };
        let mut unit = Unit::default();
        let mut needed = Needed::new();
        let mut gateways = None;
        let mut exists = true;
        match id {
            UnitId::Settings => unit.resources.put([Resource::Settings(settings::translate(&self.mesh, &self.proxy))]),
            UnitId::Gateways => {
                let mut made = gateway::translate(&context, &mut unit.reports);
                unit.resources.put(std::mem::take(&mut made.listeners).into_iter().map(Resource::Listener));
                unit.resources.put(std::mem::take(&mut made.tables).into_iter().map(Resource::RouteTable));
                unit.resources.put(made.closed.take().map(Resource::RouteGroup));
                needed = std::mem::take(&mut made.needed);
                gateways = Some(made);
            }
            UnitId::Group(key) => {
                exists = world.get(key).is_some();
                let translate = match key.kind {
                    ObjectKind::Ingress => ingress::default_backend,
                    _ => virtual_service::translate,
                };
                let group = translate(&context, key, &mut needed, &mut unit.reports);
                let created = world.get(key).and_then(|object| object.meta.created).unwrap_or(0);
                let holder = Holder { object: key.clone(), created };
                // A default backend comes behind everything.
                let now = group.as_ref().filter(|_| key.kind == ObjectKind::VirtualService && !self.mesh.strict);
                let touched = self.holders.set(&format!("{key}"), now.map(|group| (holder, group)));
                step.reports_changed |= !touched.is_empty();
                step.reported.extend(touched);
                unit.resources.put(group.map(Resource::RouteGroup));
            }
            UnitId::IngressHost(host) => {
                exists = world.has(&Lookup::IngressesFor(host.clone()));
                let group = ingress::host(&context, host, &mut needed, &mut unit.reports);
                let holder = ingress::youngest(&context, host).filter(|_| !self.mesh.strict);
                let touched = self.holders.set(&format!("host {host}"), holder.zip(group.as_ref()));
                step.reports_changed |= !touched.is_empty();
                step.reported.extend(touched);
                unit.resources.put(group.map(Resource::RouteGroup));
            }
            UnitId::Cluster(name) => {
                exists = self.needed.contains_key(name);
                let cluster = cluster::translate(&context, name).filter(|_| exists);
                unit.resources.put(cluster.map(Resource::Cluster));
            }
            UnitId::Endpoints(name) => {
                exists = self.needed.contains_key(name);
                let clusters = name.parts().and_then(|(_, _, host)| self.clusters.get(host)).map_or(1, BTreeSet::len);
                let mut made = endpoints::translate(&context, name, clusters, &mut unit.reports).filter(|_| exists);
                let demand = made.as_ref().and_then(|made| made.names.clone());
                self.names.set(name, demand);
                if let (Some(made), Some(problem)) = (&mut made, self.names.refusal(name)) {
                    made.drop_names(problem.clone(), &mut unit.reports);
                }
                unit.resources.put(made.map(|made| Resource::Endpoints(made.endpoints)));
            }
            UnitId::Service(host) => {
                exists = self.clusters.contains_key(host);
                if exists {
                    service::review(&context, host, &mut unit.reports);
                }
            }
            UnitId::Secret(name) => {
                exists = self.secrets.contains_key(name);
                let secret = self.secret(&context, name, &mut unit.reports).filter(|_| exists);
                unit.resources.put(secret);
            }
        }
        let asked = context.view.into_asked();
        unit.needed = needed.into_iter().collect();
        bound(&mut unit.reports, world.limits().reports_per_object);
        unit.reports.shrink_to_fit();
        self.edge = edge;
        unit.asked = asked.iter().map(Lookup::mark).collect();
        self.keep(id, unit, exists, step);
        if let Some(made) = gateways {
            self.adopt(made, step);
        }
    }

    /// A certificate; a bad or deleted one leaves the last good one in use (docs/semantics.md §2.8).
    fn secret(&self, context: &Context<'_, '_>, name: &SecretName, reports: &mut Vec<Report>) -> Option<Resource> {
        let object = secret::object_name(name.as_str());
        let namespace = &self.proxy.namespace;
        let last = || {
            let unit = self.units.get(&UnitId::Secret(name.clone()))?;
            unit.resources.values().next()
        };
        let Some(data) = context.view.secret(namespace, object) else {
            for SecretUse { gateway, field } in self.secrets.get(name).into_iter().flatten() {
                reports.push(Report {
                    object: gateway.clone(),
                    field: field.clone(),
                    problem: Problem::UnknownSecret { secret: object.to_owned() },
                });
            }
            return last();
        };
        match secret::translate(name, data) {
            Ok(secret) => Some(Resource::Secret(secret)),
            Err(problem) => {
                let key = ObjectKey::new(ObjectKind::Secret, namespace, object);
                reports.push(Report { object: key, field: "data".to_owned(), problem });
                last()
            }
        }
    }

    /// Puts a unit's new result in place of the old one.
    fn keep(&mut self, id: &UnitId, mut unit: Unit, exists: bool, step: &mut Step) {
        let (shared, old) = match self.units.remove_entry(id) {
            Some((shared, old)) => (shared, old),
            None => (Arc::new(id.clone()), Unit::default()),
        };
        for lookup in old.asked.iter().filter(|lookup| !exists || !unit.asked.contains(*lookup)) {
            if let Some(askers) = self.askers.get_mut(lookup) {
                askers.remove(id);
                if askers.is_empty() {
                    self.askers.remove(lookup);
                }
            }
        }
        for lookup in unit.asked.difference(&old.asked).filter(|_| exists) {
            self.askers.entry(*lookup).or_default().insert(Arc::clone(&shared));
        }
        for name in unit.needed.difference(&old.needed) {
            let count = self.needed.entry(name.clone()).or_insert(0);
            *count += 1;
            if *count == 1 {
                self.count_cluster(name, true, step);
            }
        }
        for name in old.needed.difference(&unit.needed) {
            if let Some(count) = self.needed.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    self.needed.remove(name);
                    self.count_cluster(name, false, step);
                }
            }
        }
        step.compare(&old, &mut unit);
        if let UnitId::Secret(name) = id
            && old.reports != unit.reports
        {
            step.reported.extend(self.secrets.get(name).into_iter().flatten().map(|one| one.gateway.clone()));
        }
        if let UnitId::Secret(name) = id {
            if unit.resources.keys().next().is_some() {
                self.edge.held.insert(name.clone());
            } else {
                self.edge.held.remove(name);
            }
        }
        self.list_reports(&shared, &old, if exists { Some(&unit) } else { None });
        if exists {
            self.units.insert(shared, unit);
        }
    }

    /// Notes that a cluster is needed, or no longer; its host's other clusters may depend on how many there are.
    fn count_cluster(&mut self, name: &ClusterName, more: bool, step: &mut Step) {
        step.dirty.extend([UnitId::Cluster(name.clone()), UnitId::Endpoints(name.clone())]);
        let Some((_, _, host)) = name.parts() else { return };
        let all = self.clusters.entry(host.to_owned()).or_default();
        let before = all.len();
        if more {
            all.insert(name.clone());
        } else {
            all.remove(name);
        }
        let count = all.len();
        if endpoints::class(before) != endpoints::class(count) {
            step.dirty.extend(all.iter().cloned().map(UnitId::Endpoints));
        }
        if count == 0 {
            self.clusters.remove(host);
        }
        if count == usize::from(more) {
            step.dirty.insert(UnitId::Service(host.to_owned()));
        }
    }

    fn list_reports(&mut self, id: &Arc<UnitId>, old: &Unit, new: Option<&Unit>) {
        if new.is_some_and(|new| new.reports == old.reports) {
            return;
        }
        for report in &old.reports {
            if let Some(units) = self.reporters.get_mut(&report.object) {
                units.remove(id);
                if units.is_empty() {
                    self.reporters.remove(&report.object);
                }
            }
        }
        for report in new.into_iter().flat_map(|new| &new.reports) {
            self.reporters.entry(report.object.clone()).or_default().insert(Arc::clone(id));
        }
    }

    /// Takes over what the Gateways' translation decided for others.
    fn adopt(&mut self, made: gateway::Gateways, step: &mut Step) {
        let differing: Vec<Lookup> = {
            let names: BTreeSet<_> = self.edge.servers.keys().chain(made.servers.keys()).collect();
            let differs = names.into_iter().filter(|name| self.edge.servers.get(*name) != made.servers.get(*name));
            let differs = differs.map(|name| Lookup::Servers(name.clone()));
            differs.chain((self.edge.claims != made.claims).then_some(Lookup::Claims)).collect()
        };
        self.edge.servers = made.servers;
        self.edge.claims = made.claims;
        for lookup in &differing {
            self.mark(lookup, step);
        }
        let names: BTreeSet<_> = self.secrets.keys().chain(made.secrets.keys()).cloned().collect();
        for name in names {
            if self.secrets.get(&name) != made.secrets.get(&name) {
                step.dirty.insert(UnitId::Secret(name));
            }
        }
        self.secrets = made.secrets;
    }
}

/// Where groups begin in the order of units.
fn first_group() -> UnitId {
    UnitId::Group(ObjectKey::new(ObjectKind::Gateway, "", ""))
}

/// The unit of a host that an Ingress has a rule for.
fn host_of(lookup: Lookup) -> Option<UnitId> {
    match lookup {
        Lookup::IngressesFor(host) => Some(UnitId::IngressHost(host)),
        _ => None,
    }
}
