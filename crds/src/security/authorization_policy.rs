//! AuthorizationPolicy: which requests are let in (docs/semantics.md §13).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::enumeration::enumeration;
use crate::common::selector::PolicySelector;
use crate::common::target::PolicyTargetReference;

/// Which requests are let in. Without rules nothing matches, so an ALLOW policy without rules lets nothing in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthorizationPolicy {
    /// Workloads of the namespace it applies to; without it and targets, all of them.
    pub selector: Option<PolicySelector>,
    /// The object it is attached to, in place of `selector`; `targetRefs` takes several.
    pub target_ref: Option<PolicyTargetReference>,
    /// The objects it is attached to, in place of `selector`: a Gateway, GatewayClass, Service or ServiceEntry.
    pub target_refs: Vec<PolicyTargetReference>,
    /// It matches when any of these does.
    pub rules: Vec<Rule>,
    /// What happens to requests that match.
    pub action: AuthorizationAction,
    /// Who is asked, with action CUSTOM: one of the mesh's extension providers.
    pub provider: Option<ExtensionProvider>,
}

/// Matches when a source, an operation and every condition does; what is not given matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Who asks: any of these; anybody without it.
    pub from: Vec<RuleFrom>,
    /// For what: any of these; anything without it.
    pub to: Vec<RuleTo>,
    /// Under which further conditions: all of these.
    pub when: Vec<Condition>,
}

/// One way to match who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleFrom {
    /// Who asks: every given field must match.
    pub source: Option<Source>,
}

/// One way to match what is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleTo {
    /// What is asked for: every given field must match.
    pub operation: Option<Operation>,
}

/// Who asks: every given field must match, each by one of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// Identities from client certificates: `trust-domain/ns/NAMESPACE/sa/NAME`.
    pub principals: Vec<String>,
    /// Identities from client certificates it must not have.
    pub not_principals: Vec<String>,
    /// Identities from tokens: `issuer/subject`.
    pub request_principals: Vec<String>,
    /// Identities from tokens it must not have.
    pub not_request_principals: Vec<String>,
    /// Namespaces from client certificates.
    pub namespaces: Vec<String>,
    /// Namespaces from client certificates it must not be in.
    pub not_namespaces: Vec<String>,
    /// Addresses or networks of the connection's other end, such as `10.0.0.0/8`.
    pub ip_blocks: Vec<String>,
    /// Addresses the connection's other end must not have.
    pub not_ip_blocks: Vec<String>,
    /// Addresses or networks of the client, as trusted proxies in front report it.
    pub remote_ip_blocks: Vec<String>,
    /// Addresses the client must not have.
    pub not_remote_ip_blocks: Vec<String>,
    /// Service accounts from client certificates: `NAMESPACE/NAME` or `NAME`.
    pub service_accounts: Vec<String>,
    /// Service accounts it must not have.
    pub not_service_accounts: Vec<String>,
    /// Trust domains from client certificates.
    pub trust_domains: Vec<String>,
    /// Trust domains from client certificates it must not be in.
    pub not_trust_domains: Vec<String>,
}

/// What is asked for: every given field must match, each by one of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Operation {
    /// Hosts, with the port if the client sends one; `*.example.com` and `example.*` match parts.
    pub hosts: Vec<String>,
    /// Hosts it must not be for.
    pub not_hosts: Vec<String>,
    /// Ports the request came in on, in quotes.
    pub ports: Vec<String>,
    /// Ports the request must not have come in on.
    pub not_ports: Vec<String>,
    /// Methods, such as GET; gRPC is always POST.
    pub methods: Vec<String>,
    /// Methods it must not have.
    pub not_methods: Vec<String>,
    /// Paths, without query: `/a`, `/a*`, `*/a`, or with `{*}` and `{**}` for segments.
    pub paths: Vec<String>,
    /// Paths it must not be for.
    pub not_paths: Vec<String>,
}

/// A further condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Condition {
    /// What is looked at, such as `request.headers[x-tenant]`.
    pub key: String,
    /// Values of which one must match; `a*`, `*a` and `*` match parts.
    pub values: Vec<String>,
    /// Values of which none may match; `a*`, `*a` and `*` match parts.
    pub not_values: Vec<String>,
}

/// Who decides in place of this policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtensionProvider {
    /// Its name among MeshConfig's `extensionProviders`.
    pub name: Option<String>,
}

enumeration! {
    /// What happens to requests that match.
    AuthorizationAction {
        /// They are let in; where a workload has ALLOW policies, others are not.
        Allow = ("ALLOW", 0),
        /// They are refused, whatever else matches.
        Deny = ("DENY", 1),
        /// They are marked for the audit.
        Audit = ("AUDIT", 2),
        /// A provider decides.
        Custom = ("CUSTOM", 3),
    }
}
