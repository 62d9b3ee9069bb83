//! Every kind of condition, over HTTP/1.1 and HTTP/2.

use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::{Edge, H1};

/// A match entry and requests: those that match, those that do not. A request is `METHOD path; name: value; …`, `HOST`
/// stands for the host of the row, and `host: …` for the authority to ask for.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

const ROWS: &[Row] = &[
    ("{uri: {exact: /a}}", &["GET /a", "GET /a?b=c", "POST /a"], &["GET /", "GET /a/", "GET /ab", "GET /A"]),
    ("{uri: {exact: /}}", &["GET /", "GET /?q"], &["GET /a"]),
    ("{uri: {prefix: /a}}", &["GET /a", "GET /ab", "GET /a/b?c"], &["GET /", "GET /A", "GET /b/a"]),
    ("{uri: {prefix: /a/}}", &["GET /a/", "GET /a/b"], &["GET /a", "GET /ab"]),
    ("{uri: {prefix: ''}}", &["GET /", "GET /x"], &[]),
    ("{uri: {regex: '/v[12]/.*'}}", &["GET /v1/", "GET /v2/x?y"], &["GET /v1", "GET /v3/", "GET /x/v1/"]),
    ("{uri: {regex: '/a|/bc'}}", &["GET /a", "GET /bc"], &["GET /abc", "GET /b"]),
    ("{uri: {exact: /Ab}, ignoreUriCase: true}", &["GET /ab", "GET /AB", "GET /Ab?x"], &["GET /abc"]),
    ("{uri: {prefix: /Ab}, ignoreUriCase: true}", &["GET /ab/c", "GET /ABc"], &["GET /a"]),
    ("{uri: {regex: /Ab}, ignoreUriCase: true}", &["GET /Ab"], &["GET /ab"]),
    ("{uri: {prefix: /a/c}}", &["GET /a/b/../c", "GET /a//../c", "GET /%61/c"], &["GET /a/b/c"]),
    ("{scheme: {exact: http}}", &["GET /"], &[]),
    ("{scheme: {exact: https}}", &[], &["GET /", "GET /; x-forwarded-proto: https"]),
    ("{method: {exact: POST}}", &["POST /"], &["GET /", "PUT /"]),
    ("{method: {regex: 'GET|PUT'}}", &["GET /", "PUT /"], &["POST /", "HEAD /"]),
    ("{method: {prefix: P}}", &["POST /", "PUT /", "PATCH /"], &["GET /"]),
    ("{authority: {exact: 'HOST:81'}}", &["GET /; host: HOST:81"], &["GET /", "GET /; host: HOST:82"]),
    ("{authority: {prefix: 'HOST:8'}}", &["GET /; host: HOST:81", "GET /; host: HOST:80"], &["GET /"]),
    ("{authority: {regex: 'HOST(:\\d+)?'}}", &["GET /", "GET /; host: HOST:1"], &[]),
    (
        "{headers: {x-a: {exact: b}}}",
        &["GET /; x-a: b", "GET /; X-A: b"],
        &["GET /", "GET /; x-a: B", "GET /; x-a: bc"],
    ),
    ("{headers: {x-a: {exact: b}}}", &["GET /; x-a: c; x-a: b"], &["GET /; x-a: c,b"]),
    ("{headers: {X-A: {prefix: b}}}", &["GET /; x-a: bc"], &["GET /; x-a: cb", "GET /; x-b: b"]),
    ("{headers: {x-a: {regex: 'b+'}}}", &["GET /; x-a: bbb"], &["GET /; x-a: bbc", "GET /; x-a: c"]),
    ("{headers: {x-a: {}}}", &["GET /; x-a: b", "GET /; x-a: "], &["GET /", "GET /; x-b: 1"]),
    ("{headers: {x-a: {exact: a}, x-b: {exact: b}}}", &["GET /; x-a: a; x-b: b"], &["GET /; x-a: a", "GET /; x-b: b"]),
    ("{headers: {':method': {exact: PUT}}}", &["PUT /"], &["GET /"]),
    ("{headers: {':path': {prefix: '/a?b'}}}", &["GET /a?bc"], &["GET /a", "GET /a?c"]),
    ("{headers: {cookie: {regex: '^(.*?;)?(user=jason)(;.*)?'}}}", &["GET /; cookie: user=jason"], &["GET /"]),
    ("{withoutHeaders: {x-a: {}}}", &["GET /", "GET /; x-b: 1"], &["GET /; x-a: 1", "GET /; x-a: "]),
    ("{withoutHeaders: {x-a: {exact: b}}}", &["GET /", "GET /; x-a: c"], &["GET /; x-a: b", "GET /; x-a: c; x-a: b"]),
    ("{withoutHeaders: {x-a: {regex: '.*'}}}", &[], &["GET /", "GET /; x-a: c"]),
    ("{withoutHeaders: {x-a: {exact: ''}}}", &["GET /; x-a: c"], &["GET /", "GET /; x-a: "]),
    ("{withoutHeaders: {x-a: {prefix: b}}}", &["GET /", "GET /; x-a: cb"], &["GET /; x-a: bc"]),
    ("{queryParams: {a: {exact: b}}}", &["GET /?a=b", "GET /?x&a=b&a=c"], &["GET /", "GET /?a=c&a=b", "GET /?A=b"]),
    ("{queryParams: {a: {exact: ''}}}", &["GET /?a", "GET /?a="], &["GET /?a=b", "GET /?b"]),
    ("{queryParams: {a: {prefix: b}}}", &["GET /?a=bc"], &["GET /?a=cb", "GET /?a=%62c"]),
    ("{queryParams: {a: {regex: '\\d+'}}}", &["GET /?a=12"], &["GET /?a=12x", "GET /?a="]),
    ("{queryParams: {a: {}}}", &["GET /?a", "GET /?a=1"], &["GET /", "GET /?b=a"]),
    ("{queryParams: {v: {exact: a b}}}", &[], &["GET /?v=a+b", "GET /?v=a%20b"]),
    ("{port: 8080}", &["GET /", "GET /; host: HOST:9"], &[]),
    ("{port: 8081}", &[], &["GET /", "GET /; host: HOST:8081"]),
    ("{gateways: [edge/gate]}", &["GET /"], &[]),
    ("{gateways: [edge/other]}", &[], &["GET /"]),
    ("{gateways: [mesh]}", &[], &["GET /"]),
    (
        "{uri: {prefix: /a}, method: {exact: GET}, headers: {x-a: {}}, queryParams: {q: {exact: '1'}}}",
        &["GET /a?q=1; x-a: z"],
        &["GET /b?q=1; x-a: z", "PUT /a?q=1; x-a: z", "GET /a?q=1", "GET /a?q=2; x-a: z"],
    ),
];

