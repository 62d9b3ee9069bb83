//! `delegate`: rules of another VirtualService in place of a rule (docs/semantics.md §3.14).

use std::borrow::Cow;
use std::collections::BTreeMap;

use crds::{Delegate, HttpMatchRequest, HttpRoute, ObjectKey, ObjectKind, StringMatch, VirtualService};

use crate::budget::{self, Budget};
use crate::export::Exports;
use crate::http_route::SourcedRule;
use crate::limits::name as limit;
use crate::report::{Problem, Report};
use crate::steps;
use crate::unit::Context;
use crate::world::{GatewayName, MESH, Typed};

/// Pairs of matches that are looked at for each that is allowed: most do not fit together.
const LOOKS: usize = 16;

/// What may come of all delegates of one VirtualService together.
struct Bounds {
    matches: Budget,
    looks: Budget,
    bytes: Budget,
}

/// Rules in their order.
pub(crate) struct Resolved<'a> {
    pub(crate) rules: Vec<SourcedRule<'a>>,
    /// A bound was reached: there were more rules.
    pub(crate) cut: bool,
}

/// The rules of a VirtualService with those of its delegates in their places. At a bound the rest of the rules is left out:
/// later ones must not get the requests of those that are missing.
pub(crate) fn resolve<'a>(
    context: &Context<'_, 'a>,
    key: &ObjectKey,
    spec: &'a VirtualService,
    reports: &mut Vec<Report>,
) -> Resolved<'a> {
    let limits = context.view.limits();
    let mut bounds = Bounds {
        matches: Budget::new(limits.matches_per_virtual_service),
        looks: Budget::new(limits.matches_per_virtual_service.saturating_mul(LOOKS)),
        bytes: Budget::new(limits.route_bytes_per_virtual_service),
    };
    let mut rules = Vec::with_capacity(spec.http.len());
    for (index, rule) in spec.http.iter().enumerate() {
        steps::count();
        let path = format!("spec.http[{index}]");
        let Some(delegate) = &rule.delegate else {
            rules.push(SourcedRule::new(Cow::Borrowed(rule), key.clone(), path));
            continue;
        };
        match delegated(context, key, rule, delegate, &path, &mut bounds, reports) {
            Ok(merged) => rules.extend(merged),
            Err(problem) => {
                let cut = matches!(problem, Problem::BeyondLimit { .. });
                reports.push(Report { object: key.clone(), field: format!("{path}.delegate"), problem });
                if cut {
                    return Resolved { rules, cut };
                }
            }
        }
    }
    Resolved { rules, cut: false }
}

