//! What clients may not make the gateway hold or do (docs/security.md, "HTTP/2").

use std::time::Duration;

use gateway::Config;
use gateway::limits::GatewayLimits;
use sluice_tests::backend::service_entry;
use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::raw::Unanswering;
use sluice_tests::{Backend, Edge, GrpcBackend, H1, until};

fn config(limits: GatewayLimits) -> Config {
    Config { threads: 1, limits, ..Config::default() }
}

#[tokio::test]
async fn a_client_that_opens_and_resets_is_told_to_calm_down() {
    let backend = GrpcBackend::start().await;
    let rules = file(&[
        host_rule("a", "{route: [{destination: {host: grpc}}]}"),
        host_rule("fixed", "{directResponse: {status: 299}}"),
    ]);
    let documents = [GATEWAY.to_owned(), rules, backend.service_entry("grpc")];
    let edge = Edge::start_with(&documents, config(GatewayLimits::default())).await;
    let mut h2 = H2::connect(edge.port(8080).await).await.unwrap();
    let mut lost = 0;
    // Each is with the upstream before it is taken back, so that none is lost inside the library.
    while lost < 400 {
        let Ok((response, mut stream)) = h2.start("GET", "a.test", "/wait", &[], true).await else { break };
        let seen = lost;
        let arrived = async || (backend.calls() > seen).then_some(());
        if tokio::time::timeout(Duration::from_millis(200), until("the call upstream", arrived)).await.is_err() {
            break;
        }
        stream.send_reset(h2::Reason::CANCEL);
        drop(response);
        lost += 1;
    }
    assert!((100..=102).contains(&lost), "{lost}");
    h2.closed().await.unwrap();
    // What they asked for is taken back upstream as well.
    until("the end of every call", async || (backend.cancelled() == backend.calls()).then_some(())).await;
    // Another connection is not concerned, and streams that complete are never too many.
    let mut other = H2::connect(edge.port(8080).await).await.unwrap();
    for _ in 0..300 {
        assert_eq!(other.get("fixed.test", "/").await.unwrap().status, 299);
    }
}

/// A gateway before an address that answers no attempt, for `a.test`.
async fn unanswered(limits: GatewayLimits, rule: &str) -> (Unanswering, Edge) {
    let nowhere = Unanswering::start().await;
    let documents = [GATEWAY.to_owned(), host_rule("a", rule), service_entry("nowhere", &[(nowhere.port, "")])];
    let edge = Edge::start_with(&documents, config(limits)).await;
    (nowhere, edge)
}

const FORWARD: &str = "{route: [{destination: {host: nowhere}}]}";

#[tokio::test]
async fn nothing_is_connected_for_clients_that_are_gone() {
    let (nowhere, edge) = unanswered(GatewayLimits::default(), FORWARD).await;
    let address = edge.port(8080).await;
    let before = nowhere.attempts();
    let mut h2 = H2::connect(address).await.unwrap();
    let mut open = Vec::new();
    for _ in 0..50 {
        open.push(h2.start("GET", "a.test", "/", &[], true).await.unwrap());
    }
    until("attempts for streams", async || (nowhere.attempts() == before + 50).then_some(())).await;
    for (response, mut stream) in open {
        stream.send_reset(h2::Reason::CANCEL);
        drop(response);
    }
    until("the end of the attempts", async || (nowhere.attempts() == before).then_some(())).await;
    let mut clients = Vec::new();
    for text in
        ["GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\n"]
    {
        for _ in 0..10 {
            let mut client = H1::connect(address).await.unwrap();
            client.send(text).await.unwrap();
            clients.push(client);
        }
    }
    until("attempts for connections", async || (nowhere.attempts() == before + 20).then_some(())).await;
    drop(clients);
    until("the end of the attempts", async || (nowhere.attempts() == before).then_some(())).await;
}

#[tokio::test]
async fn attempts_at_an_endpoint_that_does_not_answer_are_few() {
    let limits = GatewayLimits { pending_connects_per_endpoint: 5, ..GatewayLimits::default() };
    let (nowhere, edge) = unanswered(limits, FORWARD).await;
    let address = edge.port(8080).await;
    let before = nowhere.attempts();
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let mut client = H1::connect(address).await.unwrap();
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
        waiting.push(client);
    }
    until("five attempts", async || (nowhere.attempts() == before + 5).then_some(())).await;
    let mut client = H1::connect(address).await.unwrap();
    for _ in 0..3 {
        let reply = client.get("a.test", "/").await.unwrap();
        assert_eq!((reply.status, reply.header("x-envoy-overloaded")), (503, Some("true")));
        let body = "upstream connect error or disconnect/reset before headers. reset reason: overflow";
        assert_eq!(reply.text(), body);
    }
    assert_eq!(nowhere.attempts(), before + 5);
}

