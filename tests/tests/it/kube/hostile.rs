//! What a workload with nothing but its own identity, or a stranger with a connection, tries at the controller's port.

use std::collections::BTreeMap;
use std::time::Duration;

use controller::cluster::ClusterOptions;
use ir::Kind;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, DeleteParams};
use rcgen::{CertificateParams, KeyPair};
use sluice_tests::kube::ControlPlane;
use sluice_tests::kube::mesh::{Mesh, hello};
use sluice_tests::proxy::{Access, Proxy};
use sluice_tests::wait::{until, until_within};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tonic::{Code, Status};
use wire::ca::IstioCertificateRequest;
use wire::ca::istio_certificate_service_client::IstioCertificateServiceClient;
use wire::convert;
use wire::discovery::Request;

fn options(mesh: &Mesh<'_>) -> ClusterOptions {
    let mut options = mesh.options("controller-0");
    options.bounds.identity_check = Duration::from_millis(200);
    options
}

/// What the stream of this proxy ends with.
async fn end(mut proxy: Proxy) -> Status {
    loop {
        if let Err(status) = proxy.next().await {
            return status;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_without_end_end_the_stream() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    let evil = plane.namespace().await;
    mesh.pod_in(&evil, "w", "w", &[("app", "w")], "10.1.2.9").await;
    let running = mesh.controller().await;
    let access = mesh.access(&running, &evil, "w").await;
    let begin = async || {
        let mut proxy = Proxy::begin(&access, hello(&evil, "w"), BTreeMap::new()).await.unwrap();
        let push = proxy.push().await;
        proxy.ack(push).await;
        proxy
    };
    let subscribe = |names: Vec<String>| Request {
        subscribe: vec![convert::subscription(Kind::Cluster, names)],
        ..Request::default()
    };
    let proxy = begin().await;
    proxy.send(subscribe(vec!["x".repeat(3 << 20)])).await;
    assert_eq!(end(proxy).await.code(), Code::InvalidArgument);
    // Names that are short enough, until there are too many bytes of them.
    let proxy = begin().await;
    for message in 0..12 {
        let names = (0..3_000).map(|index| format!("{message}-{index}-{}", "x".repeat(1_000))).collect();
        proxy.send(subscribe(names)).await;
    }
    let status = end(proxy).await;
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("limit stream-bytes"), "{status}");
    // What a gateway lists is still taken.
    let proxy = begin().await;
    proxy.send(subscribe((0..30_000).map(|index| format!("outbound|80||service-{index}.shop.svc")).collect())).await;
    assert!(tokio::time::timeout(Duration::from_secs(2), end(proxy)).await.is_err());
    // And what a proxy says of itself is looked at before it waits for anything.
    let mut long = hello(&evil, "w");
    long.node.pod = "x".repeat(3 << 20);
    let proxy = Proxy::begin(&access, long, BTreeMap::new()).await.unwrap();
    assert_eq!(end(proxy).await.code(), Code::InvalidArgument);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_nobody_proves_anything_is_closed() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    mesh.pod("edge-0", &[("edge", &mesh.namespace)]).await;
    let mut options = options(&mesh);
    options.bounds.unauthenticated_connection = Duration::from_millis(300);
    options.limits.handshakes_per_second = 20;
    let running = mesh.controller_with(options).await;
    let address = running.addresses().discovery;
    // A crowd that says nothing at all delays no other connection.
    let mut silent = Vec::new();
    for _ in 0..400 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let mut proxy = mesh.proxy(&running, "edge-0").await;
    proxy.push().await;
    // A connection whose handshake is done, and whose calls prove nothing.
    let access = mesh.access_with(&running, None);
    let channel = access.connect().await.unwrap();
    let mut client = IstioCertificateServiceClient::new(channel);
    let refused = client.create_certificate(IstioCertificateRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let gone = async || {
        let answer = client.clone().create_certificate(IstioCertificateRequest::default()).await;
        answer.err().filter(|status| status.code() != Code::Unauthenticated)
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    until("the connection is closed", gone).await;
    // The proxy's is not.
    assert!(tokio::time::timeout(Duration::from_secs(1), proxy.next()).await.is_err());
    // Of the silent ones all go in the end.
    let mut byte = [0];
    let ended = tokio::time::timeout(Duration::from_secs(15), silent[0].read(&mut byte)).await;
    assert!(ended.is_ok());
    running.end().await;
}

/// A certificate for whoever this access is.
async fn certificate(access: &Access) -> Result<Access, Status> {
    let key = KeyPair::generate().unwrap();
    let csr = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    let request = IstioCertificateRequest { csr, validity_duration: 3_600, metadata: None };
    let channel = access.connect().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut client = IstioCertificateServiceClient::new(channel);
    let chain = client.create_certificate(access.request(request)).await?.into_inner().cert_chain.concat();
    Ok(Access { token: None, certificate: Some((chain, key.serialize_pem())), ..access.clone() })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_ends_with_its_workload() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    let evil = plane.namespace().await;
    mesh.pod_in(&evil, "w", "w", &[("app", "w")], "10.1.2.9").await;
    let mut options = options(&mesh);
    options.certificates_per_minute = 1_000;
    let running = mesh.controller_with(options).await;
    let by_token = mesh.access(&running, &evil, "w").await;
    let by_certificate = certificate(&by_token).await.unwrap();
    assert!(certificate(&by_certificate).await.is_ok(), "while the pod is there, a certificate renews itself");
    let mut proxy = Proxy::begin(&by_certificate, hello(&evil, "w"), BTreeMap::new()).await.unwrap();
    let push = proxy.push().await;
    proxy.ack(push).await;

    // Without its pod a certificate gets no other one, and its stream ends.
    let pods: Api<Pod> = evil.api();
    pods.delete("w", &DeleteParams::default().grace_period(0)).await.unwrap();
    let status = end(proxy).await;
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "the pod does not exist any more"));
    let refused = until("no renewal", async || certificate(&by_certificate).await.err()).await;
    assert!(refused.message().contains("a token is needed"), "{refused}");

    // The account goes while its pod stays.
    mesh.pod_in(&evil, "w2", "w", &[("app", "w")], "10.1.2.10").await;
    let by_token = mesh.access(&running, &evil, "w2").await;
    let by_certificate = until("a pod is seen", async || certificate(&by_token).await.ok()).await;
    let mut proxy = Proxy::begin(&by_certificate, hello(&evil, "w2"), BTreeMap::new()).await.unwrap();
    proxy.push().await;
    evil.api::<ServiceAccount>().delete("w", &DeleteParams::default()).await.unwrap();
    let status = end(proxy).await;
    assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    for access in [&by_certificate, &by_token] {
        let nothing = async || certificate(access).await.err();
        until_within("no certificate", Duration::from_secs(60), nothing).await;
        let refused = async || {
            let mut proxy = Proxy::begin(access, hello(&evil, "w2"), BTreeMap::new()).await.ok();
            match &mut proxy {
                Some(proxy) => proxy.next().await.err(),
                None => Some(Status::unauthenticated("")),
            }
        };
        until_within("no stream", Duration::from_secs(60), refused).await;
    }
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_few_streams_that_say_nothing() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    mesh.pod("edge-0", &[("edge", &mesh.namespace)]).await;
    let evil = plane.namespace().await;
    mesh.pod_in(&evil, "w", "w", &[("app", "w")], "10.1.2.9").await;
    let mut options = options(&mesh);
    options.discovery.max_streams = 40;
    let running = mesh.controller_with(options).await;
    let access = mesh.access(&running, &evil, "w").await;
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..60 {
        let channel = access.connect().await.unwrap();
        let mut client = wire::discovery::discovery_client::DiscoveryClient::new(channel);
        match client.stream(access.request(futures::stream::pending())).await {
            Ok(stream) => held.push((stream, client)),
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                refused += 1;
            }
        }
    }
    assert_eq!((held.len(), refused), (16, 44));
    let mut proxy = mesh.proxy(&running, "edge-0").await;
    proxy.push().await;
    running.end().await;
}
