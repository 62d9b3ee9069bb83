//! Attempts after the first.

use sluice_tests::backend::service_entry;
use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::raw::Refusing;
use sluice_tests::{AccessLog, Backend, Edge, H1, Raw};

const RETRIED: &str = "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: \
                       remote connection failure";

#[tokio::test]
async fn a_refused_connection_is_tried_twice_more_then_told() {
    let log = AccessLog::new();
    let refusing = Refusing::new();
    let rules = [
        host_rule("default", "{route: [{destination: {host: down}}]}"),
        host_rule("never", "{retries: {attempts: 0}, route: [{destination: {host: down}}]}"),
        host_rule("empty", "{retries: {}, route: [{destination: {host: down}}]}"),
    ];
    let edge = Edge::start(&[
        GATEWAY.to_owned(),
        file(&rules),
        service_entry("down", &[(refusing.port, "")]),
        log.mesh_config("accessLogFormat: '%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%'"),
    ])
    .await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for (host, body) in [
        ("default.test", RETRIED),
        (
            "never.test",
            "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
        ),
        (
            "empty.test",
            "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
        ),
    ] {
        let reply = client.get(host, "/").await.unwrap();
        assert_eq!((reply.status, reply.text().as_str()), (503, body), "{host}");
    }
    let details = "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_\
                   Connection_refused}";
    let expected = [format!("URX,UF {details}"), format!("UF {details}"), format!("UF {details}")];
    assert_eq!(log.lines(3).await, expected);
}

#[tokio::test]
async fn a_retry_goes_to_another_endpoint() {
    let (alpha, beta) = (Backend::start("alpha").await, Backend::start("beta").await);
    let refusing = Refusing::new();
    // As in Istio an endpoint tried before is avoided by drawing again, at most five times.
    let endpoints = [(refusing.port, ""), (alpha.address.port(), ""), (beta.address.port(), "")];
    let edge = Edge::start(&[
        GATEWAY.to_owned(),
        host_rule("a", "{route: [{destination: {host: mixed}}]}"),
        service_entry("mixed", &endpoints),
    ])
    .await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let mut attempts = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let reply = client.request("POST", "a.test", "/", &[], Some("kept for the next attempt")).await.unwrap();
        assert_eq!((reply.status, reply.seen()["body"].as_str()), (200, Some("kept for the next attempt")));
        attempts.extend(reply.seen_header("x-envoy-attempt-count"));
    }
    assert!(attempts.len() > 1, "no request met a dead endpoint: {attempts:?}");
}

#[tokio::test]
async fn statuses_are_retried_where_the_rule_says_so() {
    // 503 to the first two requests, 200 to the third.
    let raw = Raw::start(|_, mut peer| async move {
        while let Some(head) = peer.request().await {
            let last = head.contains("x-envoy-attempt-count: 3");
            let line = if last { "200 OK" } else { "503 Service Unavailable" };
            peer.say(&format!("HTTP/1.1 {line}\r\ncontent-length: 2\r\n\r\nhi")).await;
        }
    })
    .await;
    let to = "route: [{destination: {host: raw}}]";
    let rules = [
        host_rule("default", &format!("{{{to}}}")),
        host_rule("twice", &format!("{{retries: {{attempts: 2, retryOn: 5xx}}, {to}}}")),
        host_rule("once", &format!("{{retries: {{attempts: 1, retryOn: '503'}}, {to}}}")),
        host_rule("other", &format!("{{retries: {{attempts: 5, retryOn: '502,connect-failure'}}, {to}}}")),
    ];
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules), raw.service_entry("raw")]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let mut before = 0;
    for (host, status, requests) in
        [("default.test", 503, 1), ("twice.test", 200, 3), ("once.test", 503, 2), ("other.test", 503, 1)]
    {
        let reply = client.get(host, "/").await.unwrap();
        assert_eq!((reply.status, reply.text().as_str()), (status, "hi"), "{host}");
        assert_eq!(raw.requests() - before, requests, "{host}");
        before = raw.requests();
    }
}

#[tokio::test]
async fn a_closed_connection_is_no_reason_for_another_attempt_by_default() {
    let raw = Raw::answering("").await;
    let to = "route: [{destination: {host: raw}}]";
    let rules = [
        host_rule("default", &format!("{{{to}}}")),
        host_rule("reset", &format!("{{retries: {{attempts: 2, retryOn: reset}}, {to}}}")),
    ];
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules), raw.service_entry("raw")]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for (host, requests, said) in
        [("default.test", 1, "reset reason"), ("reset.test", 4, "retried and the latest reset reason")]
    {
        let reply = client.get(host, "/").await.unwrap();
        let body = format!("upstream connect error or disconnect/reset before headers. {said}: connection termination");
        assert_eq!((reply.status, reply.text()), (503, body), "{host}");
        assert_eq!(raw.requests(), requests, "{host}");
    }
}

#[tokio::test]
async fn a_try_has_a_time_of_its_own() {
    // Only the second attempt is answered.
    let raw = Raw::start(|_, mut peer| async move {
        while let Some(head) = peer.request().await {
            if head.contains("x-envoy-attempt-count: 2") {
                peer.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
            }
        }
    })
    .await;
    let to = "route: [{destination: {host: raw}}]";
    let rules = [
        host_rule("again", &format!("{{retries: {{attempts: 1, perTryTimeout: 60ms, retryOn: 5xx}}, {to}}}")),
        host_rule(
            "alone",
            &format!("{{retries: {{attempts: 1, perTryTimeout: 60ms, retryOn: connect-failure}}, {to}}}"),
        ),
    ];
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules), raw.service_entry("raw")]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let reply = client.get("again.test", "/").await.unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (200, "hi"));
    let reply = client.get("alone.test", "/").await.unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (504, "upstream request timeout"));
}

#[tokio::test]
async fn a_body_too_large_to_keep_is_sent_once() {
    // Closes when it has seen enough.
    let raw = Raw::start(|_, mut peer| async move {
        peer.request().await;
        peer.body(1000).await;
    })
    .await;
    let rule = "{retries: {attempts: 3, retryOn: reset}, route: [{destination: {host: raw}}]}";
    let edge = Edge::start(&[GATEWAY.to_owned(), host_rule("a", rule), raw.service_entry("raw")]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let reply = client.request("POST", "a.test", "/", &[], Some(&"x".repeat(1000))).await.unwrap();
    assert_eq!((reply.status, raw.requests()), (503, 4));
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10000000\r\n\r\n").await.unwrap();
    // In one go, so that more than is kept was read when the upstream closes.
    let _ = client.send(&"x".repeat(1_000_000)).await;
    assert_eq!(client.reply(false).await.unwrap().status, 503);
    assert!(raw.requests() < 8, "{}: more than one attempt for a body that is not kept", raw.requests());
}
