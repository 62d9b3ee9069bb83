//! Controllers go and come back, proxies restart: what is in force stays in force (docs/security.md, R-1, R-2).

use std::sync::Arc;
use std::time::{Duration, Instant};

use ir::{Encoded, Key};
use wire::discovery::{Ask, Request};

use crate::controller::Controller;
use crate::mesh::{Mesh, Pod};
use crate::proxy::{Proxy, until};
use crate::resources::{broken_group, group, https_listener, key, listener, secret, shop, table};

/// What a proxy says it has.
fn has(request: &Request) -> Vec<(Key, Arc<str>)> {
    let versions = request.initial_resource_versions.iter().cloned();
    let mut versions: Vec<(Key, Arc<str>)> = versions.map(|it| it.try_into().unwrap()).collect();
    versions.sort();
    versions
}

fn versions(of: &[Encoded]) -> Vec<(Key, Arc<str>)> {
    let mut versions: Vec<_> = of.iter().map(|it| (it.key.clone(), Arc::clone(&it.version))).collect();
    versions.sort();
    versions
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_comes_back_is_told_what_is_there() {
    let mesh = Mesh::new();
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    let socket = controller.socket;
    let proxy = Proxy::start(pod.options(&controller)).await;
    let (mut stream, first) = controller.begin().await;
    let instance = first.node.unwrap().instance;
    stream.push("1", &shop(), &[]).await;
    stream.push("2", &[broken_group("shop"), broken_group("never")], &[]).await;

    drop(controller);
    until("the stream to be missed", async || (proxy.metric("sluice_discovery_connected") == Some(0.0)).then_some(()))
        .await;
    assert_eq!(proxy.status("shop.test").await, Some(299));
    assert!(proxy.is_ready().await);
    until("a failure", async || proxy.admin("/discovery").await["last_failure"]["reason"].as_str().map(drop)).await;

    let mut controller = Controller::start_at(&mesh, &mesh, socket);
    let (mut stream, first) = controller.begin().await;
    assert_eq!(first.node.as_ref().unwrap().instance, instance);
    assert_eq!(has(&first), versions(&shop()), "what was refused is not there");
    // Nothing is new: nothing may change.
    stream.push("1", &[], &[]).await;
    assert_eq!(proxy.status("shop.test").await, Some(299));
    stream.push("2", &[group("shop", 298)], &[]).await;
    assert_eq!(proxy.status("shop.test").await, Some(298));
    stream.push("3", &[], &[key(ir::Kind::RouteGroup, "shop")]).await;
    assert_eq!(proxy.status("shop.test").await, Some(404));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_much_says_it_in_short_and_the_rest_when_asked() {
    let mesh = Mesh::new();
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    let socket = controller.socket;
    let proxy = Proxy::start(pod.options(&controller)).await;
    let (mut stream, _) = controller.begin().await;
    let groups: Vec<Encoded> = (0..3_000).map(|index| group(&format!("shop-{index}"), 299)).collect();
    stream.push("1", &shop(), &[]).await;
    stream.push("2", &groups, &[]).await;
    drop(controller);

    let mut controller = Controller::start_at(&mesh, &mesh, socket);
    let (mut stream, first) = controller.begin().await;
    assert!(first.initial_resource_versions.is_empty() && !first.more);
    let mut digests = std::collections::BTreeMap::new();
    for one in shop().iter().chain(&groups) {
        let digest: &mut wire::digest::Digest = digests.entry(one.key.kind).or_default();
        digest.add(&one.key, &one.version);
    }
    let read = first.digests.iter().map(|it| wire::digest::Digest::read(it).unwrap());
    assert_eq!(read.collect::<std::collections::BTreeMap<_, _>>(), digests);

    let ask = |kind: &str| Ask { kind: kind.to_owned(), buckets: (0..=255).collect() };
    let ask = vec![ask("route_group"), ask("secret")];
    assert!(stream.send(wire::discovery::Response { ask: ask.clone(), ..Default::default() }).await);
    let (mut told, mut parts) = (Vec::new(), 0);
    loop {
        let part = stream.request().await;
        told.extend(has(&part));
        parts += 1;
        if !part.more {
            break;
        }
    }
    told.sort();
    let kept: Vec<Encoded> =
        shop().into_iter().chain(groups).filter(|one| one.key.kind == ir::Kind::RouteGroup).collect();
    assert_eq!(told, versions(&kept));
    assert!(parts > 1);
    stream.push("1", &[group("shop", 298)], &[]).await;
    assert_eq!(proxy.status("shop.test").await, Some(298));
    // Asked again, it has nothing more to say, and goes on.
    assert!(stream.send(wire::discovery::Response { ask, ..Default::default() }).await);
    assert_eq!(stream.request().await, Request::default());
    stream.push("2", &[group("shop", 297)], &[]).await;
    assert_eq!(proxy.status("shop.test").await, Some(297));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_restarts_without_a_controller_serves_its_snapshot() {
    let mesh = Mesh::new();
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    let socket = controller.socket;
    let options = pod.options(&controller);
    let proxy = Proxy::start(options.clone()).await;
    let (mut stream, _) = controller.begin().await;
    let all = [listener(), https_listener(), table(), group("shop", 299), secret(mesh.server("shop.test"))];
    stream.push("1", &all, &[]).await;
    stream.push("2", &[group("gone", 298), broken_group("bad")], &[]).await;
    stream.push("3", &[], &[key(ir::Kind::RouteGroup, "gone")]).await;
    drop(controller);
    proxy.stop().await;

    let started = Instant::now();
    let proxy = Proxy::start(options.clone()).await;
    assert!(proxy.is_ready().await);
    assert_eq!(proxy.status("shop.test").await, Some(299));
    assert_eq!(proxy.status("gone.test").await, Some(404));
    assert_eq!(proxy.tls_status("shop.test", mesh.client_config()).await, Some(299));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());

    let mut controller = Controller::start_at(&mesh, &mesh, socket);
    let (mut stream, first) = controller.begin().await;
    assert_eq!(has(&first), versions(&all));
    stream.push("1", &[group("shop", 297)], &[]).await;
    assert_eq!(proxy.tls_status("shop.test", mesh.client_config()).await, Some(297));
    let shown = proxy.admin("/certs").await;
    assert_eq!(shown["servers"][0]["source"], "kubernetes://shop");
    assert_eq!(shown["servers"][0]["chain"][0]["names"][0], "shop.test");
    assert!(!shown.to_string().contains("PRIVATE"));
    proxy.stop().await;

    // The newest file is damaged: the one before is served, and it is written anew.
    let newest = pod.path("snapshots/snapshot");
    let mut bytes = std::fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&newest, bytes).unwrap();
    drop(controller);
    let proxy = Proxy::start(options.clone()).await;
    assert_eq!(proxy.status("shop.test").await, Some(299));
    proxy.stop().await;
    std::fs::remove_file(pod.path("snapshots/snapshot.previous")).unwrap();
    let proxy = Proxy::start(options).await;
    assert_eq!(proxy.status("shop.test").await, Some(299));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_usable_snapshot_a_proxy_waits_for_its_controller() {
    let mesh = Mesh::new();
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    std::fs::write(pod.path("snapshots"), "a file in the way").unwrap();
    let proxy = Proxy::start(pod.options(&controller)).await;
    assert!(!proxy.is_ready().await);
    let (mut stream, first) = controller.begin().await;
    assert!(first.initial_resource_versions.is_empty());
    stream.push("1", &shop(), &[]).await;
    assert_eq!(proxy.status("shop.test").await, Some(299));
}
