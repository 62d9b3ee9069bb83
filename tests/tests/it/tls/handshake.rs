//! What is agreed on in the handshake: protocol and version.

use sluice_tests::client::{H2, tls};
use sluice_tests::edge::{file, host_rule, https_gateway};
use sluice_tests::pki::Pki;
use sluice_tests::{Backend, Edge, H1};

const TO_ALPHA: &str = "{route: [{destination: {host: alpha}}]}";

#[tokio::test]
async fn the_protocol_is_the_one_negotiated() {
    let pki = Pki::new();
    let alpha = Backend::start("alpha").await;
    let edge = Edge::start(&[
        https_gateway(&[("https", "[a.test]", "credentialName: a")]),
        pki.issue(&["a.test"]).secret("a"),
        host_rule("a", TO_ALPHA),
        alpha.service_entry(),
    ])
    .await;
    let address = edge.port(8443).await;
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&["foo"], None),
        (&[], None),
    ] {
        let stream = tls(address, "a.test", pki.client(offered)).await.unwrap();
        let got = stream.get_ref().1.alpn_protocol().map(String::from_utf8_lossy);
        assert_eq!(got.as_deref(), agreed, "{offered:?}");
        drop(stream);
        let reply = if agreed == Some("h2") {
            let mut client = H2::connect_tls(address, "a.test", pki.client(offered)).await.unwrap();
            client.request("POST", "a.test", "/x", &[], Some("body")).await.unwrap()
        } else {
            let mut client = H1::connect_tls(address, "a.test", pki.client(offered)).await.unwrap();
            client.request("POST", "a.test", "/x", &[], Some("body")).await.unwrap()
        };
        assert_eq!((reply.status, reply.seen()["body"].as_str()), (200, Some("body")), "{offered:?}");
        assert_eq!(reply.seen_header("x-forwarded-proto"), ["https"], "{offered:?}");
    }
}

#[tokio::test]
async fn servers_bound_the_version_of_tls() {
    let pki = Pki::new();
    let rows = [
        ("any", "", [true, true]),
        ("old", "maxProtocolVersion: TLSV1_2, ", [true, false]),
        ("new", "minProtocolVersion: TLSV1_3, ", [false, true]),
        ("ciphers", "maxProtocolVersion: TLSV1_2, cipherSuites: [ECDHE-ECDSA-AES256-GCM-SHA384], ", [true, false]),
        ("foreign", "maxProtocolVersion: TLSV1_2, cipherSuites: [ECDHE-RSA-AES256-GCM-SHA384], ", [false, false]),
    ];
    let servers: Vec<_> = rows
        .iter()
        .map(|(name, tls, _)| (*name, format!("[{name}.test]"), format!("{tls}credentialName: all")))
        .collect();
    let servers: Vec<_> = servers.iter().map(|(name, hosts, tls)| (*name, hosts.as_str(), tls.as_str())).collect();
    let names: Vec<String> = rows.iter().map(|(name, ..)| format!("{name}.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rules: Vec<String> = rows.iter().map(|(name, ..)| host_rule(name, "{directResponse: {status: 299}}")).collect();
    let edge = Edge::start(&[https_gateway(&servers), pki.issue(&names).secret("all"), file(&rules)]).await;
    let address = edge.port(8443).await;
    for (name, _, expected) in rows {
        let host = format!("{name}.test");
        for (version, expected) in [&rustls::version::TLS12, &rustls::version::TLS13].into_iter().zip(expected) {
            let got = match H1::connect_tls(address, &host, pki.client_of(&[], &[version])).await {
                Ok(mut client) => client.get(&host, "/").await.unwrap().status == 299,
                Err(_) => false,
            };
            assert_eq!(got, expected, "{name} {:?}", version.version);
        }
    }
}

#[tokio::test]
async fn a_client_that_stalls_in_the_handshake_is_let_go() {
    let pki = Pki::new();
    let limits = ir::Limits { handshake_timeout: std::time::Duration::from_millis(80), ..ir::Limits::default() };
    let documents = [
        https_gateway(&[("https", "[a.test]", "credentialName: a")]),
        pki.issue(&["a.test"]).secret("a"),
        host_rule("a", TO_ALPHA),
    ];
    let edge = Edge::start_limited(&documents, gateway::Config::default(), Some(limits)).await;
    let mut silent = H1::connect(edge.port(8443).await).await.unwrap();
    let mut slow = H1::connect(edge.port(8443).await).await.unwrap();
    slow.send_bytes(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    assert!(silent.is_closed().await.unwrap());
    assert!(slow.is_closed().await.unwrap());
}
