//! No text of an object or of a client becomes a line, a request or a host of its own, and edits make no head larger than
//! heads may be.

use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::{Backend, Edge, H1, Raw};

const TO_ALPHA: &str = "route: [{destination: {host: alpha}}]";

#[tokio::test]
async fn a_tenants_rewrite_puts_no_request_of_its_own_on_a_shared_connection() {
    let raw = Raw::start(|_, mut peer| async move {
        while let Some(head) = peer.request().await {
            let body = if head.contains("smuggled") || head.contains("internal") { "poison" } else { "answer" };
            peer.say(&format!("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n{body}")).await;
        }
    })
    .await;
    let crlf = r#""/x HTTP/1.1\r\nHost: internal\r\n\r\nGET /smuggled""#;
    let rules = [
        host_rule("public", "{route: [{destination: {host: raw}}]}"),
        host_rule("evil", &format!("{{rewrite: {{uri: {crlf}}}, route: [{{destination: {{host: raw}}}}]}}")),
        host_rule(
            "host",
            "{rewrite: {authority: \"a\\r\\nx-forwarded-for: internal\"}, route: [{destination: {host: raw}}]}",
        ),
        host_rule(
            "pattern",
            "{rewrite: {uriRegexRewrite: {match: a, rewrite: \"b HTTP/1.1\\r\\nHost: internal\\r\\n\\r\\n\"}}, \
             route: [{destination: {host: raw}}]}",
        ),
    ];
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules), raw.service_entry("raw")]).await;
    // Each is told, on its own object.
    for name in ["evil", "host", "pattern"] {
        let problems: Vec<String> = edge.first.problems.iter().map(ToString::to_string).collect();
        assert!(problems.iter().any(|it| it.contains(&format!("shop/{name}"))), "{name}: {problems:?}");
    }
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let mut visitor = H1::connect(edge.port(8080).await).await.unwrap();
    for host in ["evil.test", "host.test", "pattern.test"] {
        assert_eq!(client.get(host, "/a").await.unwrap().status, 404, "{host}");
        for _ in 0..3 {
            let reply = visitor.get("public.test", "/public/account").await.unwrap();
            assert_eq!((reply.status, reply.text().as_str()), (200, "answer"));
        }
    }
    assert_eq!(raw.requests(), 9);
}

#[tokio::test]
async fn a_tenants_redirect_puts_no_line_into_the_clients_response() {
    let rules: Vec<String> = [
        ("uri", r#"{redirect: {uri: "/\r\nx-injected: 1"}}"#),
        ("prefix", r#"{redirect: {prefixRewrite: "/\r\nset-cookie: a=b"}}"#),
        ("authority", r#"{redirect: {authority: "a.test\r\nx-injected: 1"}}"#),
    ]
    .iter()
    .map(|(name, rule)| host_rule(name, rule))
    .collect();
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules)]).await;
    for name in ["uri", "prefix", "authority"] {
        let mut client = H1::connect(edge.port(8080).await).await.unwrap();
        client.send(&format!("GET / HTTP/1.1\r\nHost: {name}.test\r\nConnection: close\r\n\r\n")).await.unwrap();
        let all = client.rest().await.unwrap();
        assert!(all.starts_with("HTTP/1.1 404 ") && !all.contains("injected") && !all.contains("cookie"), "{all}");
    }
}

#[tokio::test]
async fn a_host_is_host_and_port_or_refused() {
    let alpha = Backend::start("alpha").await;
    let rules = [
        host_rule("app", &format!("{{{TO_ALPHA}}}")),
        host_rule("moved", "{redirect: {uri: /new}}"),
        host_rule("under_score", "{directResponse: {status: 299}}").replace("[under_score.test]", "['*.test']"),
    ];
    let rules = file(&rules).replace("name: under_score", "name: under");
    let edge = Edge::start(&[GATEWAY.to_owned(), rules, alpha.service_entry()]).await;
    let address = edge.port(8080).await;
    for host in [
        "app.test:x@evil.com",
        "app.test:a b",
        "app.test:80/../x",
        "app.test:0",
        "app.test:65536",
        "app.test:80:80",
        "user@app.test",
        "app.test/x",
        "app.test\\x",
        "app%2etest",
        "moved.test:x@evil.com",
        "[::1",
        "::1",
    ] {
        let mut client = H1::connect(address).await.unwrap();
        let reply = client.get(host, "/").await.unwrap();
        assert_eq!((reply.status, reply.text().as_str()), (400, "Bad Request"), "{host}");
        assert!(client.is_closed().await.unwrap(), "{host}");
        // Over HTTP/2 a client library refuses most of them itself.
        let mut h2 = H2::connect(address).await.unwrap();
        if let Ok(reply) = h2.get(host, "/").await {
            assert!(
                reply.status == 400 || host.contains('/') && reply.status == 200,
                "{host} over h2: {}",
                reply.status
            );
        }
    }
    let mut client = H1::connect(address).await.unwrap();
    for (host, status) in [("app.test", 200), ("APP.test:8080", 200), ("app.test:", 200), ("my_app.test", 299)] {
        assert_eq!(client.get(host, "/").await.unwrap().status, status, "{host}");
    }
}

