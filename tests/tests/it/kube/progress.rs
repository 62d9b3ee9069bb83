//! How far an object has got, as people and their tools see it.

use std::time::Duration;

use serde_json::Value;
use sluice_tests::kube::ControlPlane;
use sluice_tests::kube::gateway::EdgePod;
use sluice_tests::kube::mesh::Mesh;
use sluice_tests::wait::until_within;

async fn status(plane: &ControlPlane, what: &str, namespace: &str) -> Value {
    let text = plane.kubectl(&["get", what, "-n", namespace, "-o", "json"]).await;
    serde_json::from_str::<Value>(&text).unwrap()["status"].take()
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|one| one["type"] == kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_says_when_every_proxy_has_it() {
    // Elsewhere controllers of other tests write status, too.
    let plane = &ControlPlane::start().await;
    let mesh = Mesh::install(plane).await;
    let namespace = &mesh.namespace;
    plane.apply(&super::discovery::objects(namespace, 200)).await;
    mesh.pod("edge-0", &[("edge", namespace)]).await;
    let running = mesh.controller().await;
    // Nobody is connected: accepted, but served by nobody.
    plane.kubectl(&["wait", "--for=condition=Accepted", "vs/web", "-n", namespace, "--timeout=30s"]).await;
    let before = status(plane, "vs/web", namespace).await;
    assert_eq!(condition(&before, "Programmed").unwrap()["status"], "False", "{before}");
    let pod = EdgePod::start(&mesh, &running, "edge-0").await;
    pod.port(8080).await;
    plane
        .kubectl(&["wait", "--for=condition=Programmed", "vs/web", "gateway/gate", "-n", namespace, "--timeout=30s"])
        .await;
    plane.apply(&super::discovery::service(namespace, 201)).await;
    until_within("the new generation is everywhere", Duration::from_secs(30), async || {
        let now = status(plane, "vs/web", namespace).await;
        let current = now["observedGeneration"] == 2
            && condition(&now, "Programmed")?["status"] == "True"
            && now["propagation"]["proxies"] == serde_json::json!({"total": 1, "current": 1, "rejected": 0})
            && now["propagation"]["p99Ms"].is_number();
        current.then_some(())
    })
    .await;
    assert_eq!(condition(&status(plane, "vs/web", namespace).await, "Reconciled").unwrap()["status"], "True");
    let shown = plane.kubectl(&["get", "vs", "web", "-n", namespace]).await;
    assert!(shown.contains("PROGRAMMED") && shown.contains("True"), "{shown}");
    // A mistake that no schema sees: the version before stays in force, and everybody is told.
    let broken = r#"{"spec": {"http": [{"match": [{"uri": {"regex": "("}}], "directResponse": {"status": 200}}]}}"#;
    plane.kubectl(&["patch", "vs", "web", "-n", namespace, "--type=merge", "-p", broken]).await;
    let told = until_within("it is not accepted", Duration::from_secs(30), async || {
        let now = status(plane, "vs/web", namespace).await;
        (condition(&now, "Accepted")?["status"] == "False").then_some(now)
    })
    .await;
    let message = condition(&told, "Accepted").unwrap()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("spec.http[0].match[0].uri.regex"), "{message}");
    assert_eq!(told["validationMessages"][0]["type"]["code"], "IST0106", "{told}");
    let reply = sluice_tests::H1::connect(pod.port(8080).await).await.unwrap().get("web.test", "/").await.unwrap();
    assert_eq!(reply.status, 201);
    until_within("an Event", Duration::from_secs(30), async || {
        let events = plane.kubectl(&["get", "events", "-n", namespace]).await;
        events.contains("regex").then_some(())
    })
    .await;
    // What points nowhere.
    let nowhere = r#"{"spec": {"http": [{"match": null, "directResponse": null, "route": [{"destination": {"host": "nowhere"}}]}]}}"#;
    plane.kubectl(&["patch", "vs", "web", "-n", namespace, "--type=merge", "-p", nowhere]).await;
    until_within("it is told", Duration::from_secs(30), async || {
        let now = status(plane, "vs/web", namespace).await;
        let resolved = condition(&now, "ResolvedRefs")?;
        (resolved["status"] == "False" && resolved["message"].as_str()?.contains("nowhere")).then_some(())
    })
    .await;
    running.end().await;
}
