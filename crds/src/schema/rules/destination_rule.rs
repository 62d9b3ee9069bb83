//! DestinationRule (docs/semantics.md §4.10), and its blocks wherever else they stand.

use serde_json::json;

use super::common::export_to;
use super::{Rule, counts, durations, durations_or_none, filled, holds, needs, percent, port, range, rule, unsigned};

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = top();
    rules.extend(balancer());
    rules.extend(limits());
    rules.extend(tls());
    rules.extend(export_to("DestinationRule", false));
    rules
}

fn top() -> Vec<Rule> {
    let mut rules = vec![
        needs("DestinationRule", &["host"]),
        rule("DestinationRule", "host", json!({"maxLength": 255})),
        rule(
            "DestinationRule",
            "subsets",
            json!({"maxItems": 1024, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}),
        ),
        needs("Subset", &["name"]),
        rule("Subset", "name", json!({"maxLength": 63, "pattern": "^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"})),
        rule("TrafficPolicy", "", json!({"minProperties": 1})),
        rule("TrafficPolicy", "portLevelSettings", json!({"maxItems": 256})),
        holds(
            "TrafficPolicy",
            "",
            &[("!(has(self.tunnel) && has(self.proxyProtocol))", "tunnel and proxyProtocol exclude each other")],
        ),
        needs("PortTrafficPolicy", &["port"]),
        // The port and something for it.
        rule("PortTrafficPolicy", "", json!({"minProperties": 2})),
        needs("TunnelSettings", &["targetHost", "targetPort"]),
        rule("TunnelSettings", "protocol", json!({"enum": ["", "CONNECT", "POST"]})),
        port("TunnelSettings", "targetPort"),
        percent("RetryBudget", "percent"),
    ];
    rules.extend(filled("DestinationRule", &["host"]));
    rules.extend(filled("Subset", &["name"]));
    rules.extend(filled("TunnelSettings", &["targetHost"]));
    rules.extend(unsigned("RetryBudget", &["minRetryConcurrency"]));
    rules.extend(durations_or_none("RetryBudget", &["budgetInterval"]));
    rules
}

fn balancer() -> Vec<Rule> {
    let mut rules = vec![
        holds(
            "LoadBalancerSettings",
            "",
            &[
                ("!(has(self.simple) && has(self.consistentHash))", "simple and consistentHash exclude each other"),
                (
                    "!(has(self.localityLbSetting) && has(self.zoneAwareLbSetting))",
                    "localityLbSetting and zoneAwareLbSetting exclude each other",
                ),
            ],
        ),
        holds(
            "ConsistentHashLb",
            "",
            &[
                (
                    "(has(self.httpHeaderName) ? 1 : 0) + (has(self.httpCookie) ? 1 : 0) + (has(self.useSourceIp) ? 1 : 0) + (has(self.httpQueryParameterName) ? 1 : 0) <= 1",
                    "only one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName can be hashed",
                ),
                ("!(has(self.ringHash) && has(self.maglev))", "ringHash and maglev exclude each other"),
            ],
        ),
        needs("MagLev", &["tableSize"]),
        rule("MagLev", "tableSize", json!({"minimum": 2, "maximum": 5_000_011})),
        needs("HttpCookie", &["name"]),
        needs("CookieAttribute", &["name"]),
        needs("WarmupConfiguration", &["duration"]),
        percent("WarmupConfiguration", "minimumPercent"),
        rule("WarmupConfiguration", "aggression", json!({"minimum": 0.0})),
        holds(
            "LocalityLoadBalancerSetting",
            "",
            &[("!(has(self.distribute) && has(self.failover))", "distribute and failover exclude each other")],
        ),
        range("LocalityDistribute", "to{}", 1, 100),
        range("ZoneAwareLoadBalancerSetting", "minClusterSize", 1, i64::from(u32::MAX)),
    ];
    rules.extend(filled("HttpCookie", &["name"]));
    rules.extend(filled("CookieAttribute", &["name"]));
    rules.extend(durations_or_none("HttpCookie", &["ttl"]));
    rules.extend(durations("WarmupConfiguration", &["duration"]));
    rules.extend(durations("LoadBalancerSettings", &["warmupDurationSecs"]));
    rules
}

fn limits() -> Vec<Rule> {
    let mut rules = vec![
        rule("ConnectionPoolSettings", "", json!({"minProperties": 1})),
        holds(
            "HttpSettings",
            "",
            &[(
                "!(has(self.useClientProtocol) && self.useClientProtocol && has(self.h2UpgradePolicy) && self.h2UpgradePolicy == 'UPGRADE')",
                "useClientProtocol keeps the client's version of HTTP; h2UpgradePolicy UPGRADE cannot stand beside it",
            )],
        ),
        needs("ConnectionKeepalive", &["interval", "timeout"]),
        holds(
            "OutlierDetection",
            "",
            &[(
                "!has(self.consecutiveLocalOriginFailures) || (has(self.splitExternalLocalOriginErrors) && self.splitExternalLocalOriginErrors)",
                "consecutiveLocalOriginFailures needs splitExternalLocalOriginErrors: true",
            )],
        ),
        range("OutlierDetection", "maxEjectionPercent", 0, 100),
        range("OutlierDetection", "minHealthPercent", 0, 100),
        range("OutlierDetection", "outlierDetectionHttpErrorCodes[]", 100, 599),
    ];
    rules.extend(counts("TcpSettings", &["maxConnections"]));
    rules.extend(unsigned("TcpKeepalive", &["probes"]));
    rules.extend(counts(
        "HttpSettings",
        &[
            "http1MaxPendingRequests",
            "http2MaxRequests",
            "maxRequestsPerConnection",
            "maxRetries",
            "maxConcurrentStreams",
        ],
    ));
    rules.extend(unsigned(
        "OutlierDetection",
        &["consecutive5xxErrors", "consecutiveGatewayErrors", "consecutiveLocalOriginFailures"],
    ));
    rules.extend(counts("OutlierDetection", &["consecutiveErrors"]));
    rules.extend(durations("TcpSettings", &["connectTimeout", "maxConnectionDuration"]));
    rules.extend(durations("TcpKeepalive", &["time", "interval"]));
    rules.extend(durations_or_none("TcpSettings", &["idleTimeout"]));
    rules.extend(durations_or_none("HttpSettings", &["idleTimeout"]));
    rules.extend(durations("ConnectionKeepalive", &["interval", "timeout"]));
    rules.extend(durations("OutlierDetection", &["interval", "baseEjectionTime"]));
    rules
}

fn tls() -> Vec<Rule> {
    vec![holds(
        "ClientTlsSettings",
        "",
        &[
            (
                "!has(self.mode) || self.mode != 'MUTUAL' || has(self.credentialName) || (has(self.clientCertificate) && has(self.privateKey))",
                "MUTUAL needs a client certificate: credentialName, or clientCertificate with privateKey",
            ),
            (
                "!has(self.credentialName) || !(has(self.clientCertificate) || has(self.privateKey) || has(self.caCertificates) || has(self.caCrl))",
                "credentialName and files exclude each other",
            ),
            (
                "!has(self.insecureSkipVerify) || !self.insecureSkipVerify || !(has(self.caCertificates) || has(self.subjectAltNames))",
                "insecureSkipVerify accepts any certificate; caCertificates and subjectAltNames cannot stand beside it",
            ),
        ],
    )]
}
