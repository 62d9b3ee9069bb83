//! IST0127: policies whose selector selects nothing.

use std::collections::BTreeMap;

use crds::{Meta, ObjectKind, PolicySelector};

use super::Message;
use super::code::NO_WORKLOADS;
use super::objects::{Objects, written};
use crate::world::{Typed, selects};

pub(super) fn analyze(objects: &Objects<'_>, messages: &mut Vec<Message>) {
    if !objects.knows_pods() {
        return;
    }
    type Found<'a> = (ObjectKind, &'a Meta, &'static str, &'a BTreeMap<String, String>);
    let mut found: Vec<Found<'_>> = Vec::new();
    policies(&objects.authorization_policies, ObjectKind::AuthorizationPolicy, &mut found, |it| it.selector.as_ref());
    policies(&objects.request_authentications, ObjectKind::RequestAuthentication, &mut found, |it| {
        it.selector.as_ref()
    });
    policies(&objects.peer_authentications, ObjectKind::PeerAuthentication, &mut found, |it| it.selector.as_ref());
    policies(&objects.telemetries, ObjectKind::Telemetry, &mut found, |it| it.selector.as_ref());
    for sidecar in &objects.sidecars {
        if let Some(selector) = &sidecar.spec.workload_selector {
            found.push((ObjectKind::Sidecar, sidecar.meta, "spec.workloadSelector", &selector.labels));
        }
    }
    for (kind, meta, field, selector) in found.into_iter().filter(|(.., selector)| !selector.is_empty()) {
        // Those of the root namespace are for the whole mesh.
        let namespace = Some(meta.namespace.as_str()).filter(|own| *own != objects.mesh.root_namespace);
        let workloads = objects.workload_entries.iter();
        let mut workloads = workloads.filter(|it| namespace.is_none_or(|own| it.meta.namespace == own));
        let is_selected = objects.selected(namespace, selector).next().is_some()
            || workloads.any(|it| selects(selector, &it.spec.labels));
        if !is_selected {
            let text =
                format!("No matching workloads for this resource with the following labels: {}", written(selector));
            let key = crds::ObjectKey::new(kind, &meta.namespace, &meta.name);
            messages.push(Message::new(NO_WORKLOADS, key, field, text));
        }
    }
}

fn policies<'a, T>(
    all: &[Typed<'a, T>],
    kind: ObjectKind,
    found: &mut Vec<(ObjectKind, &'a Meta, &'static str, &'a BTreeMap<String, String>)>,
    selector: impl Fn(&'a T) -> Option<&'a PolicySelector>,
) {
    for one in all {
        if let Some(selector) = selector(one.spec) {
            found.push((kind, one.meta, "spec.selector", &selector.match_labels));
        }
    }
}
