//! Which pod is meant: by its name, or by the workload or Service it belongs to.

use anyhow::Context as _;
use serde_json::Value;

use super::connect::{Cluster, plain};
use super::forward::Pod;

/// Where objects of a kind are, and where their selector is.
fn kind(text: &str) -> Option<(&'static str, &'static str)> {
    const MATCH_LABELS: &str = "/spec/selector/matchLabels";
    Some(match text.split('.').next().unwrap_or(text) {
        "deployment" | "deployments" | "deploy" => ("apis/apps/v1|deployments", MATCH_LABELS),
        "daemonset" | "daemonsets" | "ds" => ("apis/apps/v1|daemonsets", MATCH_LABELS),
        "statefulset" | "statefulsets" | "sts" => ("apis/apps/v1|statefulsets", MATCH_LABELS),
        "replicaset" | "replicasets" | "rs" => ("apis/apps/v1|replicasets", MATCH_LABELS),
        "service" | "services" | "svc" => ("api/v1|services", "/spec/selector"),
        _ => return None,
    })
}

impl Cluster {
    /// `POD`, `POD.NAMESPACE` or `TYPE/NAME[.NAMESPACE]`, of which any pod will do.
    pub(crate) async fn pod(&self, text: &str, namespace: Option<&str>) -> anyhow::Result<Pod> {
        let Some((of, name)) = text.split_once('/') else { return Ok(Pod::parse(text, namespace, &self.namespace)) };
        let named = Pod::parse(name, namespace, &self.namespace);
        if ["pod", "pods", "po"].contains(&of) {
            return Ok(named);
        }
        let (place, selector) = kind(of).with_context(|| {
            format!(
                "{of:?} is no type that has pods; use pod, deployment, daemonset, statefulset, replicaset or service"
            )
        })?;
        let (api, plural) = place.split_once('|').unwrap_or((place, ""));
        let namespace = &named.namespace;
        let path = format!("/{api}/namespaces/{namespace}/{plural}/{}", named.name);
        let object = self.get(&path).await.map_err(plain)?;
        let labels: Vec<String> = object
            .pointer(selector)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
            .collect();
        anyhow::ensure!(!labels.is_empty(), "{text} selects no pods by labels; name one of them");
        let query = labels.join(",").replace('=', "%3D").replace(',', "%2C");
        let pods =
            self.get(&format!("/api/v1/namespaces/{namespace}/pods?labelSelector={query}")).await.map_err(plain)?;
        let mut pods: Vec<&Value> = pods["items"].as_array().into_iter().flatten().collect();
        let phase = |pod: &Value| pod["status"]["phase"].as_str().unwrap_or_default().to_owned();
        pods.retain(|pod| !["Succeeded", "Failed"].contains(&phase(pod).as_str()));
        // One that runs rather than one that does not yet.
        pods.sort_by_key(|pod| phase(pod) != "Running");
        let found = pods.first().and_then(|pod| pod["metadata"]["name"].as_str());
        let name = found.with_context(|| format!("{text} has no pod in namespace {namespace}"))?.to_owned();
        Ok(Pod { namespace: namespace.clone(), name })
    }
}
