//! Objects as an API server hands them out, in JSON. They have passed its schema, so there are no positions to tell; but
//! the schema may be another one than ours: a field that is not known does not lose the object, it is remembered in
//! [`Meta::unknown`](crate::Meta::unknown) and told to the user.

use serde_json::Value;

use crate::object::{Object, ObjectKind};
use crate::yaml::Failure;
use crate::yaml::decode::{self, Outside};

/// What an API server knows about an object besides what the user wrote. Apart from [`Meta`](crate::Meta), because
/// objects are compared and most of this changes whenever anything does, status included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    pub uid: String,
    pub resource_version: String,
    /// Counts changes of the spec; 0 for kinds that have none.
    pub generation: i64,
    /// It is on its way out and only waits for its finalizers.
    pub deleting: bool,
}

/// Reads one object, which says itself of which kind it is.
///
/// # Errors
/// As many reasons as could be found at once why the object cannot be understood, with the object's name if that is
/// clear. Positions in them mean nothing.
pub fn decode(value: Value) -> Result<Object, Failure> {
    decode::decode_json(value, Outside::SaysItself)
}

/// Reads one object of a kind that is known beforehand: an item of a list does not say it again.
///
/// # Errors
/// As [`decode`].
pub fn decode_as(kind: ObjectKind, value: Value) -> Result<Object, Failure> {
    decode::decode_json(value, Outside::Is(kind))
}

/// What the API server says about an object.
#[must_use]
pub fn stamp(value: &Value) -> Stamp {
    let meta = value.get("metadata");
    let text = |name: &str| {
        let text = meta.and_then(|meta| meta.get(name)).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let number = |name: &str| meta.and_then(|meta| meta.get(name)).and_then(Value::as_i64);
    Stamp {
        uid: text("uid"),
        resource_version: text("resourceVersion"),
        generation: number("generation").unwrap_or_default(),
        deleting: meta.and_then(|meta| meta.get("deletionTimestamp")).is_some_and(Value::is_string),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::Body;

    fn service_entry(spec: Value) -> Value {
        json!({
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": {
                "name": "outside", "namespace": "shop", "uid": "u-1", "generation": 7, "resourceVersion": "12",
                "creationTimestamp": "2026-01-02T03:04:05Z", "managedFields": [{"manager": "kubectl"}],
                "ownerReferences": [], "finalizers": ["a/b"],
            },
            "spec": spec,
            "status": {"conditions": [{"type": "Reconciled", "anything": {"else": 1}}]},
        })
    }

    #[test]
    fn what_the_api_server_adds_is_passed_over() {
        let value = service_entry(json!({"hosts": ["a.b"], "resolution": "DNS"}));
        let stamp = stamp(&value);
        assert_eq!((stamp.uid.as_str(), stamp.generation, stamp.deleting), ("u-1", 7, false));
        let object = decode(value).unwrap();
        assert_eq!(object.key().to_string(), "ServiceEntry shop/outside");
        assert_eq!((object.meta.created, object.meta.unknown.len()), (Some(1_767_323_045), 0));
    }

    #[test]
    fn fields_of_a_newer_schema_are_remembered_and_lose_nothing() {
        let spec = json!({"hosts": ["a.b"], "wings": {"count": 2}, "ports": [{"number": 80, "colour": "red"}]});
        let object = decode(service_entry(spec)).unwrap();
        assert_eq!(object.meta.unknown, ["spec.ports[0].colour", "spec.wings"]);
        let Body::ServiceEntry(spec) = object.body else { panic!() };
        assert_eq!((spec.hosts, spec.ports[0].number), (vec!["a.b".to_owned()], 80));
    }

    #[test]
    fn a_value_that_cannot_be_understood_loses_the_object() {
        let failure = decode(service_entry(json!({"hosts": "a", "resolution": "MAGIC"}))).unwrap_err();
        assert_eq!(failure.object.unwrap().to_string(), "ServiceEntry shop/outside");
        let errors: Vec<_> = failure.errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors[0], "spec.hosts: expected a list, found the text \"a\"");
        assert!(errors[1].starts_with("spec.resolution: the text \"MAGIC\" is not allowed here"), "{errors:?}");
    }

    #[test]
    fn items_of_a_list_do_not_say_their_kind() {
        let value = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": [{"port": 80}],
            "inventedLater": true}, "status": {}});
        let object = decode_as(ObjectKind::Service, value.clone()).unwrap();
        assert_eq!(object.key().to_string(), "Service shop/web");
        // The API server may be newer than we are; what Kubernetes adds is no business of the user's.
        assert!(object.meta.unknown.is_empty());
        assert!(decode(value).is_err());
    }

    #[test]
    fn other_kinds_and_versions_are_refused() {
        for (version, kind) in [("apps/v1", "Deployment"), ("networking.istio.io/v9", "Gateway")] {
            let value = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}});
            assert!(decode(value).is_err(), "{version} {kind}");
        }
        assert!(decode(json!(1)).is_err());
    }

    #[test]
    fn the_last_spelling_of_a_secret_is_decoded() {
        let value = json!({"metadata": {"name": "c", "namespace": "n"}, "type": "kubernetes.io/tls",
            "data": {"tls.key": "b2xk"}});
        let object = decode_as(ObjectKind::Secret, value).unwrap();
        let Body::Secret(data) = object.body else { panic!() };
        assert_eq!(data.data["tls.key"].as_bytes(), b"old");
    }
}
