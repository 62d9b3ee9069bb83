//! Which request goes where, and what is done to it on the way.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::header::HeaderEdits;
use crate::name::{ClusterName, Host, TableName};
use crate::text::{Authority, HeaderText, PathPiece, PathText, RedirectStatus, ReplyStatus, Scheme};

/// A table of virtual hosts as such. Its routes come from the [`RouteGroup`]s that name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteTable {
    pub name: TableName,
    /// Virtual hosts whose plaintext requests are redirected to https with 301, also without any route
    /// (docs/semantics.md §2.5).
    pub https_redirect: Vec<Host>,
    /// Inside a virtual host, the routes of one namespace stand together, catch-all ones at the end of these, and
    /// namespaces in the order of their oldest groups. Bindings with a server created at the end of time come behind all
    /// (docs/semantics.md §1.9).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub namespaces_apart: bool,
}

/// All routes of one VirtualService. Groups are put together by the proxy: inside a virtual host, the routes of all
/// bindings stand in the order of ([`Binding::server`], [`RouteGroup::precedence`]), each group's in list order; then
/// catch-all routes move to the end, keeping their order (docs/semantics.md §2.5, §3.17). [`RouteTable::namespaces_apart`]
/// changes that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteGroup {
    /// `<namespace>/<name>` of the object.
    pub name: String,
    pub precedence: Precedence,
    pub bindings: Vec<Binding>,
    /// The lists that bindings choose from: routes depend on gateway and port.
    pub route_lists: Vec<Vec<Route>>,
}

/// Attaches a group to virtual hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    pub table: TableName,
    pub server: ServerRank,
    pub hosts: Vec<Host>,
    /// Plaintext requests to these hosts are redirected to https.
    pub https_redirect: bool,
    /// Index into [`RouteGroup::route_lists`].
    pub routes: usize,
}

/// The order of servers that share a table: that of their Gateways, then that inside the Gateway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerRank {
    /// Creation of the Gateway, seconds since 1970.
    pub created: i64,
    pub name: String,
    pub namespace: String,
    /// Position in the Gateway.
    pub index: u32,
}

/// The order of VirtualServices (docs/semantics.md §1.5, §2.5 step 1); smaller comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Precedence {
    /// 0 private to the proxy's namespace, 1 exported to it by name, 2 public.
    pub tier: u8,
    /// Creation, seconds since 1970.
    pub created: i64,
    pub name: String,
    pub namespace: String,
}

/// One rule, or one `match` entry of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// For logs; empty = none.
    pub name: String,
    pub matches: RouteMatch,
    /// Goes behind the routes of all other groups (docs/semantics.md §2.5).
    pub catch_all: bool,
    /// Answers plaintext requests also where the virtual host redirects them to https.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plaintext: bool,
    pub action: RouteAction,
}

/// Conditions that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteMatch {
    /// On the normalised path, without query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathMatch>,
    /// Pseudo header fields are named `:method`, `:authority`, `:path`, `:scheme`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderMatch>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<QueryMatch>,
}

/// A condition on the path. A regular expression (RE2 syntax) must match all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PathMatch {
    Exact { value: String, ignore_case: bool },
    Prefix { value: String, ignore_case: bool },
    Regex { pattern: String },
}

/// A condition on a text. A regular expression (RE2 syntax) must match all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StringMatch {
    Exact(String),
    Prefix(String),
    Regex(String),
}

/// A condition on a value that may be absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ValueMatch {
    Present,
    Value(StringMatch),
}

/// Holds if any line of that name fits (docs/semantics.md §3.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderMatch {
    /// Lower case.
    pub name: String,
    pub condition: ValueMatch,
    /// Turns the result around; a missing field then counts as an empty value, except for
    /// [`ValueMatch::Present`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invert: bool,
}

/// A condition on the first occurrence of a query parameter, not percent-decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryMatch {
    pub name: String,
    pub condition: ValueMatch,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "nearly every route forwards")]
pub enum RouteAction {
    Forward(Forward),
    Redirect(Redirect),
    DirectResponse(DirectResponse),
}

