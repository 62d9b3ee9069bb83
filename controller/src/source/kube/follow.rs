//! Follows the objects of one kind, or one object: lists, watches, takes up again what broke off, and tells the
//! differences. Knows nothing of other kinds.

use std::convert::Infallible;
use std::future;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::{ObjectKey, ObjectKind};
use futures::StreamExt;
use kube::api::{ApiResource, ObjectMeta};
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use prometheus::IntGauge;
use tokio::sync::{mpsc, watch};

use super::backoff::Backoff;
use super::decode;
use super::kinds::resource;
use super::ledger::{Ledger, Name, Seen};
use super::pending::Note;
use super::served::{find, seconds};
use super::trouble::{Standing, Trouble};
use super::watched::{Shape, Watched};
use super::{KubeOptions, ObjectEvent, SecretRef};

/// An answer that says "not now" this many times in a row may be about the place the watch goes on from.
const STUCK: u32 = 8;

/// Nobody takes what is told.
#[derive(Debug)]
pub(super) struct Closed;

/// What is followed.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Everywhere,
    /// Objects everywhere, but only some.
    Where(&'static str),
    One(SecretRef),
}

/// What all followers share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) options: Arc<KubeOptions>,
    pub(super) notes: mpsc::Sender<Note>,
}

pub(super) struct Follow<S> {
    shared: Shared,
    kind: ObjectKind,
    place: Place,
    ledger: Ledger,
    count: Count,
    backoff: Backoff,
    standing: Standing,
    failures: u32,
    answered: bool,
    shape: PhantomData<S>,
}

impl<S: Shape> Follow<S> {
    pub(super) fn new(shared: Shared, kind: ObjectKind, place: Place) -> Self {
        let options = &shared.options;
        let count = Count { gauge: options.metrics.objects.with_label_values(&[kind.as_str()]), shown: 0 };
        let backoff = Backoff::new(options.retry_first, options.retry_most);
        let (ledger, standing) = (Ledger::default(), Standing::default());
        Self { shared, kind, place, ledger, count, backoff, standing, failures: 0, answered: false, shape: PhantomData }
    }

    /// Follows a kind that every API server has.
    pub(super) async fn builtin(&mut self) -> Result<Infallible, Closed> {
        let resource = resource(self.kind, self.kind.versions().first().copied().unwrap_or("v1"));
        loop {
            self.watch(&resource, future::pending()).await?;
            self.pause().await;
        }
    }

