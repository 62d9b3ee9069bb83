//! An ordinary Istio canary that moves while pods of every kind go.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use sluice_tests::cluster::{PATIENCE, Room};
use sluice_tests::wait::until_within;
use sluice_tests::{Cluster, H1, Load};

use super::charts::{EDGE, Site};

pub(crate) const HOST: &str = "shop.test";

/// Two versions of a backend and their Service.
fn backends(cluster: &Cluster) -> String {
    let mut yaml = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  selector: {app: web}\n  \
                    ports: [{name: http, port: 80, targetPort: 8080}]\n"
        .to_owned();
    for version in ["v1", "v2"] {
        yaml.push_str(&format!(
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web-{version}}}\nspec:\n  replicas: 2\n  \
             selector: {{matchLabels: {{app: web, version: {version}}}}}\n  template:\n    \
             metadata: {{labels: {{app: web, version: {version}}}}}\n    spec:\n      containers:\n      - name: web\n        \
             image: {}\n        env: [{{name: NAME, value: {version}}}]\n        \
             readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}\n",
            cluster.image("sluice-test-backend")
        ));
    }
    yaml
}

/// A canary that sends this percentage to v2.
fn canary(percent: u32) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: web}}\nspec:\n  hosts: [{HOST}]\n  \
         gateways: [{EDGE}/gate]\n  http:\n  - route:\n    - destination: {{host: web, subset: v1}}\n      weight: {}\n    \
         - destination: {{host: web, subset: v2}}\n      weight: {percent}\n",
        100 - percent
    )
}

const RULES: &str = "\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec:
  host: web
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
";

fn gate() -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: gate, namespace: {EDGE}}}\nspec:\n  \
         selector: {{istio: ingressgateway}}\n  servers:\n  - port: {{number: 443, name: https, protocol: HTTPS}}\n    \
         hosts: [{HOST}]\n    tls: {{mode: SIMPLE, credentialName: shop}}\n"
    )
}

/// Deletes one pod of those with these labels.
async fn delete_one(room: &Room<'_>, labels: &str) {
    let pods = room.api::<Pod>();
    let found = pods.list(&ListParams::default().labels(labels)).await.unwrap();
    let name = found.items[0].metadata.name.clone().unwrap();
    pods.delete(&name, &DeleteParams::default()).await.unwrap();
}

/// Waits until the canary has moved: only v2 has answered for a while. Gives the time until its last answer from v1.
async fn moved(load: &Load, since: Instant) -> Duration {
    let mut last = Instant::now();
    let mut seen = load.so_far().backends.get("v1").copied();
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = load.so_far().backends.get("v1").copied();
        if now != seen {
            (seen, last) = (now, Instant::now());
        }
        if last.elapsed() > Duration::from_secs(2) {
            return last - since;
        }
        assert!(since.elapsed() < PATIENCE, "the canary does not move: {:?}", load.so_far());
    }
}

/// Serves v1 and a little v2, over HTTPS, from outside.
pub(crate) async fn begin(site: &Site<'_>) {
    let Site { cluster, edge, shop, .. } = site;
    let secret = site.pki.issue(&[HOST]).secret("shop").replace("istio-system", EDGE);
    edge.apply(&format!("{secret}---\n{}", gate())).await;
    shop.apply(&format!("{}---\n{}---\n{RULES}", backends(cluster), canary(10))).await;
    for version in ["v1", "v2"] {
        shop.rolled_out(&format!("deployment/web-{version}")).await;
    }
    until_within("an answer through the gateway", PATIENCE, async || {
        let mut client = H1::connect_tls(site.address, HOST, site.tls.clone()).await.ok()?;
        client.get(HOST, "/").await.ok().filter(|reply| reply.status == 200)
    })
    .await;
}

/// To v2, while the Deployments roll and a pod of the gateway and one of the controller are deleted.
pub(crate) async fn finish(site: &Site<'_>) {
    let load = Load::start(&site.target(HOST), 8);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = load.so_far();
    let share = before.backends["v2"] as f64 / before.good as f64;
    assert!((0.02..0.25).contains(&share), "{before:?}");

    site.shop.kubectl(&["rollout", "restart", "deployment/web-v1", "deployment/web-v2"]).await;
    delete_one(&site.edge, "istio=ingressgateway").await;
    delete_one(&site.control, "app=sluice-controller").await;
    let start = Instant::now();
    site.shop.apply(&canary(100)).await;
    let took = moved(&load, start).await;
    println!("the canary moved within {took:?} while a controller was gone");
    for version in ["v1", "v2"] {
        site.shop.rolled_out(&format!("deployment/web-{version}")).await;
    }
    site.edge.rolled_out("deployment/istio-ingressgateway").await;
    site.control.rolled_out("deployment/sluice-controller").await;
    load.stop().await.assert_none_failed();
}
