//! What is known of an object, as conditions that people and `kubectl wait` read, and as Istio's analysis messages. Pure.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crds::ObjectKind;
use jiff::Timestamp;
use serde_json::{Map, Number, Value, json};
use translate::{Report, Severity};

use crate::fleet::{ObjectStatus, Proxies};

pub(super) const CONDITIONS: &str = "conditions";
pub(super) const MESSAGES: &str = "validationMessages";
pub(super) const GENERATION: &str = "observedGeneration";
pub(super) const PROPAGATION: &str = "propagation";

/// Messages are for people; nobody reads more.
const MESSAGE_CHARS: usize = 1024;

/// A condition before it is known since when it holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Condition {
    pub(super) kind: &'static str,
    /// `True`, `False` or `Unknown`.
    pub(super) status: &'static str,
    pub(super) reason: String,
    pub(super) message: String,
}

impl Condition {
    fn new(kind: &'static str, holds: bool, reason: &str, message: impl Into<String>) -> Self {
        let status = if holds { "True" } else { "False" };
        Self { kind, status, reason: reason.to_owned(), message: clip(&message.into()) }
    }
}

/// What should stand in an object's status.
#[derive(Clone, Debug)]
pub(super) struct Desired {
    /// Our fields, complete: whatever else there is stays.
    pub(super) fields: Map<String, Value>,
    /// The same for the same content, whenever it came about.
    pub(super) digest: u64,
}

/// What should stand in the status of an object of Istio's groups, which now is `previous`.
pub(super) fn desired(object: &ObjectStatus, previous: Option<&Value>, now: Timestamp) -> Desired {
    let conditions = conditions(object);
    let messages = validation_messages(object);
    let propagation = propagation(object);
    let generation = object.revision.generation;
    let mut hasher = DefaultHasher::new();
    (&conditions, messages.to_string(), propagation.to_string(), generation).hash(&mut hasher);
    let mut fields = Map::new();
    fields.insert(CONDITIONS.to_owned(), merged(&conditions, previous, generation, now));
    fields.insert(MESSAGES.to_owned(), messages);
    fields.insert(GENERATION.to_owned(), generation.into());
    fields.insert(PROPAGATION.to_owned(), propagation);
    Desired { fields, digest: hasher.finish() }
}

/// Everything there is to say, in the order in which it is written.
pub(super) fn conditions(object: &ObjectStatus) -> [Condition; 4] {
    let accepted = accepted(object);
    let good = accepted.status == "True";
    [accepted, resolved(object, good), programmed(object, good), reconciled(object, good)]
}

/// Why the latest version is not in force, most important first; empty if it is.
pub(super) fn errors(object: &ObjectStatus) -> Vec<(&'static str, String)> {
    let unreadable = object.unreadable.iter().map(|why| ("Invalid", why.clone()));
    let own = object.own.iter().filter(|report| report.problem.severity() == Severity::Error);
    let mut errors: Vec<_> = unreadable.chain(own.map(|report| (report.problem.reason(), line(report)))).collect();
    if object.failed {
        let what = "this version could not be translated, which is a bug in Sluice";
        errors.push(("InternalError", what.to_owned()));
    }
    errors
}

fn accepted(object: &ObjectStatus) -> Condition {
    let errors = errors(object);
    if let Some((reason, message)) = errors.first() {
        let more = match errors.len() - 1 {
            0 => String::new(),
            1 => " (and 1 more error)".to_owned(),
            more => format!(" (and {more} more errors)"),
        };
        // What is counted must not be cut off.
        let message: String = message.chars().take(MESSAGE_CHARS - 40).collect();
        return Condition::new("Accepted", false, reason, format!("{message}{more}"));
    }
    let warnings: Vec<String> = warnings(object).map(line).collect();
    let message = match warnings.len() {
        0 => "the object is valid".to_owned(),
        1 => format!("the object is valid, with a warning: {}", warnings[0]),
        count => format!("the object is valid, with {count} warnings: {}", warnings.join("; ")),
    };
    Condition::new("Accepted", true, "Accepted", message)
}

