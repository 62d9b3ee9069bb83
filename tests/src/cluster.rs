//! A cluster with nodes, where pods run and addresses lead somewhere: `make e2e` brings one up, or is given one. The tests
//! run where its addresses can be reached.

use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};

use crate::kube::access::output;
use crate::kube::{apply, namespace};
use crate::wait::until_within;

/// Longer than a pod takes to start on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What `dev/e2e.sh` says about the cluster.
pub struct Cluster {
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    helm: PathBuf,
    sluice: PathBuf,
    /// Where the images are: `<hub>/<name>:<tag>`, as in the charts' values.
    pub hub: String,
    pub tag: String,
}

impl Cluster {
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn from_env() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let given = |name: &str, default: &str| std::env::var_os(name).unwrap_or_else(|| default.into());
        let text = |name: &str, default: &str| given(name, default).to_string_lossy().into_owned();
        let kubeconfig = std::env::var_os("SLUICE_E2E_KUBECONFIG").expect("SLUICE_E2E_KUBECONFIG; `make e2e` sets it");
        Self {
            kubeconfig: kubeconfig.into(),
            kubectl: given("SLUICE_E2E_KUBECTL", "kubectl").into(),
            helm: given("SLUICE_E2E_HELM", "helm").into(),
            sluice: given("SLUICE_E2E_SLUICE", "sluice").into(),
            hub: text("SLUICE_E2E_HUB", "localhost"),
            tag: text("SLUICE_E2E_TAG", "e2e"),
        }
    }

    /// The full name of one of our images, such as `sluice-gateway`.
    #[must_use]
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}:{}", self.hub, self.tag)
    }

    /// A client that may do everything.
    ///
    /// # Panics
    /// When the kubeconfig is of no use.
    pub async fn client(&self) -> Client {
        let read = Kubeconfig::read_from(&self.kubeconfig).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
        Client::try_from(config.expect("a complete kubeconfig")).expect("a client")
    }

    fn command(&self, program: &PathBuf, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.env("KUBECONFIG", &self.kubeconfig).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs `kubectl` and gives what it prints.
    ///
    /// # Panics
    /// When it fails.
    pub async fn kubectl(&self, arguments: &[&str]) -> String {
        self.try_kubectl(arguments).await.unwrap_or_else(|why| panic!("kubectl {arguments:?}: {why}"))
    }

    /// # Errors
    /// What it prints when it fails.
    pub async fn try_kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        output(self.command(&self.kubectl, arguments)).await
    }

    /// Runs `helm`.
    ///
    /// # Errors
    /// What it prints when it fails.
    pub async fn helm(&self, arguments: &[&str]) -> Result<String, String> {
        output(self.command(&self.helm, arguments)).await
    }

    /// Runs `sluice`: what it prints, and its exit status.
    ///
    /// # Panics
    /// When there is no such program.
    pub async fn sluice(&self, arguments: &[&str]) -> (String, Option<i32>) {
        let mut command = self.command(&self.sluice, arguments);
        let ran = tokio::task::spawn_blocking(move || command.output()).await.expect("it does not panic");
        let ran = ran.expect("sluice runs; `make e2e` builds it");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        eprint!("{}", text(&ran.stderr));
        (text(&ran.stdout), ran.status.code())
    }

    /// Installs or upgrades a chart of ours, with our images and these values (`a.b=c`), and waits until its pods are ready.
    ///
    /// # Panics
    /// When helm gives up.
    pub async fn install(&self, namespace: &str, release: &str, chart: &str, values: &[&str]) {
        let chart = format!("{}/../charts/{chart}", env!("CARGO_MANIFEST_DIR"));
        let (hub, tag) = (format!("global.hub={}", self.hub), format!("global.tag={}", self.tag));
        let timeout = format!("{}s", PATIENCE.as_secs());
        let mut arguments =
            vec!["upgrade", "--install", release, &chart, "--namespace", namespace, "--create-namespace"];
        arguments.extend(["--wait", "--timeout", &timeout]);
        for value in [hub.as_str(), tag.as_str()].iter().chain(values) {
            arguments.extend(["--set", *value]);
        }
        self.helm(&arguments).await.unwrap_or_else(|why| panic!("helm {arguments:?}: {why}"));
    }

    /// A new namespace with these labels, gone at the end of a test that passes. What a failed one leaves is there to be
    /// looked at.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn namespace(&self, labels: &[(&str, &str)]) -> Room<'_> {
        // A cluster that was given may still have those of an earlier run.
        self.namespace_named(&format!("{}-{:04x}", namespace::fresh_name(), fastrand::u16(..)), labels).await
    }

    /// One with this name, made when it is not there.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn namespace_named(&self, name: &str, labels: &[(&str, &str)]) -> Room<'_> {
        let client = self.client().await;
        let labels: String = labels.iter().map(|(key, value)| format!("{key}: '{value}', ")).collect();
        let yaml = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n");
        apply(&client, "", &yaml).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        // No pod is admitted before its service account is there.
        self.kubectl(&["wait", "-n", name, "--for=create", "serviceaccount/default", "--timeout=60s"]).await;
        Room { cluster: self, name: name.to_owned(), client }
    }
}

/// A namespace for one test.
pub struct Room<'a> {
    cluster: &'a Cluster,
    name: String,
    client: Client,
}

impl Room<'_> {
    /// Applies every document, in this namespace unless it names another one.
    ///
    /// # Panics
    /// When one is refused.
    pub async fn apply(&self, yaml: &str) -> Vec<DynamicObject> {
        apply(&self.client, &self.name, yaml).await.unwrap_or_else(|error| panic!("{error}\n{yaml}"))
    }

    /// Runs `kubectl` in this namespace.
    ///
    /// # Panics
    /// When it fails.
    pub async fn kubectl(&self, arguments: &[&str]) -> String {
        self.cluster.kubectl(&[&["-n", &self.name], arguments].concat()).await
    }

    /// The objects of this kind in it.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Waits until this workload, such as `deployment/web`, has as many ready pods as it wants.
    ///
    /// # Panics
    /// When it has not in time.
    pub async fn rolled_out(&self, workload: &str) {
        let timeout = format!("--timeout={}s", PATIENCE.as_secs());
        self.kubectl(&["rollout", "status", workload, &timeout]).await;
    }

    /// The address that a Service of type LoadBalancer got, with this port.
    ///
    /// # Panics
    /// When it gets none in time.
    pub async fn load_balancer(&self, service: &str, port: u16) -> SocketAddr {
        let services: Api<Service> = self.api();
        let address = until_within("the address of a LoadBalancer", PATIENCE, async || {
            let ingress = services.get(service).await.ok()?.status?.load_balancer?.ingress?;
            ingress.first()?.ip.as_deref()?.parse::<IpAddr>().ok()
        });
        SocketAddr::new(address.await, port)
    }
}

impl Deref for Room<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let arguments = ["delete", "namespace", &self.name, "--wait=false"];
            // At worst it stays.
            let _ = self.cluster.command(&self.cluster.kubectl, &arguments).output();
        }
    }
}
