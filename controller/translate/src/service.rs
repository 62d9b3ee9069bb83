//! The registry: which service a host stands for, as this proxy sees it (docs/semantics.md §3.19).

use std::collections::HashMap;
use std::rc::Rc;

use crds::object::core::ServiceSpec;
use crds::{ObjectKey, ObjectKind, ServiceEntry};

use crate::destination_rule;
use crate::export::Exports;
use crate::hosts;
use crate::protocol::Protocol;
use crate::report::{Problem, Report};
use crate::service_entry;
use crate::steps;
use crate::unit::Context;
use crate::world::Typed;

/// Says who sees a Kubernetes service, separated by commas.
const EXPORT_TO: &str = "networking.istio.io/exportTo";

/// A service that routes can name.
pub(crate) struct Service<'a> {
    pub(crate) host: String,
    /// Short name, for metrics.
    pub(crate) name: String,
    pub(crate) namespace: &'a str,
    pub(crate) ports: Vec<Port>,
    /// Positions in `ports`, by number.
    by_number: HashMap<u16, usize>,
    pub(crate) source: Source<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) number: u16,
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
}

/// What a service is made from.
pub(crate) enum Source<'a> {
    Kubernetes(Typed<'a, ServiceSpec>),
    /// All of one namespace that define the host in the same way, oldest first. Never empty.
    Entries(Vec<Typed<'a, ServiceEntry>>),
}

impl Service<'_> {
    /// The object that defines it; the oldest of several.
    pub(crate) fn owner(&self) -> ObjectKey {
        match &self.source {
            Source::Kubernetes(service) => service.key(ObjectKind::Service),
            Source::Entries(entries) => entries[0].key(ObjectKind::ServiceEntry),
        }
    }

    pub(crate) fn created(&self) -> i64 {
        match &self.source {
            Source::Kubernetes(service) => service.age().0,
            Source::Entries(entries) => entries[0].age().0,
        }
    }

    pub(crate) fn port(&self, number: u16) -> Option<&Port> {
        steps::count();
        self.ports.get(*self.by_number.get(&number)?)
    }
}

/// The oldest visible service of that host; for an alias of a known service that service itself.
pub(crate) fn find<'a>(context: &Context<'_, 'a>, host: &str) -> Option<Rc<Service<'a>>> {
    context.view.memo().service(&context.view, host, || find_real(context, host))
}

fn find_real<'a>(context: &Context<'_, 'a>, host: &str) -> Option<Service<'a>> {
    let service = find_named(context, host)?;
    if let Source::Kubernetes(Typed { spec, .. }) = &service.source
        && let Some(target) = external_name(spec)
        && let Some(target) = find_named(context, target)
    {
        return Some(target);
    }
    Some(service)
}

fn find_named<'a>(context: &Context<'_, 'a>, host: &str) -> Option<Service<'a>> {
    let kubernetes = kubernetes(context, host);
    let entries = visible_entries(context, host);
    match (kubernetes, entries.first()) {
        (Some(service), Some(entry)) if entry.age() < service.age() => Some(of_entries(host, entries)),
        (Some(service), _) => Some(of_kubernetes(host, service)),
        (None, Some(_)) => Some(of_entries(host, entries)),
        (None, None) => None,
    }
}

fn kubernetes<'a>(context: &Context<'_, 'a>, host: &str) -> Option<Typed<'a, ServiceSpec>> {
    let (name, namespace) = hosts::kubernetes_service(host)?;
    let service = context.view.service(namespace, name)?;
    let written: Vec<String> = match service.meta.annotations.get(EXPORT_TO) {
        Some(text) => text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect(),
        None => Vec::new(),
    };
    let exports = Exports::new(&written, &context.mesh.config.default_service_export_to);
    exports.visible(namespace, &context.proxy.namespace).then_some(service)
}

fn visible_entries<'a>(context: &Context<'_, 'a>, host: &str) -> Vec<Typed<'a, ServiceEntry>> {
    let default = &context.mesh.config.default_service_export_to;
    let mut entries = context.view.entries_of(host);
    let owner = if context.mesh.strict { hosts::cluster_namespace(host) } else { None };
    entries.retain(|entry| owner.is_none_or(|owner| owner == entry.meta.namespace));
    entries.retain(|entry| {
        steps::add(1 + entry.spec.export_to.len());
        Exports::new(&entry.spec.export_to, default).visible(&entry.meta.namespace, &context.proxy.namespace)
    });
    entries
}

