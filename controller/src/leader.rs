//! Who of several controllers writes: the one that holds the Lease `sluice-leader`. All serve; this is only about
//! writing (docs/security.md, R-9).
//!
//! Written here rather than taken from a crate, because those there are judge a lease by the wall clock of another
//! machine, and take an abandoned one without naming the version they replace, which leaves two holders for seconds.

mod elector;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::owner::Owner;
use elector::{Elector, Move, Term};

/// The longest that one request about the lease may take.
const REQUEST: Duration = Duration::from_secs(3);

/// How leaders are chosen.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the Lease is.
    pub namespace: String,
    pub name: String,
    /// Names this process; no other living one may use it. The name of the pod does.
    pub identity: String,
    /// After this long without a renewal another one may take over. With `retry_period`, by which the last renewal may
    /// have been noticed late, a dead leader is replaced within 15 s.
    pub lease_duration: Duration,
    /// After this long without a renewal the leader stops writing by itself. What is left of the lease then is for writes
    /// that are on their way.
    pub renew_deadline: Duration,
    /// Time between two renewals, and between two looks at somebody else's lease.
    pub retry_period: Duration,
    /// Owns the Lease.
    pub owner: Option<Owner>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            namespace: "istio-system".to_owned(),
            name: "sluice-leader".to_owned(),
            identity: "sluice-controller".to_owned(),
            lease_duration: Duration::from_secs(12),
            renew_deadline: Duration::from_secs(8),
            retry_period: Duration::from_secs(2),
            owner: None,
        }
    }
}

/// Whether this process may write. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Leadership {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    held: watch::Sender<bool>,
    term: Mutex<Option<Term>>,
    /// Read by writes that are on their way, so that a release can wait for them.
    writes: tokio::sync::RwLock<()>,
}

/// The lease is not held, or ran out while the write was on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this controller is not the leader")]
pub struct NotLeader;

impl Leadership {
    /// Follows from outside: true while the lease is held. For starting and stopping; each write asks again.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.inner.held.subscribe()
    }

    /// Whether a write may begin now. Asks the clock, so it is right even in a process that was stopped and goes on.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.term().is_some_and(|term| Instant::now() < term.begins_before)
    }

    /// Makes one write if the lease is held, and gives it up before anybody else can hold it.
    ///
    /// # Errors
    /// When the lease is not held, or the write was not answered in time.
    pub async fn write<T>(&self, write: impl Future<Output = T>) -> Result<T, NotLeader> {
        let _on_its_way = self.inner.writes.read().await;
        let term = self.term().filter(|term| Instant::now() < term.begins_before).ok_or(NotLeader)?;
        tokio::time::timeout_at(term.ends_before.into(), write).await.map_err(|_| NotLeader)
    }

    /// For a control plane that is alone: writes always, or never.
    #[must_use]
    pub fn fixed(held: bool) -> Self {
        let leadership = Self::none();
        let far = Instant::now() + Duration::from_secs(100 * 365 * 24 * 3_600);
        leadership.set(held.then_some(Term { begins_before: far, ends_before: far }));
        leadership
    }

    fn none() -> Self {
        let inner =
            Inner { held: watch::Sender::new(false), term: Mutex::new(None), writes: tokio::sync::RwLock::new(()) };
        Self { inner: Arc::new(inner) }
    }

    fn term(&self) -> Option<Term> {
        *self.inner.term.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, term: Option<Term>) {
        *self.inner.term.lock().unwrap_or_else(PoisonError::into_inner) = term;
        let held = term.is_some();
        self.inner.held.send_if_modified(|before| std::mem::replace(before, held) != held);
    }

    #[cfg(test)]
    pub(crate) fn lose(&self) {
        self.set(None);
    }

    #[cfg(test)]
    pub(crate) fn gain(&self) {
        self.set(Self::fixed(true).term());
    }
}

/// Takes part in the election until told to stop, and then releases the lease. The task ends when that is done.
#[must_use]
pub fn start(client: kube::Client, options: Options, stop: CancellationToken) -> (Leadership, JoinHandle<()>) {
    let leadership = Leadership::none();
    let election = Election {
        leases: Api::namespaced(client, &options.namespace),
        elector: Elector::new(options.clone()),
        adopts: options.owner.clone(),
        options,
        known: None,
        leadership: leadership.clone(),
        troubled: false,
    };
    (leadership, tokio::spawn(election.run(stop)))
}

struct Election {
    leases: Api<Lease>,
    options: Options,
    elector: Elector,
    /// Our own last version: while nobody interferes a renewal is one request.
    known: Option<Lease>,
    leadership: Leadership,
    troubled: bool,
    /// Has not yet made a Lease that it found its own.
    adopts: Option<Owner>,
}

/// Why an attempt came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("somebody else was faster")]
    Conflict,
    #[error("the API server did not answer in time")]
    Timeout,
    #[error(transparent)]
    Kube(#[from] kube::Error),
}

