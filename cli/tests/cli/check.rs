//! `sluice check`: places to the character, exit statuses, JSON.

use serde_json::Value;

use crate::{directory, sluice, sluice_reading};

const GOOD: &str = "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: g}
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [a.test]
";

const BAD: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: web
  namespace: shop
spec:
  hosts: [a.test]
  gateways: [default/g]
  http:
    - match:
        - uri:
            regex: '/a('
      directResponse: {status: 200}
    - directResponse:
        status: 99
";

#[test]
fn every_mistake_is_shown_at_its_place() {
    let files = directory(&[("bad.yaml", BAD), ("good.yaml", GOOD)]);
    let (text, _, code) = sluice(&["check", files.path().to_str().unwrap()]);
    assert_eq!(code, 1);
    let file = files.path().join("bad.yaml").display().to_string();
    let regex = format!(
        "  --> {file}:12:20\n   |\n12 |             regex: '/a('\n   |                    ^^^^^\n   = VirtualService shop/web: \
         spec.http[0].match[0].uri.regex"
    );
    assert!(text.contains(&regex), "{text}");
    let status = format!(
        "  --> {file}:15:17\n   |\n15 |         status: 99\n   |                 ^^\n   = VirtualService shop/web: \
         spec.http[1].directResponse.status"
    );
    assert!(text.contains(&status), "{text}");
    assert!(text.contains("error[BadRegex]: ") && text.ends_with("1 object, 2 errors\n"), "{text}");
}

#[test]
fn warnings_do_not_fail_and_good_files_are_silent() {
    let (text, _, code) = sluice(&["check", "examples/routing"]);
    assert_eq!((text.as_str(), code), ("4 objects, no problems\n", 0));
    let (text, _, code) = sluice(&["check", "examples/canary"]);
    assert_eq!(code, 0);
    assert!(text.contains("warning[UnknownSecret]") && text.contains("examples/canary/gateway.yaml:27:25"), "{text}");
    assert!(text.ends_with("4 objects, 1 warning\n"), "{text}");
}

#[test]
fn json_has_everything_and_keeps_its_names() {
    let files = directory(&[("bad.yaml", BAD), ("good.yaml", GOOD)]);
    let (text, _, code) = sluice(&["check", "-o", "json", files.path().to_str().unwrap()]);
    assert_eq!(code, 1);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["objects"], &json["errors"]), (&1.into(), &2.into()));
    let problem = json["problems"].as_array().unwrap().iter().find(|it| it["reason"] == "BadRegex").unwrap();
    assert_eq!(problem["severity"], "error");
    assert_eq!(problem["file"], files.path().join("bad.yaml").to_str().unwrap());
    assert_eq!((&problem["line"], &problem["column"]), (&12.into(), &20.into()));
    assert_eq!(problem["object"], "VirtualService shop/web");
    assert_eq!(problem["field"], "spec.http[0].match[0].uri.regex");
    assert_eq!(problem["excerpt"]["text"], "            regex: '/a('");
    assert_eq!((&problem["excerpt"]["start"], &problem["excerpt"]["length"]), (&19.into(), &5.into()));
    assert!(problem["message"].as_str().unwrap().contains("/a("));
}

#[test]
fn standard_input_is_a_file_too() {
    let (text, _, code) = sluice_reading(&["check", "-"], GOOD);
    assert_eq!((text.as_str(), code), ("1 object, no problems\n", 0));
    let (text, _, code) = sluice_reading(&["check", "-"], BAD);
    assert_eq!(code, 1);
    assert!(text.contains("--> <stdin>:12:20"), "{text}");
}

#[test]
fn a_broken_document_hides_nothing_of_the_others() {
    let text = format!("{GOOD}---\nkind: [unclosed\n---\n{BAD}");
    let (text, _, code) = sluice_reading(&["check", "-"], &text);
    assert_eq!(code, 1);
    assert!(text.contains("<stdin>:10:") || text.contains("<stdin>:11:"), "{text}");
    assert!(text.contains("spec.http[1].directResponse.status") && text.ends_with("1 object, 3 errors\n"), "{text}");
}

#[test]
fn other_kinds_are_named_once() {
    let other = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: NAME}\n";
    let text = format!("{}---\n{}---\n{GOOD}", other.replace("NAME", "a"), other.replace("NAME", "b"));
    let (text, _, code) = sluice_reading(&["check", "-"], &text);
    assert_eq!(code, 0);
    assert_eq!(text.matches("AuthorizationPolicy (security.istio.io/v1)").count(), 1, "{text}");
    assert!(text.contains("there are 2"), "{text}");
}

#[test]
fn a_mesh_configuration_is_checked_with_the_rest() {
    let files = directory(&[("good.yaml", GOOD), ("mesh", "accessLogFile: /dev/stdout\nconnectTimeout: soon\n")]);
    let path = |name: &str| files.path().join(name).display().to_string();
    let (text, _, code) = sluice(&["check", &path("good.yaml"), "--mesh-config", &path("mesh")]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("soon") && text.contains(&format!("{}:2:17", path("mesh"))), "{text}");
}

#[test]
fn what_is_not_there_is_no_finding() {
    let (out, err, code) = sluice(&["check", "no/such/file.yaml"]);
    assert_eq!((out.as_str(), code), ("", 2));
    assert!(err.contains("no/such/file.yaml"), "{err}");
}

#[test]
fn what_is_checked_depends_on_the_gateway() {
    let unknown = BAD.replace("'/a('", "/a").replace("99", "200");
    let text = format!("{GOOD}---\n{unknown}");
    // The Gateway is for another proxy: nothing of the VirtualService reaches this one.
    let (ours, _, _) = sluice_reading(&["check", "-"], &text);
    let (other, _, code) = sluice_reading(&["check", "-", "--labels", "istio=egress"], &text);
    assert_eq!(code, 0, "{other}");
    assert!(ours.contains("2 objects"), "{ours}");
}
