//! Where a path's requests go: the cluster a backend means.

use crds::object::ingress::{IngressBackend, IngressServiceBackend};
use ir::{ClusterName, Destination, Forward, HeaderEdits, Route, RouteAction, RouteMatch};

use super::path;
use crate::hosts::DOMAIN;
use crate::report::Problem;
use crate::route::{match_, retry};
use crate::scope::Scope;
use crate::service::{self, Service};
use crate::unit::{Context, Needed};

/// The cluster of a backend in that namespace; nothing for one that leaves its path out. A service that does not exist
/// is named all the same: requests get 503.
pub(super) fn cluster(
    context: &Context<'_, '_>,
    backend: &IngressBackend,
    namespace: &str,
    needed: &mut Needed,
    at: &mut Scope<'_>,
) -> Option<ClusterName> {
    let Some(written) = &backend.service else {
        if backend.resource.is_some() {
            at.field("resource").not_supported("only Services can be backends; the path is left out");
        }
        return None;
    };
    let mut at = at.field("service");
    let host = format!("{}.{namespace}.svc.{DOMAIN}", written.name);
    let service = service::find(context, &host);
    let number = match number(written) {
        Some(number) => number,
        None => named_port(written, &host, service.as_deref(), &mut at)?,
    };
    let name = match &service {
        None => {
            at.field("name").report(Problem::UnknownHost { host: host.clone() });
            ClusterName::outbound(number, "", &host)
        }
        Some(service) => {
            if service.port(number).is_none() {
                let ports = ports(service);
                at.field("port").report(Problem::UnknownPort { host: service.host.clone(), port: number, ports });
            }
            ClusterName::outbound(number, "", &service.host)
        }
    };
    needed.insert(name.clone());
    Some(name)
}

fn number(written: &IngressServiceBackend) -> Option<u16> {
    let number = written.port.as_ref()?.number?;
    u16::try_from(number).ok().filter(|number| *number > 0)
}

/// A port by name; nothing, after a report, where there is none.
fn named_port(
    written: &IngressServiceBackend,
    host: &str,
    service: Option<&Service<'_>>,
    at: &mut Scope<'_>,
) -> Option<u16> {
    let name = written.port.as_ref().and_then(|port| port.name.as_deref()).unwrap_or_default();
    let found = service.and_then(|service| service.ports.iter().find(|port| port.name == name));
    if let Some(port) = found.filter(|_| !name.is_empty()) {
        return Some(port.number);
    }
    let why = match service {
        Some(service) => format!("service {host:?} has {}", ports(service)),
        None => format!("{host:?} is no service this gateway can see"),
    };
    at.field("port").report(Problem::UnknownPortName { name: name.to_owned(), why });
    None
}

/// The ports of a service, for people.
fn ports(service: &Service<'_>) -> String {
    let named = service.ports.iter().map(|port| match port.name.as_str() {
        "" => port.number.to_string(),
        name => format!("{} {name:?}", port.number),
    });
    let list = named.collect::<Vec<_>>();
    if list.is_empty() { "none".to_owned() } else { list.join(", ") }
}

/// A route to a cluster. `name` says in logs which Ingress it is from.
pub(super) fn route(context: &Context<'_, '_>, name: &str, matches: RouteMatch, cluster: ClusterName) -> Route {
    let destination =
        Destination { cluster, weight: 1, edits: HeaderEdits::default(), authority: None, tell_original_host: false };
    Route {
        name: name.to_owned(),
        catch_all: match_::is_catch_all(&matches),
        plaintext: matches.path.as_ref().is_some_and(path::is_challenge),
        matches,
        action: RouteAction::Forward(Forward {
            destinations: vec![destination],
            path_rewrite: None,
            authority: None,
            timeout: None,
            retry: retry::translate(None, context.mesh.retry.as_ref()),
            fault: None,
            cors: None,
        }),
    }
}
