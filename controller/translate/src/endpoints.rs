//! Where a cluster's requests can go: addresses of EndpointSlices, of ServiceEntries, or names to resolve.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crds::object::discovery::EndpointSlice;
use crds::{Resolution, ServiceEntry, WorkloadEntry};
use ir::{ClusterName, Endpoint, EndpointAddress, Endpoints};

use crate::destination_rule;
use crate::service::{self, Port, Service, Source};
use crate::unit::Context;
use crate::world::{Typed, selects};

type Labels = BTreeMap<String, String>;

/// The endpoints of a cluster; nothing when there is no such cluster.
pub(crate) fn translate(context: &Context<'_, '_>, name: &ClusterName) -> Option<Endpoints> {
    let (number, subset, host) = name.parts()?;
    let service = service::find(context, host)?;
    let port = service.port(number)?;
    let no_labels = Labels::new();
    let wanted = if subset.is_empty() {
        &no_labels
    } else {
        let rule = destination_rule::effective(context, &service.host, service.namespace)?;
        &rule.subset(subset)?.labels
    };
    let mut endpoints = match &service.source {
        Source::Kubernetes(found) => match service::external_name(found.spec) {
            Some(target) => vec![named(target, port.number)],
            None => of_slices(context, &service, port, wanted),
        },
        Source::Entries(entries) => {
            entries.iter().flat_map(|entry| of_entry(*entry, &service.host, port, wanted)).collect()
        }
    };
    dedupe(&mut endpoints);
    Some(Endpoints { cluster: name.clone(), endpoints })
}

/// Keeps the first of endpoints with one address.
fn dedupe(endpoints: &mut Vec<Endpoint>) {
    let mut seen = std::collections::BTreeSet::new();
    endpoints.retain(|endpoint| seen.insert(endpoint.address.clone()));
}

fn of_slices(context: &Context<'_, '_>, service: &Service<'_>, port: &Port, wanted: &Labels) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for Typed { spec: slice, meta } in context.view.slices(service.namespace, &service.name) {
        let Some(number) = slice_port(slice, &port.name) else { continue };
        for endpoint in slice.endpoints.iter().flatten() {
            // Absent means ready (docs of EndpointSlice); terminating ones are not ready.
            if endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(false) {
                continue;
            }
            let pod = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
            for address in &endpoint.addresses {
                let Ok(ip) = address.parse::<IpAddr>() else { continue };
                if !wanted.is_empty() {
                    let pod = match pod.and_then(|pod| pod.name.as_deref()) {
                        Some(name) => context.view.pod(&meta.namespace, name),
                        None => context.view.pod_at(address),
                    };
                    if !pod.is_some_and(|pod| selects(wanted, &pod.labels)) {
                        continue;
                    }
                }
                let address = EndpointAddress::Socket(SocketAddr::new(ip, number));
                endpoints.push(Endpoint { address, weight: 1 });
            }
        }
    }
    endpoints
}

/// The number a slice gives for the service's port of that name.
pub(crate) fn slice_port(slice: &EndpointSlice, name: &str) -> Option<u16> {
    let mut ports = slice.ports.iter().flatten();
    let port = ports.find(|port| port.name.as_deref().unwrap_or_default() == name)?;
    u16::try_from(port.port?).ok().filter(|number| *number > 0)
}

fn of_entry(entry: Typed<'_, ServiceEntry>, host: &str, port: &Port, wanted: &Labels) -> Vec<Endpoint> {
    let Some(written) = entry.spec.ports.iter().find(|written| written.number == i64::from(port.number)) else {
        return Vec::new();
    };
    let target = written.target_port.filter(|target| *target > 0).unwrap_or(written.number);
    let by_name = match entry.spec.resolution {
        Resolution::None | Resolution::DynamicDns => return Vec::new(),
        Resolution::Static => false,
        Resolution::Dns | Resolution::DnsRoundRobin => true,
    };
    if by_name && entry.spec.endpoints.is_empty() {
        // Such an endpoint has no labels.
        return if wanted.is_empty() {
            u16::try_from(target).map(|port| named(host, port)).into_iter().collect()
        } else {
            Vec::new()
        };
    }
    let fitting = entry.spec.endpoints.iter().filter(|endpoint| selects(wanted, &endpoint.labels));
    fitting.filter_map(|endpoint| of_workload(endpoint, &written.name, target, by_name)).collect()
}

fn of_workload(entry: &WorkloadEntry, port_name: &str, target: i64, by_name: bool) -> Option<Endpoint> {
    let address = entry.address.as_deref().filter(|address| !address.is_empty())?;
    // 0 and absent count as 1 (docs/semantics.md §5).
    let weight = entry.weight.and_then(|weight| u32::try_from(weight).ok()).unwrap_or(1).max(1);
    if let Some(path) = address.strip_prefix("unix://") {
        return Some(Endpoint { address: EndpointAddress::Unix(PathBuf::from(path)), weight });
    }
    let number = entry.ports.get(port_name).copied().filter(|number| *number > 0).unwrap_or(target);
    let port = u16::try_from(number).ok()?;
    let address = match address.parse::<IpAddr>() {
        Ok(ip) => EndpointAddress::Socket(SocketAddr::new(ip, port)),
        Err(_) if by_name => EndpointAddress::Name { host: address.to_owned(), port },
        Err(_) => return None,
    };
    Some(Endpoint { address, weight })
}

fn named(host: &str, port: u16) -> Endpoint {
    let address = match host.parse::<IpAddr>() {
        Ok(ip) => EndpointAddress::Socket(SocketAddr::new(ip, port)),
        Err(_) => EndpointAddress::Name { host: host.to_owned(), port },
    };
    Endpoint { address, weight: 1 }
}
