//! What is there already: another control plane of Istio's, Sluice itself, and Ingress classes of the same name.

use serde_json::Value;

use super::verdict::Verdict;
use crate::kubernetes::{Cluster, plain, status_of};

const ISTIOD: &str = "Control plane";
const CLASSES: &str = "Ingress classes";
/// The controllers of classes that we serve, Istio's own among them.
const OURS: [&str; 2] = ["sluice.dev/ingress-controller", "istio.io/ingress-controller"];

pub(super) async fn check(cluster: &Cluster) -> anyhow::Result<Vec<Verdict>> {
    Ok(vec![control_planes(cluster).await?, classes(cluster).await?])
}

async fn control_planes(cluster: &Cluster) -> anyhow::Result<Verdict> {
    let namespace = &cluster.control_namespace;
    let Some(deployments) = list(cluster, "/apis/apps/v1/deployments?limit=5000").await? else {
        return Ok(Verdict::warning(ISTIOD, "you may not list deployments", "make sure that no other istiod runs"));
    };
    Ok(judge(&deployments, namespace))
}

fn judge(deployments: &[Value], namespace: &str) -> Verdict {
    let label = |object: &Value, name: &str| object["metadata"]["labels"][name].as_str().unwrap_or_default().to_owned();
    let named = |object: &Value| {
        let part = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
        format!("{}/{}", part("namespace"), part("name"))
    };
    let is_ours = |object: &&Value| label(object, "app.kubernetes.io/part-of") == "sluice";
    let ours: Vec<String> = deployments
        .iter()
        .filter(|it| is_ours(it) && label(it, "app.kubernetes.io/component") == "controller")
        .map(named)
        .collect();
    let istiod: Vec<&Value> = deployments.iter().filter(|it| label(it, "app") == "istiod" && !is_ours(it)).collect();
    let there: Vec<String> = istiod.iter().map(|it| named(it)).collect();
    let beside = istiod.iter().any(|it| it["metadata"]["namespace"] == namespace);
    match (ours.as_slice(), there.as_slice()) {
        ([], []) => Verdict::ok(ISTIOD, "no other one runs"),
        (ours, []) => {
            Verdict::ok(ISTIOD, format!("Sluice is here already ({}); this would be an upgrade", ours.join(", ")))
        }
        (_, istiod) if beside => {
            let text = format!("Istio runs in the same namespace ({})", istiod.join(", "));
            Verdict::warning(
                ISTIOD,
                text,
                "both serve the same objects with the same certificate authority, each its own gateways; skip charts/base \
                 (docs/install.md, beside Istio)",
            )
        }
        (_, istiod) => {
            let text = format!("Istio runs elsewhere ({})", istiod.join(", "));
            Verdict::warning(
                ISTIOD,
                text,
                "both would serve the same objects, with different certificate authorities; install into its namespace with \
                 -i to share one",
            )
        }
    }
}

async fn classes(cluster: &Cluster) -> anyhow::Result<Verdict> {
    let Some(classes) = list(cluster, "/apis/networking.k8s.io/v1/ingressclasses?limit=500").await? else {
        return Ok(Verdict::warning(CLASSES, "you may not list them", "see whether `istio` and `sluice` are taken"));
    };
    let foreign: Vec<&str> = classes
        .iter()
        .filter(|class| !class["spec"]["controller"].as_str().is_some_and(|by| OURS.contains(&by)))
        .filter_map(|class| class["metadata"]["name"].as_str())
        .filter(|name| ["istio", "sluice"].contains(name))
        .collect();
    Ok(if foreign.is_empty() {
        Verdict::ok(CLASSES, "`istio` and `sluice` are free or ours")
    } else {
        let text = format!("{} belongs to another controller", foreign.join(" and "));
        Verdict::warning(CLASSES, text, "Ingresses of that class are left to it")
    })
}

/// `None` without the right to see them.
async fn list(cluster: &Cluster, path: &str) -> anyhow::Result<Option<Vec<Value>>> {
    match cluster.get(path).await {
        Ok(mut found) => match found["items"].take() {
            Value::Array(items) => Ok(Some(items)),
            _ => Ok(Some(Vec::new())),
        },
        Err(error) if status_of(&error) == Some(403) => Ok(None),
        Err(error) => Err(plain(error).context(format!("{path} cannot be read"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::verdict::Level;
    use super::*;

    fn deployment(namespace: &str, labels: Value) -> Value {
        json!({"metadata": {"name": "istiod", "namespace": namespace, "labels": labels}})
    }

    #[test]
    fn another_istiod_is_a_warning_and_our_own_is_an_upgrade() {
        let istio = || json!({"app": "istiod"});
        let ours = json!({
            "app": "istiod", "app.kubernetes.io/part-of": "sluice", "app.kubernetes.io/component": "controller",
        });
        assert_eq!(judge(&[], "istio-system").level, Level::Ok);
        let upgrade = judge(&[deployment("istio-system", ours)], "istio-system");
        assert!(upgrade.level == Level::Ok && upgrade.text.contains("upgrade"), "{upgrade:?}");
        let beside = judge(&[deployment("istio-system", istio())], "istio-system");
        assert!(beside.level == Level::Warning && beside.text.contains("same namespace"), "{beside:?}");
        let elsewhere = judge(&[deployment("other", istio())], "istio-system");
        assert!(elsewhere.level == Level::Warning && elsewhere.text.contains("elsewhere"), "{elsewhere:?}");
    }
}
