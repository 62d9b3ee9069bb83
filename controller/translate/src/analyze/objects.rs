//! The objects of a world by kind, and the few questions that several analyzers ask of them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crds::object::{Pod, core};
use crds::{
    AuthorizationPolicy, Body, DestinationRule, Gateway, Meta, ObjectKey, ObjectKind, PeerAuthentication,
    RequestAuthentication, ServiceEntry, Sidecar, VirtualService, WorkloadEntry,
};

use crate::hosts;
use crate::mesh::{self, Mesh};
use crate::world::{Typed, selects};
use crate::{ProxyScope, World};

/// All of them, oldest first where that matters.
pub(super) struct Objects<'a> {
    pub(super) world: &'a World,
    pub(super) mesh: Mesh,
    pub(super) gateways: Vec<Typed<'a, Gateway>>,
    pub(super) virtual_services: Vec<Typed<'a, VirtualService>>,
    pub(super) destination_rules: Vec<Typed<'a, DestinationRule>>,
    pub(super) service_entries: Vec<Typed<'a, ServiceEntry>>,
    pub(super) sidecars: Vec<Typed<'a, Sidecar>>,
    pub(super) workload_entries: Vec<Typed<'a, WorkloadEntry>>,
    pub(super) authorization_policies: Vec<Typed<'a, AuthorizationPolicy>>,
    pub(super) request_authentications: Vec<Typed<'a, RequestAuthentication>>,
    pub(super) peer_authentications: Vec<Typed<'a, PeerAuthentication>>,
    pub(super) telemetries: Vec<Typed<'a, crds::telemetry::Telemetry>>,
    pub(super) services: Vec<Typed<'a, core::ServiceSpec>>,
    pub(super) pods: Vec<Typed<'a, Pod>>,
    /// Places in `service_entries`, by host in lower case.
    entries_by_host: BTreeMap<String, Vec<usize>>,
    wildcard_entries: Vec<(String, usize)>,
    /// Hosts of the DestinationRules that have a subset of a name.
    subsets: BTreeMap<String, Vec<String>>,
}

impl<'a> Objects<'a> {
    pub(super) fn new(world: &'a World, control_namespace: &str) -> Self {
        let proxy = ProxyScope { control_namespace: control_namespace.to_owned(), ..ProxyScope::default() };
        let config = world.get(&mesh::object_key(&proxy)).map(|object| mesh::read(Some(object)));
        // What is wrong with it is reported elsewhere.
        let config = config.and_then(Result::ok).unwrap_or_default();
        let mut found = Self {
            world,
            mesh: Mesh::new(config, &proxy),
            gateways: Vec::new(),
            virtual_services: Vec::new(),
            destination_rules: Vec::new(),
            service_entries: Vec::new(),
            sidecars: Vec::new(),
            workload_entries: Vec::new(),
            authorization_policies: Vec::new(),
            request_authentications: Vec::new(),
            peer_authentications: Vec::new(),
            telemetries: Vec::new(),
            services: Vec::new(),
            pods: Vec::new(),
            entries_by_host: BTreeMap::new(),
            wildcard_entries: Vec::new(),
            subsets: BTreeMap::new(),
        };
        for object in world.objects() {
            let meta = &object.meta;
            match &object.body {
                Body::Gateway(spec) => found.gateways.push(Typed { meta, spec }),
                Body::VirtualService(spec) => found.virtual_services.push(Typed { meta, spec }),
                Body::DestinationRule(spec) => found.destination_rules.push(Typed { meta, spec }),
                Body::ServiceEntry(spec) => found.service_entries.push(Typed { meta, spec }),
                Body::Sidecar(spec) => found.sidecars.push(Typed { meta, spec }),
                Body::WorkloadEntry(spec) => found.workload_entries.push(Typed { meta, spec }),
                Body::AuthorizationPolicy(spec) => found.authorization_policies.push(Typed { meta, spec }),
                Body::RequestAuthentication(spec) => found.request_authentications.push(Typed { meta, spec }),
                Body::PeerAuthentication(spec) => found.peer_authentications.push(Typed { meta, spec }),
                Body::Telemetry(spec) => found.telemetries.push(Typed { meta, spec }),
                Body::Service(spec) => found.services.push(Typed { meta, spec }),
                Body::Pod(spec) => found.pods.push(Typed { meta, spec }),
                Body::WorkloadGroup(_)
                | Body::ProxyConfig(_)
                | Body::Ingress(_)
                | Body::IngressClass(_)
                | Body::EndpointSlice(_)
                | Body::Secret(_)
                | Body::ConfigMap(_)
                | Body::Namespace
                | Body::Node => {}
            }
        }
        found.gateways.sort_by_key(Typed::age);
        found.virtual_services.sort_by_key(Typed::age);
        found.destination_rules.sort_by_key(Typed::age);
        found.service_entries.sort_by_key(Typed::age);
        found.sidecars.sort_by_key(Typed::age);
        found.telemetries.sort_by_key(Typed::age);
        found.services.sort_by_key(Typed::age);
        found.pods.sort_by_key(|pod| (&pod.meta.namespace, &pod.meta.name));
        found.index();
        found
    }

