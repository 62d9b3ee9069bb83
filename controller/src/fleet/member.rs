//! One connected proxy.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use ir::Key;
use tokio_util::sync::CancellationToken;

use super::log::Cursor;
use super::scope::Scope;

/// Resources that are remembered as refused by one proxy, at the most.
const MAX_REFUSED: usize = 1_000;

/// Who a proxy is. The first three are proven, the rest is what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyInfo {
    pub namespace: String,
    pub pod: String,
    pub service_account: String,
    pub version: String,
    /// Random, per process.
    pub instance: String,
    pub address: String,
}

impl ProxyInfo {
    /// `namespace/pod`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.namespace, self.pod)
    }
}

/// Why a connection is ended from this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    #[error("another connection of the same proxy took its place")]
    Replaced,
    #[error("the pod's labels changed, so that something else is for it now; connect again")]
    Moved,
}

/// A connected proxy.
#[derive(Debug)]
pub struct Member {
    pub id: u64,
    pub info: ProxyInfo,
    pub scope: Arc<Scope>,
    pub since: SystemTime,
    acked: AtomicU64,
    sent: AtomicU64,
    refused: Mutex<BTreeMap<Key, Refused>>,
    last_nack: Mutex<Option<Nack>>,
    ended: Mutex<Option<Ended>>,
    pub(crate) end: CancellationToken,
}

/// A resource a proxy could not use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub version: String,
    pub reason: String,
}

/// The last time a proxy could not use something.
#[derive(Clone, Debug)]
pub struct Nack {
    pub at: SystemTime,
    pub key: Key,
    pub reason: String,
}

impl Member {
    pub(crate) fn new(id: u64, info: ProxyInfo, scope: Arc<Scope>, since: SystemTime) -> Arc<Self> {
        Arc::new(Self {
            id,
            info,
            scope,
            since,
            acked: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            refused: Mutex::default(),
            last_nack: Mutex::default(),
            ended: Mutex::default(),
            end: CancellationToken::new(),
        })
    }

    /// What it has in force. 0 until its first answer.
    #[must_use]
    pub fn acked(&self) -> Cursor {
        self.acked.load(Ordering::Acquire)
    }

    /// What was last sent to it.
    #[must_use]
    pub fn sent(&self) -> Cursor {
        self.sent.load(Ordering::Acquire)
    }

    /// Whether it has all there is.
    #[must_use]
    pub fn in_sync(&self) -> bool {
        self.scope.published().is_some_and(|head| self.acked() >= head.max(1))
    }

    /// What it could not use and has not been sent anew since.
    #[must_use]
    pub fn refused(&self) -> BTreeMap<Key, Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[must_use]
    pub fn last_nack(&self) -> Option<Nack> {
        self.last_nack.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Resolves when this side wants the connection ended.
    pub async fn ended(&self) -> Ended {
        self.end.cancelled().await;
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(Ended::Replaced)
    }

    pub(crate) fn end(&self, why: Ended) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.end.cancel();
    }

    pub(crate) fn note_sent(&self, cursor: Cursor) {
        self.sent.store(cursor, Ordering::Release);
    }

    /// Takes an answer; tells where it stood before.
    pub(crate) fn note_acked(&self, answer: &Answer, now: SystemTime) -> Cursor {
        let before = self.acked.swap(answer.cursor, Ordering::AcqRel);
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &answer.settled {
            refused.remove(key);
        }
        for (key, why) in &answer.refused {
            if refused.len() < MAX_REFUSED || refused.contains_key(key) {
                refused.insert(key.clone(), why.clone());
            }
        }
        if let Some((key, why)) = answer.refused.first() {
            let nack = Nack { at: now, key: key.clone(), reason: why.reason.clone() };
            *self.last_nack.lock().unwrap_or_else(PoisonError::into_inner) = Some(nack);
        }
        before
    }
}

/// A proxy's answer to a push.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The point the push led to.
    pub cursor: Cursor,
    /// What was refused before ([`Member::refused`]) and has been pushed anew or is gone.
    pub settled: Vec<Key>,
    pub refused: Vec<(Key, Refused)>,
}
