//! The demo: an HTTPS canary on this machine, with nothing but the binary. It brings what a cluster would have
//! (backends, a certificate, clients) and leaves the rest to the ordinary path from files to traffic.

mod backend;
mod certificates;
mod files;
mod live;
mod meter;
mod overlay;
mod ports;
mod traffic;

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::task::JoinSet;

use crate::terminal::{Paint, Terminal};
use backend::Backend;
use certificates::CertificateError;
use files::Files;
use meter::Meter;
use overlay::Overlay;

pub(crate) use certificates::Certificates;
pub(crate) use ports::free_or_next;

/// What the Gateway of the example serves, and under which name it looks for the certificate.
const HOST: &str = "shop.localhost";
const CREDENTIAL: &str = "shop-tls";
/// Backends of the example's ServiceEntry.
const BACKENDS: [(&str, u16); 2] = [("v1", 9001), ("v2", 9002)];
/// Where the example's Gateway listens as long as nobody edits it.
const HTTPS: u16 = 8443;

/// The demo's world, alive until it is dropped.
pub(crate) struct Demo {
    files: Files,
    certificates: Certificates,
    backends: Vec<Backend>,
    overlay: Overlay,
    meter: Arc<Mutex<Meter>>,
    /// Where the clients of this machine reach the gateway.
    ip: IpAddr,
    /// The file that was written.
    root: Option<PathBuf>,
    running: JoinSet<()>,
}

