//! DestinationRule: how traffic to a host is carried, after routing has chosen it (docs/semantics.md §4).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::enumeration::enumeration;
use crate::common::selector::PolicySelector;
use crate::networking::virtual_service::PortSelector;

/// Policies for traffic to one host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct DestinationRule {
    /// The service: a full name, a short one in this object's namespace, or a wildcard such as `*.example.com`.
    pub host: String,
    /// Policies for all of the service's traffic.
    pub traffic_policy: Option<TrafficPolicy>,
    /// Named groups of its endpoints, which routes can name.
    pub subsets: Vec<Subset>,
    /// Namespaces this is visible in: `.` for its own, `*` for all, or names. Without it, as the mesh says: all.
    pub export_to: Vec<String>,
    /// Workloads of this namespace whose outgoing traffic it applies to.
    pub workload_selector: Option<PolicySelector>,
}

/// How connections and requests are spread, limited and secured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TrafficPolicy {
    /// How an endpoint is chosen for a request.
    pub load_balancer: Option<LoadBalancerSettings>,
    /// Limits on connections and requests; what is over them gets 503 at once.
    pub connection_pool: Option<ConnectionPoolSettings>,
    /// When a failing endpoint is left out.
    pub outlier_detection: Option<OutlierDetection>,
    /// TLS from the proxy to the endpoints.
    pub tls: Option<ClientTlsSettings>,
    /// Policies for single ports, which replace the ones above.
    pub port_level_settings: Vec<PortTrafficPolicy>,
    /// Wrap connections of TCP and TLS routes in a tunnel through the service.
    pub tunnel: Option<TunnelSettings>,
    /// Announce the client's address to the endpoint.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Limit on concurrent retries, relative to the load.
    pub retry_budget: Option<RetryBudget>,
}

/// Policies for one port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct PortTrafficPolicy {
    /// Which port of the service these are for.
    pub port: Option<PortSelector>,
    /// How an endpoint is chosen for a request.
    pub load_balancer: Option<LoadBalancerSettings>,
    /// Limits on connections and requests; what is over them gets 503 at once.
    pub connection_pool: Option<ConnectionPoolSettings>,
    /// When a failing endpoint is left out.
    pub outlier_detection: Option<OutlierDetection>,
    /// TLS from the proxy to the endpoints.
    pub tls: Option<ClientTlsSettings>,
}

/// A tunnel for TCP and TLS routes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TunnelSettings {
    /// The method that opens the tunnel: `CONNECT` or `POST`; `CONNECT` without it.
    pub protocol: Option<String>,
    /// The host the tunnel leads to.
    pub target_host: String,
    /// The port the tunnel leads to.
    pub target_port: i64,
}

/// The PROXY protocol towards the endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ProxyProtocol {
    /// Which version of the PROXY protocol is spoken.
    pub version: ProxyProtocolVersion,
}

enumeration! {
    /// A version of the PROXY protocol.
    ProxyProtocolVersion {
        /// The text form.
        V1 = ("V1", 0),
        /// The binary form.
        V2 = ("V2", 1),
    }
}

/// Limit on concurrent retries, relative to the load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct RetryBudget {
    /// Retries at a time, in percent of the active requests; 20 without it.
    pub percent: Option<f64>,
    /// Retries at a time that are always allowed; 3 without it.
    pub min_retry_concurrency: Option<i64>,
    /// The period in which requests count as active.
    pub budget_interval: Option<String>,
}

/// A named group of a service's endpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Subset {
    /// The name that routes use.
    pub name: String,
    /// Labels of the endpoints in it; without any, all endpoints of the service.
    pub labels: BTreeMap<String, String>,
    /// Policies for its traffic, block by block in place of the host's.
    pub traffic_policy: Option<TrafficPolicy>,
}

/// How an endpoint is chosen (docs/semantics.md §4.4).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadBalancerSettings {
    /// One of the standard algorithms; `LEAST_REQUEST` without it.
    pub simple: Option<SimpleLb>,
    /// Choose by a hash of something in the request: the same value gets the same endpoint.
    pub consistent_hash: Option<ConsistentHashLb>,
    /// Preference for near endpoints, in place of the mesh's.
    pub locality_lb_setting: Option<LocalityLoadBalancerSetting>,
    /// Preference for endpoints of the same zone.
    pub zone_aware_lb_setting: Option<ZoneAwareLoadBalancerSetting>,
    /// Deprecated form of `warmup.duration`.
    pub warmup_duration_secs: Option<String>,
    /// Let new endpoints start with little traffic.
    pub warmup: Option<WarmupConfiguration>,
}