/// What has no effect or not the expected one, apart from missing references.
fn warnings(object: &ObjectStatus) -> impl Iterator<Item = &Report> {
    let own = object.own.iter().filter(|report| report.problem.severity() == Severity::Warning);
    own.chain(object.among.iter().filter(|report| !report.problem.is_about_reference()))
}

fn resolved(object: &ObjectStatus, good: bool) -> Condition {
    if !good {
        let message = "the object is not accepted; what it names was not looked up";
        let condition = Condition::new("ResolvedRefs", false, "NotAccepted", message);
        return Condition { status: "Unknown", ..condition };
    }
    let missing: Vec<&Report> = object.among.iter().filter(|report| report.problem.is_about_reference()).collect();
    match missing.first() {
        None => Condition::new("ResolvedRefs", true, "ResolvedRefs", "everything the object names is there"),
        Some(first) => {
            let lines: Vec<String> = missing.iter().map(|report| line(report)).collect();
            Condition::new("ResolvedRefs", false, first.problem.reason(), lines.join("; "))
        }
    }
}

fn programmed(object: &ObjectStatus, good: bool) -> Condition {
    let Proxies { total, current, rejected } = &object.proxies;
    let no = |reason: &str, message: String| Condition::new("Programmed", false, reason, message);
    if !good {
        return match total {
            0 => {
                no("NotAccepted", "the object is not accepted, and no connected gateway has an earlier version".into())
            }
            1 => {
                no("NotAccepted", "the object is not accepted; the last good version stays in force at 1 proxy".into())
            }
            _ => no(
                "NotAccepted",
                format!("the object is not accepted; the last good version stays in force at {total} proxies"),
            ),
        };
    }
    if let Some(effect) = translate::unused(object.key.kind) {
        return no("NotSupportedYet", format!("{} is not supported yet: {effect}", object.key.kind));
    }
    if let Some((proxy, why)) = rejected.first() {
        let others = match rejected.len() - 1 {
            0 => String::new(),
            1 => "; 1 more proxy rejected something, too".to_owned(),
            others => format!("; {others} more proxies rejected something, too"),
        };
        return no("Rejected", format!("proxy {proxy} rejected {why}{others}"));
    }
    match (total, current) {
        (0, _) => no("NoProxy", format!("no connected gateway is concerned: {}", why_nobody(object.key.kind))),
        (total, current) if current < total => {
            no("Pending", format!("{current} of {total} proxies have this version in force"))
        }
        (1, _) => Condition::new("Programmed", true, "Programmed", "the proxy it concerns has this version in force"),
        (total, _) => {
            let message = format!("all {total} proxies it concerns have this version in force");
            Condition::new("Programmed", true, "Programmed", message)
        }
    }
}

fn why_nobody(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Gateway => "none has the labels of its selector",
        ObjectKind::VirtualService => "none serves a Gateway that it is bound to",
        ObjectKind::DestinationRule | ObjectKind::ServiceEntry => "none has a route to its hosts",
        _ => "none uses it",
    }
}

/// As Istio words it.
fn reconciled(object: &ObjectStatus, good: bool) -> Condition {
    let Proxies { total, current, .. } = &object.proxies;
    let all = good && current == total;
    let reason = if all { "Reconciled" } else { "Reconciling" };
    Condition::new("Reconciled", all, reason, format!("{current}/{total} proxies up to date."))
}

