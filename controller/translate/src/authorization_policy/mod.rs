//! AuthorizationPolicy: what is checked about it (docs/semantics.md §13). Nothing enforces it yet.

mod condition;
mod path;

use crds::{AuthorizationAction, AuthorizationPolicy, ExtensionProvider, Operation, Rule, RuleFrom, RuleTo, Source};

use crate::attachment;
use crate::hosts;
use crate::scope::Scope;

/// Most service accounts of one source.
const MOST_ACCOUNTS: usize = 16;

pub(crate) fn validate(spec: &AuthorizationPolicy, at: &mut Scope<'_>) {
    let AuthorizationPolicy { selector, target_ref, target_refs, rules, action, provider } = spec;
    attachment::validate(selector.as_ref(), target_ref.as_ref(), target_refs, at);
    if rules.is_empty() && matches!(action, AuthorizationAction::Deny | AuthorizationAction::Custom) {
        at.field("rules").missing(
            "without rules nothing matches, so a policy with action DENY or CUSTOM does nothing; [{}] matches everything",
        );
    }
    validate_provider(*action, provider.as_ref(), at);
    for (index, rule) in rules.iter().enumerate() {
        validate_rule(rule, *action, &mut at.item("rules", index));
    }
}

/// Checks the annotation that lets a policy only be tried out.
pub(crate) fn validate_dry_run(value: &str, at: &mut Scope<'_>) {
    // What Go's ParseBool takes, with which Istio reads it.
    if !matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True" | "0" | "f" | "F" | "false" | "FALSE" | "False") {
        at.invalid(value, "true or false");
    }
}

fn validate_provider(action: AuthorizationAction, provider: Option<&ExtensionProvider>, at: &mut Scope<'_>) {
    let custom = action == AuthorizationAction::Custom;
    match provider {
        None if custom => at.field("provider").missing("action CUSTOM needs a provider"),
        None => {}
        Some(_) if !custom => at.field("provider").conflict("only action CUSTOM can have a provider"),
        Some(ExtensionProvider { name }) => match name.as_deref() {
            None | Some("") => at.field("provider").field("name").missing("a provider needs a name"),
            Some(name) if !hosts::is_dns_label(name) => {
                at.field("provider").field("name").invalid(name, "a provider's name: letters, digits and -");
            }
            Some(_) => {}
        },
    }
}

fn validate_rule(rule: &Rule, action: AuthorizationAction, at: &mut Scope<'_>) {
    let Rule { from, to, when } = rule;
    for (index, RuleFrom { source }) in from.iter().enumerate() {
        let mut at = at.item("from", index).into_field("source");
        match source {
            None => at.missing("from needs a source"),
            Some(source) if *source == Source::default() => at.missing("a source needs at least one field"),
            Some(source) => validate_source(source, action, &mut at),
        }
    }
    for (index, RuleTo { operation }) in to.iter().enumerate() {
        let mut at = at.item("to", index).into_field("operation");
        match operation {
            None => at.missing("to needs an operation"),
            Some(operation) if *operation == Operation::default() => {
                at.missing("an operation needs at least one field")
            }
            Some(operation) => validate_operation(operation, &mut at),
        }
    }
    for (index, entry) in when.iter().enumerate() {
        condition::validate(entry, action, &mut at.item("when", index));
    }
    if action == AuthorizationAction::Deny && denies_all_tcp(rule) {
        at.no_effect(
            "fields of HTTP on connections that are not HTTP: the rule denies all of those; name ports to spare them",
        );
    }
}

