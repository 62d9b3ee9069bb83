//! A controller in this process that serves a real API server with nothing but the rights that its chart gives it, and
//! the pods of its proxies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use controller::cluster::{Addresses, ClusterOptions, Running};
use controller::logging::LogLevel;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use wire::discovery::Node;

use super::ControlPlane;
use crate::proxy::{Access, Hello, Proxy};

/// How the controller's certificate is called in tests.
const NAME: &str = "istiod.test";
const CONTROLLER: &str = "sluice-controller";

/// A control plane's part of a cluster: its namespace, rights and objects. Controllers come and go in it.
pub struct Mesh<'a> {
    pub plane: &'a ControlPlane,
    /// Namespace of the control plane, and of its gateways.
    pub namespace: String,
}

/// The root of the project.
#[must_use]
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests are in the project")
}

/// What a chart makes of these values.
///
/// # Panics
/// When helm is not to be had or refuses.
#[must_use]
pub fn render(chart: &str, release: &str, namespace: &str, values: &[&str]) -> String {
    static HELM: LazyLock<PathBuf> = LazyLock::new(|| {
        let found = Command::new(project().join("dev/helm.sh")).arg("4").output().expect("dev/helm.sh runs");
        assert!(found.status.success(), "helm: {}", String::from_utf8_lossy(&found.stderr));
        project().join(String::from_utf8_lossy(&found.stdout).trim())
    });
    let mut command = Command::new(&*HELM);
    command.args(["template", release]).arg(project().join("charts").join(chart)).args(["--namespace", namespace]);
    for value in values {
        command.args(["--set", value]);
    }
    let output = command.output().expect("helm runs");
    assert!(output.status.success(), "helm template {chart}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("YAML is text")
}

/// Documents of these kinds only.
#[must_use]
pub fn only(yaml: &str, kinds: &[&str]) -> String {
    let is_one = |document: &&str| {
        let kind = document.lines().find_map(|line| line.strip_prefix("kind: "));
        kind.is_some_and(|kind| kinds.contains(&kind.trim()))
    };
    yaml.split("\n---").filter(is_one).collect::<Vec<_>>().join("\n---\n")
}

impl<'a> Mesh<'a> {
    /// Installs definitions, rights and an empty MeshConfig, in a namespace of its own.
    ///
    /// # Panics
    /// When the API server refuses any of it.
    pub async fn install(plane: &'a ControlPlane) -> Self {
        let namespace = (*plane.namespace().await).to_owned();
        Self::install_in(plane, namespace).await
    }

    /// As [`Mesh::install`], in a namespace that is there.
    ///
    /// # Panics
    /// When the API server refuses any of it.
    pub async fn install_in(plane: &'a ControlPlane, namespace: String) -> Self {
        install_definitions(plane).await;
        let chart = render("controller", CONTROLLER, &namespace, &["webhook.enabled=false"]);
        let rights = ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ConfigMap"];
        plane.apply(&only(&chart, &rights)).await;
        let gateway = render("gateway", "edge", &namespace, &[&format!("controller.namespace={namespace}")]);
        plane.apply(&only(&gateway, &["ServiceAccount", "Role", "RoleBinding"])).await;
        Self { plane, namespace }
    }

    /// The controller's client: its service account, as in the pod.
    ///
    /// # Panics
    /// When there is no token to be had.
    pub async fn client(&self) -> Client {
        self.plane.service_account(&self.namespace, CONTROLLER).await
    }

    /// As [`Mesh::client`], for a controller that is a program of its own.
    ///
    /// # Panics
    /// When there is no token to be had.
    pub async fn kubeconfig(&self) -> PathBuf {
        let token = self.plane.token_for(&self.namespace, CONTROLLER, "https://kubernetes.default.svc").await;
        self.plane.kubeconfig_with_token(CONTROLLER, &token)
    }

    /// Settings of a controller of this mesh.
    #[must_use]
    pub fn options(&self, replica: &str) -> ClusterOptions {
        ClusterOptions {
            namespace: self.namespace.clone(),
            replica: replica.to_owned(),
            names: vec![NAME.to_owned(), "localhost".to_owned()],
            owner: Some(format!("{CONTROLLER}-{}", self.namespace)),
            addresses: Addresses::free(),
            drain_delay: std::time::Duration::ZERO,
            ..ClusterOptions::default()
        }
    }

    /// Starts a controller and waits until it has read the cluster.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn controller(&self) -> Running {
        self.controller_with(self.options("controller-0")).await
    }

    /// As [`Mesh::controller`], with other settings.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn controller_with(&self, options: ClusterOptions) -> Running {
        let client = self.client().await;
        let running = controller::cluster::start(client, options, LogLevel::elsewhere()).await;
        let running = running.unwrap_or_else(|error| panic!("the controller does not start: {error:?}"));
        let mut ready = running.ready();
        let waited = tokio::time::timeout(std::time::Duration::from_secs(60), ready.wait_for(|ready| *ready)).await;
        waited.expect("the controller becomes ready").expect("the controller runs");
        running
    }

    /// Makes the pod of a proxy of this namespace's gateway; it never runs.
    ///
    /// # Panics
    /// When the API server refuses.
    pub async fn pod(&self, name: &str, labels: &[(&str, &str)]) {
        self.pod_in(&self.namespace, name, "edge", labels, "10.1.2.3").await;
    }

    /// Makes a pod, with an address as if it ran.
    ///
    /// # Panics
    /// When the API server refuses.
    pub async fn pod_in(
        &self,
        namespace: &str,
        name: &str,
        service_account: &str,
        labels: &[(&str, &str)],
        address: &str,
    ) {
        let admin = self.plane.admin();
        super::tokens::make_account(&Api::namespaced(admin.clone(), namespace), service_account).await;
        let pods: Api<Pod> = Api::namespaced(admin, namespace);
        let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
        let pod = json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "serviceAccountName": service_account,
                "automountServiceAccountToken": false,
                "containers": [{"name": "istio-proxy", "image": "none"}],
            },
        });
        let pod: Pod = serde_json::from_value(pod).expect("a pod");
        pods.create(&PostParams::default(), &pod).await.unwrap_or_else(|error| panic!("pod {name}: {error}"));
        let status = json!({"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}});
        pods.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await.expect("a status");
    }

    /// How the proxy of a pod reaches a controller.
    pub async fn access(&self, running: &Running, namespace: &str, pod: &str) -> Access {
        let token = self.plane.token_of_pod(namespace, pod, "istio-ca").await;
        self.access_with(running, Some(token))
    }

    /// How somebody with this token reaches a controller.
    #[must_use]
    pub fn access_with(&self, running: &Running, token: Option<String>) -> Access {
        Access {
            address: running.addresses().discovery,
            server_name: NAME.to_owned(),
            roots: running.roots_pem(),
            token,
            certificate: None,
        }
    }

    /// The proxy of a pod of this namespace, connected.
    ///
    /// # Panics
    /// When the controller refuses it.
    pub async fn proxy(&self, running: &Running, pod: &str) -> Proxy {
        let access = self.access(running, &self.namespace, pod).await;
        let begun = Proxy::begin(&access, hello(&self.namespace, pod), BTreeMap::new()).await;
        begun.unwrap_or_else(|status| panic!("the controller refuses the proxy: {status}"))
    }
}

/// What the proxy of a pod says of itself.
#[must_use]
pub fn hello(namespace: &str, pod: &str) -> Hello {
    let node = Node { pod: pod.to_owned(), namespace: namespace.to_owned(), ..Node::default() };
    Hello { node, ..Hello::default() }
}

/// Applies our definitions, once per control plane that is shared.
async fn install_definitions(plane: &ControlPlane) {
    let files = project().join("charts/base/files/crds");
    plane.definitions.get_or_init(|| async { plane.apply_files(&files).await }).await;
}
