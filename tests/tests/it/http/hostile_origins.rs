//! What upstreams may not do to clients, in either protocol (docs/security.md, "Origins").

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use sluice_tests::client::{H2, Reply};
use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::{Edge, GrpcBackend, H1, H2Origin, Raw};

const POISON: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nSet-Cookie: evil=1\r\n\r\nPOISONED";

/// Answers as the path says: `/<status>/<length>/<pieces>` and, behind these, words.
async fn answer(path: String, mut respond: SendResponse<Bytes>) {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let mut head = Response::new(());
    *head.status_mut() = parts[0].parse().unwrap();
    if let Ok(length) = parts[1].parse::<u64>() {
        head.headers_mut().insert("content-length", HeaderValue::from(length));
    }
    let mut interim = 0;
    for word in &parts[3..] {
        match word.split_once('=') {
            Some(("interim", count)) => interim = count.parse().unwrap(),
            Some(("fields", count)) => {
                for _ in 0..count.parse().unwrap() {
                    head.headers_mut().append("x-many", HeaderValue::from_static("y"));
                }
            }
            Some(("bytes", count)) => {
                let value = HeaderValue::from_str(&"x".repeat(count.parse().unwrap())).unwrap();
                head.headers_mut().insert("x-long", value);
            }
            Some(("again", length)) => {
                head.headers_mut().append("content-length", HeaderValue::from_str(length).unwrap());
            }
            _ => panic!("{word}"),
        }
    }
    for _ in 0..interim {
        let mut hints = Response::new(());
        *hints.status_mut() = http::StatusCode::EARLY_HINTS;
        hints.headers_mut().insert("link", HeaderValue::from_static("</x>"));
        if respond.send_informational(hints).is_err() {
            return;
        }
    }
    match parts[2] {
        "0" => drop(respond.send_response(head, true)),
        "end" => {
            if let Ok(mut send) = respond.send_response(head, false) {
                let _ = send.send_data(Bytes::new(), true);
            }
        }
        _ => {
            if let Ok(mut send) = respond.send_response(head, false) {
                let _ = send.send_data(Bytes::from_static(POISON), true);
            }
        }
    }
}

async fn start() -> (H2Origin, Edge) {
    let origin = H2Origin::start(|request, respond| async move {
        let path = request.uri().path().to_owned();
        answer(path, respond).await;
    })
    .await;
    let rules = [
        host_rule("a", "{retries: {attempts: 0}, route: [{destination: {host: odd}}]}"),
        host_rule("fixed", "{directResponse: {status: 299, body: {string: fixed}}}"),
    ];
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules), origin.service_entry("odd")]).await;
    (origin, edge)
}

async fn final_reply(client: &mut H1, method: &str, path: &str) -> anyhow::Result<Reply> {
    let mut reply = client.request(method, "a.test", path, &[], None).await?;
    while reply.status < 200 {
        reply = client.reply(method == "HEAD").await?;
    }
    Ok(reply)
}

#[tokio::test]
async fn bodies_of_responses_that_have_none_reach_no_client() {
    let (origin, edge) = start().await;
    let address = edge.port(8080).await;
    let length = POISON.len();
    for status in [204, 304] {
        for path in [format!("/{status}/{length}/1"), format!("/{status}/-/1")] {
            // Two requests at once: what is not the first answer would be the second.
            let mut client = H1::connect(address).await.unwrap();
            let text = format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\nGET / HTTP/1.1\r\nHost: fixed.test\r\n\r\n");
            client.send(&text).await.unwrap();
            assert_eq!(client.reply(false).await.unwrap().status, 502, "{path}");
            let second = client.reply(false).await.unwrap();
            assert_eq!((second.status, second.text().as_str()), (299, "fixed"), "{path}");
            let mut h2 = H2::connect(address).await.unwrap();
            let reply = h2.get("a.test", &path).await.unwrap();
            assert_eq!(reply.status, 502, "{path}");
            assert!(!reply.text().contains("POISON"), "{path}");
        }
    }
    let mut client = H1::connect(address).await.unwrap();
    let to_head = client.request("HEAD", "a.test", &format!("/200/{length}/1"), &[], None).await;
    assert_eq!(to_head.unwrap().status, 502);
    // What says that there would be one passes.
    let mut client = H1::connect(address).await.unwrap();
    for (method, path, status, declared) in [
        ("HEAD", format!("/200/{length}/0"), 200, Some("66")),
        ("GET", format!("/304/{length}/0"), 304, Some("66")),
        ("GET", "/304/-/end".to_owned(), 304, None),
        ("GET", "/204/-/end".to_owned(), 204, None),
        ("GET", "/204/0/0".to_owned(), 204, None),
    ] {
        let reply = final_reply(&mut client, method, &path).await.unwrap();
        let declared = declared.map(|_| length.to_string());
        assert_eq!((reply.status, reply.header("content-length")), (status, declared.as_deref()), "{path}");
        let second = client.get("fixed.test", "/").await.unwrap();
        assert_eq!((second.status, second.text().as_str()), (299, "fixed"), "{path}");
    }
    assert_eq!(origin.calls(), 14);
}

#[tokio::test]
async fn heads_of_http2_origins_are_bounded() {
    let (_origin, edge) = start().await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for (path, status) in [
        ("/200/-/end/fields=190", 200),
        ("/200/-/end/fields=201", 502),
        ("/200/-/end/bytes=60000", 200),
        ("/200/-/end/bytes=62000", 502),
        ("/200/0/end/again=0", 502),
        ("/200/-/end/interim=16", 200),
        ("/200/-/end/interim=17", 502),
        ("/600/-/end", 502),
        ("/999/-/end", 502),
    ] {
        let reply = final_reply(&mut client, "GET", path).await.unwrap();
        assert_eq!(reply.status, status, "{path}");
    }
}