fn host(row: usize) -> String {
    format!("row-{row}.test")
}

struct Request {
    method: String,
    path: String,
    host: String,
    headers: Vec<(String, String)>,
}

fn request(text: &str, host: &str) -> Request {
    let text = text.replace("HOST", host);
    let mut parts = text.split(';').map(str::trim_start);
    let (method, path) = parts.next().and_then(|line| line.split_once(' ')).expect("a method and a path");
    let mut request =
        Request { method: method.to_owned(), path: path.to_owned(), host: host.to_owned(), headers: Vec::new() };
    for part in parts {
        let (name, value) = part.split_once(':').expect("a field");
        if name == "host" {
            request.host = value.trim().to_owned();
        } else {
            request.headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    request
}

#[tokio::test]
async fn conditions_choose_routes() {
    let rules: Vec<String> = ROWS
        .iter()
        .enumerate()
        .map(|(row, (entry, ..))| {
            let entry = entry.replace("HOST", &host(row));
            host_rule(&format!("row-{row}"), &format!("{{match: [{entry}], directResponse: {{status: 299}}}}"))
        })
        .collect();
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules)]).await;
    let address = edge.port(8080).await;
    let mut h1 = H1::connect(address).await.unwrap();
    let mut h2 = H2::connect(address).await.unwrap();
    let mut wrong = Vec::new();
    for (row, (entry, matching, other)) in ROWS.iter().enumerate() {
        let asked = matching.iter().map(|it| (it, 299)).chain(other.iter().map(|it| (it, 404)));
        for (text, expected) in asked {
            let Request { method, path, host, headers } = request(text, &host(row));
            let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let first = h1.request(&method, &host, &path, &headers, None).await.unwrap().status;
            let second = h2.request(&method, &host, &path, &headers, None).await.unwrap().status;
            if (first, second) != (expected, expected) {
                wrong.push(format!("{entry}\n  {text}: {expected}, not {first} over h1 and {second} over h2"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_scheme_is_the_connections_whatever_an_h2_client_says() {
    let rule = |scheme| format!("{{match: [{{scheme: {{exact: {scheme}}}}}], directResponse: {{status: 299}}}}");
    let rules = [host_rule("a", &rule("https")), host_rule("b", &rule("http"))];
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules)]).await;
    let h2 = H2::connect(edge.port(8080).await).await.unwrap();
    for scheme in ["http", "https", "ftp"] {
        for (host, status) in [("a.test", 404), ("b.test", 299)] {
            assert_eq!(h2.saying(scheme).get(host, "/").await.unwrap().status, status, "{scheme} {host}");
        }
    }
}

#[tokio::test]
async fn entries_of_one_rule_are_alternatives_and_the_first_matching_rule_wins() {
    let rules = [
        "{match: [{uri: {prefix: /a}}, {headers: {x-b: {}}}], directResponse: {status: 201}}",
        "{match: [{uri: {exact: /a/b}}], directResponse: {status: 202}}",
        "{match: [{uri: {exact: /c}}], directResponse: {status: 203}}",
        "{directResponse: {status: 206}}",
        "{match: [{uri: {prefix: /never}}], directResponse: {status: 207}}",
    ];
    let rules: String = rules.iter().map(|rule| format!("  - {rule}\n")).collect();
    let edge = Edge::start(&[GATEWAY.to_owned(), sluice_tests::edge::virtual_service("web", &rules)]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for (path, header, expected) in [
        ("/a/b", "x-none", 201),
        ("/c", "x-b", 201),
        ("/c", "x-none", 203),
        ("/d", "x-none", 206),
        ("/never", "x-none", 206),
    ] {
        let status = client.request("GET", "shop.test", path, &[(header, "1")], None).await.unwrap().status;
        assert_eq!(status, expected, "{path} {header}");
    }
}

#[tokio::test]
async fn port_and_gateway_conditions_tell_listeners_apart() {
    let gateways = "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 8080, name: a, protocol: HTTP}, hosts: ['*']}
  - {port: {number: 8081, name: b, protocol: HTTP}, hosts: ['*']}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: other, namespace: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: c, protocol: HTTP}, hosts: ['*']}
";
    let service = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [shop.test]
  gateways: [edge/gate, edge/other]
  http:
  - {match: [{port: 8081}], directResponse: {status: 201}}
  - {match: [{gateways: [edge/other]}], directResponse: {status: 202}}
  - {match: [{gateways: [edge/gate]}], directResponse: {status: 203}}
";
    let edge = Edge::start(&[gateways.to_owned(), service.to_owned()]).await;
    for (port, expected) in [(8080, 203), (8081, 201), (80, 202)] {
        let mut client = H1::connect(edge.port(port).await).await.unwrap();
        assert_eq!(client.get("shop.test", "/").await.unwrap().status, expected, "{port}");
    }
}
