//! The charts on a real API server, with both majors of helm.

use std::process::Stdio;

use sluice_tests::kube::ControlPlane;
use sluice_tests::kube::mesh::project;

#[tokio::test(flavor = "multi_thread")]
async fn the_charts_are_installed_upgraded_and_uninstalled() {
    let plane = ControlPlane::start().await;
    // Namespaces are deleted by it.
    plane.controller_manager().await;
    let kubectl = plane.kubectl_command("admin");
    let output = tokio::process::Command::new(project().join("dev/charts-install.sh"))
        .env("KUBECONFIG", plane.kubeconfig("admin"))
        .env("KUBECTL", kubectl.get_program())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
}
