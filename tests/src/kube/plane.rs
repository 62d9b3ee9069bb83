//! Starts and stops the control plane.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rcgen::KeyPair;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::daemon::Daemon;
use super::{assets, audit, watchdog};
use crate::pki::Pki;

/// A busy machine starts an API server in 20 s instead of 3.
const PATIENCE: Duration = Duration::from_secs(120);

/// Below the ports that the system gives to outgoing connections: one of those could sit on the API server's port while
/// it is down, and a client that tries a dead port of that range may even be connected with itself.
const PORTS: Range<u16> = 18_000..32_000;

/// What a private control plane does differently.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// More arguments for kube-apiserver, such as `--min-request-timeout=2` for watches that soon expire.
    pub api_server: Vec<String>,
    /// More arguments for etcd.
    pub etcd: Vec<String>,
    /// The ports it may take, where others on the machine have ports in mind.
    pub ports: Option<Range<u16>>,
}

/// Runs until dropped, or until the test process ends.
pub struct ControlPlane {
    pub(super) directory: Directory,
    pub(super) assets: PathBuf,
    pub(super) pki: Pki,
    pub(super) url: String,
    pub(super) etcd: Daemon,
    pub(super) api_server: Daemon,
    controller_manager: OnceCell<Daemon>,
    /// Whether our definitions are installed.
    pub(super) definitions: OnceCell<()>,
}

/// One process of it, to be hindered by tests.
pub struct Process<'a> {
    plane: &'a ControlPlane,
    daemon: &'a Daemon,
}

/// Everything it writes. Kept, with the logs, when `SLUICE_TEST_KEEP` is set.
pub(super) struct Directory(Option<TempDir>);

impl Directory {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("sluice-plane-").tempdir().expect("a temporary directory");
        if std::env::var_os("SLUICE_TEST_KEEP").is_none() {
            watchdog::directory(directory.path());
        }
        Self(Some(directory))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.as_ref().expect("there until dropped").path()
    }

    /// # Panics
    /// When the disk is full.
    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if std::env::var_os("SLUICE_TEST_KEEP").is_some()
            && let Some(directory) = self.0.take()
        {
            eprintln!("kept: {}", directory.keep().display());
        }
    }
}

impl ControlPlane {
    /// One for this process, started by the first who asks. It outlives every test, so there is no way to hinder it;
    /// tests keep out of each other's way by [`ControlPlane::namespace`].
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// A private one.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    /// # Panics
    /// When it does not start.
    pub async fn start_with(setup: Setup) -> Self {
        let assets = tokio::task::spawn_blocking(assets::directory).await.expect("binaries of the control plane");
        for _ in 0..3 {
            let plane = Self::launch(assets.clone(), &setup);
            match plane.ready().await {
                Ok(()) => return plane,
                // Somebody else was faster with a port.
                Err(why) if why.contains("address already in use") => {}
                Err(why) => panic!("the control plane does not start: {why}"),
            }
        }
        panic!("no free ports for a control plane");
    }

