//! Port translation: a Gateway says the port of the Service in front of the proxy, the proxy listens on the port that
//! Service forwards to (docs/semantics.md §2.3).

use crds::object::IntOrString;

use crate::endpoints::slice_port;
use crate::unit::Context;
use crate::world::selects;

/// Label of Services that take no part in this.
const OPT_OUT: &str = "experimental.istio.io/disable-gateway-port-translation";

/// The port to listen on: of the oldest Service or ServiceEntry that selects the proxy and has the port; without one
/// the number as it is.
pub(crate) fn translate(context: &Context<'_, '_>, number: u16) -> u16 {
    let of_service = of_service(context, number);
    let of_entry = of_entry(context, number);
    match (of_service, of_entry) {
        (Some((age, port)), Some((other_age, other))) => {
            if other_age < age {
                other
            } else {
                port
            }
        }
        (Some((_, port)), None) | (None, Some((_, port))) => port,
        (None, None) => number,
    }
}

type Age<'a> = (i64, &'a str, &'a str);

fn of_service<'a>(context: &Context<'_, 'a>, number: u16) -> Option<(Age<'a>, u16)> {
    let namespace = context.proxy.namespace.as_str();
    let services = context.view.selecting_services(namespace);
    services.into_iter().find_map(|service| {
        let selector = service.spec.selector.as_ref()?;
        if selector.is_empty() || !selects(selector, &context.proxy.labels) {
            return None;
        }
        if service.meta.labels.get(OPT_OUT).is_some_and(|value| value == "true") {
            return None;
        }
        let port = service.spec.ports.iter().flatten().find(|port| port.port == i32::from(number))?;
        let target = match &port.target_port {
            None => number,
            Some(IntOrString::Int(0)) => number,
            Some(IntOrString::Int(target)) => u16::try_from(*target).ok()?,
            // A name says which port of the pod; the EndpointSlices know its number.
            Some(IntOrString::String(target)) => match target.parse() {
                Ok(target) => target,
                Err(_) => {
                    let slices = context.view.slices(namespace, &service.meta.name);
                    let name = port.name.as_deref().unwrap_or_default();
                    slices.iter().find_map(|slice| slice_port(slice.spec, name))?
                }
            },
        };
        Some((service.age(), target))
    })
}

fn of_entry<'a>(context: &Context<'_, 'a>, number: u16) -> Option<(Age<'a>, u16)> {
    let entries = context.view.selecting_entries(&context.proxy.namespace);
    entries.into_iter().find_map(|entry| {
        let selector = entry.spec.workload_selector.as_ref()?;
        if !selects(&selector.labels, &context.proxy.labels) {
            return None;
        }
        let port = entry.spec.ports.iter().find(|port| port.number == i64::from(number))?;
        let target = port.target_port.filter(|target| *target > 0).unwrap_or(port.number);
        Some((entry.age(), u16::try_from(target).ok()?))
    })
}
