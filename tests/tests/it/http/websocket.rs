//! Switched protocols: bytes both ways, to the end.

use sluice_tests::edge::{GATEWAY, host_rule};
use sluice_tests::{Edge, H1, Raw};

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

async fn edge(raw: &Raw) -> Edge {
    let rule = "{timeout: 100ms, route: [{destination: {host: raw}}]}";
    Edge::start(&[GATEWAY.to_owned(), host_rule("a", rule), raw.service_entry("raw")]).await
}

#[tokio::test]
async fn a_websocket_is_a_tunnel_until_either_side_closes() {
    let raw = Raw::start(|_, mut peer| async move {
        let Some(head) = peer.request().await else { return };
        assert!(head.to_ascii_lowercase().contains("upgrade: websocket\r\n"), "{head}");
        assert!(head.to_ascii_lowercase().contains("connection: upgrade\r\n"), "{head}");
        assert!(head.contains("sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"), "{head}");
        peer.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nearly").await;
        loop {
            let said = peer.body(5).await;
            if said.len() < 5 {
                return;
            }
            peer.say(&String::from_utf8_lossy(&said).to_uppercase()).await;
            if said == b"leave" {
                return;
            }
        }
    })
    .await;
    let edge = edge(&raw).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    // The first frame may come right behind the request.
    client.send(&format!("{REQUEST}first")).await.unwrap();
    let head = client.head().await.unwrap();
    assert_eq!((head.status, head.header("sec-websocket-accept")), (101, Some("x")));
    assert!(head.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")));
    assert_eq!(client.exactly(10).await.unwrap(), b"earlyFIRST");
    // The route's timeout is not for what happens in the tunnel.
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    client.send("hello").await.unwrap();
    assert_eq!(client.exactly(5).await.unwrap(), b"HELLO");
    client.send("leave").await.unwrap();
    assert_eq!(client.rest().await.unwrap(), "LEAVE");
}

#[tokio::test]
async fn a_refused_upgrade_is_an_answer() {
    let raw = Raw::start(|_, mut peer| async move {
        while peer.request().await.is_some() {
            peer.say("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
        }
    })
    .await;
    let edge = edge(&raw).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    client.send(REQUEST).await.unwrap();
    let reply = client.reply(false).await.unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (403, "no"));
    let reply = client.get("a.test", "/").await.unwrap();
    assert_eq!((reply.status, raw.requests()), (403, 2));
}
