//! What is checked about a VirtualService (docs/semantics.md §3.20). The features of HTTP rules check themselves.

use crds::{
    Delegate, HttpRoute, L4MatchAttributes, RouteDestination, TcpRoute, TlsMatchAttributes, TlsRoute, VirtualService,
};

use crate::host_index::HostIndex;
use crate::hosts;
use crate::report::Problem;
use crate::route::{
    cors, destination, direct_response, fault, headers, match_, mirror, reach, redirect, retry, rewrite, timeout,
};
use crate::scope::Scope;
use crate::world::MESH;

pub(crate) fn validate(spec: &VirtualService, own: &str, at: &mut Scope<'_>) {
    let VirtualService { hosts, gateways, http, tls, tcp, export_to } = spec;
    let is_delegate = hosts.is_empty();
    let on_mesh = !is_delegate && (gateways.is_empty() || gateways.iter().any(|gateway| gateway == MESH));
    if http.is_empty() && tls.is_empty() && tcp.is_empty() {
        at.missing("a VirtualService needs at least one rule in http, tls or tcp");
    }
    if is_delegate {
        for (field, given) in [("gateways", gateways.is_empty()), ("tls", tls.is_empty()), ("tcp", tcp.is_empty())] {
            if !given {
                at.field("hosts")
                    .missing("a VirtualService needs hosts, unless it is a delegate, which has http rules only");
                at.field(field).conflict("a VirtualService without hosts is a delegate and can have http rules only");
            }
        }
    }
    validate_hosts(hosts, on_mesh, at);
    validate_gateways(gateways, at);
    for (index, rule) in http.iter().enumerate() {
        validate_http(rule, is_delegate, on_mesh, &mut at.item("http", index));
    }
    reach::validate(http, at);
    for (index, rule) in tls.iter().enumerate() {
        validate_tls(rule, hosts, &mut at.item("tls", index));
    }
    for (index, rule) in tcp.iter().enumerate() {
        validate_tcp(rule, &mut at.item("tcp", index));
    }
    crate::export::validate(export_to, own, false, at);
    if on_mesh {
        at.field("gateways")
            .value_not_supported(MESH, "sidecars are not served; only the Gateways named here apply the rules");
    }
}

fn validate_hosts(written: &[String], on_mesh: bool, at: &mut Scope<'_>) {
    let mut earlier = HostIndex::default();
    for (index, host) in written.iter().enumerate() {
        let mut at = at.item("hosts", index);
        if host == "*" {
            if on_mesh {
                at.conflict(
                    "host * is not allowed in a VirtualService that applies to mesh; name its gateways without mesh",
                );
            }
        } else if !hosts::is_ip(host)
            && let Err(problem) = hosts::check_wildcard_name(host)
        {
            at.invalid(host, problem.expected());
        }
        // Longer ones are no names, and were refused already.
        if host.len() > hosts::LONGEST {
            continue;
        }
        if let Some(first) = earlier.overlapping(host).and_then(|first| written.get(first)) {
            at.report(Problem::OverlappingHosts { first: first.clone(), second: host.clone() });
        }
        earlier.insert(host, index);
    }
}

/// Checks names of Gateways, of a VirtualService or of a match.
pub(crate) fn validate_gateways(gateways: &[String], at: &mut Scope<'_>) {
    for (index, gateway) in gateways.iter().enumerate() {
        let mut at = at.item("gateways", index);
        let is_name = |name: &str| hosts::is_dns_label(name);
        match gateway.split_once('/') {
            Some((namespace, name)) => {
                if !is_name(namespace) || !is_name(name) {
                    at.invalid(gateway, "a Gateway: namespace/name, or name for one of the own namespace");
                }
            }
            None if gateway.contains('.') => {
                if hosts::check_name(gateway).is_err() {
                    at.invalid(gateway, "a Gateway: namespace/name, or name for one of the own namespace");
                } else {
                    let what = "the form name.namespace";
                    at.report(Problem::Deprecated { what, instead: "write namespace/name" });
                }
            }
            None if is_name(gateway) => {}
            None => at.invalid(gateway, "a Gateway: namespace/name, or name for one of the own namespace"),
        }
    }
}

