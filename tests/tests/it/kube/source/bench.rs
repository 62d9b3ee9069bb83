//! A source that follows a control plane, what it has told so far, and a wire to it that can be cut.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use controller::source::kube::{KubeBatch, KubeOptions, KubeSource, ObjectEvent, SecretRef};
use controller::telemetry::{Metrics, WatchMetrics};
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use sluice_tests::kube::ControlPlane;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

/// An API server that has just started takes a while, on a busy machine a long one; and this is longer than a client
/// needs to give up a connection that has died without a word.
const PATIENCE: Duration = Duration::from_secs(150);

pub(super) struct Bench {
    pub(super) source: KubeSource,
    batches: mpsc::Receiver<KubeBatch>,
    metrics: WatchMetrics,
    /// What was told last about each object: its `resourceVersion` and `apiVersion`.
    pub(super) objects: BTreeMap<String, (String, String)>,
    /// Every object that was ever told as deleted.
    pub(super) deleted: BTreeSet<String>,
    pub(super) answered: BTreeSet<SecretRef>,
}

impl Bench {
    /// After the first batch.
    pub(super) async fn start(client: Client, namespace: &str) -> Self {
        let mut bench = Self::begin(client, namespace);
        assert!(bench.next().await.synced);
        bench
    }

    pub(super) fn begin(client: Client, namespace: &str) -> Self {
        let metrics = Metrics::new().unwrap().watch;
        let mut options = KubeOptions::new(namespace, metrics.clone());
        options.retry_most = Duration::from_secs(1);
        // Kinds that come are noticed, or not found at all.
        options.look_again = Duration::from_secs(600);
        let (source, batches) = KubeSource::start(client, options);
        let (objects, deleted, answered) = Default::default();
        Self { source, batches, metrics, objects, deleted, answered }
    }

    pub(super) async fn next(&mut self) -> KubeBatch {
        let batch = tokio::time::timeout(PATIENCE, self.batches.recv()).await;
        let batch = batch.expect("a batch in time").expect("the source goes on");
        self.take(&batch);
        batch
    }

    fn take(&mut self, batch: &KubeBatch) {
        for event in &batch.events {
            let key = event.key().to_string();
            match event {
                ObjectEvent::Applied { revision, .. } => {
                    let told = (revision.resource_version.clone(), revision.api_version.clone());
                    self.objects.insert(key, told);
                }
                // Other tests that share the control plane may well want that.
                ObjectEvent::Unreadable { errors, .. } => eprintln!("{key}: {errors:?}"),
                ObjectEvent::Deleted { .. } => {
                    self.objects.remove(&key);
                    self.deleted.insert(key);
                }
            }
        }
        self.answered.extend(batch.answered.iter().cloned());
    }

    /// Takes batches until this is so.
    pub(super) async fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !is_so(self) {
            match tokio::time::timeout_at(deadline, self.batches.recv()).await {
                Ok(batch) => self.take(&batch.expect("the source goes on")),
                Err(_) => panic!("waited in vain until {what}: {:#?}", self.objects),
            }
        }
    }

    /// Takes batches for a while.
    pub(super) async fn during(&mut self, time: Duration) {
        let deadline = tokio::time::Instant::now() + time;
        while let Ok(batch) = tokio::time::timeout_at(deadline, self.batches.recv()).await {
            self.take(&batch.expect("the source goes on"));
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.objects.contains_key(key)
    }

    pub(super) fn version(&self, key: &str) -> &str {
        self.objects.get(key).map_or("", |(version, _)| version)
    }

    pub(super) fn api_version(&self, key: &str) -> &str {
        self.objects.get(key).map_or("", |(_, version)| version)
    }

    pub(super) fn errors(&self, kind: &str, reason: &str) -> u64 {
        self.metrics.errors.with_label_values(&[kind, reason]).get()
    }
}

/// A way to the API server that can be cut: every connection breaks, and none can be made.
pub(super) struct Wire {
    address: SocketAddr,
    open: watch::Sender<bool>,
}

impl Wire {
    pub(super) async fn to(plane: &ControlPlane) -> Self {
        let target = plane.url().trim_start_matches("https://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, mut is_open) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let target = target.clone();
                if !*is_open.borrow_and_update() {
                    continue;
                }
                let mut is_open = is_open.clone();
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(target).await else { return };
                    tokio::select! {
                        _ = is_open.changed() => {}
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    }
                });
            }
        });
        Self { address, open }
    }

    pub(super) fn cut(&self) {
        self.open.send_replace(false);
    }

    pub(super) fn mend(&self) {
        self.open.send_replace(true);
    }

    /// A client of this user that goes this way.
    pub(super) async fn client(&self, plane: &ControlPlane, user: &str) -> Client {
        let mut kubeconfig = Kubeconfig::read_from(plane.kubeconfig(user)).unwrap();
        for cluster in &mut kubeconfig.clusters {
            cluster.cluster.as_mut().unwrap().server = Some(format!("https://{}", self.address));
        }
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        controller::source::kube::prepare(&mut config);
        Client::try_from(config).unwrap()
    }
}
