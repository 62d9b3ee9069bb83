//! Sidecar: what is checked about it (docs/semantics.md §7). Gateways pay no attention to it.

use std::collections::BTreeSet;

use crds::{
    CaptureMode, IstioEgressListener, IstioIngressListener, ServerTlsMode, ServerTlsSettings, Sidecar,
    SidecarOutboundMode, SidecarOutboundTrafficPolicy, SidecarPort,
};

use crate::hosts;
use crate::report::Problem;
use crate::scope::Scope;
use crate::{attachment, destination_rule};

const SOCKET: &str = "unix://";

pub(crate) fn validate(spec: &Sidecar, at: &mut Scope<'_>) {
    let Sidecar { workload_selector, ingress, egress, inbound_connection_pool, outbound_traffic_policy } = spec;
    attachment::validate_workloads(workload_selector.as_ref(), at);
    if ingress.is_empty() && egress.is_empty() && inbound_connection_pool.is_none() && outbound_traffic_policy.is_none()
    {
        at.missing("at least one of ingress, egress, outboundTrafficPolicy and inboundConnectionPool is needed");
    }
    let mut ports = BTreeSet::new();
    for (index, listener) in ingress.iter().enumerate() {
        let mut at = at.item("ingress", index);
        validate_ingress(listener, &mut at);
        if let Some(port) = &listener.port
            && !ports.insert(port.number)
        {
            at.field("port").field("number").report(Problem::Duplicate { value: port.number.to_string() });
        }
    }
    for (index, listener) in egress.iter().enumerate() {
        let mut at = at.item("egress", index);
        if listener.port.is_none() && index + 1 < egress.len() {
            at.field("port").missing("the entry without a port stands for all other ports; it must be the last one");
        }
        validate_egress(listener, &mut at);
    }
    if let Some(pool) = inbound_connection_pool {
        destination_rule::validate_connection_pool(pool, &mut at.field("inboundConnectionPool"));
    }
    if let Some(SidecarOutboundTrafficPolicy { mode, egress_proxy: Some(proxy) }) = outbound_traffic_policy {
        let mut at = at.field("outboundTrafficPolicy").into_field("egressProxy");
        if *mode != SidecarOutboundMode::AllowAny {
            at.conflict("egressProxy needs mode ALLOW_ANY");
        }
        if proxy.host.is_empty() {
            at.field("host").missing("a destination needs a host");
        }
        match &proxy.port {
            Some(port) => at.field("port").field("number").port(port.number),
            None => at.field("port").missing("an egress proxy needs a port"),
        }
    }
}

fn validate_ingress(listener: &IstioIngressListener, at: &mut Scope<'_>) {
    let IstioIngressListener { port, bind, capture_mode: _, default_endpoint, tls, connection_pool } = listener;
    match port {
        Some(port) => validate_port(port, false, &mut at.field("port")),
        None => at.field("port").missing("a listener for incoming traffic needs a port"),
    }
    if let Some(bind) = bind.as_deref().filter(|bind| !bind.is_empty() && !hosts::is_ip(bind)) {
        at.field("bind").invalid(bind, "an IP address");
    }
    if let Some(endpoint) =
        default_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty() && !is_endpoint(endpoint))
    {
        at.field("defaultEndpoint").invalid(
            endpoint,
            "one of 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT, [::]:PORT and unix:// with an absolute path or @name",
        );
    }
    if let Some(tls) = tls {
        validate_tls(tls, &mut at.field("tls"));
    }
    if let Some(pool) = connection_pool {
        destination_rule::validate_connection_pool(pool, &mut at.field("connectionPool"));
    }
}

/// Certificates come from files here, and nobody is sent elsewhere.
fn validate_tls(tls: &ServerTlsSettings, at: &mut Scope<'_>) {
    let allowed = [ServerTlsMode::Simple, ServerTlsMode::Mutual, ServerTlsMode::OptionalMutual];
    if !allowed.contains(&tls.mode) {
        at.field("mode").conflict("a sidecar's listener has mode SIMPLE, MUTUAL or OPTIONAL_MUTUAL");
    }
    if tls.https_redirect {
        at.field("httpsRedirect").conflict("a sidecar's listener cannot redirect");
    }
    if tls.credential_name.is_some() || !tls.credential_names.is_empty() {
        at.field("credentialName").conflict("a sidecar's listener takes its certificate from files");
    }
    if !tls.subject_alt_names.is_empty() {
        at.field("subjectAltNames").conflict("a sidecar's listener does not look at the client's names");
    }
}

fn validate_egress(listener: &IstioEgressListener, at: &mut Scope<'_>) {
    let IstioEgressListener { port, bind, capture_mode, hosts } = listener;
    let socket = bind.as_deref().is_some_and(|bind| bind.starts_with(SOCKET));
    if let Some(port) = port {
        validate_port(port, socket, &mut at.field("port"));
    } else if socket {
        at.field("port").missing("a unix socket needs a port, whose number is 0, for its protocol");
    }
    match bind.as_deref().filter(|bind| !bind.is_empty()) {
        Some(bind) if socket => {
            if !is_socket(bind) {
                at.field("bind").invalid(bind, "unix:// with an absolute path or @name");
            }
            if *capture_mode == CaptureMode::Iptables {
                at.field("captureMode").conflict("traffic to a unix socket cannot be captured");
            }
        }
        Some(bind) if !hosts::is_ip(bind) => at.field("bind").invalid(bind, "an IP address, or unix:// with a path"),
        Some(_) | None => {}
    }
    if hosts.is_empty() {
        at.field("hosts").missing("hosts say what is imported; ./* stands for the own namespace");
    }
    for (index, host) in hosts.iter().enumerate() {
        validate_host(host, &mut at.item("hosts", index));
    }
}

fn validate_host(entry: &str, at: &mut Scope<'_>) {
    let Some((namespace, host)) = entry.split_once('/') else {
        at.invalid(entry, "a namespace and a host: NAMESPACE/HOST, where the namespace may be *, . or ~");
        return;
    };
    let excluded = namespace.strip_prefix('~').unwrap_or(namespace);
    if !matches!(namespace, "*" | "." | "~") && !hosts::is_dns_label(excluded) {
        at.invalid(entry, "a host with a namespace, *, . or ~ in front of the slash");
    }
    if host == "*" {
        return;
    }
    if let Err(problem) = hosts::check_wildcard_name(host) {
        at.invalid(host, problem.expected());
    } else if host.starts_with('*') && !host.starts_with("*.") {
        at.invalid(host, "allowed here; a wildcard stands for whole labels, as in *.example.com");
    } else if !host.contains('.') {
        at.invalid(host, "a full host name; short names are not allowed in a Sidecar");
    }
}

fn validate_port(port: &SidecarPort, socket: bool, at: &mut Scope<'_>) {
    let SidecarPort { number, protocol, name: _, target_port: _ } = port;
    if socket {
        at.field("number").range(*number, 0, 0);
    } else {
        at.field("number").port(*number);
    }
    if protocol.is_empty() {
        at.field("protocol").missing("a port needs a protocol");
    }
}

fn is_endpoint(text: &str) -> bool {
    if text.starts_with(SOCKET) {
        return is_socket(text);
    }
    let port = ["127.0.0.1:", "[::1]:", "0.0.0.0:", "[::]:"].iter().find_map(|start| text.strip_prefix(start));
    port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn is_socket(text: &str) -> bool {
    text.strip_prefix(SOCKET).is_some_and(|path| path.starts_with(['/', '@']) && path.len() > 1)
}
