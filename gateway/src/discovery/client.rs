//! Follows a controller for as long as the proxy lives: one stream after another, each with the replica that answers.
//! Whatever happens to a stream, the table in force stays (D9).

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::app::Gateway;
use crate::discovery::backoff::Backoff;
use crate::discovery::snapshot::Snapshot;
use crate::discovery::state::Failure;
use crate::discovery::stream::StreamError;
use crate::discovery::wanted::Wanted;
use crate::discovery::{Limits, Node};
use crate::identity::channel::Address;
use crate::identity::credentials::Credentials;
use crate::identity::roots::Roots;
use crate::table::compile::chain;

/// A stream that lived so long was a good one.
const GOOD: Duration = Duration::from_secs(10);

/// Everything a stream needs.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) gateway: Gateway,
    pub(crate) address: Address,
    pub(crate) node: Node,
    /// Tells this process from the one before a restart.
    pub(crate) instance: String,
    pub(crate) limits: Limits,
    pub(crate) roots: Arc<Roots>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) wanted: watch::Receiver<Wanted>,
    pub(crate) snapshot: Option<Snapshot>,
}

/// What a stream was good for.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// When the controller answered.
    pub(crate) opened: Option<Instant>,
    /// Something was put in force.
    pub(crate) pushed: bool,
}

impl Life {
    fn was_good(&self) -> bool {
        self.pushed || self.opened.is_some_and(|opened| opened.elapsed() >= GOOD)
    }
}

impl Client {
    /// Ends with the gateway: one that takes no more tables must not say that it did.
    pub(crate) async fn run(mut self) {
        let closing = self.gateway.closing().clone();
        tokio::select! {
            () = self.streams() => {}
            () = closing.cancelled() => {}
        }
    }

    async fn streams(&mut self) {
        let mut backoff = Backoff::default();
        let mut told = String::new();
        loop {
            let mut life = Life::default();
            let error = self.stream(&mut life).await;
            self.gateway.metrics().control.failures.with_label_values(&[error.reason()]).inc();
            if life.was_good() {
                backoff.reset();
            }
            let pause = backoff.pause(fastrand::f64());
            self.tell(&error, &life, pause, &mut told);
            tokio::time::sleep(pause).await;
        }
    }

    /// The same failure over and over is told once.
    fn tell(&self, error: &StreamError, life: &Life, pause: Duration, told: &mut String) {
        let (controller, reason) = (&self.address, chain(error));
        let again = format!("{:.1} s", pause.as_secs_f64());
        let news = *told != reason;
        if life.opened.is_some() && error.is_end() {
            info!(%controller, reason, again, "the stream from the controller ended; the configuration in force stays");
        } else if news || life.opened.is_some() {
            warn!(%controller, reason, again, "no stream from the controller; the configuration in force stays");
        } else {
            debug!(%controller, reason, again, "still no stream from the controller");
        }
        let mut state = self.gateway.following().lock();
        state.last_failure = Some(Failure { at: SystemTime::now(), reason: reason.clone() });
        *told = reason;
    }
}
