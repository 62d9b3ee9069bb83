//! Verdicts of Istio's schema and validation webhook, recorded from a real control plane: ours agree, warnings included.

use crds::yaml::{Outcome, read};
use serde_json::Value;
use translate::{Problem, Severity, validate};

/// Accepted without a word by Istio and with a warning here, with the reason.
const WARNED_ON_PURPOSE: [(&str, &str); 1] =
    [("virtualservice/http/direct-response-600", "the proxy cannot send it; the user should know")];

#[derive(Debug, PartialEq)]
struct Verdict {
    accepted: bool,
    warned: bool,
}

fn ours(object: &Value) -> (Verdict, Vec<String>) {
    let mut verdict = Verdict { accepted: true, warned: false };
    let mut texts = Vec::new();
    for document in read(&object.to_string()) {
        match document.outcome {
            Outcome::Object(object) => {
                for report in validate(&object) {
                    texts.push(format!("{}: {report}", report.problem.severity()));
                    match report.problem.severity() {
                        Severity::Error => verdict.accepted = false,
                        // What is not acted on yet is no business of Istio's.
                        Severity::Warning => {
                            verdict.warned |= !matches!(report.problem, Problem::NotSupportedYet { .. });
                        }
                    }
                }
            }
            Outcome::Failed(failure) => {
                verdict.accepted = false;
                texts.extend(failure.errors.iter().map(ToString::to_string));
            }
            Outcome::Skipped { .. } | Outcome::Empty => texts.push("no object".to_owned()),
        }
    }
    verdict.warned &= verdict.accepted;
    (verdict, texts)
}

#[test]
fn verdicts_agree_with_istio() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("admission.json")).unwrap();
    assert!(cases.len() > 70);
    let mut differences = Vec::new();
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let warned_on_purpose = WARNED_ON_PURPOSE.iter().any(|(known, _)| *known == name);
        let theirs =
            Verdict { accepted: case["verdict"] == "accept", warned: warned_on_purpose || case["warned"] == true };
        let (ours, texts) = ours(&case["object"]);
        if ours != theirs {
            differences.push(format!("{name}: Istio {theirs:?} {}, ours {ours:?} {texts:?}", case["message"]));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Objects of the recorded cases came past a real webhook.
#[test]
fn policies_that_istio_took_are_taken() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/compat/cases");
    let mut count = 0;
    let mut wrong = Vec::new();
    for file in std::fs::read_dir(directory).unwrap() {
        let cases: Value = serde_json::from_str(&std::fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
        for case in cases["cases"].as_array().unwrap() {
            let policies = case["objects"].as_array().into_iter().flatten().filter(|object| {
                let version = object["apiVersion"].as_str().unwrap_or_default();
                version.starts_with("security.istio.io") || version.starts_with("telemetry.istio.io")
            });
            for policy in policies {
                count += 1;
                let mut policy = policy.clone();
                for rule in policy["spec"]["jwtRules"].as_array_mut().into_iter().flatten() {
                    // Keys are made for each run; a mark stands in their place.
                    if rule["jwks"].as_str().is_some_and(|keys| keys.starts_with("@@")) {
                        rule["jwks"] = Value::from(r#"{"keys": []}"#);
                    }
                }
                let (verdict, texts) = ours(&policy);
                if !verdict.accepted {
                    wrong.push(format!("{} {}: {texts:?}", case["group"], case["name"]));
                }
            }
        }
    }
    assert!(count > 60, "{count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
