//! IST0149: routing by claims of tokens that nobody checks.

use crds::{ObjectKind, RequestAuthentication};

use super::Message;
use super::code::CLAIMS_WITHOUT_AUTHENTICATION;
use super::objects::{Objects, named};
use crate::world::{GatewayName, Typed, selects};

const CLAIMS: &str = "@request.auth.claims";

pub(super) fn analyze(objects: &Objects<'_>, messages: &mut Vec<Message>) {
    for service in &objects.virtual_services {
        let Some((field, header)) = first_claim(service) else { continue };
        for name in service.spec.gateways.iter().filter_map(|name| GatewayName::parse(name, &service.meta.namespace)) {
            let Some(gateway) =
                objects.gateways.iter().find(|it| it.meta.name == name.name && it.meta.namespace == name.namespace)
            else {
                continue;
            };
            let empty = std::collections::BTreeMap::new();
            let selector = gateway.spec.selector.as_ref().unwrap_or(&empty);
            let unchecked = objects.selected(None, selector).find(|pod| {
                !objects.request_authentications.iter().any(|policy| {
                    let here = policy.meta.namespace == pod.meta.namespace
                        || policy.meta.namespace == objects.mesh.root_namespace;
                    here && applies(policy, &pod.meta.labels)
                })
            });
            if let Some(pod) = unchecked {
                let text = format!(
                    "The virtual service uses the JWT claim based routing (key: {header}) but found no request \
                     authentication for the gateway ({name}) pod ({}). The request authentication must first be applied \
                     for the gateway pods to validate the JWT token and make the claims available for routing.",
                    named(pod.meta)
                );
                let key = service.key(ObjectKind::VirtualService);
                messages.push(Message::new(CLAIMS_WITHOUT_AUTHENTICATION, key, &*field, text));
            }
        }
    }
}

fn applies(policy: &Typed<'_, RequestAuthentication>, labels: &std::collections::BTreeMap<String, String>) -> bool {
    policy.spec.selector.as_ref().is_none_or(|selector| selects(&selector.match_labels, labels))
}

/// Where the first claim is asked for, and how it is written.
fn first_claim(service: &Typed<'_, crds::VirtualService>) -> Option<(String, String)> {
    for (rule, http) in service.spec.http.iter().enumerate() {
        for (index, condition) in http.matches.iter().enumerate() {
            for (place, headers) in [("headers", &condition.headers), ("withoutHeaders", &condition.without_headers)] {
                if let Some(header) = headers.keys().find(|header| header.to_ascii_lowercase().starts_with(CLAIMS)) {
                    return Some((format!("spec.http[{rule}].match[{index}].{place}[{header}]"), header.clone()));
                }
            }
        }
    }
    None
}
