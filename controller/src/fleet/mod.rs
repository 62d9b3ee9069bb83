//! All connected proxies and what they are to be told: the objects in force, one translation per distinct scope, and
//! who has what. One thread owns all of it and takes one step after the other; connections read what it publishes. Knows
//! neither the API server nor the wire.

mod log;
mod member;
mod metrics;
mod objects;
mod pod;
mod scope;
mod serving;
mod state;
mod status;
mod steps;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crds::{Body, MeshConfig, Object, ObjectKey, ObjectKind};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};
use translate::{ProxyScope, World};

pub(crate) use log::size;
pub use log::{Cursor, Position, Slice};
pub use member::{Answer, Ended, Member, Nack, ProxyInfo, Refused};
pub use metrics::FleetMetrics;
pub use pod::{Home, scope as scope_of_pod};
pub use scope::{Pull, Scope};
pub use state::JoinError;
pub use status::{Dirty, Latency, ObjectStatus, Proxies};

use crate::identity::Workloads;
use crate::source::kube::{KubeBatch, SecretRef};
use state::State;

/// How long a proxy waits for its pod to be known here: its watch event may be behind the proxy itself.
const POD_WAIT: Duration = Duration::from_secs(10);
/// How many messages to the fleet may wait.
const QUEUE: usize = 4096;

/// A handle; all of them are of the same fleet.
#[derive(Clone, Debug)]
pub struct Fleet {
    messages: mpsc::Sender<Message>,
    secrets: watch::Receiver<BTreeSet<SecretRef>>,
    synced: watch::Receiver<bool>,
    dirty: watch::Receiver<u64>,
    mesh: watch::Receiver<Arc<MeshConfig>>,
    blind: watch::Receiver<bool>,
    workloads: Arc<Workloads>,
}

enum Message {
    Join { info: ProxyInfo, reply: oneshot::Sender<Result<Arc<Member>, JoinError>>, until: Instant },
    Leave(Arc<Member>),
    Answered(Arc<Member>, Answer, Instant),
    TakeDirty(oneshot::Sender<Dirty>),
    MarkAllDirty,
    Shadow(Vec<ProxyScope>),
    Status(Vec<ObjectKey>, oneshot::Sender<Vec<ObjectStatus>>),
    Ask(Box<dyn FnOnce(&State) + Send>),
}

/// The fleet is gone, which happens only when the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the controller is ending")]
pub struct Gone;

/// A connected proxy, for people.
#[derive(Clone, Debug)]
pub struct Connected {
    pub member: Arc<Member>,
    pub in_sync: bool,
}

