//! VirtualService: where requests for a host go (docs/semantics.md §3).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::enumeration::enumeration;
use crate::common::string_match::StringMatch;

/// Routes for one or more hosts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct VirtualService {
    /// Hosts the routes are for: full names, short names, wildcards or addresses. Empty in a delegate.
    pub hosts: Vec<String>,
    /// Gateways that apply the routes, `mesh` for sidecars; without it, `mesh` only.
    pub gateways: Vec<String>,
    /// Rules for HTTP traffic; the first that matches is used.
    pub http: Vec<HttpRoute>,
    /// Rules for TLS traffic that is not terminated.
    pub tls: Vec<TlsRoute>,
    /// Rules for other TCP traffic.
    pub tcp: Vec<TcpRoute>,
    /// Namespaces this is visible in: `.`, `*` or names.
    pub export_to: Vec<String>,
}

/// A named place traffic can go to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Destination {
    /// A service of the registry.
    pub host: String,
    /// A subset declared by a DestinationRule.
    pub subset: Option<String>,
    /// Which of the service's ports; needed when it has several.
    pub port: Option<PortSelector>,
}

/// A port by its number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct PortSelector {
    /// The port's number.
    pub number: i64,
}

/// A share in percent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Percent {
    /// 0 to 100.
    pub value: f64,
}

/// One rule for HTTP: conditions, one action, and what else happens on the way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRoute {
    /// A name for logs.
    pub name: Option<String>,
    /// The rule applies when any of these match, or always when there are none.
    #[serde(rename = "match")]
    pub matches: Vec<HttpMatchRequest>,
    /// Forward to these destinations by weight.
    pub route: Vec<HttpRouteDestination>,
    /// Answer with a redirect.
    pub redirect: Option<HttpRedirect>,
    /// Answer with a fixed response.
    pub direct_response: Option<HttpDirectResponse>,
    /// Let another VirtualService decide.
    pub delegate: Option<Delegate>,
    /// Change path or authority before forwarding.
    pub rewrite: Option<HttpRewrite>,
    /// Limit on the whole exchange.
    pub timeout: Option<String>,
    /// When and how often to try again.
    pub retries: Option<HttpRetry>,
    /// Failures to inject.
    pub fault: Option<HttpFaultInjection>,
    /// Where to send a copy of the request.
    pub mirror: Option<Destination>,
    /// Where to send copies of the request.
    pub mirrors: Vec<HttpMirrorPolicy>,
    /// Deprecated form of `mirrorPercentage`.
    #[serde(alias = "mirror_percent")]
    pub mirror_percent: Option<i64>,
    /// The share of requests copied to `mirror`.
    pub mirror_percentage: Option<Percent>,
    /// Cross-origin rules.
    pub cors_policy: Option<CorsPolicy>,
    /// Header changes for all destinations.
    pub headers: Option<Headers>,
}

/// Names the VirtualService that decides instead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Delegate {
    /// Its name.
    pub name: Option<String>,
    /// Its namespace; without it, the same as this one's.
    pub namespace: Option<String>,
}

/// Header changes in both directions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Headers {
    /// On the way to the destination.
    pub request: Option<HeaderOperations>,
    /// On the way back.
    pub response: Option<HeaderOperations>,
}

/// Header changes in one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderOperations {
    /// Replace or create.
    pub set: BTreeMap<String, String>,
    /// Append a further value.
    pub add: BTreeMap<String, String>,
    /// Take away.
    pub remove: Vec<String>,
}

/// Conditions on a request, all of which must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpMatchRequest {
    /// A name for logs.
    pub name: Option<String>,
    /// The path, without query.
    pub uri: Option<StringMatch>,
    /// `http` or `https`.
    pub scheme: Option<StringMatch>,
    /// The method.
    pub method: Option<StringMatch>,
    /// The authority, port included.
    pub authority: Option<StringMatch>,
    /// Headers that must match.
    pub headers: BTreeMap<String, StringMatch>,
    /// The port the request came in on.
    pub port: Option<i64>,
    /// Labels of the client's workload.
    pub source_labels: BTreeMap<String, String>,
    /// Gateways this entry is for, instead of the VirtualService's.
    pub gateways: Vec<String>,
    /// Query parameters that must match.
    pub query_params: BTreeMap<String, StringMatch>,
    /// Compare `exact` and `prefix` of `uri` without regard to case.
    pub ignore_uri_case: bool,
    /// Headers that must not match.
    pub without_headers: BTreeMap<String, StringMatch>,
    /// Namespace of the client's workload.
    pub source_namespace: Option<String>,
    /// Prefix of this route's statistics.
    pub stat_prefix: Option<String>,
}

/// A destination with its share of an HTTP rule's traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRouteDestination {
    /// Where to.
    pub destination: Option<Destination>,
    /// The share, relative to the sum of all.
    pub weight: i64,
    /// Header changes for this destination only.
    pub headers: Option<Headers>,
}

/// A destination with its share of a TLS or TCP rule's traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteDestination {
    /// Where to.
    pub destination: Option<Destination>,
    /// The share, relative to the sum of all.
    pub weight: i64,
}

/// A rule for TLS connections, by SNI.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsRoute {
    /// The rule applies when any of these match.
    #[serde(rename = "match")]
    pub matches: Vec<TlsMatchAttributes>,
    /// Forward to these destinations by weight.
    pub route: Vec<RouteDestination>,
}

/// A rule for TCP connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpRoute {
    /// The rule applies when any of these match, or always when there are none.
    #[serde(rename = "match")]
    pub matches: Vec<L4MatchAttributes>,
    /// Forward to these destinations by weight.
    pub route: Vec<RouteDestination>,
}

