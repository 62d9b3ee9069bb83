//! Tokens, roots and certificates change under a running proxy.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tonic::Status;

use crate::controller::{Controller, Shown};
use crate::mesh::{Mesh, Pod};
use crate::proxy::{Proxy, until};
use crate::resources::{group, shop};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_is_used_for_the_next_connection() {
    let mesh = Mesh::new();
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    *controller.behaviour.refuse_signing.lock().unwrap() = Some(Status::unavailable("no certificates today"));
    let proxy = Proxy::start(pod.options(&controller)).await;
    for token in ["token-1", "token-2", "token-3"] {
        pod.write_token(token);
        let (mut stream, _) = controller.begin().await;
        if token == "token-1" {
            stream.push("1", &shop(), &[]).await;
        }
        let used = stream.shown.clone();
        assert_eq!(used, Shown::by_token(token));
        // The next one is opened by whatever stands in the file by then.
        pod.write_token(match token {
            "token-1" => "token-2",
            _ => "token-3",
        });
        drop(stream);
    }
    until("the authority to be asked with it", async || {
        let signed = controller.behaviour.signed.lock().unwrap().clone();
        signed.iter().any(|it| it.bearer.as_deref() == Some("Bearer token-3")).then_some(())
    })
    .await;
    assert_eq!(proxy.metric("sluice_certificate_renewal_overdue"), Some(1.0));
    assert!(proxy.gateway.identity().borrow().is_none());
    assert_eq!(proxy.status("shop.test").await, Some(299));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_there_is_no_connection_until_there_is_one() {
    let mesh = Mesh::new();
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    std::fs::remove_file(pod.path("token")).unwrap();
    let proxy = Proxy::start(pod.options(&controller)).await;
    let series = "sluice_discovery_failures_total{reason=\"credential\"}";
    until("a failure", async || proxy.metric(series)).await;
    let reason = proxy.admin("/discovery").await["last_failure"]["reason"].to_string();
    assert!(reason.contains("token"), "{reason}");
    pod.write_token("token-1");
    controller.begin().await.0.push("1", &shop(), &[]).await;
    assert_eq!(proxy.status("shop.test").await, Some(299));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_with_a_new_root_is_believed_once_the_file_says_so() {
    let (old, new) = (Mesh::new(), Mesh::new());
    let (pod, mut controller) = (Pod::new(&old), Controller::start(&old));
    let socket = controller.socket;
    let proxy = Proxy::start(pod.options(&controller)).await;
    controller.begin().await.0.push("1", &shop(), &[]).await;
    drop(controller);

    let mut controller = Controller::start_at(&new, &new, socket);
    let series = "sluice_discovery_failures_total{reason=\"tls\"}";
    until("a failed handshake", async || proxy.metric(series)).await;
    assert_eq!(controller.behaviour.asked.load(Ordering::SeqCst), 0);
    assert_eq!(proxy.status("shop.test").await, Some(299));
    pod.write_root("half a fi");
    tokio::time::sleep(Duration::from_millis(100)).await;
    pod.write_root(&format!("{}{}", old.root, new.root));
    let (mut stream, _) = controller.begin().await;
    stream.push("1", &[group("shop", 298)], &[]).await;
    assert_eq!(proxy.status("shop.test").await, Some(298));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_refused_gives_way_to_the_token() {
    let mesh = Mesh::new();
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    let proxy = Proxy::start(pod.options(&controller)).await;
    let (stream, _) = controller.begin().await;
    proxy.gateway.identity().wait_for(Option::is_some).await.unwrap();
    controller.behaviour.refuse_certificates.store(true, Ordering::SeqCst);
    drop(stream);
    assert_eq!(controller.begin().await.0.shown, Shown::by_token("token-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_refused_by_tls_gives_way_to_the_token() {
    let (mesh, other) = (Mesh::new(), Mesh::new());
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    let socket = controller.socket;
    let proxy = Proxy::start(pod.options(&controller)).await;
    let (stream, _) = controller.begin().await;
    proxy.gateway.identity().wait_for(Option::is_some).await.unwrap();
    drop((stream, controller));
    let mut controller = Controller::start_at(&mesh, &other, socket);
    assert_eq!(controller.begin().await.0.shown, Shown::by_token("token-1"));
}
