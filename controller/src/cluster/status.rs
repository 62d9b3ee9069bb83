//! What the leader writes about objects, and whom it asks for that: the other replicas, and the addresses of Ingresses.

use std::sync::Arc;

use tracing::warn;

use super::shared::Shared;
use crate::fleet::{Fleet, Home};
use crate::identity::{SpiffeId, SpiffeIdError};
use crate::leader::Leadership;
use crate::replicas::{self, Access, Merged};
use crate::status::{self, EventOptions, Events, KubeStatusApi, StatusMetrics, StatusOptions, StatusWriter};

/// Writes status while this replica leads. Without an identity of its own it can ask no other replica.
pub(super) fn write(
    shared: &Shared,
    fleet: &Fleet,
    home: Home,
    access: Result<Access, SpiffeIdError>,
    leadership: &Leadership,
    writes_per_second: u32,
    metrics: StatusMetrics,
) {
    let Shared { client, namespace, replica, tasks, stop, .. } = shared;
    let events = EventOptions { instance: replica.clone(), ..EventOptions::default() };
    let events = Events::start(client.clone(), events, leadership.clone(), metrics.clone(), stop.clone());
    let addresses = status::follow_ingress_addresses(client.clone(), fleet.clone(), namespace.clone(), stop.clone());
    let merged = Merged::new(fleet.clone(), namespace);
    match access {
        Ok(access) => {
            let others = Arc::clone(&merged);
            tasks.spawn(replicas::follow(fleet.clone(), home, access, leadership.watch(), others, stop.clone()));
        }
        Err(error) => warn!(%error, "other replicas cannot be asked: status tells of the proxies of this one only"),
    }
    let options = StatusOptions { writes_per_second, ..StatusOptions::default() };
    let api = KubeStatusApi::new(client.clone());
    let writer = StatusWriter::new(merged, api, leadership.clone(), events, addresses, options, metrics);
    tasks.spawn(writer.run(stop.clone()));
}

/// Who this replica is to the others.
pub(super) fn identity(shared: &Shared, trust_domain: &str) -> Result<SpiffeId, SpiffeIdError> {
    SpiffeId::new(trust_domain, &shared.namespace, &shared.service_account)
}
