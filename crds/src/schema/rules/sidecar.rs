//! Sidecar and ProxyConfig (docs/semantics.md §7, §8).

use serde_json::json;

use super::{Rule, counts, holds, needs, range, rule, unsigned};

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = vec![
        holds(
            "Sidecar",
            "",
            &[(
                "(has(self.ingress) && self.ingress.size() > 0) || (has(self.egress) && self.egress.size() > 0) || has(self.outboundTrafficPolicy) || has(self.inboundConnectionPool)",
                "at least one of ingress, egress, outboundTrafficPolicy and inboundConnectionPool is needed",
            )],
        ),
        rule("Sidecar", "ingress", json!({"maxItems": 1024})),
        needs("IstioIngressListener", &["port"]),
        needs("IstioEgressListener", &["hosts"]),
        rule("IstioEgressListener", "hosts", json!({"minItems": 1})),
        range("SidecarPort", "number", 0, 65535),
        holds(
            "SidecarOutboundTrafficPolicy",
            "",
            &[(
                "!has(self.egressProxy) || (has(self.mode) && self.mode == 'ALLOW_ANY')",
                "egressProxy needs mode ALLOW_ANY",
            )],
        ),
        rule("ProxyConfig", "environmentVariables{}", json!({"maxLength": 2048})),
    ];
    rules.extend(counts("ProxyConfig", &["concurrency"]));
    rules.extend(unsigned("SidecarPort", &["targetPort"]));
    rules
}