enumeration! {
    /// A standard algorithm.
    SimpleLb {
        /// The default.
        Unspecified = ("UNSPECIFIED", 0),
        /// Deprecated name of `LEAST_REQUEST`.
        LeastConn = ("LEAST_CONN", 1),
        /// Any.
        Random = ("RANDOM", 2),
        /// The address the client asked for.
        Passthrough = ("PASSTHROUGH", 3),
        /// One after the other.
        RoundRobin = ("ROUND_ROBIN", 4),
        /// The less busy of two.
        LeastRequest = ("LEAST_REQUEST", 5),
    }
}

/// Choice by hash: one key, one algorithm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsistentHashLb {
    /// Hash the value of the header of this name.
    pub http_header_name: Option<String>,
    /// Hash the value of a cookie, and make it when it is missing.
    pub http_cookie: Option<HttpCookie>,
    /// Hash the client's address.
    pub use_source_ip: Option<bool>,
    /// Hash the value of the query parameter of this name.
    pub http_query_parameter_name: Option<String>,
    /// Place endpoints on a ring; the algorithm used without `maglev`.
    pub ring_hash: Option<RingHash>,
    /// Place endpoints in a Maglev table.
    pub maglev: Option<MagLev>,
    /// Deprecated form of `ringHash.minimumRingSize`.
    pub minimum_ring_size: Option<u64>,
}

/// A ring of endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct RingHash {
    /// How many places the ring has at least; 1024 without it.
    pub minimum_ring_size: Option<u64>,
}

/// A Maglev table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct MagLev {
    /// How many places the table has; a prime number.
    pub table_size: Option<u64>,
}

/// The cookie that is hashed, or made when it is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpCookie {
    /// The cookie's name.
    pub name: String,
    /// The path written into a cookie that is made.
    pub path: Option<String>,
    /// How long it lives; without it, none is made.
    pub ttl: Option<String>,
    /// Further attributes written into a cookie that is made.
    pub attributes: Vec<CookieAttribute>,
}

/// An attribute of an [`HttpCookie`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct CookieAttribute {
    /// The attribute's name, such as `SameSite`.
    pub name: String,
    /// The attribute's value, if it has one.
    pub value: Option<String>,
}

/// Little traffic for new endpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct WarmupConfiguration {
    /// How long an endpoint counts as new, as in `60s`.
    pub duration: Option<String>,
    /// The share it starts with, in percent of a full one; 10 without it.
    pub minimum_percent: Option<f64>,
    /// The shape of the increase: 1 is a straight line, more is steeper at first; 1 without it.
    pub aggression: Option<f64>,
}

/// Limits on connections and requests (docs/semantics.md §4.6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectionPoolSettings {
    /// Limits for every protocol.
    pub tcp: Option<TcpSettings>,
    /// Limits for HTTP/1.1 and HTTP/2.
    pub http: Option<HttpSettings>,
}

/// Limits for every protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpSettings {
    /// Connections to the service at most; no limit without it.
    pub max_connections: Option<i64>,
    /// How long a connection may take to come up; 10s without it.
    pub connect_timeout: Option<String>,
    /// Probes on idle connections, by the operating system.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// How long a connection may live; no limit without it.
    pub max_connection_duration: Option<String>,
    /// How long a connection may be idle; 1h without it, 0s for no limit.
    pub idle_timeout: Option<String>,
}

/// Probes on idle connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpKeepalive {
    /// How many probes may stay unanswered before the connection is given up.
    pub probes: Option<i64>,
    /// How long a connection is idle before the first probe.
    pub time: Option<String>,
    /// How far the probes are apart.
    pub interval: Option<String>,
}

/// Limits for HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpSettings {
    /// Requests that may wait for a connection; no limit without it. For HTTP/2, too.
    pub http1_max_pending_requests: Option<i64>,
    /// Active requests to the service at most; no limit without it. For HTTP/1.1, too.
    pub http2_max_requests: Option<i64>,
    /// Requests per connection at most; 1 switches keep-alive off, 0 is no limit.
    pub max_requests_per_connection: Option<i64>,
    /// Active retries at most; no limit without it.
    pub max_retries: Option<i64>,
    /// How long a connection without requests is kept; 1h without it, 0s for no limit.
    pub idle_timeout: Option<String>,
    /// Whether HTTP/1.1 becomes HTTP/2 on the way.
    pub h2_upgrade_policy: H2UpgradePolicy,
    /// Speak the version the client speaks.
    pub use_client_protocol: Option<bool>,
    /// Streams per HTTP/2 connection at most.
    pub max_concurrent_streams: Option<i64>,
    /// Pings on HTTP/2 connections, which find dead ones.
    pub http2_keep_alive: Option<ConnectionKeepalive>,
}

