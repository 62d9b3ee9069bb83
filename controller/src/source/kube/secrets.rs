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

/// Secrets of the certificate authority in the control namespace: whatever a Gateway names, and whatever a role allows,
/// they are read for nothing but signing.
const RESERVED: [&str; 2] = ["cacerts", "istio-ca-secret"];

fn is_reserved(secret: &SecretRef, control_namespace: &str) -> bool {
    secret.namespace == control_namespace && RESERVED.contains(&secret.name.as_str())
}

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
            if is_reserved(&secret, &shared.options.control_namespace) {
                if refused.insert(secret.clone()) {
                    warn!(%secret, "the certificate authority's own secret is not read for a Gateway; it counts as missing");
                    shared.notes.send(Note::Answered(secret)).await.map_err(|_| Closed)?;
                }
            } else if open.len() < shared.options.max_secrets {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authoritys_secrets_are_nobodys_certificates() {
        let secret = |namespace: &str, name: &str| SecretRef { namespace: namespace.to_owned(), name: name.to_owned() };
        for name in RESERVED {
            assert!(is_reserved(&secret("istio-system", name), "istio-system"));
            assert!(!is_reserved(&secret("shop", name), "istio-system"));
        }
        assert!(!is_reserved(&secret("istio-system", "shop-tls"), "istio-system"));
    }
}
