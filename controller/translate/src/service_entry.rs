//! ServiceEntry: its ports, and what is checked about it (docs/semantics.md §5, §6). How it becomes a service is in
//! `service`, its endpoints in `endpoints`.

use std::collections::BTreeSet;

use crds::{Location, Resolution, ServiceEntry, ServicePort, WorkloadEntry};

use crate::hosts;
use crate::protocol::Protocol;
use crate::report::Problem;
use crate::scope::Scope;
use crate::service::Port;

/// Says that an endpoint speaks mutual TLS of the mesh.
const TLS_MODE: &str = "security.istio.io/tlsMode";
/// Most hosts, ports and the like that the schema takes.
const MOST: usize = 256;

/// A port, if it can be one.
pub(crate) fn port(written: &ServicePort) -> Option<Port> {
    let number = u16::try_from(written.number).ok().filter(|number| *number > 0)?;
    Some(Port { number, name: written.name.clone(), protocol: protocol(written) })
}

fn protocol(written: &ServicePort) -> Protocol {
    let name = written.protocol.as_deref().unwrap_or_default();
    Protocol::named(name).unwrap_or(Protocol::Auto)
}

pub(crate) fn validate(spec: &ServiceEntry, own: &str, at: &mut Scope<'_>) {
    let ServiceEntry {
        hosts,
        addresses,
        ports,
        location,
        resolution,
        endpoints,
        workload_selector,
        export_to,
        subject_alt_names,
    } = spec;
    validate_hosts(hosts, at);
    validate_ports(ports, at);
    validate_addresses(addresses, *resolution, at);
    validate_resolution(spec, at);
    if hosts.len() > 1 && *resolution != Resolution::None {
        let opaque = |port: &ServicePort| !matches!(protocol(port), Protocol::Http | Protocol::Http2 | Protocol::Tls);
        if ports.iter().any(opaque) {
            at.field("hosts")
                .conflict("several hosts are allowed only when every port is HTTP or TLS, or resolution is NONE");
        }
    }
    if workload_selector.is_some() {
        let mut at = at.field("workloadSelector");
        if !endpoints.is_empty() {
            at.conflict("workloadSelector and endpoints exclude each other");
        }
        at.not_supported("no endpoints are found by it");
    }
    let names: BTreeSet<&str> = ports.iter().map(|port| port.name.as_str()).collect();
    for (index, endpoint) in endpoints.iter().enumerate() {
        validate_endpoint(endpoint, (ports.len(), &names), *location, &mut at.item("endpoints", index));
    }
    crate::export::validate(export_to, own, true, at);
    if !subject_alt_names.is_empty() {
        at.field("subjectAltNames").not_supported("TLS is not spoken to endpoints");
    }
}

fn validate_hosts(hosts: &[String], at: &mut Scope<'_>) {
    if hosts.is_empty() {
        at.field("hosts").missing("a ServiceEntry needs at least one host");
    }
    if hosts.len() > MOST {
        at.field("hosts").conflict("at most 256 hosts are allowed");
    }
    for (index, host) in hosts.iter().enumerate() {
        let mut at = at.item("hosts", index);
        if host == "*" {
            at.invalid(host, "allowed here; a ServiceEntry cannot stand for every host");
        } else if let Err(problem) = hosts::check_wildcard_name(host) {
            at.invalid(host, problem.expected());
        } else if host.starts_with('*') && !host.starts_with("*.") {
            at.no_effect("a wildcard should stand for whole labels, as in *.example.com");
        }
    }
}

fn validate_ports(ports: &[ServicePort], at: &mut Scope<'_>) {
    if ports.len() > MOST {
        at.field("ports").conflict("at most 256 ports are allowed");
    }
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in ports.iter().enumerate() {
        let ServicePort { number, protocol, name, target_port } = port;
        let mut at = at.item("ports", index);
        at.field("number").port(*number);
        if !numbers.insert(number) {
            at.field("number").report(Problem::Duplicate { value: number.to_string() });
        }
        if name.is_empty() {
            at.field("name").missing("a port needs a name");
        } else if !hosts::is_dns_label(name) {
            at.field("name").invalid(name, "a name of letters, digits and -");
        } else if !names.insert(name) {
            at.field("name").report(Problem::Duplicate { value: name.clone() });
        }
        if let Some(protocol) = protocol.as_deref().filter(|protocol| !protocol.is_empty())
            && Protocol::named(protocol).is_none()
        {
            at.field("protocol").invalid(
                protocol,
                "a protocol; known are HTTP, HTTP2, GRPC, GRPC-WEB, HTTPS, TLS, TCP, UDP, MONGO, REDIS, MYSQL",
            );
        }
        if let Some(target) = target_port.filter(|target| *target != 0) {
            at.field("targetPort").port(target);
        }
    }
}

