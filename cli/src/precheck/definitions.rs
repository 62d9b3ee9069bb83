//! Definitions of Istio's kinds: whether they are there, whose they are, and whether their versions can be read.

use crds::ObjectKind;
use serde_json::Value;

use super::verdict::Verdict;
use crate::kubernetes::{Cluster, plain, status_of};

const WHAT: &str = "Definitions";

pub(super) async fn check(cluster: &Cluster) -> anyhow::Result<Vec<Verdict>> {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for kind in ObjectKind::ALL.into_iter().filter(|kind| kind.is_istio()) {
        let name = format!("{}.{}", controller::source::kube::plural(kind), kind.group());
        match cluster.get(&format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")).await {
            Ok(definition) => found.push((kind, name, definition)),
            Err(error) if status_of(&error) == Some(404) => missing.push(name),
            Err(error) if status_of(&error) == Some(403) => {
                let fix = "ask someone who may see customresourcedefinitions whether Istio's are installed";
                return Ok(vec![Verdict::warning(WHAT, "you may not see them", fix)]);
            }
            Err(error) => return Err(plain(error).context("definitions cannot be read")),
        }
    }
    Ok(judge(&found, &missing))
}

fn judge(found: &[(ObjectKind, String, Value)], missing: &[String]) -> Vec<Verdict> {
    if found.is_empty() {
        return vec![Verdict::ok(WHAT, "none of Istio's is there yet; charts/base brings them")];
    }
    let mut owners: Vec<String> = found.iter().map(|(_, _, definition)| owner(definition)).collect();
    owners.sort();
    owners.dedup();
    let mut verdicts = Vec::new();
    for (kind, name, definition) in found {
        let served: Vec<&str> = definition["spec"]["versions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|version| version["served"] == true)
            .filter_map(|version| version["name"].as_str())
            .collect();
        if !served.iter().any(|version| kind.versions().contains(version)) {
            let text = format!("{name} serves {}, of which none can be read", served.join(", "));
            let fix = format!("upgrade the definition; one of {} is needed", kind.versions().join(", "));
            verdicts.push(Verdict::error(WHAT, text, fix));
        }
    }
    if missing.is_empty() {
        let text = format!("all {} are there, from {}", found.len(), owners.join(" and "));
        verdicts.push(Verdict::ok(WHAT, text));
    } else {
        let text =
            format!("{} are there, from {}; missing are {}", found.len(), owners.join(" and "), missing.join(", "));
        let fix =
            "objects of the kinds that are missing cannot be written; upgrade the release that the others came from";
        verdicts.push(Verdict::warning(WHAT, text, fix));
    }
    verdicts
}

/// The helm release, as far as it says.
fn owner(definition: &Value) -> String {
    let metadata = &definition["metadata"];
    let annotation = |name: &str| metadata["annotations"][name].as_str();
    let release = annotation("meta.helm.sh/release-name").zip(annotation("meta.helm.sh/release-namespace"));
    match (release, metadata["labels"]["app.kubernetes.io/part-of"].as_str()) {
        (Some((name, namespace)), part) => {
            let part = part.map(|part| format!(" of {part}")).unwrap_or_default();
            format!("helm release {namespace}/{name}{part}")
        }
        (None, Some(part)) => part.to_owned(),
        (None, None) => "somebody who does not say".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::verdict::Level;
    use super::*;

    fn definition(version: &str) -> Value {
        json!({
            "metadata": {"annotations": {"meta.helm.sh/release-name": "istio-base",
                "meta.helm.sh/release-namespace": "istio-system"}},
            "spec": {"versions": [{"name": version, "served": true}, {"name": "v1", "served": false}]},
        })
    }

    #[test]
    fn whose_definitions_there_are_is_told() {
        let one =
            |version: &str| vec![(ObjectKind::Gateway, "gateways.networking.istio.io".to_owned(), definition(version))];
        let verdicts = judge(&one("v1beta1"), &[]);
        assert_eq!(verdicts[0].level, Level::Ok);
        assert!(verdicts[0].text.contains("helm release istio-system/istio-base"), "{verdicts:?}");
        let verdicts = judge(&one("v1beta1"), &["sidecars.networking.istio.io".to_owned()]);
        assert_eq!(verdicts[0].level, Level::Warning);
        let verdicts = judge(&one("v9"), &[]);
        assert!(verdicts[0].level == Level::Error && verdicts[0].text.contains("serves v9"), "{verdicts:?}");
        assert_eq!(judge(&[], &[]).first().map(|verdict| verdict.level), Some(Level::Ok));
    }
}
