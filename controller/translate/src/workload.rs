//! WorkloadEntry and WorkloadGroup: what is checked about them (docs/semantics.md §6). No service gets them yet.

use crds::{
    ExecHealthCheckConfig, GrpcHealthCheckConfig, HttpHealthCheckConfig, ReadinessProbe, TcpHealthCheckConfig,
    WorkloadEntry, WorkloadGroup,
};

use crate::hosts;
use crate::scope::Scope;

pub(crate) fn validate_entry(spec: &WorkloadEntry, at: &mut Scope<'_>) {
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    if !given(&spec.address) {
        if given(&spec.network) {
            at.field("address").no_effect("a workload without address is reached through its network's gateway only");
        } else {
            at.field("address").missing("an address is needed");
        }
    }
    validate_fields(spec, at);
}

pub(crate) fn validate_group(spec: &WorkloadGroup, at: &mut Scope<'_>) {
    let WorkloadGroup { metadata: _, template, probe } = spec;
    match template {
        Some(template) => validate_fields(template, &mut at.field("template")),
        None => at.field("template").missing("a template for the workloads is needed"),
    }
    if let Some(probe) = probe {
        validate_probe(probe, &mut at.field("probe"));
    }
}

fn validate_fields(entry: &WorkloadEntry, at: &mut Scope<'_>) {
    let WorkloadEntry { address, ports, labels: _, network: _, locality, weight, service_account: _ } = entry;
    let address = address.as_deref().unwrap_or_default();
    match address.strip_prefix("unix://") {
        Some(path) => {
            if !path.starts_with(['/', '@']) || path.ends_with('/') {
                at.field("address").invalid(address, "unix:// with the absolute path of a file, or @name");
            }
            if !ports.is_empty() {
                at.field("ports").conflict("a unix socket has no ports");
            }
        }
        None if !address.is_empty() && !hosts::is_ip(address) && hosts::check_name(address).is_err() => {
            at.field("address").invalid(address, "an IP address, a full name, or unix:// with a path");
        }
        None => {}
    }
    for (name, number) in ports {
        let mut at = at.entry("ports", name);
        if !hosts::is_dns_label(name) {
            at.invalid(name, "the name of a port: letters, digits and -");
        }
        at.port(*number);
    }
    if let Some(weight) = weight {
        at.field("weight").range(*weight, 0, i64::from(u32::MAX));
    }
    if let Some(locality) = locality.as_deref().filter(|locality| !locality.is_empty())
        && (locality.split('/').any(str::is_empty) || locality.split('/').count() > 3)
    {
        at.field("locality").invalid(locality, "region, region/zone or region/zone/subzone");
    }
}

fn validate_probe(probe: &ReadinessProbe, at: &mut Scope<'_>) {
    let ReadinessProbe {
        initial_delay_seconds,
        timeout_seconds,
        period_seconds,
        success_threshold,
        failure_threshold,
        http_get,
        tcp_socket,
        exec,
        grpc,
    } = probe;
    for (name, number) in [
        ("initialDelaySeconds", initial_delay_seconds),
        ("timeoutSeconds", timeout_seconds),
        ("periodSeconds", period_seconds),
        ("successThreshold", success_threshold),
        ("failureThreshold", failure_threshold),
    ] {
        if let Some(number) = number {
            at.field(name).range(*number, 0, i64::from(i32::MAX));
        }
    }
    let ways = [http_get.is_some(), tcp_socket.is_some(), exec.is_some(), grpc.is_some()];
    if ways.into_iter().filter(|given| *given).count() > 1 {
        at.conflict("only one of httpGet, tcpSocket, exec and grpc can be given");
    }
    if let Some(HttpHealthCheckConfig { path: _, port, host: _, scheme, http_headers: _ }) = http_get {
        let mut at = at.field("httpGet");
        at.field("port").port(*port);
        if let Some(scheme) = scheme.as_deref().filter(|scheme| !matches!(*scheme, "" | "HTTP" | "HTTPS")) {
            at.field("scheme").invalid(scheme, "HTTP or HTTPS");
        }
    }
    if let Some(TcpHealthCheckConfig { host: _, port }) = tcp_socket {
        at.field("tcpSocket").field("port").port(*port);
    }
    if let Some(ExecHealthCheckConfig { command }) = exec
        && command.is_empty()
    {
        at.field("exec").field("command").missing("a command is needed");
    }
    if let Some(GrpcHealthCheckConfig { port: Some(port), service: _ }) = grpc {
        at.field("grpc").field("port").port(*port);
    }
}