impl Election {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let wait = tokio::select! {
                wait = self.attempt() => wait,
                () = stop.cancelled() => break,
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => break,
            }
            self.notice();
        }
        self.release().await;
    }

    /// One look, and one write where that is called for. Returns how long to wait for the next.
    async fn attempt(&mut self) -> Duration {
        let outcome = self.step().await;
        self.notice();
        let period = self.options.retry_period;
        match outcome {
            Ok(wait) => {
                self.troubled = false;
                // Jitter, so that followers do not come all at once.
                return wait.mul_f64(1.0 + fastrand::f64() * 0.05);
            }
            Err(Failure::Conflict) => {
                self.known = None;
                return Duration::from_millis(50 + fastrand::u64(..200)).min(period);
            }
            Err(failure) => {
                self.known = None;
                if !std::mem::replace(&mut self.troubled, true) {
                    warn!(%failure, lease = %self.options.name, "cannot take part in the choice of a leader; trying on");
                }
            }
        }
        // The end of the term must not be slept through.
        let left = self.elector.term(Instant::now()).map(|term| term.begins_before - Instant::now());
        period.min(left.unwrap_or(period))
    }

    async fn step(&mut self) -> Result<Duration, Failure> {
        let lease = match self.known.take() {
            Some(lease) => lease,
            None => match answered(self.leases.get_opt(&self.options.name)).await? {
                Some(lease) => self.adopt(lease).await,
                None => self.create().await?,
            },
        };
        let found = lease.spec.clone().unwrap_or_default();
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        match self.elector.decide(&version, &found, Instant::now(), Timestamp::now()) {
            Move::Wait(wait) => Ok(wait),
            Move::Put(spec) => {
                self.put(lease, *spec).await?;
                Ok(self.options.retry_period)
            }
        }
    }

    /// Makes an empty one, for whoever is fastest to take.
    async fn create(&self) -> Result<Lease, Failure> {
        let owner_references = self.options.owner.as_ref().map(|owner| vec![owner.reference()]);
        let metadata = ObjectMeta { name: Some(self.options.name.clone()), owner_references, ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(LeaseSpec::default()) };
        answered(self.leases.create(&PostParams::default(), &lease)).await
    }

    /// Apart from the choice of a leader, which must not depend on it: clusters may forbid to change owners.
    async fn adopt(&mut self, lease: Lease) -> Lease {
        let Some(owner) = self.adopts.take() else { return lease };
        match answered(owner.adopt(&self.leases, lease.clone())).await {
            Ok(adopted) => return adopted,
            // It was renewed meanwhile.
            Err(Failure::Conflict) => self.adopts = Some(owner),
            Err(failure) => {
                warn!(%failure, lease = %self.options.name, "the Lease gets no owner; it will outlive the controller");
            }
        }
        lease
    }

    async fn put(&mut self, found: Lease, spec: LeaseSpec) -> Result<(), Failure> {
        let lease = Lease { spec: Some(spec), ..found };
        let sent = Instant::now();
        // Names the version it replaces: it fails when that is not the last one any more.
        let put = answered(self.leases.replace(&self.options.name, &PostParams::default(), &lease)).await?;
        let held = self.leadership.holds();
        let term = self.elector.confirmed(put.metadata.resource_version.as_deref().unwrap_or_default(), sent);
        self.known = Some(put);
        self.leadership.set(Some(term));
        if !held {
            info!(lease = %self.options.name, identity = %self.options.identity, "this controller is the leader now");
        }
        Ok(())
    }

    /// Tells everybody when the term is over.
    fn notice(&self) {
        if self.elector.term(Instant::now()).is_none() && self.leadership.term().is_some() {
            self.leadership.set(None);
            warn!(lease = %self.options.name, "this controller is not the leader any more");
        }
    }

    async fn release(mut self) {
        let held = self.leadership.holds();
        self.leadership.set(None);
        if !held {
            return;
        }
        // Nobody may take over while a write of ours is on its way.
        let writes = self.leadership.inner.writes.write();
        if tokio::time::timeout(REQUEST, writes).await.is_err() {
            debug!("a write takes too long; the lease is left to run out");
            return;
        }
        let released = async {
            let lease = match self.known.take() {
                Some(lease) => Some(lease),
                None => answered(self.leases.get_opt(&self.options.name)).await?,
            };
            let Some(lease) = lease else { return Ok(()) };
            let found = lease.spec.clone().unwrap_or_default();
            if found.holder_identity.as_deref() != Some(self.options.identity.as_str()) {
                return Ok(());
            }
            let lease = Lease { spec: Some(self.elector.released(&found, Timestamp::now())), ..lease };
            answered(self.leases.replace(&self.options.name, &PostParams::default(), &lease)).await?;
            Ok::<(), Failure>(())
        };
        match released.await {
            Ok(()) => info!(lease = %self.options.name, "released the leadership"),
            Err(failure) => debug!(%failure, "cannot release the lease; it runs out by itself"),
        }
    }
}

async fn answered<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(REQUEST, request).await {
        Err(_) => Err(Failure::Timeout),
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Err(Failure::Conflict),
        Ok(answer) => Ok(answer?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn writes_need_the_lease_and_end_before_it_does() {
        let leadership = Leadership::none();
        assert_eq!(leadership.write(async { 1 }).await, Err(NotLeader));
        leadership.gain();
        assert_eq!(leadership.write(async { 1 }).await, Ok(1));
        assert!(*leadership.watch().borrow());
        // As after a long pause: nobody has noticed yet that the time is over.
        let past = Instant::now();
        leadership.set(Some(Term { begins_before: past, ends_before: past + Duration::from_secs(9) }));
        assert!(*leadership.watch().borrow() && !leadership.holds());
        assert_eq!(leadership.write(async { 1 }).await, Err(NotLeader));
        let soon = Instant::now() + Duration::from_millis(20);
        leadership.set(Some(Term { begins_before: soon, ends_before: soon }));
        assert_eq!(leadership.write(std::future::pending::<()>()).await, Err(NotLeader));
    }
}
