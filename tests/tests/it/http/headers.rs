//! Header operations of rules and destinations.

use sluice_tests::client::{H2, Reply};
use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::{Backend, Edge, H1};

fn rule(headers: &str, destinations: &str) -> String {
    let headers = if headers.is_empty() { String::new() } else { format!("headers: {headers}, ") };
    format!("{{{headers}route: [{destinations}]}}")
}

fn all(reply: &Reply, name: &str) -> Vec<String> {
    let lines = reply.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    lines.map(|(_, value)| value.clone()).collect()
}

/// Header operations of the rule, destinations, and what the upstream sees of `x-a` when the client sends `x-a: client`.
const REQUESTS: &[(&str, &str, &[&str])] = &[
    ("", "{destination: {host: alpha}}", &["client"]),
    ("{request: {set: {x-a: rule}}}", "{destination: {host: alpha}}", &["rule"]),
    ("{request: {add: {x-a: rule}}}", "{destination: {host: alpha}}", &["client", "rule"]),
    ("{request: {remove: [x-a]}}", "{destination: {host: alpha}}", &[]),
    ("{request: {remove: [x-a], set: {x-a: rule}}}", "{destination: {host: alpha}}", &["rule"]),
    ("{request: {set: {x-a: one}, add: {x-a: two}}}", "{destination: {host: alpha}}", &["one", "two"]),
    ("{request: {set: {x-a: ''}}}", "{destination: {host: alpha}}", &["client"]),
    ("{request: {set: {X-A: 'a%%b'}}}", "{destination: {host: alpha}}", &["a%b"]),
    ("{request: {set: {x-a: '%REQ(x-b)%-%PROTOCOL%'}}}", "{destination: {host: alpha}}", &["b-HTTP/1.1"]),
    ("{request: {set: {x-a: '%REQ(x-none)%'}}}", "{destination: {host: alpha}}", &["client"]),
    ("", "{destination: {host: alpha}, headers: {request: {set: {x-a: low}}}}", &["low"]),
    // One destination: its `set` wins over the rule's.
    ("{request: {set: {x-a: rule}}}", "{destination: {host: alpha}, headers: {request: {set: {x-a: low}}}}", &["low"]),
    // Several: the rule's wins, counted by those listed.
    (
        "{request: {set: {x-a: rule}}}",
        "{destination: {host: alpha}, weight: 1, headers: {request: {set: {x-a: low}}}}, {destination: {host: alpha}}",
        &["rule"],
    ),
    (
        "{request: {remove: [x-a]}}",
        "{destination: {host: alpha}, weight: 1, headers: {request: {set: {x-a: low}}}}, {destination: {host: alpha}}",
        &[],
    ),
];

