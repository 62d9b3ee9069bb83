//! One line per request, in Istio's forms.

use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::pki::Pki;
use sluice_tests::raw::Refusing;
use sluice_tests::{AccessLog, Backend, Edge, H1};

fn rules() -> String {
    file(&[
        host_rule(
            "a",
            "{name: main, match: [{name: all, uri: {prefix: /}}], rewrite: {uri: /new/}, route: [{destination: {host: alpha}}]}",
        ),
        host_rule("direct", "{directResponse: {status: 200, body: {string: hello}}}"),
    ])
}

/// A line in its parts: what stands in brackets or quotes is one.
fn parts(line: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (open, close) = match rest.as_bytes()[0] {
            b'[' => (1, ']'),
            b'"' => (1, '"'),
            _ => (0, ' '),
        };
        let end = rest[open..].find(close).map_or(rest.len(), |at| at + open);
        parts.push(rest[open..end].to_owned());
        rest = rest.get(end + open..).unwrap_or_default().trim_start();
    }
    parts
}

#[tokio::test]
async fn text_lines_are_istios() {
    let log = AccessLog::new();
    let alpha = Backend::start("alpha").await;
    let edge = Edge::start(&[GATEWAY.to_owned(), rules(), alpha.service_entry(), log.mesh_config("")]).await;
    let address = edge.port(8080).await;
    let mut h1 = H1::connect(address).await.unwrap();
    let sent = [("User-Agent", "test \"1\""), ("X-Forwarded-For", "9.9.9.9")];
    let reply = h1.request("POST", "a.test:80", "/x?y=z", &sent, Some("hello")).await.unwrap();
    assert_eq!(reply.seen()["path"], "/new/x?y=z");
    let mut h2 = H2::connect(address).await.unwrap();
    assert_eq!(h2.get("nobody.test", "/").await.unwrap().status, 404);
    let lines = log.lines(2).await;
    let first = lines.iter().find(|line| line.contains("POST")).unwrap();
    // The client's quotes are not those of the form.
    let got = parts(&first.replace("test \"1\"", "test").replace("test \\\"1\\\"", "test"));
    assert_eq!(got.len(), 22, "{first}");
    let upstream = alpha.address.to_string();
    let expected: [(usize, &str); 15] = [
        (1, "POST /x?y=z HTTP/1.1"),
        (2, "200"),
        (3, "-"),
        (4, "via_upstream"),
        (5, "-"),
        (6, "-"),
        (7, "5"),
        (11, "9.9.9.9,127.0.0.1"),
        (12, "test"),
        (14, "a.test:80"),
        (15, upstream.as_str()),
        (16, "outbound|80||alpha.shop.svc.cluster.local"),
        (18, &address.to_string()),
        (21, "main.all"),
        (20, "-"),
    ];
    for (index, value) in expected {
        assert_eq!(got[index], value, "part {index} of {first}");
    }
    assert!(got[0].ends_with('Z') && got[0].len() == 24, "{first}");
    assert_eq!(got[8], reply.body.len().to_string(), "{first}");
    assert!(got[9].parse::<u64>().is_ok() && got[10].parse::<u64>().is_ok(), "{first}");
    assert_eq!(got[13], reply.seen_header("x-request-id")[0], "{first}");
    let second = lines.iter().find(|line| line.contains("nobody")).unwrap();
    let got = parts(second);
    assert_eq!(got[1..9], ["GET / HTTP/2", "404", "NR", "route_not_found", "-", "-", "0", "0"], "{second}");
}

#[tokio::test]
async fn json_lines_are_istios() {
    let log = AccessLog::new();
    let pki = Pki::new();
    let alpha = Backend::start("alpha").await;
    let gateway = sluice_tests::edge::https_gateway(&[("https", "[a.test, direct.test]", "credentialName: a")]);
    let edge = Edge::start(&[
        gateway,
        pki.issue(&["a.test", "direct.test"]).secret("a"),
        rules(),
        alpha.service_entry(),
        log.mesh_config("accessLogEncoding: JSON"),
    ])
    .await;
    let mut client = H1::connect_tls(edge.port(8443).await, "a.test", pki.client(&[])).await.unwrap();
    assert_eq!(client.get("a.test", "/x").await.unwrap().status, 200);
    assert_eq!(client.request("GET", "direct.test", "/", &[("User-Agent", "a\"b")], None).await.unwrap().status, 200);
    let lines: Vec<serde_json::Value> =
        log.lines(2).await.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let keys: Vec<&String> = lines[0].as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 24, "{keys:?}");
    let first = &lines[0];
    for (key, value) in [
        ("method", "GET"),
        ("path", "/x"),
        ("protocol", "HTTP/1.1"),
        ("authority", "a.test"),
        ("requested_server_name", "a.test"),
        ("response_flags", "-"),
        ("response_code_details", "via_upstream"),
        ("upstream_cluster", "outbound|80||alpha.shop.svc.cluster.local"),
        ("route_name", "main.all"),
    ] {
        assert_eq!(first[key], value, "{key}: {first}");
    }
    assert_eq!((first["response_code"].as_u64(), first["bytes_received"].as_u64()), (Some(200), Some(0)));
    assert_eq!(first["user_agent"], serde_json::Value::Null);
    let second = &lines[1];
    assert_eq!((second["bytes_sent"].as_u64(), second["user_agent"].as_str()), (Some(5), Some("a\"b")));
    assert_eq!(
        (second["upstream_host"].as_str(), second["response_code_details"].as_str()),
        (None, Some("direct_response"))
    );
}

