//! Bodies larger than any buffer, both ways, at whatever speed the slower side wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, host_rule};
use sluice_tests::{Backend, Edge, H1, Raw};
use tokio::io::AsyncWriteExt as _;

const MEGABYTE: usize = 1 << 20;

#[tokio::test]
async fn megabytes_pass_unharmed_in_both_directions_at_once() {
    let alpha = Backend::start("alpha").await;
    let rule = "{route: [{destination: {host: alpha}}]}";
    let edge = Edge::start(&[GATEWAY.to_owned(), host_rule("a", rule), alpha.service_entry()]).await;
    let address = edge.port(8080).await;
    let body: Vec<u8> = (0..3 * MEGABYTE).map(|index| (index * 31 % 251) as u8).collect();
    let sent = Bytes::from(body.clone());
    let mut h2 = H2::connect(address).await.unwrap();
    let (response, mut stream) = h2.start("POST", "a.test", "/", &[("x-do", "echo-stream")], false).await.unwrap();
    let sending = tokio::spawn(async move {
        let mut rest = sent;
        while !rest.is_empty() {
            stream.reserve_capacity(rest.len());
            let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap().unwrap();
            let piece = rest.split_to(room.min(rest.len()));
            stream.send_data(piece, rest.is_empty()).unwrap();
        }
    });
    let mut answering = H2::head(response).await.unwrap();
    let mut got = Vec::new();
    while let Some(piece) = answering.piece().await.unwrap() {
        got.extend_from_slice(&piece);
    }
    sending.await.unwrap();
    assert!(got == body, "{} bytes came back for {}", got.len(), body.len());

    let mut h1 = H1::connect(address).await.unwrap();
    h1.send(&format!("POST / HTTP/1.1\r\nHost: a.test\r\nx-do: echo-stream\r\nContent-Length: {}\r\n\r\n", 64 * 1024))
        .await
        .unwrap();
    h1.send_bytes(&body[..64 * 1024]).await.unwrap();
    assert!(h1.reply(false).await.unwrap().body == body[..64 * 1024]);
}

#[tokio::test]
async fn a_response_streams_piece_by_piece_over_h2() {
    let alpha = Backend::start("alpha").await;
    let rule = "{route: [{destination: {host: alpha}}]}";
    let edge = Edge::start(&[GATEWAY.to_owned(), host_rule("a", rule), alpha.service_entry()]).await;
    let mut h2 = H2::connect(edge.port(8080).await).await.unwrap();
    let (response, mut stream) = h2.start("POST", "a.test", "/", &[("x-do", "echo-stream")], false).await.unwrap();
    stream.send_data(Bytes::from_static(b"first"), false).unwrap();
    let mut answering = H2::head(response).await.unwrap();
    assert_eq!(answering.piece().await.unwrap().unwrap(), "first");
    stream.send_data(Bytes::from_static(b"second"), true).unwrap();
    assert_eq!(answering.piece().await.unwrap().unwrap(), "second");
    while let Some(piece) = answering.piece().await.unwrap() {
        assert!(piece.is_empty());
    }
}

/// An upstream that sends as much as it gets rid of, and how much that was.
async fn fire_hose(total: u64) -> (Raw, Arc<AtomicU64>) {
    let written = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&written);
    let raw = Raw::start(move |_, mut peer| {
        let counter = Arc::clone(&counter);
        async move {
            peer.request().await;
            peer.say(&format!("HTTP/1.1 200 OK\r\ncontent-length: {total}\r\n\r\n")).await;
            let piece = vec![b'x'; 64 * 1024];
            while counter.load(Ordering::Relaxed) < total {
                if peer.stream.write_all(&piece).await.is_err() {
                    return;
                }
                counter.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        }
    })
    .await;
    (raw, written)
}

/// Waits until nothing moves any more.
async fn settled(written: &AtomicU64) -> u64 {
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = written.load(Ordering::Relaxed);
        if now == before && now > 0 {
            return now;
        }
        before = now;
    }
}

#[tokio::test]
async fn a_slow_reader_slows_the_upstream_down_and_nobody_else() {
    // Kernels hold several megabytes per connection; the proxy must not add to that.
    const TOTAL: u64 = 64 << 20;
    const KERNEL: u64 = 24 << 20;
    let (raw, written) = fire_hose(TOTAL).await;
    let rule = "{route: [{destination: {host: raw}}]}";
    let quick = host_rule("quick", "{directResponse: {status: 200, body: {string: quick}}}");
    let edge = Edge::start(&[GATEWAY.to_owned(), host_rule("a", rule), quick, raw.service_entry("raw")]).await;
    let address = edge.port(8080).await;
    let mut h2 = H2::connect_narrow(address, 16 * 1024).await.unwrap();
    let (response, _) = h2.start("GET", "a.test", "/", &[], true).await.unwrap();
    let mut answering = H2::head(response).await.unwrap();
    let held = settled(&written).await;
    assert!(held < KERNEL, "{held} bytes were taken from the upstream for a client that reads nothing");
    assert_eq!(h2.get("quick.test", "/").await.unwrap().text(), "quick");
    let mut total = 0;
    while let Some(piece) = answering.piece().await.unwrap() {
        total += piece.len() as u64;
    }
    assert_eq!(total, TOTAL);
    drop((h2, edge, raw));

    let (raw, written) = fire_hose(TOTAL).await;
    let edge = Edge::start(&[GATEWAY.to_owned(), host_rule("a", rule), raw.service_entry("raw")]).await;
    let mut h1 = H1::connect(edge.port(8080).await).await.unwrap();
    h1.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    assert_eq!(h1.head().await.unwrap().status, 200);
    let held = settled(&written).await;
    assert!(held < 2 * KERNEL, "{held} bytes were taken from the upstream for a client that reads nothing");
    assert_eq!(h1.exactly(MEGABYTE).await.unwrap().len(), MEGABYTE);
}

#[tokio::test]
async fn an_upstream_that_reads_nothing_slows_the_client_down() {
    let raw = Raw::start(|_, peer| async move {
        // Neither reads nor closes.
        std::future::pending::<()>().await;
        drop(peer);
    })
    .await;
    let rule = "{route: [{destination: {host: raw}}]}";
    let edge = Edge::start(&[GATEWAY.to_owned(), host_rule("a", rule), raw.service_entry("raw")]).await;
    let mut h2 = H2::connect(edge.port(8080).await).await.unwrap();
    let (_response, mut stream) = h2.start("POST", "a.test", "/", &[], false).await.unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let sending = tokio::spawn(async move {
        loop {
            stream.reserve_capacity(64 * 1024);
            let Some(Ok(room)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
            if stream.send_data(Bytes::from(vec![b'x'; room]), false).is_err() {
                return;
            }
            counter.fetch_add(room as u64, Ordering::Relaxed);
        }
    });
    let held = settled(&sent).await;
    assert!(held < 24 << 20, "{held} bytes were taken from the client for an upstream that reads nothing");
    sending.abort();
}
