//! The gateway's own ports.

use std::net::SocketAddr;

use sluice_tests::edge::{GATEWAY, host_rule};
use sluice_tests::wait::until;
use sluice_tests::{Edge, H1};

#[tokio::test]
async fn ready_is_said_with_the_first_table_and_not_before() {
    let free = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let config = gateway::Config { threads: 1, admin: free, metrics: free, ready: free, ..gateway::Config::default() };
    let gateway = gateway::start(config).await.unwrap();
    let mut client = H1::connect(gateway.addresses().ready.unwrap()).await.unwrap();
    assert_eq!(client.get("localhost", "/healthz/ready").await.unwrap().status, 503);
    assert_eq!(client.get("localhost", "/healthz/live").await.unwrap().status, 200);
    // A first table with nothing in it is a table.
    gateway.apply(ir::Delta::default()).await;
    assert_eq!(client.get("localhost", "/healthz/ready").await.unwrap().status, 200);
    assert!(gateway.drain().await);
    assert_eq!(client.get("localhost", "/healthz/ready").await.unwrap().status, 503);
}

#[tokio::test]
async fn a_taken_port_leaves_the_others_in_service_and_is_bound_once_it_is_free() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let two = format!("{GATEWAY}  - {{port: {{number: {port}, name: taken, protocol: HTTP}}, hosts: ['*']}}\n");
    let edge = Edge::start(&[two, host_rule("a", "{directResponse: {status: 299}}")]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    assert_eq!(client.get("a.test", "/").await.unwrap().status, 299);
    assert_eq!(edge.readiness().await, 200);
    assert!(!edge.has_port(port).await);
    drop(taken);
    until("the port is bound", async || edge.has_port(port).await.then_some(())).await;
    let mut client = H1::connect(edge.port(port).await).await.unwrap();
    assert_eq!(client.get("a.test", "/").await.unwrap().status, 299);
}

#[tokio::test]
async fn a_gateway_with_no_port_at_all_is_not_ready() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let edge = Edge::start(&[GATEWAY.replace("8080", &port.to_string())]).await;
    assert_eq!(edge.readiness().await, 503);
}

#[tokio::test]
async fn admin_shows_the_configuration_without_keys() {
    let pki = sluice_tests::pki::Pki::new();
    let issued = pki.issue(&["a.test"]);
    let gateway = sluice_tests::edge::https_gateway(&[("https", "[a.test]", "credentialName: a")]);
    let edge = Edge::start(&[gateway, issued.secret("a"), host_rule("a", "{directResponse: {status: 299}}")]).await;
    let mut client = H1::connect(edge.gateway.addresses().admin.unwrap()).await.unwrap();
    let dump = client.get("localhost", "/config_dump").await.unwrap();
    assert_eq!(dump.status, 200);
    let text = dump.text();
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
    let line = issued.key.lines().nth(1).unwrap();
    assert!(text.contains("a.test") && !text.contains(line), "{text}");
    for path in ["/clusters", "/listeners", "/stats/prometheus", "/healthz/ready", "/"] {
        assert_eq!(client.get("localhost", path).await.unwrap().status, 200, "{path}");
    }
    assert_eq!(client.get("localhost", "/nothing").await.unwrap().status, 404);
    assert_eq!(client.get("localhost", "/drain_listeners").await.unwrap().status, 404);
}

#[tokio::test]
async fn the_admin_port_changes_nothing_and_answers_no_foreign_page() {
    let edge = Edge::start(&[GATEWAY.to_owned(), host_rule("a", "{directResponse: {status: 299}}")]).await;
    let admin = edge.gateway.addresses().admin.unwrap();
    let ask = async |method: &str, host: &str, path: &str, fields: &[(&str, &str)]| {
        let mut client = H1::connect(admin).await.unwrap();
        client.request(method, host, path, fields, None).await.unwrap().status
    };
    assert_eq!(ask("GET", "localhost", "/config_dump", &[]).await, 200);
    assert_eq!(ask("GET", &admin.to_string(), "/config_dump", &[]).await, 200);
    assert_eq!(ask("GET", "evil.test", "/config_dump", &[]).await, 403);
    assert_eq!(ask("GET", "localhost", "/config_dump", &[("Origin", "http://evil.test")]).await, 403);
    for path in ["/drain_listeners", "/logging?level=trace", "/quitquitquit", "/config_dump"] {
        assert_eq!(ask("POST", "localhost", path, &[]).await, 403, "{path}");
    }
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    assert_eq!(client.get("a.test", "/").await.unwrap().status, 299);
}

#[tokio::test]
async fn probes_are_answered_however_many_connections_stand_open() {
    let limits = gateway::limits::GatewayLimits { admin_connections: 4, ..Default::default() };
    let edge = Edge::start_with(&[GATEWAY.to_owned()], gateway::Config { limits, ..Default::default() }).await;
    let ready = edge.gateway.addresses().ready.unwrap();
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(H1::connect(ready).await.unwrap());
    }
    assert_eq!(edge.readiness().await, 200);
    for client in &mut silent[..16] {
        assert!(client.is_closed().await.unwrap());
    }
}
