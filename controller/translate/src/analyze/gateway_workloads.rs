//! IST0101, IST0162: Gateways whose selector selects nothing, and ports that no Service in front of their pods has.

use crds::ObjectKind;
use crds::object::IntOrString;

use super::Message;
use super::code::{PORT_NOT_ON_SERVICE, REFERENCE_NOT_FOUND};
use super::objects::{Objects, written};
use crate::world::selects;

pub(super) fn analyze(objects: &Objects<'_>, messages: &mut Vec<Message>) {
    if !objects.knows_pods() {
        return;
    }
    for gateway in &objects.gateways {
        let Some(selector) = gateway.spec.selector.as_ref().filter(|selector| !selector.is_empty()) else { continue };
        let key = gateway.key(ObjectKind::Gateway);
        let pods: Vec<_> = objects.selected(None, selector).collect();
        if pods.is_empty() {
            let text = format!("Referenced selector not found: {:?}", written(selector));
            messages.push(Message::new(REFERENCE_NOT_FOUND, key, "spec.selector", text));
            continue;
        }
        let in_front = objects.services.iter().filter(|service| {
            let own = service.spec.selector.as_ref().filter(|own| !own.is_empty());
            own.is_some_and(|own| {
                pods.iter().any(|pod| pod.meta.namespace == service.meta.namespace && selects(own, &pod.meta.labels))
            })
        });
        let ports: Vec<_> = in_front.flat_map(|service| service.spec.ports.iter().flatten()).collect();
        // Pods without a Service are reached some other way.
        if ports.is_empty() {
            continue;
        }
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            let Some(number) = server.port.as_ref().map(|port| port.number) else { continue };
            let known = ports.iter().any(|port| {
                let target = match &port.target_port {
                    Some(IntOrString::Int(target)) => Some(i64::from(*target)),
                    Some(IntOrString::String(_)) | None => None,
                };
                i64::from(port.port) == number || target == Some(number)
            });
            if !known {
                let text = format!(
                    "The gateway is listening on a target port (port {number}) that is not defined in the Service \
                     associated with its workload instances (Pod selector {}). If you need to access the gateway port \
                     through the gateway Service, it will not be available.",
                    written(selector)
                );
                let field = format!("spec.servers[{index}].port.number");
                messages.push(Message::new(PORT_NOT_ON_SERVICE, key.clone(), field, text));
            }
        }
    }
}