impl Fleet {
    /// Starts a fleet that follows a source. It ends when no handle is left. A source that ends before `stop` says so is a
    /// failure ([`Fleet::blind`]).
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        home: Home,
        batches: mpsc::Receiver<KubeBatch>,
        metrics: FleetMetrics,
        stop: CancellationToken,
    ) -> std::io::Result<Self> {
        let (messages, received) = mpsc::channel(QUEUE);
        let (secrets, secrets_seen) = watch::channel(BTreeSet::new());
        let (synced, synced_seen) = watch::channel(false);
        let (dirty, dirty_seen) = watch::channel(0);
        let (mesh, mesh_seen) = watch::channel(Arc::default());
        let mesh_key = ObjectKey::new(ObjectKind::ConfigMap, &home.control_namespace, "istio");
        let mesh = MeshWatch { key: mesh_key, read: None, told: mesh };
        let (blind, blind_seen) = watch::channel(false);
        let state = State::new(home);
        let workloads = Arc::clone(&state.workloads);
        let owner = Owner { state, parked: Vec::new(), secrets, synced, dirty, mesh, blind, metrics, stop };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        std::thread::Builder::new()
            .name("fleet".to_owned())
            .spawn(move || runtime.block_on(owner.run(batches, received)))?;
        Ok(Self {
            messages,
            secrets: secrets_seen,
            synced: synced_seen,
            dirty: dirty_seen,
            mesh: mesh_seen,
            blind: blind_seen,
            workloads,
        })
    }

    /// Enters a proxy whose identity is proven.
    ///
    /// # Errors
    /// When there is no such pod, or it does not run as that service account.
    pub async fn join(&self, info: ProxyInfo) -> Result<Arc<Member>, JoinError> {
        let (reply, answer) = oneshot::channel();
        let until = Instant::now() + POD_WAIT;
        if self.messages.send(Message::Join { info, reply, until }).await.is_err() {
            return Err(JoinError::NotSynced);
        }
        answer.await.unwrap_or(Err(JoinError::NotSynced))
    }

    /// Removes a proxy. Can be called where nothing can be waited for.
    pub fn leave(&self, member: Arc<Member>) {
        if let Err(mpsc::error::TrySendError::Full(message)) = self.messages.try_send(Message::Leave(member)) {
            let messages = self.messages.clone();
            // Whoever leaves must be taken off the list, even if that has to wait.
            tokio::spawn(async move { messages.send(message).await.is_ok() });
        }
    }

    /// Takes a proxy's answer to a push.
    pub async fn answered(&self, member: &Arc<Member>, answer: Answer) {
        let message = Message::Answered(Arc::clone(member), answer, Instant::now());
        if self.messages.send(message).await.is_err() {
            debug!("an answer came while the controller ends");
        }
    }

    /// The secrets that proxies need.
    #[must_use]
    pub fn wanted_secrets(&self) -> watch::Receiver<BTreeSet<SecretRef>> {
        self.secrets.clone()
    }

    /// The pods that run as each service account, kept current.
    #[must_use]
    pub fn workloads(&self) -> Arc<Workloads> {
        Arc::clone(&self.workloads)
    }

    /// Whether the cluster's state has been read.
    #[must_use]
    pub fn synced(&self) -> watch::Receiver<bool> {
        self.synced.clone()
    }

    /// Becomes true when nothing more will be heard of the cluster: the process should end and be started anew.
    #[must_use]
    pub fn blind(&self) -> watch::Receiver<bool> {
        self.blind.clone()
    }

    /// MeshConfig, the last one that could be read.
    #[must_use]
    pub fn mesh(&self) -> watch::Receiver<Arc<MeshConfig>> {
        self.mesh.clone()
    }

    /// Changes whenever [`Fleet::take_dirty`] has something to say.
    #[must_use]
    pub fn dirty(&self) -> watch::Receiver<u64> {
        self.dirty.clone()
    }

    /// Takes the list of objects whose status may differ from what was last asked.
    ///
    /// # Errors
    /// When the controller ends.
    pub async fn take_dirty(&self) -> Result<Dirty, Gone> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::TakeDirty(reply)).await?;
        answer.await.map_err(|_| Gone)
    }

    /// Puts every object on the list that [`Fleet::take_dirty`] takes.
    ///
    /// # Errors
    /// When the controller ends.
    pub async fn mark_all_dirty(&self) -> Result<(), Gone> {
        self.send(Message::MarkAllDirty).await
    }

    /// What there is to say about objects; those that are gone are left out.
    ///
    /// # Errors
    /// When the controller ends.
    pub async fn status_of(&self, keys: Vec<ObjectKey>) -> Result<Vec<ObjectStatus>, Gone> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Status(keys, reply)).await?;
        answer.await.map_err(|_| Gone)
    }

    /// Every connected proxy.
    ///
    /// # Errors
    /// When the controller ends.
    pub async fn connected(&self) -> Result<Vec<Connected>, Gone> {
        self.ask(|state| {
            let members = state.scopes.values().flat_map(|serving| serving.members.values());
            members.map(|member| Connected { member: Arc::clone(member), in_sync: member.in_sync() }).collect()
        })
        .await
    }

    /// What tells the proxies apart that are connected here.
    ///
    /// # Errors
    /// When the controller ends.
    pub async fn served(&self) -> Result<Vec<ProxyScope>, Gone> {
        self.ask(State::served).await
    }

    /// Says which proxies other replicas serve, all of them: what is wrong with objects for them is told here, too.
    ///
    /// # Errors
    /// When the controller ends.
    pub async fn shadow(&self, proxies: Vec<ProxyScope>) -> Result<(), Gone> {
        self.send(Message::Shadow(proxies)).await
    }

    /// The objects in force.
    ///
    /// # Errors
    /// When the controller ends.
    pub async fn world(&self) -> Result<World, Gone> {
        self.ask(|state| state.world.clone()).await
    }

    async fn ask<T: Send + 'static>(&self, question: impl FnOnce(&State) -> T + Send + 'static) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        let asked = Box::new(move |state: &State| {
            // Whoever asked may have gone away meanwhile.
            let _ = reply.send(question(state));
        });
        self.send(Message::Ask(asked)).await?;
        answer.await.map_err(|_| Gone)
    }

    async fn send(&self, message: Message) -> Result<(), Gone> {
        self.messages.send(message).await.map_err(|_| Gone)
    }
}

/// A proxy that waits for its pod.
struct Parked {
    info: ProxyInfo,
    reply: oneshot::Sender<Result<Arc<Member>, JoinError>>,
    until: Instant,
}

/// The one who may change the state.
struct Owner {
    state: State,
    parked: Vec<Parked>,
    secrets: watch::Sender<BTreeSet<SecretRef>>,
    synced: watch::Sender<bool>,
    dirty: watch::Sender<u64>,
    mesh: MeshWatch,
    blind: watch::Sender<bool>,
    metrics: FleetMetrics,
    stop: CancellationToken,
}

/// MeshConfig for those who do not translate.
struct MeshWatch {
    key: ObjectKey,
    read: Option<Arc<Object>>,
    told: watch::Sender<Arc<MeshConfig>>,
}

