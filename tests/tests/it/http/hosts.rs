//! Which virtual host a request belongs to, and whose rules come first in it.

use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, file};
use sluice_tests::{Edge, H1};

fn service(name: &str, created: &str, hosts: &str, rules: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: shop, \
         creationTimestamp: '{created}'}}\nspec:\n  hosts: {hosts}\n  gateways: [edge/gate]\n  http:\n{rules}"
    )
}

const OLD: &str = "2024-01-01T00:00:00Z";
const NEW: &str = "2025-01-01T00:00:00Z";

#[tokio::test]
async fn the_most_specific_host_alone_counts() {
    let answer =
        |status: u16| format!("  - match: [{{uri: {{prefix: /a}}}}]\n    directResponse: {{status: {status}}}\n");
    let services = [
        service("all", OLD, "['*']", "  - directResponse: {status: 201}\n"),
        service("wild", OLD, "['*.foo.test']", &answer(202)),
        service("deep", OLD, "['*.x.foo.test']", &answer(203)),
        service("exact", OLD, "[a.foo.test, B.foo.test]", &answer(206)),
    ];
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&services)]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for (host, path, expected) in [
        ("other.test", "/", 201),
        ("foo.test", "/a", 201),
        ("z.foo.test", "/a", 202),
        ("y.z.foo.test", "/a", 202),
        ("z.x.foo.test", "/a", 203),
        ("a.foo.test", "/a", 206),
        ("A.FOO.test:8080", "/a", 206),
        ("b.foo.test", "/a", 206),
        ("a.foo.test:", "/a", 206),
        // No other virtual host is asked when this one has no rule.
        ("a.foo.test", "/b", 404),
        ("z.foo.test", "/b", 404),
        ("a.foo.test.", "/a", 201),
        ("[::1]:80", "/", 201),
    ] {
        assert_eq!(client.get(host, path).await.unwrap().status, expected, "{host}{path}");
    }
}

#[tokio::test]
async fn rules_of_several_virtual_services_stand_by_age_with_catch_alls_last() {
    let services = [
        service(
            "young",
            NEW,
            "[shop.test]",
            "  - match: [{uri: {prefix: /a}}]\n    directResponse: {status: 201}\n  \
             - match: [{uri: {prefix: /young}}]\n    directResponse: {status: 202}\n  - directResponse: {status: 203}\n",
        ),
        service(
            "old",
            OLD,
            "[shop.test]",
            "  - match: [{uri: {prefix: /a}}]\n    directResponse: {status: 206}\n  - directResponse: {status: 207}\n",
        ),
    ];
    let mut edge = Edge::start(&[GATEWAY.to_owned(), services[0].clone(), services[1].clone()]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for (path, expected) in [("/a", 206), ("/young", 202), ("/", 207)] {
        assert_eq!(client.get("shop.test", path).await.unwrap().status, expected, "{path}");
    }
    // Without dates the name decides; then the other one is first.
    edge.save("02.yaml", &services[1].replace(OLD, NEW).replace("name: old", "name: zzz")).await;
    for (path, expected) in [("/a", 201), ("/young", 202), ("/", 203)] {
        assert_eq!(client.get("shop.test", path).await.unwrap().status, expected, "{path}");
    }
}

#[tokio::test]
async fn servers_admit_virtual_services_by_host_and_namespace() {
    let gateway = "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 8080, name: a, protocol: HTTP}, hosts: ['*.foo.test', 'other/o.test', 'shop/s.test', './e.test']}
";
    let all =
        service("all", OLD, "[a.foo.test, o.test, s.test, e.test, bar.test]", "  - directResponse: {status: 299}\n");
    let own = service("own", OLD, "[e.test]", "  - directResponse: {status: 298}\n")
        .replace("namespace: shop", "namespace: edge")
        .replace("edge/gate", "gate");
    let wide = service("wide", OLD, "['*.test']", "  - directResponse: {status: 297}\n");
    let edge = Edge::start(&[gateway.to_owned(), all, own, wide]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for (host, expected) in
        [("a.foo.test", 299), ("b.foo.test", 297), ("o.test", 404), ("s.test", 299), ("e.test", 298), ("bar.test", 404)]
    {
        assert_eq!(client.get(host, "/").await.unwrap().status, expected, "{host}");
    }
}

#[tokio::test]
async fn two_host_lines_and_no_host_reach_nobody() {
    let services = [service("a", OLD, "[a.test, b.test]", "  - directResponse: {status: 299}\n")];
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&services)]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n").await.unwrap();
    assert_eq!(client.reply(false).await.unwrap().status, 404);
    client.send("GET / HTTP/1.1\r\nHost: \r\n\r\n").await.unwrap();
    assert_eq!(client.reply(false).await.unwrap().status, 404);
    client.send("GET http://user@a.test/x HTTP/1.1\r\nHost: wrong.test\r\n\r\n").await.unwrap();
    assert_eq!(client.reply(false).await.unwrap().status, 299);
    client.send("OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    assert_eq!(client.reply(false).await.unwrap().status, 404);
    let mut h2 = H2::connect(edge.port(8080).await).await.unwrap();
    assert_eq!(h2.get("a.test", "/").await.unwrap().status, 299);
    // The authority wins over host.
    assert_eq!(h2.request("GET", "a.test", "/", &[("host", "wrong.test")], None).await.unwrap().status, 299);
    assert_eq!(h2.request("GET", "wrong.test", "/", &[("host", "a.test")], None).await.unwrap().status, 404);
}
