//! Many proxies, and a controller that dies among them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use sluice_tests::kube::ControlPlane;
use sluice_tests::kube::mesh::{Mesh, hello};
use sluice_tests::proxy::{Access, Proxy};

const PROXIES: usize = 200;

/// Everybody at once, as after a restart.
async fn connect(accesses: Vec<Access>, kept: Vec<BTreeMap<ir::Key, ir::Encoded>>, namespace: &str) -> Vec<Proxy> {
    let one = |(index, (access, resources)): (usize, (Access, _))| async move {
        Proxy::begin(&access, hello(namespace, &format!("edge-{index}")), resources).await.unwrap()
    };
    futures::stream::iter(accesses.into_iter().zip(kept).enumerate()).map(one).buffered(PROXIES).collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_proxies_survive_their_controller() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    let namespace = mesh.namespace.clone();
    plane.apply(&super::discovery::objects(&namespace, 200)).await;
    let pods = futures::stream::iter(0..PROXIES).for_each_concurrent(16, |index| {
        let (mesh, namespace) = (&mesh, &namespace);
        async move {
            let address = format!("10.2.{}.{}", index / 200, index % 200 + 1);
            mesh.pod_in(namespace, &format!("edge-{index}"), "edge", &[("edge", namespace)], &address).await;
        }
    });
    pods.await;
    let mut options = mesh.options("controller-0");
    options.limits.handshakes_per_second = 0;
    let running = mesh.controller_with(options.clone()).await;
    let accesses: Vec<Access> = futures::stream::iter(0..PROXIES)
        .map(|index| {
            let (mesh, running, namespace) = (&mesh, &running, &namespace);
            async move { mesh.access(running, namespace, &format!("edge-{index}")).await }
        })
        .buffered(16)
        .collect()
        .await;
    let mut proxies = connect(accesses.clone(), vec![BTreeMap::new(); PROXIES], &namespace).await;
    for proxy in &mut proxies {
        let push = proxy.push().await;
        proxy.ack(push).await;
        assert!(!proxy.resources.is_empty());
    }
    assert_eq!(running.fleet().connected().await.unwrap().len(), PROXIES);
    // One change reaches everybody.
    plane.apply(&super::discovery::service(&namespace, 201)).await;
    for proxy in &mut proxies {
        let push = proxy.push().await;
        assert_eq!((push.changed.len(), push.removed.len()), (1, 0));
        proxy.ack(push).await;
    }
    // The controller dies; everybody keeps what it has.
    running.abort();
    let kept: Vec<_> = futures::future::join_all(proxies.into_iter().map(Proxy::follow))
        .await
        .into_iter()
        .map(|(kept, _)| kept)
        .collect();
    let running = mesh.controller_with(options).await;
    let address = running.addresses().discovery;
    let accesses: Vec<Access> = accesses.into_iter().map(|access| Access { address, ..access }).collect();
    let started = Instant::now();
    let mut proxies = connect(accesses, kept, &namespace).await;
    for proxy in &mut proxies {
        let push = proxy.push().await;
        assert_eq!((push.changed.len(), push.removed.len()), (0, 0), "nothing has changed meanwhile");
        proxy.ack(push).await;
    }
    // Not a measurement, only that it is not hopeless; `make bench-control` measures.
    assert!(started.elapsed() < Duration::from_secs(60));
    plane.apply(&super::discovery::service(&namespace, 202)).await;
    for proxy in &mut proxies {
        let push = proxy.push().await;
        assert_eq!(push.changed.len(), 1);
        proxy.ack(push).await;
    }
    running.end().await;
}
