//! Which kinds the API server has, at which version; asked of the API server itself, because definitions of Istio's kinds
//! may be ours or anybody's.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use crds::ObjectKind;
use futures::StreamExt;
use http::Request;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIResourceList};
use kube::api::ApiResource;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use tokio::sync::watch;
use tracing::warn;

use super::backoff::Backoff;
use super::kinds::resource;
use super::rbac::DEFINITIONS;
use super::trouble::Trouble;
use super::watched::{Labels, Watched};
use super::{KubeOptions, SILENCE};

/// The kind at the best version that can be watched, if there is one.
pub(super) async fn find(client: &Client, kind: ObjectKind) -> Result<Option<ApiResource>, kube::Error> {
    let Some(group) = get::<APIGroup>(client, &format!("/apis/{}", kind.group())).await? else { return Ok(None) };
    for version in kind.versions().iter().filter(|wanted| group.versions.iter().any(|has| has.version == **wanted)) {
        let Some(list) = get::<APIResourceList>(client, &format!("/apis/{}/{version}", kind.group())).await? else {
            continue;
        };
        let resource = resource(kind, version);
        let is_it = |verbs: &[String]| ["list", "watch"].iter().all(|verb| verbs.iter().any(|has| has == verb));
        if list.resources.iter().any(|has| has.name == resource.plural && is_it(&has.verbs)) {
            return Ok(Some(resource));
        }
    }
    Ok(None)
}

async fn get<T: serde::de::DeserializeOwned>(client: &Client, path: &str) -> Result<Option<T>, kube::Error> {
    let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    match client.request(request).await {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if Trouble::of_client(&error) == Trouble::Missing => Ok(None),
        Err(error) => Err(error),
    }
}

/// Tells whenever a definition of one of Istio's kinds came, changed or went. Only a hint: without permission to see
/// definitions, kinds that are missing are looked for every [`KubeOptions::look_again`].
pub(super) async fn follow_definitions(
    client: Client,
    options: Arc<KubeOptions>,
    changed: watch::Sender<()>,
) -> Infallible {
    let (group, plural) = DEFINITIONS;
    let definitions = ApiResource {
        group: group.to_owned(),
        version: "v1".to_owned(),
        api_version: format!("{group}/v1"),
        kind: "CustomResourceDefinition".to_owned(),
        plural: plural.to_owned(),
    };
    let mut backoff = Backoff::new(options.retry_first, options.retry_most);
    let mut failing = None;
    loop {
        let api: Api<Watched<Labels>> = Api::all_with(client.clone(), &definitions);
        let config = watcher::Config::default().timeout(seconds(&options)).page_size(options.page_size);
        let mut events = pin!(watcher::watcher(api, config));
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    let trouble = Trouble::of(&error);
                    if failing.replace(trouble) != Some(trouble) && trouble != Trouble::Gone {
                        warn!("cannot watch definitions; new kinds are noticed late: {error}");
                    }
                    options.metrics.errors.with_label_values(&["CustomResourceDefinition", trouble.reason()]).inc();
                    tokio::time::sleep(backoff.next(Instant::now())).await;
                    if trouble.needs_new_list() {
                        break;
                    }
                    continue;
                }
            };
            if let watcher::Event::Apply(definition)
            | watcher::Event::InitApply(definition)
            | watcher::Event::Delete(definition) = &event
            {
                failing = None;
                backoff.reset();
                // They are called PLURAL.GROUP.
                let name = definition.meta().name.as_deref().unwrap_or_default();
                if name.ends_with(".istio.io") {
                    changed.send_replace(());
                }
            }
        }
    }
}

/// The time limit of a watch, in the client's unit: somewhat less than what is set, so that watches that began together
/// do not end together.
pub(super) fn seconds(options: &KubeOptions) -> u32 {
    let limit = options.watch_timeout.mul_f64(0.75 + fastrand::f64() / 4.0);
    // Longer, and an idle watch would be taken for a dead connection.
    let most = SILENCE.as_secs() - 10;
    u32::try_from(limit.as_secs().clamp(1, most)).unwrap_or(1)
}
