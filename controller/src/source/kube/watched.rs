//! An object as it comes from the API server, with everything that nobody needs left out while it is parsed: what
//! `managedFields` and container specs weigh is never held. Says nothing about what an object means.
//!
//! Reading never fails on a value of an unexpected shape: the client would log the whole answer, secrets included.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use kube::Resource;
use kube::api::{ApiResource, ObjectMeta};
use kube::core::DynamicResourceScope;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

/// How much of an object is kept.
pub(super) trait Shape: Clone + Send + Sync + 'static {
    /// Only metadata is asked for.
    const METADATA_ONLY: bool = false;
    /// Names of the fields besides metadata that are kept, and of the fields of these; none means all.
    const FIELDS: &'static [(&'static str, &'static [&'static str])] = &[];

    fn keeps_annotation(name: &str) -> bool;
}

/// Everything a user wrote.
#[derive(Clone)]
pub(super) struct Whole;

/// Without annotations and status that other controllers write.
#[derive(Clone)]
pub(super) struct Slim;

/// Who a pod is and where it runs.
#[derive(Clone)]
pub(super) struct Pods;

/// Metadata only.
#[derive(Clone)]
pub(super) struct Labels;

impl Shape for Whole {
    fn keeps_annotation(name: &str) -> bool {
        name != "kubectl.kubernetes.io/last-applied-configuration"
    }
}

impl Shape for Slim {
    const FIELDS: &'static [(&'static str, &'static [&'static str])] =
        &[("spec", &[]), ("addressType", &[]), ("endpoints", &[]), ("ports", &[])];

    fn keeps_annotation(name: &str) -> bool {
        has_meaning(name)
    }
}

impl Shape for Pods {
    const FIELDS: &'static [(&'static str, &'static [&'static str])] =
        &[("spec", &["nodeName", "serviceAccountName"]), ("status", &["phase", "podIP", "podIPs"])];

    fn keeps_annotation(name: &str) -> bool {
        has_meaning(name)
    }
}

impl Shape for Labels {
    const METADATA_ONLY: bool = true;
    const FIELDS: &'static [(&'static str, &'static [&'static str])] = &[("metadata", &[])];

    fn keeps_annotation(name: &str) -> bool {
        has_meaning(name)
    }
}

/// Annotations of Kubernetes' own objects that mean something to a mesh. Others change often and for no reason that
/// matters here, such as the time of the last change of an EndpointSlice.
fn has_meaning(annotation: &str) -> bool {
    let domain = annotation.split_once('/').map_or("", |(domain, _)| domain);
    domain == "istio.io" || domain.ends_with(".istio.io") || domain == "service.kubernetes.io"
}

/// An object that is left with what is needed.
pub(super) struct Watched<S> {
    /// Name, namespace, uid, version and generation only.
    meta: ObjectMeta,
    fields: Map<String, Value>,
    shape: PhantomData<fn() -> S>,
}

impl<S> Watched<S> {
    /// The object without what [`Resource::meta`] has.
    pub(super) fn into_fields(self) -> (ObjectMeta, Map<String, Value>) {
        (self.meta, self.fields)
    }
}

impl<S> Clone for Watched<S> {
    fn clone(&self) -> Self {
        Self { meta: self.meta.clone(), fields: self.fields.clone(), shape: PhantomData }
    }
}

/// It may be a Secret.
impl<S> fmt::Debug for Watched<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ObjectMeta { namespace, name, resource_version, .. } = &self.meta;
        write!(f, "Watched({namespace:?}/{name:?} {resource_version:?})")
    }
}

impl<S: Shape> Resource for Watched<S> {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn metadata_api() -> bool {
        S::METADATA_ONLY
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

impl<'de, S: Shape> serde::Deserialize<'de> for Watched<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<S>(PhantomData<fn() -> S>);

impl<'de, S: Shape> Visitor<'de> for ObjectVisitor<S> {
    type Value = Watched<S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut watched = Watched { meta: ObjectMeta::default(), fields: Map::new(), shape: PhantomData };
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            let kept = S::FIELDS.iter().find(|(field, _)| *field == name);
            match (&*name, kept) {
                ("metadata", _) => {
                    let mut meta = map.next_value_seed(Picked(&is_known_metadata))?;
                    if let Some(meta) = meta.as_object_mut() {
                        watched.meta = take_meta::<S>(meta);
                    }
                    watched.fields.insert("metadata".to_owned(), meta);
                }
                // Which kind it is, is known: lists do not say it, and metadata alone comes as another kind.
                ("apiVersion" | "kind", _) => {
                    map.next_value::<IgnoredAny>()?;
                }
                (_, None) if !S::FIELDS.is_empty() => {
                    map.next_value::<IgnoredAny>()?;
                }
                (_, Some((_, inner))) if !inner.is_empty() => {
                    let value = map.next_value_seed(Picked(&|name: &str| inner.contains(&name)))?;
                    watched.fields.insert(name.into_owned(), value);
                }
                (_, None | Some(_)) => {
                    let value = map.next_value()?;
                    watched.fields.insert(name.into_owned(), value);
                }
            }
        }
        Ok(watched)
    }
}

