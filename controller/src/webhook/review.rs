//! One question of the API server and its answer. Pure: bytes in, bytes out, and the same answer to the same question,
//! so that a dry run needs nothing special.

use std::fmt::Write as _;

use crds::{ObjectKind, json};
use serde::Deserialize;
use serde_json::{Value, json};
use translate::{Report, Severity};

/// How long a warning may be before an API server cuts it off.
const WARNING_CHARS: usize = 256;
/// API servers pass on 4 KiB of warnings.
const MOST_WARNINGS: usize = 15;
const MOST_ERRORS: usize = 50;
const MESSAGE_CHARS: usize = 1024;

/// Stands for what the API server puts behind `generateName`.
const GENERATED: &str = "00000";

/// The bytes are no question that can be answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadReview {
    #[error("this is not an AdmissionReview: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{found:?} is not known here; AdmissionReview of admission.k8s.io/v1 is")]
    Version { found: String },
    #[error("the AdmissionReview has no request")]
    Empty,
}

/// What the API server is told.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Value,
    /// Of what kind the object is; empty if that is not one of ours.
    pub(super) kind: &'static str,
    pub(super) allowed: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    request: Option<Request>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    uid: String,
    kind: GroupVersionKind,
    #[serde(default)]
    sub_resource: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
    operation: String,
    #[serde(default)]
    object: Value,
    #[serde(default)]
    old_object: Value,
}

#[derive(Deserialize)]
struct GroupVersionKind {
    #[serde(default)]
    group: String,
    version: String,
    kind: String,
}

/// What is wrong at one place.
#[derive(Debug)]
struct Complaint {
    field: String,
    reason: &'static str,
    message: String,
}

impl Complaint {
    fn of(report: Report) -> Self {
        Self { field: report.field, reason: report.problem.reason(), message: report.problem.to_string() }
    }

    fn line(&self) -> String {
        if self.field.is_empty() { self.message.clone() } else { format!("{}: {}", self.field, self.message) }
    }
}

/// What is wrong with an object.
#[derive(Debug, Default)]
struct Judgement {
    errors: Vec<Complaint>,
    warnings: Vec<Complaint>,
}

/// Answers one question.
pub(super) fn answer(body: &[u8]) -> Result<Answer, BadReview> {
    let Review { api_version, kind, request } = serde_json::from_slice(body)?;
    if (api_version.as_str(), kind.as_str()) != ("admission.k8s.io/v1", "AdmissionReview") {
        return Err(BadReview::Version { found: format!("{kind} of {api_version}") });
    }
    let request = request.ok_or(BadReview::Empty)?;
    let uid = request.uid.clone();
    let Some(kind) = judged_kind(&request) else { return Ok(allow(&uid, "", &[])) };
    let name = object_name(&request);
    let Judgement { errors, mut warnings } = judge(kind, request);
    if errors.is_empty() {
        return Ok(allow(&uid, kind.as_str(), &warnings));
    }
    // Errors first: there is room for few.
    let lines = std::mem::take(&mut warnings);
    Ok(deny(&uid, kind, &name, &errors, &lines))
}

/// The kind to be judged; nothing if whatever is done to the object is no business of ours.
fn judged_kind(request: &Request) -> Option<ObjectKind> {
    let GroupVersionKind { group, version, kind } = &request.kind;
    let writes = matches!(request.operation.as_str(), "CREATE" | "UPDATE");
    let whole = request.sub_resource.as_deref().unwrap_or_default().is_empty();
    // On its way out: only finalizers change, and nobody may be kept from that.
    let leaving = request.object.pointer("/metadata/deletionTimestamp").is_some_and(Value::is_string);
    if !writes || !whole || leaving || !group.ends_with(".istio.io") {
        return None;
    }
    let known = |one: &ObjectKind| {
        one.group() == group && one.as_str() == kind && one.versions().iter().any(|served| served == version)
    };
    ObjectKind::ALL.into_iter().find(known)
}

fn object_name(request: &Request) -> String {
    let name = request.name.as_deref().filter(|name| !name.is_empty());
    let given = name.or_else(|| request.object.pointer("/metadata/name").and_then(Value::as_str));
    match given {
        Some(name) => name.to_owned(),
        None => {
            let start = request.object.pointer("/metadata/generateName").and_then(Value::as_str);
            format!("{}{GENERATED}", start.unwrap_or_default())
        }
    }
}

