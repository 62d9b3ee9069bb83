//! A value as an object: its identity first, then its body by kind, strictly, finding as many mistakes as possible.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use super::{Failure, Outcome, ReadError, Spans, suggest, unknown};
use crate::object::{
    Body, ConfigMap, DEFAULT_NAMESPACE, Meta, Object, ObjectKey, ObjectKind, Pod, SecretBytes, SecretData, discovery,
};

/// How many mistakes of one document are told.
const MAX_ERRORS: usize = 20;

/// How many unknown fields of one object of an API server are passed over.
const MAX_UNKNOWN: usize = 100;

/// Mistakes found so far.
pub(super) struct Problems<'a> {
    spans: &'a Spans,
    pub(super) errors: Vec<ReadError>,
    /// What is done about fields that are not known: each a mistake, or collected here.
    unknown: Option<Vec<String>>,
}

impl<'a> Problems<'a> {
    pub(super) fn new(spans: &'a Spans) -> Self {
        Self { spans, errors: Vec::new(), unknown: None }
    }

    /// Takes note of a field that is not known; false where that is not a mistake.
    fn at_unknown(&mut self, path: &str, message: impl Into<String>) -> bool {
        match &mut self.unknown {
            Some(unknown) if unknown.len() < MAX_UNKNOWN => {
                unknown.push(path.to_owned());
                false
            }
            Some(_) | None => {
                self.at_key(path, message);
                true
            }
        }
    }

    fn at(&mut self, path: &str, message: impl Into<String>) {
        let position = self.spans.locate(path);
        self.errors.push(ReadError { path: path.to_owned(), message: message.into(), position, syntax: false });
    }

    fn at_key(&mut self, path: &str, message: impl Into<String>) {
        let position = self.spans.locate_key(path);
        self.errors.push(ReadError { path: path.to_owned(), message: message.into(), position, syntax: false });
    }
}

/// Whether a document stands for the objects under its `items`.
pub(super) fn is_list(fields: &Map<String, Value>) -> bool {
    let kind = fields.get("kind").and_then(Value::as_str).unwrap_or_default();
    kind.ends_with("List") && fields.get("items").is_some_and(Value::is_array)
}

/// Who says of which kind an object is.
pub(crate) enum Outside {
    SaysItself,
    Is(ObjectKind),
}

/// Reads one object. `mistakes` are those of its YAML.
pub(super) fn decode(value: Value, spans: &Spans, mistakes: Vec<ReadError>) -> Outcome {
    let mut problems = Problems { errors: mistakes, ..Problems::new(spans) };
    let Some(mut fields) = fields(value, &mut problems) else { return Outcome::Failed(failure(None, problems)) };
    let Some((api_version, kind_name)) = identity(&mut fields, &mut problems) else {
        return Outcome::Failed(failure(None, problems));
    };
    let (group, version) = split(&api_version);
    let Some(kind) = known(group, &kind_name) else {
        if !problems.errors.is_empty() {
            return Outcome::Failed(failure(None, problems));
        }
        return Outcome::Skipped { name: display_name(&fields), api_version, kind: kind_name };
    };
    match object(kind, version, fields, &mut problems) {
        (_, Some(object)) => Outcome::Object(object),
        (key, None) => Outcome::Failed(failure(key, problems)),
    }
}

/// Reads one object of an API server, which has checked it by a schema that may not be ours.
pub(crate) fn decode_json(value: Value, outside: Outside) -> Result<Object, Failure> {
    let spans = Spans::default();
    let mut problems = Problems { unknown: Some(Vec::new()), ..Problems::new(&spans) };
    let Some(mut fields) = fields(value, &mut problems) else { return Err(failure(None, problems)) };
    let stated = match outside {
        Outside::Is(kind) => {
            fields.remove("apiVersion");
            fields.remove("kind");
            Some((kind, String::new()))
        }
        Outside::SaysItself => identity(&mut fields, &mut problems).and_then(|(api_version, name)| {
            let (group, _) = split(&api_version);
            let kind = known(group, &name);
            if kind.is_none() {
                problems.at("kind", format!("kind {name} ({api_version}) is not used here"));
            }
            Some((kind?, api_version))
        }),
    };
    let Some((kind, api_version)) = stated else { return Err(failure(None, problems)) };
    let version = if api_version.is_empty() { kind.versions()[0] } else { split(&api_version).1 };
    match object(kind, version, fields, &mut problems) {
        (_, Some(mut object)) => {
            object.meta.unknown = problems.unknown.unwrap_or_default();
            object.meta.unknown.sort_unstable();
            Ok(object)
        }
        (key, None) => Err(failure(key, problems)),
    }
}

