//! Requests of pages from elsewhere.

use sluice_tests::client::Reply;
use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::{Backend, Edge, H1};

fn policies() -> String {
    let to_alpha = "route: [{destination: {host: alpha}}]";
    file(&[
        host_rule(
            "full",
            &format!(
                "{{corsPolicy: {{allowOrigins: [{{exact: 'https://one.test'}}, {{prefix: 'https://pre'}}, {{regex: \
                 'https://.*[.]re[.]test'}}], allowMethods: [GET, PUT], allowHeaders: [x-a, x-b], exposeHeaders: [x-c], \
                 maxAge: 24h, allowCredentials: true}}, headers: {{response: {{set: {{x-edit: '1'}}}}}}, {to_alpha}}}"
            ),
        ),
        host_rule(
            "star",
            &format!(
                "{{corsPolicy: {{allowOrigins: [{{regex: '.*'}}], allowMethods: ['*'], allowHeaders: ['*'], unmatchedPreflights: IGNORE}}, {to_alpha}}}"
            ),
        ),
        host_rule(
            "strict",
            &format!(
                "{{corsPolicy: {{allowOrigins: [{{exact: 'https://one.test'}}], unmatchedPreflights: IGNORE}}, {to_alpha}}}"
            ),
        ),
        host_rule(
            "gone",
            "{corsPolicy: {allowOrigins: [{exact: 'https://one.test'}]}, route: [{destination: {host: missing}}]}",
        ),
    ])
}

fn cors(reply: &Reply) -> Vec<String> {
    let mut lines: Vec<String> = reply
        .headers
        .iter()
        .filter_map(|(name, value)| {
            Some(format!("{}: {value}", name.to_ascii_lowercase().strip_prefix("access-control-")?))
        })
        .collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn preflights_are_answered_and_responses_marked() {
    let alpha = Backend::start("alpha").await;
    let edge = Edge::start(&[GATEWAY.to_owned(), policies(), alpha.service_entry()]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();

    let preflight = [("Origin", "https://one.test"), ("Access-Control-Request-Method", "DELETE")];
    let reply = client.request("OPTIONS", "full.test", "/", &preflight, None).await.unwrap();
    assert_eq!((reply.status, reply.body.len(), reply.backend(), reply.header("x-edit")), (200, 0, "", None));
    assert_eq!(
        cors(&reply),
        [
            "allow-credentials: true",
            "allow-headers: x-a,x-b",
            "allow-methods: GET,PUT",
            "allow-origin: https://one.test",
            "expose-headers: x-c",
            "max-age: 86400"
        ]
    );
    let wild = [preflight[0], preflight[1], ("Access-Control-Request-Headers", "x-z, x-y")];
    let reply = client.request("OPTIONS", "star.test", "/", &wild, None).await.unwrap();
    assert_eq!(cors(&reply), ["allow-headers: x-z, x-y", "allow-methods: DELETE", "allow-origin: https://one.test"]);

    for (origin, allowed) in [
        ("https://one.test", true),
        ("https://prefix.test", true),
        ("https://x.re.test", true),
        ("https://x.re.test.evil.test", false),
        ("https://one.test.evil.test", false),
        ("https://ONE.test", false),
        ("null", false),
    ] {
        let reply = client.request("GET", "full.test", "/", &[("Origin", origin)], None).await.unwrap();
        assert_eq!((reply.status, reply.backend(), reply.header("x-edit")), (200, "alpha", Some("1")), "{origin}");
        let expected =
            ["allow-credentials: true".to_owned(), format!("allow-origin: {origin}"), "expose-headers: x-c".to_owned()];
        assert_eq!(cors(&reply), if allowed { &expected[..] } else { &[] }, "{origin}");
    }
    // Caches are told that the response is for one origin; what the upstream says of others stays.
    for (sent, vary) in [
        (&[("Origin", "https://one.test")][..], "Origin"),
        (&[("Origin", "https://one.test"), ("x-do", "header vary=accept-encoding, origin")], "accept-encoding, origin"),
        (&[("Origin", "https://two.test")], ""),
    ] {
        let reply = client.request("GET", "full.test", "/", sent, None).await.unwrap();
        assert_eq!(reply.header("vary").unwrap_or_default(), vary, "{sent:?}");
    }
    // What the upstream says itself is replaced where the origin is ours, and its own business where not.
    for (origin, seen) in [("https://one.test", "https://one.test"), ("https://two.test", "up")] {
        let sent = [("Origin", origin), ("x-do", "header access-control-allow-origin=up")];
        let reply = client.request("GET", "full.test", "/", &sent, None).await.unwrap();
        assert_eq!(reply.header("access-control-allow-origin"), Some(seen), "{origin}");
    }
    let reply = client.get("full.test", "/").await.unwrap();
    assert_eq!((reply.status, cors(&reply).len()), (200, 0));
}

#[tokio::test]
async fn preflights_of_strangers_pass_or_are_answered_with_nothing() {
    let alpha = Backend::start("alpha").await;
    let edge = Edge::start(&[GATEWAY.to_owned(), policies(), alpha.service_entry()]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let strange = [("Origin", "https://two.test"), ("Access-Control-Request-Method", "GET")];
    let reply = client.request("OPTIONS", "full.test", "/", &strange, None).await.unwrap();
    assert_eq!((reply.status, reply.backend(), cors(&reply).len()), (200, "alpha", 0));
    let reply = client.request("OPTIONS", "strict.test", "/", &strange, None).await.unwrap();
    assert_eq!((reply.status, reply.backend(), reply.body.len(), cors(&reply).len()), (200, "", 0, 0));
    // Without the question of a browser OPTIONS is a method like any other.
    let reply = client.request("OPTIONS", "strict.test", "/", &strange[..1], None).await.unwrap();
    assert_eq!(reply.backend(), "alpha");
    // The proxy's own replies are marked, too: pages are to see what went wrong.
    let reply = client.request("GET", "gone.test", "/", &[("Origin", "https://one.test")], None).await.unwrap();
    assert_eq!((reply.status, cors(&reply)), (503, vec!["allow-origin: https://one.test".to_owned()]));
}
