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
    /// Rules for HTTP traffic, tried in this order; the first that matches is used.
    pub http: Vec<HttpRoute>,
    /// Rules for TLS traffic that is not terminated, chosen by the server name the client asks for.
    pub tls: Vec<TlsRoute>,
    /// Rules for TCP traffic that is neither HTTP nor TLS, and for TLS that ends at a server with protocol TLS.
    pub tcp: Vec<TcpRoute>,
    /// Namespaces this is visible in: `.` for its own, `*` for all, or names. Without it, as the mesh says: all.
    pub export_to: Vec<String>,
}

/// A named place traffic can go to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Destination {
    /// A service of the registry: a full name, or a short one in this object's namespace.
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
    /// The port's number: a port of the Service, not of its pods.
    pub number: i64,
}

/// A share in percent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Percent {
    /// A share from 0 to 100; 0.1 is one in a thousand.
    pub value: f64,
}

/// One rule for HTTP: conditions, one action, and what else happens on the way.
// What is seldom there is boxed: a large mesh has ten thousands of rules, and they are all kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRoute {
    /// A name for access logs, where it stands as the route's name.
    pub name: Option<String>,
    /// The rule applies when any of these match, or always when there are none.
    #[serde(rename = "match")]
    pub matches: Vec<HttpMatchRequest>,
    /// Forward to these destinations; several share the requests by their weights.
    pub route: Vec<HttpRouteDestination>,
    /// Answer with a redirect instead of forwarding.
    pub redirect: Option<Box<HttpRedirect>>,
    /// Answer with a fixed response instead of forwarding.
    pub direct_response: Option<Box<HttpDirectResponse>>,
    /// Let another VirtualService decide.
    pub delegate: Option<Box<Delegate>>,
    /// Change path or authority before forwarding.
    pub rewrite: Option<Box<HttpRewrite>>,
    /// Limit on the whole exchange, retries included, as in `5s`; no limit without it. Later ones get 504.
    pub timeout: Option<String>,
    /// When and how often to try again; without it, 2 retries when the request certainly had no effect.
    pub retries: Option<Box<HttpRetry>>,
    /// Failures to inject, to see how clients take them.
    pub fault: Option<Box<HttpFaultInjection>>,
    /// Where to send a copy of the request, whose answer nobody waits for.
    pub mirror: Option<Box<Destination>>,
    /// Where to send copies of the request, each for its own share of the requests.
    pub mirrors: Vec<HttpMirrorPolicy>,
    /// Deprecated form of `mirrorPercentage`.
    #[serde(alias = "mirror_percent")]
    pub mirror_percent: Option<i64>,
    /// The share of requests copied to `mirror`; all of them without it.
    pub mirror_percentage: Option<Percent>,
    /// Which web pages of other origins may make requests (CORS).
    pub cors_policy: Option<Box<CorsPolicy>>,
    /// Header changes for all destinations of the rule.
    pub headers: Option<Box<Headers>>,
}

/// Names the VirtualService that decides instead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Delegate {
    /// The name of the VirtualService that decides.
    pub name: Option<String>,
    /// Its namespace; without it, the same as this one's.
    pub namespace: Option<String>,
}

/// Header changes in both directions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Headers {
    /// Changes to the request on the way to the destination.
    pub request: Option<HeaderOperations>,
    /// Changes to the response on the way back to the client.
    pub response: Option<HeaderOperations>,
}

/// Header changes in one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderOperations {
    /// Headers that get this value, in place of every value they have.
    pub set: BTreeMap<String, String>,
    /// Headers that get this value besides those they have.
    pub add: BTreeMap<String, String>,
    /// Names of headers that are taken away.
    pub remove: Vec<String>,
}

/// Conditions on a request, all of which must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpMatchRequest {
    /// A name for access logs, where it follows the rule's name.
    pub name: Option<String>,
    /// A condition on the path, without query: `/a` as prefix covers `/ab`, too.
    pub uri: Option<StringMatch>,
    /// A condition on the scheme the client used: `http` or `https`.
    pub scheme: Option<Box<StringMatch>>,
    /// A condition on the method, in capitals.
    pub method: Option<Box<StringMatch>>,
    /// A condition on the authority (the Host header), port included.
    pub authority: Option<Box<StringMatch>>,
    /// Conditions on headers, by name; an empty condition asks for the header to be there.
    pub headers: BTreeMap<String, StringMatch>,
    /// The port of the Gateway's server, or of the service in the mesh, that the request came in on.
    pub port: Option<i64>,
    /// Labels of the client's workload; in the mesh only.
    pub source_labels: BTreeMap<String, String>,
    /// Gateways this entry is for, instead of the VirtualService's.
    pub gateways: Vec<String>,
    /// Conditions on query parameters, by name; an empty condition asks for the parameter to be there.
    pub query_params: BTreeMap<String, StringMatch>,
    /// Compare `exact` and `prefix` of `uri` without regard to case.
    pub ignore_uri_case: bool,
    /// Conditions on headers of which none may hold; an empty one forbids the header.
    pub without_headers: BTreeMap<String, StringMatch>,
    /// Namespace of the client's workload; in the mesh only.
    pub source_namespace: Option<String>,
    /// Prefix of this route's statistics.
    pub stat_prefix: Option<String>,
}

