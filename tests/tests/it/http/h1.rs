//! What a client can do with an HTTP/1.1 connection.

use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::{Backend, Edge, H1};

async fn start() -> (Backend, Edge) {
    let alpha = Backend::start("alpha").await;
    let rules = [
        host_rule("shop", "{route: [{destination: {host: alpha}}]}"),
        host_rule("direct", "{directResponse: {status: 200, body: {string: fixed}}}"),
    ];
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules), alpha.service_entry()]).await;
    (alpha, edge)
}

#[tokio::test]
async fn answers_without_body_leave_the_connection_in_step() {
    let (alpha, edge) = start().await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let reply = client.request("HEAD", "shop.test", "/", &[("x-do", "big 1000")], None).await.unwrap();
    assert_eq!((reply.status, reply.header("content-length")), (200, Some("1000")));
    for status in [204, 304] {
        let order = format!("status {status}");
        let reply = client.request("GET", "shop.test", "/", &[("x-do", &order)], None).await.unwrap();
        assert_eq!((reply.status, reply.header("transfer-encoding")), (status, None));
    }
    let reply = client.request("GET", "shop.test", "/", &[("x-do", "big 0")], None).await.unwrap();
    assert_eq!((reply.status, reply.header("content-length")), (200, Some("0")));
    let reply = client.request("HEAD", "shop.test", "/", &[("x-do", "stream 3")], None).await.unwrap();
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    let reply = client.request("POST", "shop.test", "/", &[], Some("")).await.unwrap();
    assert_eq!(reply.seen_header("content-length"), ["0"]);
    let reply = client.get("shop.test", "/").await.unwrap();
    assert_eq!((reply.backend(), reply.seen_header("content-length")), ("alpha", Vec::new()));
    assert_eq!(alpha.hits(), 7);
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_order() {
    let (alpha, edge) = start().await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let mut all = String::new();
    for index in 0..30 {
        let host = if index % 3 == 2 { "direct.test" } else { "shop.test" };
        let body = if index % 2 == 0 { "Content-Length: 2\r\n\r\nhi" } else { "\r\n" };
        all.push_str(&format!("POST /{index} HTTP/1.1\r\nHost: {host}\r\n{body}"));
    }
    // In pieces that have nothing to do with requests.
    for piece in all.as_bytes().chunks(97) {
        client.send_bytes(piece).await.unwrap();
    }
    for index in 0..30 {
        let reply = client.reply(false).await.unwrap();
        assert_eq!(reply.status, 200, "{index}");
        if index % 3 == 2 {
            assert_eq!(reply.text(), "fixed", "{index}");
        } else {
            assert_eq!(reply.seen()["path"], format!("/{index}"));
        }
        // A local reply without the body read ends the connection; nothing behind it is answered.
        if reply.header("connection") == Some("close") {
            assert!(index % 3 == 2 && index % 2 == 0, "{index}");
            assert!(client.rest().await.unwrap().is_empty());
            return;
        }
    }
    assert_eq!(alpha.hits(), 20);
}

#[tokio::test]
async fn one_byte_at_a_time_is_a_request_too() {
    let (_alpha, edge) = start().await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for byte in b"POST /x HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n" {
        client.send_bytes(&[*byte]).await.unwrap();
    }
    assert_eq!(client.reply(false).await.unwrap().seen()["body"], "hi");
}

#[tokio::test]
async fn a_client_may_end_the_connection() {
    let (alpha, edge) = start().await;
    let address = edge.port(8080).await;
    for value in ["close", "Close", "x-a, close"] {
        let mut client = H1::connect(address).await.unwrap();
        let reply = client.request("GET", "shop.test", "/", &[("Connection", value)], None).await.unwrap();
        assert_eq!((reply.status, reply.header("connection")), (200, Some("close")), "{value}");
        assert!(client.is_closed().await.unwrap(), "{value}");
    }
    // The connection to the upstream is another matter.
    assert_eq!((alpha.hits(), alpha.connections() <= 2), (3, true), "{}", alpha.connections());
}

#[tokio::test]
async fn a_client_that_waits_for_leave_gets_it() {
    let (_alpha, edge) = start().await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let head = "POST / HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    for _ in 0..2 {
        client.send(head).await.unwrap();
        assert_eq!(client.head().await.unwrap().status, 100);
        client.send("hello").await.unwrap();
        let reply = client.reply(false).await.unwrap();
        assert_eq!((reply.status, reply.seen()["body"].as_str()), (200, Some("hello")));
    }
    // Who is refused is not asked for the body.
    client.send(&head.replace("shop.test", "nobody.test")).await.unwrap();
    let reply = client.reply(false).await.unwrap();
    assert_eq!((reply.status, reply.header("connection")), (404, Some("close")));
    assert!(client.is_closed().await.unwrap());
}

#[tokio::test]
async fn a_reply_before_the_body_is_seen_although_the_body_keeps_coming() {
    let (_alpha, edge) = start().await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    client.send("POST / HTTP/1.1\r\nHost: direct.test\r\nContent-Length: 30000\r\n\r\n").await.unwrap();
    client.send(&"x".repeat(20_000)).await.unwrap();
    let reply = client.reply(false).await.unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (200, "fixed"));
    assert_eq!(reply.header("connection"), Some("close"));
    // And so is an upstream's.
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nx-do: early\r\nContent-Length: 30000\r\n\r\n").await.unwrap();
    let reply = client.reply(false).await.unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (200, "early\n"));
}
