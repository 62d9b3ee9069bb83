//! IST0110, IST0111: Sidecars of which only one can hold.

use std::collections::BTreeMap;

use crds::{ObjectKey, ObjectKind};

use super::Message;
use super::code::{Code, SIDECAR_SELECTORS, SIDECARS_WITHOUT_SELECTOR};
use super::objects::Objects;

/// An object that selects workloads of its namespace.
pub(super) struct Selecting<'a> {
    pub(super) key: ObjectKey,
    /// `None`: all of them.
    pub(super) selector: Option<&'a BTreeMap<String, String>>,
}

pub(super) fn analyze(objects: &Objects<'_>, messages: &mut Vec<Message>) {
    let sidecars = objects.sidecars.iter().map(|sidecar| Selecting {
        key: sidecar.key(ObjectKind::Sidecar),
        selector: sidecar.spec.workload_selector.as_ref().map(|it| &it.labels).filter(|labels| !labels.is_empty()),
    });
    compete(
        objects,
        sidecars,
        "Sidecars",
        "spec.workloadSelector",
        (SIDECAR_SELECTORS, SIDECARS_WITHOUT_SELECTOR),
        messages,
    );
}

/// Says which of a namespace's objects select the same pod, and which all select everything.
pub(super) fn compete<'a>(
    objects: &Objects<'_>,
    all: impl Iterator<Item = Selecting<'a>>,
    kinds: &str,
    field: &str,
    (same_pod, no_selector): (Code, Code),
    messages: &mut Vec<Message>,
) {
    let mut by_namespace: BTreeMap<String, Vec<Selecting<'a>>> = BTreeMap::new();
    for one in all {
        by_namespace.entry(one.key.namespace.clone()).or_default().push(one);
    }
    for (namespace, all) in by_namespace {
        let list = |keys: &[&ObjectKey]| keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>().join(" ");
        let general: Vec<&ObjectKey> = all.iter().filter(|it| it.selector.is_none()).map(|it| &it.key).collect();
        if general.len() > 1 {
            let text = format!(
                "The {kinds} [{}] in namespace {namespace:?} have no workload selector, which can lead to undefined \
                 behavior.",
                list(&general)
            );
            messages.extend(general.iter().map(|key| Message::new(no_selector, (*key).clone(), "", &*text)));
        }
        let mut told = std::collections::BTreeSet::new();
        for pod in objects.pods.iter().filter(|pod| pod.meta.namespace == namespace) {
            let selecting = all
                .iter()
                .filter(|it| it.selector.is_some_and(|selector| crate::world::selects(selector, &pod.meta.labels)));
            let keys: Vec<&ObjectKey> = selecting.map(|it| &it.key).collect();
            // Replicas are selected alike.
            if keys.len() < 2 || !told.insert(list(&keys)) {
                continue;
            }
            let text = format!(
                "The {kinds} [{}] in namespace {namespace:?} select the same workload pod {:?}, which can lead to \
                 undefined behavior.",
                list(&keys),
                pod.meta.name
            );
            messages.extend(keys.iter().map(|key| Message::new(same_pod, (*key).clone(), field, &*text)));
        }
    }
}
