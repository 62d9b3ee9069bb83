//! Kubernetes Ingress on the wire (docs/semantics.md §17).

use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::pki::Pki;
use sluice_tests::{Backend, Edge, H1};

/// An Ingress `shop/<name>` of class `istio` with the rest of its spec, indented by two.
fn ingress(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  \
         ingressClassName: istio\n{spec}"
    )
}

/// A rule with one path to port 80 of a Service.
fn rule(host: &str, path_type: &str, path: &str, service: &str) -> String {
    format!(
        "  - host: {host}\n    http:\n      paths:\n      - {{pathType: {path_type}, path: {path}, backend: {{service: {{name: \
         {service}, port: {{number: 80}}}}}}}}\n"
    )
}

#[tokio::test]
async fn the_longest_path_decides_by_whole_segments_across_objects() {
    let (alpha, beta) = (Backend::start("alpha").await, Backend::start("beta").await);
    let one = ingress("one", &format!("  rules:\n{}", rule("shop.test", "Prefix", "/a", "alpha")));
    let two = ingress("two", &format!("  rules:\n{}", rule("shop.test", "Exact", "/a/b", "beta")));
    let entries = file(&[alpha.service_entry(), beta.service_entry()]);
    let mut edge = Edge::start(&[one, two, entries]).await;
    let mut client = H1::connect(edge.port(80).await).await.unwrap();
    let answers = [("/a", "alpha"), ("/a/", "alpha"), ("/a/x?y", "alpha"), ("/a/b", "beta"), ("/a/b/", "alpha")];
    for (path, backend) in answers {
        let reply = client.get("shop.test", path).await.unwrap();
        assert_eq!((reply.status, reply.backend()), (200, backend), "{path}");
    }
    for (host, path) in [("shop.test", "/ab"), ("shop.test", "/"), ("else.test", "/a")] {
        assert_eq!(client.get(host, path).await.unwrap().status, 404, "{host}{path}");
    }
    edge.delete("01.yaml").await;
    assert_eq!(client.get("shop.test", "/a/b").await.unwrap().backend(), "alpha");
}

#[tokio::test]
async fn what_nothing_else_takes_goes_to_the_default_backend() {
    let (alpha, beta) = (Backend::start("alpha").await, Backend::start("beta").await);
    let gateway = GATEWAY.replace("8080", "80");
    let default = "  defaultBackend: {service: {name: beta, port: {number: 80}}}\n  rules:\n";
    let object = ingress("web", &format!("{default}{}", rule("shop.test", "Prefix", "/a", "alpha")));
    let entries = file(&[alpha.service_entry(), beta.service_entry()]);
    let edge = Edge::start(&[gateway, host_rule("site", "{directResponse: {status: 299}}"), object, entries]).await;
    let mut client = H1::connect(edge.port(80).await).await.unwrap();
    for (host, path, backend) in
        [("shop.test", "/a", "alpha"), ("shop.test", "/b", "beta"), ("else.test", "/a", "beta")]
    {
        assert_eq!(client.get(host, path).await.unwrap().backend(), backend, "{host}{path}");
    }
    assert_eq!(client.get("site.test", "/").await.unwrap().status, 299);
}

#[tokio::test]
async fn tls_ends_with_the_secret_of_the_gateways_namespace() {
    let pki = Pki::new();
    let alpha = Backend::start("alpha").await;
    let tls = "  tls: [{hosts: [shop.test], secretName: cert}]\n  rules:\n";
    let object = ingress("web", &format!("{tls}{}", rule("shop.test", "Prefix", "/", "alpha")));
    let edge = Edge::start(&[object, pki.issue(&["shop.test"]).secret("cert"), alpha.service_entry()]).await;
    let mut secure = H1::connect_tls(edge.port(443).await, "shop.test", pki.client(&[])).await.unwrap();
    assert_eq!(secure.get("shop.test", "/x").await.unwrap().backend(), "alpha");
    // Nothing redirects.
    let mut plain = H1::connect(edge.port(80).await).await.unwrap();
    assert_eq!(plain.get("shop.test", "/x").await.unwrap().backend(), "alpha");
}

#[tokio::test]
async fn a_challenge_is_answered_though_the_gateway_redirects_to_https() {
    let alpha = Backend::start("alpha").await;
    let gateway = format!("{}    tls: {{httpsRedirect: true}}\n", GATEWAY.replace("8080", "80"));
    let site = host_rule("shop", "{match: [{uri: {prefix: /}}], directResponse: {status: 299}}");
    let challenge = "/.well-known/acme-challenge/token";
    let solver =
        ingress("cm-acme-http-solver-x", &format!("  rules:\n{}", rule("shop.test", "Exact", challenge, "alpha")));
    let mut edge = Edge::start(&[gateway, site, alpha.service_entry()]).await;
    let mut client = H1::connect(edge.port(80).await).await.unwrap();
    assert_eq!(client.get("shop.test", challenge).await.unwrap().status, 301);
    edge.save("90.yaml", &solver).await;
    assert_eq!(client.get("shop.test", challenge).await.unwrap().backend(), "alpha");
    for path in ["/", "/.well-known/acme-challenge/other"] {
        assert_eq!(client.get("shop.test", path).await.unwrap().status, 301, "{path}");
    }
    edge.delete("90.yaml").await;
    assert_eq!(client.get("shop.test", challenge).await.unwrap().status, 301);
}
