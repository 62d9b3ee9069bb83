//! What an API server refuses in an Ingress, for those that come from files. What only this gateway does not do is not
//! said here: the object may be another controller's.

use crds::object::ingress::{HTTPIngressPath, IngressBackend, IngressSpec};

use super::path::{EXACT, IMPLEMENTATION_SPECIFIC, PREFIX};
use crate::hosts;
use crate::scope::Scope;

pub(crate) fn validate(spec: &IngressSpec, at: &mut Scope<'_>) {
    // Its class is not the object's own affair.
    let IngressSpec { default_backend, ingress_class_name: _, rules, tls } = spec;
    if default_backend.is_none() && rules.as_ref().is_none_or(Vec::is_empty) {
        at.missing("an Ingress needs rules or a defaultBackend");
    }
    if let Some(backend) = default_backend {
        validate_backend(backend, &mut at.field("defaultBackend"));
    }
    for (index, rule) in rules.iter().flatten().enumerate() {
        let mut at = at.item("rules", index);
        if let Some(host) = rule.host.as_deref().filter(|host| !host.is_empty()) {
            validate_host(host, &mut at.field("host"));
        }
        let Some(http) = &rule.http else { continue };
        let mut at = at.field("http");
        if http.paths.is_empty() {
            at.field("paths").missing("http needs at least one path");
        }
        for (index, path) in http.paths.iter().enumerate() {
            let mut at = at.item("paths", index);
            validate_path(path, &mut at);
            validate_backend(&path.backend, &mut at.field("backend"));
        }
    }
    for (index, entry) in tls.iter().flatten().enumerate() {
        let mut at = at.item("tls", index);
        for (index, host) in entry.hosts.iter().flatten().enumerate() {
            validate_host(host, &mut at.item("hosts", index));
        }
    }
}

fn validate_host(host: &str, at: &mut Scope<'_>) {
    let name = host.strip_prefix("*.").unwrap_or(host);
    if hosts::is_ip(host) {
        at.invalid(host, "a host name; addresses are not allowed");
    } else if let Err(problem) = hosts::check_name(name) {
        at.invalid(host, problem.expected());
    } else if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        at.invalid(host, "a host name in lower case");
    }
}

fn validate_path(path: &HTTPIngressPath, at: &mut Scope<'_>) {
    let HTTPIngressPath { backend: _, path, path_type } = path;
    let path = path.as_deref().unwrap_or_default();
    match path_type.as_str() {
        EXACT | PREFIX => {
            let mut at = at.field("path");
            if !path.starts_with('/') {
                at.invalid(path, "an absolute path: Exact and Prefix need one that begins with /");
            } else if ["//", "/./", "/../", "%2f", "%2F"].iter().any(|sequence| path.contains(sequence))
                || ["/..", "/."].iter().any(|end| path.ends_with(end))
            {
                at.invalid(path, "a path in its normal form, without empty or dot segments and without %2F");
            }
        }
        // Absent in objects older than the field.
        IMPLEMENTATION_SPECIFIC | "" => {}
        other => at.field("pathType").invalid(other, "Exact, Prefix or ImplementationSpecific"),
    }
}

fn validate_backend(backend: &IngressBackend, at: &mut Scope<'_>) {
    let IngressBackend { resource, service } = backend;
    match (service, resource) {
        (Some(_), Some(_)) => at.conflict("a backend is either a service or a resource"),
        (None, None) => at.missing("a backend needs a service"),
        (None, Some(_)) => {}
        (Some(service), None) => {
            let mut at = at.field("service");
            if !hosts::is_label(&service.name) {
                at.field("name").invalid(&service.name, "the name of a Service");
            }
            let port = service.port.as_ref();
            let number = port.and_then(|port| port.number).filter(|number| *number != 0);
            let name = port.and_then(|port| port.name.as_deref()).filter(|name| !name.is_empty());
            let mut at = at.field("port");
            match (number, name) {
                (Some(_), Some(_)) => at.conflict("a port is given either by name or by number"),
                (None, None) => at.missing("a service needs a port, by name or by number"),
                (Some(number), None) => at.field("number").port(number.into()),
                (None, Some(_)) => {}
            }
        }
    }
}
