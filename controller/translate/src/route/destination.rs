//! Where a rule sends traffic: shares, and the cluster a destination means (docs/semantics.md §3.4, §3.19).

use crds::{Destination, HttpRouteDestination, PortSelector};
use ir::ClusterName;

use crate::report::Problem;
use crate::scope::Scope;
use crate::unit::Context;
use crate::{destination_rule, hosts, service};

/// The positions that get traffic with their shares. A lone one gets all of it whatever its weight.
pub(crate) fn shares(weights: impl ExactSizeIterator<Item = i64>) -> Vec<(usize, u32)> {
    if weights.len() == 1 {
        return vec![(0, 1)];
    }
    let shares = weights.enumerate().filter(|(_, weight)| *weight > 0);
    shares.map(|(index, weight)| (index, u32::try_from(weight).unwrap_or(u32::MAX))).collect()
}

/// The cluster a destination means at a server with that port number. One that does not exist is named all the same:
/// its share of the traffic gets 503.
pub(crate) fn cluster(
    context: &Context<'_, '_>,
    destination: &Destination,
    namespace: &str,
    server_port: u16,
    at: &mut Scope<'_>,
) -> ClusterName {
    let host = hosts::resolve(&destination.host, namespace);
    let subset = destination.subset.as_deref().unwrap_or_default();
    let written = destination.port.as_ref().and_then(|port| u16::try_from(port.number).ok()).filter(|port| *port > 0);
    let Some(service) = service::find(context, &host) else {
        at.field("host").report(Problem::UnknownHost { host: host.clone().into_owned() });
        return ClusterName::outbound(written.unwrap_or(server_port), subset, &host);
    };
    let only = match service.ports.as_slice() {
        [port] => Some(port.number),
        _ => None,
    };
    let port = written.or(only).unwrap_or(server_port);
    if service.port(port).is_none() {
        let ports = service.ports.iter().map(|port| port.number.to_string()).collect::<Vec<_>>();
        let ports = if ports.is_empty() { "none".to_owned() } else { ports.join(", ") };
        let problem = Problem::UnknownPort { host: service.host.clone(), port, ports };
        if written.is_some() { at.field("port").report(problem) } else { at.report(problem) }
    }
    if !subset.is_empty() {
        let rule = destination_rule::effective(context, &service.host, service.namespace);
        if rule.is_none_or(|rule| rule.subset(subset).is_none()) {
            let problem = Problem::UnknownSubset { host: service.host.clone(), subset: subset.to_owned() };
            at.field("subset").report(problem);
        }
    }
    ClusterName::outbound(port, subset, &service.host)
}

pub(crate) fn validate(destination: Option<&Destination>, at: &mut Scope<'_>) {
    let Some(Destination { host, subset, port }) = destination else {
        at.missing("a destination is needed");
        return;
    };
    if host.is_empty() {
        at.field("host").missing("a destination needs a host");
    } else if host == "*" {
        at.field("host").invalid(host, "a destination, which is one service");
    } else if !hosts::is_ip(host)
        && let Err(problem) = hosts::check_wildcard_name(host)
    {
        at.field("host").invalid(host, problem.expected());
    }
    if let Some(subset) = subset.as_deref().filter(|subset| !subset.is_empty())
        && !hosts::is_dns_label(subset)
    {
        at.field("subset").invalid(subset, "a subset's name: letters, digits and -, 63 characters at most");
    }
    if let Some(PortSelector { number }) = port {
        at.field("port").field("number").port(*number);
    }
}

/// Checks the weights of a rule's destinations.
pub(crate) fn validate_weights(weights: &[i64], at: &mut Scope<'_>) {
    for (index, weight) in weights.iter().enumerate() {
        at.item("route", index).field("weight").range(*weight, 0, i64::from(i32::MAX));
    }
    if weights.len() > 1 && weights.iter().all(|weight| *weight == 0) {
        at.field("route").report(Problem::NoWeight);
    }
}

/// Checks the destinations of an HTTP rule.
pub(crate) fn validate_route(route: &[HttpRouteDestination], at: &mut Scope<'_>) {
    for (index, HttpRouteDestination { destination, weight: _, headers }) in route.iter().enumerate() {
        let mut at = at.item("route", index);
        validate(destination.as_ref(), &mut at.field("destination"));
        if let Some(headers) = headers {
            super::headers::validate(headers, &mut at.field("headers"));
        }
    }
    let weights: Vec<i64> = route.iter().map(|entry| entry.weight).collect();
    validate_weights(&weights, at);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_relative_and_zeros_vanish() {
        let of = |weights: &[i64]| shares(weights.iter().copied());
        assert_eq!(of(&[0]), [(0, 1)]);
        assert_eq!(of(&[90, 0, 10]), [(0, 90), (2, 10)]);
        assert_eq!(of(&[0, 0]), []);
        assert_eq!(of(&[1, i64::MAX]), [(0, 1), (1, u32::MAX)]);
    }
}
