//! The proxy's own certificate over its life (docs/security.md, R-7, T-9).

use std::time::Duration;

use tonic::Status;

use crate::controller::{Controller, Shown};
use crate::mesh::{Mesh, Pod};
use crate::proxy::{Proxy, until};
use crate::resources::shop;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_certificate_is_asked_for_by_token_and_renewed_by_certificate() {
    let mesh = Mesh::new();
    let (pod, mut controller) = (Pod::new(&mesh), Controller::start(&mesh));
    *controller.behaviour.lifetime.lock().unwrap() = Some(Duration::from_secs(3));
    let proxy = Proxy::start(pod.options(&controller)).await;
    let (mut stream, _) = controller.begin().await;
    stream.push("1", &shop(), &[]).await;
    let mut identity = proxy.gateway.identity();
    let mut serials = Vec::new();
    for _ in 0..3 {
        let current = tokio::time::timeout(Duration::from_secs(10), identity.wait_for(Option::is_some)).await;
        let current = current.unwrap().unwrap().clone().unwrap();
        assert_eq!(current.spiffe_id(), "spiffe://cluster.local/ns/edge/sa/gateway");
        serials.push(current.facts().serial.clone());
        if serials.len() < 3 {
            tokio::time::timeout(Duration::from_secs(10), identity.changed()).await.unwrap().unwrap();
        }
    }
    serials.dedup();
    assert_eq!(serials.len(), 3);
    let cluster = Some("Kubernetes".to_owned());
    let signed = controller.behaviour.signed.lock().unwrap().clone();
    assert_eq!(signed[0], Shown { cluster: cluster.clone(), ..Shown::by_token("token-1") });
    assert_eq!(signed[1..3], [(); 2].map(|()| Shown { cluster: cluster.clone(), ..Shown::by_certificate() }));
    // The stream has not noticed any of it.
    let answer = stream.push("2", &[], &[]).await;
    assert!(answer.rejected.is_empty());
    assert_eq!(proxy.metric("sluice_discovery_connects_total"), Some(1.0));

    let shown = proxy.admin("/certs").await;
    assert_eq!(shown["identity"]["spiffe_id"], "spiffe://cluster.local/ns/edge/sa/gateway");
    assert_eq!(shown["identity"]["chain"].as_array().unwrap().len(), 1);
    assert!(shown["identity"]["root"]["serial"].is_string());
    assert!(proxy.metric("sluice_certificate_renewals_total{result=\"ok\"}").unwrap() >= 3.0);
    assert_eq!(proxy.metric("sluice_certificate_renewal_overdue"), Some(0.0));
    assert!(proxy.metric("sluice_certificate_expiry_timestamp_seconds").unwrap() > 1.7e9);
    // No key was ever written anywhere.
    for entry in std::fs::read_dir(pod.path("")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            assert!(!std::fs::read_to_string(path).unwrap().contains("PRIVATE KEY"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_renewed_stays_and_is_reported() {
    let mesh = Mesh::new();
    let (pod, controller) = (Pod::new(&mesh), Controller::start(&mesh));
    *controller.behaviour.lifetime.lock().unwrap() = Some(Duration::from_secs(3));
    let proxy = Proxy::start(pod.options(&controller)).await;
    let mut identity = proxy.gateway.identity();
    let first = identity.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    *controller.behaviour.refuse_signing.lock().unwrap() = Some(Status::resource_exhausted("later"));
    until("the alert", async || (proxy.metric("sluice_certificate_renewal_overdue") == Some(1.0)).then_some(())).await;
    let still = identity.borrow().clone().unwrap();
    assert_eq!(still.facts().serial, first.facts().serial);
    *controller.behaviour.refuse_signing.lock().unwrap() = None;
    identity.changed().await.unwrap();
    until("the end of it", async || (proxy.metric("sluice_certificate_renewal_overdue") == Some(0.0)).then_some(()))
        .await;
}
