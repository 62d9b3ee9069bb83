//! The cluster does what the other tests of this module rely on.

use k8s_openapi::api::core::v1::Pod;
use sluice_tests::cluster::PATIENCE;
use sluice_tests::load::Target;
use sluice_tests::wait::until_within;
use sluice_tests::{Cluster, H1, Load};

/// What a pod must say to be admitted where Pod Security is `restricted`.
const RESTRICTED: &str = "securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, \
                          runAsNonRoot: true, runAsUser: 1337, capabilities: {drop: [ALL]}, \
                          seccompProfile: {type: RuntimeDefault}}";

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn our_images_run_as_restricted_pods() {
    let cluster = Cluster::from_env();
    let room = cluster.namespace(&[("pod-security.kubernetes.io/enforce", "restricted")]).await;
    for name in ["sluice-controller", "sluice-gateway"] {
        room.apply(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  containers:\n  \
             - name: main\n    image: {}\n    args: [--version]\n    {RESTRICTED}\n",
            cluster.image(name)
        ))
        .await;
        let pods = room.api::<Pod>();
        let phase = until_within("the end of the pod", PATIENCE, async || {
            let phase = pods.get(name).await.ok()?.status?.phase?;
            matches!(phase.as_str(), "Succeeded" | "Failed").then_some(phase)
        })
        .await;
        let log = room.kubectl(&["logs", name]).await;
        assert_eq!(phase, "Succeeded", "{log}");
        assert_eq!(log.trim(), format!("{name} {}", env!("CARGO_PKG_VERSION")));
    }
}

/// A Deployment of the tests' backend with two pods, and a Service of type LoadBalancer for it.
fn web(cluster: &Cluster, version: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  replicas: 2\n  \
         selector: {{matchLabels: {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web}}}}\n    spec:\n      \
         containers:\n      - name: web\n        image: {}\n        \
         env: [{{name: NAME, value: {version}}}]\n        \
         readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}\n        {RESTRICTED}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec:\n  type: LoadBalancer\n  \
         selector: {{app: web}}\n  ports: [{{name: http, port: 80, targetPort: 8080}}]\n",
        cluster.image("sluice-test-backend")
    )
}

#[tokio::test]
#[ignore = "needs a cluster: make e2e"]
async fn a_load_balancer_leads_to_pods_while_they_are_replaced() {
    let cluster = Cluster::from_env();
    let room = cluster.namespace(&[]).await;
    room.apply(&web(&cluster, "v1")).await;
    room.rolled_out("deployment/web").await;
    let address = room.load_balancer("web", 80).await;
    // Rules for a new address are a moment later on the node than the address in the status.
    let reply = until_within("an answer", PATIENCE, async || {
        let mut client = H1::connect(address).await.ok()?;
        client.get("web.test", "/from-outside").await.ok()
    })
    .await;
    assert_eq!((reply.status, reply.backend()), (200, "v1"));

    // By name, from inside.
    let host = format!("web.{}.svc.cluster.local:80", &*room);
    let get = ["exec", "deployment/web", "--", "/usr/local/bin/sluice-test-backend", "get", &host, "/from-inside"];
    let answer = room.kubectl(&get).await;
    assert!(answer.starts_with("200 ") && answer.contains("/from-inside"), "{answer}");

    let load = Load::start(&Target::plain(address, "web.test"), 4);
    room.apply(&web(&cluster, "v2")).await;
    room.rolled_out("deployment/web").await;
    // Until the connections that the old pods had are closed.
    until_within("answers of new pods only", PATIENCE, async || {
        let before = load.so_far().backends;
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let after = load.so_far().backends;
        (after.get("v1") == before.get("v1") && after.get("v2") > before.get("v2")).then_some(())
    })
    .await;
    load.stop().await.assert_none_failed();
}
