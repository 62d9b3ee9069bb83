//! What a push does, and what is said about it.

use ir::Kind;
use wire::convert::KINDS;
use wire::discovery::Resource;

use crate::controller::{Controller, Shown, part};
use crate::mesh::{Mesh, Pod};
use crate::proxy::{Proxy, until};
use crate::resources::{broken_group, group, key, listener, shop, table};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_request_says_who_and_what_and_parts_take_effect_together() {
    let mesh = Mesh::new();
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    let proxy = Proxy::start(pod.options(&controller)).await;
    let (mut stream, first) = controller.begin().await;
    let node = first.node.unwrap();
    assert_eq!((node.pod.as_str(), node.namespace.as_str()), ("edge-1", "edge"));
    assert_eq!((node.service_account.as_str(), node.cluster.as_str()), ("gateway", "Kubernetes"));
    assert!(!node.version.is_empty() && node.instance.len() == 16);
    assert_eq!(first.subscribe.len(), KINDS.len());
    assert!(first.subscribe.iter().all(|it| it.names == ["*"]));
    assert!(first.initial_resource_versions.is_empty() && first.nonce.is_empty() && !first.more);

    for resource in &shop()[..2] {
        assert!(stream.send(part("1", std::slice::from_ref(resource), &[], true)).await);
    }
    // Had the parts been put in force, there would be a listener by now.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(!proxy.is_ready().await);
    assert_eq!(proxy.status("shop.test").await, None);
    let answer = stream.push("1", &[group("shop", 299)], &[]).await;
    assert!(answer.rejected.is_empty() && answer.applied_micros > 0);
    assert!(answer.node.is_none() && answer.subscribe.is_empty());
    assert_eq!(proxy.status("shop.test").await, Some(299));
    assert!(proxy.is_ready().await);

    stream.push("2", &[group("shop", 298), group("other", 297)], &[]).await;
    assert_eq!(proxy.status("shop.test").await, Some(298));
    stream.push("3", &[], &[key(Kind::RouteGroup, "shop")]).await;
    assert_eq!(proxy.status("shop.test").await, Some(404));
    assert_eq!(proxy.status("other.test").await, Some(297));

    let state = proxy.admin("/discovery").await;
    assert_eq!(state["controller"], controller.address().to_string());
    assert_eq!((&state["connected"], &state["stream"]["controller"]), (&true.into(), &"scripted-1".into()));
    assert_eq!((&state["last_push"]["changed"], &state["last_push"]["removed"]), (&0.into(), &1.into()));
    assert_eq!(proxy.metric("sluice_discovery_connected"), Some(1.0));
    assert_eq!(proxy.metric("sluice_discovery_pushes_total"), Some(3.0));
    assert!(proxy.metric("sluice_discovery_last_push_timestamp_seconds").unwrap() > 1.7e9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_resource_version_and_reason_and_the_rest_is_in_force() {
    let mesh = Mesh::new();
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    let proxy = Proxy::start(pod.options(&controller)).await;
    let (mut stream, _) = controller.begin().await;
    stream.push("1", &shop(), &[]).await;
    let bad = broken_group("shop");
    let mut unknown = part("2", &[bad.clone(), group("other", 298)], &[], false);
    let hologram = wire::discovery::ResourceName { kind: "hologram".to_owned(), name: "x".to_owned() };
    unknown.changed.push(Resource { key: Some(hologram.clone()), version: "v".to_owned(), body: "{}".into() });
    assert!(stream.send(unknown).await);
    let answer = stream.request().await;
    assert_eq!((answer.nonce.as_str(), answer.rejected.len()), ("2", 2));
    assert_eq!(answer.rejected[0].key, Some(hologram));
    assert!(answer.rejected[0].reason.contains("hologram"));
    let refused = &answer.rejected[1];
    assert_eq!(refused.key, Some((&bad.key).into()));
    assert_eq!(refused.version, &*bad.version);
    assert!(!refused.reason.is_empty());
    assert_eq!(proxy.status("other.test").await, Some(298));
    assert_eq!(proxy.status("shop.test").await, Some(299), "the version before stays");

    let shown = &proxy.admin("/discovery").await["rejected"];
    assert_eq!((&shown[0]["name"], &shown[0]["version"]), (&"shop".into(), &(*bad.version).into()));
    assert_eq!(proxy.metric("sluice_discovery_rejected"), Some(1.0));
    let answer = stream.push("3", &[group("shop", 297)], &[]).await;
    assert!(answer.rejected.is_empty());
    assert_eq!(proxy.admin("/discovery").await["rejected"], serde_json::json!([]));
    assert_eq!(proxy.metric("sluice_discovery_rejected"), Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_can_change_while_the_stream_is_up() {
    let mesh = Mesh::new();
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    let proxy = Proxy::start(pod.options(&controller)).await;
    let (mut stream, _) = controller.begin().await;
    let answer = stream.push("1", &[listener(), table(), group("a", 298), group("b", 299)], &[]).await;
    assert!(answer.rejected.is_empty());
    proxy.follower.want(|wanted| {
        wanted.remove_all(Kind::RouteGroup);
        wanted.add(&key(Kind::RouteGroup, "a"));
    });
    let change = stream.request().await;
    assert_eq!((change.subscribe[0].kind.as_str(), &change.subscribe[0].names), ("route_group", &vec!["a".to_owned()]));
    assert_eq!(change.unsubscribe[0].names, ["*"]);
    // What fell out of it is not announced as removed.
    assert_eq!(proxy.status("a.test").await, Some(298));
    assert_eq!(proxy.status("b.test").await, Some(404));
    stream.push("2", &[group("b", 297), group("a", 296)], &[]).await;
    assert_eq!(proxy.status("a.test").await, Some(296));
    assert_eq!(proxy.status("b.test").await, Some(404));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_shows_its_token_until_it_has_a_certificate() {
    let mesh = Mesh::new();
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    let proxy = Proxy::start(pod.options(&controller)).await;
    let (mut stream, _) = controller.begin().await;
    // Which of the two was faster is left to chance.
    assert!(stream.shown == Shown::by_token("token-1") || stream.shown == Shown::by_certificate());
    stream.push("1", &shop(), &[]).await;
    let mut identity = proxy.gateway.identity();
    identity.wait_for(Option::is_some).await.unwrap();
    drop(stream);
    let (stream, _) = controller.begin().await;
    assert_eq!(stream.shown, Shown::by_certificate());
    until("the new stream to be shown", async || {
        (proxy.admin("/discovery").await["stream"]["credential"] == "certificate").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_ends_leaves_its_controller_and_promises_nothing_more() {
    let mesh = Mesh::new();
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    let proxy = Proxy::start(pod.options(&controller)).await;
    let (mut stream, _) = controller.begin().await;
    stream.push("1", &shop(), &[]).await;
    assert!(proxy.gateway.drain().await);
    stream.ended().await;
    assert_eq!(proxy.metric("sluice_discovery_connected"), Some(0.0));
}
