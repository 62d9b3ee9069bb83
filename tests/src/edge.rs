//! A controller and a gateway in this process, following a directory of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use controller::discovery::{Applied, Push};
use controller::source::Paths;
use controller::{Controller, Event, Options};
use gateway::{Config, Gateway};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Ports that YAML in tests may use; each becomes a free one.
pub const PORTS: [u16; 5] = [80, 443, 8080, 8081, 8443];

/// Longer than any change takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs until dropped.
pub struct Edge {
    directory: TempDir,
    pub gateway: Gateway,
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
                    let applied = proxy.apply(push.delta).await;
                    // A controller that has gone does not care.
                    let _ = push.done.send(Applied { rejected: applied.rejected });
                }
            }),
        ];
        let mut edge = Self { directory, gateway, events, tasks };
        edge.changed().await;
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

fn find(listeners: &BTreeMap<ir::ListenerName, SocketAddr>, port: u16) -> Option<SocketAddr> {
    let ending = format!("_{port}");
    listeners.iter().find(|(name, _)| name.as_str().ends_with(&ending)).map(|(_, address)| *address)
}
