//! What can be set about a controller in a cluster.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use translate::TranslationLimits;

use crate::discovery::DiscoveryOptions;
use crate::limits::ControllerLimits;
use crate::replicas::Find;
use crate::serving::Limits;

/// Settings of a controller; every one has a default that fits the charts.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The namespace the controller runs in.
    pub namespace: String,
    /// Name of this replica: its pod.
    pub replica: String,
    /// The service account it runs as, and its replicas.
    pub service_account: String,
    /// Where the other replicas are; `None` = their pods, on this one's port of discovery.
    pub replicas: Option<Find>,
    /// Name of the Kubernetes cluster, for metrics.
    pub cluster: String,
    /// `None` = what MeshConfig says, else `cluster.local`.
    pub trust_domain: Option<String>,
    /// DNS names by which proxies and the API server call the controller.
    pub names: Vec<String>,
    /// The ClusterRole that owns what the controller makes for itself; `None` = nobody does.
    pub owner: Option<String>,
    /// The ValidatingWebhookConfiguration that calls this controller, if there is one.
    pub webhook: Option<String>,
    pub addresses: Addresses,
    pub discovery: DiscoveryOptions,
    pub limits: Limits,
    /// Bounds of the process.
    pub bounds: ControllerLimits,
    /// Bounds of translation.
    pub translation: TranslationLimits,
    /// Certificates a workload may ask for in a minute (CP-4).
    pub certificates_per_minute: u32,
    /// From the stop signal until streams are ended: the time others need to notice that this replica is not ready.
    pub drain_delay: Duration,
    /// Status updates in a second.
    pub status_writes_per_second: u32,
}

/// Where the controller listens. Port 0 is any free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Discovery and certificates, over TLS.
    pub discovery: SocketAddr,
    pub webhook: SocketAddr,
    pub metrics: SocketAddr,
    pub health: SocketAddr,
    /// Meant for loopback.
    pub debug: SocketAddr,
}

impl Default for Addresses {
    fn default() -> Self {
        let any = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        Self {
            discovery: any(15012),
            webhook: any(15017),
            metrics: any(15014),
            health: any(15021),
            debug: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
        }
    }
}

impl Addresses {
    /// Free ports of loopback, for tests.
    #[must_use]
    pub fn free() -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { discovery: free, webhook: free, metrics: free, health: free, debug: free }
    }
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            namespace: "istio-system".to_owned(),
            replica: "sluice-controller".to_owned(),
            service_account: "sluice-controller".to_owned(),
            replicas: None,
            cluster: "Kubernetes".to_owned(),
            trust_domain: None,
            names: vec![
                "istiod.istio-system.svc".to_owned(),
                "istiod.istio-system.svc.cluster.local".to_owned(),
                "sluice-controller.istio-system.svc".to_owned(),
            ],
            owner: None,
            webhook: None,
            addresses: Addresses::default(),
            discovery: DiscoveryOptions::default(),
            limits: Limits::default(),
            bounds: ControllerLimits::default(),
            translation: TranslationLimits::default(),
            certificates_per_minute: 5,
            drain_delay: Duration::from_secs(5),
            status_writes_per_second: 50,
        }
    }
}