/// A destination with its share of an HTTP rule's traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRouteDestination {
    /// The service, and which of its subsets and ports.
    pub destination: Option<Destination>,
    /// The share of the requests, relative to the sum of all weights; 0 gets none.
    pub weight: i64,
    /// Header changes for this destination only.
    pub headers: Option<Box<Headers>>,
}

/// A destination with its share of a TLS or TCP rule's traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteDestination {
    /// The service, and which of its subsets and ports.
    pub destination: Option<Destination>,
    /// The share of the connections, relative to the sum of all weights; 0 gets none.
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
    /// Labels of the client's workload; in the mesh only.
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
    /// Labels of the client's workload; in the mesh only.
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
    /// The new path, and query if it has one, in place of the whole path.
    pub uri: Option<String>,
    /// What replaces the matched prefix of the path.
    pub prefix_rewrite: Option<String>,
    /// The new authority; without it, the request's.
    pub authority: Option<String>,
    /// The new port; without it and `derivePort`, none is written.
    pub port: Option<i64>,
    /// How to find the new port instead of naming it.
    pub derive_port: Option<RedirectPortSelection>,
    /// The new scheme, `http` or `https`; without it, the request's.
    pub scheme: Option<String>,
    /// The status of the answer: 301, 302, 303, 307 or 308; 301 without it.
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
    /// The HTTP status of the answer.
    pub status: i64,
    /// The body of the answer; none without it.
    pub body: Option<HttpBody>,
}

/// A body: one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpBody {
    /// The body as text.
    pub string: Option<String>,
    /// The body as bytes, in base64.
    pub bytes: Option<String>,
}

/// Changes to path and authority (docs/semantics.md §3.8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRewrite {
    /// What replaces the matched prefix, or the whole path after an exact or regex match.
    pub uri: Option<String>,
    /// The new authority, in place of the request's.
    pub authority: Option<String>,
    /// Search and replace in the path, by a regular expression.
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
    /// How often at most, besides the first try; 0 switches retries off.
    pub attempts: i64,
    /// Limit on each try, as in `2s`; without it, only the whole exchange is limited.
    pub per_try_timeout: Option<String>,
    /// Conditions, comma separated and without spaces, such as `5xx,reset,connect-failure,503`.
    pub retry_on: Option<String>,
    /// Whether retries prefer endpoints of other localities.
    pub retry_remote_localities: Option<bool>,
    /// Whether endpoints already tried are avoided; they are without it.
    pub retry_ignore_previous_hosts: Option<bool>,
    /// The base of the pauses between tries, which double; 25ms without it.
    pub backoff: Option<String>,
}

/// Cross-origin rules (docs/semantics.md §3.13).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct CorsPolicy {
    /// Deprecated form of `allowOrigins`.
    pub allow_origin: Vec<String>,
    /// Origins that are allowed, such as `exact: https://example.com`.
    pub allow_origins: Vec<StringMatch>,
    /// Methods that are allowed, as the answer to a preflight lists them; `*` for any.
    pub allow_methods: Vec<String>,
    /// Request headers that are allowed, as the answer to a preflight lists them; `*` for any.
    pub allow_headers: Vec<String>,
    /// Response headers that scripts may see.
    pub expose_headers: Vec<String>,
    /// How long the answer to a preflight may be kept, in whole seconds.
    pub max_age: Option<String>,
    /// Whether scripts may send cookies and other credentials.
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
    /// Wait before forwarding a share of the requests.
    pub delay: Option<FaultDelay>,
    /// Answer a share of the requests with an error instead of forwarding them.
    pub abort: Option<FaultAbort>,
}

/// A delay for a share of requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultDelay {
    /// Deprecated form of `percentage`, in whole percent.
    pub percent: Option<i64>,
    /// How long to wait, as in `3s`.
    pub fixed_delay: Option<String>,
    /// Never implemented and refused; use `fixedDelay`.
    pub exponential_delay: Option<String>,
    /// The share of requests that waits; none without it.
    pub percentage: Option<Percent>,
}

/// An error for a share of requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultAbort {
    /// The HTTP status to answer with, such as 503.
    pub http_status: Option<i64>,
    /// The gRPC status to answer with, by name, such as `UNAVAILABLE`.
    pub grpc_status: Option<String>,
    /// Never implemented and refused; use `httpStatus` or `grpcStatus`.
    pub http2_error: Option<String>,
    /// The share of requests that is answered so; none without it.
    pub percentage: Option<Percent>,
}

/// A copy of the traffic (docs/semantics.md §3.12).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpMirrorPolicy {
    /// The service that gets the copies.
    pub destination: Option<Destination>,
    /// The share of requests copied; all without it.
    pub percentage: Option<Percent>,
}
