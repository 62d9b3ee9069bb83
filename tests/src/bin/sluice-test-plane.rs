//! A Kubernetes control plane with a mesh in it, for tests that are not written in Rust.
//!
//! `sluice-test-plane NAMESPACE` starts one, installs the kinds' definitions and the charts' rights for a controller and
//! its gateways in that namespace, prints a line of JSON that says how to reach it, and lives until its input ends.

use anyhow::{Context as _, bail};
use serde_json::json;
use sluice_tests::kube::mesh::Mesh;
use sluice_tests::kube::{ControlPlane, Setup};

/// Recorded cases use ports below.
const PORTS: std::ops::Range<u16> = 26_000..32_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [namespace] = &arguments[..] else { bail!("usage: sluice-test-plane NAMESPACE") };
    let plane = ControlPlane::start_with(Setup { ports: Some(PORTS), ..Setup::default() }).await;
    plane.namespace_named(namespace).await;
    let mesh = Mesh::install_in(&plane, namespace.clone()).await;
    let said = json!({
        // May do everything.
        "admin": plane.kubeconfig("admin"),
        // May do what the chart allows.
        "controller": mesh.kubeconfig().await,
    });
    println!("{said}");
    let end = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    end.await?.context("reading the input")?;
    Ok(())
}