impl MeshWatch {
    fn follow(&mut self, world: &World) {
        let now = world.get(&self.key);
        let same = match (now, &self.read) {
            (Some(now), Some(read)) => Arc::ptr_eq(now, read),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if same {
            return;
        }
        self.read = now.cloned();
        let text = match now.map(|object| &object.body) {
            Some(Body::ConfigMap(map)) => map.data.get("mesh").map_or("", String::as_str),
            _ => "",
        };
        // What is wrong with it is reported where it is translated.
        if let Ok(read) = crds::yaml::read_mesh_config(text) {
            self.told.send_replace(Arc::new(read.config));
        }
    }
}

impl Owner {
    async fn run(mut self, mut batches: mpsc::Receiver<KubeBatch>, mut messages: mpsc::Receiver<Message>) {
        let mut source_open = true;
        loop {
            let deadline = self.state.deadline().into_iter().chain(self.parked.iter().map(|one| one.until)).min();
            let wait = tokio::time::sleep_until(deadline.unwrap_or_else(far).into());
            tokio::select! {
                // Answers first: they are short, and the next push waits for them.
                biased;
                message = messages.recv() => match message {
                    Some(message) => self.message(message),
                    None => return,
                },
                batch = batches.recv(), if source_open => match batch {
                    Some(batch) => self.batch(batch, &mut batches),
                    None if self.stop.is_cancelled() => source_open = false,
                    None => {
                        error!("the source of objects has ended; proxies keep what they have");
                        source_open = false;
                        self.blind.send_replace(true);
                    }
                },
                () = wait, if deadline.is_some() => self.state.publish(Instant::now()),
            }
            self.unpark();
            self.tell();
        }
    }

    /// Takes a batch, and all that came behind it while the one before was worked on.
    fn batch(&mut self, mut batch: KubeBatch, more: &mut mpsc::Receiver<KubeBatch>) {
        while let Ok(KubeBatch { events, answered, noticed, synced }) = more.try_recv() {
            batch.events.extend(events);
            batch.answered.extend(answered);
            batch.noticed = batch.noticed.min(noticed);
            batch.synced |= synced;
        }
        let waited = batch.noticed.elapsed();
        let outcome = self.state.batch(batch, Instant::now());
        self.metrics.batch(outcome.objects, outcome.units_run, waited, outcome.translated);
    }

    fn message(&mut self, message: Message) {
        match message {
            Message::Join { info, reply, until } => self.parked.push(Parked { info, reply, until }),
            Message::Leave(member) => {
                info!(proxy = %member.info.name(), "a proxy is gone");
                self.state.leave(&member);
                self.metrics.proxies.dec();
            }
            Message::Answered(member, answer, at) => {
                self.metrics.answer(&answer);
                for wait in self.state.answered(&member, &answer, at, SystemTime::now()) {
                    self.metrics.convergence.observe(wait.as_secs_f64());
                }
            }
            Message::TakeDirty(reply) => {
                let _ = reply.send(self.state.take_dirty());
            }
            Message::MarkAllDirty => self.state.mark_all_dirty(),
            Message::Shadow(proxies) => self.state.shadow(proxies, Instant::now()),
            Message::Status(keys, reply) => {
                let _ = reply.send(keys.iter().filter_map(|key| self.state.status_of(key)).collect());
            }
            Message::Ask(question) => question(&self.state),
        }
    }

    fn unpark(&mut self) {
        let now = Instant::now();
        for Parked { info, reply, until } in std::mem::take(&mut self.parked) {
            if reply.is_closed() {
                continue;
            }
            match self.state.scope_of(&info) {
                Err(JoinError::UnknownPod { .. } | JoinError::NotSynced) if now < until => {
                    self.parked.push(Parked { info, reply, until });
                }
                Err(error) => {
                    let _ = reply.send(Err(error));
                }
                Ok(_) => {
                    let name = info.name();
                    let joined = self.state.join(info, now, SystemTime::now());
                    let is_new = joined.is_ok();
                    match reply.send(joined) {
                        Ok(()) if is_new => {
                            info!(proxy = name, "a proxy is connected");
                            self.metrics.proxies.inc();
                        }
                        Err(Ok(member)) => self.state.leave(&member),
                        Ok(()) | Err(Err(_)) => {}
                    }
                }
            }
        }
    }

    /// Tells the others what is new.
    fn tell(&mut self) {
        if let Some(wanted) = self.state.wanted_secrets() {
            self.secrets.send_replace(wanted);
        }
        self.mesh.follow(&self.state.world);
        if self.state.synced && !*self.synced.borrow() {
            info!(objects = self.state.objects.len(), "the cluster's state has been read");
            self.synced.send_replace(true);
        }
        if self.state.is_dirty() {
            self.dirty.send_modify(|count| *count += 1);
        }
    }
}

/// Later than anything that is waited for.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

#[cfg(test)]
mod tests;
