//! An API server that fails on demand: as much of the protocol as a watch sees, in the same process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use crds::ObjectKind;
use futures::channel::mpsc::{self, UnboundedSender};
use futures::stream::BoxStream;
use futures::{StreamExt, future, stream};
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use kube::Client;
use serde_json::{Value, json};
use tower::BoxError;

use super::super::kinds::plural;

/// What a request for a kind meets instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Status(u16),
    /// The connection breaks.
    Cut,
    /// No answer ever comes.
    Silence,
}

#[derive(Clone, Default)]
pub(super) struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    version: u64,
    /// By plural.
    collections: BTreeMap<String, Collection>,
    /// Versions of the defined kinds, by group and plural.
    defined: BTreeMap<(String, String), Vec<&'static str>>,
    faults: BTreeMap<String, Fault>,
    requests: Vec<String>,
}

#[derive(Default)]
struct Collection {
    objects: BTreeMap<(String, String), Value>,
    /// What happened: version, type, object.
    log: Vec<(u64, &'static str, Value)>,
    /// Watches can go on from here or later.
    compacted: u64,
    watches: Vec<(Filter, UnboundedSender<String>)>,
}

#[derive(Clone, Default)]
struct Filter {
    namespace: Option<String>,
    name: Option<String>,
    api_version: String,
    kind: &'static str,
}

impl Filter {
    fn matches(&self, object: &Value) -> bool {
        let meta = &object["metadata"];
        self.namespace.as_ref().is_none_or(|namespace| meta["namespace"] == **namespace)
            && self.name.as_ref().is_none_or(|name| meta["name"] == **name)
    }

