//! What a real API server says about objects by the definitions in the base chart alone: with no webhook, and with no
//! controller there at all.

use std::path::Path;

use crds::ObjectKind;
use kube::api::{ApiResource, GroupVersionKind, TypeMeta};
use serde_json::{Value, json};
use sluice_tests::kube::ControlPlane;

/// The definitions, as the chart installs them.
pub(super) const DEFINITIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/base/files/crds");

const REFUSED: &str = include_str!("admission/refused.yaml");
const RECORDED: &str = include_str!("../../../../controller/translate/tests/admission.json");
const COMPAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/compat/cases");

/// Group and preferred version of a kind of Istio's.
fn api_version(kind: &str) -> String {
    let known = ObjectKind::ALL.into_iter().find(|known| known.is_istio() && known.as_str() == kind);
    let known = known.unwrap_or_else(|| panic!("there is no kind {kind}"));
    format!("{}/{}", known.group(), known.versions()[0])
}

/// Asks whether an object would be accepted, as strictly as kubectl does.
async fn refusal(plane: &ControlPlane, object: &Value) -> Option<String> {
    let word = |name: &str| object[name].as_str().unwrap().to_owned();
    let types = TypeMeta { api_version: word("apiVersion"), kind: word("kind") };
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types).unwrap());
    let ApiResource { api_version, plural, .. } = resource;
    let path = format!("/apis/{api_version}/namespaces/default/{plural}?dryRun=All&fieldValidation=Strict");
    let request = http::Request::post(path).header("content-type", "application/json");
    match plane.admin().request_text(request.body(object.to_string().into_bytes()).unwrap()).await {
        Ok(_) => None,
        Err(kube::Error::Api(status)) => Some(status.message.clone()),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn invalid_objects_are_refused_with_the_words_a_person_needs() {
    let plane = ControlPlane::shared().await;
    plane.apply_files(Path::new(DEFINITIONS)).await;
    let cases: Vec<Value> = serde_saphyr::from_str(REFUSED).unwrap();
    assert!(cases.len() >= 100, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let (name, kind) = (case["case"].as_str().unwrap(), case["kind"].as_str().unwrap());
        let version = api_version(kind);
        let object =
            json!({"apiVersion": version, "kind": kind, "metadata": {"name": "refused"}, "spec": case["spec"]});
        let said = refusal(plane, &object).await.unwrap_or_else(|| "accepted".to_owned());
        let missing = |words: &&Value| !said.contains(words.as_str().unwrap());
        for words in case["says"].as_array().unwrap().iter().filter(missing) {
            wrong.push(format!("{name}: {words} is not in: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Everything a real Istio was seen to accept: verdicts of its webhook, and the objects of the recorded cases.
#[tokio::test]
async fn what_istio_accepts_is_accepted() {
    let plane = ControlPlane::shared().await;
    plane.apply_files(Path::new(DEFINITIONS)).await;
    let mut objects = Vec::new();
    let recorded: Value = serde_json::from_str(RECORDED).unwrap();
    objects.extend(
        recorded
            .as_array()
            .unwrap()
            .iter()
            .filter(|case| case["verdict"] == "accept")
            .map(|case| case["object"].clone()),
    );
    for file in std::fs::read_dir(COMPAT).unwrap() {
        let cases: Value = serde_json::from_str(&std::fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
        collect(&cases, &mut objects);
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut wrong = Vec::new();
    for mut object in objects {
        // Where it lives and what it is called there makes no difference here.
        object["metadata"]["namespace"] = json!("default");
        if seen.insert(object.to_string())
            && let Some(said) = refusal(plane, &object).await
        {
            wrong.push(format!("{} {}: {said}", object["kind"], object["metadata"]["name"]));
        }
    }
    assert!(seen.len() > 500, "{}", seen.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Objects of Istio's kinds, wherever they stand.
fn collect(value: &Value, objects: &mut Vec<Value>) {
    match value {
        Value::Object(fields) => {
            let group = fields.get("apiVersion").and_then(Value::as_str).and_then(|version| version.split_once('/'));
            let known = ObjectKind::ALL.into_iter().any(|kind| {
                kind.is_istio()
                    && group.is_some_and(|(group, _)| group == kind.group())
                    && fields["kind"] == kind.as_str()
            });
            // A step of a recorded case that takes the object away.
            if known && !fields.contains_key("delete") {
                objects.push(value.clone());
            }
            fields.values().for_each(|inner| collect(inner, objects));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect(inner, objects)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
