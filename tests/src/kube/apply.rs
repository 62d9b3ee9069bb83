//! Server-side apply of any YAML.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::core::TypeMeta;
use kube::discovery::{Scope, pinned_kind};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;

use super::ControlPlane;

/// Until a definition is served, and found by discovery.
const PATIENCE: Duration = Duration::from_secs(30);

impl ControlPlane {
    /// Applies every document as `admin`; those that name no namespace but need one go to `default`. Definitions of
    /// resources are waited for, so that objects of their kinds may follow.
    ///
    /// # Panics
    /// When a document cannot be read, or the API server refuses one.
    pub async fn apply(&self, yaml: &str) -> Vec<DynamicObject> {
        apply(&self.admin(), "default", yaml).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`ControlPlane::apply`], with what the API server has to say against it. What comes before the refused
    /// document is applied.
    ///
    /// # Errors
    /// The API server's.
    pub async fn try_apply(&self, yaml: &str) -> Result<Vec<DynamicObject>, kube::Error> {
        apply(&self.admin(), "default", yaml).await
    }

    /// Applies a file, or every `.yaml` of a directory in the order of their names.
    ///
    /// # Panics
    /// When one cannot be read, or is refused.
    pub async fn apply_files(&self, path: &Path) {
        let mut files = vec![path.to_owned()];
        if path.is_dir() {
            let entries = std::fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            files = entries.flatten().map(|entry| entry.path()).collect();
            files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
            files.sort();
        }
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            self.try_apply(&text).await.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    }
}

/// Applies every document with this client, as [`ControlPlane::apply`].
///
/// # Errors
/// The API server's.
///
/// # Panics
/// When a document is no object.
pub async fn apply(client: &Client, namespace: &str, yaml: &str) -> Result<Vec<DynamicObject>, kube::Error> {
    let documents: Vec<serde_json::Value> =
        serde_saphyr::from_multiple(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    let parameters = PatchParams::apply("sluice-tests").force();
    let mut kinds = HashMap::new();
    let mut applied = Vec::new();
    for document in documents.into_iter().filter(|document| !document.is_null()) {
        let object: DynamicObject =
            serde_json::from_value(document).unwrap_or_else(|error| panic!("no object: {error}\n{yaml}"));
        let types = object.types.clone().expect("an object has apiVersion and kind");
        let name = object.metadata.name.clone().expect("an object has a name");
        let (resource, scope) = match kinds.get(&types) {
            Some(known) => known,
            None => {
                let found = find(client, &types).await?;
                kinds.entry(types.clone()).or_insert(found)
            }
        };
        let api: Api<DynamicObject> = match scope {
            Scope::Cluster => Api::all_with(client.clone(), resource),
            Scope::Namespaced => {
                let namespace = object.metadata.namespace.as_deref().unwrap_or(namespace);
                Api::namespaced_with(client.clone(), namespace, resource)
            }
        };
        applied.push(api.patch(&name, &parameters, &Patch::Apply(&object)).await?);
        if types.kind == "CustomResourceDefinition" {
            let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
            let served =
                tokio::time::timeout(PATIENCE, await_condition(definitions, &name, is_crd_established())).await;
            assert!(matches!(served, Ok(Ok(_))), "{name} is not established: {served:?}");
        }
    }
    Ok(applied)
}

/// The resource of a kind. Discovery learns of a new definition a moment after it is established.
async fn find(client: &Client, types: &TypeMeta) -> Result<(ApiResource, Scope), kube::Error> {
    let kind = GroupVersionKind::try_from(types).expect("an apiVersion is a group and a version");
    let start = Instant::now();
    loop {
        match pinned_kind(client, &kind).await {
            Ok((resource, capabilities)) => return Ok((resource, capabilities.scope)),
            Err(error) if start.elapsed() > PATIENCE => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
