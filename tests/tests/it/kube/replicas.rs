//! Two controllers of one mesh: each serves proxies, one writes status, and that one knows of all proxies.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use controller::cluster::Running;
use controller::replicas::Find;
use serde_json::{Value, json};
use sluice_tests::kube::ControlPlane;
use sluice_tests::kube::gateway::EdgePod;
use sluice_tests::kube::mesh::Mesh;
use sluice_tests::wait::until_within;

const PATIENCE: Duration = Duration::from_secs(40);

fn free() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

async fn controller(mesh: &Mesh<'_>, name: &str, own: SocketAddr, other: SocketAddr) -> Running {
    let mut options = mesh.options(name);
    options.addresses.discovery = own;
    options.replicas = Some(Find::Fixed(vec![other]));
    mesh.controller_with(options).await
}

async fn proxies(plane: &ControlPlane, namespace: &str) -> Value {
    let text = plane.kubectl(&["get", "vs", "web", "-n", namespace, "-o", "json"]).await;
    serde_json::from_str::<Value>(&text).unwrap()["status"]["propagation"]["proxies"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_tells_of_everybodys_proxies() {
    let plane = &ControlPlane::start().await;
    let mesh = Mesh::install(plane).await;
    let namespace = &mesh.namespace;
    plane.apply(&super::discovery::objects(namespace, 200)).await;
    let addresses = (free(), free());
    let first = controller(&mesh, "controller-0", addresses.0, addresses.1).await;
    until_within("the first leads", PATIENCE, async || first.leadership().holds().then_some(())).await;
    let second = controller(&mesh, "controller-1", addresses.1, addresses.0).await;
    // Of two workloads, so that the leader has not translated for the second one's.
    mesh.pod("edge-0", &[("edge", namespace)]).await;
    mesh.pod("other-0", &[("edge", namespace), ("app", "other")]).await;
    let here = EdgePod::start(&mesh, &first, "edge-0").await;
    let there = EdgePod::start(&mesh, &second, "other-0").await;
    here.port(8080).await;
    there.port(8080).await;
    let all = |count: usize| json!({"total": count, "current": count, "rejected": 0});
    until_within("both count", PATIENCE, async || (proxies(plane, namespace).await == all(2)).then_some(())).await;
    // A change that only everybody's answer makes complete.
    plane.apply(&super::discovery::service(namespace, 201)).await;
    until_within("both have it", PATIENCE, async || {
        let text = plane.kubectl(&["get", "vs", "web", "-n", namespace, "-o", "json"]).await;
        let status = serde_json::from_str::<Value>(&text).unwrap()["status"].take();
        let waits = &status["propagation"];
        (status["observedGeneration"] == 2 && waits["proxies"] == all(2) && waits["p99Ms"].is_number()).then_some(())
    })
    .await;
    // The leader dies; the other one takes over and tells of the proxy it has.
    first.abort();
    until_within("the second leads", PATIENCE, async || second.leadership().holds().then_some(())).await;
    until_within("one counts", PATIENCE, async || (proxies(plane, namespace).await == all(1)).then_some(())).await;
    second.end().await;
}
