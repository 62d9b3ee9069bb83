//! Where Ingresses stand: the Gateway each one is taken for, which proxies serve them, and their order among the routes
//! of VirtualServices.

use crds::object::ingress::IngressSpec;
use crds::{MeshConfig, Meta};
use ir::{Binding, Host, Precedence, ServerRank};

use crate::ProxyScope;
use crate::hosts;
use crate::unit::Context;
use crate::world::{GatewayName, Typed};

/// Label and value of the gateway that Istio's installation brings, and the name of its Service.
const LABEL: &str = "istio";
const GATEWAY: &str = "ingressgateway";
pub(super) const SERVICE: &str = "istio-ingressgateway";

/// When everything made from an Ingress was created. Istio gives it no time, which counts as the year 1: its servers
/// and routes stand before those of all Gateways and VirtualServices.
pub(super) const NO_TIME: i64 = -62_135_596_800;

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
    proxy.labels.get(label).is_some_and(|found| found == value)
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

/// The order of groups that share a virtual host: the more specific host goes first.
pub(super) fn precedence(host: &str) -> Precedence {
    // A name has 255 characters at most.
    let later = hosts::tail(host).map_or(0, |tail| 256 - i64::try_from(tail.len().min(255)).unwrap_or(0));
    Precedence { tier: 0, created: NO_TIME + later, name: host.to_owned(), namespace: String::new() }
}

/// Attaches a group with one list of routes to servers of these Ingresses, to each virtual host once: the servers of
/// all Ingresses for plain HTTP share one table. `rank` overrides the servers' own place in the order.
pub(super) fn bind<'a>(
    context: &Context<'_>,
    ingresses: impl Iterator<Item = Typed<'a, IngressSpec>>,
    hosts: &[&str],
    rank: Option<&ServerRank>,
) -> Vec<Binding> {
    let wanted: Vec<_> = hosts.iter().map(|host| std::borrow::Cow::Borrowed(*host)).collect();
    let mut bindings: Vec<Binding> = Vec::new();
    for ingress in ingresses {
        for server in context.view.servers(&gateway_name(context.proxy, ingress.meta)) {
            let common = hosts::intersection(server.hosts.iter().map(|host| host.host.as_str()), &wanted);
            let mut fresh: Vec<Host> = common.into_iter().map(|host| Host::from(host.to_ascii_lowercase())).collect();
            let same_table = || bindings.iter().filter(|binding| binding.table == server.table);
            fresh.retain(|host| !same_table().any(|binding| binding.hosts.contains(host)));
            if !fresh.is_empty() {
                bindings.push(Binding {
                    table: server.table.clone(),
                    server: rank.unwrap_or(&server.rank).clone(),
                    hosts: fresh,
                    https_redirect: server.https_redirect,
                    routes: 0,
                });
            }
        }
    }
    bindings
}
