//! IST0118, IST0150: Service ports whose name does not say what they speak.

use crds::ObjectKind;
use crds::object::IntOrString;
use crds::object::core::ServicePort;

use super::Message;
use super::code::{EXTERNAL_NAME_PORT, PORT_NAME};
use super::objects::Objects;
use crate::protocol::Protocol;

/// Kubernetes' own Services are nobody's mistake.
const SYSTEM: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// The gateway's own probe port, which carries no traffic.
const PROBES: (&str, i32) = ("status-port", 15021);

pub(super) fn analyze(objects: &Objects<'_>, messages: &mut Vec<Message>) {
    for service in &objects.services {
        let namespace = service.meta.namespace.as_str();
        let is_api_server = namespace == "default" && service.meta.name == "kubernetes";
        if SYSTEM.contains(&namespace) || namespace == objects.mesh.root_namespace || is_api_server {
            continue;
        }
        let key = service.key(ObjectKind::Service);
        let external = service.spec.type_.as_deref() == Some("ExternalName");
        for (index, port) in service.spec.ports.iter().flatten().enumerate().filter(|(_, port)| says_nothing(port)) {
            let field = format!("spec.ports[{index}]");
            let name = port.name.as_deref().unwrap_or_default();
            if external {
                let text = "Port name for ExternalName service is invalid. Proxy may prevent tcp named ports and \
                            unmatched traffic for ports serving TCP protocol from being forwarded correctly";
                messages.push(Message::new(EXTERNAL_NAME_PORT, key.clone(), field, text));
                continue;
            }
            let target = match &port.target_port {
                Some(IntOrString::Int(number)) => number.to_string(),
                Some(IntOrString::String(name)) => name.clone(),
                None => port.port.to_string(),
            };
            let text = format!(
                "Port name {name} (port: {}, targetPort: {target}) doesn't follow the naming convention of Istio port.",
                port.port
            );
            messages.push(Message::new(PORT_NAME, key.clone(), field, text));
        }
    }
}

fn says_nothing(port: &ServicePort) -> bool {
    if (port.name.as_deref(), port.port) == (Some(PROBES.0), PROBES.1) {
        return false;
    }
    // By a number that is not special only what is written counts.
    let number = u16::try_from(port.port).unwrap_or_default();
    let name = port.name.as_deref().unwrap_or_default();
    let protocol = Protocol::of_service_port(port.protocol.as_deref(), port.app_protocol.as_deref(), name, number);
    protocol == Protocol::Auto
}
