//! Sidecar: what the proxy beside a workload listens on and can reach (docs/semantics.md §7).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::enumeration::enumeration;
use crate::common::selector::WorkloadSelector;
use crate::networking::destination_rule::ConnectionPoolSettings;
use crate::networking::gateway::ServerTlsSettings;
use crate::networking::virtual_service::Destination;

/// Narrows what the sidecars it selects accept and import. Gateways pay no attention to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Sidecar {
    /// Workloads of the namespace it applies to; without it, all of them.
    pub workload_selector: Option<WorkloadSelector>,
    /// Listeners for traffic to the workload; without any, they follow from its Services.
    pub ingress: Vec<IstioIngressListener>,
    /// What the workload may reach; without any, everything that is visible in the namespace.
    pub egress: Vec<IstioEgressListener>,
    /// Limits on connections to the workload.
    pub inbound_connection_pool: Option<ConnectionPoolSettings>,
    /// What happens to traffic to hosts that are not imported.
    pub outbound_traffic_policy: Option<SidecarOutboundTrafficPolicy>,
}

/// A listener for traffic to the workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct IstioIngressListener {
    /// The port of the workload that traffic comes in for.
    pub port: Option<SidecarPort>,
    /// Address to listen on; without it, the workload's own.
    pub bind: Option<String>,
    /// How traffic gets to the listener.
    pub capture_mode: CaptureMode,
    /// Where the workload listens: `127.0.0.1:PORT`, `[::1]:PORT`, `0.0.0.0:PORT`, `[::]:PORT` or `unix:///path`.
    pub default_endpoint: Option<String>,
    /// TLS with certificates from files, in place of the mesh's.
    pub tls: Option<ServerTlsSettings>,
    /// Limits on connections, in place of all others.
    pub connection_pool: Option<ConnectionPoolSettings>,
}

/// What the workload may reach through one port, or through all others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct IstioEgressListener {
    /// The port it is for; without it, every port that no other entry is for.
    pub port: Option<SidecarPort>,
    /// Address to listen on, or a `unix://` socket.
    pub bind: Option<String>,
    /// How traffic gets to the listener.
    pub capture_mode: CaptureMode,
    /// Services that are imported, as `namespace/dnsName`; the namespace may be `*`, `.` or `~`.
    pub hosts: Vec<String>,
}

/// A port of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct SidecarPort {
    /// The port's number: 1 to 65535, or 0 with a unix socket.
    pub number: i64,
    /// The protocol spoken, such as HTTP, HTTP2, GRPC, TLS or TCP.
    pub protocol: String,
    /// A name for the port, unique in the object.
    pub name: String,
    /// Deprecated and without effect.
    pub target_port: Option<i64>,
}

/// What happens to traffic to hosts that are not imported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct SidecarOutboundTrafficPolicy {
    /// Whether such traffic passes; REGISTRY_ONLY when the block is there and says nothing.
    pub mode: SidecarOutboundMode,
    /// Where such traffic is sent, with `ALLOW_ANY`.
    pub egress_proxy: Option<Destination>,
}

enumeration! {
    /// How traffic gets to a listener.
    CaptureMode {
        /// As the sidecar is set up.
        Default = ("DEFAULT", 0),
        /// By redirection.
        Iptables = ("IPTABLES", 1),
        /// The application addresses the listener itself.
        None = ("NONE", 2),
    }
}

enumeration! {
    /// What happens to traffic to hosts that are not imported.
    SidecarOutboundMode {
        /// It is refused.
        RegistryOnly = ("REGISTRY_ONLY", 0),
        /// It goes where the client wanted.
        AllowAny = ("ALLOW_ANY", 1),
    }
}
