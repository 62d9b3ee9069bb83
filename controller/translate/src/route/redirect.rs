//! `redirect` (docs/semantics.md §3.6).

use crds::{HttpMatchRequest, HttpRedirect, HttpRoute, RedirectPortSelection};
use ir::{PathMatch, Redirect, RedirectPath};

use super::headers;
use crate::report::Problem;
use crate::scope::Scope;

/// Statuses that can be programmed.
const STATUSES: [i64; 5] = [301, 302, 303, 307, 308];

/// Translates a rule's redirect at a server with that port number.
pub(crate) fn translate(redirect: &HttpRedirect, rule: &HttpRoute, path: Option<&PathMatch>, port: u16) -> Redirect {
    let HttpRedirect { uri, prefix_rewrite, authority, port: written, derive_port, scheme, redirect_code } = redirect;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let status = redirect_code.filter(|code| STATUSES.contains(code)).and_then(|code| u16::try_from(code).ok());
    let port = match (written, derive_port) {
        (Some(written), _) => u16::try_from(*written).ok().filter(|port| *port > 0),
        (None, Some(RedirectPortSelection::FromRequestPort)) => Some(port),
        (None, Some(RedirectPortSelection::FromProtocolDefault) | None) => None,
    };
    let full = given(uri).map(|uri| RedirectPath::Full(with_slash(uri)));
    Redirect {
        status: status.unwrap_or(301),
        path: full.or_else(|| prefix_rewrite.as_ref().map(|replacement| new_prefix(path, replacement))),
        authority: given(authority),
        scheme: given(scheme),
        port,
        edits: headers::of_rule(rule.headers.as_deref()),
    }
}

fn with_slash(uri: String) -> String {
    if uri.starts_with('/') { uri } else { format!("/{uri}") }
}

fn new_prefix(path: Option<&PathMatch>, replacement: &str) -> RedirectPath {
    let matched = match path {
        // Without condition the prefix is "/".
        None => 1,
        Some(PathMatch::Prefix { value, .. }) => value.len(),
        // Refused by `validate`; all of the path is what matched.
        Some(PathMatch::Exact { .. } | PathMatch::Regex { .. }) => {
            return RedirectPath::Full(with_slash(replacement.to_owned()));
        }
    };
    RedirectPath::Prefix { matched, replacement: replacement.to_owned() }
}

pub(crate) fn validate(redirect: &HttpRedirect, rule: &HttpRoute, at: &mut Scope<'_>) {
    let HttpRedirect { uri, prefix_rewrite, authority, port, derive_port, scheme, redirect_code } = redirect;
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    if !rule.route.is_empty() {
        at.conflict("a rule has either route or redirect");
    }
    if rule.rewrite.is_some() {
        at.conflict("a redirect cannot be combined with rewrite");
    }
    if rule.fault.is_some() {
        at.conflict("a redirect cannot be combined with fault");
    }
    let somewhere = given(uri)
        || given(prefix_rewrite)
        || given(authority)
        || given(scheme)
        || port.is_some()
        || derive_port.is_some();
    if !somewhere {
        at.missing("a redirect needs at least one of uri, prefixRewrite, authority, scheme and port");
    }
    if given(uri) && given(prefix_rewrite) {
        at.conflict("uri and prefixRewrite exclude each other");
    }
    if given(prefix_rewrite) {
        let is_prefix =
            |entry: &HttpMatchRequest| entry.uri.as_ref().is_none_or(|uri| uri.exact.is_none() && uri.regex.is_none());
        if !rule.matches.iter().all(is_prefix) {
            at.field("prefixRewrite").conflict("prefixRewrite needs every uri match of the rule to be a prefix");
        }
    }
    if port.is_some() && derive_port.is_some() {
        at.conflict("port and derivePort exclude each other");
    }
    if let Some(port) = port {
        at.field("port").port(*port);
    }
    if let Some(scheme) = scheme.as_deref().filter(|scheme| !matches!(*scheme, "" | "http" | "https")) {
        at.field("scheme").invalid(scheme, "http or https");
    }
    if let Some(code) = redirect_code.filter(|code| *code != 0) {
        let mut at = at.field("redirectCode");
        if !(300..=399).contains(&code) {
            at.range(code, 300, 399);
        } else if !STATUSES.contains(&code) {
            let why = "the proxy redirects with 301, 302, 303, 307 and 308 only";
            at.report(Problem::NotProgrammable { value: code.to_string(), why });
        }
    }
}
