//! The time a request may take.

use std::time::{Duration, Instant};

use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::{Backend, Edge, H1, Raw, until};

const TO_ALPHA: &str = "route: [{destination: {host: alpha}}]";

#[tokio::test]
async fn an_answer_that_takes_too_long_is_a_504() {
    let alpha = Backend::start("alpha").await;
    let rules = [
        host_rule("short", &format!("{{timeout: 60ms, {TO_ALPHA}}}")),
        host_rule("long", &format!("{{timeout: 20s, {TO_ALPHA}}}")),
        host_rule("none", &format!("{{{TO_ALPHA}}}")),
    ];
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules), alpha.service_entry()]).await;
    let address = edge.port(8080).await;
    let mut h1 = H1::connect(address).await.unwrap();
    let sleepy = [("x-do", "sleep 2000")];
    let started = Instant::now();
    let reply = h1.request("GET", "short.test", "/", &sleepy, None).await.unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (504, "upstream request timeout"));
    assert!(
        (Duration::from_millis(60)..Duration::from_millis(1500)).contains(&started.elapsed()),
        "{:?}",
        started.elapsed()
    );
    // The connection goes on, and a quick answer is in time.
    let reply = h1.request("GET", "short.test", "/", &[], None).await.unwrap();
    assert_eq!((reply.status, reply.seen_header("x-envoy-expected-rq-timeout-ms")), (200, vec!["60".to_owned()]));
    for (host, told) in [("long.test", vec!["20000".to_owned()]), ("none.test", Vec::new())] {
        let reply = h1.request("GET", host, "/", &[("x-do", "sleep 100")], None).await.unwrap();
        assert_eq!((reply.status, reply.seen_header("x-envoy-expected-rq-timeout-ms")), (200, told), "{host}");
    }
    let mut h2 = H2::connect(address).await.unwrap();
    let reply = h2.request("GET", "short.test", "/", &sleepy, None).await.unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (504, "upstream request timeout"));
    let grpc = [("content-type", "application/grpc"), ("x-do", "sleep 2000")];
    let reply = h2.request("POST", "short.test", "/", &grpc, Some("")).await.unwrap();
    assert_eq!((reply.status, reply.header("grpc-status")), (200, Some("14")));
    assert_eq!(reply.header("grpc-message"), Some("upstream request timeout"));
}

#[tokio::test]
async fn the_time_does_not_run_while_the_client_is_still_sending() {
    let alpha = Backend::start("alpha").await;
    let rule = format!("{{timeout: 80ms, {TO_ALPHA}}}");
    let edge = Edge::start(&[GATEWAY.to_owned(), host_rule("a", &rule), alpha.service_entry()]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nx").await.unwrap();
    tokio::time::sleep(Duration::from_millis(160)).await;
    client.send("y").await.unwrap();
    let reply = client.reply(false).await.unwrap();
    assert_eq!((reply.status, reply.seen()["body"].as_str()), (200, Some("xy")));
}

#[tokio::test]
async fn an_answer_that_has_begun_is_cut_when_the_time_is_up() {
    let alpha = Backend::start("alpha").await;
    let rule = format!("{{timeout: 100ms, {TO_ALPHA}}}");
    let edge = Edge::start(&[GATEWAY.to_owned(), host_rule("a", &rule), alpha.service_entry()]).await;
    let address = edge.port(8080).await;
    let mut h1 = H1::connect(address).await.unwrap();
    h1.send("GET / HTTP/1.1\r\nHost: a.test\r\nx-do: stream 1000\r\n\r\n").await.unwrap();
    assert_eq!(h1.head().await.unwrap().status, 200);
    let rest = h1.rest().await.unwrap();
    // Cut in a way that a client can tell from an end.
    assert!(rest.contains("piece 0") && !rest.ends_with("0\r\n\r\n"), "{rest}");
    let mut h2 = H2::connect(address).await.unwrap();
    let error = h2.request("GET", "a.test", "/", &[("x-do", "stream 1000")], None).await.unwrap_err();
    assert!(error.downcast_ref::<h2::Error>().is_some_and(h2::Error::is_reset), "{error:?}");
}

#[tokio::test]
async fn an_abandoned_upstream_hears_of_it() {
    let (heard, hearing) = tokio::sync::watch::channel(false);
    let raw = Raw::start(move |_, mut peer| {
        let heard = heard.clone();
        async move {
            peer.request().await;
            peer.closed().await;
            let _ = heard.send(true);
        }
    })
    .await;
    let rule = "{timeout: 50ms, route: [{destination: {host: raw}}]}";
    let edge = Edge::start(&[GATEWAY.to_owned(), host_rule("a", rule), raw.service_entry("raw")]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    assert_eq!(client.get("a.test", "/").await.unwrap().status, 504);
    until("the upstream connection's end", async || hearing.borrow().then_some(())).await;
}
