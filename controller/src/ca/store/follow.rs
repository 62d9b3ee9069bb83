//! Follows the authority's Secrets while the controller runs: a good change is rolled over to, a bad one is told and
//! changes nothing, and a Secret that is deleted leaves in force what it held.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::rollover::{Offered, Rollover};
use super::{SecretStore, files};
use crate::ca::{Authority, KeyCertBundle, Metrics};

/// How a change of roots goes.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// From publishing new roots until certificates are signed with them: as long as it takes for a ConfigMap to reach
    /// every pod.
    pub settle: Duration,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { settle: Duration::from_secs(3 * 60) }
    }
}

/// Keeps the authority what the Secrets say, until told to stop.
pub async fn follow(
    store: SecretStore,
    authority: Arc<Authority>,
    rotation: Rotation,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let policy = authority.policy();
    let remember = policy.max_ttl + policy.backdate;
    let mut rollover = Rollover::new(rotation.settle, remember);
    let watch = |name: &str| watcher::watch_object(store.secrets(), name).default_backoff();
    let plugged_in = watch(&store.options.plugged_in);
    let self_signed = watch(&store.options.self_signed);
    pin_mut!(plugged_in, self_signed);
    let (mut has_plugged_in, mut had_self_signed, mut latest_self_signed) = (None, false, None);
    loop {
        let next = rollover.next();
        let due = async {
            match next {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        let found = tokio::select! {
            () = stop.cancelled() => return,
            () = due => {
                if rollover.advance(&authority, Instant::now()) {
                    metrics.observe(&authority);
                    info!("certificates are signed with the new certificate authority");
                }
                continue;
            }
            changed = plugged_in.next() => match changed {
                Some(Ok(secret)) => {
                    let was = has_plugged_in.replace(secret.is_some());
                    if was == Some(true) && secret.is_none() {
                        warn!(
                            secret = store.options.plugged_in,
                            "the Secret of the certificate authority is gone; what it held stays in force until the \
                             controller starts again"
                        );
                    }
                    secret.map(|secret| (store.options.plugged_in.as_str(), secret))
                }
                Some(Err(error)) => {
                    warn!(%error, secret = store.options.plugged_in, "the Secret cannot be watched");
                    None
                }
                None => return,
            },
            changed = self_signed.next() => match changed {
                Some(Ok(secret)) => {
                    if had_self_signed && secret.is_none() {
                        warn!(
                            secret = store.options.self_signed,
                            "the Secret of the certificate authority is gone; what it held stays in force, but a \
                             controller that starts makes another authority"
                        );
                    }
                    had_self_signed = secret.is_some();
                    latest_self_signed = secret;
                    None
                }
                Some(Err(error)) => {
                    warn!(%error, secret = store.options.self_signed, "the Secret cannot be watched");
                    None
                }
                None => return,
            },
        };
        // Only while it is known that nothing is plugged in does the other one count.
        let found = match (found, has_plugged_in) {
            (Some(found), _) => Some(found),
            (None, Some(false)) => latest_self_signed.take().map(|secret| (store.options.self_signed.as_str(), secret)),
            (None, _) => None,
        };
        if let Some((name, secret)) = found {
            take(name, &secret, &mut rollover, &authority);
            metrics.observe(&authority);
        }
    }
}

fn take(name: &str, secret: &Secret, rollover: &mut Rollover, authority: &Authority) {
    match KeyCertBundle::from_pem(&files(secret), SystemTime::now()) {
        Ok(bundle) => match rollover.offer(bundle, authority, Instant::now()) {
            Offered::Known => {}
            Offered::InForce => info!(secret = name, "the certificate authority was replaced"),
            Offered::Announced => {
                info!(secret = name, "new roots are published; certificates are signed with them in a while");
            }
        },
        Err(problem) => {
            error!(secret = name, %problem, "the certificate authority cannot be used; the one before stays in force");
        }
    }
}
