//! Where a TCP server, or a TLS server of protocol TLS, sends its connections (docs/semantics.md §2.9).

use std::collections::HashMap;

use crds::{L4MatchAttributes, ObjectKind, RouteDestination, VirtualService};
use ir::TcpChain;

use super::Candidate;
use crate::budget::Budget;
use crate::export::Exports;
use crate::host_index::HostIndex;
use crate::hosts;
use crate::limits::name as limit;
use crate::report::{Problem, Report};
use crate::route::destination;
use crate::scope::Scope;
use crate::steps;
use crate::unit::{Context, Needed};
use crate::world::{GatewayName, Typed};

/// What VirtualServices have for TCP servers: read once, however many servers ask.
#[derive(Default)]
pub(super) struct Routes<'a> {
    by_gateway: HashMap<GatewayName, Vec<Bound<'a>>>,
}

/// A VirtualService as one Gateway sees it.
struct Bound<'a> {
    service: Typed<'a, VirtualService>,
    hosts: HostIndex,
    /// The first rule for any port, and the first for each.
    any: Option<usize>,
    by_port: HashMap<i64, usize>,
    /// Destinations that it may have at all servers together.
    destinations: Budget,
}

impl<'a> Bound<'a> {
    fn new(context: &Context<'_, '_>, service: Typed<'a, VirtualService>, gateway: &GatewayName) -> Self {
        let namespace = &service.meta.namespace;
        let mut hosts = HostIndex::default();
        for (position, host) in service.spec.hosts.iter().enumerate() {
            hosts.insert(&hosts::resolve(host, namespace), position);
        }
        let (mut any, mut by_port) = (None, HashMap::new());
        for (index, rule) in service.spec.tcp.iter().enumerate() {
            steps::add(1 + rule.matches.len());
            if rule.matches.is_empty() {
                any = any.or(Some(index));
            }
            for entry in rule.matches.iter().filter(|entry| is_for(entry, gateway, namespace)) {
                match entry.port.filter(|port| *port != 0) {
                    None => any = any.or(Some(index)),
                    Some(port) => _ = by_port.entry(port).or_insert(index),
                }
            }
        }
        let destinations = Budget::new(context.view.limits().hosts_per_virtual_service);
        Self { service, hosts, any, by_port, destinations }
    }

    fn rule(&self, port: u16) -> Option<usize> {
        self.any.into_iter().chain(self.by_port.get(&i64::from(port)).copied()).min()
    }

    fn overlaps(&self, candidate: &Candidate<'_>) -> bool {
        let namespace = &self.service.meta.namespace;
        let mut admitted = candidate.hosts.iter().filter(|host| host.admits(namespace));
        admitted.any(|host| self.hosts.overlapping(&host.host).is_some())
    }
}

impl<'a> Routes<'a> {
    fn bound_to(&mut self, context: &Context<'_, 'a>, gateway: &GatewayName) -> &mut Vec<Bound<'a>> {
        self.by_gateway.entry(gateway.clone()).or_insert_with(|| {
            let default = &context.mesh.config.default_virtual_service_export_to;
            let all = context.view.bound_to(gateway).into_iter().filter_map(|service| {
                let exports = Exports::new(&service.spec.export_to, default);
                Some((exports.tier(&service.meta.namespace, &context.proxy.namespace)?, service))
            });
            let mut all: Vec<(u8, Typed<'_, VirtualService>)> = all.collect();
            // They come oldest first. Under strict tenancy the oldest of its namespace counts (docs/semantics.md §1.9).
            let mut oldest = HashMap::new();
            for (_, service) in all.iter().filter(|_| context.mesh.strict) {
                oldest.entry(service.meta.namespace.as_str()).or_insert(service.age());
            }
            all.sort_by_key(|(tier, service)| {
                (oldest.get(service.meta.namespace.as_str()).copied(), *tier, service.age())
            });
            all.into_iter().map(|(_, service)| Bound::new(context, service, gateway)).collect()
        })
    }
}

/// The destinations of the first rule that fits, of the first VirtualService that has one.
pub(super) fn chain<'a>(
    context: &Context<'_, 'a>,
    candidate: &Candidate<'_>,
    routes: &mut Routes<'a>,
    needed: &mut Needed,
    reports: &mut Vec<Report>,
) -> Option<TcpChain> {
    let gateway = candidate.gateway_name();
    for bound in routes.bound_to(context, &gateway) {
        steps::count();
        let Some(index) = bound.rule(candidate.number) else { continue };
        if !bound.overlaps(candidate) {
            continue;
        }
        let Typed { meta, spec } = bound.service;
        let key = bound.service.key(ObjectKind::VirtualService);
        let mut at = Scope::new(&key, format!("spec.tcp[{index}]"), reports);
        let route = &spec.tcp.get(index)?.route;
        if !bound.destinations.take(route.len()) {
            let effect = "its destinations, counted at each server, are too many; servers beyond have none";
            at.report(Problem::beyond(limit::HOSTS, bound.destinations.most, effect));
            return None;
        }
        return destinations(context, route, &meta.namespace, candidate.number, needed, &mut at);
    }
    None
}

fn is_for(entry: &L4MatchAttributes, gateway: &GatewayName, namespace: &str) -> bool {
    steps::add(entry.gateways.len());
    let mut gateways = entry.gateways.iter().filter_map(|name| GatewayName::parse(name, namespace));
    entry.gateways.is_empty() || gateways.any(|name| name == *gateway)
}

fn destinations(
    context: &Context<'_, '_>,
    route: &[RouteDestination],
    namespace: &str,
    port: u16,
    needed: &mut Needed,
    at: &mut Scope<'_>,
) -> Option<TcpChain> {
    let weights = destination::shares(route.iter().map(|entry| entry.weight));
    let mut chain = TcpChain { destinations: Vec::new() };
    for (index, weight) in weights {
        let mut at = at.item("route", index);
        let written = route[index].destination.as_ref();
        let Some(written) = written else { continue };
        let name = destination::cluster(context, written, namespace, port, &mut at.field("destination"));
        needed.insert(name.clone());
        chain.destinations.push((name, weight));
    }
    (!chain.destinations.is_empty()).then_some(chain)
}
