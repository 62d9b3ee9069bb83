//! Reads the objects that the controller would: every kind once, in pages, and of Secrets only those that are named.

use crds::{Object, ObjectKey, ObjectKind};
use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use serde_json::Value;

use super::connect::{Cluster, plain, status_of};

/// Objects in one answer.
const PAGE: usize = 500;
/// Kinds asked for at a time.
const AT_ONCE: usize = 6;

/// What there is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Read {
    pub(crate) objects: Vec<Object>,
    /// Objects that cannot be understood: name, field, why.
    pub(crate) failures: Vec<(ObjectKey, String, String)>,
    /// What could not be read, for people.
    pub(crate) notes: Vec<String>,
}

/// A Secret, as far as one may know.
#[derive(Debug)]
pub(crate) enum SecretAnswer {
    There(Box<Object>),
    Missing,
    /// It may be there.
    Unknown,
}

impl Cluster {
    /// Everything but Secrets.
    pub(crate) async fn read(&self) -> anyhow::Result<Read> {
        let kinds = ObjectKind::ALL.into_iter().filter(|kind| *kind != ObjectKind::Secret);
        let answers: Vec<_> =
            stream::iter(kinds).map(async |kind| (kind, self.list(kind).await)).buffered(AT_ONCE).collect().await;
        let mut read = Read::default();
        for (kind, answer) in answers {
            match answer {
                Ok(items) => items.into_iter().for_each(|item| read.take(kind, item)),
                Err(error) if status_of(&error) == Some(403) => {
                    read.notes.push(format!("{kind} objects are left out: you may not list them"));
                }
                Err(error) => {
                    let asked = format!("{kind} objects cannot be read from {}", self.server);
                    return Err(plain(error).context(asked));
                }
            }
        }
        Ok(read)
    }

    /// These Secrets, one by one.
    pub(crate) async fn secrets(
        &self,
        names: impl IntoIterator<Item = (String, String)>,
    ) -> anyhow::Result<Vec<(ObjectKey, SecretAnswer)>> {
        let asked = names.into_iter().map(async |(namespace, name)| {
            let key = ObjectKey::new(ObjectKind::Secret, &namespace, &name);
            let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
            let answer = match self.get(&path).await {
                Ok(value) => match crds::json::decode_as(ObjectKind::Secret, value) {
                    Ok(object) => SecretAnswer::There(Box::new(object)),
                    Err(_) => SecretAnswer::Unknown,
                },
                Err(error) if status_of(&error) == Some(404) => SecretAnswer::Missing,
                Err(_) => SecretAnswer::Unknown,
            };
            (key, answer)
        });
        Ok(join_all(asked).await)
    }

    /// A path of the API.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, kube::Error> {
        let request = ::http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        self.client.request(request).await
    }

    async fn list(&self, kind: ObjectKind) -> Result<Vec<Value>, kube::Error> {
        let plural = controller::source::kube::plural(kind);
        if kind == ObjectKind::ConfigMap {
            let path = format!("/api/v1/namespaces/{}/configmaps/istio", self.control_namespace);
            return match self.get(&path).await {
                Ok(map) => Ok(vec![map]),
                Err(error) if status_of(&error) == Some(404) => Ok(Vec::new()),
                Err(error) => Err(error),
            };
        }
        for version in kind.versions() {
            let path = match kind.group() {
                "" => format!("/api/{version}/{plural}"),
                group => format!("/apis/{group}/{version}/{plural}"),
            };
            match self.pages(&path).await {
                Err(error) if status_of(&error) == Some(404) => {}
                other => return other,
            }
        }
        // No such kind here, and so no such objects.
        Ok(Vec::new())
    }

    async fn pages(&self, path: &str) -> Result<Vec<Value>, kube::Error> {
        let mut items = Vec::new();
        let mut next = String::new();
        loop {
            let after = if next.is_empty() { String::new() } else { format!("&continue={next}") };
            let mut page = self.get(&format!("{path}?limit={PAGE}{after}")).await?;
            if let Some(Value::Array(more)) = page.get_mut("items").map(Value::take) {
                items.extend(more);
            }
            next = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            if next.is_empty() {
                return Ok(items);
            }
        }
    }
}

impl Read {
    fn take(&mut self, kind: ObjectKind, item: Value) {
        // A pod that has ended is nobody's workload.
        if kind == ObjectKind::Pod && matches!(item["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
            return;
        }
        let name = |field: &str| item["metadata"][field].as_str().unwrap_or_default().to_owned();
        let key = ObjectKey::new(kind, &name("namespace"), &name("name"));
        match crds::json::decode_as(kind, item) {
            Ok(object) => self.objects.push(object),
            Err(failure) => {
                let errors = failure.errors.into_iter().map(|error| (key.clone(), error.path, error.message));
                self.failures.extend(errors);
            }
        }
    }
}
