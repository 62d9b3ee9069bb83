//! An object with its identity. Which fields its body has is the business of the kinds' own modules.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::ServiceSpec;
use k8s_openapi::api::networking::v1::{IngressClassSpec, IngressSpec};

use crate::networking::destination_rule::DestinationRule;
use crate::networking::gateway::Gateway;
use crate::networking::proxy_config::ProxyConfig;
use crate::networking::service_entry::ServiceEntry;
use crate::networking::sidecar::Sidecar;
use crate::networking::virtual_service::VirtualService;
use crate::networking::workload_entry::WorkloadEntry;
use crate::networking::workload_group::WorkloadGroup;
use crate::security::authorization_policy::AuthorizationPolicy;
use crate::security::peer_authentication::PeerAuthentication;
use crate::security::request_authentication::RequestAuthentication;
use crate::telemetry::Telemetry;

pub use k8s_openapi::api::core::v1 as core;
pub use k8s_openapi::api::discovery::v1 as discovery;
pub use k8s_openapi::api::networking::v1 as ingress;
pub use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The namespace of an object that names none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// The kinds that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    Gateway,
    VirtualService,
    DestinationRule,
    ServiceEntry,
    Sidecar,
    WorkloadEntry,
    WorkloadGroup,
    ProxyConfig,
    PeerAuthentication,
    RequestAuthentication,
    AuthorizationPolicy,
    Telemetry,
    Ingress,
    IngressClass,
    Service,
    EndpointSlice,
    Secret,
    ConfigMap,
    Pod,
    Namespace,
    Node,
}

impl ObjectKind {
    /// Every kind.
    pub const ALL: [Self; 21] = [
        Self::Gateway,
        Self::VirtualService,
        Self::DestinationRule,
        Self::ServiceEntry,
        Self::Sidecar,
        Self::WorkloadEntry,
        Self::WorkloadGroup,
        Self::ProxyConfig,
        Self::PeerAuthentication,
        Self::RequestAuthentication,
        Self::AuthorizationPolicy,
        Self::Telemetry,
        Self::Ingress,
        Self::IngressClass,
        Self::Service,
        Self::EndpointSlice,
        Self::Secret,
        Self::ConfigMap,
        Self::Pod,
        Self::Namespace,
        Self::Node,
    ];

    /// The name written after `kind:`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "Gateway",
            Self::VirtualService => "VirtualService",
            Self::DestinationRule => "DestinationRule",
            Self::ServiceEntry => "ServiceEntry",
            Self::Sidecar => "Sidecar",
            Self::WorkloadEntry => "WorkloadEntry",
            Self::WorkloadGroup => "WorkloadGroup",
            Self::ProxyConfig => "ProxyConfig",
            Self::PeerAuthentication => "PeerAuthentication",
            Self::RequestAuthentication => "RequestAuthentication",
            Self::AuthorizationPolicy => "AuthorizationPolicy",
            Self::Telemetry => "Telemetry",
            Self::Ingress => "Ingress",
            Self::IngressClass => "IngressClass",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::Pod => "Pod",
            Self::Namespace => "Namespace",
            Self::Node => "Node",
        }
    }

    /// The group before the slash of `apiVersion:`; empty for Kubernetes' core.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            Self::Gateway
            | Self::VirtualService
            | Self::DestinationRule
            | Self::ServiceEntry
            | Self::Sidecar
            | Self::WorkloadEntry
            | Self::WorkloadGroup
            | Self::ProxyConfig => "networking.istio.io",
            Self::PeerAuthentication | Self::RequestAuthentication | Self::AuthorizationPolicy => "security.istio.io",
            Self::Telemetry => "telemetry.istio.io",
            Self::Ingress | Self::IngressClass => "networking.k8s.io",
            Self::EndpointSlice => "discovery.k8s.io",
            Self::Service | Self::Secret | Self::ConfigMap | Self::Pod | Self::Namespace | Self::Node => "",
        }
    }

    /// The versions that are served, the preferred one first.
    #[must_use]
    pub fn versions(self) -> &'static [&'static str] {
        match self {
            Self::Gateway
            | Self::VirtualService
            | Self::DestinationRule
            | Self::ServiceEntry
            | Self::Sidecar
            | Self::WorkloadEntry
            | Self::WorkloadGroup => &["v1", "v1beta1", "v1alpha3"],
            Self::ProxyConfig => &["v1beta1"],
            Self::PeerAuthentication | Self::RequestAuthentication | Self::AuthorizationPolicy => &["v1", "v1beta1"],
            Self::Telemetry => &["v1", "v1alpha1"],
            Self::Ingress
            | Self::IngressClass
            | Self::EndpointSlice
            | Self::Service
            | Self::Secret
            | Self::ConfigMap
            | Self::Pod
            | Self::Namespace
            | Self::Node => &["v1"],
        }
    }

    /// Whether objects of this kind live in a namespace.
    #[must_use]
    pub fn is_namespaced(self) -> bool {
        !matches!(self, Self::Namespace | Self::Node | Self::IngressClass)
    }

    /// Whether this is one of Istio's kinds, whose schema comes with the mesh, and not one of Kubernetes' own.
    #[must_use]
    pub fn is_istio(self) -> bool {
        self.group().ends_with(".istio.io")
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    pub kind: ObjectKind,
    /// Empty for kinds that live in none.
    pub namespace: String,
    pub name: String,
}