    /// Follows a kind that someone may define, redefine and take away; `definitions` tells when to look.
    pub(super) async fn defined(&mut self, mut definitions: watch::Receiver<()>) -> Result<Infallible, Closed> {
        let mut missing_since = None;
        let mut version = String::new();
        loop {
            definitions.borrow_and_update();
            match find(&self.shared.client, self.kind).await {
                Ok(Some(resource)) => {
                    missing_since = None;
                    if version != resource.api_version {
                        version.clone_from(&resource.api_version);
                        // Whoever writes a status has to know the version that is there.
                        self.ledger.distrust();
                    }
                    let better = better(self.shared.clone(), self.kind, resource.clone(), definitions.clone());
                    self.watch(&resource, better).await?;
                    self.pause().await;
                }
                Ok(None) => {
                    self.standing.fails(Trouble::Missing, self.kind, None, &"not among the resources it serves");
                    let since = *missing_since.get_or_insert_with(Instant::now);
                    let options = Arc::clone(&self.shared.options);
                    let mut pause = options.look_again;
                    if self.ledger.len() == 0 || since.elapsed() >= options.missing_grace {
                        self.forget_all().await?;
                        self.complete().await?;
                    } else {
                        pause = options.missing_grace.saturating_sub(since.elapsed()).min(options.retry_most);
                    }
                    wait(&mut definitions, pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                }
                Err(error) => {
                    self.fails(Trouble::of_client(&error), &error).await?;
                    self.pause().await;
                }
            }
        }
    }

    /// Everything that was told is gone.
    pub(super) async fn forget_all(&mut self) -> Result<(), Closed> {
        let gone = self.ledger.clear();
        self.tell_gone(gone).await
    }

    /// Ends when the API server does not have the kind, or when there is a better version of it.
    async fn watch(&mut self, resource: &ApiResource, better: impl Future<Output = ()>) -> Result<(), Closed> {
        let mut better = pin!(better);
        loop {
            let mut events = pin!(watcher::watcher(self.api(resource), self.config()));
            // Left only between two events: what has been noted as known must have been told.
            while let Some(event) = tokio::select! {
                event = events.next() => event,
                () = &mut better => return Ok(()),
            } {
                let error = match event {
                    Ok(event) => {
                        self.take(&resource.api_version, event).await?;
                        continue;
                    }
                    Err(error) => error,
                };
                let trouble = Trouble::of(&error);
                self.fails(trouble, &error).await?;
                if trouble == Trouble::Missing {
                    return Ok(());
                }
                let stuck = trouble == Trouble::Busy && self.failures.is_multiple_of(STUCK);
                self.pause().await;
                if trouble.needs_new_list() || stuck {
                    break;
                }
            }
        }
    }

    fn api(&self, resource: &ApiResource) -> Api<Watched<S>> {
        let client = self.shared.client.clone();
        match &self.place {
            Place::Everywhere | Place::Where(_) => Api::all_with(client, resource),
            Place::One(SecretRef { namespace, .. }) => Api::namespaced_with(client, namespace, resource),
        }
    }

    fn config(&self) -> watcher::Config {
        let options = &self.shared.options;
        // Pages rather than a streamed list: the client streams from whatever an API server has in memory, and one of
        // several that lags behind would bring back what is gone already.
        let config = watcher::Config::default().timeout(seconds(options)).page_size(options.page_size);
        match &self.place {
            Place::Everywhere => config,
            Place::Where(fields) => config.fields(fields),
            Place::One(SecretRef { name, .. }) => config.fields(&format!("metadata.name={name}")),
        }
    }

    async fn take(&mut self, api_version: &str, event: watcher::Event<Watched<S>>) -> Result<(), Closed> {
        let noticed = Instant::now();
        if !matches!(event, watcher::Event::Init) {
            // The beginning of a list is told before it is asked for.
            self.failures = 0;
            self.backoff.reset();
            self.standing.works(self.kind);
        }
        match event {
            watcher::Event::Init => self.ledger.begin(),
            watcher::Event::InitApply(object) | watcher::Event::Apply(object) => {
                let name = name(object.meta());
                let meta = object.meta();
                let (uid, version) = (meta.uid.as_deref(), meta.resource_version.as_deref());
                let seen = self.ledger.see(&name, uid.unwrap_or_default(), version.unwrap_or_default());
                if seen == Seen::Same {
                    return Ok(());
                }
                let event = decode::event(self.kind, api_version, object, noticed);
                if seen == Seen::Replaced && matches!(event, ObjectEvent::Unreadable { .. }) {
                    // Its last good version would be another object's.
                    self.tell(ObjectEvent::Deleted { key: self.key(&name) }, noticed).await?;
                }
                self.tell(event, noticed).await?;
                self.count.show(self.ledger.len());
            }
            watcher::Event::Delete(object) => {
                let name = name(object.meta());
                if self.ledger.forget(&name) {
                    self.tell_gone(vec![name]).await?;
                }
            }
            watcher::Event::InitDone => {
                let gone = self.ledger.finish();
                self.tell_gone(gone).await?;
                self.complete().await?;
            }
        }
        Ok(())
    }

    async fn fails(&mut self, trouble: Trouble, error: &(dyn std::fmt::Display + Sync)) -> Result<(), Closed> {
        let kind = self.kind;
        self.shared.options.metrics.errors.with_label_values(&[kind.as_str(), trouble.reason()]).inc();
        self.failures = self.failures.saturating_add(1);
        match &self.place {
            Place::Everywhere | Place::Where(_) => self.standing.fails(trouble, kind, None, error),
            Place::One(object) => {
                self.standing.fails(trouble, kind, Some(&object.to_string()), error);
                // Waiting for the permission would hold back everything else that waits for this answer.
                if trouble == Trouble::Forbidden && kind == ObjectKind::Secret {
                    self.complete().await?;
                }
            }
        }
        Ok(())
    }

    async fn complete(&mut self) -> Result<(), Closed> {
        let note = match &self.place {
            Place::One(secret) if self.kind == ObjectKind::Secret => Note::Answered(secret.clone()),
            Place::Everywhere | Place::Where(_) | Place::One(_) => Note::Complete(self.kind),
        };
        if std::mem::replace(&mut self.answered, true) {
            return Ok(());
        }
        self.send(note).await
    }

    async fn tell_gone(&mut self, gone: Vec<Name>) -> Result<(), Closed> {
        let noticed = Instant::now();
        for name in gone {
            self.tell(ObjectEvent::Deleted { key: self.key(&name) }, noticed).await?;
        }
        self.count.show(self.ledger.len());
        Ok(())
    }

    async fn tell(&self, event: ObjectEvent, noticed: Instant) -> Result<(), Closed> {
        self.send(Note::Event(Box::new(event), noticed)).await
    }

    pub(super) async fn send(&self, note: Note) -> Result<(), Closed> {
        self.shared.notes.send(note).await.map_err(|_| Closed)
    }

    fn key(&self, name: &Name) -> ObjectKey {
        ObjectKey::new(self.kind, &name.namespace, &name.name)
    }

    async fn pause(&mut self) {
        tokio::time::sleep(self.backoff.next(Instant::now())).await;
    }
}

fn name(meta: &ObjectMeta) -> Name {
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
    Name { namespace: text(&meta.namespace), name: text(&meta.name) }
}

/// Until the API server has the kind at a version that is liked better.
async fn better(shared: Shared, kind: ObjectKind, current: ApiResource, mut definitions: watch::Receiver<()>) {
    if kind.versions().first().is_none_or(|best| *best == current.version) {
        return future::pending().await;
    }
    loop {
        // Versions of a definition appear one by one, and soon after one another.
        tokio::time::sleep(shared.options.retry_first * 10).await;
        definitions.borrow_and_update();
        if let Ok(Some(found)) = find(&shared.client, kind).await
            && found.version != current.version
        {
            return;
        }
        if definitions.changed().await.is_err() {
            return future::pending().await;
        }
    }
}

async fn wait(definitions: &mut watch::Receiver<()>, most: Duration) {
    tokio::select! {
        () = tokio::time::sleep(most) => {}
        Ok(()) = definitions.changed() => {}
    }
}

/// This follower's part of a metric that several share.
struct Count {
    gauge: IntGauge,
    shown: i64,
}

impl Count {
    fn show(&mut self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.gauge.add(count - self.shown);
        self.shown = count;
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.gauge.sub(self.shown);
    }
}
