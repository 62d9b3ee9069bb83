//! HTTP/2 connections of clients.

use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::{Backend, Edge, H1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

async fn start() -> (Backend, Edge) {
    let alpha = Backend::start("alpha").await;
    let rules = [
        host_rule("shop", "{route: [{destination: {host: alpha}}]}"),
        host_rule("other", "{directResponse: {status: 299}}"),
    ];
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules), alpha.service_entry()]).await;
    (alpha, edge)
}

#[tokio::test]
async fn many_streams_are_served_at_once() {
    let (alpha, edge) = start().await;
    let mut h2 = H2::connect(edge.port(8080).await).await.unwrap();
    // Until its settings are here a client does not know how many are allowed.
    assert_eq!(h2.get("other.test", "/").await.unwrap().status, 299);
    let started = std::time::Instant::now();
    let tasks: Vec<_> = (0..150)
        .map(|index| {
            let mut h2 = h2.clone();
            tokio::spawn(async move {
                let order = [("x-do", "sleep 100")];
                let reply = h2.request("POST", "shop.test", &format!("/{index}"), &order, Some("b")).await.unwrap();
                assert_eq!((reply.status, reply.seen()["path"].as_str()), (200, Some(format!("/{index}").as_str())));
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(alpha.hits(), 150);
    // One after the other they would take fifteen seconds.
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_stream_that_is_slow_or_reset_does_not_disturb_the_others() {
    let (_alpha, edge) = start().await;
    let mut h2 = H2::connect(edge.port(8080).await).await.unwrap();
    let (slow, _) = h2.start("GET", "shop.test", "/", &[("x-do", "sleep 300")], true).await.unwrap();
    for _ in 0..20 {
        let (response, mut stream) = h2.start("POST", "shop.test", "/", &[], false).await.unwrap();
        stream.send_reset(h2::Reason::CANCEL);
        drop(response);
        assert_eq!(h2.get("shop.test", "/").await.unwrap().status, 200);
    }
    assert_eq!(H2::head(slow).await.unwrap().reply.status, 200);
}

#[tokio::test]
async fn any_method_and_any_host_of_the_listener_may_be_asked_for() {
    let (_alpha, edge) = start().await;
    let mut h2 = H2::connect(edge.port(8080).await).await.unwrap();
    for method in ["FOO", "get", "M-SEARCH", "DELETE"] {
        let reply = h2.request(method, "shop.test", "/", &[], None).await.unwrap();
        assert_eq!((reply.status, reply.seen()["method"].as_str()), (200, Some(method)));
    }
    assert_eq!(h2.get("other.test", "/").await.unwrap().status, 299);
    assert_eq!(h2.get("nobody.test", "/").await.unwrap().status, 404);
    for path in ["/a%00b", "/a/%2e%2e/b"] {
        let expected = if path.contains("%00") { 400 } else { 200 };
        assert_eq!(h2.get("shop.test", path).await.unwrap().status, expected, "{path}");
    }
    // A refusal is one stream's.
    assert_eq!(h2.get("shop.test", "/").await.unwrap().status, 200);
}

#[tokio::test]
async fn local_replies_do_not_wait_for_bodies() {
    let (_alpha, edge) = start().await;
    let mut h2 = H2::connect(edge.port(8080).await).await.unwrap();
    let (response, _stream) = h2.start("POST", "other.test", "/", &[], false).await.unwrap();
    assert_eq!(H2::head(response).await.unwrap().reply.status, 299);
    assert_eq!(h2.get("shop.test", "/").await.unwrap().status, 200);
}

/// A frame by hand.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A literal field without indexing.
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0, u8::try_from(name.len()).unwrap()];
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(u8::try_from(value.len()).unwrap());
    bytes.extend_from_slice(value.as_bytes());
    bytes
}

#[tokio::test]
async fn requests_that_h2_forbids_reach_no_upstream() {
    let (alpha, edge) = start().await;
    let address = edge.port(8080).await;
    let good = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "shop.test")];
    for extra in [
        Some(("connection", "close")),
        Some(("transfer-encoding", "chunked")),
        Some(("keep-alive", "1")),
        Some(("upgrade", "websocket")),
        Some(("proxy-connection", "x")),
        Some(("Upper", "x")),
        Some(("te", "gzip")),
        None,
    ] {
        let mut block = Vec::new();
        for (name, value) in good {
            // The last row has no authority at all.
            if extra.is_some() || name != ":authority" {
                block.extend(field(name, value));
            }
        }
        if let Some((name, value)) = extra {
            block.extend(field(name, value));
        }
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(4, 0, 0, &[]));
        bytes.extend(frame(1, 5, 1, &block));
        stream.write_all(&bytes).await.unwrap();
        // Frames until one speaks of stream 1 or the connection's end.
        let refused = loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                break true;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            stream.read_exact(&mut payload).await.unwrap();
            match (head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]])) {
                // RST_STREAM, GOAWAY
                (3, 1) | (7, _) => break true,
                // HEADERS
                (1, 1) => break false,
                _ => {}
            }
        };
        assert!(refused, "{extra:?} was answered");
    }
    assert_eq!(alpha.hits(), 0);
}

#[tokio::test]
async fn a_fragment_is_refused_and_not_cut_off() {
    let (alpha, edge) = start().await;
    let address = edge.port(8080).await;
    for (path, status) in [("/public#/../admin", "400"), ("/?a#", "400"), ("/public", "200")] {
        let mut block = Vec::new();
        for (name, value) in [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "shop.test")] {
            block.extend(field(name, value));
        }
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(4, 0, 0, &[]));
        bytes.extend(frame(1, 5, 1, &block));
        stream.write_all(&bytes).await.unwrap();
        let told = loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            stream.read_exact(&mut payload).await.unwrap();
            if head[3] == 1 {
                break payload;
            }
        };
        // 200 and 400 are in the static table.
        let expected = if status == "200" { 0x88 } else { 0x8c };
        assert_eq!(told[0], expected, "{path}");
    }
    assert_eq!(alpha.hits(), 1);
}

#[tokio::test]
async fn the_preface_alone_makes_it_h2() {
    let (_alpha, edge) = start().await;
    let address = edge.port(8080).await;
    // Split in the middle of the preface.
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(b"PRI * HT").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    stream.write_all(b"TP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut first = [0; 9];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(first[3], 4, "the first frame is SETTINGS");
    // After a request it is nonsense.
    let mut client = H1::connect(address).await.unwrap();
    assert_eq!(client.get("shop.test", "/").await.unwrap().status, 200);
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    assert!(matches!(client.reply(false).await.unwrap().status, 400 | 426));
}

#[tokio::test]
async fn a_body_is_as_long_as_it_says_or_no_request() {
    let (alpha, edge) = start().await;
    let mut h2 = H2::connect(edge.port(8080).await).await.unwrap();
    for (length, body) in [("5", "abc"), ("2", "abc")] {
        let outcome = h2.request("POST", "shop.test", "/", &[("content-length", length)], Some(body)).await;
        assert!(!matches!(&outcome, Ok(reply) if reply.status == 200), "{length}: {outcome:?}");
    }
    assert_eq!(alpha.completed(), 0);
    let reply = h2.request("POST", "shop.test", "/", &[("content-length", "3")], Some("abc")).await.unwrap();
    assert_eq!((reply.status, reply.seen()["body"].as_str()), (200, Some("abc")));
    let reply = h2.request("HEAD", "shop.test", "/", &[("x-do", "big 1000")], None).await.unwrap();
    assert_eq!((reply.status, reply.header("content-length"), reply.body.len()), (200, Some("1000"), 0));
}
