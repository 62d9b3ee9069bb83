//! Upstreams that speak HTTP/2 because their port says so.

use bytes::Bytes;
use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::raw::Refusing;
use sluice_tests::{AccessLog, Edge, GrpcBackend, H1, until};

async fn start() -> (GrpcBackend, Edge) {
    let backend = GrpcBackend::start().await;
    let rules = [
        host_rule("a", "{route: [{destination: {host: grpc}}]}"),
        host_rule("never", "{retries: {attempts: 0}, route: [{destination: {host: grpc}}]}"),
        host_rule("short", "{timeout: 80ms, route: [{destination: {host: grpc}}]}"),
    ];
    let config = gateway::Config { threads: 1, ..gateway::Config::default() };
    let edge = Edge::start_with(&[GATEWAY.to_owned(), file(&rules), backend.service_entry("grpc")], config).await;
    (backend, edge)
}

#[tokio::test]
async fn clients_of_either_protocol_reach_it_over_one_connection() {
    let (backend, edge) = start().await;
    let address = edge.port(8080).await;
    let mut h1 = H1::connect(address).await.unwrap();
    let mut h2 = H2::connect(address).await.unwrap();
    for _ in 0..5 {
        let first = h1.request("POST", "a.test", "/x?y", &[], Some("hello")).await.unwrap();
        let second = h2.request("POST", "a.test", "/x?y", &[("te", "trailers")], Some("hello")).await.unwrap();
        for reply in [&first, &second] {
            let seen = reply.seen();
            assert_eq!((reply.status, seen["body"].as_u64(), seen["path"].as_str()), (200, Some(5), Some("/x?y")));
            assert_eq!((seen["authority"].as_str(), seen["scheme"].as_str()), (Some("a.test"), Some("http")));
        }
        assert_eq!(second.seen()["te"], "trailers");
    }
    assert_eq!((backend.calls(), backend.connections()), (10, 1));
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let (_backend, edge) = start().await;
    let mut h2 = H2::connect(edge.port(8080).await).await.unwrap();
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let (response, mut stream) = h2.start("POST", "a.test", "/pkg.Service/Call", &headers, false).await.unwrap();
    stream.send_data(Bytes::from_static(b"hello"), false).unwrap();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-end", http::HeaderValue::from_static("said"));
    stream.send_trailers(trailers).unwrap();
    let mut answering = H2::head(response).await.unwrap();
    let mut body = Vec::new();
    while let Some(piece) = answering.piece().await.unwrap() {
        body.extend_from_slice(&piece);
    }
    let seen: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((seen["body"].as_u64(), seen["trailer"].as_str()), (Some(5), Some("said")));
    let trailers = answering.body.trailers().await.unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "7");
    let text = until("the call in the metrics", async || {
        let text = edge.metrics().await;
        text.contains("grpc_response_status=\"7\"").then_some(text)
    })
    .await;
    assert!(text.contains("request_protocol=\"grpc\""));
}