#[tokio::test]
async fn a_log_is_switched_on_off_and_over_at_run_time() {
    let (log, other) = (AccessLog::new(), AccessLog::new());
    let mut edge = Edge::start(&[GATEWAY.to_owned(), rules()]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    client.get("direct.test", "/off").await.unwrap();
    edge.save("mesh.yaml", &log.mesh_config("accessLogFormat: '%REQ(:PATH)% %REQ(X-NONE)%'")).await;
    client.get("direct.test", "/one").await.unwrap();
    assert_eq!(log.lines(1).await, ["/one -"]);
    edge.save("mesh.yaml", &other.mesh_config("accessLogEncoding: JSON\naccessLogFormat: '{\"p\": \"%REQ(:PATH)%\"}'"))
        .await;
    client.get("direct.test", "/two").await.unwrap();
    assert_eq!(other.lines(1).await, [r#"{"p":"/two"}"#]);
    edge.delete("mesh.yaml").await;
    client.get("direct.test", "/off").await.unwrap();
    edge.save("mesh.yaml", &log.mesh_config("accessLogFormat: '%REQ(:PATH)%'")).await;
    client.get("direct.test", "/three").await.unwrap();
    assert_eq!(log.lines(2).await, ["/one -", "/three"]);
    assert_eq!(other.lines(1).await.len(), 1);
}

#[tokio::test]
async fn what_clients_send_cannot_forge_a_line() {
    let log = AccessLog::new();
    let mesh = log.mesh_config("accessLogFormat: '%REQ(X-A)%'");
    let edge = Edge::start(&[GATEWAY.to_owned(), rules(), mesh]).await;
    let mut h2 = H2::connect(edge.port(8080).await).await.unwrap();
    let sent = [("x-a", "tab\there")];
    assert_eq!(h2.request("GET", "direct.test", "/", &sent, None).await.unwrap().status, 200);
    assert_eq!(h2.get("direct.test", "/").await.unwrap().status, 200);
    assert_eq!(log.lines(2).await, ["tab\\x09here", "-"]);
}

#[tokio::test]
async fn a_client_that_went_away_is_logged_without_status() {
    let log = AccessLog::new();
    let alpha = Backend::start("alpha").await;
    let mesh =
        log.mesh_config("accessLogFormat: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_SENT%'");
    let edge = Edge::start(&[GATEWAY.to_owned(), rules(), alpha.service_entry(), mesh]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nx-do: sleep 5000\r\n\r\n").await.unwrap();
    sluice_tests::until("the request upstream", async || (alpha.hits() == 1).then_some(())).await;
    drop(client);
    assert_eq!(log.lines(1).await, ["0 DC downstream_remote_disconnect 0"]);
    let mut h2 = H2::connect(edge.port(8080).await).await.unwrap();
    let (response, _) = h2.start("GET", "a.test", "/", &[("x-do", "sleep 5000")], true).await.unwrap();
    sluice_tests::until("the request upstream", async || (alpha.hits() == 2).then_some(())).await;
    drop(response);
    assert_eq!(log.lines(2).await[1], "0 DC downstream_remote_disconnect 0");
}

#[tokio::test]
async fn a_refused_connection_is_named() {
    let log = AccessLog::new();
    let refusing = Refusing::new();
    let edge = Edge::start(&[
        GATEWAY.to_owned(),
        rules(),
        sluice_tests::backend::service_entry("alpha", &[(refusing.port, "")]),
        log.mesh_config(""),
    ])
    .await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    assert_eq!(client.get("a.test", "/x").await.unwrap().status, 503);
    let line = log.lines(1).await.remove(0);
    let got = parts(&line);
    assert_eq!((&*got[2], &*got[3]), ("503", "URX,UF"), "{line}");
    assert_eq!(got[6], "delayed_connect_error:_Connection_refused", "{line}");
}

#[tokio::test]
async fn long_paths_and_fields_are_cut_in_every_form() {
    for encoding in ["", "accessLogEncoding: JSON"] {
        let log = AccessLog::new();
        let alpha = Backend::start("alpha").await;
        let edge = Edge::start(&[GATEWAY.to_owned(), rules(), alpha.service_entry(), log.mesh_config(encoding)]).await;
        let mut client = H1::connect(edge.port(8080).await).await.unwrap();
        let (path, agent) = (format!("/{}", "p".repeat(40_000)), "u".repeat(10_000));
        let reply = client.request("GET", "direct.test", &path, &[("User-Agent", &agent)], None).await.unwrap();
        assert_eq!(reply.status, 200);
        let line = log.lines(1).await.remove(0);
        let run = |letter: char| {
            let runs = line.split(|other| other != letter);
            runs.map(str::len).max().unwrap_or(0)
        };
        assert_eq!((run('p'), run('u')), (1023, 256), "{encoding}");
    }
}
