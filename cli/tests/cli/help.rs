//! What the command line says about itself.

use crate::sluice;

#[test]
fn every_command_has_help_with_examples_and_variables() {
    for command in ["run", "check", "explain", "analyze", "status", "proxy-config", "diff", "version", "completions"] {
        let (help, _, code) = sluice(&[command, "--help"]);
        assert_eq!(code, 0);
        assert!(help.contains("Examples:") && help.contains(&format!("sluice {command}")), "{help}");
        assert!(!help.contains('\x1b'), "colour without a terminal");
    }
    let (help, _, _) = sluice(&["run", "--help"]);
    for word in [
        "--labels",
        "--namespace",
        "--mesh-config",
        "--bind",
        "--admin-port",
        "--metrics-port",
        "--ready-port",
        "--threads",
        "--log",
        "--no-traffic",
        "SLUICE_LABELS",
        "SLUICE_BIND",
        "SLUICE_READY_PORT",
        "15000",
        "15020",
        "15021",
        "istio=ingressgateway,app=istio-ingressgateway",
        "istio-system",
    ] {
        assert!(help.contains(word), "{word} in {help}");
    }
}

#[test]
fn without_a_command_help_is_shown() {
    let (out, err, code) = sluice(&[]);
    assert_eq!(code, 2);
    assert!(format!("{out}{err}").contains("sluice run"));
}

#[test]
fn the_version_is_told_in_both_forms() {
    let version = env!("CARGO_PKG_VERSION");
    assert!(sluice(&["version"]).0.starts_with(&format!("sluice {version}")));
    assert_eq!(sluice(&["--version"]).0.trim(), format!("sluice {version}"));
    let json: serde_json::Value = serde_json::from_str(&sluice(&["version", "-o", "json"]).0).unwrap();
    assert_eq!(json["version"], version);
    assert!(json["apis"].as_array().unwrap().contains(&"networking.istio.io/v1alpha3".into()));
}

#[test]
fn completions_know_commands_and_options() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (script, _, code) = sluice(&["completions", shell]);
        assert_eq!(code, 0, "{shell}");
        for word in ["explain", "mesh-config", "no-traffic", "proxy-config", "failure-threshold", "istio-namespace"] {
            assert!(script.contains(word), "{word} for {shell}");
        }
    }
    assert_eq!(sluice(&["completions", "tcsh"]).2, 2);
}

#[test]
fn a_wrong_question_has_status_two_and_says_what_is_wrong() {
    for (words, text) in [
        (&["run", "--labels", "istio"][..], "key=value"),
        (&["run", "--bind", "nowhere"], "--bind"),
        (&["run", "--threads", "0"], "--threads"),
        (&["run", "--admin-port", "70000"], "--admin-port"),
        (&["check"], "PATH"),
        (&["explain", "."], "REQUEST"),
        (&["conjure"], "conjure"),
    ] {
        let (_, err, code) = sluice(words);
        assert_eq!(code, 2, "{words:?}");
        assert!(err.contains(text), "{words:?}: {err}");
    }
}
