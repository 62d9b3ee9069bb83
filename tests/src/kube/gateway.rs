//! A gateway in this process, as the one that would run in a pod of a mesh: it has the pod's token and roots as files,
//! follows controllers, and keeps its last configuration on disk.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use controller::cluster::Running;
use gateway::discovery::{Follower, Limits, Node, Options, Wanted, follow};
use gateway::{Config, Gateway};
use tempfile::TempDir;

use super::mesh::Mesh;
use crate::edge::{PORTS, find, here};
use crate::wait::until_within;

/// Longer than a controller takes to come back on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs until dropped.
pub struct EdgePod {
    directory: TempDir,
    name: String,
    namespace: String,
    pub gateway: Gateway,
    follower: Option<Follower>,
}

impl EdgePod {
    /// A gateway in a pod that is there, whose controller is that one.
    ///
    /// # Panics
    /// When anything of it does not start.
    pub async fn start(mesh: &Mesh<'_>, running: &Running, name: &str) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        std::fs::write(directory.path().join("roots.pem"), running.roots_pem()).expect("a file");
        let token = mesh.plane.token_of_pod(&mesh.namespace, name, "istio-ca").await;
        std::fs::write(directory.path().join("token"), token).expect("a file");
        let gateway = start_gateway().await;
        let mut pod =
            Self { directory, name: name.to_owned(), namespace: mesh.namespace.clone(), gateway, follower: None };
        pod.follow(running.addresses().discovery).await;
        pod
    }

    /// Follows a controller at this address from now on.
    ///
    /// # Panics
    /// Never: the controller need not be there.
    pub async fn follow(&mut self, controller: SocketAddr) {
        self.stop_following().await;
        let address = format!("localhost:{}", controller.port()).parse().expect("an address");
        let options = Options {
            authority: format!("localhost:{}", controller.port()).parse().expect("an address"),
            address,
            roots: self.file("roots.pem"),
            token: self.file("token"),
            snapshot: Some(self.file("snapshot")),
            node: Node {
                pod: self.name.clone(),
                namespace: self.namespace.clone(),
                service_account: "edge".to_owned(),
                cluster: "Kubernetes".to_owned(),
                trust_domain: None,
            },
            wanted: Wanted::everything(),
            certificate_lifetime: Duration::from_secs(24 * 3600),
            limits: Limits::default(),
        };
        self.follower = Some(follow(&self.gateway, options).await);
    }

    /// Ends following, with the snapshot on disk.
    pub async fn stop_following(&mut self) {
        if let Some(follower) = self.follower.take() {
            follower.stop().await;
        }
    }

    /// A new process in the pod: nothing is left but what is on disk. It follows nobody yet.
    pub async fn restart(&mut self) {
        self.stop_following().await;
        self.gateway = start_gateway().await;
    }

    /// A file of the pod.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        Path::new(self.directory.path()).join(name)
    }

    /// Where the listener for a port of the Gateways is, once it is there.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn port(&self, port: u16) -> SocketAddr {
        until_within("a listener", PATIENCE, async || find(&self.gateway.listeners().await, port)).await
    }
}

async fn start_gateway() -> Gateway {
    let free = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let config = Config {
        threads: 2,
        bind: Some([127, 0, 0, 1].into()),
        admin: free,
        metrics: free,
        ready: free,
        port_map: PORTS.iter().map(|port| (*port, 0)).collect(),
        hostname: "edge-test".to_owned(),
        allow_endpoints: here(),
        ..Config::default()
    };
    gateway::start(config).await.expect("a gateway starts on free ports")
}
