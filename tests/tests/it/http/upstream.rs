//! Upstreams that behave as upstreams sometimes do.

use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, host_rule};
use sluice_tests::{Edge, H1, Raw, until};

const RULE: &str = "{route: [{destination: {host: raw}}]}";

async fn edge(raw: &Raw) -> Edge {
    Edge::start(&[GATEWAY.to_owned(), host_rule("a", RULE), raw.service_entry("raw")]).await
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_whole() {
    let raw = Raw::answering("HTTP/1.1 200 OK\r\n\r\nuntil the end").await;
    let edge = edge(&raw).await;
    let address = edge.port(8080).await;
    let mut h1 = H1::connect(address).await.unwrap();
    let mut h2 = H2::connect(address).await.unwrap();
    for _ in 0..2 {
        let reply = h1.get("a.test", "/").await.unwrap();
        assert_eq!((reply.text().as_str(), reply.header("transfer-encoding")), ("until the end", Some("chunked")));
        assert_eq!(h2.get("a.test", "/").await.unwrap().text(), "until the end");
    }
    assert_eq!(raw.connections(), 4);
}

#[tokio::test]
async fn http_1_0_answers_are_understood() {
    let raw = Raw::answering("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let edge = edge(&raw).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for _ in 0..3 {
        assert_eq!(client.get("a.test", "/").await.unwrap().text(), "hi");
    }
    assert_eq!(raw.connections(), 3);
}

#[tokio::test]
async fn an_answer_cut_short_is_cut_short_for_the_client() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n5\r\nse",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\nzz\r\n",
    ] {
        let raw = Raw::answering(bytes).await;
        let edge = edge(&raw).await;
        let address = edge.port(8080).await;
        let mut client = H1::connect(address).await.unwrap();
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
        let all = client.rest().await.unwrap();
        assert!(all.starts_with("HTTP/1.1 200 OK\r\n") && !all.ends_with("0\r\n\r\n"), "{bytes:?}: {all:?}");
        let mut h2 = H2::connect(address).await.unwrap();
        let error = h2.get("a.test", "/").await.unwrap_err();
        assert!(error.downcast_ref::<h2::Error>().is_some_and(h2::Error::is_reset), "{bytes:?}: {error:?}");
    }
}

#[tokio::test]
async fn answers_that_are_none_are_bad_gateways() {
    for bytes in [
        "hello there\r\n\r\n",
        "HTTP/1.1 99 Low\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad name: x\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 200 OK\ncontent-length: 0\n\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
    ] {
        let raw = Raw::answering(bytes).await;
        let edge = edge(&raw).await;
        let mut client = H1::connect(edge.port(8080).await).await.unwrap();
        let reply = client.get("a.test", "/").await.unwrap();
        let body = "upstream connect error or disconnect/reset before headers. reset reason: protocol error";
        assert_eq!((reply.status, reply.text().as_str()), (502, body), "{bytes:?}");
        // The client's connection is not to blame.
        assert_eq!(client.get("nobody.test", "/").await.unwrap().status, 404, "{bytes:?}");
    }
}

#[tokio::test]
async fn interim_answers_pass_to_the_client() {
    let raw = Raw::answering(
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
    )
    .await;
    let edge = edge(&raw).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    let hint = client.head().await.unwrap();
    assert_eq!((hint.status, hint.header("link")), (103, Some("</a.css>")));
    assert_eq!(client.reply(false).await.unwrap().text(), "hi");
}

#[tokio::test]
async fn a_kept_connection_that_died_meanwhile_costs_nobody_a_request() {
    // Each connection serves one request and is closed when the next comes.
    let raw = Raw::start(|_, mut peer| async move {
        if peer.request().await.is_some() {
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
            peer.request().await;
        }
    })
    .await;
    let edge = edge(&raw).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for index in 0..10 {
        let reply = client.get("a.test", "/").await.unwrap();
        assert_eq!((reply.status, reply.text().as_str()), (200, "hi"), "{index}");
    }
    assert_eq!(raw.connections(), 10);
    assert_eq!(raw.requests(), 19, "the second request of a connection is what kills it");
}

#[tokio::test]
async fn a_request_that_may_have_been_done_is_not_done_twice() {
    let raw = Raw::start(|_, mut peer| async move {
        if peer.request().await.is_some() {
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
            peer.request().await;
        }
    })
    .await;
    let edge = edge(&raw).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    assert_eq!(client.get("a.test", "/").await.unwrap().status, 200);
    let reply = client.request("POST", "a.test", "/buy", &[], Some("x")).await.unwrap();
    assert_eq!(reply.status, 503, "a POST went out a second time: {}", raw.requests());
    assert_eq!(raw.requests(), 2);
}

#[tokio::test]
async fn bytes_behind_an_answer_end_the_upstream_connection_and_reach_nobody() {
    let raw = Raw::start(|_, mut peer| async move {
        if peer.request().await.is_some() {
            peer.say(
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison",
            )
            .await;
            peer.closed().await;
        }
    })
    .await;
    let edge = edge(&raw).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for _ in 0..3 {
        assert_eq!(client.get("a.test", "/").await.unwrap().text(), "hi");
    }
    assert_eq!(raw.connections(), 3);
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_request_along() {
    let (gone, going) = tokio::sync::watch::channel(0);
    let raw = Raw::start(move |_, mut peer| {
        let gone = gone.clone();
        async move {
            peer.request().await;
            peer.closed().await;
            gone.send_modify(|count| *count += 1);
        }
    })
    .await;
    let edge = edge(&raw).await;
    let address = edge.port(8080).await;
    let mut client = H1::connect(address).await.unwrap();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    until("the request upstream", async || (raw.requests() == 1).then_some(())).await;
    drop(client);
    until("its end", async || (*going.borrow() == 1).then_some(())).await;
    // In the middle of a body, too.
    let mut client = H1::connect(address).await.unwrap();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
    until("the request upstream", async || (raw.requests() == 2).then_some(())).await;
    drop(client);
    until("its end", async || (*going.borrow() == 2).then_some(())).await;
    // And one stream of an h2 connection, which itself goes on.
    let mut h2 = H2::connect(address).await.unwrap();
    let (response, _) = h2.start("GET", "a.test", "/", &[], true).await.unwrap();
    until("the request upstream", async || (raw.requests() == 3).then_some(())).await;
    drop(response);
    until("its end", async || (*going.borrow() == 3).then_some(())).await;
    assert_eq!(h2.get("nobody.test", "/").await.unwrap().status, 404);
}

#[tokio::test]
async fn an_answer_to_half_a_body_counts() {
    let raw = Raw::start(|_, mut peer| async move {
        peer.request().await;
        peer.say("HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig").await;
        // Reads no more, and does not close either.
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        drop(peer);
    })
    .await;
    let edge = edge(&raw).await;
    let address = edge.port(8080).await;
    let mut h1 = H1::connect(address).await.unwrap();
    h1.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 50000000\r\n\r\n").await.unwrap();
    h1.send(&"x".repeat(100_000)).await.unwrap();
    let reply = h1.reply(false).await.unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (413, "big"));
    // What is left of the body cannot be told from a request.
    assert!(h1.is_closed().await.unwrap());
    let mut h2 = H2::connect(address).await.unwrap();
    let (response, mut stream) = h2.start("POST", "a.test", "/", &[], false).await.unwrap();
    stream.send_data(bytes::Bytes::from(vec![b'x'; 10_000]), false).unwrap();
    let mut answering = H2::head(response).await.unwrap();
    assert_eq!((answering.reply.status, answering.piece().await.unwrap().unwrap()), (413, "big".into()));
}