fn validate_http(rule: &HttpRoute, is_delegate: bool, on_mesh: bool, at: &mut Scope<'_>) {
    let HttpRoute {
        name: _,
        matches,
        route,
        redirect,
        direct_response,
        delegate,
        rewrite,
        timeout,
        retries,
        fault,
        mirror: _,
        mirrors: _,
        mirror_percent: _,
        mirror_percentage: _,
        cors_policy,
        headers,
    } = rule;
    for (index, entry) in matches.iter().enumerate() {
        match_::validate(entry, on_mesh, &mut at.item("match", index));
    }
    match delegate {
        Some(_) if is_delegate => {
            at.field("delegate").conflict("a delegate cannot delegate in turn");
        }
        Some(delegate) => validate_delegate(delegate, rule, &mut at.field("delegate")),
        None if route.is_empty() && redirect.is_none() && direct_response.is_none() => {
            at.missing("a rule needs one of route, redirect, directResponse and delegate");
        }
        None => {}
    }
    destination::validate_route(route, at);
    if let Some(redirect) = redirect {
        redirect::validate(redirect, rule, &mut at.field("redirect"));
    }
    if let Some(response) = direct_response {
        direct_response::validate(response, rule, &mut at.field("directResponse"));
    }
    if let Some(rewrite) = rewrite {
        rewrite::validate(rewrite, &mut at.field("rewrite"));
    }
    if let Some(timeout) = timeout {
        timeout::validate(timeout, &mut at.field("timeout"));
    }
    if let Some(retries) = retries {
        retry::validate(retries, &mut at.field("retries"));
    }
    if let Some(fault) = fault {
        fault::validate(fault, &mut at.field("fault"));
    }
    mirror::validate(rule, at);
    if let Some(cors) = cors_policy {
        cors::validate(cors, &mut at.field("corsPolicy"));
    }
    if let Some(headers) = headers {
        headers::validate(headers, &mut at.field("headers"));
    }
    let authority = rewrite.as_ref().and_then(|rewrite| rewrite.authority.as_deref());
    headers::validate_authority(authority, headers.as_deref(), at);
    for (index, entry) in route.iter().enumerate() {
        headers::validate_authority(None, entry.headers.as_deref(), &mut at.item("route", index));
    }
}

fn validate_delegate(delegate: &Delegate, rule: &HttpRoute, at: &mut Scope<'_>) {
    let Delegate { name, namespace } = delegate;
    match name.as_deref() {
        None | Some("") => at.field("name").missing("a delegate needs a name"),
        Some(_) => {}
    }
    if let Some(namespace) = namespace.as_deref().filter(|namespace| !namespace.is_empty())
        && !hosts::is_dns_label(namespace)
    {
        at.field("namespace").invalid(namespace, "the name of a namespace");
    }
    if !rule.route.is_empty() || rule.redirect.is_some() {
        at.conflict("a rule that delegates cannot have route or redirect");
    }
}

fn validate_tls(rule: &TlsRoute, written: &[String], at: &mut Scope<'_>) {
    let TlsRoute { matches, route } = rule;
    if matches.is_empty() {
        at.field("match").missing("a tls rule needs a match with sniHosts");
    }
    for (index, entry) in matches.iter().enumerate() {
        let TlsMatchAttributes {
            sni_hosts,
            destination_subnets,
            port,
            source_labels: _,
            gateways,
            source_namespace: _,
        } = entry;
        let mut at = at.item("match", index);
        if sni_hosts.is_empty() {
            at.field("sniHosts").missing("a tls match needs at least one sniHost");
        }
        for (index, sni) in sni_hosts.iter().enumerate() {
            let mut at = at.item("sniHosts", index);
            if hosts::is_ip(sni) {
                at.no_effect("clients send no address as server name");
            } else if let Err(problem) = hosts::check_wildcard_name(sni) {
                at.invalid(sni, problem.expected());
            } else if !written.iter().any(|host| hosts::subset_of(sni, host)) {
                at.invalid(sni, "covered by one of the VirtualService's hosts");
            }
        }
        validate_subnets(destination_subnets, &mut at);
        if let Some(port) = port {
            at.field("port").range(*port, 0, 65535);
        }
        validate_gateways(gateways, &mut at);
    }
    validate_l4_route(route, at);
    at.not_supported("connections with TLS passing through are closed");
}

fn validate_tcp(rule: &TcpRoute, at: &mut Scope<'_>) {
    let TcpRoute { matches, route } = rule;
    for (index, entry) in matches.iter().enumerate() {
        let L4MatchAttributes {
            destination_subnets,
            port,
            source_subnet,
            source_labels: _,
            gateways,
            source_namespace: _,
        } = entry;
        let mut at = at.item("match", index);
        validate_subnets(destination_subnets, &mut at);
        if source_subnet.as_deref().is_some_and(|subnet| !subnet.is_empty()) {
            at.field("sourceSubnet").no_effect("Istio does not implement it either");
        }
        if let Some(port) = port {
            at.field("port").range(*port, 0, 65535);
        }
        validate_gateways(gateways, &mut at);
    }
    validate_l4_route(route, at);
}

fn validate_subnets(subnets: &[String], at: &mut Scope<'_>) {
    for (index, subnet) in subnets.iter().enumerate() {
        if subnet.parse::<ipnet::IpNet>().is_err() && !hosts::is_ip(subnet) {
            at.item("destinationSubnets", index).invalid(subnet, "an IP address or a network such as 10.0.0.0/8");
        }
    }
}

fn validate_l4_route(route: &[RouteDestination], at: &mut Scope<'_>) {
    if route.is_empty() {
        at.field("route").missing("a rule needs at least one destination");
    }
    for (index, RouteDestination { destination, weight: _ }) in route.iter().enumerate() {
        destination::validate(destination.as_ref(), &mut at.item("route", index).field("destination"));
    }
    let weights: Vec<i64> = route.iter().map(|entry| entry.weight).collect();
    destination::validate_weights(&weights, at);
}
