//! Objects from the Kubernetes API: lists and watches every kind, tells the differences. Holds no objects and judges
//! none; what is in force is the business of whoever takes the batches.
//!
//! ```text
//! one task per kind:      watcher ─► ledger (what is new?) ─► decode ─┐
//! one per wanted secret:  watcher ─► ledger ───────────────► decode ─┼─► pending (joined by object) ─► batches
//! definitions: what kinds are there? ─► the tasks of Istio's kinds    ┘
//! ```
//!
//! While the API server is away, everything stays as it is. Objects are told as deleted when the API server says so, or
//! a complete list does not have them, or their kind has been missing for a while; never because of a failure.

mod backoff;
mod batch;
mod collect;
mod decode;
mod follow;
mod kinds;
mod ledger;
mod options;
mod pending;
pub mod rbac;
mod secrets;
mod served;
#[cfg(test)]
mod tests;
mod trouble;
mod watched;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crds::ObjectKind;
use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use follow::{Closed, Follow, Place, Shared};
use kinds::{Plan, plan};
use pending::Pending;
use watched::{Labels, Pods, Slim, Whole};

pub use batch::{KubeBatch, ObjectEvent, Revision, SecretRef, StatusText};
pub use kinds::plural;
pub use options::KubeOptions;

/// How many notes wait for being joined; watches stop reading when there are more.
const QUEUE: usize = 1_024;

/// How long a connection may be silent while it is used.
const SILENCE: Duration = Duration::from_secs(90);

/// Pods that have ended have no address and speak to nobody.
const LIVING: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// Follows an API server until it is dropped.
#[derive(Debug)]
pub struct KubeSource {
    wanted: watch::Sender<BTreeSet<SecretRef>>,
    _collector: AbortOnDropHandle<()>,
}

impl KubeSource {
    /// Starts all watches; needs a tokio runtime around it. The first batch has the whole state of every kind. The
    /// channel closes only if something is broken beyond repair.
    #[must_use]
    pub fn start(client: Client, options: KubeOptions) -> (Self, mpsc::Receiver<KubeBatch>) {
        let (notes, noted) = mpsc::channel(QUEUE);
        let (batches, taken) = mpsc::channel(1);
        let (wanted, wants) = watch::channel(BTreeSet::new());
        let shared = Shared { client, options: Arc::new(options), notes };
        let mut watches = JoinSet::new();
        let (defined, definitions) = watch::channel(());
        for kind in ObjectKind::ALL {
            follow(kind, &shared, &definitions, &mut watches);
        }
        let Shared { client, options, .. } = shared.clone();
        watches.spawn(async move { match served::follow_definitions(client, options, defined).await {} });
        watches.spawn(secrets::keep(shared, wants));
        let kinds = ObjectKind::ALL.into_iter().filter(|kind| plan(*kind) != Plan::ByName);
        let collector = tokio::spawn(collect::collect(Pending::new(kinds), noted, batches, watches));
        (Self { wanted, _collector: AbortOnDropHandle::new(collector) }, taken)
    }

    /// Which secrets to follow from now on, all of them.
    pub fn want_secrets(&self, names: BTreeSet<SecretRef>) {
        self.wanted.send_if_modified(|wanted| {
            let differs = *wanted != names;
            *wanted = names;
            differs
        });
    }
}

fn follow(
    kind: ObjectKind,
    shared: &Shared,
    definitions: &watch::Receiver<()>,
    watches: &mut JoinSet<Result<(), Closed>>,
) {
    let shared = shared.clone();
    match plan(kind) {
        Plan::Defined => {
            let definitions = definitions.clone();
            let mut follow = Follow::<Whole>::new(shared, kind, Place::Everywhere);
            watches.spawn(async move { follow.defined(definitions).await.map(|never| match never {}) });
        }
        Plan::Whole => builtin(Follow::<Whole>::new(shared, kind, Place::Everywhere), watches),
        Plan::Slim => builtin(Follow::<Slim>::new(shared, kind, Place::Everywhere), watches),
        Plan::Pods => builtin(Follow::<Pods>::new(shared, kind, Place::Where(LIVING)), watches),
        Plan::Labels => builtin(Follow::<Labels>::new(shared, kind, Place::Everywhere), watches),
        Plan::MeshConfig => {
            let KubeOptions { control_namespace, mesh_config_name, .. } = &*shared.options;
            let place = Place::One(SecretRef { namespace: control_namespace.clone(), name: mesh_config_name.clone() });
            builtin(Follow::<Whole>::new(shared, kind, place), watches);
        }
        Plan::ByName => {}
    }
}

fn builtin<S: watched::Shape>(mut follow: Follow<S>, watches: &mut JoinSet<Result<(), Closed>>) {
    watches.spawn(async move { follow.builtin().await.map(|never| match never {}) });
}

/// Makes a client give up connections on which an answer has not begun for a long time, or has been silent for longer
/// than any watch may be. Without this, the beginning of a watch could hang for ever.
pub fn prepare(config: &mut kube::Config) {
    config.connect_timeout = Some(Duration::from_secs(10));
    config.read_timeout = Some(SILENCE);
    // Or the time a connection was idle before it was used would count.
    config.reset_reader_on_write = true;
}
