//! The controller's process: what it has used, as the kernel counts.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

/// Of `/proc`, in a second; fixed on Linux for programs.
const TICKS: u64 = 100;

/// A controller that runs until dropped.
pub(super) struct Process {
    child: Child,
    pub(super) discovery: SocketAddr,
}

/// How to start it again.
#[derive(Clone)]
pub(super) struct Recipe {
    pub(super) program: PathBuf,
    pub(super) kubeconfig: PathBuf,
    pub(super) namespace: String,
    ports: [u16; 5],
}

impl Recipe {
    pub(super) fn new(program: &Path, kubeconfig: PathBuf, namespace: &str) -> anyhow::Result<Self> {
        let mut held = Vec::new();
        for _ in 0..5 {
            held.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
        }
        let mut ports = [0; 5];
        for (port, listener) in ports.iter_mut().zip(&held) {
            *port = listener.local_addr()?.port();
        }
        Ok(Self { program: program.to_owned(), kubeconfig, namespace: namespace.to_owned(), ports })
    }

    pub(super) fn start(&self) -> anyhow::Result<Process> {
        let [discovery, webhook, metrics, health, debug] =
            self.ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let child = Command::new(&self.program)
            .arg("run")
            .env("KUBECONFIG", &self.kubeconfig)
            .args(["--namespace", &self.namespace, "--name", "controller-0", "--log", "warn"])
            .args(["--discovery-names", "istiod.test"])
            .args(["--discovery-listen", &discovery.to_string(), "--webhook-listen", &webhook.to_string()])
            .args(["--metrics-listen", &metrics.to_string(), "--health-listen", &health.to_string()])
            .args(["--debug-listen", &debug.to_string()])
            // All proxies come from one address here, and as one account.
            .args(["--limit", "connections-per-address=20000,unauthenticated-connections=20000"])
            .args([
                "--limit",
                "handshakes-per-address=0,scopes-per-account=20000,scopes-per-namespace=20000,scopes=20000",
            ])
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        Ok(Process { child, discovery })
    }
}

impl Process {
    /// Time on a processor so far, in user space and in the kernel.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The second field may hold anything, in parentheses.
        let fields = text.rsplit_once(')').context("no process")?.1;
        let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|it| it.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 1000 / TICKS))
    }

    /// Resident memory, bytes.
    pub(super) fn rss(&self) -> anyhow::Result<u64> {
        self.memory("VmRSS:")
    }

    /// The most it ever had resident, bytes.
    pub(super) fn peak(&self) -> anyhow::Result<u64> {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &str) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)).context("no process")?;
        let kib: u64 = line.split_whitespace().next().context("no number")?.parse()?;
        Ok(kib << 10)
    }

    /// Ends it as a crash would.
    pub(super) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