/// The whole list: entries of other writers stay where they are, ours keep the time at which their status became what it
/// is.
fn merged(ours: &[Condition], previous: Option<&Value>, generation: i64, now: Timestamp) -> Value {
    let before = previous.and_then(|status| status.get(CONDITIONS)).and_then(Value::as_array);
    let is = |entry: &Value, kind: &str| entry.get("type").and_then(Value::as_str) == Some(kind);
    let find = |kind: &str| before.and_then(|entries| entries.iter().find(|entry| is(entry, kind)));
    let render = |condition: &Condition| {
        let old = find(condition.kind);
        let kept = old.filter(|old| old.get("status").and_then(Value::as_str) == Some(condition.status));
        let since = kept.and_then(|old| old.get("lastTransitionTime")).filter(|time| time.is_string());
        // Fields we do not know, such as Istio's lastProbeTime, are somebody's.
        let mut entry = old.and_then(Value::as_object).cloned().unwrap_or_default();
        entry.insert("type".to_owned(), condition.kind.into());
        entry.insert("status".to_owned(), condition.status.into());
        entry.insert("reason".to_owned(), condition.reason.as_str().into());
        entry.insert("message".to_owned(), condition.message.as_str().into());
        entry.insert("observedGeneration".to_owned(), generation.into());
        entry.insert("lastTransitionTime".to_owned(), since.cloned().unwrap_or_else(|| seconds(now).into()));
        Value::Object(entry)
    };
    let mut entries: Vec<Value> = Vec::new();
    for entry in before.into_iter().flatten() {
        match ours.iter().find(|condition| is(entry, condition.kind)) {
            Some(condition) if !entries.iter().any(|one| is(one, condition.kind)) => entries.push(render(condition)),
            // Twice the same type is a mistake of somebody's.
            Some(_) => {}
            None => entries.push(entry.clone()),
        }
    }
    let new = ours.iter().filter(|condition| find(condition.kind).is_none());
    entries.extend(new.map(render));
    Value::Array(entries)
}

/// Kubernetes' times have no fractions.
fn seconds(now: Timestamp) -> String {
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

/// Istio's analysis messages, each once: they name no place.
fn validation_messages(object: &ObjectStatus) -> Value {
    let mut messages: Vec<Value> = Vec::new();
    let mut tell = |code: &str, name: &str, level: &str, url: String| {
        let message = json!({ "type": { "code": code, "name": name }, "level": level, "documentationUrl": url });
        if !messages.contains(&message) {
            messages.push(message);
        }
    };
    if !object.unreadable.is_empty() {
        let url = "https://istio.io/latest/docs/reference/config/analysis/ist0106/";
        tell("IST0106", "SchemaValidationError", "ERROR", url.to_owned());
    }
    // Of a version that is not in force only the object itself was looked at.
    let among = object.among.iter().filter(|_| !object.held);
    for report in object.own.iter().chain(among) {
        let (code, name) = report.problem.analysis();
        tell(code, name, report.problem.level().as_str(), report.problem.documentation_url());
    }
    Value::Array(messages)
}

fn propagation(object: &ObjectStatus) -> Value {
    let Proxies { total, current, rejected } = &object.proxies;
    let mut propagation = json!({ "proxies": { "total": total, "current": current, "rejected": rejected.len() } });
    if let Some(latency) = object.latency {
        propagation["p50Ms"] = milliseconds(latency.p50);
        propagation["p99Ms"] = milliseconds(latency.p99);
    }
    propagation
}

/// With one digit; whole ones as integers, which is how an API server hands them back.
fn milliseconds(duration: Duration) -> Value {
    let tenths = u64::try_from(duration.as_micros().div_ceil(100)).unwrap_or(u64::MAX);
    if tenths.is_multiple_of(10) {
        return (tenths / 10).into();
    }
    #[allow(clippy::cast_precision_loss, reason = "far fewer digits than a float has")]
    let value = tenths as f64 / 10.0;
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// Field and problem, without the object, which is where it is read.
pub(super) fn line(report: &Report) -> String {
    if report.field.is_empty() { report.problem.to_string() } else { format!("{}: {}", report.field, report.problem) }
}

fn clip(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARS - 1) {
        Some((end, _)) if text[end..].chars().nth(1).is_some() => format!("{}…", &text[..end]),
        Some(_) | None => text.to_owned(),
    }
}

#[cfg(test)]
#[path = "conditions_tests.rs"]
pub(super) mod tests;