enumeration! {
    /// Whether HTTP/1.1 becomes HTTP/2 on the way.
    H2UpgradePolicy {
        /// As the mesh says.
        Default = ("DEFAULT", 0),
        /// It does not.
        DoNotUpgrade = ("DO_NOT_UPGRADE", 1),
        /// It does.
        Upgrade = ("UPGRADE", 2),
    }
}

/// Pings on HTTP/2 connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectionKeepalive {
    /// How far the pings are apart.
    pub interval: Option<String>,
    /// How long the answer to a ping may take.
    pub timeout: Option<String>,
}

/// When a failing endpoint is left out (docs/semantics.md §4.7).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct OutlierDetection {
    /// Deprecated and without effect; use `consecutive5xxErrors`.
    pub consecutive_errors: Option<i64>,
    /// Count failures to connect apart from failures reported by the endpoint.
    pub split_external_local_origin_errors: bool,
    /// Failures to connect in a row after which an endpoint is left out; 5 without it.
    pub consecutive_local_origin_failures: Option<i64>,
    /// Statuses 502, 503 and 504 in a row after which an endpoint is left out; off without it.
    pub consecutive_gateway_errors: Option<i64>,
    /// Statuses of 500 and above in a row after which an endpoint is left out; 5 without it, 0 switches it off.
    #[serde(rename = "consecutive5xxErrors")]
    pub consecutive_5xx_errors: Option<i64>,
    /// How often endpoints are looked at; 10s without it.
    pub interval: Option<String>,
    /// How long the first exclusion lasts, and by how much each further one is longer; 30s without it.
    pub base_ejection_time: Option<String>,
    /// How many of the endpoints may be left out, in percent; 10 without it.
    pub max_ejection_percent: Option<i64>,
    /// Below this share of healthy endpoints, in percent, all are used.
    pub min_health_percent: Option<i64>,
    /// The statuses that count, in place of 500 and above.
    pub outlier_detection_http_error_codes: Vec<i64>,
}

/// TLS towards the endpoints (docs/semantics.md §4.8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientTlsSettings {
    /// Whether TLS is spoken and with which certificate.
    pub mode: ClientTlsMode,
    /// File with the client's certificate.
    pub client_certificate: Option<String>,
    /// File with the client's private key.
    pub private_key: Option<String>,
    /// File with the authorities the endpoint's certificate must come from.
    pub ca_certificates: Option<String>,
    /// Secret with certificate, key and authorities, in the namespace of the gateway's pods.
    pub credential_name: Option<String>,
    /// Names of which the endpoint's certificate must carry one.
    pub subject_alt_names: Vec<String>,
    /// The server name asked for; without it, the request's authority.
    pub sni: Option<String>,
    /// Accept any certificate of the endpoint, which protects from nobody.
    pub insecure_skip_verify: Option<bool>,
    /// File with the list of revoked certificates.
    pub ca_crl: Option<String>,
}

enumeration! {
    /// Whether TLS is spoken towards the endpoints and with which certificate.
    ClientTlsMode {
        /// No TLS.
        Disable = ("DISABLE", 0),
        /// TLS without client certificate.
        Simple = ("SIMPLE", 1),
        /// TLS with the given client certificate.
        Mutual = ("MUTUAL", 2),
        /// TLS with the certificates of the mesh.
        IstioMutual = ("ISTIO_MUTUAL", 3),
    }
}

/// Preference for near endpoints (docs/semantics.md §4.5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalityLoadBalancerSetting {
    /// Fixed shares for traffic from one locality to others.
    pub distribute: Vec<LocalityDistribute>,
    /// Where traffic goes when a region fails.
    pub failover: Vec<LocalityFailover>,
    /// Labels that decide which endpoints are near.
    pub failover_priority: Vec<String>,
    /// Whether near endpoints are preferred; they are without it.
    pub enabled: Option<bool>,
}

/// Fixed shares for traffic from one locality.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalityDistribute {
    /// `region/zone/subzone` the traffic comes from.
    pub from: String,
    /// Percent of the traffic per `region/zone/subzone` it goes to; the sum is 100.
    pub to: BTreeMap<String, i64>,
}

/// Where traffic goes when a region fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalityFailover {
    /// The region whose endpoints fail.
    pub from: String,
    /// The region whose endpoints take over.
    pub to: String,
}

/// Preference for endpoints of the same zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ZoneAwareLoadBalancerSetting {
    /// Whether endpoints of the same zone are preferred.
    pub enabled: Option<bool>,
    /// Where traffic goes when a region fails.
    pub failover: Vec<LocalityFailover>,
    /// Labels that decide which endpoints are near.
    pub failover_priority: Vec<String>,
    /// Endpoints a service needs for it to apply.
    pub min_cluster_size: Option<i64>,
}
