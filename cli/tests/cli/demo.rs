//! The demo: works by itself, follows an edit of its weights, loses nothing.

use std::fs;
use std::net::TcpListener;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::process::Running;

/// Two demos that start at once would look for free ports at once.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn the_demo_shifts_its_traffic_with_the_weights_and_loses_no_request() {
    let _alone = alone();
    let here = tempfile::tempdir().unwrap();
    // Whoever holds the port, the demo finds another.
    let holder = TcpListener::bind("127.0.0.1:8443");
    let mut sluice = Running::start(here.path(), &[]);
    if holder.is_ok() {
        sluice.wait_for("port 8443 is in use");
    }
    let line = sluice.wait_for("curl --cacert ");
    let words: Vec<&str> = line.split_whitespace().collect();
    let root = here.path().join(words[words.iter().position(|word| *word == "--cacert").unwrap() + 1]);
    assert!(fs::read_to_string(&root).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(line.contains("https://shop.localhost:"), "{line}");
    let weights = here.path().join("sluice-demo/virtual-service.yaml");
    let text = fs::read_to_string(&weights).unwrap();
    let shifted = text.replace("weight: 90", "weight: 0").replace("weight: 10", "weight: 100");
    assert_ne!(text, shifted);
    let reading = sluice.wait_for("req/s");
    assert!(reading.contains("0 failures"), "{reading}");

    fs::write(&weights, shifted).unwrap();
    let line = sluice.wait_for("changed VirtualService default/shop");
    assert!(line.contains("canary: v1 90 → 0, v2 10 → 100"), "{line}");
    // One reading may be on its way already.
    sluice.wait_for("req/s");
    let reading = sluice.wait_for("req/s");
    assert!(reading.contains("v2 100 %") && reading.contains("0 failures"), "{reading}");

    sluice.signal("INT");
    let total = sluice.wait_for(" requests, ");
    assert!(total.ends_with(" requests, 0 failures"), "{total}");
    sluice.wait_for("drained");
    assert_eq!(sluice.end().code(), Some(0));
    assert!(!root.exists(), "the root of a demo that is over");
    assert!(weights.exists());
}

#[test]
fn the_traffic_can_be_left_out() {
    let _alone = alone();
    let here = tempfile::tempdir().unwrap();
    let mut sluice = Running::start(here.path(), &["--no-traffic"]);
    sluice.wait_for("Ctrl-C");
    sluice.signal("INT");
    sluice.wait_for("drained");
    assert!(!sluice.seen().contains("req/s"), "{}", sluice.seen());
}
