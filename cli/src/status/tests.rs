//! Replicas on loopback that answer as controllers do, and as others do.

use std::collections::HashMap;
use std::net::SocketAddr;

use futures::future::BoxFuture;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::row::State;
use super::*;
use crate::terminal::Paint;

/// Reaches pods at addresses of this machine.
struct Direct(HashMap<String, SocketAddr>);

impl Transport for Direct {
    fn connect<'a>(&'a self, pod: &'a Pod, port: u16) -> BoxFuture<'a, anyhow::Result<crate::kubernetes::Connection>> {
        Box::pin(async move {
            assert_eq!(port, DEBUG_PORT);
            let address = self.0.get(&pod.name).context("no such pod")?;
            Ok(Box::pin(TcpStream::connect(address).await?) as crate::kubernetes::Connection)
        })
    }
}

/// Answers one question with this body.
async fn replica(body: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 1024];
        let read = stream.read(&mut asked).await.unwrap();
        assert!(String::from_utf8_lossy(&asked[..read]).starts_with("GET /debug/syncz HTTP/1.1\r\n"));
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    address
}

fn connected(pod: &str, since: u64, acked: u64, in_sync: bool) -> serde_json::Value {
    json!({
        "namespace": "edge", "pod": pod, "serviceAccount": "edge", "version": "0.1.0", "address": "10.0.0.1:1",
        "controller": "controller-0", "connectedSince": since, "inSync": in_sync, "sent": 3, "acked": acked,
        "latest": 3, "resources": 7,
        "refused": [["route group shop/web", "the regular expression is too large"]],
        "lastNack": {"at": since + 1, "resource": "route group shop/web", "reason": "too large"},
    })
}

fn pod(name: &str) -> Pod {
    Pod { namespace: "istio-system".to_owned(), name: name.to_owned() }
}

#[tokio::test]
async fn replicas_know_together_what_none_knows_alone() {
    let first = replica(json!([connected("a", 100, 3, true), connected("b", 100, 3, true)]).to_string()).await;
    let second = replica(json!([connected("b", 200, 0, false)]).to_string()).await;
    let foreign = replica("[{\"cluster_id\": \"Kubernetes\"}]".to_owned()).await;
    let transport = Direct(HashMap::from([
        ("controller-0".to_owned(), first),
        ("controller-1".to_owned(), second),
        ("istiod".to_owned(), foreign),
    ]));
    let pods = ["controller-0", "controller-1", "istiod", "gone"].map(pod);
    let asked = ask(&transport, &pods).await;
    let silent: Vec<&str> = asked.silent.iter().map(|(pod, _)| pod.name.as_str()).collect();
    assert_eq!(silent, ["istiod", "gone"]);
    assert!(asked.silent[0].1.contains("not that of a controller of Sluice"), "{:?}", asked.silent);

    let gateways = ["a", "c"].map(|name| Pod { namespace: "edge".to_owned(), name: name.to_owned() });
    let rows = rows(asked.connected, gateways.to_vec());
    let states: Vec<(&str, State)> = rows.iter().map(|row| (row.pod.as_str(), row.state)).collect();
    // The younger connection of b counts, and c is known to nobody.
    assert_eq!(states, [("a", State::InSync), ("b", State::NeverAnswered), ("c", State::NotConnected)]);

    let mut table = Table::new(&["NAME", "VERSION", "CONNECTED", "CONTROLLER", "STATE", "RESOURCES", "LAST REFUSED"]);
    for row in &rows {
        table.row(row.cells(1_000));
    }
    let text = table.render(Paint::new(false));
    assert!(text.contains("a.edge   0.1.0     15m         controller-0   in sync, refuses 1"), "{text}");
    assert!(text.contains("14m route group shop/web: too large") && text.contains("not connected"), "{text}");
    let json = serde_json::to_value(&rows).unwrap();
    assert_eq!((&json[0]["state"], &json[0]["connectedSince"]), (&"InSync".into(), &100.into()));
    assert_eq!(json[0]["refused"][0]["resource"], "route group shop/web");
}
