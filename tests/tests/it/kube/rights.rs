//! The controller with the rights of its chart and nothing else: it asks for nothing it may not have, and the gateway
//! has no rights at all.

use sluice_tests::kube::ControlPlane;
use sluice_tests::kube::gateway::EdgePod;
use sluice_tests::kube::mesh::Mesh;

const SECRET_GATEWAY: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: NAMESPACE}
spec:
  selector: {edge: NAMESPACE}
  servers:
  - port: {number: 8080, name: http, protocol: HTTP}
    hosts: ['*']
  - port: {number: 8443, name: https, protocol: HTTPS}
    hosts: [web.test]
    tls: {mode: SIMPLE, credentialName: not-there}
";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_forbidden_is_asked_for() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    plane.apply(&SECRET_GATEWAY.replace("NAMESPACE", &mesh.namespace)).await;
    plane.apply(&super::discovery::service(&mesh.namespace, 200)).await;
    mesh.pod("edge-0", &[("edge", &mesh.namespace)]).await;
    let running = mesh.controller().await;
    let pod = EdgePod::start(&mesh, &running, "edge-0").await;
    pod.port(8080).await;
    // Whatever the controller does on a change, it does now.
    let broken = r#"{"spec": {"http": [{"match": [{"uri": {"regex": "("}}], "directResponse": {"status": 200}}]}}"#;
    plane.kubectl(&["patch", "virtualservice", "web", "-n", &mesh.namespace, "--type=merge", "-p", broken]).await;
    plane.apply(&super::discovery::service(&mesh.namespace, 201)).await;
    sluice_tests::wait::until_within("the change is in force", std::time::Duration::from_secs(30), async || {
        let reply = sluice_tests::H1::connect(pod.port(8080).await).await.ok()?.get("web.test", "/").await.ok()?;
        (reply.status == 201).then_some(())
    })
    .await;
    sluice_tests::wait::until_within("it leads", std::time::Duration::from_secs(30), async || {
        running.leadership().holds().then_some(())
    })
    .await;
    // Status, events and the roots are written by whoever leads, a moment later.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    running.end().await;
    let calls = plane.calls(&format!("system:serviceaccount:{}:sluice-controller", mesh.namespace));
    assert!(calls.iter().any(|call| call.resource == "virtualservices" && call.code == 200), "{calls:?}");
    let forbidden: Vec<_> = calls.iter().filter(|call| call.code == 403 || call.code == 401).collect();
    assert!(forbidden.is_empty(), "{forbidden:#?}");
    // Secrets by name, in namespaces of gateways and its own.
    for call in calls.iter().filter(|call| call.resource == "secrets") {
        assert_eq!(call.namespace, mesh.namespace, "{call:?}");
        let by_name = !call.name.is_empty() || call.uri.contains("metadata.name%3D") || call.verb == "create";
        assert!(by_name, "{call:?}");
    }
    let calls = plane.calls(&format!("system:serviceaccount:{}:edge", mesh.namespace));
    assert!(calls.is_empty(), "the gateway asks the API server for nothing: {calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateways_account_may_do_nothing() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    let client = plane.service_account(&mesh.namespace, "edge").await;
    let secrets: kube::Api<k8s_openapi::api::core::v1::Secret> = kube::Api::namespaced(client.clone(), &mesh.namespace);
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> = kube::Api::namespaced(client.clone(), &mesh.namespace);
    let maps: kube::Api<k8s_openapi::api::core::v1::ConfigMap> = kube::Api::namespaced(client, &mesh.namespace);
    let all = kube::api::ListParams::default();
    for code in [
        secrets.list(&all).await.map(|_| ()),
        secrets.get("shop").await.map(|_| ()),
        pods.list(&all).await.map(|_| ()),
        maps.get("istio").await.map(|_| ()),
    ] {
        assert!(matches!(&code, Err(kube::Error::Api(status)) if status.code == 403), "{code:?}");
    }
}
