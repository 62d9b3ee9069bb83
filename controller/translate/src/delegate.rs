//! `delegate`: rules of another VirtualService in place of a rule (docs/semantics.md §3.14).

use std::borrow::Cow;
use std::collections::BTreeMap;

use crds::{Delegate, HttpMatchRequest, HttpRoute, ObjectKey, ObjectKind, StringMatch, VirtualService};

use crate::export::Exports;
use crate::http_route::SourcedRule;
use crate::report::{Problem, Report};
use crate::unit::Context;
use crate::world::{GatewayName, MESH, Typed};

/// The rules of a VirtualService with those of its delegates in their places.
pub(crate) fn resolve<'a>(
    context: &Context<'a>,
    key: &'a ObjectKey,
    spec: &'a VirtualService,
    reports: &mut Vec<Report>,
) -> Vec<SourcedRule<'a>> {
    let mut rules = Vec::with_capacity(spec.http.len());
    for (index, rule) in spec.http.iter().enumerate() {
        let path = format!("spec.http[{index}]");
        let Some(delegate) = &rule.delegate else {
            rules.push(SourcedRule { rule: Cow::Borrowed(rule), owner: Cow::Borrowed(key), path });
            continue;
        };
        match delegated(context, key, rule, delegate, &path, reports) {
            Ok(merged) => rules.extend(merged),
            Err(problem) => {
                reports.push(Report { object: key.clone(), field: format!("{path}.delegate"), problem });
            }
        }
    }
    rules
}

fn delegated<'a>(
    context: &Context<'a>,
    root: &ObjectKey,
    rule: &HttpRoute,
    delegate: &Delegate,
    path: &str,
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
    let mut merged = Vec::with_capacity(spec.http.len());
    for (index, own) in spec.http.iter().enumerate() {
        let Some(rule) = merge(rule, &root.namespace, own, namespace) else {
            let problem = Problem::DelegateConflict { delegate: full.clone(), rule: index };
            reports.push(Report { object: root.clone(), field: format!("{path}.match"), problem });
            continue;
        };
        merged.push(SourcedRule {
            rule: Cow::Owned(rule),
            owner: Cow::Owned(owner.clone()),
            path: format!("spec.http[{index}]"),
        });
    }
    Ok(merged)
}

/// The root's rule with a delegate's: whole fields, the delegate's first. Nothing if their conditions exclude each
/// other.
fn merge(root: &HttpRoute, root_namespace: &str, own: &HttpRoute, own_namespace: &str) -> Option<HttpRoute> {
    let matches = merge_matches(&literal(&root.matches, root_namespace), &literal(&own.matches, own_namespace))?;
    let mirrored = own.mirror.is_some() || !own.mirrors.is_empty();
    let mirrors = if mirrored { own } else { root };
    Some(HttpRoute {
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
    })
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

/// Every pair that fits together. A delegate's entry that fits nothing takes its whole rule with it.
fn merge_matches(root: &[HttpMatchRequest], own: &[HttpMatchRequest]) -> Option<Vec<HttpMatchRequest>> {
    if root.is_empty() || own.is_empty() {
        return Some(if own.is_empty() { root.to_vec() } else { own.to_vec() });
    }
    let mut merged = Vec::new();
    for own in own {
        let before = merged.len();
        merged.extend(root.iter().filter(|root| !conflict(root, own)).map(|root| both(root, own)));
        if merged.len() == before {
            return None;
        }
    }
    Some(merged)
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
