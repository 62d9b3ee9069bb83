//! Failures injected on purpose.

use std::time::{Duration, Instant};

use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::{AccessLog, Backend, Edge, H1};

const TO_ALPHA: &str = "route: [{destination: {host: alpha}}]";

#[tokio::test]
async fn aborts_and_delays_are_told_and_logged() {
    let log = AccessLog::new();
    let alpha = Backend::start("alpha").await;
    let rule = |name: &str, fault: &str| {
        let headers = "headers: {response: {set: {x-flags: '%RESPONSE_FLAGS%'}}}";
        host_rule(name, &format!("{{fault: {fault}, {headers}, {TO_ALPHA}}}"))
    };
    let rules = [
        rule("abort", "{abort: {httpStatus: 418, percentage: {value: 100}}}"),
        rule("grpc", "{abort: {grpcStatus: UNAVAILABLE, percentage: {value: 100}}}"),
        rule("delay", "{delay: {fixedDelay: 120ms, percentage: {value: 100}}}"),
        rule(
            "both",
            "{delay: {fixedDelay: 120ms, percentage: {value: 100}}, abort: {httpStatus: 503, percentage: {value: 100}}}",
        ),
        rule("never", "{delay: {fixedDelay: 5s}, abort: {httpStatus: 503}}"),
        rule(
            "zero",
            "{delay: {fixedDelay: 5s, percentage: {value: 0}}, abort: {httpStatus: 503, percentage: {value: 0}}}",
        ),
    ];
    let edge = Edge::start(&[
        GATEWAY.to_owned(),
        file(&rules),
        alpha.service_entry(),
        log.mesh_config("accessLogFormat: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%'"),
    ])
    .await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let rows = [
        ("abort.test", 418, "fault filter abort", false, "FI"),
        ("grpc.test", 200, "fault filter abort", false, "FI"),
        ("delay.test", 200, "", true, "DI"),
        ("both.test", 503, "fault filter abort", true, "DI,FI"),
        ("never.test", 200, "", false, "-"),
        ("zero.test", 200, "", false, "-"),
    ];
    for (host, status, body, late, flags) in rows {
        let started = Instant::now();
        let reply = client.get(host, "/").await.unwrap();
        assert_eq!(reply.status, status, "{host}");
        assert_eq!(reply.backend(), if body.is_empty() { "alpha" } else { "" }, "{host}");
        assert!(body.is_empty() || reply.text() == body, "{host}: {}", reply.text());
        assert_eq!(started.elapsed() >= Duration::from_millis(120), late, "{host}: {:?}", started.elapsed());
        assert_eq!(reply.header("x-flags"), Some(flags), "{host}");
    }
    assert_eq!(alpha.hits(), 3);
    assert_eq!(
        log.lines(rows.len()).await,
        [
            "418 FI fault_filter_abort",
            "200 FI fault_filter_abort",
            "200 DI via_upstream",
            "503 DI,FI fault_filter_abort",
            "200 - via_upstream",
            "200 - via_upstream"
        ]
    );
    let mut h2 = H2::connect(edge.port(8080).await).await.unwrap();
    for (host, status) in [("grpc.test", "14"), ("both.test", "14")] {
        let reply = h2.request("POST", host, "/", &[("content-type", "application/grpc")], Some("")).await.unwrap();
        assert_eq!((reply.status, reply.header("grpc-status")), (200, Some(status)), "{host}");
        assert_eq!(reply.header("grpc-message"), Some("fault filter abort"), "{host}");
    }
}

#[tokio::test]
async fn a_share_of_requests_fails() {
    let alpha = Backend::start("alpha").await;
    let rule = format!("{{fault: {{abort: {{httpStatus: 500, percentage: {{value: 25}}}}}}, {TO_ALPHA}}}");
    let edge = Edge::start(&[GATEWAY.to_owned(), host_rule("a", &rule), alpha.service_entry()]).await;
    let mut client = H1::connect(edge.port(8080).await).await.unwrap();
    let mut failed = 0;
    for _ in 0..600 {
        failed += usize::from(client.get("a.test", "/").await.unwrap().status == 500);
    }
    // Six standard deviations around 150.
    assert!((86..215).contains(&failed), "{failed}");
}

#[tokio::test]
async fn a_client_that_does_not_wait_for_the_delay_reaches_nobody() {
    let alpha = Backend::start("alpha").await;
    let rules = [
        host_rule(
            "late",
            &format!("{{fault: {{delay: {{fixedDelay: 200ms, percentage: {{value: 100}}}}}}, {TO_ALPHA}}}"),
        ),
        host_rule("a", &format!("{{{TO_ALPHA}}}")),
    ];
    let edge = Edge::start(&[GATEWAY.to_owned(), file(&rules), alpha.service_entry()]).await;
    let address = edge.port(8080).await;
    let mut h1 = H1::connect(address).await.unwrap();
    h1.send("GET / HTTP/1.1\r\nHost: late.test\r\n\r\n").await.unwrap();
    let mut h2 = H2::connect(address).await.unwrap();
    let (response, _) = h2.start("GET", "late.test", "/", &[], true).await.unwrap();
    assert_eq!(h2.get("a.test", "/").await.unwrap().status, 200);
    drop((h1, response));
    // One that does wait and comes behind them.
    assert_eq!(h2.get("late.test", "/").await.unwrap().status, 200);
    assert_eq!(alpha.hits(), 2, "requests that nobody waits for were sent all the same");
}
