//! The rules of a VirtualService at one server: which routes they make there, in which order (docs/semantics.md §3.2).

use std::borrow::Cow;

use crds::{HttpMatchRequest, HttpRoute, HttpRouteDestination, ObjectKey};
use ir::{Authority, Destination, Forward, Route, RouteAction, RouteMatch, TextError};

use crate::budget::{self, Budget};
use crate::delegate::Resolved;
use crate::few::Few;
use crate::limits::name as limit;
use crate::report::{Problem, Report};
use crate::route::match_::{self, Conditions};
use crate::route::{cors, destination, direct_response, fault, headers, redirect, retry, rewrite, timeout};
use crate::scope::Scope;
use crate::steps;
use crate::unit::{Context, Needed};
use crate::world::{GatewayName, selects};

/// A rule and where it was written; merged with a delegate's, it stands in none of the objects as it is.
pub(crate) struct SourcedRule<'a> {
    pub(crate) rule: Cow<'a, HttpRoute>,
    /// Decides what short names mean, and gets the reports.
    pub(crate) owner: ObjectKey,
    pub(crate) path: String,
    /// The Gateways that each entry of `match` is for; all where there are none.
    gateways: Vec<Few<GatewayName>>,
    /// About how many bytes a route takes beside the conditions of its entry.
    size: usize,
}

impl<'a> SourcedRule<'a> {
    pub(crate) fn new(rule: Cow<'a, HttpRoute>, owner: ObjectKey, path: String) -> Self {
        let gateways = |entry: &HttpMatchRequest| {
            steps::add(1 + entry.gateways.len());
            entry.gateways.iter().filter_map(|name| GatewayName::parse(name, &owner.namespace)).collect()
        };
        let gateways = rule.matches.iter().map(gateways).collect();
        let rest = budget::size(&*rule).saturating_sub(budget::size(&rule.matches));
        // Header operations of the rule are repeated at each destination.
        let headers = budget::size(&rule.headers).saturating_mul(rule.route.len());
        let size = ROUTE + rest.saturating_add(headers) + rule.route.len() * DESTINATION;
        Self { rule, owner, path, gateways, size }
    }

    /// Whether its routes depend on the Gateway they are for.
    pub(crate) fn is_for_gateways(&self) -> bool {
        self.rule.matches.iter().any(|entry| !entry.gateways.is_empty())
    }
}

/// What a route and a destination take beside their texts.
const ROUTE: usize = 512;
const DESTINATION: usize = 256;

/// Where rules are compiled for.
pub(crate) struct Place<'a> {
    pub(crate) gateway: &'a GatewayName,
    /// The number in the Gateway.
    pub(crate) port: u16,
}

/// The routes of a list of rules. Nothing comes behind a route that takes everything. Where the budget ends, the rest of the
/// requests is refused: a later rule, or another object's, must not get those of a rule that is missing.
pub(crate) fn compile(
    context: &Context<'_, '_>,
    resolved: &Resolved<'_>,
    place: &Place<'_>,
    budget: &mut Budget,
    needed: &mut Needed,
    reports: &mut Vec<Report>,
) -> Vec<Route> {
    let mut routes = Vec::new();
    for sourced in &resolved.rules {
        let SourcedRule { rule, owner, path, gateways, size } = sourced;
        steps::count();
        let mut at = Scope::new(owner, path.clone(), reports);
        let mut action = None;
        let all = [None];
        let entries: Box<dyn Iterator<Item = Option<&HttpMatchRequest>>> = if rule.matches.is_empty() {
            Box::new(all.into_iter())
        } else {
            let here = rule.matches.iter().zip(gateways).filter(|(entry, gateways)| {
                steps::count();
                applies(context, entry, gateways, place)
            });
            Box::new(here.map(|(entry, _)| Some(entry)))
        };
        for entry in entries {
            let needs = entry.map_or(0, budget::size).saturating_add(*size);
            if !budget.take(needs) {
                let effect =
                    "the routes beyond are left out, and requests that no route before takes are answered with 503";
                at.report(Problem::beyond(limit::ROUTE_BYTES, budget.most, effect));
                routes.push(refusal());
                return routes;
            }
            let Some(conditions) = conditions(entry) else { continue };
            // One for all entries, whose routes differ in what depends on the path alone.
            let action =
                action.get_or_insert_with(|| Action::new(context, rule, &owner.namespace, place.port, needed, &mut at));
            let route = compile_entry(rule, action, entry, conditions, place);
            let ends = route.as_ref().is_some_and(|route| route.catch_all);
            routes.extend(route);
            if ends || rule.matches.is_empty() {
                return routes;
            }
        }
    }
    if resolved.cut {
        routes.push(refusal());
    }
    routes
}

/// Stands for rules that are missing: in their place, and not behind those of other objects.
fn refusal() -> Route {
    Route {
        name: "beyond-limit".to_owned(),
        matches: RouteMatch::default(),
        catch_all: false,
        plaintext: false,
        action: RouteAction::DirectResponse(ir::DirectResponse {
            status: ir::ReplyStatus::UNAVAILABLE,
            body: None,
            edits: ir::HeaderEdits::default(),
        }),
    }
}

