//! The rules of a VirtualService at one server: which routes they make there, in which order (docs/semantics.md §3.2).

use std::borrow::Cow;

use crds::{HttpMatchRequest, HttpRoute, HttpRouteDestination, ObjectKey};
use ir::{Destination, Forward, PathMatch, Route, RouteAction, RouteMatch};

use crate::report::Report;
use crate::route::match_::{self, Conditions};
use crate::route::{cors, destination, direct_response, fault, headers, redirect, retry, rewrite, timeout};
use crate::scope::Scope;
use crate::unit::{Context, Needed};
use crate::world::{GatewayName, selects};

/// A rule and where it was written; merged with a delegate's, it stands in none of the objects as it is.
pub(crate) struct SourcedRule<'a> {
    pub(crate) rule: Cow<'a, HttpRoute>,
    /// Decides what short names mean, and gets the reports.
    pub(crate) owner: Cow<'a, ObjectKey>,
    pub(crate) path: String,
}

/// Where rules are compiled for.
pub(crate) struct Place<'a> {
    pub(crate) gateway: &'a GatewayName,
    /// The number in the Gateway.
    pub(crate) port: u16,
}

/// The routes of a list of rules. Nothing comes behind a route that takes everything.
pub(crate) fn compile(
    context: &Context<'_>,
    rules: &[SourcedRule<'_>],
    place: &Place<'_>,
    needed: &mut Needed,
    reports: &mut Vec<Report>,
) -> Vec<Route> {
    let mut routes = Vec::new();
    for SourcedRule { rule, owner, path } in rules {
        let mut at = Scope::new(owner, path.clone(), reports);
        let mut add = |entry: Option<&HttpMatchRequest>| {
            let route = compile_entry(context, rule, entry, &owner.namespace, place, needed, &mut at);
            let ends = route.as_ref().is_some_and(|route| route.catch_all);
            routes.extend(route);
            ends
        };
        let ends = if rule.matches.is_empty() {
            add(None);
            true
        } else {
            let here = rule.matches.iter().filter(|entry| applies(context, entry, &owner.namespace, place));
            here.into_iter().any(|entry| add(Some(entry)))
        };
        if ends {
            break;
        }
    }
    routes
}

/// Whether an entry is for this server and proxy. With `gateways` nothing is asked of the source.
fn applies(context: &Context<'_>, entry: &HttpMatchRequest, namespace: &str, place: &Place<'_>) -> bool {
    if entry.port.is_some_and(|port| port != 0 && port != i64::from(place.port)) {
        return false;
    }
    if !entry.gateways.is_empty() {
        let mut gateways = entry.gateways.iter().filter_map(|name| GatewayName::parse(name, namespace));
        return gateways.any(|name| name == *place.gateway);
    }
    let source_namespace = entry.source_namespace.as_deref().unwrap_or_default();
    selects(&entry.source_labels, &context.proxy.labels)
        && (source_namespace.is_empty() || source_namespace == context.proxy.namespace)
}

fn compile_entry(
    context: &Context<'_>,
    rule: &HttpRoute,
    entry: Option<&HttpMatchRequest>,
    namespace: &str,
    place: &Place<'_>,
    needed: &mut Needed,
    at: &mut Scope<'_>,
) -> Option<Route> {
    let conditions = match entry {
        Some(entry) => match_::translate(entry)?,
        None => Conditions { matches: RouteMatch::default(), has_claims: false },
    };
    let Conditions { matches, has_claims } = conditions;
    let path = matches.path.as_ref();
    let action = if let Some(redirect) = &rule.redirect {
        RouteAction::Redirect(redirect::translate(redirect, rule, path, place.port))
    } else if let Some(response) = &rule.direct_response {
        RouteAction::DirectResponse(direct_response::translate(response, rule)?)
    } else {
        RouteAction::Forward(forward(context, rule, path, namespace, place.port, needed, at)?)
    };
    Some(Route {
        name: name(rule, entry),
        catch_all: !has_claims && match_::is_catch_all(&matches),
        plaintext: false,
        matches,
        action,
    })
}

/// Rule and entry, joined by a dot.
fn name(rule: &HttpRoute, entry: Option<&HttpMatchRequest>) -> String {
    let rule = rule.name.as_deref().unwrap_or_default();
    match entry.and_then(|entry| entry.name.as_deref()).filter(|name| !name.is_empty()) {
        Some(entry) if rule.is_empty() => entry.to_owned(),
        Some(entry) => format!("{rule}.{entry}"),
        None => rule.to_owned(),
    }
}

/// Sends requests on; nothing where nobody would get them.
fn forward(
    context: &Context<'_>,
    rule: &HttpRoute,
    path: Option<&PathMatch>,
    namespace: &str,
    port: u16,
    needed: &mut Needed,
    at: &mut Scope<'_>,
) -> Option<Forward> {
    let several = rule.route.len() > 1;
    let mut destinations = Vec::new();
    for (index, weight) in destination::shares(rule.route.iter().map(|entry| entry.weight)) {
        let Some(HttpRouteDestination { destination: Some(written), weight: _, headers: own }) = rule.route.get(index)
        else {
            continue;
        };
        let mut at = at.item("route", index);
        let cluster = destination::cluster(context, written, namespace, port, &mut at.field("destination"));
        needed.insert(cluster.clone());
        let authority = headers::authority(own.as_deref()).map(str::to_owned);
        destinations.push(Destination {
            cluster,
            weight,
            edits: headers::merged(rule.headers.as_deref(), own.as_deref(), several),
            tell_original_host: authority.is_some() && !several,
            authority,
        });
    }
    if destinations.is_empty() {
        return None;
    }
    let authority = rewrite::authority(rule.rewrite.as_deref()).or_else(|| headers::authority(rule.headers.as_deref()));
    Some(Forward {
        destinations,
        path_rewrite: rule.rewrite.as_ref().and_then(|written| rewrite::path(written, path)),
        authority: authority.map(str::to_owned),
        timeout: timeout::translate(rule.timeout.as_deref()),
        retry: retry::translate(rule.retries.as_deref(), context.mesh.retry.as_ref()),
        fault: fault::translate(rule.fault.as_deref()),
        cors: cors::translate(rule.cors_policy.as_deref()),
    })
}