fn delegated<'a>(
    context: &Context<'_, 'a>,
    root: &ObjectKey,
    rule: &HttpRoute,
    delegate: &Delegate,
    path: &str,
    bounds: &mut Bounds,
    reports: &mut Vec<Report>,
) -> Result<Vec<SourcedRule<'a>>, Problem> {
    let namespace = delegate.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    let namespace = namespace.unwrap_or(&root.namespace);
    let name = delegate.name.as_deref().unwrap_or_default();
    let full = format!("{namespace}/{name}");
    let default = &context.mesh.config.default_virtual_service_export_to;
    let found = context.view.virtual_service(namespace, name).filter(|Typed { meta, spec }| {
        let exports = Exports::new(&spec.export_to, default);
        spec.hosts.is_empty() && exports.visible(&meta.namespace, &root.namespace)
    });
    let Some(Typed { spec, .. }) = found else { return Err(Problem::UnknownDelegate { delegate: full }) };
    if spec.http.iter().any(|rule| rule.delegate.is_some()) {
        return Err(Problem::NestedDelegate { delegate: full });
    }
    let owner = ObjectKey::new(ObjectKind::VirtualService, namespace, name);
    let effect =
        "this rule and those behind it are left out, and requests that no rule before takes are answered with 503";
    let matches = |bounds: &Bounds| Problem::beyond(limit::MATCHES, bounds.matches.most, effect);
    let bytes = |bounds: &Bounds| Problem::beyond(limit::ROUTE_BYTES, bounds.bytes.most, effect);
    let root_rest = rest(rule);
    let root_matches = literal(&rule.matches, &root.namespace);
    let root_sizes: Vec<usize> = root_matches.iter().map(budget::size).collect();
    let root_size: usize = root_sizes.iter().sum();
    let mut merged = Vec::with_capacity(spec.http.len().min(64));
    for (index, own) in spec.http.iter().enumerate() {
        steps::count();
        if !bounds.bytes.take(RULE + root_rest + rest(own)) {
            return Err(bytes(bounds));
        }
        // Each entry of one goes with each of the other.
        let (ours, theirs) = (root_matches.len().max(1), own.matches.len().max(1));
        if !bounds.looks.take(ours.saturating_mul(theirs)) {
            return Err(matches(bounds));
        }
        let own_matches = literal(&own.matches, namespace);
        let own_sizes: Vec<usize> = own_matches.iter().map(budget::size).collect();
        let own_size: usize = own_sizes.iter().sum();
        let entries = if root_matches.is_empty() || own_matches.is_empty() {
            let (count, size) =
                if own_matches.is_empty() { (root_matches.len(), root_size) } else { (own_matches.len(), own_size) };
            if !bounds.matches.take(count.max(1)) {
                return Err(matches(bounds));
            }
            if !bounds.bytes.take(size + count * ENTRY) {
                return Err(bytes(bounds));
            }
            Some(if own_matches.is_empty() { root_matches.clone() } else { own_matches })
        } else {
            let mut entries = Vec::new();
            for (own, own_size) in own_matches.iter().zip(&own_sizes) {
                let before = entries.len();
                for (root, root_size) in root_matches.iter().zip(&root_sizes) {
                    steps::count();
                    if conflict(root, own) {
                        continue;
                    }
                    if !bounds.matches.take(1) {
                        return Err(matches(bounds));
                    }
                    if !bounds.bytes.take(root_size + own_size + ENTRY) {
                        return Err(bytes(bounds));
                    }
                    entries.push(both(root, own));
                }
                // A delegate's entry that fits nothing takes its whole rule with it.
                if entries.len() == before {
                    entries.clear();
                    break;
                }
            }
            (!entries.is_empty()).then_some(entries)
        };
        let Some(entries) = entries else {
            let problem = Problem::DelegateConflict { delegate: full.clone(), rule: index };
            reports.push(Report { object: root.clone(), field: format!("{path}.match"), problem });
            continue;
        };
        let rule = merge(rule, own, entries);
        merged.push(SourcedRule::new(Cow::Owned(rule), owner.clone(), format!("spec.http[{index}]")));
    }
    Ok(merged)
}

/// What a rule and an entry of `match` take beside their texts.
const RULE: usize = 1024;
const ENTRY: usize = 512;

/// About how many bytes a rule takes without its matches.
fn rest(rule: &HttpRoute) -> usize {
    budget::size(rule).saturating_sub(budget::size(&rule.matches))
}

/// The root's rule with a delegate's and the matches of both: whole fields, the delegate's first.
fn merge(root: &HttpRoute, own: &HttpRoute, matches: Vec<HttpMatchRequest>) -> HttpRoute {
    let mirrored = own.mirror.is_some() || !own.mirrors.is_empty();
    let mirrors = if mirrored { own } else { root };
    HttpRoute {
        name: joined(root.name.as_deref(), own.name.as_deref()),
        matches,
        route: own.route.clone(),
        redirect: own.redirect.clone(),
        direct_response: own.direct_response.clone().or_else(|| root.direct_response.clone()),
        delegate: None,
        rewrite: own.rewrite.clone().or_else(|| root.rewrite.clone()),
        timeout: own.timeout.clone().or_else(|| root.timeout.clone()),
        retries: own.retries.clone().or_else(|| root.retries.clone()),
        fault: own.fault.clone().or_else(|| root.fault.clone()),
        mirror: mirrors.mirror.clone(),
        mirrors: mirrors.mirrors.clone(),
        mirror_percent: own.mirror_percent.or(root.mirror_percent),
        mirror_percentage: own.mirror_percentage.clone().or_else(|| root.mirror_percentage.clone()),
        cors_policy: own.cors_policy.clone().or_else(|| root.cors_policy.clone()),
        headers: own.headers.clone().or_else(|| root.headers.clone()),
    }
}

