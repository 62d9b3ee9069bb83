//! `redirect` (docs/semantics.md §3.6).

use crds::{HttpMatchRequest, HttpRedirect, HttpRoute, RedirectPortSelection};
use ir::{Authority, PathMatch, PathPiece, PathText, Redirect, RedirectPath, RedirectStatus, Scheme, TextError};

use super::headers;
use crate::report::Problem;
use crate::scope::Scope;

/// Statuses that can be programmed.
const STATUSES: [i64; 5] = [301, 302, 303, 307, 308];

/// Translates a rule's redirect at a server with that port number.
pub(crate) fn translate(
    redirect: &HttpRedirect,
    rule: &HttpRoute,
    path: Option<&PathMatch>,
    port: u16,
) -> Result<Redirect, TextError> {
    let HttpRedirect { uri, prefix_rewrite, authority, port: written, derive_port, scheme, redirect_code } = redirect;
    fn given(text: &Option<String>) -> Option<&str> {
        text.as_deref().filter(|text| !text.is_empty())
    }
    let status = redirect_code.and_then(|code| u16::try_from(code).ok()?.try_into().ok());
    let port = match (written, derive_port) {
        (Some(written), _) => u16::try_from(*written).ok().filter(|port| *port > 0),
        (None, Some(RedirectPortSelection::FromRequestPort)) => Some(port),
        (None, Some(RedirectPortSelection::FromProtocolDefault) | None) => None,
    };
    let path = match (given(uri), prefix_rewrite) {
        (Some(uri), _) => Some(RedirectPath::Full(with_slash(uri)?)),
        (None, Some(replacement)) => Some(new_prefix(path, replacement)?),
        (None, None) => None,
    };
    Ok(Redirect {
        status: status.unwrap_or(RedirectStatus::MOVED_PERMANENTLY),
        path,
        authority: given(authority).map(Authority::try_from).transpose()?,
        scheme: given(scheme).map(Scheme::try_from).transpose()?,
        port,
        edits: headers::of_rule(rule.headers.as_deref()),
    })
}

fn with_slash(uri: &str) -> Result<PathText, TextError> {
    if uri.starts_with('/') { uri.try_into() } else { format!("/{uri}").try_into() }
}

fn new_prefix(path: Option<&PathMatch>, replacement: &str) -> Result<RedirectPath, TextError> {
    let matched = match path {
        // Without condition the prefix is "/".
        None => 1,
        Some(PathMatch::Prefix { value, .. }) => value.len(),
        // Refused by `validate`; all of the path is what matched.
        Some(PathMatch::Exact { .. } | PathMatch::Regex { .. }) => {
            return Ok(RedirectPath::Full(with_slash(replacement)?));
        }
    };
    Ok(RedirectPath::Prefix { matched, replacement: PathPiece::try_from(replacement)? })
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
    if let Some(uri) = uri {
        at.field("uri").text::<PathPiece>(uri);
    }
    if let Some(replacement) = prefix_rewrite {
        let mut at = at.field("prefixRewrite");
        at.text::<PathPiece>(replacement);
        if !replacement.is_empty() && !replacement.starts_with('/') {
            at.report(Problem::SlashAdded { path: replacement.clone() });
        }
    }
    if let Some(authority) = authority.as_deref().filter(|authority| !authority.is_empty()) {
        at.field("authority").text::<Authority>(authority);
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
