//! Which service accounts there are: by name, nothing of what is in them. A controller that may not list them, by a role
//! of an older chart, says so and goes by pods alone.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::identity::Workloads;

/// Accounts in one answer of the API server.
const PAGE: u32 = 500;

/// Keeps the list current until told to stop.
pub(super) async fn follow(client: Client, workloads: Arc<Workloads>, stop: CancellationToken) {
    let api = Api::<PartialObjectMeta<ServiceAccount>>::all(client);
    let mut events = pin!(watcher(api, watcher::Config::default().page_size(PAGE)).default_backoff());
    let mut listed = HashSet::new();
    let mut failing = false;
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => event,
        };
        let name =
            |account: &PartialObjectMeta<ServiceAccount>| (account.namespace().unwrap_or_default(), account.name_any());
        match event {
            None => return,
            Some(Ok(event)) => {
                if failing {
                    info!("service accounts can be followed again");
                    failing = false;
                }
                match event {
                    Event::Init => listed = HashSet::new(),
                    Event::InitApply(account) => drop(listed.insert(name(&account))),
                    Event::InitDone => workloads.accounts(std::mem::take(&mut listed)),
                    Event::Apply(account) => told(&workloads, &name(&account), true),
                    Event::Delete(account) => told(&workloads, &name(&account), false),
                }
            }
            Some(Err(error)) => {
                if !failing {
                    warn!(%error, "service accounts cannot be followed; one that is deleted counts until its pods are gone");
                    failing = true;
                }
            }
        }
    }
}

fn told(workloads: &Workloads, (namespace, name): &(String, String), exists: bool) {
    workloads.account(namespace, name, exists);
}