impl Demo {
    /// Finds or writes the files, makes certificates, starts the backends.
    pub(crate) async fn prepare(bind: Option<IpAddr>) -> anyhow::Result<Self> {
        let files = files::find_or_write(Path::new(""))?;
        let certificates =
            Certificates::make(&[HOST, "localhost", "127.0.0.1", "::1"], time::OffsetDateTime::now_utc())?;
        let mut backends = Vec::new();
        for (version, port) in BACKENDS {
            backends.push(Backend::start(version, SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)).await?);
        }
        let moved: BTreeMap<_, _> = backends.iter().map(|backend| (backend.wanted, backend.address)).collect();
        let ip = bind.filter(|ip| !ip.is_unspecified()).unwrap_or(Ipv4Addr::LOCALHOST.into());
        Ok(Self {
            files,
            certificates,
            backends,
            overlay: Overlay::new(bind, moved),
            meter: Arc::new(Mutex::new(Meter::new(Instant::now()))),
            ip,
            root: None,
            running: JoinSet::new(),
        })
    }

    /// The directory that the file source follows.
    pub(crate) fn directory(&self) -> &Path {
        &self.files.directory
    }

    /// The Secret that no file holds, as YAML: it lives in memory alone.
    pub(crate) fn secret(&self, namespace: &str) -> String {
        let Certificates { root: _, chain, key } = &self.certificates;
        serde_json::json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": CREDENTIAL, "namespace": namespace },
            "type": "kubernetes.io/tls",
            "stringData": { "tls.crt": chain, "tls.key": key },
        })
        .to_string()
    }

    /// Fits what the gateway is told to this machine; says which ports were moved. Before the first delta is in force,
    /// and the gateway ready, the root is where clients look for it.
    pub(crate) fn adjust(&mut self, delta: ir::Delta, terminal: &Terminal) -> anyhow::Result<ir::Delta> {
        let (delta, moved) = self.overlay.adjust(delta)?;
        if self.root.is_none() {
            self.root = Some(self.write_root(self.served().0)?);
        }
        for overlay::Moved { from, to } in moved {
            terminal.print(&in_use(terminal.paint(), from, to));
        }
        Ok(delta)
    }

    /// Called after every change that is in force: the shares that are shown next are its doing.
    pub(crate) fn changed(&self) {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner).restart_shares();
    }

    /// Called once, when the first configuration is in force: says what can be done here.
    pub(crate) fn introduce(&self, terminal: &Terminal) {
        for backend in &self.backends {
            if backend.address != backend.wanted {
                let (from, to) = (backend.wanted.port(), backend.address.port());
                terminal.print(&in_use(terminal.paint(), from, to));
            }
        }
        terminal.print(&self.introduction(terminal.paint()));
    }

    /// Starts the built-in traffic and its live line.
    pub(crate) fn start_traffic(&mut self, terminal: &Terminal) -> anyhow::Result<()> {
        let port = Arc::clone(self.overlay.https());
        let target = traffic::Target::new(HOST, self.ip, port, &self.certificates.root)?;
        self.running.spawn(traffic::send(target, Arc::clone(&self.meter)));
        self.running.spawn(live::show(Arc::clone(&self.meter), terminal.clone()));
        Ok(())
    }

    /// Ends the traffic, before the gateway drains; what it has seen in all.
    pub(crate) async fn stop_traffic(&mut self, terminal: &Terminal) {
        if self.running.is_empty() {
            return;
        }
        self.running.shutdown().await;
        terminal.show_live(String::new());
        let reading = self.meter.lock().unwrap_or_else(PoisonError::into_inner).read(Instant::now());
        terminal.print(&format!("{} requests, {} failures", reading.requests, reading.failures));
    }

    fn served(&self) -> (u16, u16) {
        let load = |port: &std::sync::atomic::AtomicU16| port.load(Ordering::Relaxed);
        (load(self.overlay.https()), load(self.overlay.http()))
    }

    /// Beside the files where that is possible. Demos that run at the same time have different ports, and so
    /// different roots.
    fn write_root(&self, https: u16) -> Result<PathBuf, CertificateError> {
        let name = if https == HTTPS { "ca.pem".to_owned() } else { format!("ca-{https}.pem") };
        let beside = self.files.directory.join(&name);
        if self.certificates.write_root(&beside).is_ok() {
            return Ok(beside);
        }
        // A directory that was not there before belongs to nobody else.
        let elsewhere = std::env::temp_dir().join(format!("sluice-demo-{}", std::process::id()));
        let made = fs::DirBuilder::new().mode(0o755).create(&elsewhere);
        made.map_err(|source| CertificateError::Write { path: elsewhere.clone(), source })?;
        let path = elsewhere.join(name);
        self.certificates.write_root(&path)?;
        Ok(path)
    }

    fn introduction(&self, paint: Paint) -> String {
        let (https, http) = self.served();
        let mut lines = vec![String::new()];
        let mut line =
            |label: &str, text: String| lines.push(format!("  {}  {text}", paint.dim(&format!("{label:<5}"))));
        if self.files.written {
            line("files", format!("written to {}/; they are yours to edit", self.files.directory.display()));
        }
        // A client that does not know `*.localhost` must be told where that is; all recent ones know.
        let resolve = |port: u16| match self.ip.is_loopback() {
            true => String::new(),
            false => format!("--resolve {HOST}:{port}:{} ", self.ip),
        };
        if let (Some(root), 1..) = (&self.root, https) {
            let curl = format!("curl --cacert {} {}https://{HOST}:{https}/", quoted(root), resolve(https));
            line("try", paint.bold(&curl));
        }
        if http != 0 {
            let curl = format!("curl -i {}http://{HOST}:{http}/", resolve(http));
            line("", format!("{}  {}", paint.bold(&curl), paint.dim("redirects to HTTPS")));
        }
        let weights = self.files.directory.join(files::WEIGHTS);
        line("edit", format!("{}  {}", paint.bold(&quoted(&weights)), paint.dim("change the weights and save")));
        line("stop", "Ctrl-C".to_owned());
        lines.push(String::new());
        lines.join("\n")
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // The root of a demo that has ended vouches for nothing.
        if let Some(root) = &self.root {
            let _ = fs::remove_file(root);
            if let Some(directory) = root.parent().filter(|&directory| directory != self.files.directory) {
                let _ = fs::remove_dir(directory);
            }
        }
    }
}

/// The line about a port that others hold.
pub(crate) fn in_use(paint: Paint, from: u16, to: u16) -> String {
    format!("{} port {from} is in use, {to} is taken instead", paint.yellow("note:"))
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=@%".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
