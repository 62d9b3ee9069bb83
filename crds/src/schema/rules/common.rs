//! Types that several kinds share.

use serde_json::json;

use super::{Rule, filled, holds, needs, rule};

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = vec![
        // At most one of exact, prefix and regex; none of them means "is present".
        rule("StringMatch", "", json!({"maxProperties": 1})),
        rule("StringMatch", "regex", json!({"minLength": 1, "maxLength": 1024})),
        rule("WorkloadSelector", "labels", json!({"maxProperties": 256})),
        rule("WorkloadSelector", "labels{}", json!({"maxLength": 63})),
        holds(
            "WorkloadSelector",
            "labels{}",
            &[("!self.contains('*')", "a label is compared as it is; wildcards are not supported here")],
        ),
        rule("PolicySelector", "matchLabels", json!({"maxProperties": 4096})),
        rule("PolicySelector", "matchLabels{}", json!({"maxLength": 63})),
        holds(
            "PolicySelector",
            "matchLabels",
            &[
                ("self.all(key, key.size() != 0)", "a label's name cannot be empty"),
                ("self.all(key, !key.contains('*'))", "a label's name is compared as it is; * is not allowed in it"),
            ],
        ),
        holds(
            "PolicySelector",
            "matchLabels{}",
            &[("!self.contains('*')", "a label's value is compared as it is; * is not allowed in it")],
        ),
        needs("PolicyTargetReference", &["kind", "name"]),
        rule(
            "PolicyTargetReference",
            "group",
            json!({"maxLength": 253, "pattern": r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"}),
        ),
        rule(
            "PolicyTargetReference",
            "kind",
            json!({"maxLength": 63, "pattern": "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"}),
        ),
        rule("PolicyTargetReference", "name", json!({"maxLength": 253})),
        rule("PolicyTargetReference", "namespace", json!({"maxLength": 63})),
        holds(
            "PolicyTargetReference",
            "namespace",
            &[("self.size() == 0", "must be empty: a policy can only be attached to objects of its own namespace")],
        ),
    ];
    rules.extend(filled("PolicyTargetReference", &["kind", "name"]));
    rules
}

/// Namespaces something is visible in: `*` and `~` stand alone, nothing is named twice.
pub(super) fn export_to(of: &'static str, nobody: bool) -> Vec<Rule> {
    let mut conditions = vec![
        ("self.size() <= 1 || !('*' in self)", "* stands for every namespace; nothing can stand beside it"),
        ("self.all(one, self.exists_one(other, other == one))", "a namespace is named twice"),
    ];
    if nobody {
        conditions
            .push(("self.size() <= 1 || !('~' in self)", "~ stands for no namespace; nothing can stand beside it"));
    } else {
        conditions.push(("!('~' in self)", "~ is allowed in a ServiceEntry only; use . for the own namespace"));
    }
    vec![
        rule(of, "exportTo", json!({"maxItems": 512})),
        rule(of, "exportTo[]", json!({"maxLength": 63})),
        holds(of, "exportTo", &conditions),
    ]
}

/// A policy is attached in one way.
pub(super) fn attached_once(of: &'static str) -> Vec<Rule> {
    vec![
        rule(of, "targetRefs", json!({"maxItems": 16})),
        holds(
            of,
            "",
            &[(
                "(has(self.selector) ? 1 : 0) + (has(self.targetRef) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1",
                "only one of selector, targetRef and targetRefs can be given",
            )],
        ),
    ]
}