/// Conditions on a TCP connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct L4MatchAttributes {
    /// Networks the destination address lies in.
    pub destination_subnets: Vec<String>,
    /// The port the connection came in on.
    pub port: Option<i64>,
    /// Network the client's address lies in. Not implemented by Istio.
    pub source_subnet: Option<String>,
    /// Labels of the client's workload.
    pub source_labels: BTreeMap<String, String>,
    /// Gateways this entry is for, instead of the VirtualService's.
    pub gateways: Vec<String>,
    /// Namespace of the client's workload.
    pub source_namespace: Option<String>,
}

/// Conditions on a TLS connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsMatchAttributes {
    /// Server names the client may ask for.
    pub sni_hosts: Vec<String>,
    /// Networks the destination address lies in.
    pub destination_subnets: Vec<String>,
    /// The port the connection came in on.
    pub port: Option<i64>,
    /// Labels of the client's workload.
    pub source_labels: BTreeMap<String, String>,
    /// Gateways this entry is for, instead of the VirtualService's.
    pub gateways: Vec<String>,
    /// Namespace of the client's workload.
    pub source_namespace: Option<String>,
}

/// An answer that sends the client elsewhere (docs/semantics.md §3.6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRedirect {
    /// The new path.
    pub uri: Option<String>,
    /// What replaces the matched prefix of the path.
    pub prefix_rewrite: Option<String>,
    /// The new authority.
    pub authority: Option<String>,
    /// The new port.
    pub port: Option<i64>,
    /// How to find the new port.
    pub derive_port: Option<RedirectPortSelection>,
    /// The new scheme.
    pub scheme: Option<String>,
    /// The status of the answer; 301 without it.
    pub redirect_code: Option<i64>,
}

enumeration! {
    /// How a redirect finds its port.
    RedirectPortSelection {
        /// The scheme's own port.
        FromProtocolDefault = ("FROM_PROTOCOL_DEFAULT", 0),
        /// The port the request came in on.
        FromRequestPort = ("FROM_REQUEST_PORT", 1),
    }
}

/// A fixed answer (docs/semantics.md §3.7).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpDirectResponse {
    /// Its status.
    pub status: i64,
    /// Its body.
    pub body: Option<HttpBody>,
}

/// A body: one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpBody {
    /// As text.
    pub string: Option<String>,
    /// As base64.
    pub bytes: Option<String>,
}

/// Changes to path and authority (docs/semantics.md §3.8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRewrite {
    /// What replaces the matched prefix, or the whole path after an exact or regex match.
    pub uri: Option<String>,
    /// The new authority.
    pub authority: Option<String>,
    /// Search and replace in the path.
    pub uri_regex_rewrite: Option<RegexRewrite>,
}

/// Search and replace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct RegexRewrite {
    /// The regular expression searched for.
    #[serde(rename = "match")]
    pub pattern: Option<String>,
    /// What replaces it; `\0` to `\9` are its groups.
    pub rewrite: Option<String>,
}

/// When and how often to try again (docs/semantics.md §3.10).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRetry {
    /// How often at most.
    pub attempts: i64,
    /// Limit on each attempt.
    pub per_try_timeout: Option<String>,
    /// Conditions, comma separated.
    pub retry_on: Option<String>,
    /// Whether other localities may be tried.
    pub retry_remote_localities: Option<bool>,
    /// Whether endpoints already tried are avoided.
    pub retry_ignore_previous_hosts: Option<bool>,
    /// The shortest pause between attempts.
    pub backoff: Option<String>,
}

/// Cross-origin rules (docs/semantics.md §3.13).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct CorsPolicy {
    /// Deprecated form of `allowOrigins`.
    pub allow_origin: Vec<String>,
    /// Origins that are allowed.
    pub allow_origins: Vec<StringMatch>,
    /// Methods that are allowed.
    pub allow_methods: Vec<String>,
    /// Request headers that are allowed.
    pub allow_headers: Vec<String>,
    /// Response headers that scripts may see.
    pub expose_headers: Vec<String>,
    /// How long the answer to a preflight may be kept.
    pub max_age: Option<String>,
    /// Whether credentials may be sent.
    pub allow_credentials: Option<bool>,
    /// What happens to preflights from other origins.
    pub unmatched_preflights: UnmatchedPreflights,
}

enumeration! {
    /// What happens to preflights from origins that are not allowed.
    UnmatchedPreflights {
        /// As `FORWARD`.
        Unspecified = ("UNSPECIFIED", 0),
        /// They go to the destination.
        Forward = ("FORWARD", 1),
        /// They are answered here, without CORS headers.
        Ignore = ("IGNORE", 2),
    }
}

/// Failures to inject (docs/semantics.md §3.11).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpFaultInjection {
    /// Wait before forwarding.
    pub delay: Option<FaultDelay>,
    /// Answer with an error instead of forwarding.
    pub abort: Option<FaultAbort>,
}

/// A delay for a share of requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultDelay {
    /// Deprecated form of `percentage`.
    pub percent: Option<i64>,
    /// How long.
    pub fixed_delay: Option<String>,
    /// Not implemented by Istio.
    pub exponential_delay: Option<String>,
    /// The share of requests.
    pub percentage: Option<Percent>,
}

/// An error for a share of requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultAbort {
    /// The HTTP status to answer with.
    pub http_status: Option<i64>,
    /// The gRPC status to answer with, by name.
    pub grpc_status: Option<String>,
    /// Not implemented by Istio.
    pub http2_error: Option<String>,
    /// The share of requests.
    pub percentage: Option<Percent>,
}

/// A copy of the traffic (docs/semantics.md §3.12).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpMirrorPolicy {
    /// Where to.
    pub destination: Option<Destination>,
    /// The share of requests copied; all without it.
    pub percentage: Option<Percent>,
}
