//! Where Ingresses stand: the Gateway each one is taken for, which proxies serve them, and their order among the routes
//! of VirtualServices.

use std::collections::HashSet;

use crds::object::ingress::IngressSpec;
use crds::{MeshConfig, Meta, ObjectKind};
use ir::{Binding, Host, Precedence, ServerRank};

use crate::ProxyScope;
use crate::gateway::BoundServer;
use crate::hosts;
use crate::report::Report;
use crate::steps;
use crate::tenancy::is_shared;
use crate::unit::Context;
use crate::world::{GatewayName, Typed};

/// Label and value of the gateway that Istio's installation brings, and the name of its Service.
const LABEL: &str = "istio";
const GATEWAY: &str = "ingressgateway";
pub(super) const SERVICE: &str = "istio-ingressgateway";

/// When everything made from an Ingress was created. Istio gives it no time, which counts as the year 1: its servers
/// and routes stand before those of all Gateways and VirtualServices.
pub(super) const NO_TIME: i64 = -62_135_596_800;

/// More than an Ingress has servers.
const BEHIND: u32 = 1_000_000;

/// The host of a rule that names none.
const ANY: &str = "*";

/// The label, with its value, of the proxies that serve Ingresses.
pub(super) fn selector(mesh: &MeshConfig) -> (&'static str, &str) {
    let given = |text: &'_ Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let value = if given(&mesh.ingress_selector) {
        mesh.ingress_selector.as_deref()
    } else {
        // Mostly Service and label have one name. That of Istio's own installation is the exception.
        mesh.ingress_service.as_deref().filter(|name| !name.is_empty() && *name != SERVICE)
    };
    (LABEL, value.unwrap_or(GATEWAY))
}

/// Whether a proxy serves Ingresses.
pub(super) fn is_selected(mesh: &MeshConfig, proxy: &ProxyScope) -> bool {
    let (label, value) = selector(mesh);
    is_shared(mesh, proxy) && proxy.labels.get(label).is_some_and(|found| found == value)
}

/// The Gateway that Istio makes of an Ingress.
pub(super) fn gateway_name(proxy: &ProxyScope, ingress: &Meta) -> GatewayName {
    let name = format!("{}-istio-ingressgateway-{}", ingress.name, ingress.namespace);
    GatewayName { namespace: proxy.control_namespace.clone(), name }
}

/// The hosts of an Ingress's rules, in order; `*` where a rule names none.
pub(crate) fn rule_hosts(spec: &IngressSpec) -> impl Iterator<Item = &str> {
    spec.rules.iter().flatten().map(|rule| rule_host(rule.host.as_deref()))
}

pub(super) fn rule_host(written: Option<&str>) -> &str {
    written.filter(|host| !host.is_empty()).unwrap_or(ANY)
}

/// The order of groups that share a virtual host: the more specific host goes first, before all VirtualServices. Under
/// strict tenancy age decides, that of the oldest Ingress with a rule for the host.
pub(super) fn precedence(host: &str, strict: bool, oldest: &Meta) -> Precedence {
    if strict {
        let (name, namespace) = (oldest.name.clone(), oldest.namespace.clone());
        return Precedence { tier: 2, created: oldest.created.unwrap_or(0), name, namespace };
    }
    // A name has 255 characters at most.
    let later = hosts::tail(host).map_or(0, |tail| 256 - i64::try_from(tail.len().min(255)).unwrap_or(0));
    Precedence { tier: 0, created: NO_TIME + later, name: host.to_owned(), namespace: String::new() }
}

/// Under strict tenancy an Ingress has an age, and the order of its routes among others' is that of its server; at one
/// virtual host, a rule for all hosts, or for a wildcard, comes behind those for the host itself.
fn server_rank(context: &Context<'_, '_>, server: &BoundServer, hosts: &[&str]) -> ServerRank {
    if !context.mesh.strict {
        return server.rank.clone();
    }
    let wildcard = hosts.iter().find_map(|host| hosts::tail(host)).map(|tail| 256 - tail.len().min(255));
    match wildcard.and_then(|later| u32::try_from(later).ok()) {
        None => server.rank.clone(),
        Some(later) => {
            ServerRank { index: server.rank.index.saturating_add(BEHIND).saturating_add(later), ..server.rank.clone() }
        }
    }
}

/// Attaches a group with one list of routes to servers of these Ingresses, to each virtual host once: the servers of
/// all Ingresses for plain HTTP share one table. `rank` overrides the servers' own place in the order.
pub(super) fn bind<'a>(
    context: &Context<'_, '_>,
    ingresses: impl Iterator<Item = Typed<'a, IngressSpec>>,
    hosts: &[&str],
    rank: Option<&ServerRank>,
    reports: &mut Vec<Report>,
) -> Vec<Binding> {
    let wanted: Vec<_> = hosts.iter().map(|host| std::borrow::Cow::Borrowed(*host)).collect();
    let mut bindings: Vec<Binding> = Vec::new();
    let mut seen = HashSet::new();
    let claims = context.view.claims();
    let mut bound = 0;
    for ingress in ingresses {
        for server in context.view.servers(&gateway_name(context.proxy, ingress.meta)) {
            let common = server.common_hosts(None, &wanted);
            let allowed = common.into_iter().filter(|host| {
                steps::count();
                let meta = ingress.meta;
                match claims.refuse(host, &meta.namespace, meta.created) {
                    None => true,
                    Some(problem) => {
                        let (object, field) = (ingress.key(ObjectKind::Ingress), "spec.rules".to_owned());
                        reports.push(Report { object, field, problem });
                        false
                    }
                }
            });
            let allowed = allowed.map(|host| Host::from(host.to_ascii_lowercase()));
            let mut fresh: Vec<Host> = allowed.filter(|host| seen.insert((&server.table, host.clone()))).collect();
            let limit = context.view.limits().hosts_per_virtual_service;
            fresh.truncate(limit.saturating_sub(bound));
            bound += fresh.len();
            if !fresh.is_empty() {
                bindings.push(Binding {
                    table: server.table.clone(),
                    server: rank.cloned().unwrap_or_else(|| server_rank(context, server, hosts)),
                    hosts: fresh,
                    https_redirect: server.https_redirect,
                    routes: 0,
                });
            }
        }
    }
    bindings
}
