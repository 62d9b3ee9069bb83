//! One VirtualService: to which virtual hosts its routes belong (docs/semantics.md §2.5).

mod validate;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use crds::{ObjectKey, VirtualService};
use ir::{Binding, Host, Precedence, Route, RouteGroup};

use crate::budget::{self, Budget};
use crate::export::Exports;
use crate::http_route::{self, Place, SourcedRule};
use crate::limits::name as limit;
use crate::report::{Problem, Report};
use crate::unit::{Context, Needed};
use crate::world::{GatewayName, Typed};
use crate::{delegate, hosts, steps};

pub(crate) use validate::{validate, validate_gateways};

/// The group of a VirtualService; nothing for one that serves nothing here.
pub(crate) fn translate(
    context: &Context<'_, '_>,
    key: &ObjectKey,
    needed: &mut Needed,
    reports: &mut Vec<Report>,
) -> Option<RouteGroup> {
    let service = context.view.virtual_service(&key.namespace, &key.name)?;
    let Typed { meta, spec } = service;
    // One without hosts is there to be delegated to.
    if spec.hosts.is_empty() || spec.http.is_empty() {
        return None;
    }
    let exports = Exports::new(&spec.export_to, &context.mesh.config.default_virtual_service_export_to);
    let Some(tier) = exports.tier(&meta.namespace, &context.proxy.namespace) else {
        let served =
            gateways(spec, &meta.namespace).into_iter().any(|(_, name)| !context.view.servers(&name).is_empty());
        if served {
            let problem = Problem::NotExported { namespace: context.proxy.namespace.clone() };
            reports.push(Report { object: key.clone(), field: "spec.exportTo".to_owned(), problem });
        }
        return None;
    };
    let limits = context.view.limits();
    let resolved = delegate::resolve(context, key, spec, reports);
    let is_for_gateways = resolved.rules.iter().any(SourcedRule::is_for_gateways);
    let hosts: Vec<Cow<'_, str>> = spec.hosts.iter().map(|host| hosts::resolve(host, &meta.namespace)).collect();
    let claims = context.view.claims();
    let mut group = RouteGroup {
        name: format!("{}/{}", meta.namespace, meta.name),
        precedence: Precedence {
            tier,
            created: meta.created.unwrap_or(0),
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
        },
        bindings: Vec::new(),
        route_lists: Vec::new(),
    };
    // Routes depend on the gateway, if a condition is about it, and on the port they are for.
    let mut lists: BTreeMap<(Option<GatewayName>, u16), Option<usize>> = BTreeMap::new();
    let mut known = HashMap::new();
    let mut budget = Budget::new(limits.route_bytes_per_virtual_service);
    let mut host_budget = Budget::new(limits.hosts_per_virtual_service);
    // What a virtual host has already from here, and what was reported of hosts.
    let (mut bound, mut refused) = (HashSet::new(), HashSet::new());
    for (index, gateway) in gateways(spec, &meta.namespace) {
        let field = || format!("spec.gateways[{index}]");
        if index >= limits.gateways_per_virtual_service {
            let most = limits.gateways_per_virtual_service;
            let problem = Problem::beyond(limit::GATEWAYS, most, "this one and those behind it are left out");
            reports.push(Report { object: key.clone(), field: field(), problem });
            break;
        }
        let servers = context.view.servers(&gateway);
        let mut overlaps = servers.is_empty();
        let mut full = false;
        for server in servers {
            steps::count();
            let mut common = server.common_hosts(Some(&meta.namespace), &hosts);
            if common.is_empty() {
                continue;
            }
            overlaps = true;
            common.retain(|host| {
                steps::count();
                let Some(problem) = claims.refuse(host, &meta.namespace, meta.created) else { return true };
                if refused.insert(host.clone()) {
                    reports.push(Report { object: key.clone(), field: "spec.hosts".to_owned(), problem });
                }
                false
            });
            let place = (is_for_gateways.then(|| gateway.clone()), server.port);
            let list = *lists.entry(place).or_insert_with(|| {
                let place = Place { gateway: &gateway, port: server.port };
                let routes = http_route::compile(context, &resolved, &place, &mut budget, needed, reports);
                list_of(&mut group.route_lists, &mut known, routes)
            });
            let Some(routes) = list else { continue };
            let mut fresh = Vec::new();
            for host in common {
                let host = Host::from(host.to_ascii_lowercase());
                // The same routes for a host of a table again could never be reached.
                if !bound.insert((server.table.clone(), host.clone(), routes, server.https_redirect)) {
                    continue;
                }
                if !host_budget.take(1) {
                    full = true;
                    break;
                }
                fresh.push(host);
            }
            if !fresh.is_empty() {
                group.bindings.push(Binding {
                    table: server.table.clone(),
                    server: server.rank.clone(),
                    hosts: fresh,
                    https_redirect: server.https_redirect,
                    routes,
                });
            }
            if full {
                break;
            }
        }
        if full {
            let problem = Problem::beyond(
                limit::HOSTS,
                host_budget.most,
                "hosts are not served at this Gateway and those behind it",
            );
            reports.push(Report { object: key.clone(), field: field(), problem });
            break;
        }
        if !overlaps {
            let problem = Problem::NoCommonHost { gateway: gateway.to_string() };
            reports.push(Report { object: key.clone(), field: field(), problem });
        } else if servers.is_empty() && !context.view.has_gateway(&gateway) {
            let problem = Problem::UnknownGateway { gateway: gateway.to_string() };
            reports.push(Report { object: key.clone(), field: field(), problem });
        }
    }
    (!group.bindings.is_empty()).then_some(group)
}

/// The Gateways named, each once, with the position of its first mention.
fn gateways(spec: &VirtualService, namespace: &str) -> Vec<(usize, GatewayName)> {
    let mut seen = HashSet::new();
    let named = spec.gateways.iter().enumerate();
    let named = named.filter_map(|(index, text)| Some((index, GatewayName::parse(text, namespace)?)));
    named.inspect(|_| steps::count()).filter(|(_, name)| seen.insert(name.clone())).collect()
}

/// Files a list; equal ones share a place, empty ones have none. `known` has places by a digest.
fn list_of(lists: &mut Vec<Vec<Route>>, known: &mut HashMap<u64, usize>, routes: Vec<Route>) -> Option<usize> {
    if routes.is_empty() {
        return None;
    }
    steps::add(routes.len());
    let digest = budget::digest(&routes);
    if let Some(index) = known.get(&digest).copied().filter(|index| lists[*index] == routes) {
        return Some(index);
    }
    lists.push(routes);
    known.insert(digest, lists.len() - 1);
    Some(lists.len() - 1)
}
