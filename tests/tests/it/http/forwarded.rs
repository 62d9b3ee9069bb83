//! Whom the upstream is told that a request comes from.

use sluice_tests::edge::{GATEWAY, host_rule, mesh_config};
use sluice_tests::{Backend, Edge, H1};

#[tokio::test]
async fn proxies_in_front_are_believed_as_far_as_they_are_trusted() {
    // Trusted proxies, x-forwarded-for and -proto sent; -for, -proto and external address seen.
    let rows = [
        (0, "1.1.1.1, 2.2.2.2", "https", "1.1.1.1, 2.2.2.2,127.0.0.1", "http", "127.0.0.1"),
        (1, "1.1.1.1, 2.2.2.2", "https", "1.1.1.1, 2.2.2.2,127.0.0.1", "https", "2.2.2.2"),
        (2, "1.1.1.1, 2.2.2.2", "https", "1.1.1.1, 2.2.2.2,127.0.0.1", "https", "1.1.1.1"),
        (3, "1.1.1.1, 2.2.2.2", "http", "1.1.1.1, 2.2.2.2,127.0.0.1", "http", "127.0.0.1"),
    ];
    let alpha = Backend::start("alpha").await;
    for (trusted, sent_for, sent_proto, seen_for, seen_proto, external) in rows {
        let mesh = mesh_config(&format!("defaultConfig: {{gatewayTopology: {{numTrustedProxies: {trusted}}}}}"));
        let rule = host_rule("a", "{route: [{destination: {host: alpha}}]}");
        let edge = Edge::start(&[GATEWAY.to_owned(), rule, alpha.service_entry(), mesh]).await;
        let mut client = H1::connect(edge.port(8080).await).await.unwrap();
        let sent = [("X-Forwarded-For", sent_for), ("X-Forwarded-Proto", sent_proto)];
        let reply = client.request("GET", "a.test", "/", &sent, None).await.unwrap();
        assert_eq!(reply.seen_header("x-forwarded-for"), [seen_for], "{trusted}");
        assert_eq!(reply.seen_header("x-forwarded-proto"), [seen_proto], "{trusted}");
        assert_eq!(reply.seen_header("x-envoy-external-address"), [external], "{trusted}");
        assert!(reply.seen_header("x-envoy-internal").is_empty());
    }
}

#[tokio::test]
async fn https_redirects_do_not_loop_behind_a_balancer_that_ends_tls() {
    let gateway = GATEWAY.replace("hosts: ['*']", "hosts: ['*']\n    tls: {httpsRedirect: true}");
    let mesh = mesh_config("defaultConfig: {gatewayTopology: {numTrustedProxies: 1}}");
    let edge = Edge::start(&[gateway, host_rule("a", "{directResponse: {status: 299}}"), mesh]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for (proto, status) in [("https", 299), ("http", 301)] {
        let sent = [("X-Forwarded-Proto", proto)];
        assert_eq!(client.request("GET", "a.test", "/", &sent, None).await.unwrap().status, status, "{proto}");
    }
    assert_eq!(client.get("a.test", "/").await.unwrap().status, 301);
}
