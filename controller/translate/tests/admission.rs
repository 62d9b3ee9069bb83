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
