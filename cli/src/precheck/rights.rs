//! Whether whoever asks may create what the charts consist of.

use anyhow::Context as _;
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use super::verdict::Verdict;
use crate::kubernetes::{Cluster, plain};

const WHAT: &str = "Rights";
const AT_ONCE: usize = 8;

/// Group, resource, and whether it lives in a namespace.
const CREATED: [(&str, &str, bool); 17] = [
    ("apiextensions.k8s.io", "customresourcedefinitions", false),
    ("", "namespaces", false),
    ("rbac.authorization.k8s.io", "clusterroles", false),
    ("rbac.authorization.k8s.io", "clusterrolebindings", false),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", false),
    ("networking.k8s.io", "ingressclasses", false),
    ("rbac.authorization.k8s.io", "roles", true),
    ("rbac.authorization.k8s.io", "rolebindings", true),
    ("", "serviceaccounts", true),
    ("", "configmaps", true),
    ("", "services", true),
    // helm keeps its releases in them.
    ("", "secrets", true),
    ("apps", "deployments", true),
    ("autoscaling", "horizontalpodautoscalers", true),
    ("policy", "poddisruptionbudgets", true),
    ("networking.k8s.io", "networkpolicies", true),
    ("coordination.k8s.io", "leases", true),
];

pub(super) async fn check(cluster: &Cluster) -> anyhow::Result<Vec<Verdict>> {
    let asked: Vec<(String, anyhow::Result<bool>)> = stream::iter(CREATED)
        .map(async |(group, resource, namespaced)| {
            let name = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
            let namespace = if namespaced { cluster.control_namespace.as_str() } else { "" };
            (name, may_create(cluster, group, resource, namespace).await)
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut refused = Vec::new();
    for (name, answer) in asked {
        if !answer? {
            refused.push(name);
        }
    }
    Ok(vec![if refused.is_empty() {
        Verdict::ok(WHAT, format!("you may create all {} kinds of objects that the charts consist of", CREATED.len()))
    } else {
        let text = format!("you may not create {}", refused.join(", "));
        Verdict::error(WHAT, text, "install as someone who may, such as a member of cluster-admin")
    }])
}

async fn may_create(cluster: &Cluster, group: &str, resource: &str, namespace: &str) -> anyhow::Result<bool> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "group": group, "resource": resource, "namespace": namespace, "verb": "create",
        }},
    });
    let request = http::Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        .header("content-type", "application/json")
        .body(serde_json::to_vec(&review)?)?;
    let answer: Value =
        cluster.client.request(request).await.map_err(plain).context("your rights cannot be reviewed")?;
    Ok(answer["status"]["allowed"] == true)
}