    fn line(&self, event: &str, object: &Value) -> String {
        let mut object = object.clone();
        object["apiVersion"] = json!(self.api_version);
        object["kind"] = json!(self.kind);
        format!("{}\n", json!({"type": event, "object": object}))
    }
}

type Answer = Response<StreamBody<BoxStream<'static, Result<Frame<Bytes>, BoxError>>>>;

impl Server {
    /// One that has all of Istio's kinds at v1, and the ConfigMap and everything else empty.
    pub(super) fn new() -> Self {
        let server = Self::default();
        for kind in ObjectKind::ALL.into_iter().filter(|kind| kind.is_istio()) {
            server.define(kind, &[kind.versions()[0]]);
        }
        server
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn client(&self) -> Client {
        let server = self.clone();
        let answer = move |request: Request<kube::client::Body>| {
            let answer = server.answer(request.method().as_str(), request.uri());
            async move {
                match answer {
                    Ok(answer) => Ok(answer),
                    Err(Fault::Silence) => future::pending().await,
                    Err(_) => Err(BoxError::from(std::io::Error::other("connection refused"))),
                }
            }
        };
        Client::new(tower::service_fn(answer), "default")
    }

    /// The kind is installed at these versions, and nothing else of it.
    pub(super) fn define(&self, kind: ObjectKind, versions: &[&'static str]) {
        let mut state = self.state();
        state.defined.insert((kind.group().to_owned(), plural(kind).to_owned()), versions.to_vec());
        if !versions.contains(&"v1") {
            state.collection(plural(kind)).watches.clear();
        }
        let name = format!("{}.{}", plural(kind), kind.group());
        state.put("customresourcedefinitions", &json!({"metadata": {"name": name}}));
    }

    /// The kind is gone; what a real server tells before that is left out.
    pub(super) fn undefine(&self, kind: ObjectKind) {
        let mut state = self.state();
        state.defined.remove(&(kind.group().to_owned(), plural(kind).to_owned()));
        state.collections.remove(plural(kind));
        state.delete("customresourcedefinitions", "", &format!("{}.{}", plural(kind), kind.group()));
    }

    pub(super) fn apply(&self, kind: ObjectKind, object: &Value) {
        self.state().put(plural(kind), object);
    }

    pub(super) fn delete(&self, kind: ObjectKind, namespace: &str, name: &str) {
        self.state().delete(plural(kind), namespace, name);
    }

    pub(super) fn fail(&self, kind: ObjectKind, fault: Fault) {
        self.state().faults.insert(plural(kind).to_owned(), fault);
        self.break_watches(kind);
    }

    /// Nobody may see definitions.
    pub(super) fn hide_definitions(&self) {
        self.state().faults.insert("customresourcedefinitions".to_owned(), Fault::Status(403));
    }

    pub(super) fn heal(&self, kind: ObjectKind) {
        self.state().faults.remove(plural(kind));
    }

    pub(super) fn break_watches(&self, kind: ObjectKind) {
        self.state().collection(plural(kind)).watches.clear();
    }

    /// Everything that happened so far is forgotten: no watch can go on from it.
    pub(super) fn compact(&self, kind: ObjectKind) {
        let mut state = self.state();
        let version = state.version;
        let collection = state.collection(plural(kind));
        collection.log.clear();
        collection.compacted = version;
    }

    /// How many requests there were whose text contains all of these.
    pub(super) fn count(&self, parts: &[&str]) -> usize {
        let contains = |request: &&String| parts.iter().all(|part| request.contains(part));
        self.state().requests.iter().filter(contains).count()
    }

    pub(super) fn requests(&self) -> BTreeSet<String> {
        self.state().requests.iter().cloned().collect()
    }

    fn answer(&self, method: &str, uri: &http::Uri) -> Result<Answer, Fault> {
        let mut state = self.state();
        state.requests.push(format!("{method} {uri}"));
        state.answer(uri.path(), uri.query().unwrap_or_default())
    }
}

impl State {
    fn collection(&mut self, plural: &str) -> &mut Collection {
        self.collections.entry(plural.to_owned()).or_default()
    }

    fn put(&mut self, plural: &str, object: &Value) {
        self.version += 1;
        let version = self.version;
        let mut object = object.clone();
        let meta = &mut object["metadata"];
        meta["resourceVersion"] = json!(version.to_string());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = (text(&meta["namespace"]), text(&meta["name"]));
        let collection = self.collection(plural);
        let before = collection.objects.get(&key).map(|before| before["metadata"]["uid"].clone());
        let uid = meta.get("uid").cloned().or(before.clone()).unwrap_or_else(|| json!(format!("uid-{version}")));
        meta["uid"] = uid;
        collection.tell(version, if before.is_some() { "MODIFIED" } else { "ADDED" }, &object);
        collection.objects.insert(key, object);
    }

    fn delete(&mut self, plural: &str, namespace: &str, name: &str) {
        self.version += 1;
        let version = self.version;
        let collection = self.collection(plural);
        if let Some(mut object) = collection.objects.remove(&(namespace.to_owned(), name.to_owned())) {
            object["metadata"]["resourceVersion"] = json!(version.to_string());
            collection.tell(version, "DELETED", &object);
        }
    }

    fn answer(&mut self, path: &str, query: &str) -> Result<Answer, Fault> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let (group, version, rest) = match *parts.as_slice() {
            ["apis", group] => return Ok(self.group(group)),
            ["apis", group, version] => return Ok(self.resources(group, version)),
            ["api", version, ref rest @ ..] => ("", version, rest),
            ["apis", group, version, ref rest @ ..] => (group, version, rest),
            _ => return Ok(status(404)),
        };
        let (namespace, plural) = match *rest {
            ["namespaces", namespace, plural] => (Some(namespace.to_owned()), plural),
            [plural] => (None, plural),
            _ => return Ok(status(404)),
        };
        match self.faults.get(plural) {
            Some(Fault::Status(code)) => return Ok(status(*code)),
            Some(fault) => return Err(*fault),
            None => {}
        }
        if group.ends_with(".istio.io") {
            let versions = self.defined.get(&(group.to_owned(), plural.to_owned()));
            if !versions.is_some_and(|versions| versions.contains(&version)) {
                return Ok(status(404));
            }
        }
        let query: BTreeMap<String, String> =
            query.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (decoded(k), decoded(v))).collect();
        let name = query.get("fieldSelector").and_then(|fields| fields.strip_prefix("metadata.name="));
        let kind = ObjectKind::ALL.into_iter().find(|kind| super::super::kinds::plural(*kind) == plural);
        let filter = Filter {
            namespace,
            name: name.map(str::to_owned),
            api_version: if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") },
            kind: kind.map_or("CustomResourceDefinition", ObjectKind::as_str),
        };
        let now = self.version;
        let collection = self.collection(plural);
        Ok(if query.contains_key("watch") {
            collection.watch(filter, query["resourceVersion"].parse().unwrap())
        } else {
            collection.list(&filter, &query, now)
        })
    }

