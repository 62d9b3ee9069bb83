//! Ports of Gateways stand for ports of the Service in front of the proxy.

use sluice_tests::edge::{GATEWAY, host_rule};
use sluice_tests::{Edge, H1};

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  ports:
  - {name: http, port: 80, targetPort: 8080}
";

#[tokio::test]
async fn a_service_in_front_moves_the_listener_and_not_what_rules_see() {
    let gateway = GATEWAY.replace("8080", "80");
    let rule = host_rule("a", "{match: [{port: 80}], directResponse: {status: 299}}");
    let redirect = host_rule("b", "{redirect: {derivePort: FROM_REQUEST_PORT, scheme: https}}");
    let mut edge = Edge::start(&[gateway, rule, redirect, SERVICE.to_owned()]).await;
    assert!(!edge.has_port(80).await);
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    assert_eq!(client.get("a.test", "/").await.unwrap().status, 299);
    assert_eq!(client.get("b.test", "/").await.unwrap().header("location"), Some("https://b.test:80/"));
    // Without the Service the number is the port's.
    edge.delete("03.yaml").await;
    assert!(!edge.has_port(8080).await);
    let mut client = H1::connect(edge.port(80).await).await.unwrap();
    assert_eq!(client.get("a.test", "/").await.unwrap().status, 299);
}
