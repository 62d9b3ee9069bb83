//! Endpoints that belong to the proxy or to this machine.

use gateway::Config;
use sluice_tests::edge::{GATEWAY, virtual_service};
use sluice_tests::{Backend, Edge, H1};

/// A ServiceEntry `evil.test` whose port 80 is that port of these endpoints.
fn entry(resolution: &str, endpoints: &str, port: u16) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: evil, namespace: shop}}\nspec:\n  \
         hosts: [evil.test]\n  resolution: {resolution}\n  ports: [{{number: 80, name: http, protocol: HTTP, \
         targetPort: {port}}}]\n  endpoints: {endpoints}\n"
    )
}

fn rule() -> String {
    virtual_service("evil", "  - route: [{destination: {host: evil.test}}]\n")
}

/// What is allowed has nothing to do with this machine.
fn guarded() -> Config {
    Config { allow_endpoints: vec!["192.0.2.0/24".parse().unwrap()], ..Config::default() }
}

#[tokio::test]
async fn nothing_of_this_machine_is_an_endpoint_unless_it_is_allowed() {
    let alpha = Backend::start("alpha").await;
    let port = alpha.address.port();
    let documents =
        |resolution, endpoints| [GATEWAY.to_owned(), rule(), entry(resolution, endpoints, alpha.address.port())];
    let mut edge = Edge::start_with(&documents("STATIC", "[{address: 127.0.0.1}]"), guarded()).await;
    let told = edge.first.rejected.iter().find(|(_, why)| why.contains("gets no requests"));
    assert!(told.is_some_and(|(_, why)| why.contains("--allow-endpoints")), "{:?}", edge.first.rejected);
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for (resolution, endpoints) in [
        ("STATIC", "[{address: 127.0.0.1}]"),
        ("STATIC", "[{address: 127.0.0.9}]"),
        ("STATIC", "[{address: 0.0.0.0}]"),
        ("STATIC", "[{address: '::1'}]"),
        ("STATIC", "[{address: '::ffff:127.0.0.1'}]"),
        ("STATIC", "[{address: 169.254.169.254}]"),
        ("STATIC", "[{address: 'unix:///run/x.sock'}]"),
        ("STATIC", "[{address: 'unix://@x'}]"),
    ] {
        edge.write("02.yaml", &entry(resolution, endpoints, port));
        let _ = tokio::time::timeout(std::time::Duration::from_millis(300), edge.changed()).await;
        let reply = client.get("shop.test", "/").await.unwrap();
        assert_eq!((reply.status, reply.text().as_str()), (503, "no healthy upstream"), "{endpoints}");
    }
    assert!(edge.metrics().await.contains("sluice_endpoints_refused_total{reason=\"loopback\"}"));
    drop(edge);
    let edge = Edge::start(&documents("STATIC", "[{address: 127.0.0.1}]")).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    assert_eq!(client.get("shop.test", "/").await.unwrap().status, 200);
}

#[tokio::test]
async fn names_are_judged_by_what_they_resolve_to() {
    let alpha = Backend::start("alpha").await;
    let documents = [GATEWAY.to_owned(), rule(), entry("DNS", "[{address: localhost}]", alpha.address.port())];
    let edge = Edge::start_with(&documents, guarded()).await;
    sluice_tests::until("localhost to be resolved and refused", async || {
        edge.metrics().await.contains("sluice_endpoints_refused_total{reason=\"loopback\"}").then_some(())
    })
    .await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    assert_eq!(client.get("shop.test", "/").await.unwrap().status, 503);
}

#[tokio::test]
async fn the_gateways_own_ports_are_never_endpoints() {
    let mut edge = Edge::start(&[GATEWAY.to_owned(), rule(), entry("STATIC", "[{address: 127.0.0.1}]", 1)]).await;
    let addresses = edge.gateway.addresses().clone();
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for own in [addresses.admin, addresses.metrics, addresses.ready] {
        edge.save("02.yaml", &entry("STATIC", "[{address: 127.0.0.1}]", own.unwrap().port())).await;
        let reply = client.request("POST", "shop.test", "/drain_listeners", &[], Some("")).await.unwrap();
        assert_eq!(reply.status, 503, "{own:?}");
    }
    let admin = addresses.admin.unwrap();
    let dump = H1::connect(admin).await.unwrap().get("localhost", "/clusters").await.unwrap().text();
    assert!(dump.contains("::refused::a port of the proxy itself"), "{dump}");
}
