//! Names of endpoints, resolved over and over on the config threads. The data path only ever sees addresses.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use tokio::sync::{Semaphore, mpsc};
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

/// How much is resolved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) names: usize,
    /// At a time.
    pub(crate) queries: usize,
    pub(crate) addresses_per_name: usize,
}

/// Follows a set of names and tells when their addresses change.
pub(crate) struct Resolver {
    changes: mpsc::Sender<Resolved>,
    following: HashMap<String, (Duration, JoinHandle<()>)>,
    bounds: Bounds,
    turns: Arc<Semaphore>,
    backend: Option<TokioResolver>,
}

impl Resolver {
    pub(crate) fn new(changes: mpsc::Sender<Resolved>, bounds: Bounds) -> Self {
        let turns = Arc::new(Semaphore::new(bounds.queries));
        Self { changes, following: HashMap::new(), bounds, turns, backend: None }
    }

    /// Follows exactly these names, each refreshed at least that often; returns those that are too many. Names that were
    /// there first are kept.
    pub(crate) fn follow(&mut self, names: &HashMap<String, Duration>) -> HashSet<String> {
        self.following.retain(|name, (refresh, task)| {
            let keep = names.get(name) == Some(refresh);
            if !keep {
                task.abort();
            }
            keep
        });
        let mut new: Vec<_> = names.iter().filter(|(name, _)| !self.following.contains_key(*name)).collect();
        // Of those that come together always the same ones.
        new.sort_unstable();
        let room = self.bounds.names.saturating_sub(self.following.len()).min(new.len());
        let beyond = new.split_off(room);
        if !new.is_empty()
            && let Some(backend) = self.backend()
        {
            for (name, refresh) in new {
                let asking = Asking {
                    resolver: backend.clone(),
                    turns: Arc::clone(&self.turns),
                    name: name.clone(),
                    refresh: *refresh,
                    most: self.bounds.addresses_per_name,
                };
                let task = tokio::spawn(watch(asking, self.changes.clone()));
                self.following.insert(name.clone(), (*refresh, task));
            }
        }
        beyond.into_iter().map(|(name, _)| name.clone()).collect()
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

/// A name that is asked for again and again.
struct Asking {
    resolver: TokioResolver,
    turns: Arc<Semaphore>,
    name: String,
    refresh: Duration,
    /// Addresses.
    most: usize,
}

/// Up to a tenth less, so that names that came together are not asked for together.
fn spread(pause: Duration) -> Duration {
    pause - pause.mul_f64(fastrand::f64() / 10.0)
}

async fn watch(asking: Asking, changes: mpsc::Sender<Resolved>) {
    let Asking { resolver, turns, name, refresh, most } = asking;
    let mut known: Option<Vec<IpAddr>> = None;
    loop {
        let answer = {
            let Ok(_turn) = turns.acquire().await else { return };
            resolver.lookup_ip(name.as_str()).await
        };
        let pause = match answer {
            Ok(answer) => {
                let mut addresses: Vec<IpAddr> = answer.iter().collect();
                addresses.sort_unstable();
                addresses.dedup();
                addresses.truncate(most);
                if known.as_ref() != Some(&addresses) {
                    debug!(name, addresses = ?addresses, "resolved");
                    known = Some(addresses.clone());
                    if changes.send(Resolved { name: name.clone(), addresses }).await.is_err() {
                        return;
                    }
                }
                let life = answer.valid_until().saturating_duration_since(Instant::now());
                refresh.min(life).max(MIN_REFRESH)
            }
            Err(error) if error.is_no_records_found() && known.as_ref().is_none_or(|known| !known.is_empty()) => {
                warn!(name, error = %error, "name has no addresses");
                known = Some(Vec::new());
                if changes.send(Resolved { name: name.clone(), addresses: Vec::new() }).await.is_err() {
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
        tokio::time::sleep(spread(pause)).await;
    }
}

/// The sockets of a resolved name.
pub(crate) fn sockets(addresses: &[IpAddr], port: u16, first_only: bool) -> impl Iterator<Item = SocketAddr> {
    let count = if first_only { 1 } else { addresses.len() };
    addresses.iter().take(count).map(move |ip| SocketAddr::new(*ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_beyond_the_limit_are_told_and_those_that_were_first_are_kept() {
        let (changes, _received) = mpsc::channel(1);
        let mut resolver = Resolver::new(changes, Bounds { names: 2, queries: 1, addresses_per_name: 1 });
        let names = |all: &[&str]| all.iter().map(|it| ((*it).to_owned(), Duration::from_secs(60))).collect();
        let set = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect::<HashSet<_>>();
        assert_eq!(resolver.follow(&names(&["m.invalid", "n.invalid"])), set(&[]));
        let all = names(&["a.invalid", "b.invalid", "m.invalid", "n.invalid"]);
        assert_eq!(resolver.follow(&all), set(&["a.invalid", "b.invalid"]));
        assert_eq!(resolver.following.len(), 2);
        assert_eq!(resolver.follow(&names(&["a.invalid", "b.invalid", "n.invalid"])), set(&["b.invalid"]));
        assert_eq!(resolver.follow(&names(&[])), set(&[]));
        assert!(resolver.following.is_empty());
    }
}
