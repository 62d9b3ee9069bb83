//! Every reply the proxy makes for lack of a destination or for the upstream's fault: status, body, response flag,
//! details, gRPC form, and a connection that goes on.

use sluice_tests::backend::service_entry;
use sluice_tests::client::H2;
use sluice_tests::edge::{GATEWAY, file, host_rule};
use sluice_tests::raw::Refusing;
use sluice_tests::{AccessLog, Edge, H1, Raw};

const RESET: &str = "upstream connect error or disconnect/reset before headers. ";

struct Row {
    host: &'static str,
    destination: &'static str,
    status: u16,
    body: String,
    log: &'static str,
    grpc: &'static str,
}

fn row(
    host: &'static str,
    destination: &'static str,
    status: u16,
    body: &str,
    log: &'static str,
    grpc: &'static str,
) -> Row {
    Row { host, destination, status, body: body.to_owned(), log, grpc }
}

#[tokio::test]
async fn failures_look_like_istios() {
    let log = AccessLog::new();
    let refusing = Refusing::new();
    let closing = Raw::answering("").await;
    let garbage = Raw::answering("SSH-2.0-OpenSSH_9.9\r\n\r\n").await;
    let lengths = Raw::answering("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab").await;
    let rows = [
        row("nobody", "", 404, "", "404 NR route_not_found", "12"),
        row("unknown", "{host: unknown}", 503, "", "503 NC cluster_not_found", "14"),
        row("port", "{host: down, port: {number: 81}}", 503, "", "503 NC cluster_not_found", "14"),
        row("subset", "{host: down, subset: v9}", 503, "", "503 NC cluster_not_found", "14"),
        row("empty", "{host: empty}", 503, "no healthy upstream", "503 UH no_healthy_upstream", "14"),
        row("hollow", "{host: down, subset: v1}", 503, "no healthy upstream", "503 UH no_healthy_upstream", "14"),
        row(
            "down",
            "{host: down}",
            503,
            &format!("{RESET}retried and the latest reset reason: remote connection failure"),
            "503 URX,UF upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_\
             Connection_refused}",
            "14",
        ),
        row(
            "closing",
            "{host: closing}",
            503,
            &format!("{RESET}reset reason: connection termination"),
            "503 UC upstream_reset_before_response_started{connection_termination}",
            "14",
        ),
        row(
            "garbage",
            "{host: garbage}",
            502,
            &format!("{RESET}reset reason: protocol error"),
            "502 UPE upstream_reset_before_response_started{protocol_error}",
            "14",
        ),
        row(
            "lengths",
            "{host: lengths}",
            502,
            &format!("{RESET}reset reason: protocol error"),
            "502 UPE upstream_reset_before_response_started{protocol_error}",
            "14",
        ),
    ];
    let rules: Vec<String> = rows
        .iter()
        .filter(|row| !row.destination.is_empty())
        .map(|row| host_rule(row.host, &format!("{{route: [{{destination: {}}}]}}", row.destination)))
        .collect();
    let subsets = "\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: down, namespace: shop}
spec:
  host: down
  subsets: [{name: v1, labels: {version: v1}}]
";
    let edge = Edge::start(&[
        GATEWAY.to_owned(),
        file(&rules),
        service_entry("down", &[(refusing.port, "")]),
        service_entry("empty", &[]).replace("endpoints:", "endpoints: []"),
        closing.service_entry("closing"),
        garbage.service_entry("garbage"),
        lengths.service_entry("lengths"),
        subsets.to_owned(),
        log.mesh_config("accessLogFormat: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%'"),
    ])
    .await;
    let address = edge.port(8080).await;
    let mut h1 = H1::connect(address).await.unwrap();
    let mut h2 = H2::connect(address).await.unwrap();
    let mut wrong = Vec::new();
    for row in &rows {
        let host = format!("{}.test", row.host);
        let expected = (row.status, row.body.clone());
        for (protocol, reply) in [("h1", h1.get(&host, "/").await.unwrap()), ("h2", h2.get(&host, "/").await.unwrap())]
        {
            let kind = (!row.body.is_empty()).then_some("text/plain");
            let got = (reply.status, reply.text());
            if got != expected || reply.header("content-type") != kind || reply.header("server") != Some("sluice") {
                wrong.push(format!("{} over {protocol}: {expected:?}, not {got:?} {:?}", row.host, reply.headers));
            }
        }
        let grpc = [("content-type", "application/grpc")];
        let reply = h2.request("POST", &host, "/", &grpc, Some("")).await.unwrap();
        let got = (reply.status, reply.header("grpc-status"));
        if got != (200, Some(row.grpc)) {
            wrong.push(format!("{} for gRPC: {}, not {got:?}", row.host, row.grpc));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let lines = log.lines(3 * rows.len()).await;
    for row in &rows {
        let count = lines.iter().filter(|line| *line == row.log).count();
        let expected = 2 * rows.iter().filter(|other| other.log == row.log).count();
        assert!(count >= expected, "{}: {:?} in {lines:#?}", row.host, row.log);
    }
}
