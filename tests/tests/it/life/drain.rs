//! The end of a gateway: nothing that runs is lost, nothing new is taken, nobody waits forever.

use std::time::{Duration, Instant};

use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, host_rule};
use sluice_tests::{Backend, Edge, H1, until};

async fn start(config: gateway::Config, drain_timeout: Duration) -> (Backend, Edge) {
    let alpha = Backend::start("alpha").await;
    let limits = ir::Limits { drain_timeout, ..ir::Limits::default() };
    let documents =
        [GATEWAY.to_owned(), host_rule("a", "{route: [{destination: {host: alpha}}]}"), alpha.service_entry()];
    let edge = Edge::start_limited(&documents, config, Some(limits)).await;
    (alpha, edge)
}

#[tokio::test]
async fn what_runs_finishes_and_connections_end() {
    let (alpha, edge) = start(gateway::Config::default(), Duration::from_secs(10)).await;
    let address = edge.port(8080).await;
    let mut idle = H1::connect(address).await.unwrap();
    assert_eq!(idle.get("a.test", "/").await.unwrap().status, 200);
    let mut silent = H1::connect(address).await.unwrap();
    let mut h1 = H1::connect(address).await.unwrap();
    h1.send("GET / HTTP/1.1\r\nHost: a.test\r\nx-do: sleep 400\r\n\r\n").await.unwrap();
    let mut begun = H1::connect(address).await.unwrap();
    begun.send("GET / HTTP/1.1\r\nHost: a.test\r\nx-do: stream 20\r\n\r\n").await.unwrap();
    let head = begun.head().await.unwrap();
    assert_eq!((head.status, head.header("connection")), (200, None));
    let mut h2 = H2::connect(address).await.unwrap();
    let (response, mut upload) = h2.start("POST", "a.test", "/", &[("x-do", "sleep 300")], false).await.unwrap();
    until("the requests upstream", async || (alpha.hits() >= 4).then_some(())).await;
    assert_eq!(edge.readiness().await, 200);

    let gateway = edge.gateway.clone();
    let started = Instant::now();
    let draining = tokio::spawn(async move { gateway.drain().await });
    // Load balancers hear of it while requests still run.
    until("readiness to go", async || (edge.readiness().await == 503).then_some(())).await;
    assert!(started.elapsed() < Duration::from_millis(300), "{:?}", started.elapsed());
    assert!(idle.is_closed().await.unwrap() && silent.is_closed().await.unwrap());
    upload.send_data(bytes::Bytes::from_static(b"late"), true).unwrap();
    let mut answering = H2::head(response).await.unwrap();
    let mut body = Vec::new();
    while let Some(piece) = answering.piece().await.unwrap() {
        body.extend_from_slice(&piece);
    }
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).unwrap()["body"], "late");
    h2.closed().await.unwrap();
    assert!(h2.get("a.test", "/").await.is_err());
    let reply = h1.reply(false).await.unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert!(h1.is_closed().await.unwrap());
    let rest = begun.rest().await.unwrap();
    assert!(rest.contains("piece 19") && rest.ends_with("0\r\n\r\n"), "{rest}");
    assert!(draining.await.unwrap(), "something was cut off");
    assert!(H1::connect(address).await.is_err());
}

#[tokio::test]
async fn what_never_finishes_is_cut_off_at_the_deadline() {
    let (alpha, edge) = start(gateway::Config::default(), Duration::from_millis(150)).await;
    let address = edge.port(8080).await;
    let mut h1 = H1::connect(address).await.unwrap();
    h1.send("GET / HTTP/1.1\r\nHost: a.test\r\nx-do: sleep 60000\r\n\r\n").await.unwrap();
    let mut h2 = H2::connect(address).await.unwrap();
    let (response, _) = h2.start("GET", "a.test", "/", &[("x-do", "sleep 60000")], true).await.unwrap();
    until("the requests upstream", async || (alpha.hits() == 2).then_some(())).await;
    let started = Instant::now();
    assert!(!edge.gateway.drain().await, "a request that runs for a minute is said to have finished");
    let took = started.elapsed();
    assert!((Duration::from_millis(150)..Duration::from_secs(4)).contains(&took), "{took:?}");
    assert!(h1.is_closed().await.unwrap());
    assert!(H2::head(response).await.is_err());
}

#[tokio::test]
async fn connections_are_taken_for_a_while_after_readiness_went() {
    let config = gateway::Config { drain_delay: Duration::from_millis(300), ..gateway::Config::default() };
    let (_alpha, edge) = start(config, Duration::from_secs(10)).await;
    let address = edge.port(8080).await;
    let mut kept = H1::connect(address).await.unwrap();
    assert_eq!(kept.get("a.test", "/").await.unwrap().status, 200);
    let gateway = edge.gateway.clone();
    let draining = tokio::spawn(async move { gateway.drain().await });
    until("readiness to go", async || (edge.readiness().await == 503).then_some(())).await;
    // Balancers that have not noticed yet still send clients here.
    let mut late = H1::connect(address).await.unwrap();
    assert_eq!(late.get("a.test", "/").await.unwrap().status, 200);
    assert_eq!(kept.get("a.test", "/").await.unwrap().status, 200);
    assert!(draining.await.unwrap());
    assert!(late.is_closed().await.unwrap() && kept.is_closed().await.unwrap());
}
