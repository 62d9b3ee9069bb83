//! Raw connections, in plaintext and out of TLS.

use sluice_tests::edge::file;
use sluice_tests::pki::Pki;
use sluice_tests::{Edge, H1, Raw};

#[tokio::test]
async fn tcp_servers_pass_bytes_on() {
    let pki = Pki::new();
    let raw = Raw::start(|_, mut peer| async move {
        loop {
            let said = peer.body(4).await;
            if said.is_empty() {
                return;
            }
            peer.say(&String::from_utf8_lossy(&said).to_uppercase()).await;
        }
    })
    .await;
    let gateway = "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 8081, name: tcp, protocol: TCP}, hosts: ['*']}
  - {port: {number: 8443, name: tls, protocol: TLS}, hosts: [a.test], tls: {mode: SIMPLE, credentialName: a}}
";
    let service = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: raw, namespace: shop}
spec:
  hosts: ['*']
  gateways: [edge/gate]
  tcp:
  - {match: [{port: 1}], route: [{destination: {host: missing}}]}
  - route: [{destination: {host: raw, port: {number: 80}}}]
";
    let entry = raw.service_entry("raw").replace("protocol: HTTP}", "protocol: TCP}");
    let documents = [gateway.to_owned(), pki.issue(&["a.test"]).secret("a"), file(&[service.to_owned(), entry])];
    let edge = Edge::start(&documents).await;
    let mut plain = H1::connect(edge.port(8081).await).await.unwrap();
    let mut secure = H1::connect_tls(edge.port(8443).await, "a.test", pki.client(&[])).await.unwrap();
    for client in [&mut plain, &mut secure] {
        for word in ["abcd", "efgh"] {
            client.send(word).await.unwrap();
            assert_eq!(client.exactly(4).await.unwrap(), word.to_uppercase().as_bytes());
        }
    }
    assert_eq!(raw.connections(), 2);
    drop(raw);
    // Nobody to talk to: closed without a word.
    let mut client = H1::connect(edge.port(8081).await).await.unwrap();
    assert!(client.is_closed().await.unwrap());
}
