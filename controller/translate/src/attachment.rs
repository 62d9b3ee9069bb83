//! What a policy is attached to: workloads by labels, or objects by name (docs/semantics.md §1.6).

use crds::{PolicySelector, PolicyTargetReference, WorkloadSelector};

use crate::scope::Scope;

/// Objects a policy may be attached to, as group and kind.
const TARGETS: [(&str, &str); 5] = [
    ("gateway.networking.k8s.io", "Gateway"),
    ("gateway.networking.k8s.io", "GatewayClass"),
    ("", "Service"),
    ("core", "Service"),
    ("networking.istio.io", "ServiceEntry"),
];
/// Most objects of one policy.
const MOST: usize = 16;

/// Checks all three ways to attach a policy, of which one may be used.
pub(crate) fn validate(
    selector: Option<&PolicySelector>,
    target_ref: Option<&PolicyTargetReference>,
    target_refs: &[PolicyTargetReference],
    at: &mut Scope<'_>,
) {
    let ways =
        usize::from(selector.is_some()) + usize::from(target_ref.is_some()) + usize::from(!target_refs.is_empty());
    if ways > 1 {
        at.conflict("only one of selector, targetRef and targetRefs can be given");
    }
    validate_selector(selector, at);
    if let Some(target) = target_ref {
        validate_target(target, &mut at.field("targetRef"));
    }
    if target_refs.len() > MOST {
        at.field("targetRefs").conflict("a policy can be attached to 16 objects at most");
    }
    for (index, target) in target_refs.iter().enumerate() {
        validate_target(target, &mut at.item("targetRefs", index));
    }
}

pub(crate) fn validate_selector(selector: Option<&PolicySelector>, at: &mut Scope<'_>) {
    let Some(PolicySelector { match_labels }) = selector else { return };
    let mut at = at.field("selector");
    if match_labels.is_empty() {
        at.no_effect("it has no labels, so everything in the namespace is selected");
    }
    for (key, value) in match_labels {
        validate_label(key, value, &mut at.entry("matchLabels", key));
    }
}

pub(crate) fn validate_workloads(selector: Option<&WorkloadSelector>, at: &mut Scope<'_>) {
    let Some(WorkloadSelector { labels }) = selector else { return };
    let mut at = at.field("workloadSelector");
    if labels.is_empty() {
        at.no_effect("it has no labels, so everything in the namespace is selected");
    }
    for (key, value) in labels {
        validate_label(key, value, &mut at.entry("labels", key));
    }
}

fn validate_label(key: &str, value: &str, at: &mut Scope<'_>) {
    if key.is_empty() || key.contains('*') {
        at.invalid(key, "the name of a label");
    }
    if value.contains('*') || value.len() > 63 {
        at.invalid(value, "the value of a label, which is compared as it is");
    }
}

fn validate_target(target: &PolicyTargetReference, at: &mut Scope<'_>) {
    let PolicyTargetReference { group, kind, name, namespace } = target;
    if !TARGETS.contains(&(group.as_deref().unwrap_or_default(), kind)) {
        at.field("kind").invalid(
            kind,
            "a kind that policies can be attached to: Gateway and GatewayClass of gateway.networking.k8s.io, Service, ServiceEntry of networking.istio.io",
        );
    }
    if name.is_empty() {
        at.field("name").missing("the name of the object is needed");
    }
    if namespace.as_deref().is_some_and(|namespace| !namespace.is_empty()) {
        at.field("namespace").conflict("must be empty: a policy can only be attached to objects of its own namespace");
    }
}