fn is_known_metadata(name: &str) -> bool {
    [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "labels",
        "annotations",
        "deletionTimestamp",
    ]
    .contains(&name)
}

/// What identifies a version, copied out for the client; and annotations that are not needed, thrown away.
fn take_meta<S: Shape>(meta: &mut Map<String, Value>) -> ObjectMeta {
    if let Some(Value::Object(annotations)) = meta.get_mut("annotations") {
        annotations.retain(|name, _| S::keeps_annotation(name));
    }
    let text = |name: &str| meta.get(name).and_then(Value::as_str).map(str::to_owned);
    ObjectMeta {
        name: text("name"),
        namespace: text("namespace"),
        uid: text("uid"),
        resource_version: text("resourceVersion"),
        generation: meta.get("generation").and_then(Value::as_i64),
        ..ObjectMeta::default()
    }
}

/// A value of which, if it has fields, only some are kept.
struct Picked<'a>(&'a dyn Fn(&str) -> bool);

impl<'de> DeserializeSeed<'de> for Picked<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Picked<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            if (self.0)(&name) {
                fields.insert(name.into_owned(), map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Value::Object(fields))
    }

    // Whatever else stands there stands for nothing.
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_str<E>(self, _: &str) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read<S: Shape>(value: &Value) -> Value {
        let watched: Watched<S> = serde_json::from_str(&value.to_string()).unwrap();
        let (_, fields) = watched.into_fields();
        Value::Object(fields)
    }

    #[test]
    fn pods_are_left_with_who_and_where_they_are() {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "web-0", "namespace": "shop", "uid": "u", "resourceVersion": "7", "labels": {"app": "web"},
                "annotations": {"sidecar.istio.io/inject": "false", "cni.example/state": "long"},
                "managedFields": [{"manager": "kubelet"}], "ownerReferences": [{"name": "web"}],
                "creationTimestamp": "2026-01-02T03:04:05Z",
            },
            "spec": {"nodeName": "n1", "serviceAccountName": "web", "containers": [{"name": "web", "env": []}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}], "conditions": [{}]},
        });
        let kept = json!({
            "metadata": {
                "name": "web-0", "namespace": "shop", "uid": "u", "resourceVersion": "7", "labels": {"app": "web"},
                "annotations": {"sidecar.istio.io/inject": "false"}, "creationTimestamp": "2026-01-02T03:04:05Z",
            },
            "spec": {"nodeName": "n1", "serviceAccountName": "web"},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]},
        });
        assert_eq!(read::<Pods>(&pod), kept);
    }

    #[test]
    fn objects_of_users_keep_all_but_what_tools_write_for_themselves() {
        let object = json!({
            "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
            "metadata": {
                "name": "edge", "generation": 3, "managedFields": [],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "team": "shop"},
            },
            "spec": {"servers": []}, "status": {"conditions": []}, "other": 1,
        });
        let kept = json!({
            "metadata": {"name": "edge", "generation": 3, "annotations": {"team": "shop"}},
            "spec": {"servers": []}, "status": {"conditions": []}, "other": 1,
        });
        assert_eq!(read::<Whole>(&object), kept);
        let watched: Watched<Whole> = serde_json::from_value(object).unwrap();
        assert_eq!((watched.meta().name.as_deref(), watched.meta().generation), (Some("edge"), Some(3)));
    }

    #[test]
    fn slices_lose_the_time_of_their_last_change() {
        let slice = json!({
            "metadata": {"name": "web-1", "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "now"}},
            "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [], "status": {},
        });
        let kept = json!({
            "metadata": {"name": "web-1", "annotations": {}},
            "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [],
        });
        assert_eq!(read::<Slim>(&slice), kept);
    }

    #[test]
    fn labels_come_without_a_body() {
        let node = json!({"kind": "PartialObjectMetadata", "metadata": {"name": "n", "labels": {"a": "b"}}, "spec": 1});
        assert_eq!(read::<Labels>(&node), json!({"metadata": {"name": "n", "labels": {"a": "b"}}}));
    }

    #[test]
    fn odd_shapes_are_read_and_mean_nothing() {
        for odd in [json!(null), json!(1), json!(-1), json!(1.5), json!("x"), json!([1]), json!(true)] {
            let pod = json!({"metadata": odd, "spec": odd, "status": odd});
            assert_eq!(read::<Pods>(&pod)["spec"], Value::Null);
            let secret = json!({"metadata": {"name": odd, "annotations": odd}, "data": odd});
            assert_eq!(read::<Whole>(&secret)["data"], odd);
        }
    }

    #[test]
    fn values_are_not_shown() {
        let secret = json!({"metadata": {"name": "tls"}, "data": {"tls.key": "aHVudGVyMg=="}});
        let watched: Watched<Whole> = serde_json::from_value(secret).unwrap();
        let shown = format!("{watched:?}");
        assert!(shown.contains("tls") && !shown.contains("aHVudGVyMg"), "{shown}");
    }
}