fn of_kubernetes<'a>(host: &str, service: Typed<'a, ServiceSpec>) -> Service<'a> {
    let ports = service.spec.ports.iter().flatten().filter_map(|port| {
        let number = u16::try_from(port.port).ok().filter(|number| *number > 0)?;
        let name = port.name.clone().unwrap_or_default();
        let protocol = Protocol::of_service_port(port.protocol.as_deref(), port.app_protocol.as_deref(), &name, number);
        (protocol != Protocol::Udp).then_some(Port { number, name, protocol })
    });
    let (ports, by_number) = distinct(ports);
    Service {
        host: host.to_owned(),
        name: service.meta.name.clone(),
        namespace: &service.meta.namespace,
        ports,
        by_number,
        source: Source::Kubernetes(service),
    }
}

fn of_entries<'a>(host: &str, mut entries: Vec<Typed<'a, ServiceEntry>>) -> Service<'a> {
    let oldest = entries[0];
    entries.retain(|entry| {
        entry.meta.namespace == oldest.meta.namespace && entry.spec.resolution == oldest.spec.resolution
    });
    let (ports, by_number) =
        distinct(entries.iter().flat_map(|entry| &entry.spec.ports).filter_map(service_entry::port));
    Service {
        host: host.to_owned(),
        name: host.to_owned(),
        namespace: &oldest.meta.namespace,
        ports,
        by_number,
        source: Source::Entries(entries),
    }
}

/// The first port of each number, and where it is.
fn distinct(all: impl Iterator<Item = Port>) -> (Vec<Port>, HashMap<u16, usize>) {
    let (mut ports, mut by_number) = (Vec::new(), HashMap::new());
    for port in all {
        steps::count();
        by_number.entry(port.number).or_insert_with(|| {
            ports.push(port);
            ports.len() - 1
        });
    }
    (ports, by_number)
}

/// Reports what holds for a host whichever of its clusters are used.
pub(crate) fn review(context: &Context<'_, '_>, host: &str, reports: &mut Vec<Report>) {
    review_contenders(context, host, reports);
    let Some(service) = find(context, host) else { return };
    if let Some(rule) = destination_rule::effective(context, &service.host, service.namespace) {
        reports.extend(rule.reports.iter().cloned());
    }
}

/// Reports which definitions of a host are not used, because another namespace has one.
fn review_contenders(context: &Context<'_, '_>, host: &str, reports: &mut Vec<Report>) {
    let service = kubernetes(context, host);
    let owner = if context.mesh.strict { hosts::cluster_namespace(host) } else { None };
    if let Some(owner) = owner {
        for entry in context.view.entries_of(host).iter().filter(|entry| entry.meta.namespace != owner) {
            let problem = Problem::ForeignService { host: host.to_owned(), owner: owner.to_owned() };
            let object = entry.key(ObjectKind::ServiceEntry);
            reports.push(Report { object, field: "spec.hosts".to_owned(), problem });
        }
    }
    let entries = visible_entries(context, host);
    let Some(first) = entries.first() else { return };
    let mut taken = |object: ObjectKey, field: &str, winner: &ObjectKey, how| {
        let problem = Problem::ServiceTaken { host: host.to_owned(), winner: winner.to_string(), how };
        reports.push(Report { object, field: field.to_owned(), problem });
    };
    let (winner, namespace) = match &service {
        Some(service) if first.age() >= service.age() => {
            (service.key(ObjectKind::Service), service.meta.namespace.as_str())
        }
        _ => (first.key(ObjectKind::ServiceEntry), first.meta.namespace.as_str()),
    };
    const OLDER: &str = "which is older and of another namespace";
    if let Some(service) = service.filter(|service| service.meta.namespace != namespace) {
        taken(service.key(ObjectKind::Service), "spec", &winner, OLDER);
        // A Service has no place to tell it: whoever defines its host elsewhere is told, too.
        taken(
            winner.clone(),
            "spec.hosts",
            &service.key(ObjectKind::Service),
            "which is younger and loses its requests",
        );
    }
    for entry in entries.iter().filter(|entry| entry.meta.namespace != namespace) {
        taken(entry.key(ObjectKind::ServiceEntry), "spec.hosts", &winner, OLDER);
    }
}

/// The name an ExternalName service stands for.
pub(crate) fn external_name(spec: &ServiceSpec) -> Option<&str> {
    spec.external_name.as_deref().filter(|_| spec.type_.as_deref() == Some("ExternalName"))
}
