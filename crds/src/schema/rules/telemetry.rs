//! Telemetry (docs/semantics.md §16.5).

use serde_json::json;

use super::common::attached_once;
use super::{Rule, durations, filled, holds, needs, percent, rule};

pub(super) fn rules() -> Vec<Rule> {
    let mut rules = attached_once("Telemetry");
    rules.extend([
        needs("ProviderRef", &["name"]),
        percent("Tracing", "randomSamplingPercentage"),
        rule("Tracing", "providers", json!({"maxItems": 1})),
        // A tag's value comes from one place.
        rule("CustomTag", "", json!({"maxProperties": 1})),
        needs("Literal", &["value"]),
        needs("TagEnvironment", &["name"]),
        needs("RequestHeader", &["name"]),
        needs("Formatter", &["value"]),
        holds(
            "MetricSelector",
            "",
            &[("!(has(self.metric) && has(self.customMetric))", "metric and customMetric exclude each other")],
        ),
        rule("MetricSelector", "customMetric", json!({"minLength": 1})),
        holds(
            "TagOverride",
            "",
            &[
                (
                    "!has(self.operation) || self.operation != 'UPSERT' || (has(self.value) && self.value != '')",
                    "operation UPSERT needs a value",
                ),
                (
                    "!has(self.operation) || self.operation != 'REMOVE' || !has(self.value)",
                    "operation REMOVE has no value",
                ),
            ],
        ),
    ]);
    rules.extend(filled("ProviderRef", &["name"]));
    rules.extend(filled("Literal", &["value"]));
    rules.extend(filled("TagEnvironment", &["name"]));
    rules.extend(filled("RequestHeader", &["name"]));
    rules.extend(filled("Formatter", &["value"]));
    rules.extend(durations("Metrics", &["reportingInterval"]));
    rules
}
