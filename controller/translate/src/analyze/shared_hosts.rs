//! IST0109, IST0140: VirtualServices for sidecars that define one host, or rules that what comes by a gateway never gets
//! to.

use std::collections::{BTreeMap, BTreeSet};

use crds::{Destination, ObjectKind, VirtualService};

use super::Message;
use super::code::{SHARED_MESH_HOST, SUBSET_WITHOUT_EFFECT};
use super::objects::{Objects, full, named};
use crate::export::Exports;
use crate::world::{GatewayName, MESH, Typed};

pub(super) fn analyze(objects: &Objects<'_>, messages: &mut Vec<Message>) {
    mesh_hosts(objects, messages);
    ingress_rules(objects, messages);
}

fn is_for_mesh(service: &Typed<'_, VirtualService>) -> bool {
    service.spec.gateways.is_empty() || service.spec.gateways.iter().any(|gateway| gateway == MESH)
}

fn mesh_hosts(objects: &Objects<'_>, messages: &mut Vec<Message>) {
    let default = objects.mesh.config.default_virtual_service_export_to.as_slice();
    let mut by_host: BTreeMap<String, Vec<(Typed<'_, VirtualService>, usize)>> = BTreeMap::new();
    for service in objects.virtual_services.iter().filter(|service| is_for_mesh(service)) {
        for (index, host) in service.spec.hosts.iter().enumerate() {
            by_host.entry(full(host, service.meta).to_ascii_lowercase()).or_default().push((*service, index));
        }
    }
    for (host, services) in by_host {
        for (service, index) in &services {
            let own = Exports::new(&service.spec.export_to, default).set(&service.meta.namespace);
            let mut others: BTreeSet<String> = services
                .iter()
                .filter(|(other, _)| {
                    let theirs = Exports::new(&other.spec.export_to, default).set(&other.meta.namespace);
                    own.contains("*") || theirs.contains("*") || own.intersection(&theirs).next().is_some()
                })
                .map(|(other, _)| named(other.meta))
                .collect();
            others.insert(named(service.meta));
            if others.len() > 1 {
                let names: Vec<String> = others.into_iter().collect();
                let text = format!(
                    "The VirtualServices {} associated with mesh gateway define the same host {host} which can lead to \
                     undefined behavior. This can be fixed by merging the conflicting VirtualServices into a single \
                     resource.",
                    names.join(",")
                );
                let key = service.key(ObjectKind::VirtualService);
                messages.push(Message::new(SHARED_MESH_HOST, key, format!("spec.hosts[{index}]"), text));
            }
        }
    }
}

/// A VirtualService of the mesh that splits a host into subsets says nothing to requests that a gateway sends to that
/// host: those follow the VirtualService of the gateway alone.
fn ingress_rules(objects: &Objects<'_>, messages: &mut Vec<Message>) {
    // Hosts that gateways send to without a subset, and by which gateway.
    let mut sent: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for service in &objects.virtual_services {
        let gateways: Vec<String> = service
            .spec
            .gateways
            .iter()
            .filter_map(|name| GatewayName::parse(name, &service.meta.namespace))
            .map(|name| name.to_string())
            .collect();
        for destination in destinations(service).filter(|it| it.subset.as_deref().unwrap_or_default().is_empty()) {
            sent.entry(full(&destination.host, service.meta).into_owned())
                .or_default()
                .extend(gateways.iter().cloned());
        }
    }
    for service in objects.virtual_services.iter().filter(|service| is_for_mesh(service)) {
        if service.spec.gateways.iter().any(|gateway| gateway != MESH) {
            continue;
        }
        let splits = destinations(service).any(|it| it.subset.as_deref().is_some_and(|subset| !subset.is_empty()));
        if !splits {
            continue;
        }
        for (index, host) in service.spec.hosts.iter().enumerate() {
            for gateway in sent.get(&*full(host, service.meta)).into_iter().flatten() {
                let text = format!(
                    "Subset in virtual service {} has no effect on ingress gateway {gateway} requests",
                    named(service.meta)
                );
                let key = service.key(ObjectKind::VirtualService);
                messages.push(Message::new(SUBSET_WITHOUT_EFFECT, key, format!("spec.hosts[{index}]"), text));
            }
        }
    }
}

fn destinations<'a>(service: &Typed<'a, VirtualService>) -> impl Iterator<Item = &'a Destination> + use<'a> {
    let routes = service.spec.http.iter().flat_map(|http| &http.route);
    routes.filter_map(|route| route.destination.as_ref())
}
