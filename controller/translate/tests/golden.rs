//! What YAML means: `golden/<feature>/<case>.in.yaml` holds all objects, `<case>.out.yaml` what the proxy is told and
//! what users are told. `UPDATE_GOLDEN=1` writes the latter; review the difference like code.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crds::yaml::{Outcome, read};
use serde_json::Value;
use translate::{Change, Changes, ProxyScope, Report, Severity, Translator, World, validate};

mod yaml;

/// Says who asks, as JSON in a comment; the default is the ingress gateway.
const PROXY: &str = "# proxy: ";

#[test]
fn yaml_means_what_it_did() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let cases = inputs(&root);
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut differences = Vec::new();
    for input in cases {
        let found = meaning(&fs::read_to_string(&input).unwrap(), &input);
        let output = PathBuf::from(input.to_str().unwrap().replace(".in.yaml", ".out.yaml"));
        let expected = fs::read_to_string(&output).unwrap_or_default();
        if update {
            fs::write(&output, &found).unwrap();
        } else if found != expected {
            differences.push(format!("{}\n{}", output.display(), first_difference(&expected, &found)));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

fn inputs(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for feature in fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()) {
        let cases = fs::read_dir(feature).unwrap().map(|entry| entry.unwrap().path());
        found.extend(cases.filter(|path| path.to_str().unwrap().ends_with(".in.yaml")));
    }
    found.sort();
    found
}

fn meaning(text: &str, path: &Path) -> String {
    let mut reports: Vec<Report> = Vec::new();
    let mut changes = Vec::new();
    for document in read(text) {
        match document.outcome {
            Outcome::Object(object) => {
                let own = validate(&object);
                let refused = own.iter().any(|report| report.problem.severity() == Severity::Error);
                reports.extend(own);
                if !refused {
                    changes.push(Change::Upsert(Arc::new(object)));
                }
            }
            Outcome::Empty | Outcome::Skipped { .. } => {}
            Outcome::Failed(failure) => panic!("{}: {:?}", path.display(), failure.errors),
        }
    }
    let (world, _) = World::default().apply(changes);
    let mut translator = Translator::new(proxy(text));
    translator.update(&world, &Changes::default());
    reports.extend(translator.reports());
    let resources: Vec<Value> =
        translator.resources().filter_map(|resource| without_usual(serde_json::to_value(resource).unwrap())).collect();
    let reports: Vec<String> = reports
        .iter()
        .map(|report| format!("{} {} {report}", report.problem.severity(), report.problem.reason()))
        .collect();
    yaml::write(&serde_json::json!({ "resources": resources, "reports": reports }))
}

fn proxy(text: &str) -> ProxyScope {
    let mut proxy = ProxyScope::default();
    let Some(json) = text.lines().find_map(|line| line.strip_prefix(PROXY)) else { return proxy };
    let written: Value = serde_json::from_str(json).unwrap();
    if let Some(namespace) = written["namespace"].as_str() {
        proxy.namespace = namespace.to_owned();
    }
    if let Some(labels) = written["labels"].as_object() {
        proxy.labels = labels.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect();
    }
    proxy
}

/// Leaves out what is the same in nearly every case: settings, and retries where they are the default.
fn without_usual(mut resource: Value) -> Option<Value> {
    let usual = serde_json::to_value(ir::ProxySettings::default()).unwrap();
    if let Some(settings) = resource.get_mut("settings").and_then(Value::as_object_mut) {
        settings.retain(|name, value| name != "workload" && usual[name] != *value);
        if settings.is_empty() {
            return None;
        }
    }
    let default = serde_json::json!({
        "attempts": 2, "avoid_previous_hosts": true, "backoff": { "secs": 0, "nanos": 25_000_000 },
        "on": { "connect_failure": true, "refused_stream": true, "grpc_statuses": [1, 14] },
    });
    shorten(&mut resource, &default);
    Some(resource)
}

fn shorten(value: &mut Value, retry: &Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("retry") == Some(retry) {
                fields.insert("retry".to_owned(), Value::from("default"));
            }
            if let (2, Some(secs), Some(nanos)) =
                (fields.len(), fields.get("secs").and_then(Value::as_u64), fields.get("nanos").and_then(Value::as_u64))
            {
                *value = Value::from(format!("{:?}", std::time::Duration::new(secs, u32::try_from(nanos).unwrap())));
                return;
            }
            fields.values_mut().for_each(|value| shorten(value, retry));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shorten(item, retry)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn first_difference(expected: &str, found: &str) -> String {
    let lines = expected.lines().chain(std::iter::repeat("")).zip(found.lines().chain(std::iter::repeat("")));
    let longest = expected.lines().count().max(found.lines().count());
    for (number, (expected, found)) in lines.take(longest).enumerate() {
        if expected != found {
            return format!("line {}:\n- {expected}\n+ {found}", number + 1);
        }
    }
    "differs in line ends".to_owned()
}
