//! Bytes that are no request, or none that a gateway takes: refused, and the connection closed.

use std::time::Duration;

use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, host_rule, virtual_service};
use sluice_tests::{Backend, Edge, H1};

const TO_ALPHA: &str = "  - route: [{destination: {host: alpha.shop.svc.cluster.local, port: {number: 80}}}]\n";

async fn start(limits: Option<ir::Limits>) -> (Backend, Edge) {
    let alpha = Backend::start("alpha").await;
    let direct = host_rule("direct", "{directResponse: {status: 299}}");
    let documents = [GATEWAY.to_owned(), virtual_service("web", TO_ALPHA), alpha.service_entry(), direct];
    let edge = Edge::start_limited(&documents, gateway::Config::default(), limits).await;
    (alpha, edge)
}

/// Bytes, status, body of the answer.
const ROWS: &[(&str, u16, &str)] = &[
    ("GET / HTTP/1.1\r\n\r\n", 400, "Bad Request"),
    ("get / HTTP/1.1\r\nHost: shop.test\r\n\r\n", 400, "Bad Request"),
    ("FOO / HTTP/1.1\r\nHost: shop.test\r\n\r\n", 400, "Bad Request"),
    ("GET  / HTTP/1.1\r\nHost: shop.test\r\n\r\n", 400, "Bad Request"),
    ("GET / x HTTP/1.1\r\nHost: shop.test\r\n\r\n", 400, "Bad Request"),
    ("GET /\tx HTTP/1.1\r\nHost: shop.test\r\n\r\n", 400, "Bad Request"),
    ("GET x HTTP/1.1\r\nHost: shop.test\r\n\r\n", 400, "Bad Request"),
    ("GET ftp://shop.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n", 400, "Bad Request"),
    ("GET / HTTP/1.1\nHost: shop.test\n\n", 400, "Bad Request"),
    ("GET / HTTP/1.1\r\nHost: shop.test\r\nno colon\r\n\r\n", 400, "Bad Request"),
    ("GET / HTTP/1.1\r\nHost: shop.test\r\nx y: z\r\n\r\n", 400, "Bad Request"),
    ("GET / HTTP/1.1\r\nHost: shop.test\r\nx : y\r\n\r\n", 400, "Bad Request"),
    ("GET / HTTP/1.1\r\nHost: shop.test\r\nx: y\r\n folded\r\n\r\n", 400, "Bad Request"),
    ("GET / HTTP/1.1\r\nHost: shop.test\r\nx: a\0b\r\n\r\n", 400, "Bad Request"),
    ("GET / HTTP/1.1\r\nHost: shop.test\r\nx: a\rb\r\n\r\n", 400, "Bad Request"),
    ("GET / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "Bad Request"),
    ("GET / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: -1\r\n\r\n", 400, "Bad Request"),
    ("GET / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: +1\r\n\r\nx", 400, "Bad Request"),
    ("GET / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 1, 1\r\n\r\nx", 400, "Bad Request"),
    ("GET / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 99999999999999999999\r\n\r\n", 400, "Bad Request"),
    (
        "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
        "Bad Request",
    ),
    ("POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400, "Bad Request"),
    ("POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: identity\r\n\r\n", 400, "Bad Request"),
    ("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n", 426, "Upgrade Required"),
    ("GET / HTTP/1.2\r\nHost: shop.test\r\n\r\n", 426, "Upgrade Required"),
    ("GET / HTTP/2.0\r\nHost: shop.test\r\n\r\n", 426, "Upgrade Required"),
    ("GET /\r\nHost: shop.test\r\n\r\n", 426, "Upgrade Required"),
    ("GET / HTTP/1.x\r\nHost: shop.test\r\n\r\n", 400, "Bad Request"),
    ("GET https://shop.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n", 403, "Forbidden"),
    ("GET /a#b HTTP/1.1\r\nHost: shop.test\r\n\r\n", 400, ""),
    ("GET /a?b#c HTTP/1.1\r\nHost: shop.test\r\n\r\n", 400, ""),
    ("GET /a%00b HTTP/1.1\r\nHost: shop.test\r\n\r\n", 400, ""),
    ("CONNECT shop.test:443 HTTP/1.1\r\nHost: shop.test\r\n\r\n", 404, ""),
    ("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n", 403, ""),
    ("GET / HTTP/1.1\r\nHost: shop.test\r\nExpect: 200-ok\r\n\r\n", 417, "Expectation Failed"),
    ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", 400, "Bad Request"),
];

#[tokio::test]
async fn what_is_no_request_is_refused_and_never_forwarded() {
    let (alpha, edge) = start(None).await;
    let address = edge.port(8080).await;
    let mut wrong = Vec::new();
    for (bytes, status, body) in ROWS {
        let mut client = H1::connect(address).await.unwrap();
        client.send(bytes).await.unwrap();
        let reply = match client.reply(false).await {
            Ok(reply) => reply,
            Err(error) => {
                wrong.push(format!("{bytes:?}: {error}"));
                continue;
            }
        };
        let close = reply.header("connection") == Some("close");
        if (reply.status, reply.text().as_str(), close) != (*status, *body, true) {
            wrong.push(format!(
                "{bytes:?}: {status} {body:?}, not {} {:?} {:?}",
                reply.status,
                reply.text(),
                reply.headers
            ));
        } else if !client.is_closed().await.unwrap() {
            wrong.push(format!("{bytes:?}: the connection stays open"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(alpha.hits(), 0);
    // What passes although it looks odd.
    let mut client = H1::connect(address).await.unwrap();
    for line in
        ["PURGE / HTTP/1.1\r\n", "TRACE / HTTP/1.1\r\n", "\r\nGET / HTTP/1.1\r\n", "GET http://shop.test HTTP/1.1\r\n"]
    {
        client.send(&format!("{line}Host: shop.test\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")).await.unwrap();
        assert_eq!(client.reply(false).await.unwrap().status, 200, "{line}");
    }
}

#[tokio::test]
async fn a_refusal_comes_without_the_rest_of_the_head() {
    let (_alpha, edge) = start(None).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    client.send("NONSENSE\r\n").await.unwrap();
    assert_eq!(client.reply(false).await.unwrap().status, 400);
}

#[tokio::test]
async fn a_request_smuggled_behind_a_refused_one_is_not_answered() {
    let (alpha, edge) = start(None).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    client
        .send(
            "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
             GET /admin HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        )
        .await
        .unwrap();
    let all = client.rest().await.unwrap();
    assert!(all.starts_with("HTTP/1.1 400 ") && all.matches("HTTP/1.1").count() == 1, "{all}");
    assert_eq!(alpha.hits(), 0);
}

#[tokio::test]
async fn heads_have_a_size_and_a_number_of_lines() {
    let (_alpha, edge) = start(None).await;
    let address = edge.port(8080).await;
    let lines = |count: usize| (0..count).map(|index| format!("x-{index}: y\r\n")).collect::<String>();
    for (more, expected) in [
        (lines(99), 299),
        (lines(100), 431),
        (format!("x: {}\r\n", "y".repeat(60_000)), 299),
        (format!("x: {}\r\n", "y".repeat(61_440)), 431),
    ] {
        let mut client = H1::connect(address).await.unwrap();
        client.send(&format!("GET / HTTP/1.1\r\nHost: direct.test\r\n{more}\r\n")).await.unwrap();
        let reply = client.reply(false).await.unwrap();
        assert_eq!(reply.status, expected, "{} bytes", more.len());
        if expected == 431 {
            assert_eq!(reply.text(), "Request Header Fields Too Large");
            assert!(client.is_closed().await.unwrap());
        }
    }
    // A head that never ends is not waited for.
    let mut client = H1::connect(address).await.unwrap();
    client.send(&format!("GET /{}", "y".repeat(70_000))).await.unwrap();
    assert_eq!(client.reply(false).await.unwrap().status, 431);
    let mut h2 = H2::connect(address).await.unwrap();
    let value = "y".repeat(61_440);
    let refused = match h2.request("GET", "direct.test", "/", &[("x", &value)], None).await {
        Ok(reply) => reply.status == 431,
        Err(_) => true,
    };
    assert!(refused, "a head larger than the limit was taken over h2");
}

#[tokio::test]
async fn a_head_has_a_time_and_an_idle_connection_another() {
    let limits = ir::Limits {
        head_timeout: Duration::from_millis(80),
        idle_timeout: Duration::from_millis(300),
        ..ir::Limits::default()
    };
    let (_alpha, edge) = start(Some(limits)).await;
    let address = edge.port(8080).await;
    let mut client = H1::connect(address).await.unwrap();
    client.send("GET / HTTP/1.1\r\nHost: sh").await.unwrap();
    let reply = client.reply(false).await.unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (408, "Request Timeout"));
    assert!(client.is_closed().await.unwrap());
    // Nothing said is no head: that connection is idle, and closed without a word.
    let mut idle = H1::connect(address).await.unwrap();
    let mut h2 = H2::connect(address).await.unwrap();
    let mut busy = H1::connect(address).await.unwrap();
    let reply = busy.request("GET", "shop.test", "/", &[("x-do", "sleep 500")], None).await.unwrap();
    assert_eq!(reply.status, 200);
    assert!(idle.is_closed().await.unwrap());
    h2.closed().await.unwrap();
    assert!(busy.is_closed().await.unwrap());
}

#[tokio::test]
async fn chunks_are_read_strictly() {
    let (alpha, edge) = start(None).await;
    let address = edge.port(8080).await;
    for (body, seen) in [
        ("3\r\nabc\r\n0\r\n\r\n", "abc"),
        ("3;ext=\"v\"\r\nabc\r\n0\r\n\r\n", "abc"),
        ("0003\r\nabc\r\n00\r\n\r\n", "abc"),
        ("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\nX-Trailer: dropped\r\n\r\n", "01234567890123456789"),
    ] {
        let mut client = H1::connect(address).await.unwrap();
        client
            .send(&format!("POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: Chunked\r\n\r\n{body}"))
            .await
            .unwrap();
        let reply = client.reply(false).await.unwrap();
        assert_eq!((reply.status, reply.seen()["body"].as_str()), (200, Some(seen)), "{body:?}");
        // And nothing of it is left for the next request.
        assert_eq!(client.get("shop.test", "/").await.unwrap().status, 200, "{body:?}");
    }
    let served = alpha.hits();
    for body in [
        "3\nabc\n0\n\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        "g\r\nabc\r\n0\r\n\r\n",
        "10000000000000000\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3;\0\r\nabc\r\n0\r\n\r\n",
    ] {
        let mut client = H1::connect(address).await.unwrap();
        client
            .send(&format!("POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n{body}"))
            .await
            .unwrap();
        let all = client.rest().await.unwrap();
        assert!(all.starts_with("HTTP/1.1 400 Bad Request\r\n") && all.ends_with("Bad Request"), "{body:?}: {all:?}");
        assert_eq!(all.matches("HTTP/1.1 ").count(), 1, "{body:?}: {all:?}");
    }
    // The upstream may have seen heads, but never a whole request.
    assert_eq!(alpha.completed(), served, "a malformed body was taken for a whole one");
}
