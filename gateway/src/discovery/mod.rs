//! What the proxy is told, and by whom: follows a controller, keeps what it was told on disk. What it means is not
//! decided here; whatever arrives is handed to [`Gateway::apply`].

pub(crate) mod backoff;
mod client;
pub(crate) mod push;
pub(crate) mod snapshot;
pub(crate) mod state;
pub(crate) mod store;
mod stream;
mod wanted;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ir::{Delta, Key};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::app::Gateway;
use crate::discovery::client::Client;
use crate::discovery::snapshot::Snapshot;
use crate::identity::Agent;
use crate::identity::channel::{Address, Keepalive};
use crate::identity::credentials::Credentials;
use crate::identity::roots::Roots;
use crate::table::compile::chain;

pub use wanted::Wanted;

/// Bytes of a foreign text that are shown.
const SHORT: usize = 512;

/// Whom to follow, and as who.
#[derive(Clone, Debug)]
pub struct Options {
    /// The controller.
    pub address: Address,
    /// The certificate authority; most often the controller, too.
    pub authority: Address,
    /// What both are verified by.
    pub roots: PathBuf,
    /// What the cluster gave this proxy to say who it is.
    pub token: PathBuf,
    /// Where the last configuration is kept; `None` = nowhere.
    pub snapshot: Option<PathBuf>,
    pub node: Node,
    pub wanted: Wanted,
    /// Asked for; the authority may grant less.
    pub certificate_lifetime: Duration,
    pub limits: Limits,
}

/// Who the proxy believes it is: hints. What it is told follows from how it authenticates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub pod: String,
    pub namespace: String,
    pub service_account: String,
    pub cluster: String,
    pub trust_domain: Option<String>,
}

impl Node {
    /// The name to expect in the certificate, where it is known.
    pub(crate) fn spiffe_id(&self) -> Option<String> {
        let Self { namespace, service_account, trust_domain, .. } = self;
        if namespace.is_empty() || service_account.is_empty() {
            return None;
        }
        let trust_domain = trust_domain.as_deref().unwrap_or("cluster.local");
        Some(format!("spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}"))
    }
}

/// Bounds of what a controller can make the proxy hold, and of how long it is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one part of a push.
    pub message_bytes: usize,
    /// Of all parts of a push together.
    pub push_bytes: usize,
    /// Between two parts of a push.
    pub push_timeout: Duration,
    /// Until a controller answers a stream, or reads an answer; it may have to ask others about us first.
    pub answer_timeout: Duration,
    /// When a controller that says nothing is asked whether it is there.
    pub keepalive: Keepalive,
    /// Of a snapshot that is read.
    pub snapshot_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 16 << 20,
            push_bytes: 256 << 20,
            push_timeout: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(20),
            keepalive: Keepalive::default(),
            snapshot_bytes: 512 << 20,
        }
    }
}

/// A gateway that follows a controller, until this is dropped. The gateway itself goes on with what it has.
#[derive(Debug)]
pub struct Follower {
    wanted: watch::Sender<Wanted>,
    client: JoinHandle<()>,
    agent: JoinHandle<()>,
}

impl Follower {
    /// Changes what is subscribed to; what is no longer wanted goes out of force.
    pub fn want(&self, change: impl FnOnce(&mut Wanted)) {
        self.wanted.send_modify(change);
    }

    /// Ends, and waits until the snapshot is on disk.
    pub async fn stop(mut self) {
        self.agent.abort();
        self.client.abort();
        // It is aborted, and with it goes the snapshot's writer, after its last write.
        let _ = (&mut self.client).await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.agent.abort();
        self.client.abort();
    }
}

/// Puts the snapshot in force, if there is one, then follows the controller. Returns as soon as what is on disk is
/// served; the controller need not be there.
pub async fn follow(gateway: &Gateway, options: Options) -> Follower {
    let Options { address, authority, roots, token, snapshot, node, wanted, certificate_lifetime, limits } = options;
    let snapshot = match snapshot {
        None => None,
        Some(path) => restore(gateway, path, limits.snapshot_bytes).await,
    };
    let state = gateway.following();
    state.lock().address = Some(address.to_string());
    let roots = Arc::new(Roots::new(roots));
    let credentials = Arc::new(Credentials::new(state.identity.subscribe(), token));
    let agent = Agent {
        address: authority,
        node: node.clone(),
        lifetime: certificate_lifetime,
        keepalive: limits.keepalive,
        roots: Arc::clone(&roots),
        credentials: Arc::clone(&credentials),
        current: state.identity.clone(),
        metrics: gateway.metrics().control.clone(),
    };
    let (wanted, seen) = watch::channel(wanted);
    let client = Client {
        gateway: gateway.clone(),
        address,
        node,
        instance: format!("{:016x}", fastrand::u64(..)),
        limits,
        roots,
        credentials,
        wanted: seen,
        snapshot,
    };
    Follower { wanted, client: tokio::spawn(client.run()), agent: tokio::spawn(agent.run()) }
}

/// A disk that cannot be used is no reason not to serve.
async fn restore(gateway: &Gateway, path: PathBuf, limit: u64) -> Option<Snapshot> {
    let opened = match tokio::task::spawn_blocking(move || snapshot::open(&path, limit)).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => {
            warn!(error = %chain(&error), "no snapshot will be kept");
            return None;
        }
        Err(error) => {
            warn!(%error, "no snapshot will be kept");
            return None;
        }
    };
    // Nothing found is no configuration: the proxy is not ready before it has one. What it has, on the other hand, is newer.
    if !opened.resources.is_empty() && gateway.versions().await.is_empty() {
        gateway.apply(Delta { changed: opened.resources.clone(), removed: Vec::new() }).await;
    }
    let in_force: HashMap<Key, Arc<str>> = gateway.versions().await.into_iter().collect();
    let metrics = gateway.metrics().control.snapshot.clone();
    match Snapshot::start(opened, |it| in_force.get(&it.key) == Some(&it.version), metrics) {
        Ok(snapshot) => Some(snapshot),
        Err(error) => {
            warn!(%error, "no snapshot will be kept");
            None
        }
    }
}

/// Foreign text for logs and messages: no control characters, no end without an end.
pub(crate) fn short(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(SHORT));
    for c in text.chars() {
        if out.len() >= SHORT {
            out.push('…');
            break;
        }
        out.push(if c.is_control() { ' ' } else { c });
    }
    out
}
