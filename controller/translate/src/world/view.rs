//! The world as one translation sees it: every question is written down, so that the translation is run again when an
//! answer changes. This is the only way in.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crds::object::{SecretData, core, discovery, ingress};
use crds::{Body, DestinationRule, Gateway, Meta, Object, ObjectKey, ObjectKind, ServiceEntry, VirtualService};

use ir::SecretName;

use super::{GatewayName, Lookup, World};
use crate::gateway::BoundServer;
use crate::limits::TranslationLimits;
use crate::memo::Memo;
use crate::steps;
use crate::tenancy::Claims;

/// An object of a known kind.
pub(crate) struct Typed<'a, T> {
    pub(crate) meta: &'a Meta,
    pub(crate) spec: &'a T,
}

impl<T> Clone for Typed<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Typed<'_, T> {}

impl<'a, T> Typed<'a, T> {
    /// The order of objects that compete; older comes first (docs/semantics.md §1.5).
    pub(crate) fn age(&self) -> (i64, &'a str, &'a str) {
        age(self.meta)
    }

    pub(crate) fn key(&self, kind: ObjectKind) -> ObjectKey {
        ObjectKey::new(kind, &self.meta.namespace, &self.meta.name)
    }
}

/// Objects that do not say when they were created count as equally old.
pub(crate) fn age(meta: &Meta) -> (i64, &str, &str) {
    (meta.created.unwrap_or(0), &meta.name, &meta.namespace)
}

pub(crate) type ServersByGateway = BTreeMap<GatewayName, Arc<Vec<BoundServer>>>;

/// What the Gateways' translation decided for the others.
#[derive(Debug, Default)]
pub(crate) struct Edge {
    pub(crate) servers: ServersByGateway,
    pub(crate) claims: Claims,
    /// Secrets of which the proxy has a good version.
    pub(crate) held: BTreeSet<SecretName>,
}

/// `'w` is for what comes out of the world, `'s` for what the translator made of it.
pub(crate) struct View<'s, 'a> {
    world: &'a World,
    edge: &'s Edge,
    memo: &'s Memo<'a>,
    asked: RefCell<HashSet<Lookup>>,
}

impl<'s, 'a> View<'s, 'a> {
    pub(crate) fn new(world: &'a World, edge: &'s Edge, memo: &'s Memo<'a>) -> Self {
        Self { world, edge, memo, asked: RefCell::default() }
    }

    /// What translations of this update share.
    pub(crate) fn memo(&self) -> &'s Memo<'a> {
        self.memo
    }

