//! Whatever goes away comes back, and costs nothing that is known.

use std::time::Duration;

use sluice_tests::kube::{ControlPlane, Setup};

use super::bench::{Bench, Wire};

fn service(name: &str, port: u16) -> String {
    format!("{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{ports: [{{port: {port}}}]}}}}\n")
}

/// A watch that was away for longer than the API server remembers.
#[tokio::test(flavor = "multi_thread")]
async fn what_happened_while_history_was_lost_is_told_as_differences() {
    // Without its cache the API server remembers what etcd does, and that is compacted every second.
    let api_server = vec!["--watch-cache=false".to_owned(), "--etcd-compaction-interval=1s".to_owned()];
    let plane = ControlPlane::start_with(Setup { api_server, ..Setup::default() }).await;
    let space = plane.namespace().await;
    space.apply(&[service("stays", 80), service("changes", 80), service("goes", 80)].join("---\n")).await;
    let wire = Wire::to(&plane).await;
    let mut bench = Bench::start(wire.client(&plane, "admin").await, &space).await;
    let key = |name: &str| format!("Service {}/{name}", &*space);
    let stays = bench.version(&key("stays")).to_owned();
    let changes = bench.version(&key("changes")).to_owned();
    // A version that is much older than what is lost soon.
    wire.cut();
    space.apply(&[service("changes", 81), service("comes", 80)].join("---\n")).await;
    plane.kubectl(&["delete", "service", "goes", "-n", &space]).await;
    for port in 81..86 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        space.apply(&service("changes", port)).await;
    }
    bench.during(Duration::from_millis(100)).await;
    assert!(bench.has(&key("goes")) && !bench.has(&key("comes")), "{:#?}", bench.objects);
    wire.mend();
    bench
        .until("the differences are told", |bench| {
            bench.has(&key("comes")) && !bench.has(&key("goes")) && bench.version(&key("changes")) != changes
        })
        .await;
    assert!(bench.errors("Service", "gone") > 0, "nothing was lost: the test tests nothing");
    assert!(bench.errors("Service", "unreachable") > 0);
    assert_eq!(bench.version(&key("stays")), stays);
    bench.during(Duration::from_millis(500)).await;
    let deleted: Vec<_> = bench.deleted.iter().filter(|key| key.starts_with("Service ")).collect();
    assert_eq!(deleted, [&key("goes")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_api_server_dies_or_etcd_stands_still() {
    let plane = ControlPlane::start().await;
    let space = plane.namespace().await;
    let crds = sluice_tests::kube::mesh::project().join("charts/base/files/crds");
    plane.apply_files(&crds).await;
    let gateway = |name: &str| {
        format!(
            "{{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {{name: {name}}}, spec: {{servers: \
             [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ['*']}}]}}}}\n"
        )
    };
    space.apply(&[gateway("first"), service("first", 80)].join("---\n")).await;
    let mut bench = Bench::start(plane.admin(), &space).await;
    let both = |bench: &Bench, name: &str| {
        ["Gateway", "Service"].iter().all(|kind| bench.has(&format!("{kind} {}/{name}", &*space)))
    };
    assert!(both(&bench, "first"));

    // Killed, and back with the same data: its kinds that come from definitions are not all there at once.
    plane.api_server().kill();
    bench.during(Duration::from_secs(2)).await;
    assert!(bench.errors("Service", "unreachable") > 0);
    plane.api_server().restart().await;
    space.apply(&[gateway("second"), service("second", 80)].join("---\n")).await;
    bench.until("new objects arrive after a restart", |bench| both(bench, "second")).await;

    // Everything stands still: connections are open, and nobody answers.
    plane.etcd().pause();
    bench.during(Duration::from_secs(4)).await;
    plane.etcd().resume();
    space.apply(&[gateway("third"), service("third", 80)].join("---\n")).await;
    bench.until("new objects arrive after etcd stood still", |bench| both(bench, "third")).await;

    // The API server stands still, and so do our connections to it.
    plane.api_server().pause();
    bench.during(Duration::from_secs(2)).await;
    plane.api_server().resume();
    space.apply(&[gateway("fourth"), service("fourth", 80)].join("---\n")).await;
    bench.until("new objects arrive after the API server stood still", |bench| both(bench, "fourth")).await;

    assert!(both(&bench, "first"));
    // Longer than what is missing counts as there.
    bench.during(Duration::from_secs(6)).await;
    assert!(bench.deleted.is_empty(), "{:?}", bench.deleted);
    plane.kubectl(&["delete", "gateways.networking.istio.io", "first", "-n", &space]).await;
    bench.until("a deletion arrives", |bench| bench.deleted.len() == 1).await;
}