#[tokio::test]
async fn a_client_that_floods_behind_its_request_is_still_seen_to_go() {
    let (nowhere, edge) = unanswered(GatewayLimits::default(), FORWARD).await;
    let address = edge.port(8080).await;
    let before = nowhere.attempts();
    let mut client = H1::connect(address).await.unwrap();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    until("an attempt", async || (nowhere.attempts() == before + 1).then_some(())).await;
    let more = "GET /more HTTP/1.1\r\nHost: a.test\r\n\r\n".repeat(6000);
    client.send(&more[..200_000]).await.unwrap();
    drop(client);
    until("its end", async || (nowhere.attempts() == before).then_some(())).await;
}

#[tokio::test]
async fn heads_of_one_connection_are_held_up_to_a_bound() {
    let backend = GrpcBackend::start().await;
    let rule = host_rule("a", "{route: [{destination: {host: grpc}}]}");
    let limits = GatewayLimits { h2_head_bytes_per_connection: 256 * 1024, ..GatewayLimits::default() };
    let documents = [GATEWAY.to_owned(), rule, backend.service_entry("grpc")];
    let edge = Edge::start_with(&documents, config(limits)).await;
    let mut h2 = H2::connect(edge.port(8080).await).await.unwrap();
    let long = "x".repeat(50_000);
    let mut open = Vec::new();
    for _ in 0..60 {
        open.push(h2.start("GET", "a.test", "/wait", &[("x-long", &long)], true).await.unwrap());
    }
    let (held, refused) = (5, 55);
    let mut reasons = Vec::new();
    let mut rest = Vec::new();
    for (response, stream) in open {
        match tokio::time::timeout(Duration::from_millis(if reasons.is_empty() { 1000 } else { 5 }), response).await {
            Ok(answer) => reasons.push(answer.unwrap_err().reason()),
            Err(_) => rest.push(stream),
        }
    }
    assert_eq!((backend.calls(), rest.len(), reasons.len()), (held, held, refused));
    assert!(reasons.iter().all(|reason| *reason == Some(h2::Reason::REFUSED_STREAM)), "{reasons:?}");
    // Their ends make room again.
    for mut stream in rest {
        stream.send_reset(h2::Reason::CANCEL);
    }
    until("their end", async || (backend.cancelled() == held).then_some(())).await;
    assert_eq!(h2.request("GET", "a.test", "/", &[("x-long", &long)], None).await.unwrap().status, 200);
}

#[tokio::test]
async fn what_is_decoded_or_rewritten_is_no_way_out_of_a_route() {
    let alpha = Backend::start("alpha").await;
    let rules = [
        host_rule("a", "{match: [{uri: {prefix: /public}}], route: [{destination: {host: alpha}}]}"),
        host_rule(
            "cut",
            "{match: [{uri: {prefix: /api}}], rewrite: {uri: /v1/}, route: [{destination: {host: alpha}}]}",
        ),
    ];
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules), alpha.service_entry()]).await;
    let address = edge.port(8080).await;
    let mut h2 = H2::connect(address).await.unwrap();
    for (host, path, expected) in [
        ("a.test", "/public/%%32%65%%32%65/admin", Some("/public/%252e%252e/admin")),
        ("a.test", "/public/a%%30%30b", Some("/public/a%2500b")),
        ("a.test", "/public/%2e%2e/admin", None),
        ("cut.test", "/api/x", Some("/v1//x")),
        ("cut.test", "/api../admin", None),
        ("cut.test", "/api..;a/admin", None),
        ("cut.test", "/api%2e%2e/admin", None),
    ] {
        let mut client = H1::connect(address).await.unwrap();
        for reply in [client.get(host, path).await.unwrap(), h2.get(host, path).await.unwrap()] {
            match expected {
                Some(expected) => assert_eq!(reply.seen()["path"], expected, "{path}"),
                None => assert!(matches!(reply.status, 400 | 404), "{path}: {}", reply.status),
            }
        }
    }
}
