//! Names of endpoints, resolved over and over on the config threads. The data path only ever sees addresses.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{debug, warn};

/// Names are asked for again no sooner than this, whatever their records say.
const MIN_REFRESH: Duration = Duration::from_secs(5);
/// After a failure.
const RETRY: Duration = Duration::from_secs(2);

/// The addresses of a name; empty where it does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) name: String,
    pub(crate) addresses: Vec<IpAddr>,
}

/// Follows a set of names and tells when their addresses change.
pub(crate) struct Resolver {
    changes: mpsc::UnboundedSender<Resolved>,
    following: HashMap<String, (Duration, JoinHandle<()>)>,
    backend: Option<TokioResolver>,
}

impl Resolver {
    pub(crate) fn new(changes: mpsc::UnboundedSender<Resolved>) -> Self {
        Self { changes, following: HashMap::new(), backend: None }
    }

    /// Follows exactly these names, each refreshed at least that often.
    pub(crate) fn follow(&mut self, names: &HashMap<String, Duration>) {
        self.following.retain(|name, (refresh, task)| {
            let keep = names.get(name) == Some(refresh);
            if !keep {
                task.abort();
            }
            keep
        });
        for (name, refresh) in names {
            if self.following.contains_key(name) {
                continue;
            }
            let Some(backend) = self.backend() else { return };
            let task = tokio::spawn(watch(backend, name.clone(), *refresh, self.changes.clone()));
            self.following.insert(name.clone(), (*refresh, task));
        }
    }

    /// Made when the first name turns up: without names the machine's resolver settings are of no concern.
    fn backend(&mut self) -> Option<TokioResolver> {
        if self.backend.is_none() {
            match TokioResolver::builder_tokio().and_then(|builder| builder.build()) {
                Ok(resolver) => self.backend = Some(resolver),
                Err(error) => {
                    warn!(error = %error, "the machine's resolver settings cannot be used; names stay unresolved")
                }
            }
        }
        self.backend.clone()
    }
}

async fn watch(resolver: TokioResolver, name: String, refresh: Duration, changes: mpsc::UnboundedSender<Resolved>) {
    let mut known: Option<Vec<IpAddr>> = None;
    loop {
        let pause = match resolver.lookup_ip(name.as_str()).await {
            Ok(answer) => {
                let mut addresses: Vec<IpAddr> = answer.iter().collect();
                addresses.sort_unstable();
                addresses.dedup();
                if known.as_ref() != Some(&addresses) {
                    debug!(name, addresses = ?addresses, "resolved");
                    known = Some(addresses.clone());
                    if changes.send(Resolved { name: name.clone(), addresses }).is_err() {
                        return;
                    }
                }
                let life = answer.valid_until().saturating_duration_since(Instant::now());
                refresh.min(life).max(MIN_REFRESH)
            }
            Err(error) if error.is_no_records_found() && known.as_ref().is_none_or(|known| !known.is_empty()) => {
                warn!(name, error = %error, "name has no addresses");
                known = Some(Vec::new());
                if changes.send(Resolved { name: name.clone(), addresses: Vec::new() }).is_err() {
                    return;
                }
                RETRY
            }
            Err(error) => {
                // A resolver that is away takes nothing from us: the last addresses stay.
                debug!(name, error = %error, "name cannot be resolved");
                RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// The sockets of a resolved name.
pub(crate) fn sockets(addresses: &[IpAddr], port: u16, first_only: bool) -> impl Iterator<Item = SocketAddr> {
    let count = if first_only { 1 } else { addresses.len() };
    addresses.iter().take(count).map(move |ip| SocketAddr::new(*ip, port))
}
