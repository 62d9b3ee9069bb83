//! The definitions in the base chart, on a real API server: accepted, served in every version, and good to use with
//! kubectl.

use std::path::Path;
use std::time::Duration;

use crds::ObjectKind;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams};
use sluice_tests::kube::ControlPlane;
use sluice_tests::wait::until_within;

use super::admission::DEFINITIONS;

const ROUTE: &str = "apiVersion: networking.istio.io/v1alpha3\nkind: VirtualService\nmetadata: {name: web}\nspec:\n  hosts: [shop.test]\n  gateways: [gate]\n  http: [{route: [{destination: {host: web}}]}]\n";

#[tokio::test]
async fn every_kind_is_served_in_every_version() {
    let plane = ControlPlane::shared().await;
    plane.apply_files(Path::new(DEFINITIONS)).await;
    let all: Api<CustomResourceDefinition> = Api::all(plane.admin());
    let mut count = 0;
    for definition in all.list(&ListParams::default()).await.unwrap() {
        let Some(kind) = ObjectKind::ALL.into_iter().find(|kind| {
            kind.is_istio() && definition.spec.group == kind.group() && definition.spec.names.kind == kind.as_str()
        }) else {
            continue;
        };
        count += 1;
        let conditions = definition.status.unwrap().conditions.unwrap();
        let is = |name: &str| conditions.iter().any(|condition| condition.type_ == name && condition.status == "True");
        assert!(is("Established") && is("NamesAccepted") && !is("NonStructuralSchema"), "{kind}: {conditions:?}");
        for version in kind.versions() {
            let path = format!("/apis/{}/{version}/{}", kind.group(), definition.spec.names.plural);
            let listed = plane.kubectl(&["get", "--raw", &path]).await;
            assert!(listed.contains("List"), "{path}: {listed}");
        }
    }
    assert_eq!(count, ObjectKind::ALL.into_iter().filter(|kind| kind.is_istio()).count());
}

#[tokio::test]
async fn kubectl_shows_how_far_an_object_has_got() {
    let plane = ControlPlane::shared().await;
    plane.apply_files(Path::new(DEFINITIONS)).await;
    let namespace = plane.namespace().await;
    namespace.apply(ROUTE).await;
    let status = r#"{"status": {"conditions": [{"type": "Programmed", "status": "True", "observedGeneration": 1, "reason": "Programmed"}],
        "observedGeneration": 1, "propagation": {"proxies": {"total": 3, "current": 2, "rejected": 0}, "p50Ms": 1.5, "p99Ms": 7}, "ofSomebodyElse": {"a": 1}}}"#;
    let patch = ["patch", "vs", "web", "-n", &namespace, "--subresource", "status", "--type", "merge", "-p", status];
    plane.kubectl(&patch).await;
    let wide = plane.kubectl(&["get", "vs", "web", "-n", &namespace, "-o", "wide", "--no-headers"]).await;
    let words: Vec<&str> = wide.split_whitespace().collect();
    assert_eq!(words[..7], ["web", "[\"gate\"]", "[\"shop.test\"]", "True", "3", "2", "7"], "{wide}");
    let kept =
        plane.kubectl(&["get", "vs", "web", "-n", &namespace, "-o", "jsonpath={.status.ofSomebodyElse.a}"]).await;
    assert_eq!(kept, "1", "what other controllers write stays");
    plane.kubectl(&["wait", "--for=condition=Programmed", "vs/web", "-n", &namespace, "--timeout=5s"]).await;
    let kind = "virtualservices.v1beta1.networking.istio.io";
    let old = plane.kubectl(&["get", kind, "web", "-n", &namespace, "-o", "yaml"]).await;
    assert!(old.contains("apiVersion: networking.istio.io/v1beta1"), "{old}");
    let all = plane.kubectl(&["get", "istio-io", "-n", &namespace, "-o", "name"]).await;
    assert_eq!(all.trim(), "virtualservice.networking.istio.io/web");
}

#[tokio::test]
async fn kubectl_explains_fields() {
    let plane = ControlPlane::shared().await;
    plane.apply_files(Path::new(DEFINITIONS)).await;
    let fields = [
        ("vs.spec.http.retries.attempts", "How often at most, besides the first try"),
        ("gw.spec.servers.tls.mode", "`MUTUAL`: TLS ends here and the client shows a certificate"),
        ("dr.spec.trafficPolicy.outlierDetection.interval", "How often endpoints are looked at; 10s without it"),
        ("ap.spec.action", "`DENY`: They are refused"),
    ];
    for (field, words) in fields {
        // The API server publishes a definition's schema a moment after it serves it.
        until_within(field, Duration::from_secs(30), async || {
            let text = plane.kubectl_as("admin", &["explain", field]).await.unwrap_or_default();
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            text.contains(words).then_some(())
        })
        .await;
    }
}
