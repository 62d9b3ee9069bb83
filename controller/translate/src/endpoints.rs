//! Where a cluster's requests can go: addresses of EndpointSlices, of ServiceEntries, or names to resolve.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crds::object::discovery::EndpointSlice;
use crds::{Resolution, ServiceEntry, WorkloadEntry};
use ir::{ClusterName, Endpoint, EndpointAddress, Endpoints};

use crate::destination_rule;
use crate::limits::name as limit;
use crate::names::Demand;
use crate::report::{Problem, Report};
use crate::service::{self, Port, Service, Source};
use crate::steps;
use crate::unit::Context;
use crate::world::{Typed, selects};

type Labels = BTreeMap<String, String>;

/// Endpoints of a cluster, and what they need that not every cluster can have.
pub(crate) struct Made {
    pub(crate) endpoints: Endpoints,
    /// Names to resolve, if there are any.
    pub(crate) names: Option<Demand>,
}

impl Made {
    /// Leaves out the endpoints that are names.
    pub(crate) fn drop_names(&mut self, problem: Problem, reports: &mut Vec<Report>) {
        if let Some(Demand { owner, .. }) = &self.names {
            reports.push(Report { object: owner.clone(), field: "spec".to_owned(), problem });
        }
        self.endpoints.endpoints.retain(|endpoint| !is_name(endpoint));
    }
}

fn is_name(endpoint: &Endpoint) -> bool {
    matches!(endpoint.address, EndpointAddress::Name { .. })
}

/// Services with up to so many clusters share their bound alike, so that one more cluster changes nothing for the others.
const FEW: usize = 16;

/// Into how many shares the bound of a service with that many clusters is cut.
pub(crate) fn class(clusters: usize) -> usize {
    clusters.max(FEW).next_power_of_two()
}

/// The endpoints of a cluster; nothing when there is no such cluster. Its service has that many clusters.
pub(crate) fn translate(
    context: &Context<'_, '_>,
    name: &ClusterName,
    clusters: usize,
    reports: &mut Vec<Report>,
) -> Option<Made> {
    let (number, subset, host) = name.parts()?;
    let service = service::find(context, host)?;
    let port = service.port(number)?;
    let no_labels = Labels::new();
    let rule;
    let wanted = if subset.is_empty() {
        &no_labels
    } else {
        rule = destination_rule::effective(context, &service.host, service.namespace)?;
        &rule.subset(subset)?.labels
    };
    let most = context.view.limits().endpoints_per_service;
    let share = (most / class(clusters)).max(1);
    let mut found: Box<dyn Iterator<Item = Endpoint>> = match &service.source {
        Source::Kubernetes(found) => match service::external_name(found.spec) {
            Some(target) => Box::new(std::iter::once(named(target, port.number))),
            None => Box::new(of_slices(context, &service, port, wanted)),
        },
        Source::Entries(entries) => {
            Box::new(entries.iter().flat_map(|entry| of_entry(*entry, &service.host, port, wanted)))
        }
    };
    let mut endpoints: Vec<Endpoint> = found.by_ref().take(share).collect();
    let owner = service.owner();
    if endpoints.len() == share && found.next().is_some() {
        let effect = "endpoints beyond the share of each of its ports and subsets get no requests";
        let problem = Problem::beyond(limit::ENDPOINTS, most, effect);
        reports.push(Report { object: owner.clone(), field: "spec".to_owned(), problem });
    }
    dedupe(&mut endpoints);
    let count = endpoints.iter().filter(|endpoint| is_name(endpoint)).count();
    let names = (count > 0).then(|| Demand { created: service.created(), owner, count });
    drop(found);
    Some(Made { endpoints: Endpoints { cluster: name.clone(), endpoints }, names })
}

/// Keeps the first of endpoints with one address.
fn dedupe(endpoints: &mut Vec<Endpoint>) {
    let mut seen = std::collections::BTreeSet::new();
    endpoints.retain(|endpoint| seen.insert(endpoint.address.clone()));
}

fn of_slices<'a>(
    context: &'a Context<'_, '_>,
    service: &Service<'_>,
    port: &'a Port,
    wanted: &'a Labels,
) -> impl Iterator<Item = Endpoint> + 'a {
    let slices = context.view.slices(service.namespace, &service.name).into_iter();
    slices.flat_map(move |Typed { spec: slice, meta }| {
        let number = slice_port(slice, &port.name);
        let all = slice.endpoints.iter().flatten().filter(move |_| number.is_some());
        // Absent means ready (docs of EndpointSlice); terminating ones are not ready.
        let ready =
            all.filter(|endpoint| endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false));
        let addresses = ready.flat_map(|endpoint| {
            let pod = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
            let pod = pod.and_then(|pod| pod.name.as_deref());
            endpoint.addresses.iter().map(move |address| (address, pod))
        });
        addresses.filter_map(move |(address, pod)| {
            steps::count();
            let ip = address.parse::<IpAddr>().ok()?;
            if !wanted.is_empty() {
                let pod = match pod {
                    Some(name) => context.view.pod(&meta.namespace, name),
                    None => context.view.pod_at(address),
                };
                pod.filter(|pod| selects(wanted, &pod.labels))?;
            }
            let address = EndpointAddress::Socket(SocketAddr::new(ip, number?));
            Some(Endpoint { address, weight: 1 })
        })
    })
}

/// The number a slice gives for the service's port of that name.
pub(crate) fn slice_port(slice: &EndpointSlice, name: &str) -> Option<u16> {
    let mut ports = slice.ports.iter().flatten();
    let port = ports.find(|port| port.name.as_deref().unwrap_or_default() == name)?;
    u16::try_from(port.port?).ok().filter(|number| *number > 0)
}

fn of_entry<'a>(
    entry: Typed<'a, ServiceEntry>,
    host: &str,
    port: &Port,
    wanted: &'a Labels,
) -> Box<dyn Iterator<Item = Endpoint> + 'a> {
    let Some(written) = entry.spec.ports.iter().find(|written| written.number == i64::from(port.number)) else {
        return Box::new(std::iter::empty());
    };
    let target = written.target_port.filter(|target| *target > 0).unwrap_or(written.number);
    let by_name = match entry.spec.resolution {
        Resolution::None | Resolution::DynamicDns => return Box::new(std::iter::empty()),
        Resolution::Static => false,
        Resolution::Dns | Resolution::DnsRoundRobin => true,
    };
    if by_name && entry.spec.endpoints.is_empty() {
        // Such an endpoint has no labels.
        let port = u16::try_from(target).ok().filter(|_| wanted.is_empty());
        return Box::new(port.map(|port| named(host, port)).into_iter());
    }
    let all = entry.spec.endpoints.iter().inspect(|_| steps::count());
    let fitting = all.filter(|endpoint| selects(wanted, &endpoint.labels));
    Box::new(fitting.filter_map(move |endpoint| of_workload(endpoint, &written.name, target, by_name)))
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