    /// The bounds of translation.
    pub(crate) fn limits(&self) -> &'a TranslationLimits {
        self.world.limits()
    }

    /// Runs something and tells what it asked.
    pub(crate) fn recorded<T>(&self, work: impl FnOnce() -> T) -> (T, HashSet<Lookup>) {
        let before = self.asked.take();
        let value = work();
        let during = self.asked.replace(before);
        self.ask_again(&during);
        (value, during)
    }

    /// Asks what something asked whose answer is used.
    pub(crate) fn ask_again(&self, lookups: &HashSet<Lookup>) {
        steps::add(lookups.len());
        let mut asked = self.asked.borrow_mut();
        for lookup in lookups {
            if !asked.contains(lookup) {
                asked.insert(lookup.clone());
            }
        }
    }

    /// Every question asked.
    pub(crate) fn into_asked(self) -> HashSet<Lookup> {
        self.asked.into_inner()
    }

    /// All Gateways, oldest first.
    pub(crate) fn gateways(&self) -> Vec<Typed<'a, Gateway>> {
        self.listed(Lookup::Gateways, |body| match body {
            Body::Gateway(spec) => Some(&**spec),
            _ => None,
        })
    }

    /// Whether there is a Gateway of that name, selected or not.
    pub(crate) fn has_gateway(&self, name: &GatewayName) -> bool {
        self.object(&name.key()).is_some()
    }

    /// The servers of a Gateway that serve HTTP here.
    pub(crate) fn servers(&self, gateway: &GatewayName) -> &'s [BoundServer] {
        self.ask(Lookup::Servers(gateway.clone()));
        self.edge.servers.get(gateway).map_or(&[], |servers| servers.as_slice())
    }

    /// The owners of hosts.
    pub(crate) fn claims(&self) -> &'s Claims {
        self.ask(Lookup::Claims);
        &self.edge.claims
    }

    /// Whether the proxy has a good version of a certificate, whatever became of its Secret.
    pub(crate) fn holds(&self, secret: &SecretName) -> bool {
        self.edge.held.contains(secret)
    }

    /// VirtualServices that name a Gateway, oldest first.
    pub(crate) fn bound_to(&self, gateway: &GatewayName) -> Vec<Typed<'a, VirtualService>> {
        self.listed(Lookup::BoundTo(gateway.clone()), virtual_service)
    }

    pub(crate) fn virtual_service(&self, namespace: &str, name: &str) -> Option<Typed<'a, VirtualService>> {
        let object = self.object(&ObjectKey::new(ObjectKind::VirtualService, namespace, name))?;
        Some(Typed { meta: &object.meta, spec: virtual_service(&object.body)? })
    }

    /// DestinationRules of a namespace for exactly this host, oldest first.
    pub(crate) fn rules_for(&self, namespace: &str, host: &str) -> Vec<Typed<'a, DestinationRule>> {
        let lookup = Lookup::RulesFor { namespace: namespace.to_owned(), host: host.to_owned() };
        self.listed(lookup, destination_rule)
    }

    /// DestinationRules of a namespace for wildcards, oldest first.
    pub(crate) fn wildcard_rules(&self, namespace: &str) -> Vec<Typed<'a, DestinationRule>> {
        self.listed(Lookup::WildcardRulesIn(namespace.to_owned()), destination_rule)
    }

    /// ServiceEntries that define this host, oldest first.
    pub(crate) fn entries_of(&self, host: &str) -> Vec<Typed<'a, ServiceEntry>> {
        self.listed(Lookup::EntriesOf(host.to_owned()), service_entry)
    }

    pub(crate) fn service(&self, namespace: &str, name: &str) -> Option<Typed<'a, core::ServiceSpec>> {
        let object = self.object(&ObjectKey::new(ObjectKind::Service, namespace, name))?;
        Some(Typed { meta: &object.meta, spec: service(&object.body)? })
    }

    /// Services of a namespace that select pods, oldest first.
    pub(crate) fn selecting_services(&self, namespace: &str) -> Vec<Typed<'a, core::ServiceSpec>> {
        self.listed(Lookup::SelectingIn(namespace.to_owned()), service)
    }

    /// ServiceEntries of a namespace that select workloads, oldest first.
    pub(crate) fn selecting_entries(&self, namespace: &str) -> Vec<Typed<'a, ServiceEntry>> {
        self.listed(Lookup::SelectingIn(namespace.to_owned()), service_entry)
    }

    /// EndpointSlices of a Service.
    pub(crate) fn slices(&self, namespace: &str, service: &str) -> Vec<Typed<'a, discovery::EndpointSlice>> {
        let lookup = Lookup::SlicesOf { namespace: namespace.to_owned(), service: service.to_owned() };
        self.listed(lookup, |body| match body {
            Body::EndpointSlice(slice) => Some(&**slice),
            _ => None,
        })
    }

    /// All Ingresses, oldest first.
    pub(crate) fn ingresses(&self) -> Vec<Typed<'a, ingress::IngressSpec>> {
        self.listed(Lookup::Ingresses, ingress)
    }

    /// Ingresses with a rule for exactly this host, oldest first.
    pub(crate) fn ingresses_for(&self, host: &str) -> Vec<Typed<'a, ingress::IngressSpec>> {
        self.listed(Lookup::IngressesFor(host.to_owned()), ingress)
    }

    /// Ingresses with a default backend, oldest first.
    pub(crate) fn default_backends(&self) -> Vec<Typed<'a, ingress::IngressSpec>> {
        self.listed(Lookup::DefaultBackends, ingress)
    }

    pub(crate) fn ingress(&self, namespace: &str, name: &str) -> Option<Typed<'a, ingress::IngressSpec>> {
        let object = self.object(&ObjectKey::new(ObjectKind::Ingress, namespace, name))?;
        Some(Typed { meta: &object.meta, spec: ingress(&object.body)? })
    }

    pub(crate) fn ingress_class(&self, name: &str) -> Option<Typed<'a, ingress::IngressClassSpec>> {
        let object = self.object(&ObjectKey::new(ObjectKind::IngressClass, "", name))?;
        match &object.body {
            Body::IngressClass(spec) => Some(Typed { meta: &object.meta, spec }),
            _ => None,
        }
    }

    pub(crate) fn secret(&self, namespace: &str, name: &str) -> Option<&'a SecretData> {
        let object = self.object(&ObjectKey::new(ObjectKind::Secret, namespace, name))?;
        match &object.body {
            Body::Secret(data) => Some(data),
            _ => None,
        }
    }

    pub(crate) fn pod(&self, namespace: &str, name: &str) -> Option<&'a Meta> {
        Some(&self.object(&ObjectKey::new(ObjectKind::Pod, namespace, name))?.meta)
    }

    /// The pod with an address.
    pub(crate) fn pod_at(&self, address: &str) -> Option<&'a Meta> {
        let lookup = Lookup::PodAt(address.to_owned());
        let key = self.world.found(&lookup).and_then(|keys| keys.first());
        self.ask(lookup);
        Some(&self.world.get(key?)?.meta)
    }

    fn object(&self, key: &ObjectKey) -> Option<&'a Object> {
        self.ask(Lookup::Object(key.clone()));
        self.world.get(key).map(|object| &**object)
    }

    fn listed<T>(&self, lookup: Lookup, pick: impl Fn(&'a Body) -> Option<&'a T>) -> Vec<Typed<'a, T>> {
        let keys = self.world.found(&lookup);
        let objects = keys.into_iter().flatten().filter_map(|key| self.world.get(key));
        let mut found: Vec<Typed<'a, T>> =
            objects.filter_map(|object| Some(Typed { meta: &object.meta, spec: pick(&object.body)? })).collect();
        found.sort_by_key(Typed::age);
        steps::add(found.len());
        self.ask(lookup);
        found
    }

    fn ask(&self, lookup: Lookup) {
        steps::count();
        self.asked.borrow_mut().insert(lookup);
    }
}

fn virtual_service(body: &Body) -> Option<&VirtualService> {
    match body {
        Body::VirtualService(spec) => Some(spec),
        _ => None,
    }
}

fn destination_rule(body: &Body) -> Option<&DestinationRule> {
    match body {
        Body::DestinationRule(spec) => Some(spec),
        _ => None,
    }
}

fn service_entry(body: &Body) -> Option<&ServiceEntry> {
    match body {
        Body::ServiceEntry(spec) => Some(spec),
        _ => None,
    }
}

fn service(body: &Body) -> Option<&core::ServiceSpec> {
    match body {
        Body::Service(spec) => Some(spec),
        _ => None,
    }
}

fn ingress(body: &Body) -> Option<&ingress::IngressSpec> {
    match body {
        Body::Ingress(spec) => Some(spec),
        _ => None,
    }
}
