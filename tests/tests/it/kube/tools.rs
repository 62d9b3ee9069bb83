//! What other tools send: Flagger and Argo Rollouts read an object, change the weights and write the whole of it back,
//! each in a version of its own, and may have read the object before somebody else wrote it.

use std::collections::BTreeMap;

use ir::{Encoded, Key, Kind};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};
use serde_json::{Value, json};
use sluice_tests::kube::ControlPlane;
use sluice_tests::kube::mesh::Mesh;

const OBJECTS: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: NAMESPACE}
spec:
  selector: {edge: NAMESPACE}
  servers:
  - port: {number: 8080, name: http, protocol: HTTP}
    hosts: ['*']
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: web
  namespace: NAMESPACE
  annotations: {owner: people}
spec:
  hosts: [web.test]
  gateways: [gate]
  http:
  - name: primary
    route:
    - destination: {host: stable.NAMESPACE.svc.cluster.local}
      weight: 100
    - destination: {host: canary.NAMESPACE.svc.cluster.local}
      weight: 0
";

fn weights(resources: &BTreeMap<Key, Encoded>) -> Vec<u64> {
    let group = resources.values().find(|one| one.key.kind == Kind::RouteGroup).expect("a route group");
    let body: Value = serde_json::from_slice(&group.body).unwrap();
    let mut found = Vec::new();
    collect(&body, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<u64>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("weight").and_then(Value::as_u64));
            fields.values().for_each(|value| collect(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_written_back_in_any_version_reach_the_proxy() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    let namespace = &mesh.namespace;
    plane.apply(&OBJECTS.replace("NAMESPACE", namespace)).await;
    mesh.pod("edge-0", &[("edge", namespace)]).await;
    let running = mesh.controller().await;
    let mut proxy = mesh.proxy(&running, "edge-0").await;
    let push = proxy.push().await;
    proxy.ack(push).await;
    // What gets nothing is not told.
    assert_eq!(weights(&proxy.resources), [100]);
    // external-dns and people, Flagger, Argo Rollouts.
    for (version, canary) in [("v1", 5), ("v1beta1", 10), ("v1alpha3", 50)] {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("networking.istio.io", version, "VirtualService"));
        let api: Api<DynamicObject> = Api::namespaced_with(plane.admin(), namespace, &kind);
        let read = loop {
            let read = api.get("web").await.unwrap();
            assert_eq!(read.types.as_ref().unwrap().api_version, format!("networking.istio.io/{version}"));
            let mut object = read.clone();
            // Argo Rollouts writes weights of 64 bits, Flagger whole routes with headers and retries it may have been given.
            object.data["spec"]["http"][0]["route"][0]["weight"] = json!(100 - canary);
            object.data["spec"]["http"][0]["route"][1]["weight"] = json!(canary);
            if version == "v1beta1" {
                let retries = json!({"attempts": 3, "perTryTimeout": "1s", "retryOn": "5xx"});
                object.data["spec"]["http"][0]["retries"] = retries;
                let annotations = object.metadata.annotations.get_or_insert_default();
                annotations.insert("kustomize.toolkit.fluxcd.io/reconcile".into(), "disabled".into());
            }
            match api.replace("web", &PostParams::default(), &object).await {
                Ok(_) => break read,
                // Status was written in between; tools try again, too.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => panic!("{error}"),
            }
        };
        proxy.until("the new weights", |resources| weights(resources) == [100 - canary, canary]).await;
        // Whoever read before somebody else wrote is told so, and nothing is lost.
        let late = api.replace("web", &PostParams::default(), &read).await.unwrap_err();
        assert!(matches!(&late, kube::Error::Api(status) if status.code == 409), "{late}");
    }
    let kept = plane.kubectl(&["get", "virtualservice", "web", "-n", namespace, "-o", "yaml"]).await;
    assert!(kept.contains("owner: people") && kept.contains("perTryTimeout: 1s"), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_goes_and_what_comes_back_is_served() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    let namespace = &mesh.namespace;
    let objects = OBJECTS.replace("NAMESPACE", namespace);
    plane.apply(&objects).await;
    mesh.pod("edge-0", &[("edge", namespace)]).await;
    let running = mesh.controller().await;
    let mut proxy = mesh.proxy(&running, "edge-0").await;
    let push = proxy.push().await;
    proxy.ack(push).await;
    let has = |resources: &BTreeMap<Key, Encoded>, kind| resources.keys().any(|key| key.kind == kind);
    for _ in 0..3 {
        plane.kubectl(&["delete", "virtualservice,gateway", "--all", "-n", namespace]).await;
        proxy
            .until("nothing is left", |resources| !has(resources, Kind::RouteGroup) && !has(resources, Kind::Listener))
            .await;
        plane.apply(&objects).await;
        proxy
            .until("all is back", |resources| has(resources, Kind::RouteGroup) && has(resources, Kind::Listener))
            .await;
    }
    // A namespace goes with everything in it, once somebody sees to it.
    plane.controller_manager().await;
    let other = plane.namespace().await;
    let elsewhere = objects.replace("gateways: [gate]", &format!("gateways: [{namespace}/gate]"));
    let service = elsewhere
        .split("---")
        .nth(1)
        .unwrap()
        .replace(&format!("namespace: {namespace}"), &format!("namespace: {}", &*other));
    plane.apply(&service.replace("web.test", "other.test")).await;
    let groups =
        |resources: &BTreeMap<Key, Encoded>| resources.keys().filter(|key| key.kind == Kind::RouteGroup).count();
    proxy.until("two groups", |resources| groups(resources) == 2).await;
    plane.kubectl(&["delete", "namespace", &other, "--wait=false"]).await;
    proxy.until("one group", |resources| groups(resources) == 1).await;
}