impl ObjectKey {
    #[must_use]
    pub fn new(kind: ObjectKind, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, name } = self;
        if namespace.is_empty() { write!(f, "{kind} {name}") } else { write!(f, "{kind} {namespace}/{name}") }
    }
}

/// What an object says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    pub name: String,
    /// [`DEFAULT_NAMESPACE`] where none is written; empty for kinds that live in none.
    pub namespace: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// `creationTimestamp` in seconds since 1970, where written. Decides who is older (docs/semantics.md §1.5).
    pub created: Option<i64>,
    /// Fields of the object, such as `spec.http[0].wings`, that its kind does not have here. Only an API server whose
    /// schema is newer lets them through ([`crate::json`]); in a file they are mistakes.
    pub unknown: Vec<String>,
}

/// An object of a kind that is understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub meta: Meta,
    pub body: Body,
}

impl Object {
    /// The object's name among all objects.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        ObjectKey { kind: self.body.kind(), namespace: self.meta.namespace.clone(), name: self.meta.name.clone() }
    }
}

/// What is particular to a kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    Gateway(Box<Gateway>),
    VirtualService(Box<VirtualService>),
    DestinationRule(Box<DestinationRule>),
    ServiceEntry(Box<ServiceEntry>),
    Sidecar(Box<Sidecar>),
    WorkloadEntry(Box<WorkloadEntry>),
    WorkloadGroup(Box<WorkloadGroup>),
    ProxyConfig(Box<ProxyConfig>),
    PeerAuthentication(Box<PeerAuthentication>),
    RequestAuthentication(Box<RequestAuthentication>),
    AuthorizationPolicy(Box<AuthorizationPolicy>),
    Telemetry(Box<Telemetry>),
    Ingress(Box<IngressSpec>),
    IngressClass(Box<IngressClassSpec>),
    Service(Box<ServiceSpec>),
    /// The whole object without its metadata, which is in [`Meta`].
    EndpointSlice(Box<discovery::EndpointSlice>),
    Secret(SecretData),
    ConfigMap(ConfigMap),
    Pod(Pod),
    /// Its labels are all that matters.
    Namespace,
    /// Its labels are all that matters.
    Node,
}

impl Body {
    /// The kind this is the body of.
    #[must_use]
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::Gateway(_) => ObjectKind::Gateway,
            Self::VirtualService(_) => ObjectKind::VirtualService,
            Self::DestinationRule(_) => ObjectKind::DestinationRule,
            Self::ServiceEntry(_) => ObjectKind::ServiceEntry,
            Self::Sidecar(_) => ObjectKind::Sidecar,
            Self::WorkloadEntry(_) => ObjectKind::WorkloadEntry,
            Self::WorkloadGroup(_) => ObjectKind::WorkloadGroup,
            Self::ProxyConfig(_) => ObjectKind::ProxyConfig,
            Self::PeerAuthentication(_) => ObjectKind::PeerAuthentication,
            Self::RequestAuthentication(_) => ObjectKind::RequestAuthentication,
            Self::AuthorizationPolicy(_) => ObjectKind::AuthorizationPolicy,
            Self::Telemetry(_) => ObjectKind::Telemetry,
            Self::Ingress(_) => ObjectKind::Ingress,
            Self::IngressClass(_) => ObjectKind::IngressClass,
            Self::Service(_) => ObjectKind::Service,
            Self::EndpointSlice(_) => ObjectKind::EndpointSlice,
            Self::Secret(_) => ObjectKind::Secret,
            Self::ConfigMap(_) => ObjectKind::ConfigMap,
            Self::Pod(_) => ObjectKind::Pod,
            Self::Namespace => ObjectKind::Namespace,
            Self::Node => ObjectKind::Node,
        }
    }
}

/// What a Secret holds: `data` decoded, `stringData` on top of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretData {
    /// `type`, such as `kubernetes.io/tls`; empty where not written.
    pub kind: String,
    pub data: BTreeMap<String, SecretBytes>,
}

/// Bytes that must not appear in logs: `Debug` shows their number only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} secret bytes)", self.0.len())
    }
}

/// Settings as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigMap {
    pub data: BTreeMap<String, String>,
}

/// Where a pod runs, as whom, and at which addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    pub node: Option<String>,
    pub service_account: Option<String>,
    pub addresses: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_like_kubectl_arguments() {
        assert_eq!(ObjectKey::new(ObjectKind::VirtualService, "shop", "web").to_string(), "VirtualService shop/web");
        assert_eq!(ObjectKey::new(ObjectKind::Node, "", "n1").to_string(), "Node n1");
    }

    #[test]
    fn secrets_are_not_shown() {
        let data = BTreeMap::from([("tls.key".to_owned(), SecretBytes::from(b"hunter2".to_vec()))]);
        let shown = format!("{:?}", SecretData { kind: String::new(), data });
        assert!(shown.contains("7 secret bytes") && !shown.contains("hunter2"), "{shown}");
    }
}