    fn launch(assets: PathBuf, setup: &Setup) -> Self {
        // What the clients of this process will use; a second crypto provider may be linked by a dependency.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = Directory::new();
        let at = |name: &str| directory.path().join(name).display().to_string();
        let [client, peer, secure] = free_ports(setup.ports.clone().unwrap_or(PORTS));
        let pki = Pki::new();
        let names = ["localhost", "127.0.0.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
        let serving = pki.issue(&names);
        directory.write("ca.crt", &pki.root_pem());
        directory.write("api.crt", &serving.certificate);
        directory.write("api.key", &serving.key);
        let accounts = KeyPair::generate().expect("the provider makes keys");
        directory.write("sa.key", &accounts.serialize_pem());
        directory.write("sa.pub", &accounts.public_key_pem());
        directory.write("audit.yaml", audit::POLICY);

        let etcd_url = format!("http://127.0.0.1:{client}");
        let peer_url = format!("http://127.0.0.1:{peer}");
        let mut etcd = vec![
            "--name=plane".to_owned(),
            format!("--data-dir={}", at("etcd")),
            format!("--listen-client-urls={etcd_url}"),
            format!("--advertise-client-urls={etcd_url}"),
            format!("--listen-peer-urls={peer_url}"),
            format!("--initial-advertise-peer-urls={peer_url}"),
            format!("--initial-cluster=plane={peer_url}"),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        etcd.extend(setup.etcd.iter().cloned());
        let mut api_server = vec![
            format!("--etcd-servers={etcd_url}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--secure-port={secure}"),
            // Nobody is served by the Service `kubernetes`, and its endpoint may not be a loopback address.
            "--endpoint-reconciler-type=none".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            format!("--cert-dir={}", at("certificates")),
            format!("--tls-cert-file={}", at("api.crt")),
            format!("--tls-private-key-file={}", at("api.key")),
            format!("--client-ca-file={}", at("ca.crt")),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--enable-admission-plugins=NodeRestriction".to_owned(),
            "--allow-privileged".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--api-audiences=https://kubernetes.default.svc,istio-ca".to_owned(),
            format!("--service-account-key-file={}", at("sa.pub")),
            format!("--service-account-signing-key-file={}", at("sa.key")),
            format!("--audit-policy-file={}", at("audit.yaml")),
            format!("--audit-log-path={}", at("audit.log")),
            "--profiling=false".to_owned(),
        ];
        api_server.extend(setup.api_server.iter().cloned());
        let log = |name: &str| directory.path().join(name);
        let etcd = Daemon::start(assets.join("etcd"), etcd, log("etcd.log"));
        let api_server = Daemon::start(assets.join("kube-apiserver"), api_server, log("kube-apiserver.log"));
        let url = format!("https://127.0.0.1:{secure}");
        Self {
            directory,
            assets,
            pki,
            url,
            etcd,
            api_server,
            controller_manager: OnceCell::new(),
            definitions: OnceCell::new(),
        }
    }

    /// Waits until the API server says that it is ready, or says why it will not be.
    async fn ready(&self) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let client = self.admin();
            let request = http::Request::get("/readyz").body(Vec::new()).expect("a path");
            let asked = tokio::time::timeout(Duration::from_secs(5), client.request_text(request)).await;
            if matches!(asked, Ok(Ok(_))) {
                return Ok(());
            }
            let ended = self.etcd.ended().or_else(|| self.api_server.ended());
            if ended.is_some() || start.elapsed() > PATIENCE {
                return Err(format!("{asked:?}\n{}", self.logs(20)));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The API server.
    #[must_use]
    pub fn api_server(&self) -> Process<'_> {
        Process { plane: self, daemon: &self.api_server }
    }

    #[must_use]
    pub fn etcd(&self) -> Process<'_> {
        Process { plane: self, daemon: &self.etcd }
    }

    /// Starts the controller manager unless it runs: garbage collection, EndpointSlices from selectors, Deployments, the
    /// end of namespaces, default service accounts.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn controller_manager(&self) -> Process<'_> {
        let start = async || {
            let at = |name: &str| self.directory.path().join(name).display().to_string();
            let kubeconfig = self.kubeconfig_of("system:kube-controller-manager", Some("system:masters"));
            let arguments = vec![
                format!("--kubeconfig={}", kubeconfig.display()),
                "--leader-elect=false".to_owned(),
                "--secure-port=0".to_owned(),
                format!("--service-account-private-key-file={}", at("sa.key")),
                format!("--root-ca-file={}", at("ca.crt")),
                // There are no nodes, and no cloud.
                "--controllers=*,-node-ipam-controller,-node-lifecycle-controller,-node-route-controller".to_owned(),
            ];
            let log = self.directory.path().join("kube-controller-manager.log");
            Daemon::start(self.assets.join("kube-controller-manager"), arguments, log)
        };
        Process { plane: self, daemon: self.controller_manager.get_or_init(start).await }
    }

    /// The last lines of every log.
    #[must_use]
    pub fn logs(&self, count: usize) -> String {
        let manager = self.controller_manager.get().map(|daemon| daemon.last_lines(count)).unwrap_or_default();
        format!("{}{}{manager}", self.etcd.last_lines(count), self.api_server.last_lines(count))
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs(20));
        }
        // Clients of etcd first.
        if let Some(manager) = self.controller_manager.get() {
            manager.kill();
        }
        self.api_server.kill();
        self.etcd.kill();
    }
}

impl Process<'_> {
    /// SIGKILL: no goodbye to any client.
    pub fn kill(&self) {
        self.daemon.kill();
    }

    /// Starts it again after [`Process::kill`], on the same port and data, and waits until the API server is ready.
    ///
    /// # Panics
    /// When it still runs, or does not become ready.
    pub async fn restart(&self) {
        self.daemon.spawn();
        self.plane.ready().await.unwrap_or_else(|why| panic!("it does not start again: {why}"));
    }

    /// SIGSTOP: connections stay open, and nothing moves.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pause(&self) {
        self.daemon.pause();
    }

    /// # Panics
    /// When it does not run.
    pub fn resume(&self) {
        self.daemon.signal("CONT");
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log(&self, count: usize) -> String {
        self.daemon.last_lines(count)
    }
}

/// Different ports that are free now.
fn free_ports<const N: usize>(range: Range<u16>) -> [u16; N] {
    let mut held = Vec::new();
    // Held until all are found, so that none is found twice.
    let ports = std::array::from_fn(|_| {
        loop {
            let port = fastrand::u16(range.clone());
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                held.push(listener);
                return port;
            }
        }
    });
    drop(held);
    ports
}
