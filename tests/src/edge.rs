//! A controller and a gateway in this process, following a directory of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use controller::discovery::{Applied, Push};
use controller::source::Paths;
use controller::{Controller, Event, Options};
use gateway::upstream::{AddressClass, AllowedEndpoints};
use gateway::{Config, Gateway};
use ir::{Delta, Limits, Resource};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Ports that YAML in tests may use; each becomes a free one.
pub const PORTS: [u16; 5] = [80, 443, 8080, 8081, 8443];

/// Origins of tests are on this machine.
#[must_use]
pub fn here() -> Vec<AllowedEndpoints> {
    [AddressClass::Loopback, AddressClass::Unix].map(AllowedEndpoints::Class).into()
}

/// Longer than any change takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs until dropped.
pub struct Edge {
    directory: TempDir,
    pub gateway: Gateway,
    /// The state at the start, with everything that was found wrong in it.
    pub first: Event,
    events: mpsc::Receiver<Event>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Edge {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A Gateway for every host on plaintext port 8080.
pub const GATEWAY: &str = "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 8080, name: http, protocol: HTTP}
    hosts: ['*']
";

/// A VirtualService `shop/<name>` for `shop.test` with these `http` rules, indented by two.
#[must_use]
pub fn virtual_service(name: &str, rules: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  \
         hosts: [shop.test]\n  gateways: [edge/gate]\n  http:\n{rules}"
    )
}

/// Several documents in one file.
#[must_use]
pub fn file(documents: &[String]) -> String {
    documents.join("---\n")
}

/// A VirtualService `shop/<name>` for `<name>.test` with one rule, given as a flow mapping.
#[must_use]
pub fn host_rule(name: &str, rule: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  \
         hosts: [{name}.test]\n  gateways: [edge/gate]\n  http:\n  - {rule}\n"
    )
}

/// A Gateway with HTTPS servers on port 8443: name, hosts and the rest of the `tls` block.
#[must_use]
pub fn https_gateway(servers: &[(&str, &str, &str)]) -> String {
    let mut text = String::from(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gate, namespace: edge}\nspec:\n  \
         selector: {istio: ingressgateway}\n  servers:\n",
    );
    for (name, hosts, tls) in servers {
        text.push_str(&format!(
            "  - port: {{number: 8443, name: {name}, protocol: HTTPS}}\n    hosts: {hosts}\n    tls: {{mode: SIMPLE, \
             {tls}}}\n"
        ));
    }
    text
}

/// ConfigMap `istio` with this MeshConfig.
#[must_use]
pub fn mesh_config(text: &str) -> String {
    let lines: String = text.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |\n{lines}"
    )
}

/// A delta with other limits than those the configuration leads to.
fn limited(mut delta: Delta, limits: &Limits) -> Delta {
    for encoded in &mut delta.changed {
        if let Ok(Resource::Settings(mut settings)) = ir::codec::decode(encoded) {
            settings.limits = limits.clone();
            *encoded = ir::codec::encode(&Resource::Settings(settings));
        }
    }
    delta
}

impl Edge {
    /// Serves these documents, one file each.
    ///
    /// # Panics
    /// When anything of it does not start.
    pub async fn start(documents: &[String]) -> Self {
        Self::start_with(documents, Config::default()).await
    }

    /// # Panics
    /// When anything of it does not start.
    pub async fn start_with(documents: &[String], config: Config) -> Self {
        Self::start_limited(documents, config, None).await
    }

