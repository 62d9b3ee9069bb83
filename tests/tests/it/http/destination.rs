//! Which endpoint a destination leads to: services, subsets, ports, balancing.

use std::collections::BTreeMap;

use sluice_tests::backend::service_entry;
use sluice_tests::edge::{GATEWAY, file, host_rule, virtual_service};
use sluice_tests::{Backend, Edge, H1};

const TO_WEB: &str = "{route: [{destination: {host: web}}]}";

async fn two() -> (Backend, Backend, String) {
    let (alpha, beta) = (Backend::start("alpha").await, Backend::start("beta").await);
    let entry = service_entry("web", &[(alpha.address.port(), "v1"), (beta.address.port(), "v2")]);
    (alpha, beta, entry)
}

fn destination_rule(spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: web, namespace: shop}}\n\
         spec: {spec}\n"
    )
}

async fn shares(client: &mut H1, host: &str, count: u32) -> BTreeMap<String, u32> {
    let mut seen = BTreeMap::new();
    for _ in 0..count {
        let reply = client.get(host, "/").await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        *seen.entry(reply.backend().to_owned()).or_default() += 1;
    }
    seen
}

#[tokio::test]
async fn subsets_select_endpoints_by_label() {
    let (_alpha, _beta, entry) = two().await;
    let rules = [
        host_rule("one", "{route: [{destination: {host: web, subset: v1}}]}"),
        host_rule("two", "{route: [{destination: {host: web, subset: v2}}]}"),
        host_rule("all", "{route: [{destination: {host: web, subset: any}}]}"),
    ];
    let subsets = destination_rule(
        "{host: web, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}, {name: any}]}",
    );
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules), entry, subsets]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    assert_eq!(shares(&mut client, "one.test", 20).await, BTreeMap::from([("alpha".to_owned(), 20)]));
    assert_eq!(shares(&mut client, "two.test", 20).await, BTreeMap::from([("beta".to_owned(), 20)]));
    assert_eq!(shares(&mut client, "all.test", 60).await.len(), 2);
}

#[tokio::test]
async fn endpoints_share_requests_as_the_balancer_says() {
    for (policy, range) in [("LEAST_REQUEST", 100..300), ("RANDOM", 120..280), ("ROUND_ROBIN", 195..206)] {
        let (_alpha, _beta, entry) = two().await;
        let rule = destination_rule(&format!("{{host: web, trafficPolicy: {{loadBalancer: {{simple: {policy}}}}}}}"));
        let edge = Edge::start(&[GATEWAY.to_owned(), host_rule("a", TO_WEB), entry, rule]).await;
        let mut client = H1::connect(edge.port(8080).await).await.unwrap();
        let seen = shares(&mut client, "a.test", 400).await;
        assert!(seen.values().all(|count| range.contains(count)) && seen.len() == 2, "{policy}: {seen:?}");
    }
}

#[tokio::test]
async fn the_least_busy_endpoint_is_preferred() {
    let (alpha, beta, entry) = two().await;
    let edge = Edge::start(&[GATEWAY.to_owned(), host_rule("a", TO_WEB), entry]).await;
    let address = edge.port(8080).await;
    // Until one of them is busy with a few requests that do not end.
    let mut busy = Vec::new();
    for _ in 0..8 {
        let mut client = H1::connect(address).await.unwrap();
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\nx-do: stream 500\r\n\r\n").await.unwrap();
        client.head().await.unwrap();
        busy.push(client);
    }
    let held = (alpha.hits(), beta.hits());
    assert_eq!(held.0 + held.1, 8);
    assert!(held.0.abs_diff(held.1) <= 4, "one endpoint got nearly all long requests: {held:?}");
}

#[tokio::test]
async fn kubernetes_services_lead_to_the_endpoints_of_their_slices() {
    let alpha = Backend::start("alpha").await;
    let port = alpha.address.port();
    let service = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: shop}}\nspec:\n  selector: {{app: web}}\n  ports:\n  \
         - {{name: http, port: 80, targetPort: {port}}}\n  - {{name: http-named, port: 81, targetPort: web}}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: web-1\n  namespace: shop\n  \
         labels: {{kubernetes.io/service-name: web}}\naddressType: IPv4\nports:\n- {{name: http, port: {port}, protocol: TCP}}\n\
         - {{name: http-named, port: {port}, protocol: TCP}}\nendpoints:\n- {{addresses: [127.0.0.1], conditions: {{ready: true}}}}\n\
         - {{addresses: [127.0.0.9], conditions: {{ready: false}}}}\n"
    );
    let rules = [
        host_rule("number", "{route: [{destination: {host: web, port: {number: 80}}}]}"),
        host_rule("named", "{route: [{destination: {host: web.shop.svc.cluster.local, port: {number: 81}}}]}"),
        host_rule("target", &format!("{{route: [{{destination: {{host: web, port: {{number: {port}}}}}}}]}}")),
        host_rule("short", "{route: [{destination: {host: web.shop, port: {number: 80}}}]}"),
    ];
    let mut edge = Edge::start(&[GATEWAY.to_owned(), file(&rules), service.clone()]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for (host, status) in [("number.test", 200), ("named.test", 200), ("target.test", 503), ("short.test", 503)] {
        for _ in 0..5 {
            assert_eq!(client.get(host, "/").await.unwrap().status, status, "{host}");
        }
    }
    // No endpoint is ready any more.
    edge.save("02.yaml", &service.replace("ready: true", "ready: false")).await;
    let reply = client.get("number.test", "/").await.unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (503, "no healthy upstream"));
    edge.save("02.yaml", &service).await;
    assert_eq!(client.get("number.test", "/").await.unwrap().status, 200);
}

#[tokio::test]
async fn names_are_looked_up() {
    let alpha = Backend::start("alpha").await;
    let entry = format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: web, namespace: shop}}\nspec:\n  \
         hosts: [api.example.test]\n  resolution: DNS\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n  \
         endpoints: [{{address: localhost, ports: {{http: {}}}}}]\n",
        alpha.address.port()
    );
    let rule = "  - route: [{destination: {host: api.example.test}}]\n";
    let edge = Edge::start(&[GATEWAY.to_owned(), virtual_service("web", rule), entry]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let reply = sluice_tests::until("the name's address", async || {
        client.get("shop.test", "/").await.ok().filter(|reply| reply.status == 200)
    })
    .await;
    assert_eq!(reply.backend(), "alpha");
}
