//! Which kinds are watched, where, and how much of their objects is kept.

use crds::ObjectKind;
use kube::api::ApiResource;

/// How a kind is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Everywhere, at the version that the API server has: it comes with a definition that someone installs.
    Defined,
    /// Everywhere, whole objects.
    Whole,
    /// Everywhere, without what other controllers write.
    Slim,
    /// Everywhere, only what says who a pod is and where it runs; without pods that have ended.
    Pods,
    /// Everywhere, labels only.
    Labels,
    /// One object of the control namespace.
    MeshConfig,
    /// Single objects by name, while they are wanted. Never all of them: the controller may not read them.
    ByName,
}

pub(super) fn plan(kind: ObjectKind) -> Plan {
    match kind {
        ObjectKind::Gateway
        | ObjectKind::VirtualService
        | ObjectKind::DestinationRule
        | ObjectKind::ServiceEntry
        | ObjectKind::Sidecar
        | ObjectKind::WorkloadEntry
        | ObjectKind::WorkloadGroup
        | ObjectKind::ProxyConfig
        | ObjectKind::PeerAuthentication
        | ObjectKind::RequestAuthentication
        | ObjectKind::AuthorizationPolicy
        | ObjectKind::Telemetry => Plan::Defined,
        ObjectKind::Ingress | ObjectKind::IngressClass => Plan::Whole,
        ObjectKind::Service | ObjectKind::EndpointSlice => Plan::Slim,
        ObjectKind::Pod => Plan::Pods,
        ObjectKind::Namespace | ObjectKind::Node => Plan::Labels,
        ObjectKind::ConfigMap => Plan::MeshConfig,
        ObjectKind::Secret => Plan::ByName,
    }
}

/// Whether the status of objects of this kind is told with them, for whoever writes it.
pub(super) fn tells_status(kind: ObjectKind) -> bool {
    kind.is_istio() || kind == ObjectKind::Ingress
}

/// The name of a kind in paths and roles.
#[must_use]
pub fn plural(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Gateway => "gateways",
        ObjectKind::VirtualService => "virtualservices",
        ObjectKind::DestinationRule => "destinationrules",
        ObjectKind::ServiceEntry => "serviceentries",
        ObjectKind::Sidecar => "sidecars",
        ObjectKind::WorkloadEntry => "workloadentries",
        ObjectKind::WorkloadGroup => "workloadgroups",
        ObjectKind::ProxyConfig => "proxyconfigs",
        ObjectKind::PeerAuthentication => "peerauthentications",
        ObjectKind::RequestAuthentication => "requestauthentications",
        ObjectKind::AuthorizationPolicy => "authorizationpolicies",
        ObjectKind::Telemetry => "telemetries",
        ObjectKind::Ingress => "ingresses",
        ObjectKind::IngressClass => "ingressclasses",
        ObjectKind::Service => "services",
        ObjectKind::EndpointSlice => "endpointslices",
        ObjectKind::Secret => "secrets",
        ObjectKind::ConfigMap => "configmaps",
        ObjectKind::Pod => "pods",
        ObjectKind::Namespace => "namespaces",
        ObjectKind::Node => "nodes",
    }
}

/// A kind at a version, as the client names it.
pub(super) fn resource(kind: ObjectKind, version: &str) -> ApiResource {
    let group = kind.group();
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") },
        kind: kind.as_str().to_owned(),
        plural: plural(kind).to_owned(),
    }
}

/// `gateways.networking.istio.io`, as roles and definitions are named.
pub(super) fn full_name(kind: ObjectKind) -> String {
    match kind.group() {
        "" => plural(kind).to_owned(),
        group => format!("{}.{group}", plural(kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_are_those_of_the_cluster() {
        for kind in ObjectKind::ALL {
            let lower = kind.as_str().to_lowercase();
            let expected = match lower.strip_suffix('y') {
                Some(stem) if lower != "gateway" => format!("{stem}ies"),
                Some(_) | None if lower.ends_with('s') => format!("{lower}es"),
                Some(_) | None => format!("{lower}s"),
            };
            assert_eq!(plural(kind), expected);
        }
        assert_eq!(resource(ObjectKind::Pod, "v1").api_version, "v1");
        assert_eq!(resource(ObjectKind::Gateway, "v1beta1").api_version, "networking.istio.io/v1beta1");
        assert_eq!(full_name(ObjectKind::Ingress), "ingresses.networking.k8s.io");
    }

    #[test]
    fn kinds_of_definitions_are_istios() {
        for kind in ObjectKind::ALL {
            assert_eq!(plan(kind) == Plan::Defined, kind.is_istio(), "{kind}");
        }
    }
}
