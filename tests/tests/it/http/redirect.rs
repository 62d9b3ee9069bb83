//! Redirects: where to, for which request.

use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::{Edge, H1};

/// Redirect, match (empty = none), then request (authority without the row's name, path) → status and location.
type Row = (&'static str, &'static str, &'static str, &'static str, u16, &'static str);

const ROWS: &[Row] = &[
    ("{uri: /new}", "", "HOST", "/old", 301, "http://HOST/new"),
    ("{uri: /new}", "", "HOST", "/old?a=b", 301, "http://HOST/new?a=b"),
    ("{uri: '/new?x=y'}", "", "HOST", "/old?a=b", 301, "http://HOST/new?x=y"),
    ("{uri: new}", "", "HOST", "/old", 301, "http://HOST/new"),
    ("{uri: 'http://else.test/new'}", "", "HOST", "/old", 301, "http://HOST/http://else.test/new"),
    ("{uri: /new}", "", "HOST:18080", "/old", 301, "http://HOST:18080/new"),
    ("{uri: /new}", "", "HOST:80", "/old", 301, "http://HOST:80/new"),
    ("{authority: else.test}", "", "HOST:18080", "/old?q", 301, "http://else.test/old?q"),
    ("{authority: 'else.test:9'}", "", "HOST", "/", 301, "http://else.test:9/"),
    ("{scheme: https}", "", "HOST", "/a", 301, "https://HOST/a"),
    ("{scheme: https}", "", "HOST:80", "/a", 301, "https://HOST/a"),
    ("{scheme: https}", "", "HOST:443", "/a", 301, "https://HOST:443/a"),
    ("{scheme: https}", "", "HOST:8080", "/a", 301, "https://HOST:8080/a"),
    ("{port: 8443}", "", "HOST:18080", "/a", 301, "http://HOST:8443/a"),
    ("{port: 80}", "", "HOST:18080", "/a", 301, "http://HOST:18080/a"),
    ("{scheme: https, port: 443}", "", "HOST", "/a", 301, "https://HOST/a"),
    ("{scheme: https, port: 8443, authority: else.test}", "", "HOST", "/a", 301, "https://else.test:8443/a"),
    ("{derivePort: FROM_REQUEST_PORT}", "", "HOST:1", "/a", 301, "http://HOST:8080/a"),
    ("{derivePort: FROM_PROTOCOL_DEFAULT, authority: else.test}", "", "HOST:1", "/a", 301, "http://else.test/a"),
    ("{prefixRewrite: /b}", "match: [{uri: {prefix: /a}}], ", "HOST", "/a/x?q", 301, "http://HOST/b/x?q"),
    ("{uri: /new, redirectCode: 302}", "", "HOST", "/", 302, "http://HOST/new"),
    ("{uri: /new, redirectCode: 303}", "", "HOST", "/", 303, "http://HOST/new"),
    ("{uri: /new, redirectCode: 307}", "", "HOST", "/", 307, "http://HOST/new"),
    ("{uri: /new, redirectCode: 308}", "", "HOST", "/", 308, "http://HOST/new"),
];

#[tokio::test]
async fn redirects_lead_where_they_say() {
    let rules: Vec<String> = ROWS
        .iter()
        .enumerate()
        .map(|(row, (redirect, entry, ..))| {
            host_rule(&format!("row-{row}"), &format!("{{{entry}redirect: {redirect}}}"))
        })
        .collect();
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules)]).await;
    let address = edge.port(8080).await;
    let mut h1 = H1::connect(address).await.unwrap();
    let mut h2 = H2::connect(address).await.unwrap();
    let mut wrong = Vec::new();
    for (row, (redirect, _, authority, path, status, location)) in ROWS.iter().enumerate() {
        let named = |text: &str| text.replace("HOST", &format!("row-{row}.test"));
        let expected = (*status, named(location));
        for (protocol, reply) in [
            ("h1", h1.get(&named(authority), path).await.unwrap()),
            ("h2", h2.get(&named(authority), path).await.unwrap()),
        ] {
            let got = (reply.status, reply.header("location").unwrap_or_default().to_owned());
            if got != expected || !reply.body.is_empty() {
                wrong.push(format!("{redirect} {authority}{path} over {protocol}: {expected:?}, not {got:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_redirect_carries_the_rules_response_headers() {
    let rule = "{redirect: {uri: /new}, headers: {response: {set: {x-a: b}}}}";
    let edge = Edge::start(&[GATEWAY.to_owned(), host_rule("a", rule)]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let reply = client.request("POST", "a.test", "/", &[], Some("body that nobody reads")).await.unwrap();
    assert_eq!((reply.status, reply.header("x-a")), (301, Some("b")));
    // The body was not read, so nothing can follow.
    assert_eq!(reply.header("connection"), Some("close"));
}
