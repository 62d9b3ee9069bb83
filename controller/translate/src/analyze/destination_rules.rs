//! IST0173, IST0174: rules for hosts that are no service, and subsets without pods.

use crds::{ObjectKind, Subset};

use super::Message;
use super::code::{SUBSET_WITHOUT_PODS, UNKNOWN_RULE_HOST};
use super::objects::{Objects, full};
use crate::world::selects;

pub(super) fn analyze(objects: &Objects<'_>, messages: &mut Vec<Message>) {
    for rule in &objects.destination_rules {
        let key = rule.key(ObjectKind::DestinationRule);
        let host = full(&rule.spec.host, rule.meta);
        if !objects.has_service(&host) {
            let text = format!(
                "The host {} defined in the DestinationRule does not match any services in the mesh.",
                rule.spec.host
            );
            messages.push(Message::new(UNKNOWN_RULE_HOST, key, "spec.host", text));
            continue;
        }
        if !objects.knows_pods() {
            continue;
        }
        for (index, subset) in rule.spec.subsets.iter().enumerate() {
            if selects_nothing(objects, &host, subset) {
                let text =
                    format!("The Subset {} defined in the DestinationRule does not select any pods.", subset.name);
                messages.push(Message::new(SUBSET_WITHOUT_PODS, key.clone(), format!("spec.subsets[{index}]"), text));
            }
        }
    }
}

/// Only where it is known what could be selected: not for wildcards, and not for Services whose endpoints somebody else
/// writes.
fn selects_nothing(objects: &Objects<'_>, host: &str, subset: &Subset) -> bool {
    if host.starts_with('*') || subset.labels.is_empty() {
        return false;
    }
    if let Some(service) = objects.service(host) {
        let Some(selector) = service.spec.selector.as_ref().filter(|selector| !selector.is_empty()) else {
            return false;
        };
        let namespace = &service.meta.namespace;
        let workloads = objects.workload_entries.iter().filter(|entry| entry.meta.namespace == *namespace);
        let by_workload = workloads.map(|entry| &entry.spec.labels);
        let by_pod = objects.selected(Some(namespace), selector).map(|pod| &pod.meta.labels);
        return !by_pod
            .chain(by_workload.filter(|labels| selects(selector, labels)))
            .any(|labels| selects(&subset.labels, labels));
    }
    objects.entries_of(host).all(|entry| {
        let namespace = &entry.meta.namespace;
        let inline = entry.spec.endpoints.iter().any(|endpoint| selects(&subset.labels, &endpoint.labels));
        let selected = entry.spec.workload_selector.as_ref().is_some_and(|selector| {
            let workloads = objects.workload_entries.iter().filter(|it| it.meta.namespace == *namespace);
            let labels = objects.selected(Some(namespace), &selector.labels).map(|pod| &pod.meta.labels);
            let mut labels =
                labels.chain(workloads.map(|it| &it.spec.labels).filter(|labels| selects(&selector.labels, labels)));
            labels.any(|labels| selects(&subset.labels, labels))
        });
        !inline && !selected
    })
}
