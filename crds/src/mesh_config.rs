//! MeshConfig: settings for the whole mesh, kept in key `mesh` of ConfigMap `istio` (docs/semantics.md §15.14).
//! Every field of Istio's is known here; fields that are not known do not refuse the rest, but can be listed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::common::enumeration::enumeration;
use crate::common::selector::LabelSelector;
use crate::networking::destination_rule::{
    ClientTlsSettings, ConnectionPoolSettings, LocalityLoadBalancerSetting, OutlierDetection, TcpKeepalive,
    ZoneAwareLoadBalancerSetting,
};
use crate::networking::virtual_service::HttpRetry;

mod proxy_config;

pub use proxy_config::*;

/// Settings for the whole mesh.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MeshConfig {
    /// Port for outgoing traffic.
    pub proxy_listen_port: Option<i64>,
    /// Port for incoming traffic.
    pub proxy_inbound_listen_port: Option<i64>,
    /// Port for an HTTP proxy.
    pub proxy_http_port: Option<i64>,
    /// How long a connection may take to come up.
    pub connect_timeout: Option<String>,
    /// How long a tunnel of the mesh may be idle.
    pub hbone_idle_timeout: Option<String>,
    /// How long to wait for bytes that tell the protocol.
    pub protocol_detection_timeout: Option<String>,
    /// Probes on idle connections.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// Class of the Ingress objects that are served.
    pub ingress_class: Option<String>,
    /// Service of the ingress gateway.
    pub ingress_service: Option<String>,
    /// Which Ingress objects are served.
    pub ingress_controller_mode: IngressControllerMode,
    /// Value of the `istio` label of the ingress gateway.
    pub ingress_selector: Option<String>,
    /// Whether requests are traced.
    pub enable_tracing: Option<bool>,
    /// File the access log goes to; empty for none.
    pub access_log_file: Option<String>,
    /// Format of the access log.
    pub access_log_format: Option<String>,
    /// Whether the access log is text or JSON.
    pub access_log_encoding: AccessLogEncoding,
    /// Whether the access log goes to a gRPC service.
    pub enable_envoy_access_log_service: Option<bool>,
    /// Whether connections that no listener accepts stay unlogged.
    pub disable_envoy_listener_log: Option<bool>,
    /// Settings for each proxy.
    pub default_config: Option<ProxyConfig>,
    /// What happens to traffic to unknown hosts.
    pub outbound_traffic_policy: Option<OutboundTrafficPolicy>,
    /// What happens to traffic to unknown ports.
    pub inbound_traffic_policy: Option<InboundTrafficPolicy>,
    /// Where configuration comes from.
    pub config_sources: Vec<Value>,
    /// Whether mutual TLS is used where both sides can.
    pub enable_auto_mtls: Option<bool>,
    /// The trust domain of identities.
    pub trust_domain: Option<String>,
    /// Other names of the trust domain.
    pub trust_domain_aliases: Vec<String>,
    /// Further authorities to trust.
    pub ca_certificates: Vec<Value>,
    /// `exportTo` of services that have none.
    pub default_service_export_to: Vec<String>,
    /// `exportTo` of VirtualServices that have none.
    pub default_virtual_service_export_to: Vec<String>,
    /// `exportTo` of DestinationRules that have none.
    pub default_destination_rule_export_to: Vec<String>,
    /// Namespace of the settings for all namespaces.
    pub root_namespace: Option<String>,
    /// Preference for near endpoints.
    pub locality_lb_setting: Option<LocalityLoadBalancerSetting>,
    /// Preference for endpoints of the same zone.
    pub zone_aware_lb_setting: Option<ZoneAwareLoadBalancerSetting>,
    /// How often names are resolved.
    pub dns_refresh_rate: Option<String>,
    /// Whether HTTP/1.1 becomes HTTP/2 on the way.
    pub h2_upgrade_policy: MeshH2UpgradePolicy,
    /// Names of statistics of incoming traffic.
    pub inbound_cluster_stat_name: Option<String>,
    /// Names of statistics of outgoing traffic.
    pub outbound_cluster_stat_name: Option<String>,
    /// Deprecated and without effect.
    pub certificates: Vec<Value>,
    /// Settings for single services.
    pub service_settings: Vec<ServiceSettings>,
    /// Which services other clusters see.
    pub service_scope_configs: Vec<Value>,
    /// Whether the proxy serves the application's metrics with its own.
    pub enable_prometheus_merge: Option<bool>,
    /// Deprecated and without effect.
    pub verify_certificate_at_client: Option<bool>,
    /// The authority that signs workload certificates.
    pub ca: Option<Value>,
    /// Services for telemetry and authorization, by name.
    pub extension_providers: Vec<Value>,
    /// Which of them are used where nothing else is said.
    pub default_providers: Option<DefaultProviders>,
    /// Namespaces that are looked at.
    pub discovery_selectors: Vec<LabelSelector>,
    /// How request paths are made comparable.
    pub path_normalization: Option<ProxyPathNormalization>,
    /// Retries of rules that say nothing about them.
    pub default_http_retry_policy: Option<HttpRetry>,
    /// TLS between workloads.
    #[serde(rename = "meshMTLS")]
    pub mesh_mtls: Option<MeshTlsConfig>,
    /// TLS everywhere else.
    pub tls_defaults: Option<MeshTlsConfig>,
    /// Policies for destinations without their own.
    pub default_traffic_policy: Option<DefaultTrafficPolicy>,
    /// How strictly namespaces that share a proxy are kept apart. Not among Istio's fields.
    pub tenancy: Tenancy,
    /// Whether a Gateway selects workloads of its own namespace only, which Istio's control plane learns from its
    /// environment (`PILOT_SCOPE_GATEWAY_TO_NAMESPACE`).
    pub scope_gateway_to_namespace: bool,
    /// With strict tenancy: namespaces whose gateways serve Gateways of all namespaces, besides the control plane's and the
    /// root namespace. Those of other namespaces serve Gateways of their own namespace only. Not among Istio's fields.
    pub gateway_namespaces: Vec<String>,
    /// Who sees ServiceEntries.
    pub service_entry_visibility: Option<Value>,
}

