//! From an object as the API server has it to what is told about it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crds::json::decode_as;
use crds::{ObjectKey, ObjectKind};
use kube::api::ObjectMeta;
use serde_json::Value;

use super::kinds::tells_status;
use super::watched::Watched;
use super::{ObjectEvent, Revision, StatusText};

/// What to tell about a version of an object.
pub(super) fn event<S>(kind: ObjectKind, api_version: &str, watched: Watched<S>, noticed: Instant) -> ObjectEvent {
    let (ObjectMeta { namespace, name, uid, resource_version, generation, .. }, mut fields) = watched.into_fields();
    let status = fields.remove("status");
    let (status, kept) = if tells_status(kind) { (status, None) } else { (None, status) };
    if let Some(kept) = kept {
        fields.insert("status".to_owned(), kept);
    }
    let revision = Revision {
        uid: uid.unwrap_or_default(),
        generation: generation.unwrap_or_default(),
        resource_version: resource_version.unwrap_or_default(),
        api_version: api_version.to_owned(),
        noticed,
        status: status.map(StatusText::from),
    };
    // A bug in reading one object must not end the watch of all the others.
    let errors = match catch_unwind(AssertUnwindSafe(|| decode_as(kind, Value::Object(fields)))) {
        Ok(Ok(object)) => return ObjectEvent::Applied { object: Arc::new(object), revision },
        Ok(Err(failure)) => failure.errors.iter().map(ToString::to_string).collect(),
        Err(_) => vec!["this version could not be read, which is a bug in Sluice".to_owned()],
    };
    let key = ObjectKey::new(kind, &namespace.unwrap_or_default(), &name.unwrap_or_default());
    ObjectEvent::Unreadable { key, revision, errors }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::watched::{Pods, Whole};
    use super::*;

    #[test]
    fn a_status_is_told_beside_the_object() {
        let value = json!({
            "metadata": {"name": "edge", "namespace": "shop", "uid": "u", "resourceVersion": "12", "generation": 2},
            "spec": {"servers": []}, "status": {"conditions": [{"type": "Programmed"}]},
        });
        let watched: Watched<Whole> = serde_json::from_value(value).unwrap();
        let event = event(ObjectKind::Gateway, "networking.istio.io/v1beta1", watched, Instant::now());
        let ObjectEvent::Applied { object, revision } = event else { panic!("{event:?}") };
        assert_eq!(object.key().to_string(), "Gateway shop/edge");
        assert_eq!((revision.generation, revision.resource_version.as_str(), revision.uid.as_str()), (2, "12", "u"));
        assert_eq!(revision.api_version, "networking.istio.io/v1beta1");
        assert_eq!(revision.status.unwrap().value(), json!({"conditions": [{"type": "Programmed"}]}));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_name_and_fields() {
        let value = json!({
            "metadata": {"name": "web", "namespace": "shop", "generation": 5},
            "spec": {"http": [{"route": [{"weight": "many"}]}]},
        });
        let watched: Watched<Whole> = serde_json::from_value(value).unwrap();
        let event = event(ObjectKind::VirtualService, "networking.istio.io/v1", watched, Instant::now());
        let ObjectEvent::Unreadable { key, revision, errors } = event else { panic!("{event:?}") };
        assert_eq!((key.to_string().as_str(), revision.generation), ("VirtualService shop/web", 5));
        assert!(errors[0].starts_with("spec.http[0].route[0].weight: "), "{errors:?}");
    }

    #[test]
    fn pods_are_read_from_what_is_kept_of_them() {
        let value = json!({
            "metadata": {"name": "web-0", "namespace": "shop", "labels": {"app": "web"}},
            "spec": {"nodeName": "n1", "serviceAccountName": "web", "containers": []},
            "status": {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]},
        });
        let watched: Watched<Pods> = serde_json::from_value(value).unwrap();
        let event = event(ObjectKind::Pod, "v1", watched, Instant::now());
        let ObjectEvent::Applied { object, revision } = event else { panic!("{event:?}") };
        let crds::Body::Pod(pod) = &object.body else { panic!("{object:?}") };
        assert_eq!((pod.node.as_deref(), pod.service_account.as_deref()), (Some("n1"), Some("web")));
        assert_eq!(pod.addresses, ["10.0.0.1", "fd00::1"]);
        assert!(revision.status.is_none());
    }
}
