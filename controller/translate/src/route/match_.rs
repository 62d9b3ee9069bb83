//! `match`: the conditions of an entry (docs/semantics.md §3.3).

use std::collections::BTreeMap;

use crds::{HttpMatchRequest, StringMatch};
use ir::{HeaderMatch, PathMatch, QueryMatch, RouteMatch, ValueMatch};

use super::regex;
use crate::report::Problem;
use crate::scope::Scope;
use crate::steps;

/// How header names begin that mean claims of a token.
const CLAIM: &str = "@request.auth.claims";

/// The conditions of an entry.
pub(crate) struct Conditions {
    pub(crate) matches: RouteMatch,
    /// Whether there are conditions on claims, all of which always hold here.
    pub(crate) has_claims: bool,
}

/// Translates an entry; nothing if it can never match. Conditions on claims are false without token validation, which
/// does not exist yet.
pub(crate) fn translate(entry: &HttpMatchRequest) -> Option<Conditions> {
    let HttpMatchRequest {
        name: _,
        uri,
        scheme,
        method,
        authority,
        headers,
        port: _,
        source_labels: _,
        gateways: _,
        query_params,
        ignore_uri_case,
        without_headers,
        source_namespace: _,
        stat_prefix: _,
    } = entry;
    let mut matches =
        RouteMatch { path: uri.as_ref().and_then(|uri| path(uri, *ignore_uri_case)), ..RouteMatch::default() };
    let mut has_claims = false;
    steps::add(1 + headers.len() + without_headers.len() + query_params.len());
    for (name, pattern) in headers {
        if is_claim(name) {
            return None;
        }
        matches.headers.push(header(name, pattern, false));
    }
    for (name, pattern) in without_headers {
        if is_claim(name) {
            has_claims = true;
        } else {
            matches.headers.push(header(name, pattern, true));
        }
    }
    for (name, pattern) in [(":scheme", scheme), (":method", method), (":authority", authority)] {
        if let Some(pattern) = pattern {
            matches.headers.push(header(name, pattern, false));
        }
    }
    for (name, pattern) in query_params {
        matches.query.push(QueryMatch { name: name.clone(), condition: condition(pattern) });
    }
    Some(Conditions { matches, has_claims })
}

/// A path condition without member is none.
fn path(uri: &StringMatch, ignore_case: bool) -> Option<PathMatch> {
    let StringMatch { exact, prefix, regex } = uri;
    match (exact, prefix, regex) {
        (Some(value), _, _) => Some(PathMatch::Exact { value: value.clone(), ignore_case }),
        (None, Some(value), _) => Some(PathMatch::Prefix { value: value.clone(), ignore_case }),
        (None, None, Some(pattern)) => Some(PathMatch::Regex { pattern: pattern.clone() }),
        (None, None, None) => None,
    }
}

fn header(name: &str, pattern: &StringMatch, invert: bool) -> HeaderMatch {
    HeaderMatch { name: name.to_ascii_lowercase(), condition: condition(pattern), invert }
}

/// No member, and the expression `*`, mean presence (docs/semantics.md §1.7).
fn condition(pattern: &StringMatch) -> ValueMatch {
    let StringMatch { exact, prefix, regex } = pattern;
    match (exact, prefix, regex.as_deref()) {
        (Some(value), _, _) => ValueMatch::Value(ir::StringMatch::Exact(value.clone())),
        (None, Some(value), _) => ValueMatch::Value(ir::StringMatch::Prefix(value.clone())),
        (None, None, None | Some("*")) => ValueMatch::Present,
        (None, None, Some(pattern)) => ValueMatch::Value(ir::StringMatch::Regex(pattern.to_owned())),
    }
}

/// Whether every request fulfils these conditions, in the way Istio tells (docs/semantics.md §2.5).
pub(crate) fn is_catch_all(matches: &RouteMatch) -> bool {
    let RouteMatch { path, headers, query } = matches;
    let any_path = match path {
        None => true,
        Some(PathMatch::Prefix { value, .. }) => value == "/",
        Some(PathMatch::Regex { pattern }) => pattern == ".*",
        Some(PathMatch::Exact { .. }) => false,
    };
    any_path && headers.is_empty() && query.is_empty()
}