/// What happens to traffic to unknown hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OutboundTrafficPolicy {
    /// The choice.
    pub mode: Option<OutboundTrafficPolicyMode>,
    /// TLS for it.
    pub tls: Option<ClientTlsSettings>,
}

/// What happens to traffic to unknown ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct InboundTrafficPolicy {
    /// The choice.
    pub mode: InboundTrafficPolicyMode,
}

/// Settings for single services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceSettings {
    /// The settings.
    pub settings: Option<ClusterLocality>,
    /// The services.
    pub hosts: Vec<String>,
}

/// Whether a service is reached in its own cluster only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClusterLocality {
    /// It is.
    pub cluster_local: bool,
}

/// Providers used where nothing else is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DefaultProviders {
    /// For traces.
    pub tracing: Vec<String>,
    /// For metrics.
    pub metrics: Vec<String>,
    /// For the access log.
    pub access_logging: Vec<String>,
}

/// How request paths are made comparable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProxyPathNormalization {
    /// The choice.
    pub normalization: NormalizationType,
}

/// TLS versions and algorithms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MeshTlsConfig {
    /// Oldest TLS version accepted.
    pub min_protocol_version: MeshTlsProtocol,
    /// Key exchange groups.
    pub ecdh_curves: Vec<String>,
    /// Cipher suites for TLS 1.2, by their OpenSSL names.
    pub cipher_suites: Vec<String>,
}

/// Policies for destinations without their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DefaultTrafficPolicy {
    /// Limits on connections and requests.
    pub connection_pool: Option<ConnectionPoolSettings>,
    /// When a failing endpoint is left out.
    pub outlier_detection: Option<OutlierDetection>,
}

enumeration! {
    /// Which Ingress objects are served.
    IngressControllerMode {
        /// As `STRICT`.
        Unspecified = ("UNSPECIFIED", 0),
        /// None.
        Off = ("OFF", 1),
        /// Those of the class and those of no class.
        Default = ("DEFAULT", 2),
        /// Those of the class.
        Strict = ("STRICT", 3),
    }
}

enumeration! {
    /// How strictly namespaces that share a proxy are kept apart.
    Tenancy {
        /// As Istio does.
        Istio = ("istio", 0),
        /// What a Gateway gives to a namespace is that namespace's, and no object comes before an older one of another
        /// namespace.
        Strict = ("strict", 1),
    }
}

enumeration! {
    /// Form of the access log.
    AccessLogEncoding {
        /// Lines of text.
        Text = ("TEXT", 0),
        /// Lines of JSON.
        Json = ("JSON", 1),
    }
}

enumeration! {
    /// What happens to traffic to unknown hosts.
    OutboundTrafficPolicyMode {
        /// It is refused.
        RegistryOnly = ("REGISTRY_ONLY", 0),
        /// It goes where the client wanted.
        AllowAny = ("ALLOW_ANY", 1),
        /// It goes where its host name leads.
        AllowAnyDynamicDns = ("ALLOW_ANY_DYNAMIC_DNS", 3),
    }
}

enumeration! {
    /// What happens to traffic to unknown ports.
    InboundTrafficPolicyMode {
        /// It goes to the address the client wanted.
        Passthrough = ("PASSTHROUGH", 0),
        /// It goes to localhost.
        Localhost = ("LOCALHOST", 1),
    }
}

enumeration! {
    /// Whether HTTP/1.1 becomes HTTP/2 on the way.
    MeshH2UpgradePolicy {
        /// It does not.
        DoNotUpgrade = ("DO_NOT_UPGRADE", 0),
        /// It does.
        Upgrade = ("UPGRADE", 1),
    }
}

enumeration! {
    /// How request paths are made comparable.
    NormalizationType {
        /// As `BASE`.
        Default = ("DEFAULT", 0),
        /// Not at all.
        None = ("NONE", 1),
        /// Dot segments, backslashes and unreserved escapes.
        Base = ("BASE", 2),
        /// And repeated slashes.
        MergeSlashes = ("MERGE_SLASHES", 3),
        /// And escaped slashes.
        DecodeAndMergeSlashes = ("DECODE_AND_MERGE_SLASHES", 4),
    }
}

enumeration! {
    /// A TLS version.
    MeshTlsProtocol {
        /// The proxy's choice.
        TlsAuto = ("TLS_AUTO", 0),
        /// TLS 1.2.
        TlsV1_2 = ("TLSV1_2", 1),
        /// TLS 1.3.
        TlsV1_3 = ("TLSV1_3", 2),
    }
}

/// Maps whose keys are the user's own words.
type Map = BTreeMap<String, String>;