fn joined(root: Option<&str>, own: Option<&str>) -> Option<String> {
    let given = |name: Option<&str>| name.filter(|name| !name.is_empty()).map(str::to_owned);
    match (given(root), given(own)) {
        (Some(root), Some(own)) => Some(format!("{root}-{own}")),
        (root, own) => root.or(own),
    }
}

/// Entries with their Gateways named in full, so that they mean the same in both objects.
fn literal(matches: &[HttpMatchRequest], namespace: &str) -> Vec<HttpMatchRequest> {
    let mut matches = matches.to_vec();
    for gateway in matches.iter_mut().flat_map(|entry| &mut entry.gateways) {
        *gateway = GatewayName::parse(gateway, namespace).map_or_else(|| MESH.to_owned(), |name| name.to_string());
    }
    matches
}

fn both(root: &HttpMatchRequest, own: &HttpMatchRequest) -> HttpMatchRequest {
    HttpMatchRequest {
        name: joined(root.name.as_deref(), own.name.as_deref()),
        uri: own.uri.clone().or_else(|| root.uri.clone()),
        scheme: own.scheme.clone().or_else(|| root.scheme.clone()),
        method: own.method.clone().or_else(|| root.method.clone()),
        authority: own.authority.clone().or_else(|| root.authority.clone()),
        headers: united(&root.headers, &own.headers),
        port: own.port.filter(|port| *port != 0).or(root.port),
        source_labels: united(&root.source_labels, &own.source_labels),
        gateways: if own.gateways.is_empty() { root.gateways.clone() } else { own.gateways.clone() },
        query_params: united(&root.query_params, &own.query_params),
        ignore_uri_case: root.ignore_uri_case || own.ignore_uri_case,
        without_headers: united(&root.without_headers, &own.without_headers),
        source_namespace: own.source_namespace.clone().or_else(|| root.source_namespace.clone()),
        stat_prefix: own.stat_prefix.clone().or_else(|| root.stat_prefix.clone()),
    }
}

fn united<V: Clone>(root: &BTreeMap<String, V>, own: &BTreeMap<String, V>) -> BTreeMap<String, V> {
    root.iter().chain(own).map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn conflict(root: &HttpMatchRequest, own: &HttpMatchRequest) -> bool {
    let maps = [
        (&root.headers, &own.headers),
        (&root.without_headers, &own.without_headers),
        (&root.query_params, &own.query_params),
    ];
    let patterns = [
        (root.uri.as_ref(), own.uri.as_ref()),
        (root.scheme.as_deref(), own.scheme.as_deref()),
        (root.method.as_deref(), own.method.as_deref()),
        (root.authority.as_deref(), own.authority.as_deref()),
    ];
    let port = |entry: &HttpMatchRequest| entry.port.filter(|port| *port != 0);
    let namespaces_differ = match &root.source_namespace {
        Some(root) => own.source_namespace.as_ref().is_some_and(|own| own != root),
        None => false,
    };
    root.ignore_uri_case != own.ignore_uri_case
        || port(root).zip(port(own)).is_some_and(|(root, own)| root != own)
        || namespaces_differ
        || root.source_labels.iter().any(|(key, value)| own.source_labels.get(key).is_some_and(|own| own != value))
        || (!root.gateways.is_empty() && own.gateways.iter().any(|gateway| !root.gateways.contains(gateway)))
        || patterns.into_iter().any(|pair| matches!(pair, (Some(root), Some(own)) if patterns_conflict(root, own)))
        || maps.into_iter().any(|(root, own)| {
            root.iter().any(|(name, root)| own.get(name).is_some_and(|own| patterns_conflict(root, own)))
        })
}

/// Expressions conflict with everything; otherwise the delegate's must be narrower.
fn patterns_conflict(root: &StringMatch, own: &StringMatch) -> bool {
    if root.regex.is_some() || own.regex.is_some() {
        return true;
    }
    match (&root.exact, &root.prefix) {
        (Some(exact), _) => own.exact.as_ref() != Some(exact),
        (None, Some(prefix)) => {
            let text = own.exact.as_ref().or(own.prefix.as_ref());
            text.is_none_or(|text| !text.starts_with(prefix.as_str()))
        }
        (None, None) => own.alternatives() > 0,
    }
}