#[tokio::test]
async fn bodies_of_another_length_than_declared_are_seen_to_be_cut() {
    let (_origin, edge) = start().await;
    let address = edge.port(8080).await;
    for declared in [POISON.len() - 1, POISON.len() + 1] {
        let path = format!("/200/{declared}/1");
        let mut client = H1::connect(address).await.unwrap();
        match client.get("a.test", &path).await {
            Ok(reply) => assert_eq!(reply.status, 502, "{declared}"),
            Err(error) => assert!(error.to_string().starts_with("closed after"), "{declared}: {error}"),
        }
        let mut h2 = H2::connect(address).await.unwrap();
        let outcome = h2.get("a.test", &path).await;
        assert!(!matches!(&outcome, Ok(reply) if reply.status == 200), "{declared}: {outcome:?}");
    }
}

#[tokio::test]
async fn interim_responses_of_http2_origins_are_passed_on() {
    let (_origin, edge) = start().await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    client.send("GET /200/0/0/interim=2 HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    for expected in [103, 103, 200] {
        let reply = client.reply(false).await.unwrap();
        assert_eq!((reply.status, reply.header("link").is_some()), (expected, expected == 103));
    }
}

#[tokio::test]
async fn http1_answers_that_are_ambiguous_are_no_answers() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nhi",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\rx-a: b\r\ncontent-length: 2\r\n\r\nhi",
        "HTTP/1.1 1000 Odd\r\ncontent-length: 2\r\n\r\nhi",
        "HTTP/1.1 600 Odd\r\ncontent-length: 2\r\n\r\nhi",
    ] {
        let raw = Raw::answering(answer).await;
        let rule = host_rule("a", "{retries: {attempts: 0}, route: [{destination: {host: raw}}]}");
        let edge = Edge::start(&[GATEWAY.to_owned(), rule, raw.service_entry("raw")]).await;
        let mut client = H1::connect(edge.port(8080).await).await.unwrap();
        assert_eq!(client.get("a.test", "/").await.unwrap().status, 502, "{answer:?}");
    }
}

#[tokio::test]
async fn trailers_hold_nothing_that_heads_decide() {
    // The upstream tells the trailers it got in a field, and sends a few of its own.
    let origin = H2Origin::start(|request, mut respond| async move {
        let mut body = request.into_body();
        while let Some(Ok(data)) = body.data().await {
            let _ = body.flow_control().release_capacity(data.len());
        }
        let got = body.trailers().await.ok().flatten().unwrap_or_default();
        let names: Vec<&str> = got.keys().map(HeaderName::as_str).collect();
        let mut head = Response::new(());
        head.headers_mut().insert("x-got", HeaderValue::from_str(&names.join(",")).unwrap());
        let Ok(mut send) = respond.send_response(head, false) else { return };
        let mut trailers = HeaderMap::new();
        for (name, value) in [
            ("grpc-status", "0"),
            ("grpc-message", "x"),
            ("set-cookie", "evil=1"),
            ("content-length", "5"),
            ("x-own", "y"),
        ] {
            trailers.insert(name, HeaderValue::from_static(value));
        }
        let _ = send.send_trailers(trailers);
    })
    .await;
    let rule = host_rule("a", "{route: [{destination: {host: odd}}]}");
    let edge = Edge::start(&[GATEWAY.to_owned(), rule, origin.service_entry("odd")]).await;
    let mut h2 = H2::connect(edge.port(8080).await).await.unwrap();
    for (kind, expected) in [("application/grpc", "x-end"), ("text/plain", "")] {
        let (response, mut stream) = h2.start("POST", "a.test", "/", &[("content-type", kind)], false).await.unwrap();
        let mut trailers = HeaderMap::new();
        for name in [
            "x-end",
            "x-forwarded-for",
            "x-envoy-external-address",
            "x-forwarded-client-cert",
            "authorization",
            "content-length",
            "host",
            "cookie",
            "x_forwarded_for",
        ] {
            trailers.insert(name, HeaderValue::from_static("1"));
        }
        stream.send_trailers(trailers).unwrap();
        let mut answering = H2::head(response).await.unwrap();
        assert_eq!(answering.reply.header("x-got"), Some(expected), "{kind}");
        assert!(answering.piece().await.unwrap().is_none());
        let trailers = answering.body.trailers().await.unwrap().unwrap();
        let mut names: Vec<&str> = trailers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["grpc-message", "grpc-status", "x-own"]);
    }
}

#[tokio::test]
async fn more_trailers_than_are_taken_end_the_stream() {
    let backend = GrpcBackend::start().await;
    let rule = host_rule("a", "{route: [{destination: {host: grpc}}]}");
    let edge = Edge::start(&[GATEWAY.to_owned(), rule, backend.service_entry("grpc")]).await;
    let mut h2 = H2::connect(edge.port(8080).await).await.unwrap();
    for (bytes, whole) in [(8_000, true), (9_000, false)] {
        let headers = [("content-type", "application/grpc")];
        let (response, mut stream) = h2.start("POST", "a.test", "/", &headers, false).await.unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", HeaderValue::from_str(&"x".repeat(bytes)).unwrap());
        stream.send_trailers(trailers).unwrap();
        let answering = H2::head(response).await.unwrap();
        assert_eq!(answering.reply.header("grpc-status").is_none(), whole, "{bytes}");
    }
}