fn judge(kind: ObjectKind, request: Request) -> Judgement {
    let name = object_name(&request);
    let Request { namespace, operation, mut object, old_object, .. } = request;
    let same = operation == "UPDATE" && is_same(&object, &old_object);
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        // The name may still be to be made, the namespace may stand in the request's path alone.
        meta.entry("name").or_insert(Value::String(name));
        if let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) {
            meta.entry("namespace").or_insert(Value::String(namespace));
        }
    }
    let mut judgement = Judgement::default();
    match json::decode_as(kind, object) {
        Err(failure) => {
            let errors = failure.errors.into_iter();
            judgement.errors =
                errors.map(|one| Complaint { field: one.path, reason: "Invalid", message: one.message }).collect();
        }
        Ok(object) => {
            for report in translate::validate(&object) {
                let severity = report.problem.severity();
                let complaint = Complaint::of(report);
                match severity {
                    Severity::Error => judgement.errors.push(complaint),
                    Severity::Warning => judgement.warnings.push(complaint),
                }
            }
        }
    }
    if same {
        // It was wrong before, and whoever only labels it cannot help that.
        judgement.warnings.splice(..0, judgement.errors.drain(..));
    }
    judgement
}

/// Whether an update changes nothing that is judged.
fn is_same(object: &Value, old: &Value) -> bool {
    let same = |path: &str| object.pointer(path) == old.pointer(path);
    same("/spec") && same("/metadata/annotations")
}

fn allow(uid: &str, kind: &'static str, warnings: &[Complaint]) -> Answer {
    respond(kind, true, json!({ "uid": uid, "allowed": true }), warnings)
}

fn deny(uid: &str, kind: ObjectKind, name: &str, errors: &[Complaint], warnings: &[Complaint]) -> Answer {
    let told = &errors[..errors.len().min(MOST_ERRORS)];
    let mut message = match errors.len() {
        1 => format!("{kind} {name:?} is not valid: "),
        count => format!("{kind} {name:?} is not valid, for {count} reasons:"),
    };
    for error in told {
        let line = clip(&error.line(), MESSAGE_CHARS);
        if errors.len() == 1 {
            message.push_str(&line);
        } else {
            let _ = write!(message, "\n* {line}");
        }
    }
    if told.len() < errors.len() {
        let _ = write!(message, "\n* and {} more", errors.len() - told.len());
    }
    let causes: Vec<Value> = told
        .iter()
        .map(|error| {
            let message = clip(&error.message, MESSAGE_CHARS);
            json!({ "reason": error.reason, "field": error.field, "message": message })
        })
        .collect();
    // As the API server itself says it when an object breaks a rule of its schema; kubectl shows the causes.
    let details = json!({ "name": name, "group": kind.group(), "kind": kind.as_str(), "causes": causes });
    let status = json!({
        "status": "Failure", "code": 422, "reason": "Invalid", "message": message, "details": details,
    });
    respond(kind.as_str(), false, json!({ "uid": uid, "allowed": false, "status": status }), warnings)
}

fn respond(kind: &'static str, allowed: bool, mut response: Value, warnings: &[Complaint]) -> Answer {
    if !warnings.is_empty() {
        let mut lines: Vec<String> =
            warnings.iter().take(MOST_WARNINGS).map(|warning| clip(&warning.line(), WARNING_CHARS)).collect();
        if warnings.len() > MOST_WARNINGS {
            lines.push(format!("and {} more warnings", warnings.len() - MOST_WARNINGS));
        }
        response["warnings"] = lines.into();
    }
    let body = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response });
    Answer { body, kind, allowed }
}