#[tokio::test]
async fn requests_are_edited_on_their_way() {
    let alpha = Backend::start("alpha").await;
    let rules: Vec<String> = REQUESTS
        .iter()
        .enumerate()
        .map(|(row, (headers, to, _))| host_rule(&format!("row-{row}"), &rule(headers, to)))
        .collect();
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules), alpha.service_entry()]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let mut wrong = Vec::new();
    for (row, (headers, to, expected)) in REQUESTS.iter().enumerate() {
        let sent = [("x-a", "client"), ("x-b", "b")];
        let reply = client.request("GET", &format!("row-{row}.test"), "/", &sent, None).await.unwrap();
        let seen = reply.seen_header("x-a");
        if seen != *expected {
            wrong.push(format!("{headers} {to}: {expected:?}, not {seen:?} ({})", reply.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Header operations of the rule and of its destination, and what the client sees of `x-a` when the upstream says
/// `x-a: up`.
const RESPONSES: &[(&str, &str, &[&str])] = &[
    ("{response: {set: {x-a: rule}}}", "{destination: {host: alpha}}", &["rule"]),
    ("{response: {add: {x-a: rule}}}", "{destination: {host: alpha}}", &["up", "rule"]),
    ("{response: {remove: [X-A]}}", "{destination: {host: alpha}}", &[]),
    ("{response: {set: {x-a: '%RESPONSE_CODE%'}}}", "{destination: {host: alpha}}", &["200"]),
    ("{response: {set: {x-a: '%REQ(x-b)%'}}}", "{destination: {host: alpha}}", &["b"]),
    ("", "{destination: {host: alpha}, headers: {response: {add: {x-a: low}}}}", &["up", "low"]),
    (
        "{response: {set: {x-a: rule}}}",
        "{destination: {host: alpha}, headers: {response: {set: {x-a: low}}}}",
        &["low"],
    ),
];

#[tokio::test]
async fn responses_are_edited_on_their_way() {
    let alpha = Backend::start("alpha").await;
    let rules: Vec<String> = RESPONSES
        .iter()
        .enumerate()
        .map(|(row, (headers, to, _))| host_rule(&format!("row-{row}"), &rule(headers, to)))
        .collect();
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules), alpha.service_entry()]).await;
    let address = edge.port(8080).await;
    let mut h1 = H1::connect(address).await.unwrap();
    let mut h2 = H2::connect(address).await.unwrap();
    for (row, (headers, to, expected)) in RESPONSES.iter().enumerate() {
        let (host, sent) = (format!("row-{row}.test"), [("x-do", "header x-a=up"), ("x-b", "b")]);
        let first = all(&h1.request("GET", &host, "/", &sent, None).await.unwrap(), "x-a");
        let second = all(&h2.request("GET", &host, "/", &sent, None).await.unwrap(), "x-a");
        assert_eq!(
            (first.as_slice(), second.as_slice()),
            (&expected.map_owned()[..], &expected.map_owned()[..]),
            "{headers} {to}"
        );
    }
}

trait MapOwned {
    fn map_owned(&self) -> Vec<String>;
}

impl MapOwned for &[&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}

#[tokio::test]
async fn local_replies_are_edited_too_and_the_server_is_always_ours() {
    let edits = "{response: {set: {x-a: '%RESPONSE_FLAGS%', server: mine}, remove: [x-b]}}";
    let rules = [
        host_rule("gone", &rule(edits, "{destination: {host: missing}}")),
        host_rule("direct", &format!("{{headers: {edits}, directResponse: {{status: 200}}}}")),
        host_rule(
            "alpha",
            &rule(
                "{response: {set: {server: mine}, remove: [x-envoy-upstream-service-time]}}",
                "{destination: {host: alpha}}",
            ),
        ),
    ];
    let alpha = Backend::start("alpha").await;
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules), alpha.service_entry()]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for (host, status, flags) in [("gone.test", 503, "NC"), ("direct.test", 200, "-")] {
        let reply = client.get(host, "/").await.unwrap();
        assert_eq!((reply.status, reply.header("x-a")), (status, Some(flags)), "{host}");
        assert_eq!(all(&reply, "server"), ["sluice"], "{host}");
    }
    let sent = [("x-do", "header server=hyper")];
    let reply = client.request("GET", "alpha.test", "/", &sent, None).await.unwrap();
    assert_eq!(all(&reply, "server"), ["sluice"]);
    assert_eq!(reply.header("x-envoy-upstream-service-time"), None);
}

#[tokio::test]
async fn what_is_about_one_connection_stays_there() {
    let alpha = Backend::start("alpha").await;
    let edge = Edge::start(&[
        GATEWAY.to_owned(),
        host_rule("a", &rule("", "{destination: {host: alpha}}")),
        alpha.service_entry(),
    ])
    .await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let sent = [
        ("Connection", "keep-alive, x-hop"),
        ("Keep-Alive", "timeout=5"),
        ("x-hop", "1"),
        ("TE", "gzip"),
        ("Proxy-Connection", "keep-alive"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-upstream-rq-timeout-ms", "1"),
        ("x-forwarded-client-cert", "forged"),
        ("x-envoy-custom", "stays"),
        ("X-Mixed-Case", "stays"),
        ("x_under", "stays"),
    ];
    let reply = client.request("GET", "a.test", "/", &sent, None).await.unwrap();
    for name in ["keep-alive", "x-hop", "te", "proxy-connection", "x-envoy-retry-on", "x-forwarded-client-cert"] {
        assert!(reply.seen_header(name).is_empty(), "{name}: {}", reply.text());
    }
    assert!(reply.seen_header("x-envoy-upstream-rq-timeout-ms").is_empty());
    for name in ["x-envoy-custom", "x-mixed-case", "x_under"] {
        assert_eq!(reply.seen_header(name), ["stays"], "{name}");
    }
    let sent = [("x-do", "header connection=x-secret")];
    let reply = client.request("GET", "a.test", "/", &sent, None).await.unwrap();
    assert_eq!(reply.header("connection"), None);
    let mut h2 = H2::connect(edge.port(8080).await).await.unwrap();
    let reply = h2
        .request("GET", "a.test", "/", &[("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")], None)
        .await
        .unwrap();
    assert_eq!(reply.seen_header("cookie"), ["a=1; b=2"]);
    assert_eq!(reply.seen_header("te"), ["trailers"]);
}
