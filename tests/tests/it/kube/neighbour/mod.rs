//! A hostile neighbour: a tenant with rights on nothing but the objects of its own namespace tries what such objects
//! could do to others, while another namespace's traffic runs through the same gateway and controller. The other tenant
//! notices nothing, memory stays within the charts' limits, and every refusal is told on the object that is refused.

mod tricks;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use sluice_tests::kube::gateway::EdgePod;
use sluice_tests::kube::mesh::Mesh;
use sluice_tests::kube::{ControlPlane, apply};
use sluice_tests::load::{Load, Target};
use sluice_tests::wait::until_within;
use sluice_tests::{Backend, H1};

use tricks::{Trick, tricks};

/// The tenant's rights: whatever it likes with its own objects.
const TENANT: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: evil}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tenant, namespace: evil}
rules:
- apiGroups: [networking.istio.io, security.istio.io, networking.k8s.io]
  resources: ['*']
  verbs: ['*']
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tenant, namespace: evil}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: tenant}
subjects: [{kind: ServiceAccount, name: tenant, namespace: evil}]
";

/// Controller and gateway share this process with the tests; the charts give each of them this much.
const CHART_LIMIT: u64 = 1 << 30;
const PATIENCE: Duration = Duration::from_secs(60);

/// The neighbour: a Gateway that gives a host to its namespace, a Service, and a route.
fn neighbour(namespace: &str, backend: &Backend) -> String {
    format!(
        "
apiVersion: v1
kind: Namespace
metadata: {{name: prod}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gate, namespace: {namespace}}}
spec:
  selector: {{edge: {namespace}}}
  servers:
  - port: {{number: 8080, name: http, protocol: HTTP}}
    hosts: [prod/shop.test, evil/evil.test]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: shop, namespace: prod}}
spec:
  hosts: [shop.prod.svc.cluster.local]
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: 127.0.0.1, ports: {{http: {}}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop, namespace: prod}}
spec:
  hosts: [shop.test]
  gateways: [{namespace}/gate]
  http:
  - route: [{{destination: {{host: shop.prod.svc.cluster.local}}}}]
",
        backend.address.port()
    )
}

/// Memory of this process in bytes.
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// What the status of an object says against it, if it says something: of itself, or what a gateway could not use.
async fn told(plane: &ControlPlane, object: &str) -> Option<String> {
    let text = plane.kubectl(&["get", object, "-n", "evil", "-o", "json"]).await;
    let status = serde_json::from_str::<Value>(&text).ok()?["status"].take();
    let bad = |condition: &&Value| {
        let is_refused = condition["reason"].as_str().is_some_and(|reason| reason.contains("Rejected"));
        condition["status"] == "False" && (condition["type"] != "Programmed" || is_refused)
    };
    let conditions = status["conditions"].as_array().into_iter().flatten().filter(bad);
    let messages = status["validationMessages"].as_array().into_iter().flatten();
    let texts: Vec<String> = conditions.chain(messages).map(Value::to_string).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

async fn status_of(address: SocketAddr, host: &str, path: &str) -> Option<u16> {
    let mut client = H1::connect(address).await.ok()?;
    client.get(host, path).await.ok().map(|reply| reply.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_neighbour_harms_nobody() {
    // Status is written by one controller only.
    let plane = &ControlPlane::start().await;
    let mesh = Mesh::install(plane).await;
    let namespace = mesh.namespace.clone();
    let backend = Backend::start("prod").await;
    plane.apply(&neighbour(&namespace, &backend)).await;
    plane.apply(TENANT).await;
    mesh.pod("edge-0", &[("edge", &namespace)]).await;
    let running = mesh.controller().await;
    let pod = EdgePod::start(&mesh, &running, "edge-0").await;
    let address = pod.port(8080).await;
    until_within("the neighbour is served", PATIENCE, async || {
        (status_of(address, "shop.test", "/").await? == 200).then_some(())
    })
    .await;

    let tenant = plane.service_account("evil", "tenant").await;
    let load = Load::start(&Target::plain(address, "shop.test"), 4);
    let before = memory();
    let admin = pod.gateway.addresses().admin.map_or(15000, |address| address.port());
    for Trick { name, objects, refused, request } in tricks(&namespace, admin) {
        let applied = apply(&tenant, "evil", &objects).await;
        match (&applied, refused) {
            // What no schema lets in needs no status.
            (Err(error), _) => println!("{name}: the API server refuses: {error}"),
            (Ok(_), Some(object)) => {
                let what = format!("{name}: {object} says why");
                let text = until_within(&what, PATIENCE, async || told(plane, object).await).await;
                println!("{name}: {}", text.chars().take(300).collect::<String>());
            }
            (Ok(_), None) => {}
        }
        if let Some((path, unwanted)) = request {
            let mut client = H1::connect(address).await.unwrap();
            let head = format!("GET {path} HTTP/1.1\r\nHost: evil.test\r\nx-big: {}\r\n\r\n", "b".repeat(20_000));
            client.send(&head).await.unwrap();
            let reply = client.reply(false).await;
            if let Ok(reply) = reply {
                let text = format!("{:?} {}", reply.headers, reply.text());
                assert!(!text.contains(unwanted), "{name}: {text}");
            }
        }
        let grown = memory().saturating_sub(before);
        assert!(grown < CHART_LIMIT, "{name}: {grown} bytes more than before");
        let tally = load.so_far();
        assert_eq!((tally.failed, tally.backends.len()), (0, 1), "{name}: {tally:#?}");
        for kind in ["virtualservices", "gateways", "serviceentries", "destinationrules", "ingresses"] {
            plane.kubectl(&["delete", kind, "--all", "-n", "evil", "--wait=false"]).await;
        }
    }
    // The gateway was not told to end, and takes changes as before.
    assert_eq!(pod.gateway.addresses().admin.map(|address| address.port()), Some(admin));
    until_within("new connections are taken", PATIENCE, async || {
        (status_of(address, "shop.test", "/").await? == 200).then_some(())
    })
    .await;
    let tally = load.stop().await;
    tally.assert_none_failed();
    assert_eq!(tally.backends.keys().collect::<Vec<_>>(), ["prod"], "{tally:#?}");
    running.end().await;
}