fn fields(value: Value, problems: &mut Problems<'_>) -> Option<Map<String, Value>> {
    match value {
        Value::Object(fields) => Some(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            problems.at("", "expected an object with apiVersion, kind and metadata");
            None
        }
    }
}

fn identity(fields: &mut Map<String, Value>, problems: &mut Problems<'_>) -> Option<(String, String)> {
    let api_version = word(fields, "apiVersion", problems);
    let kind = word(fields, "kind", problems);
    Some((api_version?, kind?))
}

fn split(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

fn known(group: &str, name: &str) -> Option<ObjectKind> {
    ObjectKind::ALL.into_iter().find(|kind| kind.group() == group && kind.as_str() == name)
}

/// The object, if nothing is wrong with it, and its name, if that is clear.
fn object(
    kind: ObjectKind,
    version: &str,
    mut fields: Map<String, Value>,
    problems: &mut Problems<'_>,
) -> (Option<ObjectKey>, Option<Object>) {
    let meta = metadata(fields.remove("metadata"), kind, problems);
    let key = meta.as_ref().map(|meta| ObjectKey::new(kind, &meta.namespace, &meta.name));
    if !kind.versions().contains(&version) {
        let served = kind.versions().join(", ");
        problems.at("apiVersion", format!("version {version} of {kind} is not served; served are: {served}"));
        return (key, None);
    }
    let body = body(kind, fields, problems);
    match (meta, body) {
        (Some(meta), Some(body)) if problems.errors.is_empty() => (key, Some(Object { meta, body })),
        _ => (key, None),
    }
}

fn failure(object: Option<ObjectKey>, problems: Problems<'_>) -> Failure {
    let mut errors = problems.errors;
    errors.sort_by_key(|error| (error.position.offset, !error.syntax));
    errors.truncate(MAX_ERRORS);
    Failure { object, guessed: false, errors }
}

fn word(fields: &mut Map<String, Value>, name: &str, problems: &mut Problems<'_>) -> Option<String> {
    match fields.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => return Some(text),
        Some(_) => problems.at(name, "expected text"),
        None => problems.at("", format!("{name} is missing")),
    }
    None
}

fn display_name(fields: &Map<String, Value>) -> String {
    let part = |name| fields.get("metadata").and_then(|meta| meta.get(name)).and_then(Value::as_str);
    match (part("namespace"), part("name")) {
        (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
        (None, name) | (Some(_), name @ None) => name.unwrap_or_default().to_owned(),
    }
}

/// The fields of `metadata` that mean something here; others are the API server's.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawMeta {
    name: String,
    namespace: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    creation_timestamp: Option<String>,
}

fn metadata(value: Option<Value>, kind: ObjectKind, problems: &mut Problems<'_>) -> Option<Meta> {
    let Some(mut value) = value.filter(|value| !value.is_null()) else {
        problems.at("", "metadata is missing");
        return None;
    };
    drop_nulls(&mut value);
    let raw: RawMeta = typed(value, "metadata", problems)?;
    if raw.name.is_empty() {
        problems.at("metadata", "name is missing");
        return None;
    }
    let created = raw.creation_timestamp.and_then(|text| match text.parse::<jiff::Timestamp>() {
        Ok(time) => Some(time.as_second()),
        Err(_) => {
            problems.at("metadata.creationTimestamp", format!("{text:?} is not a time such as 2026-01-31T12:00:00Z"));
            None
        }
    });
    let namespace = match raw.namespace.filter(|namespace| !namespace.is_empty()) {
        _ if !kind.is_namespaced() => String::new(),
        Some(namespace) => namespace,
        None => DEFAULT_NAMESPACE.to_owned(),
    };
    let RawMeta { name, labels, annotations, .. } = raw;
    Some(Meta { name, namespace, labels, annotations, created, unknown: Vec::new() })
}

