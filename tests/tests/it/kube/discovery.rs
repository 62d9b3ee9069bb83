//! From an object in a real API server to what a proxy is told.

use std::collections::BTreeMap;
use std::time::Duration;

use ir::Kind;
use sluice_tests::kube::ControlPlane;
use sluice_tests::kube::mesh::{Mesh, hello};
use sluice_tests::proxy::{Hello, Proxy};
use wire::convert;
use wire::discovery::Node;

/// A Gateway for everybody's hosts, at the proxies of this namespace.
pub(super) fn gateway(namespace: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gate, namespace: {namespace}}}
spec:
  selector: {{edge: {namespace}}}
  servers:
  - port: {{number: 8080, name: http, protocol: HTTP}}
    hosts: ['*']
"
    )
}

/// A Gateway and a VirtualService that answers with this status.
pub(super) fn objects(namespace: &str, status: u16) -> String {
    format!("{}---{}", gateway(namespace), service(namespace, status))
}

pub(super) fn service(namespace: &str, status: u16) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: web, namespace: {namespace}}}
spec:
  hosts: [web.test]
  gateways: [gate]
  http:
  - directResponse: {{status: {status}}}
"
    )
}

fn group(resources: &BTreeMap<ir::Key, ir::Encoded>) -> Option<String> {
    let found = resources.values().find(|one| one.key.kind == Kind::RouteGroup);
    found.map(|one| String::from_utf8_lossy(&one.body).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_a_proxy_alone() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    plane.apply(&objects(&mesh.namespace, 200)).await;
    mesh.pod("edge-0", &[("edge", &mesh.namespace)]).await;
    let running = mesh.controller().await;
    let mut proxy = mesh.proxy(&running, "edge-0").await;
    let first = proxy.push().await;
    assert_eq!(first.controller, "controller-0");
    proxy.ack(first).await;
    assert!(group(&proxy.resources).is_some_and(|body| body.contains("200")), "{:?}", proxy.resources);
    plane.apply(&service(&mesh.namespace, 201)).await;
    let push = proxy.push().await;
    assert_eq!((push.changed.len(), push.removed.len()), (1, 0));
    proxy.ack(push).await;
    assert!(group(&proxy.resources).is_some_and(|body| body.contains("201")));
    plane.kubectl(&["delete", "virtualservice", "web", "-n", &mesh.namespace]).await;
    let push = proxy.push().await;
    assert_eq!((push.changed.len(), push.removed.len()), (0, 1));
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_only_what_differs_is_told() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    plane.apply(&objects(&mesh.namespace, 200)).await;
    mesh.pod("edge-0", &[("edge", &mesh.namespace)]).await;
    let running = mesh.controller().await;
    let mut proxy = mesh.proxy(&running, "edge-0").await;
    let first = proxy.push().await;
    proxy.ack(first).await;
    running.abort();
    let (resources, _) = proxy.follow().await;
    plane.apply(&service(&mesh.namespace, 204)).await;
    let running = mesh.controller().await;
    let access = mesh.access(&running, &mesh.namespace, "edge-0").await;
    let mut proxy = Proxy::begin(&access, hello(&mesh.namespace, "edge-0"), resources).await.unwrap();
    let push = proxy.push().await;
    assert_eq!((push.changed.len(), push.removed.len()), (1, 0), "{push:?}");
    assert_eq!(push.changed[0].key.kind, Kind::RouteGroup);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_gets_what_its_identity_is_for_and_no_more() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    let other = plane.namespace().await;
    mesh.pod("edge-0", &[("edge", &mesh.namespace)]).await;
    mesh.pod_in(&other, "thief", "edge", &[("edge", &mesh.namespace)], "10.1.2.4").await;
    let running = mesh.controller().await;
    let stolen = mesh.access(&running, &other, "thief").await;
    let refused = |access: sluice_tests::proxy::Access, node: Node| async move {
        let hello = Hello { node, ..Hello::default() };
        match Proxy::begin(&access, hello, BTreeMap::new()).await {
            Ok(mut proxy) => proxy.next().await.expect_err("refused"),
            Err(status) => status,
        }
    };
    // Its own pod is another one than it says.
    let status = refused(stolen.clone(), hello(&mesh.namespace, "edge-0").node).await;
    assert_eq!(status.code(), tonic::Code::PermissionDenied, "{status}");
    let status = refused(stolen.clone(), hello("", "edge-0").node).await;
    assert_eq!(status.code(), tonic::Code::PermissionDenied, "{status}");
    // Nobody at all.
    let status = refused(mesh.access_with(&running, None), hello(&mesh.namespace, "edge-0").node).await;
    assert_eq!(status.code(), tonic::Code::Unauthenticated, "{status}");
    let foreign = plane.token_for(&mesh.namespace, "edge", "somebody-else").await;
    let status = refused(mesh.access_with(&running, Some(foreign)), hello(&mesh.namespace, "edge-0").node).await;
    assert_eq!(status.code(), tonic::Code::Unauthenticated, "{status}");
    // An account that the pod does not run as.
    let account = plane.token_for(&mesh.namespace, "stranger", "istio-ca").await;
    let status = refused(mesh.access_with(&running, Some(account)), hello(&mesh.namespace, "edge-0").node).await;
    assert_eq!(status.code(), tonic::Code::PermissionDenied, "{status}");
    // A pod of another namespace is told what is for pods there: nothing of ours, as Gateways select by labels alone.
    plane.apply(&objects(&mesh.namespace, 200)).await;
    let mut proxy = Proxy::begin(&stolen, hello(&other, "thief"), BTreeMap::new()).await.unwrap();
    let push = proxy.push().await;
    assert!(push.changed.iter().all(|one| one.key.kind != Kind::Secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_goes_to_the_gateway_that_names_it_in_its_own_namespace() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    let other = plane.namespace().await;
    let pair = rcgen::generate_simple_self_signed(["web.test".to_owned()]).unwrap();
    let secret = |namespace: &str| {
        serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": "shop", "namespace": namespace},
            "stringData": {"tls.crt": pair.cert.pem(), "tls.key": pair.signing_key.serialize_pem()},
        })
        .to_string()
    };
    plane.apply(&secret(&mesh.namespace)).await;
    let gateway = format!(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gate, namespace: {other}}}
spec:
  selector: {{edge: {namespace}}}
  servers:
  - port: {{number: 8443, name: https, protocol: HTTPS}}
    hosts: ['*']
    tls: {{mode: SIMPLE, credentialName: shop}}
",
        other = &*other,
        namespace = mesh.namespace
    );
    plane.apply(&gateway).await;
    mesh.pod("edge-0", &[("edge", &mesh.namespace)]).await;
    mesh.pod_in(&other, "copy", "edge", &[("edge", &mesh.namespace)], "10.1.2.5").await;
    let running = mesh.controller().await;
    let secrets =
        |resources: &BTreeMap<ir::Key, ir::Encoded>| resources.keys().filter(|key| key.kind == Kind::Secret).count();
    let mut proxy = mesh.proxy(&running, "edge-0").await;
    let first = proxy.push().await;
    proxy.ack(first).await;
    assert_eq!(secrets(&proxy.resources), 1, "with the very first push");
    // The same Gateway selects a proxy elsewhere, whose namespace the controller may not read secrets of.
    let access = mesh.access(&running, &other, "copy").await;
    let mut copy = Proxy::begin(&access, hello(&other, "copy"), BTreeMap::new()).await.unwrap();
    let first = copy.push().await;
    copy.ack(first).await;
    assert_eq!(secrets(&copy.resources), 0);
    plane.apply(&secret(&other)).await;
    assert!(!plane.calls(&format!("system:serviceaccount:{}:sluice-controller", mesh.namespace)).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_may_want_less() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    plane.apply(&objects(&mesh.namespace, 200)).await;
    mesh.pod("edge-0", &[("edge", &mesh.namespace)]).await;
    let running = mesh.controller().await;
    let access = mesh.access(&running, &mesh.namespace, "edge-0").await;
    let mut hello = hello(&mesh.namespace, "edge-0");
    hello.subscribe = Some(vec![convert::subscription(Kind::Cluster, ["nowhere".to_owned()])]);
    let mut proxy = Proxy::begin(&access, hello, BTreeMap::new()).await.unwrap();
    let first = proxy.push().await;
    assert!(first.changed.is_empty(), "{first:?}");
    proxy.ack(first).await;
    let wants = wire::discovery::Request {
        subscribe: vec![convert::wildcard(Kind::Listener)],
        ..wire::discovery::Request::default()
    };
    proxy.send(wants).await;
    plane.apply(&service(&mesh.namespace, 201)).await;
    proxy.until("listeners are told", |resources| !resources.is_empty()).await;
    assert!(proxy.resources.keys().all(|key| key.kind == Kind::Listener), "{:?}", proxy.resources);
}

