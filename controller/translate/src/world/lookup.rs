//! What can be asked of a world, and which answers an object has a part in.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use crds::{Body, Object, ObjectKey, ObjectKind};

use crate::{hosts, ingress};

/// Names a Gateway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GatewayName {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl GatewayName {
    /// The Gateway that a VirtualService of that namespace means; nothing for the mesh (docs/semantics.md §1.3).
    pub(crate) fn parse(text: &str, namespace: &str) -> Option<Self> {
        if text == MESH {
            return None;
        }
        let (namespace, name) = match text.split_once('/') {
            Some(parts) => parts,
            None => match text.split_once('.') {
                // The legacy form: name.namespace, perhaps followed by svc and the domain.
                Some((name, rest)) => (rest.split('.').next().unwrap_or(rest), name),
                None => (namespace, text),
            },
        };
        Some(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    pub(crate) fn key(&self) -> ObjectKey {
        ObjectKey::new(ObjectKind::Gateway, &self.namespace, &self.name)
    }
}

impl fmt::Display for GatewayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The reserved word for all sidecars.
pub(crate) const MESH: &str = "mesh";
/// Names the Service an EndpointSlice belongs to.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// A question to the world. Translations are run again when the answer to one they asked may have changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Lookup {
    Object(ObjectKey),
    /// All Gateways.
    Gateways,
    /// VirtualServices that name this Gateway.
    BoundTo(GatewayName),
    /// DestinationRules of a namespace for exactly this host.
    RulesFor {
        namespace: String,
        host: String,
    },
    /// DestinationRules of a namespace for wildcard hosts.
    WildcardRulesIn(String),
    /// ServiceEntries that define this host.
    EntriesOf(String),
    /// Services and ServiceEntries of a namespace that select workloads.
    SelectingIn(String),
    SlicesOf {
        namespace: String,
        service: String,
    },
    /// All Ingresses, as far as servers are made of them.
    Ingresses,
    /// Ingresses with a rule for this host.
    IngressesFor(String),
    /// Ingresses with a default backend.
    DefaultBackends,
    /// Pods with this address.
    PodAt(String),
    /// Not in the world but made from it: what became of a Gateway's servers.
    Servers(GatewayName),
    /// Likewise: which hosts belong to which namespaces.
    Claims,
}

/// Stands for a question where only sameness matters: there are a hundred thousand of them, and their text would take most
/// of the memory. Two questions with one mark cost a translation that was not necessary, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Mark(u64);

impl Lookup {
    pub(crate) fn mark(&self) -> Mark {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        Mark(hasher.finish())
    }
}

/// The questions whose answers this object is part of.
pub(crate) fn lookups(object: &Object) -> Vec<Lookup> {
    let namespace = &object.meta.namespace;
    match &object.body {
        Body::Gateway(_) => vec![Lookup::Gateways],
        Body::VirtualService(spec) => {
            let names = spec.gateways.iter().filter_map(|gateway| GatewayName::parse(gateway, namespace));
            names.map(Lookup::BoundTo).collect()
        }
        Body::DestinationRule(spec) => {
            let host = hosts::resolve(&spec.host, namespace);
            vec![if host.starts_with('*') {
                Lookup::WildcardRulesIn(namespace.clone())
            } else {
                Lookup::RulesFor { namespace: namespace.clone(), host: host.into_owned() }
            }]
        }
        Body::ServiceEntry(spec) => {
            let mut lookups: Vec<Lookup> = spec.hosts.iter().map(|host| Lookup::EntriesOf(host.clone())).collect();
            if spec.workload_selector.is_some() {
                lookups.push(Lookup::SelectingIn(namespace.clone()));
            }
            lookups
        }
        Body::Service(spec) => match &spec.selector {
            Some(selector) if !selector.is_empty() => vec![Lookup::SelectingIn(namespace.clone())],
            _ => Vec::new(),
        },
        Body::EndpointSlice(_) => match object.meta.labels.get(SERVICE_NAME) {
            Some(service) => vec![Lookup::SlicesOf { namespace: namespace.clone(), service: service.clone() }],
            None => Vec::new(),
        },
        Body::Pod(pod) => pod.addresses.iter().map(|address| Lookup::PodAt(address.clone())).collect(),
        Body::Ingress(spec) => {
            let mut lookups = vec![Lookup::Ingresses];
            lookups.extend(ingress::rule_hosts(spec).map(|host| Lookup::IngressesFor(host.to_owned())));
            if spec.default_backend.is_some() {
                lookups.push(Lookup::DefaultBackends);
            }
            lookups
        }
        // Found by name, or by nobody yet.
        Body::Secret(_)
        | Body::ConfigMap(_)
        | Body::Namespace
        | Body::Node
        | Body::Sidecar(_)
        | Body::WorkloadEntry(_)
        | Body::WorkloadGroup(_)
        | Body::ProxyConfig(_)
        | Body::PeerAuthentication(_)
        | Body::RequestAuthentication(_)
        | Body::AuthorizationPolicy(_)
        | Body::Telemetry(_)
        | Body::IngressClass(_) => Vec::new(),
    }
}

/// The question whose answer stays the same although it has a part of what was replaced.
pub(crate) fn unaffected(old: &Object, new: &Object) -> Option<Lookup> {
    match (&old.body, &new.body) {
        // Those who ask for all Ingresses want to know their servers.
        (Body::Ingress(before), Body::Ingress(after)) => {
            ingress::same_servers((&old.meta, before), (&new.meta, after)).then_some(Lookup::Ingresses)
        }
        _ => None,
    }
}

/// Whether a selector picks something with these labels.
pub(crate) fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_named_in_four_ways() {
        for (text, expected) in [
            ("edge/gate", Some(("edge", "gate"))),
            ("gate", Some(("shop", "gate"))),
            ("gate.edge", Some(("edge", "gate"))),
            ("gate.edge.svc.cluster.local", Some(("edge", "gate"))),
            ("mesh", None),
        ] {
            let found = GatewayName::parse(text, "shop");
            let found = found.as_ref().map(|name| (name.namespace.as_str(), name.name.as_str()));
            assert_eq!(found, expected, "{text}");
        }
    }
}
