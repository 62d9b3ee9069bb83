//! What a schema says besides names and types: which fields are needed, ranges, lengths, and rules in CEL with the words a
//! person needs. Only what Istio refuses at admission (docs/semantics.md, the marks **V:**); what a schema cannot express is
//! left to `translate::validate`, behind the webhook.
//!
//! An API server adds up what rules may cost at worst and refuses a definition that may be too slow: inside of lists without
//! `maxItems` only the cheapest fit, so there exclusions are `maxProperties` or `oneOf`, which cost nothing.

mod common;
mod destination_rule;
mod gateway;
mod security;
mod service_entry;
mod sidecar;
mod telemetry;
mod virtual_service;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::SchemaError;

/// Adds something to the schema of a field.
pub(super) struct Rule {
    /// The type the field is in, or [`of_kind`] of a type for its objects alone and not where else it stands.
    pub(super) of: &'static str,
    /// The field: `field`, `list[]`, `map{}`, and these joined by dots; empty for the type itself.
    pub(super) at: &'static str,
    pub(super) add: Value,
}

/// The rules of a type.
pub(super) fn of(name: &str) -> impl Iterator<Item = Rule> {
    all().into_iter().filter(move |rule| rule.of == name)
}

/// What [`Rule::of`] says for the objects of a kind.
pub(super) fn of_kind(type_name: &str) -> String {
    format!("kind {type_name}")
}

fn all() -> Vec<Rule> {
    let groups = [
        common::rules(),
        gateway::rules(),
        virtual_service::rules(),
        destination_rule::rules(),
        service_entry::rules(),
        sidecar::rules(),
        security::rules(),
        telemetry::rules(),
    ];
    groups.into_iter().flatten().collect()
}

/// Which types' rules have been put into a schema.
#[derive(Default)]
pub(super) struct Used(BTreeSet<String>);

impl Used {
    pub(super) fn mark(&mut self, name: &str) {
        self.0.insert(name.to_owned());
    }

    /// Rules for types that do not exist are mistakes.
    pub(super) fn all_used(&self) -> Result<(), SchemaError> {
        match all().into_iter().find(|rule| !self.0.contains(rule.of)) {
            Some(rule) => Err(SchemaError::UnusedRule { of: rule.of.to_owned() }),
            None => Ok(()),
        }
    }
}

fn rule(of: &'static str, at: &'static str, add: Value) -> Rule {
    Rule { of, at, add }
}

/// Fields of a type that must be given.
fn needs(of: &'static str, fields: &[&str]) -> Rule {
    rule(of, "", json!({"required": fields}))
}

/// Conditions in CEL, each with what is said when it does not hold.
fn holds(of: &'static str, at: &'static str, conditions: &[(&str, &str)]) -> Rule {
    let conditions: Vec<Value> =
        conditions.iter().map(|(rule, message)| json!({"rule": rule, "message": message})).collect();
    rule(of, at, json!({"x-kubernetes-validations": conditions}))
}

/// Durations of at least a millisecond.
fn durations(of: &'static str, fields: &[&'static str]) -> impl Iterator<Item = Rule> {
    let at_least = "must be a duration of at least 1ms, such as 5s, 0.5s, 1h2m or 100ms";
    fields.iter().flat_map(move |field| duration(of, field, ("duration(self) >= duration('1ms')", at_least)))
}

/// Durations that may be 0s, where that means "none".
fn durations_or_none(of: &'static str, fields: &[&'static str]) -> impl Iterator<Item = Rule> {
    let any = "must be a duration, such as 5s, 0.5s, 1h2m or 100ms";
    fields.iter().flat_map(move |field| duration(of, field, ("duration(self) >= duration('0s')", any)))
}

fn duration(of: &'static str, field: &'static str, condition: (&str, &str)) -> [Rule; 2] {
    // Without a length the worst case would be a megabyte of digits.
    [rule(of, field, json!({"maxLength": 64})), holds(of, field, &[condition])]
}

fn range(of: &'static str, at: &'static str, min: i64, max: i64) -> Rule {
    rule(of, at, json!({"minimum": min, "maximum": max}))
}

/// Numbers that protobuf holds in 32 bits without a sign.
fn unsigned(of: &'static str, fields: &[&'static str]) -> impl Iterator<Item = Rule> {
    fields.iter().map(move |field| range(of, field, 0, i64::from(u32::MAX)))
}

/// Numbers that cannot be negative, of 32 bits with a sign.
fn counts(of: &'static str, fields: &[&'static str]) -> impl Iterator<Item = Rule> {
    fields.iter().map(move |field| range(of, field, 0, i64::from(i32::MAX)))
}

fn port(of: &'static str, at: &'static str) -> Rule {
    range(of, at, 1, 65535)
}

/// Shares in percent, with digits behind the point.
fn percent(of: &'static str, at: &'static str) -> Rule {
    rule(of, at, json!({"minimum": 0.0, "maximum": 100.0}))
}

/// Texts that cannot be empty.
fn filled(of: &'static str, fields: &[&'static str]) -> impl Iterator<Item = Rule> {
    fields.iter().map(move |field| rule(of, field, json!({"minLength": 1})))
}