/// Sends the request on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// At least one; shares are relative. A destination whose cluster does not exist answers its share with 503.
    pub destinations: Vec<Destination>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_rewrite: Option<PathRewrite>,
    /// Replaces the authority; beats that of a destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<Authority>,
    /// From the end of the request body to the end of the response, all attempts included; none = unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Absent = one attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
}

/// Failures to inject before the request is sent on (docs/semantics.md §3.11). Delay and abort are drawn
/// independently, the delay comes first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<FaultDelay>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<FaultAbort>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultDelay {
    pub duration: Duration,
    /// Share of requests, in millionths.
    pub per_million: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultAbort {
    pub reply: AbortReply,
    /// Share of requests, in millionths.
    pub per_million: u32,
}

/// What an aborted request is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AbortReply {
    /// gRPC clients get the gRPC status for it.
    Http(ReplyStatus),
    /// A gRPC status by number; other clients get 200.
    Grpc(u16),
}

/// Cross-origin requests (docs/semantics.md §3.13).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// Conditions on `Origin`; any one suffices.
    pub allow_origins: Vec<StringMatch>,
    /// As sent; `*` echoes the method asked for. Empty = not sent.
    pub allow_methods: HeaderText,
    /// As sent; `*` echoes the fields asked for. Empty = not sent.
    pub allow_headers: HeaderText,
    /// As sent. Empty = not sent.
    pub expose_headers: HeaderText,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
    pub allow_credentials: bool,
    /// Preflights from other origins are answered here instead of going to the upstream.
    pub answer_unmatched_preflights: bool,
}

/// One of a route's clusters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    pub cluster: ClusterName,
    /// Positive.
    pub weight: u32,
    /// Rule-level and destination-level edits, merged (docs/semantics.md §3.5); those of the response also apply to
    /// replies the proxy makes in the cluster's place.
    #[serde(default, skip_serializing_if = "HeaderEdits::is_empty")]
    pub edits: HeaderEdits,
    /// Replaces the authority where the route has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<Authority>,
    /// Whether a replaced authority of this destination is told upstream as `x-envoy-original-host`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tell_original_host: bool,
}

/// What the path becomes; the query stays (docs/semantics.md §3.8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PathRewrite {
    /// Replaces the text that the route's prefix matched, which has this length in bytes.
    Prefix { matched: usize, replacement: PathPiece },
    /// Replaces all of it.
    Full { replacement: PathPiece },
    /// Replaces every match of the pattern; `\0`–`\9` stand for groups.
    Regex { pattern: String, substitution: PathPiece },
}

/// When and how often a request is sent again (docs/semantics.md §3.10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryPolicy {
    /// Attempts after the first; positive.
    pub attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_try_timeout: Option<Duration>,
    pub on: RetryOn,
    /// Base of the exponential backoff with full jitter.
    pub backoff: Duration,
    /// Prefer endpoints that this request has not tried.
    pub avoid_previous_hosts: bool,
}

/// Conditions of a retry; any one suffices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryOn {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub server_error: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gateway_error: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reset_before_request: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub connect_failure: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub refused_stream: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retriable_4xx: bool,
    /// Exactly these statuses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<u16>,
    /// These gRPC statuses of trailers-only replies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grpc_statuses: Vec<u16>,
}

/// Answers with another location (docs/semantics.md §3.6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    pub status: RedirectStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<RedirectPath>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<Authority>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    #[serde(default, skip_serializing_if = "HeaderEdits::is_empty")]
    pub edits: HeaderEdits,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RedirectPath {
    Full(PathText),
    /// Replaces the text that the route's prefix matched, which has this length in bytes. A result without leading slash
    /// gets one.
    Prefix {
        matched: usize,
        replacement: PathPiece,
    },
}

/// Answers from the proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectResponse {
    pub status: ReplyStatus,
    /// Base64; absent = no body and no content type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    #[serde(default, skip_serializing_if = "HeaderEdits::is_empty")]
    pub edits: HeaderEdits,
}
