//! Requests on their way to an upstream and back.

use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, virtual_service};
use sluice_tests::{Backend, Edge, H1};

const TO_ALPHA: &str = "  - route: [{destination: {host: alpha.shop.svc.cluster.local, port: {number: 80}}}]\n";

async fn start() -> (Backend, Edge) {
    let alpha = Backend::start("alpha").await;
    let edge = Edge::start(&[GATEWAY.to_owned(), virtual_service("web", TO_ALPHA), alpha.service_entry()]).await;
    (alpha, edge)
}

#[tokio::test]
async fn a_request_reaches_its_backend_and_says_where_it_came_from() {
    let (_alpha, edge) = start().await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let headers = [("X-Forwarded-For", "9.9.9.9"), ("X-Request-Id", "mine"), ("X-Envoy-Max-Retries", "7")];
    let reply = client.request("GET", "shop.test:81", "/a/../b?c=d", &headers, None).await.unwrap();
    assert_eq!((reply.status, reply.backend()), (200, "alpha"), "{}", reply.text());
    let seen = reply.seen();
    assert_eq!((seen["method"].as_str(), seen["path"].as_str()), (Some("GET"), Some("/b?c=d")));
    assert_eq!(reply.seen_header("host"), ["shop.test:81"]);
    assert_eq!(reply.seen_header("x-forwarded-proto"), ["http"]);
    assert_eq!(reply.seen_header("x-forwarded-for"), ["9.9.9.9,127.0.0.1"]);
    assert_eq!(reply.seen_header("x-envoy-attempt-count"), ["1"]);
    assert!(reply.seen_header("x-envoy-max-retries").is_empty());
    let id = reply.seen_header("x-request-id");
    assert!(id.len() == 1 && id[0].len() == 36, "{id:?}");
    assert_eq!(reply.header("server"), Some("sluice"));
    assert!(reply.header("x-envoy-upstream-service-time").is_some() && reply.header("date").is_some());
}

#[tokio::test]
async fn connections_are_kept_on_both_sides() {
    let (alpha, edge) = start().await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for _ in 0..20 {
        assert_eq!(client.get("shop.test", "/").await.unwrap().status, 200);
    }
    assert_eq!((alpha.hits(), alpha.connections()), (20, 1));
}

#[tokio::test]
async fn bodies_go_both_ways_in_both_protocols() {
    let (_alpha, edge) = start().await;
    let address = edge.port(8080).await;
    let mut h1 = H1::connect(address).await.unwrap();
    let reply = h1.request("POST", "shop.test", "/", &[], Some("hello")).await.unwrap();
    assert_eq!(reply.seen()["body"], "hello");
    h1.send(
        "POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n",
    )
    .await
    .unwrap();
    assert_eq!(h1.reply(false).await.unwrap().seen()["body"], "abcde");
    let big = "x".repeat(3_000_000);
    let reply = h1.request("POST", "shop.test", "/", &[], Some(&big)).await.unwrap();
    assert_eq!(reply.seen()["body"], 3_000_000);
    let reply = h1.request("GET", "shop.test", "/", &[("x-do", "big 3000000")], None).await.unwrap();
    assert_eq!(reply.body.len(), 3_000_000);

    let mut h2 = H2::connect(address).await.unwrap();
    let reply = h2.request("POST", "shop.test", "/", &[], Some("over h2")).await.unwrap();
    assert_eq!((reply.status, reply.seen()["body"].as_str()), (200, Some("over h2")));
    let reply = h2.request("GET", "shop.test", "/", &[("x-do", "big 3000000")], None).await.unwrap();
    assert_eq!(reply.body.len(), 3_000_000);
}

#[tokio::test]
async fn a_body_streams_while_the_response_streams() {
    let (_alpha, edge) = start().await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    client
        .send("POST / HTTP/1.1\r\nHost: shop.test\r\nx-do: echo-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    client.send("5\r\nfirst\r\n").await.unwrap();
    assert_eq!(client.head().await.unwrap().status, 200);
    assert_eq!(client.line().await.unwrap(), "5");
    assert_eq!(client.line().await.unwrap(), "first");
    client.send("6\r\nsecond\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(client.line().await.unwrap(), "6");
    assert_eq!(client.line().await.unwrap(), "second");
    assert_eq!(client.line().await.unwrap(), "0");
}
