//! A Kubernetes Ingress with a certificate.

use sluice_tests::H1;
use sluice_tests::cluster::PATIENCE;
use sluice_tests::wait::until_within;

use super::charts::{EDGE, Site};

const HOST: &str = "old.test";

const INGRESS: &str = "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: old}
spec:
  ingressClassName: sluice
  tls: [{hosts: [old.test], secretName: old}]
  rules:
  - host: old.test
    http:
      paths:
      - {path: /old, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}
";

/// Serves the backends of the canary. Its status stays empty, as with Istio: `ingressService` of the mesh configuration is
/// looked for in the namespace of the controller, and this gateway is in one of its own.
pub(crate) async fn serves(site: &Site<'_>) {
    site.edge.apply(&site.pki.issue(&[HOST]).secret("old").replace("istio-system", EDGE)).await;
    site.shop.apply(INGRESS).await;
    let reply = until_within("an answer of the Ingress", PATIENCE, async || {
        let mut client = H1::connect_tls(site.address, HOST, site.tls.clone()).await.ok()?;
        client.get(HOST, "/old/kettles").await.ok().filter(|reply| reply.status == 200)
    })
    .await;
    assert_eq!(reply.seen()["path"], "/old/kettles");
    let mut client = H1::connect_tls(site.address, HOST, site.tls.clone()).await.unwrap();
    assert_eq!(client.get(HOST, "/elsewhere").await.unwrap().status, 404);
}