#[tokio::test]
async fn messages_stream_both_ways() {
    let (_backend, edge) = start().await;
    let mut h2 = H2::connect(edge.port(8080).await).await.unwrap();
    let (response, mut stream) = h2.start("POST", "a.test", "/echo", &[], false).await.unwrap();
    stream.send_data(Bytes::from_static(b"one"), false).unwrap();
    let mut answering = H2::head(response).await.unwrap();
    assert_eq!(answering.piece().await.unwrap().unwrap(), "one");
    for round in 0..50 {
        let message = Bytes::from(format!("message {round}"));
        stream.send_data(message.clone(), false).unwrap();
        assert_eq!(answering.piece().await.unwrap().unwrap(), message);
    }
    stream.send_data(Bytes::new(), true).unwrap();
    while let Some(piece) = answering.piece().await.unwrap() {
        assert!(piece.is_empty());
    }
    assert_eq!(answering.body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn calls_share_the_connection_at_the_same_time() {
    let (backend, edge) = start().await;
    let address = edge.port(8080).await;
    let started = std::time::Instant::now();
    let calls: Vec<_> = (0..40)
        .map(|_| {
            tokio::spawn(async move {
                let mut client = H1::connect(address).await.unwrap();
                assert_eq!(client.get("a.test", "/sleep").await.unwrap().status, 200);
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert!(started.elapsed().as_secs() < 3, "{:?}", started.elapsed());
    assert_eq!((backend.calls(), backend.connections()), (40, 1));
}

#[tokio::test]
async fn refused_streams_are_tried_again_and_resets_are_told() {
    let (backend, edge) = start().await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let reply = client.get("a.test", "/refuse").await.unwrap();
    assert_eq!((reply.status, reply.seen()["attempt"].as_str()), (200, Some("2")));
    assert_eq!(backend.calls(), 2);
    assert_eq!(client.get("never.test", "/refuse").await.unwrap().status, 503);
    let reply = client.get("a.test", "/reset").await.unwrap();
    assert_eq!(reply.status, 503);
    assert!(
        reply.text().starts_with("upstream connect error or disconnect/reset before headers. reset reason: "),
        "{}",
        reply.text()
    );
    // The connection and the others on it go on.
    assert_eq!(client.get("a.test", "/").await.unwrap().status, 200);
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn an_upstream_that_says_goodbye_loses_nobody() {
    let (backend, edge) = start().await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for index in 0..10 {
        assert_eq!(client.get("a.test", "/goaway").await.unwrap().status, 200, "{index}");
        assert_eq!(client.get("a.test", "/").await.unwrap().status, 200, "{index}");
    }
    assert!(backend.connections() >= 10, "{}", backend.connections());
}

#[tokio::test]
async fn calls_that_nobody_waits_for_are_taken_back() {
    let (backend, edge) = start().await;
    let address = edge.port(8080).await;
    let mut h2 = H2::connect(address).await.unwrap();
    let (response, _) = h2.start("GET", "a.test", "/wait", &[], true).await.unwrap();
    until("the call upstream", async || (backend.calls() == 1).then_some(())).await;
    drop(response);
    until("its end", async || (backend.cancelled() == 1).then_some(())).await;
    let mut client = H1::connect(address).await.unwrap();
    assert_eq!(client.get("short.test", "/wait").await.unwrap().status, 504);
    until("its end", async || (backend.cancelled() == 2).then_some(())).await;
    let mut client = H1::connect(address).await.unwrap();
    client.send("GET /wait HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    until("the call upstream", async || (backend.calls() == 3).then_some(())).await;
    drop(client);
    until("its end", async || (backend.cancelled() == 3).then_some(())).await;
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn one_that_is_down_or_speaks_something_else_is_told_as_over_h1() {
    let log = AccessLog::new();
    let refusing = Refusing::new();
    let raw = sluice_tests::Raw::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    let grpc = |entry: String| entry.replace("protocol: HTTP}", "protocol: GRPC}");
    let rules = [
        host_rule("down", "{route: [{destination: {host: down}}]}"),
        host_rule("old", "{route: [{destination: {host: old}}]}"),
    ];
    let edge = Edge::start(&[
        GATEWAY.to_owned(),
        file(&rules),
        grpc(sluice_tests::backend::service_entry("down", &[(refusing.port, "")])),
        grpc(raw.service_entry("old")),
        log.mesh_config("accessLogFormat: '%RESPONSE_FLAGS%'"),
    ])
    .await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let reply = client.get("down.test", "/").await.unwrap();
    let body = "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: remote \
                connection failure";
    assert_eq!((reply.status, reply.text().as_str()), (503, body));
    let status = client.get("old.test", "/").await.unwrap().status;
    assert!(status == 502 || status == 503, "{status}");
    assert_eq!(log.lines(2).await[0], "URX,UF");
}
