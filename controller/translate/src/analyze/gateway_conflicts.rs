//! IST0145: Gateways of one workload that claim the same host on the same port.

use std::collections::BTreeMap;

use crds::{Gateway, ObjectKind, Server};

use super::Message;
use super::code::CONFLICTING_GATEWAYS;
use super::objects::{Objects, named, written};
use crate::world::Typed;

/// A server, and which of its Gateway's it is.
type Claim<'a> = (Typed<'a, Gateway>, usize, &'a Server);

pub(super) fn analyze(objects: &Objects<'_>, messages: &mut Vec<Message>) {
    let everything = BTreeMap::new();
    // Only those of one port can meet.
    let mut by_port: BTreeMap<i64, Vec<Claim<'_>>> = BTreeMap::new();
    for gateway in &objects.gateways {
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            if let Some(port) = &server.port {
                by_port.entry(port.number).or_default().push((*gateway, index, server));
            }
        }
    }
    for (port, servers) in by_port {
        for (gateway, index, server) in &servers {
            let selector = gateway.spec.selector.as_ref().unwrap_or(&everything);
            let others: Vec<String> = servers
                .iter()
                .filter(|(other, _, it)| {
                    other.meta != gateway.meta
                        && meet(selector, other.spec.selector.as_ref().unwrap_or(&everything))
                        && server.bind == it.bind
                        && overlap(server, it)
                })
                .map(|(other, ..)| named(other.meta))
                .collect();
            if !others.is_empty() {
                let text = format!(
                    "Conflict with gateways {} (workload selector {}, port {port}, hosts {}).",
                    others.join(","),
                    written(selector),
                    server.hosts.join(",")
                );
                let field = format!("spec.servers[{index}].hosts");
                messages.push(Message::new(CONFLICTING_GATEWAYS, gateway.key(ObjectKind::Gateway), field, text));
            }
        }
    }
}

/// Whether some workload may be selected by both.
fn meet(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> bool {
    a.iter().all(|(key, value)| b.get(key).is_none_or(|other| other == value))
        && (a.keys().all(|key| b.contains_key(key)) || b.keys().all(|key| a.contains_key(key)))
}

fn overlap(a: &Server, b: &Server) -> bool {
    a.hosts.iter().any(|a| b.hosts.iter().any(|b| same(a, b)))
}

/// A namespace before the slash narrows who may bind, and two that differ do not meet. A wildcard beside a name of its
/// own is how defaults are written, and no conflict.
fn same(a: &str, b: &str) -> bool {
    let split = |host: &str| match host.split_once('/') {
        Some((namespace, host)) => (namespace.to_owned(), host.to_ascii_lowercase()),
        None => ("*".to_owned(), host.to_ascii_lowercase()),
    };
    let ((own, a), (other, b)) = (split(a), split(b));
    let together = own == "*" || other == "*" || own == other;
    together && a == b
}
