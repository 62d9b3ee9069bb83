//! Where a TCP server, or a TLS server of protocol TLS, sends its connections (docs/semantics.md §2.9).

use crds::{L4MatchAttributes, ObjectKind, RouteDestination, VirtualService};
use ir::TcpChain;

use super::Candidate;
use crate::export::Exports;
use crate::hosts;
use crate::report::Report;
use crate::route::destination;
use crate::scope::Scope;
use crate::unit::{Context, Needed};
use crate::world::{GatewayName, Typed};

/// The destinations of the first rule that fits, of the first VirtualService that has one.
pub(super) fn chain(
    context: &Context<'_, '_>,
    candidate: &Candidate<'_>,
    needed: &mut Needed,
    reports: &mut Vec<Report>,
) -> Option<TcpChain> {
    let gateway = candidate.gateway_name();
    let default = &context.mesh.config.default_virtual_service_export_to;
    let mut bound: Vec<(u8, Typed<'_, VirtualService>)> = context
        .view
        .bound_to(&gateway)
        .into_iter()
        .filter_map(|service| {
            let exports = Exports::new(&service.spec.export_to, default);
            Some((exports.tier(&service.meta.namespace, &context.proxy.namespace)?, service))
        })
        .collect();
    bound.sort_by_key(|(tier, service)| (*tier, service.age()));
    for (_, service) in bound.iter().filter(|(_, service)| overlaps(candidate, service)) {
        let fits = |entry: &L4MatchAttributes| fits(entry, &gateway, candidate.number, &service.meta.namespace);
        let mut rules = service.spec.tcp.iter().enumerate();
        let found = rules.find(|(_, rule)| rule.matches.is_empty() || rule.matches.iter().any(fits));
        if let Some((index, rule)) = found {
            let key = service.key(ObjectKind::VirtualService);
            let mut at = Scope::new(&key, format!("spec.tcp[{index}]"), reports);
            return destinations(context, &rule.route, &service.meta.namespace, candidate.number, needed, &mut at);
        }
    }
    None
}

fn overlaps(candidate: &Candidate<'_>, service: &Typed<'_, VirtualService>) -> bool {
    let namespace = &service.meta.namespace;
    let admitted = || candidate.hosts.iter().filter(|host| host.admits(namespace));
    service.spec.hosts.iter().any(|host| {
        let host = hosts::resolve(host, namespace);
        admitted().any(|server| hosts::matches(&server.host, &host))
    })
}

fn fits(entry: &L4MatchAttributes, gateway: &GatewayName, port: u16, namespace: &str) -> bool {
    let port_fits = entry.port.is_none_or(|wanted| wanted == 0 || wanted == i64::from(port));
    let mut gateways = entry.gateways.iter().filter_map(|name| GatewayName::parse(name, namespace));
    port_fits && (entry.gateways.is_empty() || gateways.any(|name| name == *gateway))
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
