//! From what stands in an object's status and what should: the least merge patch. Pure.

use serde_json::{Map, Value};

use super::conditions::{CONDITIONS, PROPAGATION};

/// How much a change matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Only counts and times.
    Numbers,
    /// Somebody may be waiting for it.
    Conditions,
}

/// What to merge into a status; nothing if it is as it should be.
pub(super) fn difference(previous: Option<&Value>, desired: &Map<String, Value>) -> Option<(Value, Weight)> {
    let empty = Map::new();
    let before = previous.and_then(Value::as_object).unwrap_or(&empty);
    let patch = merge(before, desired);
    if patch.is_empty() {
        return None;
    }
    let counted = |key: &str| key == CONDITIONS || key == PROPAGATION;
    let decisive =
        patch.keys().any(|key| !counted(key)) || verdicts(before.get(CONDITIONS)) != verdicts(desired.get(CONDITIONS));
    let weight = if decisive { Weight::Conditions } else { Weight::Numbers };
    Some((Value::Object(patch), weight))
}

/// Lists are replaced, objects merged; a field of an object of ours that is no longer there is taken away.
fn merge(before: &Map<String, Value>, desired: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for (key, value) in desired {
        match (before.get(key), value) {
            (Some(old), new) if same(old, new) => {}
            (None, Value::Array(list)) if list.is_empty() => {}
            (Some(_), Value::Array(list)) if list.is_empty() => {
                patch.insert(key.clone(), Value::Null);
            }
            (Some(Value::Object(old)), Value::Object(new)) => {
                let mut inner = merge(old, new);
                for gone in old.keys().filter(|key| !new.contains_key(*key)) {
                    inner.insert(gone.clone(), Value::Null);
                }
                if !inner.is_empty() {
                    patch.insert(key.clone(), Value::Object(inner));
                }
            }
            (_, new) => {
                patch.insert(key.clone(), new.clone());
            }
        }
    }
    patch
}

/// Istio writes numbers as text where they may have 64 bits.
fn same(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::String(old), Value::Number(new)) => *old == new.to_string(),
        _ => old == new,
    }
}

/// What of conditions programs look at.
fn verdicts(conditions: Option<&Value>) -> Vec<[Option<&str>; 3]> {
    let entries = conditions.and_then(Value::as_array).into_iter().flatten();
    entries.map(|entry| ["type", "status", "reason"].map(|key| entry.get(key).and_then(Value::as_str))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn between(before: &Value, desired: &Value) -> Option<(Value, Weight)> {
        difference(Some(before), desired.as_object().unwrap())
    }

    #[test]
    fn differences_only() {
        let status = json!({"observedGeneration": 2, "propagation": {"proxies": {"total": 1}, "p50Ms": 1.5}});
        assert_eq!(between(&status, &status), None);
        let mut mixed = status.clone();
        mixed["foreign"] = json!([1]);
        mixed["observedGeneration"] = json!("2");
        assert_eq!(between(&mixed, &status), None, "what others wrote is no difference");
        let next = json!({"observedGeneration": 2, "propagation": {"proxies": {"total": 2}}});
        let (patch, weight) = between(&status, &next).unwrap();
        assert_eq!(patch, json!({"propagation": {"proxies": {"total": 2}, "p50Ms": null}}));
        assert_eq!(weight, Weight::Numbers);
    }

    #[test]
    fn messages_go_away_when_nothing_is_wrong_any_more() {
        let (none, one) = (json!({"validationMessages": []}), json!({"validationMessages": [{"level": "ERROR"}]}));
        assert_eq!(between(&json!({}), &none), None);
        assert_eq!(between(&one, &none), Some((json!({"validationMessages": null}), Weight::Conditions)));
        assert_eq!(difference(None, one.as_object().unwrap()).unwrap().0, one);
    }

    #[test]
    fn a_verdict_weighs_more_than_a_count() {
        let with = |status: &str, message: &str| json!({"conditions": [{"type": "Programmed", "status": status, "reason": "x", "message": message}]});
        let weight = |a: &Value, b: &Value| between(a, b).unwrap().1;
        assert_eq!(weight(&with("False", "1 of 2"), &with("False", "2 of 2")), Weight::Numbers);
        assert_eq!(weight(&with("False", "1 of 2"), &with("True", "1 of 2")), Weight::Conditions);
    }
}
