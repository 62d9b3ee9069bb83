//! Counters and durations, with Istio's names and labels.

use std::collections::BTreeMap;

use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::pki::Pki;
use sluice_tests::{Backend, Edge, H1};

/// Samples of a metric: labels → value.
fn samples(text: &str, name: &str) -> Vec<(BTreeMap<String, String>, f64)> {
    let mut found = Vec::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix(name).and_then(|rest| rest.strip_prefix('{')) else { continue };
        let (labels, value) = rest.rsplit_once("} ").unwrap();
        let labels = labels.trim_end_matches('"').split("\",").map(|label| {
            let (key, value) = label.split_once("=\"").unwrap();
            (key.to_owned(), value.trim_end_matches('"').to_owned())
        });
        found.push((labels.collect(), value.parse().unwrap()));
    }
    found
}

/// The sum of the samples that have these labels.
fn sum(text: &str, name: &str, wanted: &[(&str, &str)]) -> f64 {
    let has = |labels: &BTreeMap<String, String>| {
        wanted.iter().all(|(key, value)| labels.get(*key).map(String::as_str) == Some(value))
    };
    samples(text, name).iter().filter(|(labels, _)| has(labels)).map(|(_, value)| value).sum()
}

#[tokio::test]
async fn requests_are_counted_by_where_they_went_and_how_they_ended() {
    let alpha = Backend::start("alpha").await;
    let rules = file(&[
        host_rule("a", "{route: [{destination: {host: alpha}}]}"),
        host_rule("gone", "{route: [{destination: {host: missing}}]}"),
        host_rule("direct", "{directResponse: {status: 418}}"),
    ]);
    let edge = Edge::start(&[GATEWAY.to_owned(), rules, alpha.service_entry()]).await;
    let address = edge.port(8080).await;
    let mut h1 = H1::connect(address).await.unwrap();
    let mut h2 = H2::connect(address).await.unwrap();
    for _ in 0..3 {
        assert_eq!(h1.get("a.test", "/").await.unwrap().status, 200);
    }
    assert_eq!(h2.request("GET", "a.test", "/", &[("x-do", "status 503")], None).await.unwrap().status, 503);
    let grpc = [("content-type", "application/grpc"), ("x-do", "header grpc-status=5")];
    assert_eq!(h2.request("POST", "a.test", "/", &grpc, Some("")).await.unwrap().status, 200);
    for (host, status) in [("nobody.test", 404), ("gone.test", 503), ("direct.test", 418)] {
        assert_eq!(h1.get(host, "/").await.unwrap().status, status);
    }
    h1.send("NONSENSE\r\n\r\n").await.unwrap();
    assert_eq!(h1.reply(false).await.unwrap().status, 400);

    // The last request is counted when it is over, which the client learns first.
    let text = sluice_tests::until("nine requests in the metrics", async || {
        let text = edge.metrics().await;
        (sum(&text, "istio_requests_total", &[]) >= 9.0).then_some(text)
    })
    .await;
    let to_alpha = ("destination_service", "alpha.shop.svc.cluster.local");
    for (wanted, expected) in [
        (&[to_alpha, ("response_code", "200"), ("request_protocol", "http"), ("response_flags", "-")][..], 3.0),
        (&[to_alpha, ("response_code", "503"), ("response_flags", "-")], 1.0),
        (&[to_alpha, ("request_protocol", "grpc"), ("grpc_response_status", "5")], 1.0),
        (
            &[
                to_alpha,
                ("destination_service_name", "alpha.shop.svc.cluster.local"),
                ("destination_service_namespace", "shop"),
            ],
            5.0,
        ),
        (&[("response_code", "404"), ("response_flags", "NR"), ("destination_service", "unknown")], 1.0),
        (&[("response_code", "503"), ("response_flags", "NC")], 1.0),
        (&[("response_code", "418"), ("response_flags", "-")], 1.0),
        (&[("response_code", "400"), ("response_flags", "DPE")], 1.0),
        (&[("reporter", "source"), ("source_workload", "istio-ingressgateway")], 9.0),
        (
            &[
                ("source_workload_namespace", "istio-system"),
                ("source_app", "istio-ingressgateway"),
                ("source_canonical_service", "istio-ingressgateway"),
                ("connection_security_policy", "unknown"),
            ],
            9.0,
        ),
    ] {
        assert_eq!(sum(&text, "istio_requests_total", wanted), expected, "{wanted:?}");
        assert_eq!(sum(&text, "istio_request_duration_milliseconds_count", wanted), expected, "{wanted:?}");
    }
    assert!(text.contains("# TYPE istio_requests_total counter"));
    assert!(text.contains("# TYPE istio_request_duration_milliseconds histogram"));
    let below = |bound: &str| sum(&text, "istio_request_duration_milliseconds_bucket", &[("le", bound)]);
    assert_eq!((below("+Inf"), below("3600000")), (9.0, 9.0));
}

#[tokio::test]
async fn durations_are_those_that_clients_waited() {
    let alpha = Backend::start("alpha").await;
    let edge = Edge::start(&[
        GATEWAY.to_owned(),
        host_rule("a", "{route: [{destination: {host: alpha}}]}"),
        alpha.service_entry(),
    ])
    .await;
    let mut h1 = H1::connect(edge.port(8080).await).await.unwrap();
    assert_eq!(h1.request("GET", "a.test", "/", &[("x-do", "sleep 120")], None).await.unwrap().status, 200);
    let text = sluice_tests::until("the request in the metrics", async || {
        let text = edge.metrics().await;
        (sum(&text, "istio_requests_total", &[]) >= 1.0).then_some(text)
    })
    .await;
    let bucket = |bound: &str| sum(&text, "istio_request_duration_milliseconds_bucket", &[("le", bound)]);
    assert_eq!((bucket("100"), bucket("5000")), (0.0, 1.0));
    assert!(sum(&text, "istio_request_duration_milliseconds_sum", &[]) >= 120.0);
}

#[tokio::test]
async fn connections_listeners_and_tables_have_metrics() {
    let pki = Pki::new();
    let gateway = sluice_tests::edge::https_gateway(&[("https", "[a.test]", "credentialName: a")]);
    let mut edge = Edge::start(&[gateway.clone(), pki.issue(&["a.test"]).secret("a")]).await;
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name) && line[name.len()..].starts_with([' ', '{']));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    let address = edge.port(8443).await;
    let before = edge.metrics().await;
    assert_eq!(value(&before, "sluice_downstream_connections"), 0.0);
    assert_eq!(value(&before, "sluice_listener_up"), 1.0);
    let client = H1::connect_tls(address, "a.test", pki.client(&[])).await.unwrap();
    assert_eq!(value(&edge.metrics().await, "sluice_downstream_connections"), 1.0);
    drop(client);
    sluice_tests::until("the connection's end", async || {
        (value(&edge.metrics().await, "sluice_downstream_connections") == 0.0).then_some(())
    })
    .await;
    edge.save("00.yaml", &gateway.replace("[a.test]", "[a.test, b.test]")).await;
    let after = edge.metrics().await;
    assert!(value(&after, "sluice_table_updates_total") > value(&before, "sluice_table_updates_total"));
    edge.delete("00.yaml").await;
    assert_eq!(value(&edge.metrics().await, "sluice_listener_up"), 0.0);
}
