//! Kinds come and go, and their definitions are not always ours.

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use sluice_tests::kube::ControlPlane;
use sluice_tests::kube::mesh::project;

use super::bench::Bench;

/// As Istio's own were before v1: other versions, another schema.
const FOREIGN: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: virtualservices.networking.istio.io
  labels: {app: istio-pilot, chart: istio}
spec:
  group: networking.istio.io
  names: {kind: VirtualService, listKind: VirtualServiceList, plural: virtualservices, singular: virtualservice, shortNames: [vs]}
  scope: Namespaced
  versions:
  - name: v1alpha3
    served: true
    storage: false
    schema: &schema
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, x-kubernetes-preserve-unknown-fields: true}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
    subresources: {status: {}}
  - name: v1beta1
    served: true
    storage: true
    schema: *schema
    subresources: {status: {}}
";

fn service(version: &str, name: &str, status: u16) -> String {
    format!(
        "{{apiVersion: networking.istio.io/{version}, kind: VirtualService, metadata: {{name: {name}}}, \
         spec: {{hosts: [a.test], http: [{{directResponse: {{status: {status}}}}}]}}}}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_may_be_foreign_come_late_go_and_come_back() {
    let plane = ControlPlane::start().await;
    let space = plane.namespace().await;
    let mut bench = Bench::start(plane.admin(), &space).await;
    let key = |name: &str| format!("VirtualService {}/{name}", &*space);
    assert!(bench.errors("VirtualService", "missing") == 0);

    // A definition of somebody else's, without the version we like best.
    plane.apply(FOREIGN).await;
    space.apply(&service("v1alpha3", "web", 200)).await;
    let is = |bench: &Bench, name: &str, version: &str| {
        bench.api_version(&key(name)) == format!("networking.istio.io/{version}")
    };
    bench.until("an object of the new kind arrives in the best version", |bench| is(bench, "web", "v1beta1")).await;

    // Its status can be written in the version that was told.
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("networking.istio.io", "v1beta1", "VirtualService"));
    let api: Api<DynamicObject> = Api::namespaced_with(plane.admin(), &space, &resource);
    let before = bench.version(&key("web")).to_owned();
    let status = serde_json::json!({"status": {"observedGeneration": "1"}});
    api.patch_status("web", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    bench.until("its status is told", |bench| bench.version(&key("web")) != before).await;

    // The kind goes, and its objects with it.
    plane.kubectl(&["delete", "crd", "virtualservices.networking.istio.io"]).await;
    bench.until("the objects go with their kind", |bench| !bench.has(&key("web"))).await;

    // Ours, with an object of the name that was there before.
    plane.apply_files(&project().join("charts/base/files/crds")).await;
    space.apply(&service("v1", "web", 201)).await;
    space.apply(&service("v1", "other", 201)).await;
    bench
        .until("objects of the kind that is back arrive", |bench| bench.has(&key("web")) && bench.has(&key("other")))
        .await;
    bench.until("they are told in the best version", |bench| is(bench, "web", "v1") && is(bench, "other", "v1")).await;
    plane.kubectl(&["delete", "virtualservices.networking.istio.io", "other", "-n", &space]).await;
    bench.until("a deletion arrives", |bench| !bench.has(&key("other"))).await;
    assert!(bench.has(&key("web")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_not_served_any_more_is_left_for_another() {
    let plane = ControlPlane::start().await;
    let space = plane.namespace().await;
    plane.apply(FOREIGN).await;
    space.apply(&service("v1beta1", "web", 200)).await;
    let mut bench = Bench::start(plane.admin(), &space).await;
    let key = format!("VirtualService {}/web", &*space);
    assert_eq!(bench.api_version(&key), "networking.istio.io/v1beta1");
    let unserve = serde_json::json!([{"op": "replace", "path": "/spec/versions/1/served", "value": false}]);
    let patch = serde_json::to_string(&unserve).unwrap();
    plane.kubectl(&["patch", "crd", "virtualservices.networking.istio.io", "--type=json", "-p", &patch]).await;
    bench
        .until("it is told in the version that is left", |bench| {
            bench.api_version(&key) == "networking.istio.io/v1alpha3"
        })
        .await;
    assert!(bench.deleted.is_empty(), "{:?}", bench.deleted);
    space.apply(&service("v1alpha3", "later", 200)).await;
    bench.until("new objects arrive", |bench| bench.has(&format!("VirtualService {}/later", &*space))).await;
}
