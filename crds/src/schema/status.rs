//! The status of an object: Istio's fields, so that Istio's tools read it, and ours. What is not known here is kept: other
//! controllers write it, too.

use serde_json::{Value, json};

use crate::ObjectKind;

/// The schema of a kind's status.
pub(super) fn schema(kind: ObjectKind) -> Value {
    // As Istio's: some of its controllers write the number as text.
    let generation = |description: &str| {
        json!({
            "description": description,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": true,
        })
    };
    let mut properties = json!({
        "conditions": {
            "description": "What is known about the object, one entry per type: Accepted (nothing is wrong with it by itself), ResolvedRefs (everything it names exists), Programmed (every connected proxy it concerns has its latest version in force), Reconciled (the same, by Istio's name).",
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "type": {"type": "string", "description": "What the condition is about."},
                    "status": {"type": "string", "description": "True, False or Unknown."},
                    "reason": {"type": "string", "description": "Why, in one word for programs."},
                    "message": {"type": "string", "description": "Why, for people: which field, what is wrong with it, what is allowed."},
                    "lastTransitionTime": {"type": "string", "format": "date-time", "description": "When the status became what it is."},
                    "lastProbeTime": {"type": "string", "format": "date-time", "description": "When it was last looked at."},
                    "observedGeneration": generation("The generation of the object the condition speaks of."),
                },
            },
        },
        "validationMessages": {
            "description": "Errors and warnings about the object, by the codes of Istio's analyzers.",
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "type": {
                        "description": "Which message it is.",
                        "type": "object",
                        "properties": {
                            "code": {"type": "string", "description": "The code of the message, such as IST0101."},
                            "name": {"type": "string", "description": "The name of the message, such as ReferencedResourceNotFound."},
                        },
                    },
                    "level": {
                        "description": "How bad it is.",
                        "type": "string",
                        "enum": ["UNKNOWN", "ERROR", "WARNING", "INFO"],
                    },
                    "documentationUrl": {"type": "string", "description": "Where to read more."},
                },
            },
        },
        "observedGeneration": generation("The generation of the object the status speaks of."),
        "propagation": {
            "description": "How far the latest version of the object has got.",
            "type": "object",
            "properties": {
                "proxies": {
                    "description": "The connected proxies that the object concerns.",
                    "type": "object",
                    "properties": {
                        "total": {"type": "integer", "description": "How many there are."},
                        "current": {"type": "integer", "description": "How many have the latest version in force."},
                        "rejected": {"type": "integer", "description": "How many refused it and kept the version before."},
                    },
                },
                "p50Ms": {"type": "number", "format": "double", "description": "Milliseconds from the change to a proxy having it in force, median."},
                "p99Ms": {"type": "number", "format": "double", "description": "Milliseconds from the change to a proxy having it in force, 99th percentile."},
            },
        },
    });
    if kind == ObjectKind::ServiceEntry
        && let Some(properties) = properties.as_object_mut()
    {
        let addresses = json!({
            "description": "Addresses that were given to the hosts because the object has none.",
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "value": {"type": "string", "description": "The address."},
                    "host": {"type": "string", "description": "The host it stands for."},
                },
            },
        });
        properties.insert("addresses".to_owned(), addresses);
    }
    json!({
        "type": "object",
        "description": "What became of the object; written by the control plane.",
        "properties": properties,
        "x-kubernetes-preserve-unknown-fields": true,
    })
}
