//! From a pod to what its proxy is told: everything that is judged from where a proxy stands, and nothing that differs
//! between the replicas of a workload, so that they share one translation.

use std::collections::BTreeMap;

use crds::{Body, Object};
use translate::{ProxyScope, TranslationLimits};

use crate::limits::ControllerLimits;

/// Labels that tell replicas or their generations apart.
const PER_REPLICA: [&str; 5] = [
    "pod-template-hash",
    "pod-template-generation",
    "controller-revision-hash",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
];

/// What holds for every proxy of this control plane.
#[derive(Clone, Debug)]
pub struct Home {
    /// Namespace of the control plane.
    pub control_namespace: String,
    /// Name of the Kubernetes cluster, for metrics.
    pub cluster: String,
    /// Bounds of translation.
    pub limits: TranslationLimits,
    /// Bounds of the controller.
    pub bounds: ControllerLimits,
}

/// The scope of the proxy in a pod; `None` when the object is none.
#[must_use]
pub fn scope(pod: &Object, home: &Home) -> Option<ProxyScope> {
    if !matches!(pod.body, Body::Pod(_)) {
        return None;
    }
    let labels: BTreeMap<String, String> = pod
        .meta
        .labels
        .iter()
        .filter(|(name, _)| !PER_REPLICA.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Some(ProxyScope {
        name: workload(&pod.meta.name, &pod.meta.labels).to_owned(),
        namespace: pod.meta.namespace.clone(),
        labels,
        control_namespace: home.control_namespace.clone(),
        cluster: home.cluster.clone(),
    })
}

/// The name of what made the pod, as far as the pod's own name tells (docs/semantics.md §16.2).
fn workload<'a>(pod: &'a str, labels: &BTreeMap<String, String>) -> &'a str {
    let without_random = || pod.rsplit_once('-').map_or(pod, |(name, _)| name);
    if let Some(hash) = labels.get("pod-template-hash") {
        let name = without_random();
        return name.strip_suffix(hash.as_str()).and_then(|name| name.strip_suffix('-')).unwrap_or(name);
    }
    // A DaemonSet's pods end in something random, a StatefulSet's in a number.
    if labels.contains_key("controller-revision-hash") { without_random() } else { pod }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_of_a_workload_have_its_name() {
        let hashed = |name: &str| BTreeMap::from([(name.to_owned(), "6d4f9c".to_owned())]);
        for (pod, labels, expected) in [
            ("edge-6d4f9c-x2x4z", hashed("pod-template-hash"), "edge"),
            ("my-edge-6d4f9c-x2x4z", hashed("pod-template-hash"), "my-edge"),
            ("edge-x2x4z", hashed("controller-revision-hash"), "edge"),
            ("edge-0", hashed("controller-revision-hash"), "edge"),
            ("edge-0", BTreeMap::new(), "edge-0"),
            ("edge", hashed("pod-template-hash"), "edge"),
        ] {
            assert_eq!(workload(pod, &labels), expected, "{pod}");
        }
    }
}