    fn index(&mut self) {
        for (index, entry) in self.service_entries.iter().enumerate() {
            for host in entry.spec.hosts.iter().map(|host| host.to_ascii_lowercase()) {
                if host.starts_with('*') {
                    self.wildcard_entries.push((host.clone(), index));
                }
                self.entries_by_host.entry(host).or_default().push(index);
            }
        }
        for rule in &self.destination_rules {
            for subset in &rule.spec.subsets {
                let host = full(&rule.spec.host, rule.meta).into_owned();
                self.subsets.entry(subset.name.clone()).or_default().push(host);
            }
        }
    }

    /// Whether it is known which pods there are. Among files there are none, and nothing follows from that.
    pub(super) fn knows_pods(&self) -> bool {
        !self.pods.is_empty()
    }

    /// Pods that a selector of an object selects: in its namespace, or anywhere for `None`.
    pub(super) fn selected(
        &self,
        namespace: Option<&str>,
        selector: &BTreeMap<String, String>,
    ) -> impl Iterator<Item = Typed<'a, Pod>> {
        self.pods
            .iter()
            .copied()
            .filter(move |pod| namespace.is_none_or(|namespace| pod.meta.namespace == namespace))
            .filter(move |pod| selects(selector, &pod.meta.labels))
    }

    /// The Service that a host in full stands for.
    pub(super) fn service(&self, host: &str) -> Option<Typed<'a, core::ServiceSpec>> {
        let (name, namespace) = hosts::kubernetes_service(host)?;
        let object = self.world.get(&ObjectKey::new(ObjectKind::Service, namespace, name))?;
        match &object.body {
            Body::Service(spec) => Some(Typed { meta: &object.meta, spec }),
            _ => None,
        }
    }

    /// ServiceEntries that define a host; a wildcard of theirs stands for every name below it.
    pub(super) fn entries_of(&self, host: &str) -> impl Iterator<Item = Typed<'a, ServiceEntry>> {
        let host = host.to_ascii_lowercase();
        let exact = self.entries_by_host.get(&host).into_iter().flatten();
        let wildcards = self.wildcard_entries.iter().filter(|(own, _)| *own != host && hosts::subset_of(&host, own));
        let mut indexes: Vec<usize> = exact.copied().chain(wildcards.map(|(_, index)| *index)).collect();
        indexes.sort_unstable();
        indexes.dedup();
        indexes.into_iter().map(|index| self.service_entries[index])
    }

    /// Whether some DestinationRule for a host in full has a subset of that name.
    pub(super) fn has_subset(&self, host: &str, subset: &str) -> bool {
        let named = self.subsets.get(subset).into_iter().flatten();
        named.into_iter().any(|rule| hosts::subset_of(host, rule))
    }

    /// Whether a host in full is a service, or a wildcard under which there is one.
    pub(super) fn has_service(&self, host: &str) -> bool {
        if self.service(host).is_some() || self.entries_of(host).next().is_some() {
            return true;
        }
        let Some(tail) = hosts::tail(host) else { return false };
        let full = |meta: &Meta| hosts::resolve(&meta.name, &meta.namespace).into_owned();
        self.services.iter().any(|service| full(service.meta).ends_with(tail))
            || self.service_entries.iter().flat_map(|entry| &entry.spec.hosts).any(|own| own.ends_with(tail))
    }
}

/// The full name of a host as an object of that namespace writes it.
pub(super) fn full<'a>(host: &'a str, meta: &Meta) -> Cow<'a, str> {
    hosts::resolve(host, &meta.namespace)
}

/// `namespace/name`
pub(super) fn named(meta: &Meta) -> String {
    format!("{}/{}", meta.namespace, meta.name)
}

/// `a=b,c=d`, as selectors are written on command lines.
pub(super) fn written(selector: &BTreeMap<String, String>) -> String {
    selector.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}
