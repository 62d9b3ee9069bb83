//! What the controller knows of the cluster: follows it, and the secrets that proxies turn out to need, and no others.

use tokio_util::sync::CancellationToken;

use super::StartError;
use super::shared::Shared;
use crate::fleet::{Fleet, FleetMetrics, Home};
use crate::source::kube::{KubeOptions, KubeSource};

pub(super) fn follow(shared: &Shared, home: Home, metrics: FleetMetrics) -> Result<Fleet, StartError> {
    let options = KubeOptions::new(&shared.namespace, shared.metrics.watch.clone());
    let (source, batches) = KubeSource::start(shared.client.clone(), options);
    let fleet = Fleet::start(home, batches, metrics, shared.stop.clone()).map_err(StartError::Thread)?;
    shared.tasks.spawn(follow_secrets(source, fleet.clone(), shared.stop.clone()));
    Ok(fleet)
}

async fn follow_secrets(source: KubeSource, fleet: Fleet, stop: CancellationToken) {
    let mut wanted = fleet.wanted_secrets();
    loop {
        let names = wanted.borrow_and_update().clone();
        source.want_secrets(names);
        tokio::select! {
            () = stop.cancelled() => return,
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}