/// Answers for a rule of which a text cannot go to a wire, as `validate` has said: later rules must not get what the rule
/// was written for.
fn broken() -> RouteAction {
    RouteAction::DirectResponse(direct_response::broken())
}

/// Whether an entry is for this server and proxy. With `gateways` nothing is asked of the source.
fn applies(
    context: &Context<'_, '_>,
    entry: &HttpMatchRequest,
    gateways: &Few<GatewayName>,
    place: &Place<'_>,
) -> bool {
    if entry.port.is_some_and(|port| port != 0 && port != i64::from(place.port)) {
        return false;
    }
    if !entry.gateways.is_empty() {
        return gateways.contains(place.gateway);
    }
    let source_namespace = entry.source_namespace.as_deref().unwrap_or_default();
    selects(&entry.source_labels, &context.proxy.labels)
        && (source_namespace.is_empty() || source_namespace == context.proxy.namespace)
}

/// What a rule does, as far as all of its routes do the same.
enum Action {
    /// Depends on the path.
    Redirect,
    Answer(ir::DirectResponse),
    Forward(Box<Forward>),
    /// A text of it cannot go to a wire.
    Broken,
    Nothing,
}

impl Action {
    fn new(
        context: &Context<'_, '_>,
        rule: &HttpRoute,
        namespace: &str,
        port: u16,
        needed: &mut Needed,
        at: &mut Scope<'_>,
    ) -> Self {
        if rule.redirect.is_some() {
            Self::Redirect
        } else if let Some(response) = &rule.direct_response {
            direct_response::translate(response, rule).map_or(Self::Nothing, Self::Answer)
        } else {
            match forward(context, rule, namespace, port, needed, at) {
                Ok(forward) => forward.map_or(Self::Nothing, |made| Self::Forward(Box::new(made))),
                Err(_) => Self::Broken,
            }
        }
    }
}

fn conditions(entry: Option<&HttpMatchRequest>) -> Option<Conditions> {
    match entry {
        Some(entry) => match_::translate(entry),
        None => Some(Conditions { matches: RouteMatch::default(), has_claims: false }),
    }
}

fn compile_entry(
    rule: &HttpRoute,
    action: &Action,
    entry: Option<&HttpMatchRequest>,
    conditions: Conditions,
    place: &Place<'_>,
) -> Option<Route> {
    let Conditions { matches, has_claims } = conditions;
    let path = matches.path.as_ref();
    let action = match action {
        Action::Redirect => match redirect::translate(rule.redirect.as_ref()?, rule, path, place.port) {
            Ok(redirect) => RouteAction::Redirect(redirect),
            Err(_) => broken(),
        },
        Action::Answer(response) => RouteAction::DirectResponse(response.clone()),
        Action::Forward(forward) => {
            match rule.rewrite.as_deref().map(|written| rewrite::path(written, path)).transpose() {
                Ok(rewrite) => {
                    RouteAction::Forward(Forward { path_rewrite: rewrite.flatten(), ..Forward::clone(forward) })
                }
                Err(_) => broken(),
            }
        }
        Action::Broken => broken(),
        Action::Nothing => return None,
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

/// Sends requests on; nothing where no destination would get them.
fn forward(
    context: &Context<'_, '_>,
    rule: &HttpRoute,
    namespace: &str,
    port: u16,
    needed: &mut Needed,
    at: &mut Scope<'_>,
) -> Result<Option<Forward>, TextError> {
    let several = rule.route.len() > 1;
    let mut destinations = Vec::new();
    for (index, weight) in destination::shares(rule.route.iter().map(|entry| entry.weight)) {
        let Some(HttpRouteDestination { destination: Some(written), weight: _, headers: own }) = rule.route.get(index)
        else {
            continue;
        };
        steps::count();
        let mut at = at.item("route", index);
        let cluster = destination::cluster(context, written, namespace, port, &mut at.field("destination"));
        needed.insert(cluster.clone());
        let authority = headers::authority(own.as_deref()).map(Authority::try_from).transpose()?;
        destinations.push(Destination {
            cluster,
            weight,
            edits: headers::merged(rule.headers.as_deref(), own.as_deref(), several),
            tell_original_host: authority.is_some() && !several,
            authority,
        });
    }
    if destinations.is_empty() {
        return Ok(None);
    }
    let authority = rewrite::authority(rule.rewrite.as_deref()).or_else(|| headers::authority(rule.headers.as_deref()));
    Ok(Some(Forward {
        destinations,
        path_rewrite: None,
        authority: authority.map(Authority::try_from).transpose()?,
        timeout: timeout::translate(rule.timeout.as_deref()),
        retry: retry::translate(rule.retries.as_deref(), context.mesh.retry.as_ref()),
        fault: fault::translate(rule.fault.as_deref()),
        cors: cors::translate(rule.cors_policy.as_deref()),
    }))
}