fn body(kind: ObjectKind, mut fields: Map<String, Value>, problems: &mut Problems<'_>) -> Option<Body> {
    match kind {
        ObjectKind::Gateway => Body::Gateway(spec(fields, problems)?),
        ObjectKind::VirtualService => Body::VirtualService(spec(fields, problems)?),
        ObjectKind::DestinationRule => Body::DestinationRule(spec(fields, problems)?),
        ObjectKind::ServiceEntry => Body::ServiceEntry(spec(fields, problems)?),
        ObjectKind::Sidecar => Body::Sidecar(spec(fields, problems)?),
        ObjectKind::WorkloadEntry => Body::WorkloadEntry(spec(fields, problems)?),
        ObjectKind::WorkloadGroup => Body::WorkloadGroup(spec(fields, problems)?),
        ObjectKind::ProxyConfig => Body::ProxyConfig(spec(fields, problems)?),
        ObjectKind::PeerAuthentication => Body::PeerAuthentication(spec(fields, problems)?),
        ObjectKind::RequestAuthentication => Body::RequestAuthentication(spec(fields, problems)?),
        ObjectKind::AuthorizationPolicy => Body::AuthorizationPolicy(spec(fields, problems)?),
        ObjectKind::Telemetry => Body::Telemetry(spec(fields, problems)?),
        ObjectKind::Ingress => {
            only(&fields, &["spec", "status"], problems);
            Body::Ingress(Box::new(kubernetes(fields.remove("spec").unwrap_or_default(), "spec", problems)?))
        }
        ObjectKind::IngressClass => {
            only(&fields, &["spec"], problems);
            Body::IngressClass(Box::new(kubernetes(fields.remove("spec").unwrap_or_default(), "spec", problems)?))
        }
        ObjectKind::Service => {
            only(&fields, &["spec", "status"], problems);
            Body::Service(Box::new(kubernetes(fields.remove("spec").unwrap_or_default(), "spec", problems)?))
        }
        ObjectKind::EndpointSlice => {
            only(&fields, &["addressType", "endpoints", "ports"], problems);
            fields.insert("apiVersion".to_owned(), Value::from("discovery.k8s.io/v1"));
            fields.insert("kind".to_owned(), Value::from("EndpointSlice"));
            fields.insert("metadata".to_owned(), Value::Object(Map::new()));
            let slice: discovery::EndpointSlice = kubernetes(Value::Object(fields), "", problems)?;
            Body::EndpointSlice(Box::new(slice))
        }
        ObjectKind::Secret => Body::Secret(secret(fields, problems)?),
        ObjectKind::ConfigMap => {
            only(&fields, &["data", "binaryData", "immutable"], problems);
            Body::ConfigMap(ConfigMap { data: texts(&mut fields, "data", problems)? })
        }
        ObjectKind::Pod => Body::Pod(pod(&fields)),
        ObjectKind::Namespace => Body::Namespace,
        ObjectKind::Node => Body::Node,
    }
    .into()
}

/// The `spec` of a kind of ours.
fn spec<T: DeserializeOwned + Default>(mut fields: Map<String, Value>, problems: &mut Problems<'_>) -> Option<Box<T>> {
    only(&fields, &["spec", "status"], problems);
    let mut spec = fields.remove("spec").unwrap_or_default();
    if spec.is_null() {
        return Some(Box::default());
    }
    drop_nulls(&mut spec);
    typed(spec, "spec", problems).map(Box::new)
}

fn only(fields: &Map<String, Value>, allowed: &[&str], problems: &mut Problems<'_>) {
    // Beside the spec, an API server keeps nothing that is not in its schema.
    if problems.unknown.is_some() {
        return;
    }
    for name in fields.keys().filter(|name| !allowed.contains(&name.as_str())) {
        let message = match suggest::closest(name, allowed.iter().copied()) {
            Some(candidate) => format!("unknown field; did you mean \"{candidate}\"?"),
            None => "unknown field".to_owned(),
        };
        problems.at_unknown(name, message);
    }
}

/// An API server takes an absent value for `null` where a field is not nullable, and none of these fields is
/// (docs/semantics.md §3.3). Lists keep theirs: they are mistakes.
pub(super) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A type of Kubernetes', which passes over fields it does not know: they are found by comparison.
fn kubernetes<T: DeserializeOwned + serde::Serialize>(
    mut value: Value,
    path: &str,
    problems: &mut Problems<'_>,
) -> Option<T> {
    if value.is_null() {
        value = Value::Object(Map::new());
    }
    drop_nulls(&mut value);
    // An API server has checked it, and may know more of its own kinds than we do.
    let written = if problems.unknown.is_some() { None } else { Some(value.clone()) };
    let read: T = typed(value, path, problems)?;
    let Some(written) = written else { return Some(read) };
    let understood = serde_json::to_value(&read).unwrap_or_default();
    for field in unknown::fields(&written, &understood) {
        problems.at_unknown(&join(path, &field), "unknown field");
    }
    Some(read)
}