fn validate_source(source: &Source, action: AuthorizationAction, at: &mut Scope<'_>) {
    let Source {
        principals,
        not_principals,
        request_principals,
        not_request_principals,
        namespaces,
        not_namespaces,
        ip_blocks,
        not_ip_blocks,
        remote_ip_blocks,
        not_remote_ip_blocks,
        service_accounts,
        not_service_accounts,
        trust_domains,
        not_trust_domains,
    } = source;
    let identities = [
        ("principals", principals),
        ("notPrincipals", not_principals),
        ("requestPrincipals", request_principals),
        ("notRequestPrincipals", not_request_principals),
        ("namespaces", namespaces),
        ("notNamespaces", not_namespaces),
        ("serviceAccounts", service_accounts),
        ("notServiceAccounts", not_service_accounts),
        ("trustDomains", trust_domains),
        ("notTrustDomains", not_trust_domains),
    ];
    for (name, values) in identities {
        filled(values, name, at);
        if action == AuthorizationAction::Custom && !values.is_empty() {
            at.field(name)
                .conflict("action CUSTOM decides before anybody's identity is known; this cannot be used in it");
        }
    }
    let blocks = [
        ("ipBlocks", ip_blocks),
        ("notIpBlocks", not_ip_blocks),
        ("remoteIpBlocks", remote_ip_blocks),
        ("notRemoteIpBlocks", not_remote_ip_blocks),
    ];
    for (name, values) in blocks {
        for (index, value) in values.iter().enumerate() {
            network(value, &mut at.item(name, index));
        }
    }
    for (name, accounts) in [("serviceAccounts", service_accounts), ("notServiceAccounts", not_service_accounts)] {
        if accounts.len() > MOST_ACCOUNTS {
            at.field(name).conflict("at most 16 service accounts can be named");
        }
        for (index, account) in accounts.iter().enumerate() {
            let parts: Vec<&str> = account.split('/').collect();
            if account.contains('*')
                || parts.len() > 2
                || parts.iter().any(|part| part.is_empty()) && !account.is_empty()
            {
                at.item(name, index).invalid(account, "a service account: NAMESPACE/NAME or NAME, without wildcards");
            }
        }
    }
    let named = !service_accounts.is_empty() || !not_service_accounts.is_empty();
    let otherwise = [principals, not_principals, namespaces, not_namespaces].into_iter().any(|list| !list.is_empty());
    if named && otherwise {
        at.field("serviceAccounts").conflict("serviceAccounts cannot be combined with principals or namespaces");
    }
}

fn validate_operation(operation: &Operation, at: &mut Scope<'_>) {
    let Operation { hosts, not_hosts, ports, not_ports, methods, not_methods, paths, not_paths } = operation;
    for (name, values) in [
        ("hosts", hosts),
        ("notHosts", not_hosts),
        ("methods", methods),
        ("notMethods", not_methods),
        ("paths", paths),
        ("notPaths", not_paths),
    ] {
        filled(values, name, at);
    }
    for (name, values) in [("ports", ports), ("notPorts", not_ports)] {
        for (index, value) in values.iter().enumerate() {
            port(value, &mut at.item(name, index));
        }
    }
    for (name, values) in [("paths", paths), ("notPaths", not_paths)] {
        for (index, value) in values.iter().enumerate() {
            path::validate(value, &mut at.item(name, index));
        }
    }
}

/// Reports empty texts, which match nothing.
fn filled(values: &[String], name: &str, at: &mut Scope<'_>) {
    for (index, _) in values.iter().enumerate().filter(|(_, value)| value.is_empty()) {
        at.item(name, index).missing("a value cannot be empty");
    }
}

fn network(value: &str, at: &mut Scope<'_>) {
    if value.parse::<ipnet::IpNet>().is_err() && !hosts::is_ip(value) {
        at.invalid(value, "an IP address or a network such as 10.0.0.0/8");
    }
}

fn port(value: &str, at: &mut Scope<'_>) {
    if value.parse::<u16>().is_err() {
        at.invalid(value, "a port from 0 to 65535");
    }
}

/// Whether what is left of a DENY rule on a connection that is not HTTP holds for every one (docs/semantics.md §13.8).
fn denies_all_tcp(rule: &Rule) -> bool {
    let http_only = |source: &Source| {
        !(source.request_principals.is_empty() && source.not_request_principals.is_empty())
            && *source
                == Source {
                    request_principals: source.request_principals.clone(),
                    not_request_principals: source.not_request_principals.clone(),
                    ..Source::default()
                }
    };
    let from = rule.from.iter().all(|from| from.source.as_ref().is_some_and(http_only));
    let to = rule.to.iter().all(|to| {
        to.operation.as_ref().is_some_and(|operation| operation.ports.is_empty() && operation.not_ports.is_empty())
    });
    let when = rule.when.iter().all(|entry| condition::is_http_only(&entry.key));
    let any = !(rule.from.is_empty() && rule.to.is_empty() && rule.when.is_empty());
    any && from && to && when
}
