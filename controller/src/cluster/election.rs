//! Takes part in the choice of the replica that writes.

use tracing::error;

use super::shared::Shared;
use crate::leader::{self, Leadership};
use crate::owner::Owner;

pub(super) fn start(shared: &Shared, owner: Option<Owner>) -> Leadership {
    let options = leader::Options {
        namespace: shared.namespace.clone(),
        identity: shared.replica.clone(),
        owner,
        ..leader::Options::default()
    };
    let (leadership, electing) = leader::start(shared.client.clone(), options, shared.stop.clone());
    shared.tasks.spawn(async move {
        if electing.await.is_err() {
            error!("the election of a leader ended");
        }
    });
    leadership
}
