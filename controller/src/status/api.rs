//! Writes to the `/status` subresource of an API server, and what its answers mean.

use std::future::Future;

use crds::ObjectKey;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::source::kube::plural;

/// Who wrote it, in `managedFields`.
const FIELD_MANAGER: &str = "sluice-controller";

/// The version of an object that a write is meant for; it fails for any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub key: ObjectKey,
    /// The version that is served, such as `networking.istio.io/v1`.
    pub api_version: String,
    pub resource_version: String,
}

/// The object after a write.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub resource_version: String,
    /// Perhaps not what was written: a schema that does not know a field drops it.
    pub status: Option<Value>,
}

/// Why a write came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The object has changed since. What it is now will be told.
    #[error("the object has changed meanwhile")]
    Conflict,
    #[error("the object is gone")]
    Gone,
    /// Its kind was defined without a status.
    #[error("the kind has no status subresource")]
    NoStatus,
    #[error("the API server does not allow it: {0}")]
    Forbidden(String),
    /// The schema does not allow it. The same again will not help.
    #[error("the API server refuses it: {0}")]
    Refused(String),
    /// Worth another attempt.
    #[error("the API server does not take it now: {0}")]
    Later(String),
}

/// Takes writes.
pub trait StatusApi: Send + Sync + 'static {
    /// Merges into an object's status.
    fn merge(&self, target: &Target, status: &Value) -> impl Future<Output = Result<Stored, WriteError>> + Send;
}

/// The API server's.
#[derive(Clone)]
pub struct KubeStatusApi {
    client: kube::Client,
}

impl KubeStatusApi {
    #[must_use]
    pub fn new(client: kube::Client) -> Self {
        Self { client }
    }
}

impl StatusApi for KubeStatusApi {
    async fn merge(&self, target: &Target, status: &Value) -> Result<Stored, WriteError> {
        let Target { key, api_version, resource_version } = target;
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: api_version.clone(),
            kind: key.kind.as_str().to_owned(),
            plural: plural(key.kind).to_owned(),
        };
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &key.namespace, &resource);
        // Lists are replaced whole, so the version must be the one they were read from.
        let patch = json!({ "metadata": { "resourceVersion": resource_version }, "status": status });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch_status(&key.name, &params, &Patch::Merge(patch)).await {
            Ok(object) => Ok(Stored {
                resource_version: object.metadata.resource_version.unwrap_or_default(),
                status: object.data.get("status").cloned(),
            }),
            Err(error) => Err(meaning(error)),
        }
    }
}

fn meaning(error: kube::Error) -> WriteError {
    let kube::Error::Api(status) = error else { return WriteError::Later(error.to_string()) };
    match status.code {
        // An object that is not there is named; a path that is not there is not.
        404 if status.details.as_ref().is_some_and(|details| !details.name.is_empty()) => WriteError::Gone,
        404 | 405 => WriteError::NoStatus,
        409 => WriteError::Conflict,
        403 => WriteError::Forbidden(status.message),
        400 | 413 | 415 | 422 => WriteError::Refused(status.message),
        _ => WriteError::Later(status.message),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use kube::core::response::StatusDetails;

    use super::*;

    #[test]
    fn answers_of_an_api_server() {
        let answer = |code: u16, name: &str| {
            let details = StatusDetails { name: name.to_owned(), ..serde_json::from_value(json!({})).unwrap() };
            meaning(kube::Error::Api(Box::new(Status { code, details: Some(details), ..Status::default() })))
        };
        assert!(matches!(answer(404, "web"), WriteError::Gone));
        assert!(matches!(answer(404, ""), WriteError::NoStatus));
        assert!(matches!(answer(409, "web"), WriteError::Conflict));
        assert!(matches!(answer(422, "web"), WriteError::Refused(_)));
        assert!(matches!(answer(403, "web"), WriteError::Forbidden(_)));
        assert!(matches!(answer(500, ""), WriteError::Later(_)));
        assert!(matches!(answer(429, ""), WriteError::Later(_)));
    }
}
