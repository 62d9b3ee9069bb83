//! Requests that never stop, to show that nobody notices a change.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use tokio::task::JoinHandle;

use crate::H1;

/// Reasons kept; the rest is only counted.
const REASONS: usize = 20;

/// What is asked for.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub host: String,
    pub path: String,
    pub tls: Option<Arc<ClientConfig>>,
    /// Between two requests of one connection.
    pub pause: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Answers with 200.
    pub good: u64,
    /// Good answers by the backend that gave them.
    pub backends: BTreeMap<String, u64>,
    /// Everything else: other answers, and requests without one.
    pub failed: u64,
    /// When, and why, for the first of them.
    pub reasons: Vec<String>,
    /// Requests sent again because a connection that had served before was closed below them, which a client may do and
    /// every client does. On a fresh connection it is a failure.
    pub retried: u64,
}

/// Goes on until it is stopped or dropped.
pub struct Load {
    start: Instant,
    ended: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
    workers: Vec<JoinHandle<()>>,
}

impl Target {
    /// Plain HTTP to `/`, a request per connection and 10 ms.
    #[must_use]
    pub fn plain(address: SocketAddr, host: &str) -> Self {
        Self { address, host: host.to_owned(), path: "/".to_owned(), tls: None, pause: Duration::from_millis(10) }
    }

    async fn connect(&self) -> anyhow::Result<H1> {
        match &self.tls {
            Some(config) => H1::connect_tls(self.address, &self.host, Arc::clone(config)).await,
            None => H1::connect(self.address).await,
        }
    }
}

impl Tally {
    /// # Panics
    /// When a request failed, or there was none.
    pub fn assert_none_failed(&self) {
        assert!(self.good > 0 && self.failed == 0, "{self:#?}");
    }
}

impl Load {
    /// With this many connections.
    #[must_use]
    pub fn start(target: &Target, connections: usize) -> Self {
        let mut load =
            Self { start: Instant::now(), ended: Arc::default(), tally: Arc::default(), workers: Vec::new() };
        for _ in 0..connections {
            let (target, ended, tally) = (target.clone(), Arc::clone(&load.ended), Arc::clone(&load.tally));
            load.workers.push(tokio::spawn(work(target, ended, tally, load.start)));
        }
        load
    }

    /// The tally so far.
    #[must_use]
    pub fn so_far(&self) -> Tally {
        lock(&self.tally).clone()
    }

    /// Lets every request that is under way come to its end.
    ///
    /// # Panics
    /// When a worker did.
    pub async fn stop(mut self) -> Tally {
        self.ended.store(true, Ordering::Relaxed);
        for worker in std::mem::take(&mut self.workers) {
            worker.await.expect("workers do not panic");
        }
        println!("{:?} of load: {:?}", self.start.elapsed(), self.so_far());
        self.so_far()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.abort();
        }
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn work(target: Target, ended: Arc<AtomicBool>, tally: Arc<Mutex<Tally>>, start: Instant) {
    let fail = |why: String| {
        let mut tally = lock(&tally);
        tally.failed += 1;
        if tally.reasons.len() < REASONS {
            tally.reasons.push(format!("{:?}: {why}", start.elapsed()));
        }
    };
    // With the number of answers it has given.
    let mut connection: Option<(H1, u64)> = None;
    while !ended.load(Ordering::Relaxed) {
        let (mut client, served) = match connection.take() {
            Some(kept) => kept,
            None => match target.connect().await {
                Ok(client) => (client, 0),
                Err(error) => {
                    fail(format!("no connection: {error:#}"));
                    tokio::time::sleep(target.pause).await;
                    continue;
                }
            },
        };
        match client.get(&target.host, &target.path).await {
            Ok(reply) => {
                if reply.status == 200 {
                    let mut tally = lock(&tally);
                    tally.good += 1;
                    *tally.backends.entry(reply.backend().to_owned()).or_default() += 1;
                } else {
                    fail(format!("{} {}", reply.status, reply.text()));
                }
                if !reply.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                    connection = Some((client, served + 1));
                }
                tokio::time::sleep(target.pause).await;
            }
            Err(_) if served > 0 => lock(&tally).retried += 1,
            Err(error) => fail(format!("no answer: {error:#}")),
        }
    }
}
