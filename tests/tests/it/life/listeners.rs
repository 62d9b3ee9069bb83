//! Ports open and close with the Gateways that ask for them.

use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::{Backend, Edge, H1};

fn gateway(name: &str, port: u16) -> String {
    GATEWAY.replace("name: gate,", &format!("name: {name},")).replace("8080", &port.to_string())
}

#[tokio::test]
async fn listeners_come_and_go_at_run_time() {
    let alpha = Backend::start("alpha").await;
    let rule =
        host_rule("a", "{route: [{destination: {host: alpha}}]}").replace("[edge/gate]", "[edge/gate, edge/more]");
    let mut edge = Edge::start(&[gateway("gate", 8080), rule, alpha.service_entry()]).await;
    let first = edge.port(8080).await;
    let mut kept = H1::connect(first).await.unwrap();
    assert_eq!(kept.get("a.test", "/").await.unwrap().status, 200);
    assert!(!edge.has_port(8081).await);

    edge.save("more.yaml", &gateway("more", 8081)).await;
    let second = edge.port(8081).await;
    let mut idle = H1::connect(second).await.unwrap();
    assert_eq!(idle.get("a.test", "/").await.unwrap().status, 200);
    let mut streams = H2::connect(second).await.unwrap();
    assert_eq!(streams.get("a.test", "/").await.unwrap().status, 200);
    let (under_way, _) = streams.start("GET", "a.test", "/", &[("x-do", "sleep 200")], true).await.unwrap();
    let mut busy = H1::connect(second).await.unwrap();
    busy.send("GET / HTTP/1.1\r\nHost: a.test\r\nx-do: sleep 200\r\n\r\n").await.unwrap();
    while alpha.hits() < 5 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }

    edge.delete("more.yaml").await;
    assert!(!edge.has_port(8081).await);
    // What is idle there is closed, what runs finishes, and nobody new gets in.
    assert!(idle.is_closed().await.unwrap());
    assert_eq!(H2::head(under_way).await.unwrap().reply.status, 200);
    streams.closed().await.unwrap();
    let reply = busy.reply(false).await.unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert!(busy.is_closed().await.unwrap());
    sluice_tests::until("a refused connection", async || H1::connect(second).await.err()).await;
    assert_eq!(kept.get("a.test", "/").await.unwrap().status, 200);
    assert_eq!(edge.port(8080).await, first);
}

#[tokio::test]
async fn gateways_of_one_port_share_a_listener() {
    let hosts = |name: &str, host: &str| gateway(name, 8080).replace("'*'", host);
    let rules = file(&[
        host_rule("a", "{directResponse: {status: 201}}"),
        host_rule("b", "{directResponse: {status: 202}}").replace("edge/gate", "edge/more"),
    ]);
    let mut edge = Edge::start(&[hosts("gate", "a.test"), hosts("more", "b.test"), rules]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    for (host, status) in [("a.test", 201), ("b.test", 202)] {
        assert_eq!(client.get(host, "/").await.unwrap().status, status);
    }
    // The same connection sees the hosts change.
    edge.delete("01.yaml").await;
    for (host, status) in [("a.test", 201), ("b.test", 404)] {
        assert_eq!(client.get(host, "/").await.unwrap().status, status);
    }
    edge.save("01.yaml", &hosts("more", "b.test")).await;
    assert_eq!(client.get("b.test", "/").await.unwrap().status, 202);
}

#[tokio::test]
async fn gateways_of_other_proxies_open_nothing() {
    let other = gateway("other", 8081).replace("ingressgateway", "somebody-else");
    let edge = Edge::start(&[gateway("gate", 8080), other]).await;
    assert!(edge.has_port(8080).await && !edge.has_port(8081).await);
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    assert_eq!(client.get("a.test", "/").await.unwrap().status, 404);
}

#[tokio::test]
async fn plaintext_and_tls_can_share_a_port() {
    let pki = sluice_tests::pki::Pki::new();
    let both = format!(
        "{}---\n{}",
        sluice_tests::edge::https_gateway(&[("https", "[a.test]", "credentialName: a")])
            .replace("name: gate,", "name: first, creationTimestamp: '2024-01-01T00:00:00Z',"),
        gateway("gate", 8443).replace("namespace: edge", "namespace: edge, creationTimestamp: '2025-01-01T00:00:00Z'")
    );
    let rule = host_rule("a", "{directResponse: {status: 299}}").replace("[edge/gate]", "[edge/gate, edge/first]");
    let edge = Edge::start(&[both, pki.issue(&["a.test"]).secret("a"), rule]).await;
    let address = edge.port(8443).await;
    let mut secure = H1::connect_tls(address, "a.test", pki.client(&[])).await.unwrap();
    assert_eq!(secure.get("a.test", "/").await.unwrap().status, 299);
    let mut plain = H1::connect(address).await.unwrap();
    assert_eq!(plain.get("a.test", "/").await.unwrap().status, 299);
    let mut h2 = H2::connect(address).await.unwrap();
    assert_eq!(h2.get("a.test", "/").await.unwrap().status, 299);
}

#[tokio::test]
async fn a_port_that_comes_back_at_once_is_bound_at_once() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let edge = Edge::start(&[]).await;
    let listener = ir::codec::encode(&ir::Resource::Listener(ir::Listener {
        name: format!("0.0.0.0_{port}").into(),
        bind: ir::Bind::Port(port),
        created: 0,
        plaintext: Some(ir::Chain::Http { table: "none".into() }),
        tls: Vec::new(),
    }));
    // Without a file in between, its sockets are still being closed when it is wanted again.
    for round in 0..50 {
        let added = ir::Delta { changed: vec![listener.clone()], removed: Vec::new() };
        let events = edge.gateway.apply(added).await.listeners;
        assert!(matches!(events[..], [gateway::ListenerEvent::Opened { .. }]), "{round}: {events:?}");
        let removed = ir::Delta { changed: Vec::new(), removed: vec![listener.key.clone()] };
        edge.gateway.apply(removed).await;
    }
}

#[tokio::test]
async fn listeners_beyond_the_limit_are_told_and_the_oldest_gateways_come_first() {
    let gateway = |name: &str, year: u32, ports: &[u16]| {
        let mut text = format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}, namespace: edge, \
             creationTimestamp: '{year}-01-01T00:00:00Z'}}\nspec:\n  selector: {{istio: ingressgateway}}\n  servers:\n"
        );
        for port in ports {
            text.push_str(&format!("  - {{port: {{number: {port}, name: p{port}, protocol: HTTP}}, hosts: ['*']}}\n"));
        }
        text
    };
    let limits = gateway::limits::GatewayLimits { listeners: 3, ..Default::default() };
    let config = gateway::Config { limits, ..Default::default() };
    let young: Vec<u16> = vec![8080, 8081, 443];
    let documents = [gateway("young", 2026, &young), gateway("old", 2020, &[8443, 80])];
    let mut edge = Edge::start_with(&documents, config).await;
    assert!(edge.has_port(8443).await && edge.has_port(80).await);
    assert_eq!(edge.gateway.listeners().await.len(), 3);
    assert_eq!(edge.readiness().await, 200);
    // A place that becomes free is taken.
    edge.save("01.yaml", &gateway("old", 2020, &[8443])).await;
    sluice_tests::until("the place to be taken", async || {
        (edge.gateway.listeners().await.len() == 3 && !edge.has_port(80).await).then_some(())
    })
    .await;
}