fn validate_addresses(addresses: &[String], resolution: Resolution, at: &mut Scope<'_>) {
    for (index, address) in addresses.iter().enumerate() {
        let mut at = at.item("addresses", index);
        if address.parse::<ipnet::IpNet>().is_ok() {
            if !matches!(resolution, Resolution::None | Resolution::Static) {
                at.conflict("a network is allowed only with resolution NONE or STATIC");
            }
        } else if !hosts::is_ip(address) {
            at.invalid(address, "an IP address or a network such as 10.0.0.0/8");
        }
    }
}

fn validate_resolution(spec: &ServiceEntry, at: &mut Scope<'_>) {
    let has_endpoints = !spec.endpoints.is_empty();
    match spec.resolution {
        Resolution::None => {
            if has_endpoints {
                at.field("endpoints").conflict("resolution NONE cannot have endpoints; use STATIC or DNS");
            }
        }
        Resolution::Static => {
            for (index, endpoint) in spec.endpoints.iter().enumerate() {
                let address = endpoint.address.as_deref().unwrap_or_default();
                if !address.is_empty() && !address.starts_with("unix://") && !hosts::is_ip(address) {
                    at.item("endpoints", index)
                        .field("address")
                        .invalid(address, "an IP address, which resolution STATIC needs; use DNS for names");
                }
            }
        }
        Resolution::Dns | Resolution::DnsRoundRobin => {
            if spec.resolution == Resolution::DnsRoundRobin && spec.endpoints.len() > 1 {
                at.field("endpoints").conflict("resolution DNS_ROUND_ROBIN allows one endpoint at most");
            }
            for (index, host) in spec.hosts.iter().enumerate() {
                if !has_endpoints && spec.workload_selector.is_none() && hosts::check_name(host).is_err() {
                    at.item("hosts", index)
                        .invalid(host, "a full name, which resolution DNS needs when there are no endpoints");
                }
            }
            for (index, endpoint) in spec.endpoints.iter().enumerate() {
                let address = endpoint.address.as_deref().unwrap_or_default();
                let known = address.starts_with("unix://") || hosts::is_ip(address);
                if !address.is_empty() && !known && hosts::check_name(address).is_err() {
                    at.item("endpoints", index).field("address").invalid(address, "an IP address or a full name");
                }
            }
        }
        Resolution::DynamicDns => {
            for (index, host) in spec.hosts.iter().enumerate() {
                if !host.starts_with("*.") {
                    at.item("hosts", index).invalid(host, "a wildcard host, which resolution DYNAMIC_DNS needs");
                }
            }
            if has_endpoints || !spec.addresses.is_empty() {
                at.field("resolution").conflict("DYNAMIC_DNS allows neither addresses nor endpoints");
            }
            for (index, port) in spec.ports.iter().enumerate() {
                if !matches!(protocol(port), Protocol::Http | Protocol::Http2 | Protocol::Tls) {
                    at.item("ports", index)
                        .field("protocol")
                        .conflict("DYNAMIC_DNS needs HTTP, HTTP2, GRPC or TLS ports");
                }
            }
            at.field("resolution").value_not_supported(Resolution::DynamicDns, "requests get 503");
        }
    }
}

fn validate_endpoint(
    entry: &WorkloadEntry,
    (declared, names): (usize, &BTreeSet<&str>),
    location: Location,
    at: &mut Scope<'_>,
) {
    let WorkloadEntry { address, ports, labels, network, locality, weight, service_account } = entry;
    let address = address.as_deref().unwrap_or_default();
    match address.strip_prefix("unix://") {
        Some(path) => {
            if !ports.is_empty() {
                at.field("ports").conflict("a unix socket has no ports");
            }
            if declared != 1 {
                at.field("address").conflict("a unix socket needs a ServiceEntry with exactly one port");
            }
            if !path.starts_with('/') && !path.starts_with('@') {
                at.field("address").invalid(address, "unix:// with an absolute path or @name");
            }
        }
        None if address.is_empty() => {
            if network.as_deref().unwrap_or_default().is_empty() {
                at.field("address").missing("an endpoint needs an address");
            } else {
                at.field("address").no_effect("an endpoint without address is not used");
            }
        }
        None => {}
    }
    for (name, number) in ports {
        let mut at = at.entry("ports", name);
        at.port(*number);
        if !names.contains(name.as_str()) {
            at.invalid(name, "the name of one of the ServiceEntry's ports");
        }
    }
    if let Some(weight) = weight.filter(|weight| *weight < 0) {
        at.field("weight").range(weight, 0, i64::from(u32::MAX));
    }
    if labels.get(TLS_MODE).is_some_and(|mode| mode == "istio") && location == Location::MeshInternal {
        at.entry("labels", TLS_MODE).not_supported("the endpoint is reached without TLS");
    }
    for (name, given) in [
        ("network", network.is_some()),
        ("locality", locality.is_some()),
        ("serviceAccount", service_account.is_some()),
    ] {
        if given {
            at.field(name).not_supported("it makes no difference");
        }
    }
}
