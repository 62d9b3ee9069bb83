//! Fixed answers of rules.

use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::{Edge, H1};

#[tokio::test]
async fn direct_responses_have_the_forms_their_status_and_request_ask_for() {
    let rules = [
        host_rule("plain", "{directResponse: {status: 418, body: {string: 'tea'}}}"),
        host_rule("bytes", "{directResponse: {status: 200, body: {bytes: 3q2+7w==}}}"),
        host_rule("empty", "{directResponse: {status: 503}}"),
        host_rule("none", "{directResponse: {status: 204, body: {string: 'dropped'}}}"),
        host_rule("same", "{directResponse: {status: 304}}"),
        host_rule(
            "typed",
            "{headers: {response: {set: {content-type: text/html}}}, directResponse: {status: 200, body: {string: '<p>'}}}",
        ),
    ];
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules)]).await;
    let address = edge.port(8080).await;
    let mut h1 = H1::connect(address).await.unwrap();
    let mut h2 = H2::connect(address).await.unwrap();
    // Everything goes over one connection each: a wrong length would show in the answer after it.
    for (host, status, body, kind, length) in [
        ("plain.test", 418, &b"tea"[..], Some("text/plain"), Some("3")),
        ("bytes.test", 200, &[0xde, 0xad, 0xbe, 0xef][..], Some("text/plain"), Some("4")),
        ("empty.test", 503, &[][..], None, Some("0")),
        ("none.test", 204, &[][..], Some("text/plain"), None),
        ("same.test", 304, &[][..], None, None),
        ("typed.test", 200, &b"<p>"[..], Some("text/html"), Some("3")),
    ] {
        let reply = h1.get(host, "/x?y").await.unwrap();
        assert_eq!((reply.status, reply.body.as_slice()), (status, body), "{host}");
        assert_eq!((reply.header("content-type"), reply.header("content-length")), (kind, length), "{host}");
        assert_eq!((reply.header("server"), reply.header("connection")), (Some("sluice"), None), "{host}");
        let reply = h1.request("HEAD", host, "/", &[], None).await.unwrap();
        assert_eq!((reply.status, reply.header("content-type"), reply.body.len()), (status, kind, 0), "HEAD {host}");
        let reply = h2.get(host, "/x?y").await.unwrap();
        assert_eq!(
            (reply.status, reply.body.as_slice(), reply.header("content-type")),
            (status, body, kind),
            "h2 {host}"
        );
        let reply = h2.request("HEAD", host, "/", &[], None).await.unwrap();
        assert_eq!((reply.status, reply.body.len()), (status, 0), "h2 HEAD {host}");
    }
    let reply = h1.request("HEAD", "plain.test", "/", &[], None).await.unwrap();
    assert_eq!(reply.header("content-length"), Some("3"));
    let reply = h1.get("same.test", "/x?y").await.unwrap();
    assert_eq!(reply.header("location"), Some("http://same.test/x?y"));
}

#[tokio::test]
async fn a_grpc_client_gets_status_and_message_in_fields() {
    let rules = [
        host_rule("nay", "{directResponse: {status: 503, body: {string: 'no, 100%'}}}"),
        host_rule("quiet", "{headers: {response: {set: {x-a: b}}}, directResponse: {status: 403}}"),
    ];
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules)]).await;
    let mut h2 = H2::connect(edge.port(8080).await).await.unwrap();
    let grpc = [("content-type", "application/grpc+proto"), ("te", "trailers")];
    for (host, code, message) in
        [("nay.test", "14", Some("no, 100%25")), ("quiet.test", "7", None), ("nobody.test", "12", None)]
    {
        let reply = h2.request("POST", host, "/pkg.Service/Call", &grpc, Some("\0\0\0\0\0")).await.unwrap();
        assert_eq!((reply.status, reply.body.len()), (200, 0), "{host}");
        assert_eq!(reply.header("content-type"), Some("application/grpc"), "{host}");
        assert_eq!((reply.header("grpc-status"), reply.header("grpc-message")), (Some(code), message), "{host}");
        assert_eq!(reply.header("x-a"), (host == "quiet.test").then_some("b"), "{host}");
    }
}
