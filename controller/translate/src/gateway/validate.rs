//! What is checked about a Gateway (docs/semantics.md §2.2).

use std::collections::BTreeSet;

use crds::{Gateway, Port, Server, ServerTlsMode, ServerTlsSettings};

use super::tls;
use crate::hosts;
use crate::report::Problem;
use crate::scope::Scope;

/// Protocols of a server's port, in capitals.
const PROTOCOLS: [&str; 12] =
    ["HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS", "REDIS", "MYSQL", "UDP", "HTTP_PROXY"];

/// Checks the object's name, which other objects have to be able to write.
pub(crate) fn validate_name(name: &str, at: &mut Scope<'_>) {
    if !hosts::is_label(name) {
        at.invalid(name, "a Gateway's name: letters, digits and -, no dots");
    }
}

pub(crate) fn validate(spec: &Gateway, at: &mut Scope<'_>) {
    let Gateway { servers, selector } = spec;
    for (key, value) in selector.iter().flatten() {
        if key.is_empty() || key.contains('*') || value.contains('*') {
            at.entry("selector", key).invalid(value, "a label; names cannot be empty and * is not allowed");
        }
    }
    if servers.is_empty() {
        at.field("servers").missing("a Gateway needs at least one server");
    }
    let mut names = BTreeSet::new();
    for (index, server) in servers.iter().enumerate() {
        let mut at = at.item("servers", index);
        validate_server(server, &mut at);
        if let Some(port) = server.port.as_ref().filter(|port| !port.name.is_empty())
            && !names.insert(&port.name)
        {
            at.field("port").field("name").report(Problem::Duplicate { value: port.name.clone() });
        }
    }
}

fn validate_server(server: &Server, at: &mut Scope<'_>) {
    let Server { port, bind, hosts, tls, default_endpoint, name: _ } = server;
    if hosts.is_empty() {
        at.field("hosts").missing("a server needs at least one host; * stands for all");
    }
    for (index, host) in hosts.iter().enumerate() {
        validate_host(host, &mut at.item("hosts", index));
    }
    let bind = bind.as_deref().filter(|bind| !bind.is_empty());
    if let Some(bind) = bind {
        let is_socket = bind.strip_prefix("unix://").is_some_and(|path| path.starts_with(['/', '@']));
        if !is_socket && !hosts::is_ip(bind) {
            at.field("bind").invalid(bind, "an IP address, or unix:// with an absolute path or @name");
        }
    }
    if default_endpoint.is_some() {
        at.field("defaultEndpoint").no_effect("Istio does not implement it either");
    }
    let Some(Port { number, protocol, name, target_port }) = port else {
        at.field("port").missing("a server needs a port");
        return;
    };
    {
        let mut at = at.field("port");
        if bind.is_some_and(|bind| bind.starts_with("unix://")) {
            if *number != 0 {
                at.field("number").conflict("a unix socket has no port; the number must be 0");
            }
        } else {
            at.field("number").port(*number);
        }
        if name.is_empty() {
            at.field("name").missing("a server's port needs a name");
        }
        if target_port.is_some_and(|target| target > 0) {
            at.field("targetPort").conflict("targetPort cannot be set in a Gateway; the Service in front decides");
        }
    }
    let protocol_name = protocol.to_ascii_uppercase();
    if !PROTOCOLS.contains(&protocol_name.as_str()) {
        let mut at = at.field("port");
        at.field("protocol").invalid(protocol, "one of HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, TCP, TLS");
        return;
    }
    validate_tls(&protocol_name, tls.as_ref(), at);
}

fn validate_tls(protocol: &str, settings: Option<&ServerTlsSettings>, at: &mut Scope<'_>) {
    match (protocol, settings) {
        ("HTTPS" | "TLS", None) => at.field("tls").missing("a server with protocol HTTPS or TLS needs tls settings"),
        ("HTTPS" | "TLS", Some(settings)) => {
            let mut at = at.field("tls");
            if settings.https_redirect {
                at.field("httpsRedirect").no_effect("only a server with protocol HTTP can redirect to https");
            }
            tls::validate(settings, &mut at);
        }
        ("HTTP" | "HTTP2" | "GRPC" | "GRPC-WEB" | "HTTP_PROXY", Some(settings)) => {
            let redirect_only = ServerTlsSettings {
                https_redirect: settings.https_redirect,
                mode: ServerTlsMode::Passthrough,
                ..ServerTlsSettings::default()
            };
            if *settings != redirect_only {
                at.field("tls")
                    .conflict("a server without TLS can have httpsRedirect here and nothing else; use protocol HTTPS");
            }
        }
        (_, Some(_)) => {
            at.field("tls").conflict("a server can have tls settings only with protocol HTTPS, TLS or HTTP")
        }
        (_, None) => {}
    }
}

fn validate_host(entry: &str, at: &mut Scope<'_>) {
    let host = match entry.split_once('/') {
        None => entry,
        Some((namespace, host)) => {
            if !matches!(namespace, "*" | ".") && !hosts::is_dns_label(namespace) {
                at.invalid(entry, "a host with a namespace, *, or . in front of the slash");
            }
            host
        }
    };
    if host == "*" || hosts::is_ip(host) {
        return;
    }
    if let Err(problem) = hosts::check_wildcard_name(host) {
        at.invalid(host, problem.expected());
    } else if host.starts_with('*') && !host.starts_with("*.") {
        at.invalid(host, "allowed in a Gateway; a wildcard stands for whole labels there, as in *.example.com");
    } else if !host.contains('.') {
        at.invalid(host, "a full host name; short names are not allowed in a Gateway");
    }
}