pub(crate) fn is_claim(name: &str) -> bool {
    name.get(..CLAIM.len()).is_some_and(|start| start.eq_ignore_ascii_case(CLAIM))
        && name[CLAIM.len()..].starts_with(['.', '['])
}

/// Checks an entry; `on_mesh` tells whether sidecars would use it, too.
pub(crate) fn validate(entry: &HttpMatchRequest, on_mesh: bool, at: &mut Scope<'_>) {
    let HttpMatchRequest {
        name: _,
        uri,
        scheme,
        method,
        authority,
        headers,
        port,
        source_labels,
        gateways,
        query_params,
        ignore_uri_case: _,
        without_headers,
        source_namespace,
        stat_prefix,
    } = entry;
    if let Some(uri) = uri {
        let mut at = at.field("uri");
        alternatives(uri, &mut at);
        if let Some(pattern) = &uri.regex {
            regex::validate(pattern, &mut at.field("regex"));
        }
    }
    for (name, pattern) in [("scheme", scheme), ("method", method), ("authority", authority)] {
        if let Some(pattern) = pattern {
            validate_pattern(pattern, true, &mut at.field(name));
        }
    }
    validate_headers("headers", headers, on_mesh, at);
    validate_headers("withoutHeaders", without_headers, on_mesh, at);
    for (name, pattern) in query_params {
        let mut at = at.entry("queryParams", name);
        if name.is_empty() {
            at.missing("a query parameter needs a name");
        }
        validate_pattern(pattern, true, &mut at);
    }
    if let Some(port) = port {
        at.field("port").range(*port, 0, 65535);
    }
    for (key, value) in source_labels {
        if key.is_empty() || key.contains('*') || value.contains('*') {
            at.entry("sourceLabels", key).invalid(value, "a label; names cannot be empty and * is not allowed");
        }
    }
    super::super::virtual_service::validate_gateways(gateways, at);
    if let Some(namespace) = source_namespace.as_deref().filter(|namespace| !namespace.is_empty())
        && !crate::hosts::is_dns_label(namespace)
    {
        at.field("sourceNamespace").invalid(namespace, "the name of a namespace");
    }
    if stat_prefix.is_some() {
        at.field("statPrefix").not_supported("there are no statistics of its own for this route");
    }
}

fn validate_headers(field: &str, headers: &BTreeMap<String, StringMatch>, on_mesh: bool, at: &mut Scope<'_>) {
    let is_without = field == "withoutHeaders";
    for (name, pattern) in headers {
        steps::count();
        let mut at = at.entry(field, name);
        // Expressions in withoutHeaders are not checked, `*` among them.
        validate_pattern(pattern, !is_without, &mut at);
        if is_claim(name) {
            if on_mesh {
                at.conflict("claims can be matched at gateways only; this VirtualService applies to mesh, too");
            }
            if pattern.alternatives() == 0 {
                at.report(Problem::NotProgrammable {
                    value: name.clone(),
                    why: "a claim can be compared with exact, prefix or regex, not tested for presence",
                });
            }
            at.not_supported(if is_without { "the condition always holds" } else { "this entry never matches" });
        } else if name.is_empty() {
            at.missing("a header needs a name");
        } else if !is_header_name(name) {
            at.invalid(name, "the name of a header: letters, digits and !#$%&'*+-.^_`|~");
        }
    }
}

fn validate_pattern(pattern: &StringMatch, check_regex: bool, at: &mut Scope<'_>) {
    alternatives(pattern, at);
    if pattern.prefix.as_deref() == Some("") {
        at.field("prefix").missing("a prefix cannot be empty here");
    }
    if let Some(pattern) = pattern.regex.as_deref().filter(|_| check_regex) {
        regex::validate(pattern, &mut at.field("regex"));
    }
}

fn alternatives(pattern: &StringMatch, at: &mut Scope<'_>) {
    if pattern.alternatives() > 1 {
        at.conflict("only one of exact, prefix and regex is allowed");
    }
}

/// Token characters, or a pseudo header.
fn is_header_name(name: &str) -> bool {
    let token = name.strip_prefix(':').unwrap_or(name);
    super::headers::is_field_name(token)
}
