//! ServiceEntry, WorkloadEntry and WorkloadGroup (docs/semantics.md §5, §6).

use serde_json::json;

use super::common::export_to;
use super::{Rule, counts, filled, holds, needs, port, range, rule, unsigned};

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = service_entry();
    rules.extend(workload_entry());
    rules.extend(workload_group());
    rules.extend(export_to("ServiceEntry", true));
    rules
}

fn service_entry() -> Vec<Rule> {
    let mut rules = vec![
        needs("ServiceEntry", &["hosts"]),
        rule("ServiceEntry", "hosts", json!({"minItems": 1, "maxItems": 256})),
        rule("ServiceEntry", "hosts[]", json!({"maxLength": 255})),
        holds(
            "ServiceEntry",
            "hosts[]",
            &[("self != '*'", "a ServiceEntry cannot stand for every host; name a domain, as in *.example.com")],
        ),
        rule("ServiceEntry", "addresses", json!({"maxItems": 256})),
        rule("ServiceEntry", "addresses[]", json!({"maxLength": 64})),
        rule(
            "ServiceEntry",
            "ports",
            json!({"maxItems": 256, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}),
        ),
        holds(
            "ServiceEntry",
            "ports",
            &[("self.all(one, self.exists_one(other, other.number == one.number))", "a port number is given twice")],
        ),
        rule("ServiceEntry", "endpoints", json!({"maxItems": 4096})),
        holds("ServiceEntry", "endpoints[]", &[ADDRESS]),
        holds(
            "ServiceEntry",
            "",
            &[
                (
                    "!(has(self.workloadSelector) && has(self.endpoints))",
                    "workloadSelector and endpoints exclude each other",
                ),
                (
                    "!has(self.addresses) || !has(self.resolution) || self.resolution in ['NONE', 'STATIC'] || !self.addresses.exists(address, address.contains('/'))",
                    "a network among the addresses is allowed only with resolution NONE or STATIC",
                ),
                (
                    "(has(self.resolution) && self.resolution != 'NONE') || !has(self.endpoints) || self.endpoints.size() == 0",
                    "resolution NONE cannot have endpoints; use STATIC or DNS",
                ),
                (
                    "!has(self.resolution) || self.resolution != 'DNS_ROUND_ROBIN' || !has(self.endpoints) || self.endpoints.size() <= 1",
                    "resolution DNS_ROUND_ROBIN allows one endpoint at most",
                ),
                (
                    "!has(self.resolution) || !(self.resolution in ['DNS', 'DNS_ROUND_ROBIN']) || has(self.workloadSelector) || (has(self.endpoints) && self.endpoints.size() > 0) || !self.hosts.exists(host, host.startsWith('*'))",
                    "resolution DNS without endpoints looks the hosts up, which needs full names",
                ),
                (
                    "!has(self.resolution) || self.resolution != 'DYNAMIC_DNS' || (!has(self.addresses) && !has(self.endpoints))",
                    "resolution DYNAMIC_DNS allows neither addresses nor endpoints",
                ),
                (
                    "!has(self.resolution) || self.resolution != 'DYNAMIC_DNS' || self.hosts.all(host, host.startsWith('*.'))",
                    "resolution DYNAMIC_DNS needs wildcard hosts, as in *.example.com",
                ),
            ],
        ),
        needs("ServicePort", &["number", "name"]),
        port("ServicePort", "number"),
        range("ServicePort", "targetPort", 0, 65535),
        rule("ServicePort", "name", json!({"maxLength": 63, "pattern": "^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"})),
        rule("ServicePort", "protocol", json!({"maxLength": 256})),
    ];
    rules.extend(filled("ServicePort", &["name"]));
    rules
}

/// Not of a template, whose address is each workload's own.
const ADDRESS: (&str, &str) = ("has(self.address) || has(self.network)", "an address is needed");

fn workload_entry() -> Vec<Rule> {
    let mut rules = vec![
        rule("WorkloadEntry", "address", json!({"maxLength": 256})),
        holds(
            "WorkloadEntry",
            "address",
            &[
                (
                    "!self.startsWith('unix://') || self.startsWith('unix:///') || self.startsWith('unix://@')",
                    "a unix socket is written unix:// with an absolute path or @name",
                ),
                ("!self.startsWith('unix://') || !self.endsWith('/')", "a unix socket cannot be a directory"),
            ],
        ),
        holds("kind WorkloadEntry", "", &[ADDRESS]),
        rule("WorkloadEntry", "ports", json!({"maxProperties": 128})),
        port("WorkloadEntry", "ports{}"),
        holds(
            "WorkloadEntry",
            "ports",
            &[(
                "self.all(name, name.size() < 63 && name.matches('^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$'))",
                "names of ports consist of letters, digits and -",
            )],
        ),
        rule("WorkloadEntry", "labels", json!({"maxProperties": 256})),
        rule("WorkloadEntry", "network", json!({"maxLength": 2048})),
        rule("WorkloadEntry", "locality", json!({"maxLength": 2048})),
        rule("WorkloadEntry", "serviceAccount", json!({"maxLength": 253})),
        holds(
            "WorkloadEntry",
            "",
            &[(
                "!has(self.address) || !self.address.startsWith('unix://') || !has(self.ports)",
                "a unix socket has no ports",
            )],
        ),
    ];
    rules.extend(unsigned("WorkloadEntry", &["weight"]));
    rules
}

fn workload_group() -> Vec<Rule> {
    let mut rules = vec![
        needs("WorkloadGroup", &["template"]),
        rule("WorkloadGroupMeta", "labels", json!({"maxProperties": 256})),
        rule("WorkloadGroupMeta", "annotations", json!({"maxProperties": 256})),
        holds(
            "ReadinessProbe",
            "",
            &[(
                "(has(self.httpGet) ? 1 : 0) + (has(self.tcpSocket) ? 1 : 0) + (has(self.exec) ? 1 : 0) + (has(self.grpc) ? 1 : 0) <= 1",
                "only one of httpGet, tcpSocket, exec and grpc can be given",
            )],
        ),
        needs("HttpHealthCheckConfig", &["port"]),
        port("HttpHealthCheckConfig", "port"),
        rule("HttpHealthCheckConfig", "scheme", json!({"enum": ["", "HTTP", "HTTPS"]})),
        rule("HttpHealthCheckConfig", "httpHeaders[].name", json!({"pattern": "^[-_A-Za-z0-9]+$"})),
        needs("TcpHealthCheckConfig", &["port"]),
        port("TcpHealthCheckConfig", "port"),
        needs("ExecHealthCheckConfig", &["command"]),
        rule("ExecHealthCheckConfig", "command[]", json!({"minLength": 1})),
        port("GrpcHealthCheckConfig", "port"),
    ];
    rules.extend(counts(
        "ReadinessProbe",
        &["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"],
    ));
    rules
}
