//! Connections that hold places and say nothing.

use std::time::Duration;

use gateway::Config;
use gateway::limits::GatewayLimits;
use sluice_tests::client::{H2, tls};
use sluice_tests::edge::{GATEWAY, host_rule, https_gateway};
use sluice_tests::pki::Pki;
use sluice_tests::{Backend, Edge, H1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

const RULE: &str = "{directResponse: {status: 299}}";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn config(change: impl FnOnce(&mut GatewayLimits)) -> Config {
    let mut limits = GatewayLimits::default();
    change(&mut limits);
    // One thread, so that connections are accepted in the order in which they came.
    Config { threads: 1, limits, ..Config::default() }
}

async fn start(config: Config, limits: ir::Limits) -> Edge {
    Edge::start_limited(&[GATEWAY.to_owned(), host_rule("a", RULE)], config, Some(limits)).await
}

/// What is left to read until the other side closes.
async fn rest(stream: &mut TcpStream) -> usize {
    let mut all = Vec::new();
    // A reset is an end, too.
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut all)).await;
    assert!(read.is_ok(), "the connection is still open");
    all.len()
}

#[tokio::test]
async fn silent_connections_make_room_for_visitors_oldest_first() {
    let edge = start(config(|_| {}), ir::Limits { max_connections: 8, ..ir::Limits::default() }).await;
    let address = edge.port(8080).await;
    let mut first = H1::connect(address).await.unwrap();
    assert_eq!(first.get("a.test", "/").await.unwrap().status, 299);
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(address).await.unwrap());
        let mut visitor = H1::connect(address).await.unwrap();
        assert_eq!(visitor.get("a.test", "/").await.unwrap().status, 299);
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    for stream in &mut silent[..60] {
        assert_eq!(rest(stream).await, 0);
    }
}

#[tokio::test]
async fn requests_under_way_are_not_ended_for_newcomers() {
    let alpha = Backend::start("alpha").await;
    let documents =
        [GATEWAY.to_owned(), host_rule("a", "{route: [{destination: {host: alpha}}]}"), alpha.service_entry()];
    let limits = ir::Limits { max_connections: 3, ..ir::Limits::default() };
    let edge = Edge::start_limited(&documents, Config::default(), Some(limits)).await;
    let address = edge.port(8080).await;
    let mut working = Vec::new();
    for _ in 0..3 {
        let mut client = H1::connect(address).await.unwrap();
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nab").await.unwrap();
        working.push(client);
    }
    sluice_tests::until("all to be under way", async || (alpha.hits() == 3).then_some(())).await;
    let mut late = H1::connect(address).await.unwrap();
    assert!(late.is_closed().await.unwrap());
    for client in &mut working {
        client.send("cd").await.unwrap();
        assert_eq!(client.reply(false).await.unwrap().status, 200);
    }
    assert!(edge.metrics().await.contains(r#"rejected_total{reason="connection_limit"} 1"#));
}

#[tokio::test]
async fn one_address_makes_room_among_its_own() {
    let edge = start(config(|limits| limits.connections_per_address = 3), ir::Limits::default()).await;
    let address = edge.port(8080).await;
    let from = async |last: u8| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, last], 0).into()).unwrap();
        socket.connect(address).await.unwrap()
    };
    let mut other = from(9).await;
    let mut flood = Vec::new();
    for _ in 0..10 {
        flood.push(from(2).await);
    }
    for stream in &mut flood[..7] {
        assert_eq!(rest(stream).await, 0);
    }
    for stream in [&mut other, &mut flood[9]] {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 299");
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go() {
    let edge = start(config(|limits| limits.first_byte = Duration::from_millis(80)), ir::Limits::default()).await;
    let address = edge.port(8080).await;
    let mut spoke = H1::connect(address).await.unwrap();
    assert_eq!(spoke.get("a.test", "/").await.unwrap().status, 299);
    assert_eq!(rest(&mut TcpStream::connect(address).await.unwrap()).await, 0);
    // After a request silence is as long as the mesh says.
    assert_eq!(spoke.get("a.test", "/").await.unwrap().status, 299);
}

#[tokio::test]
async fn an_idle_http2_client_that_does_not_close_is_closed() {
    let limits = ir::Limits { idle_timeout: Duration::from_millis(80), ..ir::Limits::default() };
    let edge = start(config(|limits| limits.close_grace = Duration::from_millis(80)), limits).await;
    let mut stream = TcpStream::connect(edge.port(8080).await).await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    assert!(rest(&mut stream).await > 0);
}

#[tokio::test]
async fn an_http2_client_in_the_middle_of_a_head_is_closed() {
    let limits = ir::Limits { head_timeout: Duration::from_millis(150), ..ir::Limits::default() };
    let edge = start(Config::default(), limits).await;
    let address = edge.port(8080).await;
    let mut kept = H2::connect(address).await.unwrap();
    assert_eq!(kept.get("a.test", "/").await.unwrap().status, 299);
    for parked in [
        // A block without its end, half a frame, half a frame's header.
        &[0, 0, 3, 1, 1, 0, 0, 0, 1, 0x82, 0x86, 0x84][..],
        &[0, 0, 3, 1, 5, 0, 0, 0, 1, 0x82],
        &[0, 0, 3],
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(PREFACE).await.unwrap();
        stream.write_all(parked).await.unwrap();
        rest(&mut stream).await;
    }
    assert_eq!(kept.get("a.test", "/").await.unwrap().status, 299);
}

#[tokio::test]
async fn unfinished_handshakes_make_room_and_have_one_deadline() {
    let pki = Pki::new();
    let documents = [
        https_gateway(&[("https", "[a.test]", "credentialName: a")]),
        pki.issue(&["a.test"]).secret("a"),
        host_rule("a", RULE),
    ];
    let limits = ir::Limits { handshake_timeout: Duration::from_millis(300), ..ir::Limits::default() };
    let edge = Edge::start_limited(&documents, config(|limits| limits.unfinished_connections = 10), Some(limits)).await;
    let address = edge.port(8443).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    assert!(tls(address, "a.test", pki.client(&[])).await.is_ok());
    // A fifth of ten places may be one address's.
    for stream in &mut silent[..18] {
        assert_eq!(rest(stream).await, 0);
    }
    // A hello that never ends is cut off by its size.
    let mut long = TcpStream::connect(address).await.unwrap();
    let mut record = vec![0x16, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff];
    record.resize(5 + 0x4000, 0);
    let _ = long.write_all(&record).await;
    let _ = long.write_all(&record[..9]).await;
    rest(&mut long).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    let begun = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_millis(200)).await;
    slow.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    rest(&mut slow).await;
    assert!(begun.elapsed() < Duration::from_millis(480), "two deadlines, one after the other");
}
