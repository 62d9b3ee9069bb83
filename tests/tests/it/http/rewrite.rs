//! What the upstream gets for what the client asked for.

use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::{Backend, Edge, H1};

/// Match (empty = none), rewrite, path asked for, path seen.
const PATHS: &[(&str, &str, &str, &str)] = &[
    ("{uri: {prefix: /api}}", "{uri: /}", "/api/x", "//x"),
    ("{uri: {prefix: /api}}", "{uri: /}", "/api", "/"),
    ("{uri: {prefix: /api/}}", "{uri: /}", "/api/x?q=1", "/x?q=1"),
    ("", "{uri: /v1}", "/x", "/v1x"),
    ("", "{uri: /v1/}", "/x", "/v1/x"),
    ("{uri: {exact: /a}}", "{uri: /b}", "/a?q", "/b?q"),
    ("{uri: {regex: '/a/.*'}}", "{uri: /b}", "/a/x/y?q", "/b?q"),
    ("{uri: {prefix: /AB}, ignoreUriCase: true}", "{uri: /c}", "/ab/x", "/c/x"),
    ("{uri: {prefix: /api}}", "{uri: '/v1?k=1'}", "/api/x", "/v1?k=1/x"),
    ("", "{uriRegexRewrite: {match: '/a/([^/]+)', rewrite: '/b/\\1/c'}}", "/a/x?q=a/b", "/b/x/c?q=a/b"),
    ("", "{uriRegexRewrite: {match: 'a', rewrite: 'b'}}", "/a/aa", "/b/bb"),
    ("", "{uriRegexRewrite: {match: '^/(\\w+)/(\\w+)$', rewrite: '/\\2/\\1'}}", "/one/two", "/two/one"),
    ("", "{uriRegexRewrite: {match: 'zzz', rewrite: 'y'}}", "/a?b", "/a?b"),
    ("{uri: {prefix: /a}}", "{uri: /b}", "/x/../a/%7Ec", "/b/~c"),
];

#[tokio::test]
async fn paths_are_rewritten_as_text() {
    let alpha = Backend::start("alpha").await;
    let rules: Vec<String> = PATHS
        .iter()
        .enumerate()
        .map(|(row, (entry, rewrite, ..))| {
            let entry = if entry.is_empty() { String::new() } else { format!("match: [{entry}], ") };
            let rule = format!("{{{entry}rewrite: {rewrite}, route: [{{destination: {{host: alpha}}}}]}}");
            host_rule(&format!("row-{row}"), &rule)
        })
        .collect();
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules), alpha.service_entry()]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let mut wrong = Vec::new();
    for (row, (entry, rewrite, asked, expected)) in PATHS.iter().enumerate() {
        let reply = client.get(&format!("row-{row}.test"), asked).await.unwrap();
        let seen = reply.seen()["path"].as_str().unwrap_or_default().to_owned();
        if seen != *expected {
            wrong.push(format!("{entry} {rewrite} {asked}: {expected}, not {seen} ({})", reply.status));
        }
        let original = reply.seen_header("x-envoy-original-path");
        let normal = if asked.contains("..") { "/a/~c" } else { asked };
        if original != [normal] {
            wrong.push(format!("{rewrite} {asked}: the original path is said to be {original:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn authorities_are_rewritten_by_the_rule_before_the_destination() {
    let alpha = Backend::start("alpha").await;
    let rules = [
        host_rule("plain", "{rewrite: {authority: new.test}, route: [{destination: {host: alpha}}]}"),
        host_rule("set", "{headers: {request: {set: {host: set.test}}}, route: [{destination: {host: alpha}}]}"),
        host_rule(
            "both",
            "{rewrite: {authority: rule.test}, route: [{destination: {host: alpha}, \
             headers: {request: {set: {':authority': lower.test}}}}]}",
        ),
        host_rule(
            "lower",
            "{route: [{destination: {host: alpha}, headers: {request: {set: {':authority': low.test}}}}]}",
        ),
        host_rule("none", "{route: [{destination: {host: alpha}}]}"),
    ];
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules), alpha.service_entry()]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for (name, expected) in [
        ("plain", "new.test"),
        ("set", "set.test"),
        ("both", "rule.test"),
        ("lower", "low.test"),
        ("none", "none.test:9"),
    ] {
        let asked = format!("{name}.test:9");
        let reply = client.get(&asked, "/").await.unwrap();
        assert_eq!(reply.seen_header("host"), [expected], "{name}");
        // What the rule's replaces: the destination's, where that came first.
        let told = match name {
            "none" => Vec::new(),
            "both" => vec!["lower.test".to_owned()],
            _ => vec![asked],
        };
        assert_eq!(reply.seen_header("x-envoy-original-host"), told, "{name}");
        assert!(reply.seen_header("x-envoy-original-path").is_empty(), "{name}");
    }
}
