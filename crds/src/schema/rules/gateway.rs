//! Gateway (docs/semantics.md §2.2, §2.7).

use serde_json::json;

use super::{Rule, filled, holds, needs, range, rule, unsigned};

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = vec![
        needs("Gateway", &["servers"]),
        rule("Gateway", "servers", json!({"minItems": 1, "maxItems": 4096})),
        rule("Gateway", "selector", json!({"maxProperties": 4096})),
        rule("Gateway", "selector{}", json!({"maxLength": 63})),
        holds(
            "Gateway",
            "selector",
            &[(
                "self.all(key, key.size() != 0 && !key.contains('*') && !self[key].contains('*'))",
                "labels are compared as they are: names cannot be empty, and * is not allowed",
            )],
        ),
        needs("Server", &["hosts", "port"]),
        rule("Server", "hosts", json!({"minItems": 1})),
        rule("Server", "bind", json!({"maxLength": 1024})),
        holds(
            "Server",
            "",
            &[
                (
                    "!(self.port.protocol.upperAscii() in ['HTTPS', 'TLS']) || has(self.tls)",
                    "a server with protocol HTTPS or TLS needs tls settings",
                ),
                (
                    "!has(self.tls) || self.port.protocol.upperAscii() in ['HTTPS', 'TLS', 'HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB', 'HTTP_PROXY']",
                    "a server can have tls settings only with protocol HTTPS, TLS or HTTP",
                ),
                (
                    "(has(self.bind) && self.bind.startsWith('unix://')) == (self.port.number == 0)",
                    "port.number must be 1 to 65535; only with bind unix:// it must be 0",
                ),
            ],
        ),
        needs("Port", &["number", "protocol", "name"]),
        range("Port", "number", 0, 65535),
        rule("Port", "protocol", json!({"maxLength": 16})),
        holds(
            "Port",
            "protocol",
            &[(
                "self.upperAscii() in ['HTTP', 'HTTPS', 'GRPC', 'GRPC-WEB', 'HTTP2', 'MONGO', 'TCP', 'TLS', 'REDIS', 'MYSQL', 'UDP', 'HTTP_PROXY']",
                "must be one of HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, TCP, TLS",
            )],
        ),
        holds(
            "Port",
            "targetPort",
            &[("self == 0", "targetPort cannot be set in a Gateway; the Service in front decides")],
        ),
        rule("ServerTlsSettings", "credentialNames", json!({"minItems": 1, "maxItems": 2})),
        rule("ServerTlsSettings", "tlsCertificates", json!({"minItems": 1, "maxItems": 2})),
        holds(
            "ServerTlsSettings",
            "",
            &[
                (
                    "(has(self.credentialName) ? 1 : 0) + (has(self.credentialNames) ? 1 : 0) + (has(self.tlsCertificates) ? 1 : 0) <= 1",
                    "only one of credentialName, credentialNames and tlsCertificates can be given",
                ),
                (
                    "!has(self.mode) || !(self.mode in ['SIMPLE', 'MUTUAL', 'OPTIONAL_MUTUAL']) || has(self.credentialName) || has(self.credentialNames) || has(self.tlsCertificates) || (has(self.serverCertificate) && has(self.privateKey))",
                    "with this mode TLS ends here, which needs a certificate: credentialName, credentialNames, tlsCertificates, or serverCertificate with privateKey",
                ),
                (
                    "!has(self.mode) || self.mode != 'ISTIO_MUTUAL' || !(has(self.credentialName) || has(self.credentialNames) || has(self.tlsCertificates) || has(self.serverCertificate) || has(self.privateKey) || has(self.caCertificates))",
                    "ISTIO_MUTUAL uses the certificates of the mesh; none can be given",
                ),
            ],
        ),
    ];
    rules.extend(filled("Port", &["name"]));
    rules.extend(unsigned("Port", &["targetPort"]));
    rules
}
