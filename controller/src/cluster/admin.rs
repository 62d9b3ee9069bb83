//! What people and their tools ask: metrics, health and debugging, each on a port of its own, without TLS.

use std::net::SocketAddr;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use super::{Addresses, StartError};
use crate::admin::{self, Debug};
use crate::fleet::Fleet;
use crate::logging::LogLevel;

/// Where it is served, and what says whether the controller is ready.
pub(super) struct Served {
    pub(super) metrics: SocketAddr,
    pub(super) health: SocketAddr,
    pub(super) debug: SocketAddr,
    pub(super) ready: watch::Sender<bool>,
}

pub(super) async fn serve(
    shared: &Shared,
    fleet: &Fleet,
    log_level: LogLevel,
    addresses: &Addresses,
) -> Result<Served, StartError> {
    let stop = || shared.stop.clone();
    let (ready, ready_seen) = watch::channel(false);
    shared.tasks.spawn(become_ready(fleet.synced(), ready.clone(), stop()));
    let debug = Debug { fleet: fleet.clone(), log_level, controller: shared.replica.clone() };
    Ok(Served {
        metrics: admin::serve("metrics", addresses.metrics, admin::metrics(shared.metrics.clone()), stop()).await?,
        health: admin::serve("health", addresses.health, admin::health(ready_seen), stop()).await?,
        debug: admin::serve("debugging", addresses.debug, admin::debug(debug), stop()).await?,
        ready,
    })
}

async fn become_ready(mut synced: watch::Receiver<bool>, ready: watch::Sender<bool>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        done = synced.wait_for(|synced| *synced) => {
            if done.is_ok() {
                ready.send_replace(true);
            }
        }
    }
}
