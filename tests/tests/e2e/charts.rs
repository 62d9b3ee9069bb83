//! The three charts: installed, used, upgraded and uninstalled, in this order, in one cluster.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use sluice_tests::cluster::Room;
use sluice_tests::load::Target;
use sluice_tests::pki::Pki;
use sluice_tests::wait::until_within;
use sluice_tests::{Cluster, Load};

use super::{canary, ingress, observe};

pub(crate) const CONTROL: &str = "istio-system";
pub(crate) const EDGE: &str = "istio-ingress";

/// With everything switched on that needs nothing else in the cluster.
const GATEWAY: &[&str] =
    &["autoscaling.minReplicas=2", "podDisruptionBudget.minAvailable=1", "networkPolicy.enabled=true"];
const CONTROLLER: &[&str] = &["networkPolicy.enabled=true"];

/// An installation, and how to reach it.
pub(crate) struct Site<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) control: Room<'a>,
    pub(crate) edge: Room<'a>,
    /// Where users work.
    pub(crate) shop: Room<'a>,
    /// HTTPS.
    pub(crate) address: SocketAddr,
    pub(crate) pki: Pki,
    /// Trusts `pki`.
    pub(crate) tls: Arc<ClientConfig>,
}

impl Site<'_> {
    pub(crate) fn target(&self, host: &str) -> Target {
        Target { tls: Some(Arc::clone(&self.tls)), ..Target::plain(self.address, host) }
    }
}

async fn install(cluster: &Cluster) -> Site<'_> {
    cluster.install(CONTROL, "sluice-base", "base", &[]).await;
    cluster.install(CONTROL, "sluice-controller", "controller", CONTROLLER).await;
    cluster.install(EDGE, "istio-ingressgateway", "gateway", GATEWAY).await;
    let control = cluster.namespace_named(CONTROL, &[]).await;
    let edge = cluster.namespace_named(EDGE, &[]).await;
    let shop = cluster.namespace(&[]).await;
    let address = edge.load_balancer("istio-ingressgateway", 443).await;
    let pki = Pki::new();
    let tls = pki.client(&["http/1.1"]);
    Site { cluster, control, edge, shop, address, pki, tls }
}

/// The gateway's account may do nothing.
async fn no_rights(cluster: &Cluster) {
    let account = format!("--as=system:serviceaccount:{EDGE}:istio-ingressgateway");
    let calls = [
        ["get", "secrets"],
        ["list", "services"],
        ["get", "pods"],
        ["list", "gateways.networking.istio.io"],
        ["create", "serviceaccounts/token"],
    ];
    for [verb, what] in calls {
        let asked = cluster.try_kubectl(&["auth", "can-i", verb, what, "-n", EDGE, &account]).await;
        assert_eq!(asked.unwrap_err().trim(), "no", "{verb} {what}");
    }
}

/// New pods of both, under load.
async fn upgrade(site: &Site<'_>) {
    let load = Load::start(&site.target(canary::HOST), 8);
    let changed = ["podAnnotations.changed=yes"];
    site.cluster.install(EDGE, "istio-ingressgateway", "gateway", &[GATEWAY, &changed].concat()).await;
    site.cluster.install(CONTROL, "sluice-controller", "controller", &[CONTROLLER, &changed].concat()).await;
    load.stop().await.assert_none_failed();
}

async fn uninstall(cluster: &Cluster) {
    for (namespace, release) in
        [(EDGE, "istio-ingressgateway"), (CONTROL, "sluice-controller"), (CONTROL, "sluice-base")]
    {
        cluster.helm(&["uninstall", release, "--namespace", namespace, "--wait"]).await.unwrap();
    }
    let namespaced = "deployments,services,serviceaccounts,roles,rolebindings,poddisruptionbudgets,horizontalpodautoscalers,\
                      networkpolicies,secrets,configmaps";
    let everywhere = "clusterroles,clusterrolebindings,validatingwebhookconfigurations,ingressclasses";
    let ours = ["get", namespaced, "-A", "-l", "app.kubernetes.io/part-of=sluice", "-o", "name"];
    assert_eq!(cluster.kubectl(&ours).await, "");
    let ours = ["get", everywhere, "-l", "app.kubernetes.io/part-of=sluice", "-o", "name"];
    assert_eq!(cluster.kubectl(&ours).await, "");
    // What the controller made for itself belongs to the release, and is collected a moment later.
    for (kind, name) in
        [("configmaps", "istio-ca-root-cert"), ("secrets", "istio-ca-secret"), ("leases", "sluice-leader")]
    {
        let selector = format!("--field-selector=metadata.name={name}");
        until_within(&format!("no {name} is left"), Duration::from_secs(60), async || {
            cluster.kubectl(&["get", kind, "-A", &selector, "-o", "name"]).await.is_empty().then_some(())
        })
        .await;
    }
    let kept = cluster.kubectl(&["get", "virtualservices.networking.istio.io", "-A", "-o", "name"]).await;
    assert!(kept.contains("/web"), "the definitions stay, and with them what users wrote: {kept}");
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn charts_are_installed_used_upgraded_and_uninstalled() {
    let cluster = Cluster::from_env();
    let site = install(&cluster).await;
    canary::begin(&site).await;
    canary::finish(&site).await;
    ingress::serves(&site).await;
    observe::shows(&site).await;
    no_rights(&cluster).await;
    upgrade(&site).await;
    uninstall(&cluster).await;
}
