//! Files and a cluster are two ways to the same meaning: what a proxy is told about the same objects is the same, byte by
//! byte.

use std::collections::BTreeMap;

use controller::source::Paths;
use controller::{Controller, FileChange, Options};
use ir::Key;
use sluice_tests::kube::ControlPlane;
use sluice_tests::kube::mesh::{Mesh, project};
use translate::ProxyScope;

#[tokio::test(flavor = "multi_thread")]
async fn files_and_a_cluster_mean_the_same() {
    // Every object of the cluster is seen, so nobody else may be there.
    let plane = ControlPlane::start().await;
    let mesh = Mesh::install(&plane).await;
    let namespace = &mesh.namespace;
    let mut written = String::new();
    for example in ["canary", "routing"] {
        for entry in std::fs::read_dir(project().join("examples").join(example)).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            // Both examples have names of the other.
            written += &format!("---\n{}\n", text.replace("name: shop\n", &format!("name: {example}\n")));
        }
    }
    kube_apply(&plane, namespace, &written).await;
    mesh.pod("edge-0", &[("istio", "ingressgateway")]).await;
    let running = mesh.controller().await;
    let mut proxy = mesh.proxy(&running, "edge-0").await;
    let push = proxy.push().await;
    proxy.ack(push).await;
    let from_cluster: BTreeMap<Key, String> =
        proxy.resources.iter().map(|(key, one)| (key.clone(), one.version.to_string())).collect();

    let kinds = "gateways.networking.istio.io,virtualservices.networking.istio.io,destinationrules.networking.istio.io,\
                 serviceentries.networking.istio.io,services,endpointslices,namespaces,pods,nodes";
    let mut text = plane.kubectl(&["get", kinds, "-A", "-o", "yaml"]).await;
    text += &format!("---\n{}", plane.kubectl(&["get", "configmap", "istio", "-n", namespace, "-o", "yaml"]).await);
    let proxy = ProxyScope {
        name: "edge-0".to_owned(),
        namespace: namespace.clone(),
        labels: [("istio".to_owned(), "ingressgateway".to_owned())].into(),
        control_namespace: namespace.clone(),
        cluster: "Kubernetes".to_owned(),
    };
    let options = Options {
        paths: Paths::default(),
        proxy,
        extra: vec![FileChange::from_text("cluster.yaml", &text)],
        ..Options::default()
    };
    let (engine, step) = Controller::once(options).unwrap();
    assert!(engine.store().len() > 5, "{:?}", engine.problems());
    let from_files: BTreeMap<Key, String> =
        step.delta.changed.iter().map(|one| (one.key.clone(), one.version.to_string())).collect();
    assert!(from_files.len() > 5, "{from_files:?}");
    assert_eq!(from_files, from_cluster);
}

async fn kube_apply(plane: &ControlPlane, namespace: &str, yaml: &str) {
    sluice_tests::kube::apply(&plane.admin(), namespace, yaml).await.unwrap_or_else(|error| panic!("{error}"));
}
