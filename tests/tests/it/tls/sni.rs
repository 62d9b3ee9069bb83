//! The server name chooses certificate and virtual hosts.

use sluice_tests::client::{H2, tls};
use sluice_tests::edge::{file, host_rule, https_gateway};
use sluice_tests::pki::Pki;
use sluice_tests::{Edge, H1};

/// Certificates name their server: `a`, `b` and `star`.
async fn start(pki: &Pki) -> Edge {
    let gateway = https_gateway(&[
        ("https-a", "[a.test]", "credentialName: a"),
        ("https-b", "[b.test]", "credentialName: b"),
        ("https-star", "['*.wild.test']", "credentialName: star"),
    ]);
    let secrets = file(&[
        pki.issue(&["a.test"]).secret("a"),
        pki.issue(&["b.test"]).secret("b"),
        pki.issue(&["*.wild.test"]).secret("star"),
    ]);
    let rules = [
        host_rule("a", "{directResponse: {status: 201}}"),
        host_rule("b", "{directResponse: {status: 202}}"),
        host_rule("wild", "{directResponse: {status: 203}}").replace("[wild.test]", "['*.wild.test']"),
    ];
    Edge::start(&[gateway, secrets, file(&rules)]).await
}

#[tokio::test]
async fn each_name_gets_its_certificate_and_its_own_hosts() {
    let pki = Pki::new();
    let edge = start(&pki).await;
    let address = edge.port(8443).await;
    for (name, status) in [("a.test", 201), ("b.test", 202), ("x.wild.test", 203), ("A.test", 201)] {
        // The client trusts a certificate for that very name only.
        let mut h1 = H1::connect_tls(address, name, pki.client(&["http/1.1"])).await.unwrap();
        assert_eq!(h1.get(name, "/").await.unwrap().status, status, "{name}");
        let mut h2 = H2::connect_tls(address, name, pki.client(&["h2"])).await.unwrap();
        assert_eq!(h2.get(name, "/").await.unwrap().status, status, "{name}");
        // Another server's host is unknown here, on the same connection: 404, never 421.
        for other in ["a.test", "b.test", "x.wild.test"].into_iter().filter(|other| !other.eq_ignore_ascii_case(name)) {
            assert_eq!(h1.get(other, "/").await.unwrap().status, 404, "{other} on {name}");
            assert_eq!(h2.get(other, "/").await.unwrap().status, 404, "{other} on {name}");
        }
        assert_eq!(h1.get(name, "/").await.unwrap().status, status, "{name}");
    }
}

#[tokio::test]
async fn unknown_names_and_no_name_are_closed_without_a_word() {
    let pki = Pki::new();
    let edge = start(&pki).await;
    let address = edge.port(8443).await;
    for name in ["nobody.test", "wild.test", "127.0.0.1"] {
        let error = tls(address, name, pki.client(&["h2"])).await.unwrap_err();
        // An alert would say more than a closed connection does.
        let error = error.downcast::<std::io::Error>().unwrap();
        assert!(error.get_ref().is_none_or(|inner| !inner.is::<rustls::Error>()), "{name}: {error:?}");
    }
    assert!(edge.metrics().await.contains("reason=\"filter_chain_not_found\"} 3"));
    // Something that is no TLS at all.
    let mut client = H1::connect(address).await.unwrap();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    let said = client.rest().await.unwrap();
    assert!(!said.contains("HTTP/1.1"), "{said:?}");
}

#[tokio::test]
async fn a_server_for_every_host_needs_no_name() {
    let pki = Pki::new();
    let gateway = https_gateway(&[("https", "['*']", "credentialName: all")]);
    let secret = pki.issue(&["127.0.0.1", "a.test"]).secret("all");
    let edge = Edge::start(&[gateway, secret, host_rule("a", "{directResponse: {status: 201}}")]).await;
    let address = edge.port(8443).await;
    for name in ["127.0.0.1", "a.test"] {
        let mut client = H1::connect_tls(address, name, pki.client(&[])).await.unwrap();
        assert_eq!(client.get("a.test", "/").await.unwrap().status, 201, "{name}");
    }
}

#[tokio::test]
async fn kept_connections_follow_a_server_that_is_renamed_or_moved() {
    let pki = Pki::new();
    let named = |name: &str| https_gateway(&[(name, "[a.test]", "credentialName: a")]);
    let rule = host_rule("a", "{directResponse: {status: 201}}").replace("[edge/gate]", "[edge/gate, edge/other]");
    let mut edge = Edge::start(&[named("https"), pki.issue(&["a.test"]).secret("a"), rule]).await;
    let address = edge.port(8443).await;
    let mut h1 = H1::connect_tls(address, "a.test", pki.client(&["http/1.1"])).await.unwrap();
    let mut h2 = H2::connect_tls(address, "a.test", pki.client(&["h2"])).await.unwrap();
    let moved = [
        ("another port name", named("https-renamed")),
        ("another Gateway", named("https").replace("name: gate,", "name: other,")),
        ("more hosts", named("https").replace("[a.test]", "['*.test']")),
    ];
    for (what, text) in moved {
        edge.save("00.yaml", &text).await;
        assert_eq!(edge.port(8443).await, address, "{what}");
        assert_eq!(h1.get("a.test", "/").await.unwrap().status, 201, "{what}");
        assert_eq!(h2.get("a.test", "/").await.unwrap().status, 201, "{what}");
    }
    // A server that is gone serves nobody.
    edge.save("00.yaml", &named("https").replace("[a.test]", "[b.test]")).await;
    assert_eq!(h1.get("a.test", "/").await.map_or(404, |reply| reply.status), 404);
    assert_eq!(h2.get("a.test", "/").await.map_or(404, |reply| reply.status), 404);
}