    fn group(&self, group: &str) -> Answer {
        let versions: BTreeSet<_> =
            self.defined.iter().filter(|((of, _), _)| of == group).flat_map(|(_, versions)| versions).collect();
        if versions.is_empty() {
            return status(404);
        }
        let versions: Vec<_> = versions
            .into_iter()
            .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
            .collect();
        body(&json!({"kind": "APIGroup", "apiVersion": "v1", "name": group, "versions": versions}))
    }

    fn resources(&self, group: &str, version: &str) -> Answer {
        let resource = |((of, plural), versions): (&(String, String), &Vec<&str>)| {
            let verbs = ["delete", "get", "list", "patch", "watch"];
            (of == group && versions.contains(&version)).then(
                || json!({"name": plural, "singularName": "", "namespaced": true, "kind": plural, "verbs": verbs}),
            )
        };
        let resources: Vec<_> = self.defined.iter().filter_map(resource).collect();
        if resources.is_empty() {
            return status(404);
        }
        let group_version = format!("{group}/{version}");
        body(&json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": resources}))
    }
}

impl Collection {
    fn tell(&mut self, version: u64, event: &'static str, object: &Value) {
        self.log.push((version, event, object.clone()));
        self.watches.retain(|(filter, watch)| {
            !filter.matches(object) || watch.unbounded_send(filter.line(event, object)).is_ok()
        });
    }

    fn list(&self, filter: &Filter, query: &BTreeMap<String, String>, version: u64) -> Answer {
        let start: usize = query.get("continue").map_or(0, |token| token.parse().unwrap());
        let limit: usize = query.get("limit").map_or(usize::MAX, |limit| limit.parse().unwrap());
        let matching: Vec<_> = self.objects.values().filter(|object| filter.matches(object)).collect();
        let items: Vec<_> = matching.iter().skip(start).take(limit).collect();
        let end = start + items.len();
        let next = if end < matching.len() { end.to_string() } else { String::new() };
        body(&json!({
            "kind": format!("{}List", filter.kind), "apiVersion": filter.api_version,
            "metadata": {"resourceVersion": version.to_string(), "continue": next}, "items": items,
        }))
    }

    fn watch(&mut self, filter: Filter, from: u64) -> Answer {
        let (sender, lines) = mpsc::unbounded();
        if from < self.compacted {
            let gone =
                json!({"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "old"});
            sender.unbounded_send(format!("{}\n", json!({"type": "ERROR", "object": gone}))).unwrap();
            return stream_of(lines.boxed());
        }
        for (version, event, object) in &self.log {
            if *version > from && filter.matches(object) {
                sender.unbounded_send(filter.line(event, object)).unwrap();
            }
        }
        self.watches.push((filter, sender));
        stream_of(lines.boxed())
    }
}

fn stream_of(lines: BoxStream<'static, String>) -> Answer {
    let frames = lines.map(|line| Ok(Frame::data(Bytes::from(line))));
    Response::new(StreamBody::new(frames.boxed()))
}

fn body(value: &Value) -> Answer {
    stream_of(stream::once(future::ready(value.to_string())).boxed())
}

fn status(code: u16) -> Answer {
    let reason = if code == 403 { "Forbidden" } else { "" };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": "as the test wants it",
    });
    let mut answer = body(&status);
    *answer.status_mut() = code.try_into().unwrap();
    answer
}

fn decoded(text: &str) -> String {
    text.replace("%3D", "=").replace("%2C", ",").replace("%21", "!").replace('+', " ")
}
