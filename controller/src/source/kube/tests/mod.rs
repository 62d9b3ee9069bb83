//! The whole source against an API server that fails on demand.

mod faults;
mod kinds;
mod secrets;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crds::{ObjectKey, ObjectKind};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{KubeBatch, KubeOptions, KubeSource, ObjectEvent, SecretRef};
use crate::telemetry::{Metrics, WatchMetrics};
use server::Server;

/// A source that follows a server, and what it has told so far.
struct Bench {
    server: Server,
    source: KubeSource,
    batches: mpsc::Receiver<KubeBatch>,
    metrics: WatchMetrics,
    /// The versions told last.
    objects: BTreeMap<String, String>,
    answered: BTreeSet<SecretRef>,
}

impl Bench {
    /// After the first batch.
    async fn start(server: Server) -> Self {
        let mut bench = Self::begin(server, |_| {});
        assert!(bench.next().await.synced);
        bench
    }

    fn begin(server: Server, change: impl FnOnce(&mut KubeOptions)) -> Self {
        let metrics = Metrics::new().unwrap().watch;
        let mut options = KubeOptions::new("mesh", metrics.clone());
        options.retry_first = Duration::from_millis(2);
        options.retry_most = Duration::from_millis(20);
        options.look_again = Duration::from_secs(60);
        options.missing_grace = Duration::from_millis(150);
        change(&mut options);
        let (source, batches) = KubeSource::start(server.client(), options);
        Self { server, source, batches, metrics, objects: BTreeMap::new(), answered: BTreeSet::new() }
    }

    async fn next(&mut self) -> KubeBatch {
        let batch = tokio::time::timeout(Duration::from_secs(10), self.batches.recv()).await;
        let batch = batch.expect("a batch in time").expect("the source goes on");
        for event in &batch.events {
            let key = event.key().to_string();
            match event {
                ObjectEvent::Applied { revision, .. } => self.objects.insert(key, revision.resource_version.clone()),
                ObjectEvent::Unreadable { .. } => self.objects.insert(key, "unreadable".to_owned()),
                ObjectEvent::Deleted { .. } => self.objects.remove(&key),
            };
        }
        self.answered.extend(batch.answered.iter().cloned());
        batch
    }

    /// Takes batches until this is so.
    async fn until(&mut self, is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) {
            self.next().await;
        }
    }

    fn has(&self, key: &str) -> bool {
        self.objects.contains_key(key)
    }

    /// Nothing is told for a while in which it would have been.
    async fn quiet(&mut self) {
        let batch = tokio::time::timeout(Duration::from_millis(100), self.batches.recv()).await;
        assert!(batch.is_err(), "{batch:?}");
    }

    async fn requests(&self, parts: &[&str], at_least: usize) {
        for _ in 0..1_000 {
            if self.server.count(parts) >= at_least {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no {at_least} requests with {parts:?}: {:#?}", self.server.requests());
    }

    fn want(&self, names: &[&str]) {
        self.source.want_secrets(names.iter().map(|name| secret(name)).collect());
    }

    fn errors(&self, kind: ObjectKind, reason: &str) -> u64 {
        self.metrics.errors.with_label_values(&[kind.as_str(), reason]).get()
    }

    fn count(&self, kind: ObjectKind) -> i64 {
        self.metrics.objects.with_label_values(&[kind.as_str()]).get()
    }
}

fn secret(name: &str) -> SecretRef {
    SecretRef { namespace: "shop".to_owned(), name: name.to_owned() }
}

fn gateway(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "shop", "generation": 1},
        "spec": {"servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]},
        "status": {"observedGeneration": "1"},
    })
}

fn deleted(batch: &KubeBatch) -> Vec<ObjectKey> {
    let key = |event: &ObjectEvent| match event {
        ObjectEvent::Deleted { key } => Some(key.clone()),
        ObjectEvent::Applied { .. } | ObjectEvent::Unreadable { .. } => None,
    };
    batch.events.iter().filter_map(key).collect()
}
