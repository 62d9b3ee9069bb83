//! The API server asks our webhook before it stores an object, and does without where it cannot.

use std::process::Output;
use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::api::Api;
use serde_json::json;
use sluice_tests::kube::ControlPlane;
use sluice_tests::kube::mesh::{Mesh, only, render};
use sluice_tests::wait::until_within;

/// No schema sees what is wrong with the second of these.
fn service(namespace: &str, regex: &str) -> String {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"hosts": ["web.test"], "gateways": ["gate"], "http": [
            {"match": [{"uri": {"regex": regex}}], "directResponse": {"status": 200}},
        ]},
    })
    .to_string()
}

struct Kubectl<'a> {
    plane: &'a ControlPlane,
    directory: tempfile::TempDir,
}

impl Kubectl<'_> {
    /// Gives a text to `kubectl`, and what it says besides.
    async fn give(&self, arguments: &[&str], text: &str) -> (bool, String) {
        let file = self.directory.path().join("object.json");
        std::fs::write(&file, text).unwrap();
        let mut command = self.plane.kubectl_command("admin");
        command.args(arguments).arg("-f").arg(file);
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let Output { status, stdout, stderr } = output;
        (status.success(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
    }

    async fn apply(&self, text: &str) -> (bool, String) {
        self.give(&["apply"], text).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_refuses_what_the_webhook_refuses() {
    let plane = ControlPlane::shared().await;
    let mesh = Mesh::install(plane).await;
    let namespace = mesh.namespace.as_str();
    let kubectl = Kubectl { plane, directory: tempfile::tempdir().unwrap() };
    let chart = render("controller", "sluice-controller", namespace, &[]);
    // The rights are those of the chart with its webhook, whose name is among them.
    plane.apply(&only(&chart, &["ClusterRole"])).await;
    let registration = only(&chart, &["ValidatingWebhookConfiguration"]);
    let name = registration.lines().find_map(|line| line.strip_prefix("  name: ")).unwrap().trim().to_owned();
    // Stored before there was a webhook.
    let mut old: serde_json::Value = serde_json::from_str(&service(namespace, "(")).unwrap();
    old["metadata"]["name"] = json!("old");
    assert!(kubectl.apply(&old.to_string()).await.0);

    let mut options = mesh.options("controller-0");
    options.webhook = Some(name.clone());
    let running = mesh.controller_with(options).await;
    let port = running.addresses().webhook.port();
    let webhook = json!({
        "name": "validation.istio.io",
        "clientConfig": {"url": format!("https://localhost:{port}/validate")},
        "rules": [{"operations": ["CREATE", "UPDATE"], "resources": ["*"], "apiVersions": ["*"],
            "apiGroups": ["networking.istio.io", "security.istio.io", "telemetry.istio.io"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "failurePolicy": "Ignore",
        "sideEffects": "None",
        "timeoutSeconds": 10,
        "admissionReviewVersions": ["v1"],
    });
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [webhook],
    });
    assert!(kubectl.give(&["create"], &configuration.to_string()).await.0);
    let api: Api<ValidatingWebhookConfiguration> = Api::all(plane.admin());
    let roots = running.roots_pem();
    let trusted = async || {
        let found = api.get(&name).await.ok()?;
        let webhook = &found.webhooks.as_ref()?[0];
        (webhook.client_config.ca_bundle.as_ref()?.0 == roots.as_bytes()).then(|| webhook.failure_policy.clone())
    };
    let policy = until_within("the certificate is trusted", Duration::from_secs(30), trusted).await;
    assert_eq!(policy.as_deref(), Some("Ignore"));
    // Whoever takes it away gets it back.
    let without = r#"[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]"#;
    plane.kubectl(&["patch", "validatingwebhookconfiguration", &name, "--type=json", "-p", without]).await;
    until_within("it is trusted again", Duration::from_secs(30), trusted).await;

    // The API server learns of it a moment later.
    let said = until_within("a refusal", Duration::from_secs(30), async || {
        let (stored, said) = kubectl.apply(&service(namespace, "(")).await;
        if stored {
            plane.kubectl(&["delete", "vs", "web", "-n", namespace]).await;
        }
        (!stored).then_some(said)
    })
    .await;
    for part in ["VirtualService", "\"web\"", "spec.http[0].match[0].uri.regex", "is not a regular expression"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // The same through another version, and without wanting to store it.
    let other = service(namespace, "(").replace("istio.io/v1", "istio.io/v1alpha3");
    let (stored, said) = kubectl.apply(&other).await;
    assert!(!stored && said.contains("spec.http[0].match[0].uri.regex"), "{said}");
    let (good, said) = kubectl.give(&["apply", "--dry-run=server"], &service(namespace, "(")).await;
    assert!(!good && said.contains("is not a regular expression"), "{said}");
    let (good, said) = kubectl.give(&["apply", "--dry-run=server"], &service(namespace, "a+")).await;
    assert!(good, "{said}");
    assert!(
        plane.kubectl_as("admin", &["get", "vs", "web", "-n", namespace]).await.is_err(),
        "a dry run stores nothing"
    );

    // Warnings come with it.
    let mut twice: serde_json::Value = serde_json::from_str(&service(namespace, "a+")).unwrap();
    let answer = json!({"directResponse": {"status": 200}});
    twice["spec"]["http"] = json!([answer, answer]);
    let (good, said) = kubectl.apply(&twice.to_string()).await;
    assert!(good && said.contains("Warning: spec.http[1]: this rule can never be reached"), "{said}");

    // What was wrong before can be labelled and deleted, and made worse by nobody.
    plane.kubectl(&["label", "vs", "old", "-n", namespace, "team=a"]).await;
    old["spec"]["http"][0]["match"][0]["uri"]["regex"] = json!("((");
    assert!(!kubectl.apply(&old.to_string()).await.0);
    plane.kubectl(&["delete", "vs", "old", "-n", namespace]).await;

    let metrics = running.metrics().render().unwrap();
    assert!(
        metrics.contains(r#"sluice_controller_webhook_requests_total{kind="VirtualService",result="denied"}"#),
        "{metrics}"
    );
    // Without it nobody's work stops.
    running.abort();
    let (stored, said) = kubectl.apply(&service(namespace, "(")).await;
    assert!(stored, "{said}");
    plane.kubectl(&["delete", "validatingwebhookconfiguration", &name]).await;
}