#[tokio::test]
async fn edits_that_make_a_head_too_large_are_answered_500_and_counted() {
    let alpha = Backend::start("alpha").await;
    let big = "A".repeat(50_000);
    let many = "%REQ(x-big)%".repeat(2000);
    let rules = [
        host_rule("pattern", &format!("{{rewrite: {{uriRegexRewrite: {{match: '.', rewrite: {big}}}}}, {TO_ALPHA}}}")),
        host_rule("long", &format!("{{rewrite: {{uri: /{big}}}, {TO_ALPHA}}}")),
        host_rule("set", &format!("{{headers: {{request: {{set: {{x-a: '{many}'}}}}}}, {TO_ALPHA}}}")),
        host_rule("back", &format!("{{headers: {{response: {{set: {{x-a: '{many}'}}}}}}, {TO_ALPHA}}}")),
        host_rule(
            "direct",
            &format!("{{headers: {{response: {{set: {{x-a: '{many}'}}}}}}, directResponse: {{status: 299}}}}"),
        ),
        host_rule("plain", &format!("{{headers: {{request: {{set: {{x-a: '%REQ(x-big)%'}}}}}}, {TO_ALPHA}}}")),
    ];
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules), alpha.service_entry()]).await;
    let address = edge.port(8080).await;
    let (path, value) = (format!("/{}", "y".repeat(20_000)), "z".repeat(50_000));
    let mut h2 = H2::connect(address).await.unwrap();
    for (host, path, status, hits) in [
        ("pattern.test", &*path, 500, 0),
        ("long.test", "/", 500, 0),
        ("set.test", "/", 500, 0),
        ("back.test", "/", 500, 1),
        ("direct.test", "/", 500, 0),
        ("plain.test", "/", 500, 0),
    ] {
        let before = alpha.hits();
        let big = [("x-big", &*value)];
        let headers = if path.len() > 1 { &[][..] } else { &big[..] };
        let mut client = H1::connect(address).await.unwrap();
        let reply = client.request("GET", host, path, headers, None).await.unwrap();
        assert_eq!((reply.status, reply.body.len()), (status, 0), "{host}");
        assert!(reply.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() < 1000, "{host}");
        let reply = h2.request("GET", host, path, headers, None).await.unwrap();
        assert_eq!((reply.status, reply.body.len()), (status, 0), "{host} over h2");
        assert_eq!(alpha.hits() - before, 2 * hits, "{host}");
    }
    // What fits is served, by the same rules.
    let mut client = H1::connect(address).await.unwrap();
    let reply = client.request("GET", "plain.test", "/", &[("x-big", "1")], None).await.unwrap();
    assert_eq!((reply.status, reply.seen_header("x-a")), (200, vec!["1".to_owned()]));
    let metrics = edge.metrics().await;
    for reason in ["request_target_too_long", "request_head_too_large", "response_head_too_large"] {
        let line = format!("sluice_refused_heads_total{{reason=\"{reason}\"}} 4");
        assert!(metrics.contains(&line), "{reason}: {metrics}");
    }
}

#[tokio::test]
async fn objects_show_no_variable_of_the_proxys_environment_that_is_not_allowed() {
    let rule = "{headers: {response: {set: {x-secret: 'a%ENVIRONMENT(SECRET)%', x-zone: 'a%ENVIRONMENT(ZONE)%'}}}, \
                directResponse: {status: 299}}";
    let log = sluice_tests::edge::mesh_config("accessLogFile: LOG\naccessLogFormat: \"%ENVIRONMENT(SECRET)%\"");
    let file = tempfile::NamedTempFile::new().unwrap();
    let log = log.replace("LOG", &file.path().display().to_string());
    let variables = [("SECRET", "s3cret"), ("ZONE", "b")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = gateway::Config {
        environment: variables.into(),
        environment_allow: ["ZONE".to_owned()].into(),
        ..gateway::Config::default()
    };
    let edge = Edge::start_with(&[GATEWAY.to_owned(), log, host_rule("a", rule)], config).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let reply = client.get("a.test", "/").await.unwrap();
    assert_eq!((reply.header("x-secret"), reply.header("x-zone")), (Some("a"), Some("ab")));
    // The log's format is the administrator's.
    for _ in 0..200 {
        if std::fs::read_to_string(file.path()).unwrap() == "s3cret\n" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{:?}", std::fs::read_to_string(file.path()));
}

#[tokio::test]
async fn a_hostile_controller_gets_no_line_end_into_the_table() {
    use ir::{Encoded, Key, Kind};
    let edge = Edge::start(&[GATEWAY.to_owned(), host_rule("a", "{directResponse: {status: 299}}")]).await;
    for action in [
        r#"{"redirect":{"status":301,"path":{"full":"/\r\nx: y"}}}"#,
        r#"{"redirect":{"status":301,"authority":"a b"}}"#,
        r#"{"redirect":{"status":301,"scheme":"javascript"}}"#,
        r#"{"redirect":{"status":200}}"#,
        r#"{"direct_response":{"status":101}}"#,
        r#"{"direct_response":{"status":200,"edits":{"response":[{"set":{"name":"x-a","value":"a\r\nb: c"}}]}}}"#,
        r#"{"direct_response":{"status":200,"edits":{"response":[{"set":{"name":"x a","value":"a"}}]}}}"#,
        r#"{"forward":{"destinations":[{"cluster":"c","weight":1}],"path_rewrite":{"full":{"replacement":"/a b"}}}}"#,
        r#"{"forward":{"destinations":[{"cluster":"c","weight":1,"authority":"u@a"}]}}"#,
    ] {
        let body = format!(
            r#"{{"route_group":{{"name":"evil/evil","precedence":{{"tier":0,"created":0,"name":"e","namespace":"e"}},"bindings":[],"route_lists":[[{{"name":"","matches":{{}},"catch_all":true,"action":{action}}}]]}}}}"#
        );
        let key = Key { kind: Kind::RouteGroup, name: "evil/evil".into() };
        let encoded = Encoded { key, version: "1".into(), body: body.as_bytes().into() };
        let applied = edge.gateway.apply(ir::Delta { changed: vec![encoded], removed: Vec::new() }).await;
        assert_eq!(applied.rejected.len(), 1, "{action} was taken");
    }
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    assert_eq!(client.get("a.test", "/").await.unwrap().status, 299);
}
