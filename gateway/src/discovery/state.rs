//! How far following a controller has got, for people (admin interface). Decides nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use ir::Key;
use tokio::sync::watch;

use crate::identity::Identity;

/// Shared by who follows and who asks.
#[derive(Debug)]
pub(crate) struct State {
    inner: Mutex<Following>,
    pub(crate) identity: watch::Sender<Option<Arc<Identity>>>,
}

/// What is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Following {
    /// Where the controller is; `None` where none is followed.
    pub(crate) address: Option<String>,
    pub(crate) stream: Option<Stream>,
    pub(crate) last_push: Option<LastPush>,
    pub(crate) last_failure: Option<Failure>,
    pub(crate) rejected: BTreeMap<Key, Rejection>,
}

/// A stream that is up.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) since: SystemTime,
    pub(crate) peer: SocketAddr,
    pub(crate) credential: &'static str,
    /// As the controller calls itself; empty before its first word.
    pub(crate) controller: String,
}

#[derive(Clone, Debug)]
pub(crate) struct LastPush {
    pub(crate) at: SystemTime,
    pub(crate) changed: usize,
    pub(crate) removed: usize,
    pub(crate) rejected: usize,
    pub(crate) took: Duration,
}

#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) at: SystemTime,
    pub(crate) reason: String,
}

/// A version that was refused.
#[derive(Clone, Debug)]
pub(crate) struct Rejection {
    pub(crate) version: String,
    pub(crate) reason: String,
    pub(crate) at: SystemTime,
}

impl Default for State {
    fn default() -> Self {
        Self { inner: Mutex::default(), identity: watch::Sender::new(None) }
    }
}

impl State {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Following> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
