//! IST0128, IST0129, IST0138: certificates that nobody checks, and one that stands in several places.

use std::collections::BTreeMap;

use crds::{ClientTlsMode, ClientTlsSettings, ObjectKey, ObjectKind};

use super::Message;
use super::code::{Code, DUPLICATE_CERTIFICATE, NO_VERIFICATION, NO_VERIFICATION_ON_PORT};
use super::objects::{Objects, named};
use crate::secret;

pub(super) fn analyze(objects: &Objects<'_>, messages: &mut Vec<Message>) {
    verification(objects, messages);
    duplicates(objects, messages);
}

fn verification(objects: &Objects<'_>, messages: &mut Vec<Message>) {
    for rule in &objects.destination_rules {
        let key = rule.key(ObjectKind::DestinationRule);
        let subsets = rule.spec.subsets.iter().enumerate();
        let policies = rule.spec.traffic_policy.as_ref().map(|policy| ("spec.trafficPolicy".to_owned(), policy));
        let policies = policies.into_iter().chain(subsets.filter_map(|(index, subset)| {
            Some((format!("spec.subsets[{index}].trafficPolicy"), subset.traffic_policy.as_ref()?))
        }));
        for (path, policy) in policies {
            if let Some(mode) = policy.tls.as_ref().and_then(unverified) {
                let field = format!("{path}.tls");
                messages.push(unverified_message(NO_VERIFICATION, &key, field, mode, &rule.spec.host, None));
            }
            for (index, port) in policy.port_level_settings.iter().enumerate() {
                if let Some(mode) = port.tls.as_ref().and_then(unverified) {
                    let field = format!("{path}.portLevelSettings[{index}].tls");
                    let number = port.port.as_ref().map(|port| port.number);
                    let host = &rule.spec.host;
                    messages.push(unverified_message(NO_VERIFICATION_ON_PORT, &key, field, mode, host, number));
                }
            }
        }
    }
}

/// The mode, where it says TLS and nothing says by what to check the server.
fn unverified(tls: &ClientTlsSettings) -> Option<&'static str> {
    let mode = match tls.mode {
        ClientTlsMode::Simple => "SIMPLE",
        ClientTlsMode::Mutual => "MUTUAL",
        ClientTlsMode::Disable | ClientTlsMode::IstioMutual => return None,
    };
    let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let checked = is_set(&tls.ca_certificates) || is_set(&tls.credential_name);
    (!checked && tls.insecure_skip_verify != Some(true)).then_some(mode)
}

fn unverified_message(
    code: Code,
    key: &ObjectKey,
    field: String,
    mode: &str,
    host: &str,
    port: Option<i64>,
) -> Message {
    let port = port.map(|port| format!(" at port {port}")).unwrap_or_default();
    let text = format!(
        "DestinationRule {}/{} has TLS mode set to {mode} but no caCertificates are set to validate server identity for \
         host: {host}{port}",
        key.namespace, key.name
    );
    Message::new(code, key.clone(), field, text)
}

/// A browser that has one connection uses it for every name that the certificate covers, and meets the wrong Gateway's
/// routes there.
fn duplicates(objects: &Objects<'_>, messages: &mut Vec<Message>) {
    type Use<'a> = (&'a str, &'a BTreeMap<String, String>);
    let everything = BTreeMap::new();
    let mut uses: BTreeMap<Use<'_>, Vec<(ObjectKey, String, String)>> = BTreeMap::new();
    for gateway in &objects.gateways {
        let selector = gateway.spec.selector.as_ref().unwrap_or(&everything);
        let mut seen = std::collections::BTreeSet::new();
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            let Some(tls) = &server.tls else { continue };
            for credential in tls.credential_name.iter().chain(&tls.credential_names).filter(|name| !name.is_empty()) {
                let name = secret::object_name(credential);
                if seen.insert(name) {
                    let field = format!("spec.servers[{index}].tls.credentialName");
                    let using = (gateway.key(ObjectKind::Gateway), field, named(gateway.meta));
                    uses.entry((name, selector)).or_default().push(using);
                }
            }
        }
    }
    for using in uses.into_values().filter(|using| using.len() > 1) {
        let names: Vec<&str> = using.iter().map(|(.., name)| name.as_str()).collect();
        let text = format!(
            "Duplicate certificate in multiple gateways [{}] may cause 404s if clients re-use HTTP2 connections.",
            names.join(" ")
        );
        for (key, field, _) in &using {
            messages.push(Message::new(DUPLICATE_CERTIFICATE, key.clone(), field, &*text));
        }
    }
}
