//! Whatever bytes clients and upstreams send: no panic, no answer to somebody else's question, and everybody else is
//! served.

use sluice_tests::client::Reply;
use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::{Backend, Edge, H1, Raw};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

async fn start(raw: &Raw) -> (Backend, Edge) {
    let alpha = Backend::start("alpha").await;
    let rules = file(&[
        host_rule("a", "{route: [{destination: {host: alpha}}]}"),
        host_rule("raw", "{timeout: 60ms, route: [{destination: {host: raw}}]}"),
    ]);
    let edge = Edge::start(&[GATEWAY.to_owned(), rules, alpha.service_entry(), raw.service_entry("raw")]).await;
    (alpha, edge)
}

/// Changes some bytes: other ones, more, fewer, pieces twice.
fn damage(random: &mut fastrand::Rng, bytes: &mut Vec<u8>) {
    const SPICE: &[&[u8]] = &[
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b":",
        b"\t",
        b"0\r\n\r\n",
        b"content-length: 3\r\n",
        b"transfer-encoding: chunked\r\n",
        b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"GET / HTTP/1.1\r\n",
        b"\xff",
        b"ffffffffffffffff\r\n",
        b"-1",
    ];
    for _ in 0..random.usize(1..4) {
        let at = random.usize(0..bytes.len());
        match random.usize(0..5) {
            0 => bytes[at] = random.u8(..),
            1 => bytes.truncate(at.max(1)),
            2 => drop(bytes.remove(at)),
            3 => {
                let piece = bytes[at..bytes.len().min(at + 20)].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => drop(bytes.splice(at..at, SPICE[random.usize(0..SPICE.len())].iter().copied())),
        }
        if bytes.is_empty() {
            bytes.push(b'x');
        }
    }
}

/// The final response to a GET.
async fn answered(client: &mut H1, host: &str, path: &str) -> anyhow::Result<Reply> {
    let mut reply = client.get(host, path).await?;
    while reply.status < 200 {
        reply = client.reply(false).await?;
    }
    Ok(reply)
}

async fn panics(edge: &Edge) -> bool {
    let text = edge.metrics().await;
    !text.contains("sluice_request_panics_total 0\n")
}

#[tokio::test]
async fn broken_requests_harm_nobody() {
    const REQUESTS: &[&[u8]] = &[
        b"GET /x?y=z HTTP/1.1\r\nHost: a.test\r\nUser-Agent: x\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;e=f\r\nde\r\n0\r\nt: u\r\n\r\n",
        b"GET http://a.test/%61/../x HTTP/1.1\r\nHost: b.test\r\nConnection: x, close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x0b\x01\x05\0\0\0\x01\x82\x86\x84\x01\x06a.test",
    ];
    let raw = Raw::answering("").await;
    let (_alpha, edge) = start(&raw).await;
    let address = edge.port(8080).await;
    let mut good = H1::connect(address).await.unwrap();
    for seed in 0..600 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bytes = REQUESTS[random.usize(0..REQUESTS.len())].to_vec();
        damage(&mut random, &mut bytes);
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        // What it does not take it has closed.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(std::time::Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "seed {seed}: {:?} is waited for", String::from_utf8_lossy(&bytes));
        if seed % 10 == 0 {
            let path = format!("/{seed}");
            assert_eq!(good.get("a.test", &path).await.unwrap().seen()["path"], path.as_str(), "seed {seed}");
        }
    }
    assert!(!panics(&edge).await);
}

#[tokio::test]
async fn broken_answers_are_never_taken_for_others() {
    const ANSWERS: &[&str] = &[
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\nx-a: b\r\n\r\npoison",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\npoison",
    ];
    let raw = Raw::start(|number, mut peer| async move {
        let mut random = fastrand::Rng::with_seed(number as u64);
        // Some connections go on after it, as if nothing had been.
        for _ in 0..random.usize(1..3) {
            if peer.request().await.is_none() {
                return;
            }
            let mut bytes = ANSWERS[random.usize(0..ANSWERS.len())].as_bytes().to_vec();
            if random.u32(0..4) > 0 {
                damage(&mut random, &mut bytes);
            }
            let _ = peer.stream.write_all(&bytes).await;
        }
    })
    .await;
    let (_alpha, edge) = start(&raw).await;
    let address = edge.port(8080).await;
    let mut client = H1::connect(address).await.unwrap();
    let (mut whole, mut broken) = (0, 0);
    for number in 0..500 {
        match answered(&mut client, "raw.test", "/").await {
            Ok(_) => whole += 1,
            // Cut off in the middle of an answer: the connection is of no more use.
            Err(_) => {
                broken += 1;
                client = H1::connect(address).await.unwrap();
            }
        }
        let path = format!("/{number}");
        let reply = match answered(&mut client, "a.test", &path).await {
            Ok(reply) => reply,
            Err(error) => {
                // Only after an answer that said so, and nothing came instead of ours.
                assert!(error.to_string().starts_with("closed after \"\""), "{number}: {error:#}");
                client = H1::connect(address).await.unwrap();
                continue;
            }
        };
        assert_eq!(
            (reply.status, reply.seen()["path"].as_str()),
            (200, Some(path.as_str())),
            "{number}: {:?}",
            reply.text()
        );
    }
    assert!(whole > 100 && broken > 20, "{whole} whole answers, {broken} cut off");
    assert!(!panics(&edge).await);
}

#[tokio::test]
async fn requests_in_any_framing_and_any_pieces_are_answered_one_by_one() {
    let raw = Raw::answering("").await;
    let (_alpha, edge) = start(&raw).await;
    let address = edge.port(8080).await;
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut client = H1::connect(address).await.unwrap();
        let (mut bytes, mut bodies) = (Vec::new(), Vec::new());
        for number in 0..random.usize(1..20) {
            let body: String = (0..random.usize(0..300)).map(|_| random.alphanumeric()).collect();
            let head = format!("POST /{number} HTTP/1.1\r\nHost: a.test\r\n");
            match random.usize(0..3) {
                0 => {
                    bytes.extend(format!("{head}\r\n").bytes());
                    bodies.push(String::new());
                    continue;
                }
                1 => bytes.extend(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).bytes()),
                _ => {
                    bytes.extend(format!("{head}Transfer-Encoding: chunked\r\n\r\n").bytes());
                    let mut rest = body.as_str();
                    while !rest.is_empty() {
                        let (piece, more) = rest.split_at(random.usize(1..=rest.len()));
                        bytes.extend(format!("{:x}\r\n{piece}\r\n", piece.len()).bytes());
                        rest = more;
                    }
                    bytes.extend(b"0\r\n\r\n");
                }
            }
            bodies.push(body);
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(random.usize(1..=rest.len().min(400)));
            client.send_bytes(piece).await.unwrap();
            rest = more;
        }
        for (number, body) in bodies.iter().enumerate() {
            let seen = client.reply(false).await.unwrap().seen();
            assert_eq!(
                (seen["path"].as_str(), seen["body"].as_str()),
                (Some(format!("/{number}").as_str()), Some(body.as_str())),
                "seed {seed}"
            );
        }
    }
}
