//! Follows the secrets that are wanted, each by a watch of its own: the controller may read single secrets only
//! (docs/security.md C-1, CP-5). A secret that is not wanted any more is told as deleted, so that nobody keeps it.

use std::collections::{BTreeMap, BTreeSet};

use crds::ObjectKind;
use tokio::sync::{oneshot, watch};
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::SecretRef;
use super::follow::{Closed, Follow, Place, Shared};
use super::pending::Note;
use super::watched::Whole;

struct Open {
    /// Dropped to end the watch.
    stop: oneshot::Sender<()>,
    task: AbortOnDropHandle<()>,
}

/// Until nobody can want anything any more.
pub(super) async fn keep(shared: Shared, mut wanted: watch::Receiver<BTreeSet<SecretRef>>) -> Result<(), Closed> {
    let mut open: BTreeMap<SecretRef, Open> = BTreeMap::new();
    let mut refused: BTreeSet<SecretRef> = BTreeSet::new();
    loop {
        let now = wanted.borrow_and_update().clone();
        let (stay, end): (BTreeMap<_, _>, _) = open.into_iter().partition(|(secret, _)| now.contains(secret));
        open = stay;
        // Every deletion is told before a watch of the same secret can begin anew.
        for (_, Open { stop, task }) in end {
            drop(stop);
            drop(task.await);
        }
        refused.retain(|secret| now.contains(secret));
        for secret in now {
            if open.contains_key(&secret) {
                continue;
            }
            if open.len() < shared.options.max_secrets {
                refused.remove(&secret);
                open.insert(secret.clone(), begin(shared.clone(), secret));
            } else if refused.insert(secret.clone()) {
                warn!(%secret, "more than {} secrets are wanted; this one counts as missing", shared.options.max_secrets);
                shared.notes.send(Note::Answered(secret)).await.map_err(|_| Closed)?;
            }
        }
        if wanted.changed().await.is_err() {
            return Ok(());
        }
    }
}

fn begin(shared: Shared, secret: SecretRef) -> Open {
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        let mut follow = Follow::<Whole>::new(shared, ObjectKind::Secret, Place::One(secret.clone()));
        tokio::select! {
            biased;
            _ = stopped => {}
            Err(Closed) = follow.builtin() => return,
        }
        if follow.forget_all().await.is_ok() {
            drop(follow.send(Note::Closed(secret)).await);
        }
    });
    Open { stop, task: AbortOnDropHandle::new(task) }
}