    /// With limits that tests do not have to wait long for.
    ///
    /// # Panics
    /// When anything of it does not start.
    pub async fn start_limited(documents: &[String], config: Config, limits: Option<Limits>) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        for (index, document) in documents.iter().enumerate() {
            std::fs::write(directory.path().join(format!("{index:02}.yaml")), document).expect("a file");
        }
        let free = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let config = Config {
            threads: if config.threads == 0 { 2 } else { config.threads },
            bind: Some([127, 0, 0, 1].into()),
            admin: free,
            metrics: free,
            ready: free,
            port_map: PORTS.iter().map(|port| (*port, 0)).collect(),
            hostname: "edge-test".to_owned(),
            certificate_directories: if config.certificate_directories.is_empty() {
                vec![std::env::temp_dir()]
            } else {
                config.certificate_directories
            },
            allow_endpoints: if config.allow_endpoints.is_empty() { here() } else { config.allow_endpoints },
            ..config
        };
        let gateway = gateway::start(config).await.expect("a gateway starts on free ports");
        let options = Options {
            paths: Paths { objects: vec![directory.path().to_owned()], ..Paths::default() },
            ..Options::default()
        };
        let controller = Controller::start(options).expect("a directory can be followed");
        let (pushes, mut received) = mpsc::channel::<Push>(1);
        let (told, events) = mpsc::channel(10_000);
        let proxy = gateway.clone();
        let tasks = vec![
            tokio::spawn(controller.run(pushes, told)),
            tokio::spawn(async move {
                while let Some(push) = received.recv().await {
                    let delta = match &limits {
                        Some(limits) => limited(push.delta, limits),
                        None => push.delta,
                    };
                    let applied = proxy.apply(delta).await;
                    // A controller that has gone does not care.
                    let rejected = applied.rejected.into_iter().chain(applied.flawed).collect();
                    let _ = push.done.send(Applied { rejected });
                }
            }),
        ];
        let mut edge = Self { directory, gateway, first: Event::default(), events, tasks };
        edge.first = edge.changed().await;
        // Shown when a test fails: most often this is why.
        for problem in &edge.first.problems {
            println!("{problem}");
        }
        edge
    }

    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The next change that was put in force.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn changed(&mut self) -> Event {
        tokio::time::timeout(PATIENCE, self.events.recv())
            .await
            .expect("a change in time")
            .expect("a running controller")
    }

    /// Changes that were put in force and not looked at.
    pub fn pending(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    /// Saves a file as editors do, and waits until it is in force.
    ///
    /// # Panics
    /// When it cannot be saved, or is not in force in time.
    pub async fn save(&mut self, file: &str, text: &str) -> Event {
        self.write(file, text);
        self.changed().await
    }

    /// Saves a file as editors do.
    ///
    /// # Panics
    /// When it cannot be saved.
    pub fn write(&self, file: &str, text: &str) {
        let temporary = self.path(&format!(".{file}.tmp"));
        std::fs::write(&temporary, text).expect("a file");
        std::fs::rename(&temporary, self.path(file)).expect("a rename");
    }

    /// Takes a file away and waits until that is in force.
    ///
    /// # Panics
    /// When it is not there, or not in force in time.
    pub async fn delete(&mut self, file: &str) -> Event {
        std::fs::remove_file(self.path(file)).expect("a file that was saved before");
        self.changed().await
    }

    /// The text that Prometheus would get.
    ///
    /// # Panics
    /// When the metrics cannot be had.
    pub async fn metrics(&self) -> String {
        let address = self.gateway.addresses().metrics.expect("metrics are served");
        let mut client = crate::H1::connect(address).await.expect("metrics are served");
        client.get("localhost", "/stats/prometheus").await.expect("metrics are served").text()
    }

    /// Status of the readiness port.
    ///
    /// # Panics
    /// When it is not served.
    pub async fn readiness(&self) -> u16 {
        let address = self.gateway.addresses().ready.expect("readiness is served");
        let mut client = crate::H1::connect(address).await.expect("readiness is served");
        client.get("localhost", "/healthz/ready").await.expect("readiness is served").status
    }

    /// Where the listener on this port of the Gateways is bound.
    ///
    /// # Panics
    /// When there is no such listener.
    pub async fn port(&self, port: u16) -> SocketAddr {
        let listeners = self.gateway.listeners().await;
        find(&listeners, port).unwrap_or_else(|| panic!("no listener on {port}: {listeners:?}"))
    }

    /// Whether there is a listener on this port of the Gateways.
    pub async fn has_port(&self, port: u16) -> bool {
        find(&self.gateway.listeners().await, port).is_some()
    }
}

pub(crate) fn find(listeners: &BTreeMap<ir::ListenerName, SocketAddr>, port: u16) -> Option<SocketAddr> {
    let ending = format!("_{port}");
    listeners.iter().find(|(name, _)| name.as_str().ends_with(&ending)).map(|(_, address)| *address)
}
