//! Plaintext servers that send everybody to https.

use sluice_tests::client::H2;
use sluice_tests::edge::{file, host_rule};
use sluice_tests::pki::Pki;
use sluice_tests::{Edge, H1};

#[tokio::test]
async fn plaintext_is_redirected_and_https_is_served() {
    let pki = Pki::new();
    let gateway = "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [a.test, lonely.test]
    tls: {httpsRedirect: true}
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [a.test]
    tls: {mode: SIMPLE, credentialName: a}
";
    let rules = file(&[
        host_rule("a", "{headers: {response: {set: {x-a: b}}}, directResponse: {status: 299}}"),
        host_rule("else", "{directResponse: {status: 298}}"),
    ]);
    let edge = Edge::start(&[gateway.to_owned(), pki.issue(&["a.test"]).secret("a"), rules]).await;
    let plain = edge.port(80).await;
    let mut h1 = H1::connect(plain).await.unwrap();
    let mut h2 = H2::connect(plain).await.unwrap();
    for (host, path, location) in [
        ("a.test", "/x?y=z", Some("https://a.test/x?y=z")),
        ("a.test:80", "/", Some("https://a.test:80/")),
        ("A.test:18080", "/", Some("https://A.test:18080/")),
        ("a.test:", "/", Some("https://a.test/")),
        // No VirtualService is for it; the server has it all the same.
        ("lonely.test", "/x", Some("https://lonely.test/x")),
        ("else.test", "/", None),
    ] {
        let replies = [h1.get(host, path).await.unwrap(), h2.get(host, path).await.unwrap()];
        for reply in replies {
            let status = if location.is_some() { 301 } else { 404 };
            assert_eq!((reply.status, reply.header("location")), (status, location), "{host}{path}");
            assert_eq!((reply.header("x-a"), reply.body.len()), (None, 0), "{host}{path}");
        }
    }
    // Neither what an HTTP/2 client calls the scheme, nor a field that no trusted proxy has written, is https.
    for scheme in ["https", "javascript"] {
        let reply = h2.saying(scheme).get("a.test", "/x").await.unwrap();
        assert_eq!((reply.status, reply.header("location")), (301, Some("https://a.test/x")), "{scheme}");
    }
    let forged = [("x-forwarded-proto", "https")];
    assert_eq!(h1.request("GET", "a.test", "/", &forged, None).await.unwrap().status, 301);
    let mut secure = H1::connect_tls(edge.port(443).await, "a.test", pki.client(&[])).await.unwrap();
    let reply = secure.get("a.test", "/").await.unwrap();
    assert_eq!((reply.status, reply.header("x-a")), (299, Some("b")));
}
