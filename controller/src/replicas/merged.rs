//! One answer out of everybody's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::ObjectKey;
use tokio::sync::watch;

use super::client::Others;
use super::convert;
use crate::fleet::{Dirty, Fleet, Gone, Latency, ObjectStatus};
use crate::status::{Objects, OfFleet};

/// What there is to be told of objects, for the proxies of all replicas.
#[derive(Debug)]
pub struct Merged {
    own: OfFleet,
    pub(super) others: Others,
    bell: watch::Sender<u64>,
}

impl Merged {
    /// With nobody else yet; [`follow`](super::follow) adds them.
    #[must_use]
    pub fn new(fleet: Fleet, control_namespace: &str) -> Arc<Self> {
        let own = OfFleet { fleet: fleet.clone(), control_namespace: control_namespace.to_owned() };
        let merged = Arc::new(Self { own, others: Others::default(), bell: watch::Sender::new(0) });
        let (rung, mut dirty) = (Arc::downgrade(&merged), fleet.dirty());
        tokio::spawn(async move {
            while dirty.changed().await.is_ok() {
                let Some(merged) = rung.upgrade() else { return };
                merged.ring();
            }
        });
        merged
    }

    pub(super) fn ring(&self) {
        self.bell.send_modify(|count| *count += 1);
    }
}

impl Objects for Arc<Merged> {
    fn dirty(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    async fn take_dirty(&self) -> Result<Dirty, Gone> {
        let mut dirty = self.own.take_dirty().await?;
        let Dirty { urgent, lazy } = self.others.take_dirty();
        dirty.urgent.extend(urgent);
        dirty.lazy.extend(lazy);
        Ok(dirty)
    }

    async fn mark_all_dirty(&self) -> Result<(), Gone> {
        self.own.mark_all_dirty().await
    }

    async fn status_of(&self, keys: Vec<ObjectKey>) -> Result<Vec<ObjectStatus>, Gone> {
        let (own, others) = tokio::join!(self.own.status_of(keys.clone()), self.others.progress(&keys));
        let mut all: BTreeMap<ObjectKey, ObjectStatus> =
            own?.into_iter().map(|status| (status.key.clone(), status)).collect();
        for progress in others {
            let key = progress.key.clone().and_then(convert::read_key);
            if let Some(status) = key.and_then(|key| all.get_mut(&key)) {
                convert::add(status, progress);
                status.latency = Latency::of(status.waits.clone());
            }
        }
        Ok(all.into_values().collect())
    }

    async fn ingresses(&self) -> Result<BTreeSet<ObjectKey>, Gone> {
        self.own.ingresses().await
    }
}
