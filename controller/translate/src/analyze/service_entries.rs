//! IST0134, IST0177: ServiceEntries for TCP without addresses, and ones that disagree.

use std::collections::BTreeMap;

use crds::ObjectKind;

use super::Message;
use super::code::{ADDRESSES_REQUIRED, CONFLICTING_PROTOCOL};
use super::objects::{Objects, named};

pub(super) fn analyze(objects: &Objects<'_>, messages: &mut Vec<Message>) {
    for entry in &objects.service_entries {
        if !entry.spec.addresses.is_empty() {
            continue;
        }
        for (index, port) in entry.spec.ports.iter().enumerate() {
            let protocol = port.protocol.as_deref().unwrap_or_default();
            if protocol.is_empty() || protocol.eq_ignore_ascii_case("tcp") {
                let field = format!("spec.ports[{index}].protocol");
                let text = "ServiceEntry addresses are required for this protocol.";
                messages.push(Message::new(ADDRESSES_REQUIRED, entry.key(ObjectKind::ServiceEntry), field, text));
            }
        }
    }
    protocols(objects, messages);
}

fn protocols(objects: &Objects<'_>, messages: &mut Vec<Message>) {
    // Oldest first: what it says holds.
    let mut said: BTreeMap<(String, i64), (String, String)> = BTreeMap::new();
    for entry in &objects.service_entries {
        let key = entry.key(ObjectKind::ServiceEntry);
        for (index, port) in entry.spec.ports.iter().enumerate() {
            let protocol = port.protocol.as_deref().unwrap_or_default().to_ascii_uppercase();
            for host in &entry.spec.hosts {
                let name = (host.to_ascii_lowercase(), port.number);
                match said.get(&name) {
                    Some((other, by)) if *other != protocol && *by != named(entry.meta) => {
                        let shown = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
                        let text = format!(
                            "Port {} of host {host} has protocol {} here and {} in ServiceEntry {by}, which is older and \
                             wins.",
                            port.number,
                            shown(&protocol),
                            shown(other)
                        );
                        let field = format!("spec.ports[{index}].protocol");
                        messages.push(Message::new(CONFLICTING_PROTOCOL, key.clone(), field, text));
                    }
                    Some(_) => {}
                    None => {
                        said.insert(name, (protocol.clone(), named(entry.meta)));
                    }
                }
            }
        }
    }
}
