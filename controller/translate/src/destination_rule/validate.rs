//! What is checked about a DestinationRule (docs/semantics.md §4.10).

use std::collections::BTreeSet;

use crds::{
    ClientTlsMode, ClientTlsSettings, ConnectionPoolSettings, DestinationRule, LoadBalancerSettings, OutlierDetection,
    PortTrafficPolicy, ProxyProtocol, RetryBudget, Subset, TrafficPolicy, TunnelSettings,
};

use super::balancer;
use super::limits::{non_negative, validate_connection_pool, validate_outlier};
use crate::hosts;
use crate::report::Problem;
use crate::scope::Scope;

pub(crate) fn validate(spec: &DestinationRule, own: &str, at: &mut Scope<'_>) {
    let DestinationRule { host, traffic_policy, subsets, export_to, workload_selector } = spec;
    if host.is_empty() {
        at.field("host").missing("a DestinationRule needs a host");
    } else if let Err(problem) =
        hosts::check_wildcard_name(host).or_else(|problem| if hosts::is_ip(host) { Ok(()) } else { Err(problem) })
    {
        at.field("host").invalid(host, problem.expected());
    }
    if let Some(policy) = traffic_policy {
        validate_policy(policy, &mut at.field("trafficPolicy"));
    }
    let mut names = BTreeSet::new();
    for (index, subset) in subsets.iter().enumerate() {
        let Subset { name, labels, traffic_policy } = subset;
        let mut at = at.item("subsets", index);
        if !hosts::is_dns_label(name) {
            at.field("name").invalid(name, "a subset's name: letters, digits and -, 63 characters at most");
        } else if !names.insert(name) {
            at.field("name").report(Problem::Duplicate { value: name.clone() });
        }
        validate_labels(labels, &mut at.field("labels"));
        if let Some(policy) = traffic_policy {
            validate_policy(policy, &mut at.field("trafficPolicy"));
        }
    }
    crate::export::validate(export_to, own, false, at);
    if let Some(selector) = workload_selector {
        validate_labels(&selector.match_labels, &mut at.field("workloadSelector").field("matchLabels"));
        let own_only = export_to.iter().all(|entry| entry == "." || entry == own);
        if !own_only {
            at.field("exportTo").conflict("a rule with a workloadSelector can be exported to its own namespace only");
        }
    }
}

fn validate_labels(labels: &std::collections::BTreeMap<String, String>, at: &mut Scope<'_>) {
    for (key, value) in labels {
        if key.is_empty() || key.contains('*') {
            at.invalid(key, "the name of a label");
        }
        if value.contains('*') || value.len() > 63 {
            at.invalid(value, "the value of a label");
        }
    }
}

fn validate_policy(policy: &TrafficPolicy, at: &mut Scope<'_>) {
    let TrafficPolicy {
        load_balancer,
        connection_pool,
        outlier_detection,
        tls,
        port_level_settings,
        tunnel,
        proxy_protocol,
        retry_budget,
    } = policy;
    if *policy == TrafficPolicy::default() {
        at.missing("a traffic policy must have at least one field");
        return;
    }
    let blocks = Blocks { load_balancer, connection_pool, outlier_detection, tls };
    blocks.validate(at);
    for (index, entry) in port_level_settings.iter().enumerate() {
        validate_port(entry, &mut at.item("portLevelSettings", index));
    }
    if let Some(TunnelSettings { protocol, target_host, target_port }) = tunnel {
        let mut at = at.field("tunnel");
        if let Some(protocol) = protocol.as_deref().filter(|protocol| !matches!(*protocol, "" | "CONNECT" | "POST")) {
            at.field("protocol").invalid(protocol, "CONNECT or POST");
        }
        if target_host.is_empty() {
            at.field("targetHost").missing("a tunnel needs a target host");
        } else if hosts::check_name(target_host).is_err() && !hosts::is_ip(target_host) {
            at.field("targetHost").invalid(target_host, "a host name or an IP address");
        }
        at.field("targetPort").port(*target_port);
        at.not_supported("connections go to the destination directly");
    }
    if let Some(ProxyProtocol { version: _ }) = proxy_protocol {
        let mut at = at.field("proxyProtocol");
        if tunnel.is_some() {
            at.conflict("tunnel and proxyProtocol exclude each other");
        }
        at.not_supported("the client's address is not announced");
    }
    if let Some(RetryBudget { percent, min_retry_concurrency, budget_interval }) = retry_budget {
        let mut at = at.field("retryBudget");
        if let Some(percent) = percent.filter(|percent| !(0.0..=100.0).contains(percent)) {
            at.field("percent").invalid(&percent.to_string(), "a share from 0 to 100");
        }
        non_negative(*min_retry_concurrency, &mut at.field("minRetryConcurrency"));
        if let Some(text) = budget_interval {
            at.field("budgetInterval").duration(text);
        }
        at.not_supported("concurrent retries are not limited");
    }
}

