//! A canary behind a gateway that follows a real API server: weights move under load, and nothing fails, whoever dies.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sluice_tests::kube::ControlPlane;
use sluice_tests::kube::gateway::EdgePod;
use sluice_tests::kube::mesh::Mesh;
use sluice_tests::wait::until_within;
use sluice_tests::{Backend, H1};

/// Gateway, a service with two versions, and weights for them.
fn canary(namespace: &str, v1: &Backend, v2: &Backend) -> String {
    format!(
        "{}---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: shop, namespace: {namespace}}}
spec:
  hosts: [shop.{namespace}.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints:
  - {{address: 127.0.0.1, ports: {{http: {}}}, labels: {{version: v1}}}}
  - {{address: 127.0.0.1, ports: {{http: {}}}, labels: {{version: v2}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: shop, namespace: {namespace}}}
spec:
  host: shop.{namespace}.test
  subsets:
  - {{name: v1, labels: {{version: v1}}}}
  - {{name: v2, labels: {{version: v2}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop, namespace: {namespace}}}
spec:
  hosts: [shop.test]
  gateways: [gate]
  http:
  - route:
    - {{destination: {{host: shop.{namespace}.test, subset: v1}}, weight: 100}}
    - {{destination: {{host: shop.{namespace}.test, subset: v2}}, weight: 0}}
",
        super::discovery::gateway(namespace),
        v1.address.port(),
        v2.address.port()
    )
}

/// The patch that people and their tools send.
fn weights(namespace: &str, v1: u32, v2: u32) -> String {
    let destination = |subset: &str, weight: u32| serde_json::json!({"destination": {"host": format!("shop.{namespace}.test"), "subset": subset}, "weight": weight});
    serde_json::json!({"spec": {"http": [{"route": [destination("v1", v1), destination("v2", v2)]}]}}).to_string()
}

/// Requests that never stop.
struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    workers: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(address: SocketAddr, connections: usize) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let worker = || {
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            tokio::spawn(async move {
                let mut failures = Vec::new();
                let mut client = H1::connect(address).await.unwrap();
                while !stop.load(Ordering::Relaxed) {
                    match client.get("shop.test", "/").await {
                        Ok(reply) if reply.status == 200 => {}
                        Ok(reply) => failures.push(format!("{}: {}", reply.status, reply.text())),
                        Err(error) => {
                            failures.push(format!("{error:#}"));
                            client = H1::connect(address).await.unwrap();
                        }
                    }
                    sent.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                failures
            })
        };
        let workers = (0..connections).map(|_| worker()).collect();
        Self { stop, sent, workers }
    }

    /// Ends and shows what failed; nothing may have.
    async fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.workers {
            assert_eq!(worker.await.unwrap(), Vec::<String>::new());
        }
        self.sent.load(Ordering::Relaxed)
    }
}

async fn share_of_v2(address: SocketAddr, requests: usize) -> f64 {
    let mut client = H1::connect(address).await.unwrap();
    let mut count = 0;
    for _ in 0..requests {
        let reply = client.get("shop.test", "/").await.unwrap();
        assert_eq!(reply.status, 200);
        count += usize::from(reply.backend() == "v2");
    }
    count as f64 / requests as f64
}

async fn until_it_answers(address: SocketAddr) {
    until_within("v1 answers", Duration::from_secs(20), async || {
        let reply = H1::connect(address).await.ok()?.get("shop.test", "/").await.ok()?;
        (reply.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_move_under_load_and_nothing_fails() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    let (v1, v2) = (Backend::start("v1").await, Backend::start("v2").await);
    plane.apply(&canary(&mesh.namespace, &v1, &v2)).await;
    mesh.pod("edge-0", &[("edge", &mesh.namespace)]).await;
    let running = mesh.controller().await;
    let pod = EdgePod::start(&mesh, &running, "edge-0").await;
    let address = pod.port(8080).await;
    until_it_answers(address).await;
    let load = Load::start(address, 8);
    for (old, new) in [(90, 10), (50, 50), (10, 90), (0, 100)] {
        let patch = weights(&mesh.namespace, old, new);
        plane.kubectl(&["patch", "virtualservice", "shop", "-n", &mesh.namespace, "--type=merge", "-p", &patch]).await;
    }
    until_within("everything goes to v2", Duration::from_secs(20), async || {
        (share_of_v2(address, 50).await == 1.0).then_some(())
    })
    .await;
    let sent = load.end().await;
    assert!(sent > 100, "{sent} requests are no load");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_dies_and_comes_back_fails_nothing() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    let (v1, v2) = (Backend::start("v1").await, Backend::start("v2").await);
    plane.apply(&canary(&mesh.namespace, &v1, &v2)).await;
    mesh.pod("edge-0", &[("edge", &mesh.namespace)]).await;
    let running = mesh.controller().await;
    let mut pod = EdgePod::start(&mesh, &running, "edge-0").await;
    let address = pod.port(8080).await;
    until_it_answers(address).await;
    let load = Load::start(address, 4);
    let mut options = mesh.options("controller-1");
    // Whoever comes back finds the old address.
    options.addresses.discovery = running.addresses().discovery;
    running.abort();
    let patch = weights(&mesh.namespace, 0, 100);
    plane.kubectl(&["patch", "virtualservice", "shop", "-n", &mesh.namespace, "--type=merge", "-p", &patch]).await;
    assert_eq!(share_of_v2(address, 20).await, 0.0, "nobody has told the gateway");
    let running = mesh.controller_with(options).await;
    until_within("everything goes to v2", Duration::from_secs(60), async || {
        (share_of_v2(address, 20).await == 1.0).then_some(())
    })
    .await;
    load.end().await;
    // And a gateway that starts while nobody is there serves what it had.
    running.abort();
    pod.restart().await;
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    pod.follow(nobody).await;
    let address = pod.port(8080).await;
    assert_eq!(share_of_v2(address, 20).await, 1.0);
}
