//! Puts the roots into each namespace, as the ConfigMap that pods mount: written where it is missing or differs, by the
//! replica that leads. A namespace in which that fails is tried again later and keeps nobody else waiting.

mod desired;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt as _, pin_mut, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{PartialObjectMeta, Patch, PatchParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::ca::Authority;
use crate::owner::{Owner, has_written};
use desired::{Desired, Outcome};

/// Where the roots are published.
#[derive(Clone, Debug)]
pub struct PublishOptions {
    /// Name of the ConfigMap.
    pub config_map: String,
    /// Its key.
    pub key: String,
    /// Namespaces of the cluster itself; no workload of the mesh runs there.
    pub ignored: BTreeSet<String>,
    /// Who writes, in the fields' ownership.
    pub field_manager: String,
    /// Owns what is published here, also what was before it did.
    pub owner: Option<Owner>,
    pub concurrent_writes: usize,
}

impl Default for PublishOptions {
    fn default() -> Self {
        let ignored = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];
        Self {
            config_map: "istio-ca-root-cert".into(),
            key: "root-cert.pem".into(),
            ignored: ignored.map(String::from).into(),
            field_manager: super::FIELD_MANAGER.into(),
            owner: None,
            concurrent_writes: 8,
        }
    }
}

/// Publishes the roots of the authority, and each change of them, until told to stop.
pub async fn publish_roots(
    client: kube::Client,
    authority: Arc<Authority>,
    options: PublishOptions,
    mut leader: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    let namespaces = watcher(Api::<PartialObjectMeta<Namespace>>::all(client.clone()), watcher::Config::default());
    // Only the ConfigMaps of that name: nothing else of a namespace is read.
    let by_name = watcher::Config::default().fields(&format!("metadata.name={}", options.config_map));
    let maps = watcher(Api::<ConfigMap>::all(client.clone()), by_name);
    let (namespaces, maps) = (namespaces.default_backoff(), maps.default_backoff());
    pin_mut!(namespaces, maps);
    let mut changes = authority.changes();
    let mut desired = Desired::new(options.ignored.clone());
    loop {
        changes.mark_unchanged();
        desired.set_content(&authority.roots_pem());
        let next = if *leader.borrow_and_update() {
            write(&client, &options, &authority, &mut desired, &stop).await;
            desired.next()
        } else {
            None
        };
        let due = async {
            match next {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = due => {}
            led = leader.changed() => if led.is_err() { return },
            changed = changes.changed() => if changed.is_err() { return },
            event = namespaces.next() => match event {
                Some(Ok(event)) => seen_namespace(&mut desired, event),
                Some(Err(error)) => debug!(%error, "namespaces cannot be watched"),
                None => return,
            },
            event = maps.next() => match event {
                Some(Ok(event)) => seen_map(&mut desired, &options, event),
                Some(Err(error)) => debug!(%error, "root certificates in namespaces cannot be watched"),
                None => return,
            },
        }
    }
}

fn seen_namespace(desired: &mut Desired, event: Event<PartialObjectMeta<Namespace>>) {
    match event {
        Event::Apply(namespace) | Event::InitApply(namespace) => {
            let is_ending = namespace.metadata.deletion_timestamp.is_some();
            if let Some(name) = namespace.metadata.name {
                desired.namespace(name, is_ending);
            }
        }
        Event::Delete(namespace) => {
            if let Some(name) = namespace.metadata.name {
                desired.namespace_gone(&name);
            }
        }
        Event::Init => desired.namespaces_begin(),
        Event::InitDone => desired.namespaces_complete(),
    }
}

fn seen_map(desired: &mut Desired, options: &PublishOptions, event: Event<ConfigMap>) {
    match event {
        Event::Apply(map) | Event::InitApply(map) => {
            let content = map.data.as_ref().and_then(|data| data.get(&options.key)).map_or("", String::as_str);
            // One that Istio published stays Istio's.
            let lacks_owner = options
                .owner
                .as_ref()
                .is_some_and(|owner| !owner.owns(&map.metadata) && has_written(&options.field_manager, &map.metadata));
            if let Some(namespace) = map.metadata.namespace {
                desired.held(namespace, content, lacks_owner);
            }
        }
        Event::Delete(map) => {
            if let Some(namespace) = map.metadata.namespace {
                desired.held_gone(&namespace);
            }
        }
        Event::Init => desired.held_begin(),
        Event::InitDone => desired.held_complete(),
    }
}

async fn write(
    client: &kube::Client,
    options: &PublishOptions,
    authority: &Authority,
    desired: &mut Desired,
    stop: &CancellationToken,
) {
    let due = desired.due(Instant::now());
    if due.is_empty() {
        return;
    }
    let roots = authority.roots_pem();
    let outcomes = stream::iter(due.into_iter().map(|namespace| {
        let roots = &roots;
        async move {
            let outcome = write_one(client, options, &namespace, roots).await;
            (namespace, outcome)
        }
    }))
    .buffer_unordered(options.concurrent_writes.max(1))
    .take_until(stop.cancelled());
    pin_mut!(outcomes);
    while let Some((namespace, outcome)) = outcomes.next().await {
        desired.written(&namespace, &roots, &outcome, Instant::now());
    }
}

async fn write_one(client: &kube::Client, options: &PublishOptions, namespace: &str, roots: &str) -> Outcome {
    let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let mut map = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": options.config_map, "labels": {"istio.io/config": "true"}},
        "data": {&options.key: roots},
    });
    let mut manager = options.field_manager.clone();
    if let Some(owner) = &options.owner {
        map["metadata"]["ownerReferences"] = json!([owner.reference()]);
        // Who applies takes back what it has applied before. An owner that is another writer leaves other owners alone.
        manager = format!("{manager}/{}", owner.uid());
    }
    let params = PatchParams::apply(&manager).force();
    let applied = match api.patch(&options.config_map, &params, &Patch::Apply(&map)).await {
        // Clusters may allow owners to be changed by those only who may also delete. The roots matter more.
        Err(kube::Error::Api(status)) if options.owner.is_some() && status.is_forbidden() && !is_ending(&status) => {
            let roots = json!({"data": {&options.key: roots}});
            let params = PatchParams { field_manager: Some(manager), ..PatchParams::default() };
            api.patch(&options.config_map, &params, &Patch::Merge(&roots)).await.map(|_| Outcome::OwnerRefused)
        }
        other => other.map(|_| Outcome::Written),
    };
    match applied {
        Ok(outcome) => outcome,
        Err(kube::Error::Api(status)) if status.is_not_found() || is_ending(&status) => Outcome::NamespaceEnds,
        Err(error) => {
            warn!(namespace, %error, "root certificates cannot be published in a namespace; tried again later");
            Outcome::Failed
        }
    }
}

/// The answer for objects in a namespace that is being deleted.
fn is_ending(status: &kube::core::Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.is_forbidden() && causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}