/// A line that fits and is safe in a header, which is where warnings travel.
fn clip(text: &str, most: usize) -> String {
    let clean = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let mut clipped: String = clean.clone().take(most).collect();
    if clean.count() > most {
        clipped = clipped.chars().take(most - 1).chain(['…']).collect();
    }
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn virtual_service(spec: Value) -> Value {
        json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": "web", "namespace": "shop"}, "spec": spec})
    }

    fn good() -> Value {
        virtual_service(json!({"hosts": ["a.test"], "gateways": ["g"], "http": [{"directResponse": {"status": 200}}]}))
    }

    fn bad() -> Value {
        virtual_service(json!({"hosts": ["a.test", "a.test"], "gateways": ["g"], "http": [{"timeout": "0s",
            "directResponse": {"status": 200}}]}))
    }

    fn review(operation: &str, object: &Value, change: impl FnOnce(&mut Value)) -> Value {
        let kind = object["kind"].as_str().unwrap_or_default();
        let (group, version) = object["apiVersion"].as_str().and_then(|it| it.split_once('/')).unwrap_or_default();
        let mut request = json!({
            "uid": "u-1", "operation": operation, "object": object, "oldObject": null, "dryRun": false,
            "kind": {"group": group, "version": version, "kind": kind},
            "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"],
            "userInfo": {"username": "somebody"},
        });
        change(&mut request);
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        let answer = answer(review.to_string().as_bytes()).unwrap();
        let response = answer.body["response"].clone();
        assert_eq!((&response["uid"], response["allowed"].as_bool()), (&json!("u-1"), Some(answer.allowed)));
        response
    }

    fn asked(operation: &str, object: &Value) -> Value {
        review(operation, object, |_| {})
    }

    #[test]
    fn every_error_is_told_with_object_field_and_reason() {
        let response = asked("CREATE", &bad());
        assert_eq!(response["allowed"], false);
        let message = response["status"]["message"].as_str().unwrap();
        assert!(message.starts_with("VirtualService \"web\" is not valid, for 2 reasons:\n* spec."), "{message}");
        assert!(
            message.contains("\n* spec.hosts[1]: hosts \"a.test\" and \"a.test\" overlap; every host"),
            "{message}"
        );
        assert!(message.contains("\n* spec.http[0].timeout: 0s is too short; the least is 1ms"), "{message}");
        let causes = response["status"]["details"]["causes"].as_array().unwrap();
        assert!(causes.iter().any(|cause| cause["field"] == "spec.http[0].timeout"
            && cause["reason"] == "DurationTooShort"
            && !cause["message"].as_str().unwrap().contains("spec.http")));
        assert_eq!((&response["status"]["code"], &response["status"]["reason"]), (&json!(422), &json!("Invalid")));
    }

    #[test]
    fn warnings_are_passed_on() {
        let mut object = good();
        object["spec"]["http"] = json!([{"directResponse": {"status": 200}}, {"directResponse": {"status": 201}}]);
        let response = asked("CREATE", &object);
        assert_eq!(response["allowed"], true);
        let warnings = response["warnings"].as_array().unwrap();
        assert!(
            warnings[0].as_str().unwrap().starts_with("spec.http[1]: this rule can never be reached"),
            "{warnings:?}"
        );
        assert_eq!(asked("CREATE", &good()).get("warnings"), None);
    }

    #[test]
    fn what_is_no_business_of_ours_is_allowed() {
        assert_eq!(review("DELETE", &bad(), |request| request["object"] = Value::Null)["allowed"], true);
        assert_eq!(review("UPDATE", &bad(), |request| request["subResource"] = json!("status"))["allowed"], true);
        assert_eq!(review("CREATE", &bad(), |request| request["kind"]["version"] = json!("v9"))["allowed"], true);
        let filter = json!({"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": {}});
        assert_eq!(asked("CREATE", &filter)["allowed"], true);
        let mut leaving = bad();
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z");
        assert_eq!(asked("UPDATE", &leaving)["allowed"], true);
    }

    #[test]
    fn who_only_labels_what_was_wrong_before_is_not_kept_from_it() {
        let mut labelled = bad();
        labelled["metadata"]["labels"] = json!({"a": "b"});
        let response = review("UPDATE", &labelled, |request| request["oldObject"] = bad());
        assert_eq!(response["allowed"], true);
        assert_eq!(response["warnings"].as_array().unwrap().len(), 2);
        let response = review("UPDATE", &bad(), |request| request["oldObject"] = good());
        assert_eq!(response["allowed"], false);
    }

    #[test]
    fn names_may_still_be_to_be_made_and_namespaces_stand_in_the_path_alone() {
        let mut object = good();
        object["metadata"] = json!({"generateName": "web-"});
        let response = review("CREATE", &object, |request| {
            request["name"] = json!("");
            request["namespace"] = json!("shop");
        });
        assert_eq!(response["allowed"], true, "{response}");
    }

    #[test]
    fn what_cannot_be_read_is_denied_with_its_place() {
        let mut object = good();
        object["spec"]["hosts"] = json!("a.test");
        let response = asked("CREATE", &object);
        assert_eq!(
            response["status"]["message"],
            "VirtualService \"web\" is not valid: spec.hosts: expected a list, found the text \"a.test\""
        );
    }

    #[test]
    fn lines_fit_into_headers() {
        assert_eq!(clip("a\nb\u{7}c", 10), "a b c");
        let long = "é".repeat(300);
        let clipped = clip(&long, WARNING_CHARS);
        assert!(clipped.chars().count() == WARNING_CHARS && clipped.ends_with('…'));
    }

    #[test]
    fn other_questions_are_not_answered() {
        let version = |version: &str| json!({"apiVersion": version, "kind": "AdmissionReview"}).to_string();
        assert!(matches!(answer(b"{"), Err(BadReview::Json(_))));
        assert!(matches!(answer(version("admission.k8s.io/v1beta1").as_bytes()), Err(BadReview::Version { .. })));
        assert!(matches!(answer(version("admission.k8s.io/v1").as_bytes()), Err(BadReview::Empty)));
    }
}