/// Much is said in short at first, kind by kind, and at length where it differs.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_has_very_much_is_asked_for_what_differs() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    let hosts = (0..600).map(|index| format!("web-{index}.test")).collect::<Vec<_>>();
    let many = |status: u16| {
        let host = |host: &String| {
            service(&mesh.namespace, status).replace("web.test", host).replace("name: web", &format!("name: {host}"))
        };
        hosts.iter().map(host).collect::<Vec<_>>().join("---")
    };
    plane.apply(&format!("{}---{}", gateway(&mesh.namespace), many(200))).await;
    mesh.pod("edge-0", &[("edge", &mesh.namespace)]).await;
    let running = mesh.controller().await;
    let access = mesh.access(&running, &mesh.namespace, "edge-0").await;
    let begin = |has| Proxy::begin(&access, hello(&mesh.namespace, "edge-0"), has);
    let mut proxy = begin(BTreeMap::new()).await.unwrap();
    proxy.until("everything", |resources| resources.len() > hosts.len()).await;
    let all = proxy.resources;

    let mut same = begin(all.clone()).await.unwrap();
    let push = same.push().await;
    assert_eq!((push.changed.len(), push.removed.len(), same.asked), (0, 0, 0));
    same.ack(push).await;
    // And goes on from there.
    plane.apply(&many(200).split("---").next().unwrap().replace("200", "201")).await;
    let push = same.push().await;
    assert_eq!((push.changed.len(), push.removed.len()), (1, 0));
    same.ack(push).await;
    let now = same.resources;

    // One that is old, one that is missing, one that is gone, and a kind that is gone altogether.
    let groups: Vec<ir::Key> = now.keys().filter(|key| key.kind == Kind::RouteGroup).cloned().collect();
    let mut has = now.clone();
    has.get_mut(&groups[0]).unwrap().version = "old".into();
    has.remove(&groups[1]);
    let gone = ir::Key { kind: Kind::RouteGroup, name: "gone".into() };
    let other = ir::Key { kind: Kind::Cluster, name: "gone".into() };
    for key in [&gone, &other] {
        let one = ir::Encoded { key: key.clone(), version: "0".into(), body: std::sync::Arc::from([]) };
        has.insert(key.clone(), one);
    }
    let mut differing = begin(has).await.unwrap();
    let push = differing.push().await;
    assert!((2..50).contains(&differing.asked), "{}", differing.asked);
    let mut changed: Vec<_> = push.changed.iter().map(|one| &one.key).collect();
    changed.sort();
    assert_eq!(changed, [&groups[0], &groups[1]]);
    assert_eq!(push.removed.iter().collect::<std::collections::BTreeSet<_>>(), [&gone, &other].into());
    differing.ack(push).await;
    assert_eq!(differing.resources, now);

    // Who learns what else it wants before it is asked what it has gets both.
    let listener = now.keys().find(|key| key.kind == Kind::Listener).unwrap().clone();
    let mut has: BTreeMap<_, _> = now.iter().filter(|(key, _)| key.kind == Kind::RouteGroup).collect();
    has.remove(&groups[1]);
    let has = has.into_iter().map(|(key, one)| (key.clone(), one.clone())).collect();
    let subscribe = Some(vec![convert::wildcard(Kind::RouteGroup)]);
    let curious = Hello { subscribe, ..hello(&mesh.namespace, "edge-0") };
    let mut curious = Proxy::begin(&access, curious, has).await.unwrap();
    let subscribe = vec![convert::subscription(Kind::Listener, [listener.name.to_string()])];
    curious.send(wire::discovery::Request { subscribe, ..Default::default() }).await;
    let push = curious.push().await;
    let changed: std::collections::BTreeSet<_> = push.changed.iter().map(|one| &one.key).collect();
    assert_eq!(changed, [&groups[1], &listener].into());
    curious.ack(push).await;

    // Who lacks nearly everything is told everything.
    let old = |(key, one): (ir::Key, ir::Encoded)| (key, ir::Encoded { version: "old".into(), ..one });
    let mut outdated = begin(now.clone().into_iter().map(old).collect()).await.unwrap();
    let push = outdated.push().await;
    assert_eq!((push.changed.len(), push.removed.len()), (now.len(), 0));
    outdated.ack(push).await;
    assert_eq!(outdated.resources, now);

    // All of it is from a time that is over.
    let old = (0..25_000).map(|index| {
        let key = ir::Key { kind: Kind::Cluster, name: format!("outbound|80||old-{index}.test").into() };
        (key.clone(), ir::Encoded { key, version: "0".into(), body: std::sync::Arc::from([]) })
    });
    let mut stranger = begin(old.collect()).await.unwrap();
    let push = stranger.push().await;
    assert_eq!((push.changed.len(), push.removed.len()), (now.len(), 25_000));
    stranger.ack(push).await;
    assert_eq!(stranger.resources, now);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_does_not_finish_holds_nobody_up_for_long() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    plane.apply(&objects(&mesh.namespace, 200)).await;
    let mut options = mesh.options("controller-0");
    options.discovery.hellos = 1;
    options.discovery.first_message = Duration::from_secs(2);
    let running = mesh.controller_with(options).await;
    let namespace = &mesh.namespace;
    let begin = async |pod: &str, unfinished: bool, has: BTreeMap<ir::Key, ir::Encoded>| {
        mesh.pod(pod, &[("edge", namespace)]).await;
        let access = mesh.access(&running, namespace, pod).await;
        Proxy::begin(&access, Hello { unfinished, ..hello(namespace, pod) }, has).await.unwrap()
    };
    let key = ir::Key { kind: Kind::Cluster, name: "old".into() };
    let old = ir::Encoded { key: key.clone(), version: "0".into(), body: std::sync::Arc::from([]) };
    let has = BTreeMap::from([(key.clone(), old)]);
    let mut stalled = begin("edge-0", true, has.clone()).await;
    let mut returning = begin("edge-1", false, has).await;
    // Who has nothing need not wait.
    let mut new = begin("edge-2", false, BTreeMap::new()).await;
    assert!(!new.push().await.changed.is_empty());
    // Both: it is the other one's turn as soon as the first has lost its.
    let (ended, push) = tokio::join!(stalled.next(), returning.push());
    assert_eq!(ended.unwrap_err().code(), tonic::Code::DeadlineExceeded);
    assert_eq!(push.removed, [key]);
    returning.ack(push).await;
    assert!(group(&returning.resources).is_some());
    running.end().await;
}
