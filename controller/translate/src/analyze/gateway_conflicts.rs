//! IST0145: Gateways of one workload that claim the same host on the same port.

use std::collections::{BTreeMap, BTreeSet};

use crds::{Gateway, ObjectKind, Server};

use super::Message;
use super::code::CONFLICTING_GATEWAYS;
use super::objects::{Objects, named, written};
use crate::world::Typed;

/// A server that has a host, and which of its Gateway's it is.
struct Claim<'a> {
    gateway: Typed<'a, Gateway>,
    index: usize,
    server: &'a Server,
    port: i64,
    /// Before the slash of the host: whose VirtualServices may bind to it.
    namespace: &'a str,
}

pub(super) fn analyze(objects: &Objects<'_>, messages: &mut Vec<Message>) {
    // Only those of one port and host can meet. A wildcard beside a name of its own is how defaults are written, and no
    // conflict.
    let mut places: BTreeMap<(i64, String), Vec<Claim<'_>>> = BTreeMap::new();
    for gateway in &objects.gateways {
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            let Some(port) = server.port.as_ref().map(|port| port.number) else { continue };
            for host in &server.hosts {
                let (namespace, host) = host.split_once('/').unwrap_or(("*", host));
                let claim = Claim { gateway: *gateway, index, server, port, namespace };
                places.entry((port, host.to_ascii_lowercase())).or_default().push(claim);
            }
        }
    }
    // One message for each server, whatever number of hosts it shares.
    let mut conflicts: BTreeMap<(String, usize), (&Claim<'_>, BTreeSet<String>)> = BTreeMap::new();
    for claims in places.values().filter(|claims| claims.len() > 1) {
        for claim in claims {
            let others = claims.iter().filter(|other| meet(claim, other)).map(|other| named(other.gateway.meta));
            let others: BTreeSet<String> = others.collect();
            if !others.is_empty() {
                let place = (named(claim.gateway.meta), claim.index);
                conflicts.entry(place).or_insert_with(|| (claim, BTreeSet::new())).1.extend(others);
            }
        }
    }
    for (Claim { gateway, index, server, port, .. }, others) in conflicts.into_values() {
        let others: Vec<String> = others.into_iter().collect();
        let selector = gateway.spec.selector.as_ref().map(written).unwrap_or_default();
        let text = format!(
            "Conflict with gateways {} (workload selector {selector}, port {port}, hosts {}).",
            others.join(","),
            server.hosts.join(",")
        );
        let field = format!("spec.servers[{index}].hosts");
        messages.push(Message::new(CONFLICTING_GATEWAYS, gateway.key(ObjectKind::Gateway), field, text));
    }
}

/// Whether both are of Gateways that a workload may have together, and for VirtualServices that may bind to both.
fn meet(a: &Claim<'_>, b: &Claim<'_>) -> bool {
    static EVERYTHING: BTreeMap<String, String> = BTreeMap::new();
    let (own, other) = (a.gateway.spec.selector.as_ref(), b.gateway.spec.selector.as_ref());
    a.gateway.meta != b.gateway.meta
        && a.server.bind == b.server.bind
        && (a.namespace == "*" || b.namespace == "*" || a.namespace == b.namespace)
        && together(own.unwrap_or(&EVERYTHING), other.unwrap_or(&EVERYTHING))
}

/// Whether some workload may be selected by both.
fn together(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> bool {
    a.iter().all(|(key, value)| b.get(key).is_none_or(|other| other == value))
        && (a.keys().all(|key| b.contains_key(key)) || b.keys().all(|key| a.contains_key(key)))
}
