//! IST0101, IST0112: destinations of VirtualServices that are not there or not clear, gateways or mesh.

use crds::{Destination, ObjectKey, ObjectKind};

use super::Message;
use super::code::{PORT_REQUIRED, REFERENCE_NOT_FOUND};
use super::objects::{Objects, full};
use crate::world::{GatewayName, Typed};

pub(super) fn analyze(objects: &Objects<'_>, messages: &mut Vec<Message>) {
    for service in &objects.virtual_services {
        let key = service.key(ObjectKind::VirtualService);
        for (index, written) in service.spec.gateways.iter().enumerate() {
            let Some(name) = GatewayName::parse(written, &service.meta.namespace) else { continue };
            if objects.world.get(&name.key()).is_none() {
                let text = format!("Referenced gateway not found: {written:?}");
                messages.push(Message::new(REFERENCE_NOT_FOUND, key.clone(), format!("spec.gateways[{index}]"), text));
            }
        }
        for (path, destination) in destinations(service) {
            judge(objects, service, &key, &path, destination, messages);
        }
    }
}

fn judge(
    objects: &Objects<'_>,
    service: &Typed<'_, crds::VirtualService>,
    key: &ObjectKey,
    path: &str,
    destination: &Destination,
    messages: &mut Vec<Message>,
) {
    let host = full(&destination.host, service.meta);
    if host.is_empty() {
        return;
    }
    if !objects.has_service(&host) {
        let text = format!("Referenced host not found: {:?}", destination.host);
        messages.push(Message::new(REFERENCE_NOT_FOUND, key.clone(), format!("{path}.host"), text));
        return;
    }
    let subset = destination.subset.as_deref().filter(|subset| !subset.is_empty());
    if let Some(subset) = subset.filter(|subset| !objects.has_subset(&host, subset)) {
        let text = format!("Referenced host+subset in destinationrule not found: \"{}+{subset}\"", destination.host);
        messages.push(Message::new(REFERENCE_NOT_FOUND, key.clone(), format!("{path}.subset"), text));
    }
    if destination.port.is_none() {
        let of_service = objects.service(&host).map(|service| {
            let ports = service.spec.ports.iter().flatten();
            ports.map(|port| i64::from(port.port)).collect::<Vec<_>>()
        });
        let ports = of_service.unwrap_or_else(|| {
            let ports = objects.entries_of(&host).flat_map(|entry| &entry.spec.ports);
            ports.map(|port| port.number).collect()
        });
        if ports.len() > 1 {
            let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
            let text = format!(
                "This VirtualService routes to a service \"{host}\" that exposes multiple ports [{}]. Specifying a port in \
                 the destination is required to disambiguate.",
                ports.join(" ")
            );
            messages.push(Message::new(PORT_REQUIRED, key.clone(), path, text));
        }
    }
}

fn destinations<'a>(service: &Typed<'a, crds::VirtualService>) -> Vec<(String, &'a Destination)> {
    let spec = service.spec;
    let mut found = Vec::new();
    for (rule, http) in spec.http.iter().enumerate() {
        for (index, route) in http.route.iter().enumerate() {
            if let Some(destination) = &route.destination {
                found.push((format!("spec.http[{rule}].route[{index}].destination"), destination));
            }
        }
        if let Some(mirror) = &http.mirror {
            found.push((format!("spec.http[{rule}].mirror"), mirror));
        }
        for (index, mirror) in http.mirrors.iter().enumerate() {
            if let Some(destination) = &mirror.destination {
                found.push((format!("spec.http[{rule}].mirrors[{index}].destination"), destination));
            }
        }
    }
    let tls = spec.tls.iter().enumerate().map(|(rule, tls)| ("tls", rule, &tls.route));
    let tcp = spec.tcp.iter().enumerate().map(|(rule, tcp)| ("tcp", rule, &tcp.route));
    for (kind, rule, routes) in tls.chain(tcp) {
        for (index, route) in routes.iter().enumerate() {
            if let Some(destination) = &route.destination {
                found.push((format!("spec.{kind}[{rule}].route[{index}].destination"), destination));
            }
        }
    }
    found
}
