//! One VirtualService: to which virtual hosts its routes belong (docs/semantics.md §2.5).

mod validate;

use std::borrow::Cow;
use std::collections::BTreeMap;

use crds::{ObjectKey, VirtualService};
use ir::{Binding, Host, Precedence, Route, RouteGroup};

use crate::export::Exports;
use crate::http_route::{self, Place};
use crate::report::{Problem, Report};
use crate::unit::{Context, Needed};
use crate::world::{GatewayName, Typed};
use crate::{delegate, hosts};

pub(crate) use validate::{validate, validate_gateways};

/// The group of a VirtualService; nothing for one that serves nothing here.
pub(crate) fn translate(
    context: &Context<'_>,
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
    let rules = delegate::resolve(context, key, spec, reports);
    let hosts: Vec<Cow<'_, str>> = spec.hosts.iter().map(|host| hosts::resolve(host, &meta.namespace)).collect();
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
    // Routes depend on the gateway and the port they are for.
    let mut lists: BTreeMap<(GatewayName, u16), Option<usize>> = BTreeMap::new();
    for (index, gateway) in gateways(spec, &meta.namespace) {
        let servers = context.view.servers(&gateway);
        let mut overlaps = servers.is_empty();
        for server in servers {
            let admitted = server.hosts.iter().filter(|host| host.admits(&meta.namespace));
            let common = hosts::intersection(admitted.map(|host| host.host.as_str()), &hosts);
            if common.is_empty() {
                continue;
            }
            overlaps = true;
            let list = *lists.entry((gateway.clone(), server.port)).or_insert_with(|| {
                let place = Place { gateway: &gateway, port: server.port };
                let routes = http_route::compile(context, &rules, &place, needed, reports);
                list_of(&mut group.route_lists, routes)
            });
            if let Some(routes) = list {
                group.bindings.push(Binding {
                    table: server.table.clone(),
                    server: server.rank.clone(),
                    hosts: lower_case(common),
                    https_redirect: server.https_redirect,
                    routes,
                });
            }
        }
        let field = format!("spec.gateways[{index}]");
        if !overlaps {
            let problem = Problem::NoCommonHost { gateway: gateway.to_string() };
            reports.push(Report { object: key.clone(), field, problem });
        } else if servers.is_empty() && !context.view.has_gateway(&gateway) {
            let problem = Problem::UnknownGateway { gateway: gateway.to_string() };
            reports.push(Report { object: key.clone(), field, problem });
        }
    }
    (!group.bindings.is_empty()).then_some(group)
}

/// The Gateways named, each once, with the position of its first mention.
fn gateways(spec: &VirtualService, namespace: &str) -> Vec<(usize, GatewayName)> {
    let mut found: Vec<(usize, GatewayName)> = Vec::new();
    for (index, text) in spec.gateways.iter().enumerate() {
        let Some(name) = GatewayName::parse(text, namespace) else { continue };
        if !found.iter().any(|(_, known)| *known == name) {
            found.push((index, name));
        }
    }
    found
}

/// Files a list; equal ones share a place, empty ones have none.
fn list_of(lists: &mut Vec<Vec<Route>>, routes: Vec<Route>) -> Option<usize> {
    if routes.is_empty() {
        return None;
    }
    if let Some(index) = lists.iter().position(|known| *known == routes) {
        return Some(index);
    }
    lists.push(routes);
    Some(lists.len() - 1)
}

fn lower_case(hosts: Vec<String>) -> Vec<Host> {
    let mut lower: Vec<Host> = Vec::with_capacity(hosts.len());
    for host in hosts {
        let host = Host::from(host.to_ascii_lowercase());
        if !lower.contains(&host) {
            lower.push(host);
        }
    }
    lower
}