/// Reads a value as a type. After a mistake the field it is in is taken out and the rest is tried again, so that one
/// look finds them all.
pub(super) fn typed<T: DeserializeOwned>(mut value: Value, path: &str, problems: &mut Problems<'_>) -> Option<T> {
    let mut clean = true;
    for _ in 0..MAX_ERRORS + MAX_UNKNOWN {
        let error = match serde_path_to_error::deserialize::<_, T>(&value) {
            Ok(read) => return clean.then_some(read),
            Err(error) => error,
        };
        let mut segments: Vec<Segment> = error.path().iter().cloned().collect();
        let message = error.inner().to_string();
        let unknown = suggest::unknown_name(&message);
        if let Some(name) = unknown {
            let names_it = matches!(segments.last(), Some(Segment::Map { key }) if key == name);
            if !names_it {
                segments.push(Segment::Map { key: name.to_owned() });
            }
        }
        let full = join(path, &render(&segments));
        let last = full.rsplit('.').next().unwrap_or_default();
        let text = suggest::reword(&message, last);
        if unknown.is_some() {
            clean &= !problems.at_unknown(&full, text);
        } else {
            problems.at(&full, text);
            clean = false;
        }
        if problems.errors.len() >= MAX_ERRORS {
            return None;
        }
        if !take_out(&mut value, &segments) {
            return None;
        }
    }
    None
}

fn join(path: &str, rest: &str) -> String {
    match (path, rest) {
        (path, "") => path.to_owned(),
        ("", rest) => rest.to_owned(),
        (path, rest) if rest.starts_with('[') => format!("{path}{rest}"),
        (path, rest) => format!("{path}.{rest}"),
    }
}

fn render(segments: &[Segment]) -> String {
    segments.iter().fold(String::new(), |path, segment| match segment {
        Segment::Seq { index } => format!("{path}[{index}]"),
        Segment::Map { key } if key.contains(['.', '/']) => format!("{path}[{key}]"),
        Segment::Map { key } => join(&path, key),
        Segment::Enum { variant } => join(&path, variant),
        Segment::Unknown => path,
    })
}

/// Removes the innermost field on the way to `segments`; false when there is none.
fn take_out(value: &mut Value, segments: &[Segment]) -> bool {
    let Some(last) = segments.iter().rposition(|segment| matches!(segment, Segment::Map { .. })) else {
        return false;
    };
    let mut parent = value;
    for segment in &segments[..last] {
        let next = match segment {
            Segment::Map { key } => parent.get_mut(key),
            Segment::Seq { index } => parent.get_mut(*index),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        match next {
            Some(next) => parent = next,
            None => return false,
        }
    }
    match (&segments[last], parent) {
        (Segment::Map { key }, Value::Object(fields)) => fields.remove(key).is_some(),
        _ => false,
    }
}

fn texts(fields: &mut Map<String, Value>, name: &str, problems: &mut Problems<'_>) -> Option<BTreeMap<String, String>> {
    let mut value = fields.remove(name).unwrap_or_default();
    if value.is_null() {
        return Some(BTreeMap::new());
    }
    drop_nulls(&mut value);
    typed(value, name, problems)
}

fn secret(mut fields: Map<String, Value>, problems: &mut Problems<'_>) -> Option<SecretData> {
    only(&fields, &["data", "stringData", "type", "immutable"], problems);
    let kind = match fields.remove("type") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        Some(_) => {
            problems.at("type", "expected text");
            return None;
        }
    };
    let encoded = texts(&mut fields, "data", problems)?;
    let plain = texts(&mut fields, "stringData", problems)?;
    let mut data = BTreeMap::new();
    for (name, text) in encoded {
        // Line breaks are allowed, as Kubernetes allows them.
        let joined: String = text.split(['\r', '\n']).collect();
        match base64::engine::general_purpose::STANDARD.decode(joined) {
            Ok(bytes) => {
                data.insert(name, SecretBytes::from(bytes));
            }
            // The value itself is secret.
            Err(_) => problems.at(&format!("data[{name}]"), "the value is not base64; plain text goes to stringData"),
        }
    }
    data.extend(plain.into_iter().map(|(name, text)| (name, SecretBytes::from(text.into_bytes()))));
    Some(SecretData { kind, data })
}

fn pod(fields: &Map<String, Value>) -> Pod {
    let text = |section: &str, name: &str| {
        fields.get(section).and_then(|section| section.get(name)).and_then(Value::as_str).map(str::to_owned)
    };
    let listed = fields.get("status").and_then(|status| status.get("podIPs")).and_then(Value::as_array);
    let mut addresses: Vec<String> = listed
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.get("ip").and_then(Value::as_str).map(str::to_owned))
        .collect();
    if let Some(first) = text("status", "podIP").filter(|first| !addresses.contains(first)) {
        addresses.insert(0, first);
    }
    Pod { node: text("spec", "nodeName"), service_account: text("spec", "serviceAccountName"), addresses }
}