/// The blocks that a policy and its entry for a port have in common.
struct Blocks<'a> {
    load_balancer: &'a Option<LoadBalancerSettings>,
    connection_pool: &'a Option<ConnectionPoolSettings>,
    outlier_detection: &'a Option<OutlierDetection>,
    tls: &'a Option<ClientTlsSettings>,
}

impl Blocks<'_> {
    fn validate(&self, at: &mut Scope<'_>) {
        let Self { load_balancer, connection_pool, outlier_detection, tls } = self;
        if let Some(settings) = load_balancer {
            balancer::validate(settings, outlier_detection.is_some(), &mut at.field("loadBalancer"));
        }
        if let Some(pool) = connection_pool {
            validate_connection_pool(pool, &mut at.field("connectionPool"));
        }
        if let Some(outlier) = outlier_detection {
            validate_outlier(outlier, &mut at.field("outlierDetection"));
        }
        if let Some(tls) = tls {
            validate_tls(tls, &mut at.field("tls"));
        }
    }
}

fn validate_port(entry: &PortTrafficPolicy, at: &mut Scope<'_>) {
    let PortTrafficPolicy { port, load_balancer, connection_pool, outlier_detection, tls } = entry;
    match port {
        Some(port) => at.field("port").field("number").port(port.number),
        None => at.field("port").missing("a port entry needs a port"),
    }
    if load_balancer.is_none() && connection_pool.is_none() && outlier_detection.is_none() && tls.is_none() {
        at.missing("a port entry must have at least one policy");
    }
    let blocks = Blocks { load_balancer, connection_pool, outlier_detection, tls };
    blocks.validate(at);
}

fn validate_tls(tls: &ClientTlsSettings, at: &mut Scope<'_>) {
    let ClientTlsSettings {
        mode,
        client_certificate,
        private_key,
        ca_certificates,
        credential_name,
        subject_alt_names,
        sni,
        insecure_skip_verify,
        ca_crl,
    } = tls;
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    if *insecure_skip_verify == Some(true) {
        let named = given(credential_name) && *mode == ClientTlsMode::Simple;
        if given(ca_certificates) || named || !subject_alt_names.is_empty() {
            at.field("insecureSkipVerify").conflict(
                "insecureSkipVerify accepts any certificate; caCertificates, credentialName and subjectAltNames cannot stand beside it",
            );
        }
    }
    if given(credential_name) && (given(client_certificate) || given(private_key) || given(ca_certificates)) {
        at.field("credentialName").conflict("credentialName and files exclude each other");
    }
    if given(credential_name) && given(ca_crl) {
        at.field("caCrl").conflict("caCrl cannot stand beside credentialName; put the list into the secret");
    }
    if *mode == ClientTlsMode::Mutual && !given(credential_name) {
        if !given(client_certificate) {
            at.field("clientCertificate").missing("MUTUAL needs a client certificate or a credentialName");
        }
        if !given(private_key) {
            at.field("privateKey").missing("MUTUAL needs a private key or a credentialName");
        }
    }
    if let Some(sni) = sni.as_deref().filter(|sni| !sni.is_empty())
        && hosts::check_name(sni).is_err()
    {
        at.field("sni").invalid(sni, "a host name");
    }
    if *mode != ClientTlsMode::Disable {
        at.field("mode").value_not_supported(mode, "requests get 503 rather than being sent in the clear");
    }
}
