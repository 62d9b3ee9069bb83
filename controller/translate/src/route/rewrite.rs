//! `rewrite` (docs/semantics.md §3.8).

use crds::{HttpRewrite, RegexRewrite};
use ir::{Authority, PathMatch, PathPiece, PathRewrite, TextError};

use super::regex;
use crate::scope::Scope;

/// What the path becomes. Replacing a prefix is textual, with all that follows from it.
pub(crate) fn path(rewrite: &HttpRewrite, path: Option<&PathMatch>) -> Result<Option<PathRewrite>, TextError> {
    if let Some(RegexRewrite { pattern: Some(pattern), rewrite }) = &rewrite.uri_regex_rewrite {
        let substitution = PathPiece::try_from(rewrite.as_deref().unwrap_or_default())?;
        return Ok(Some(PathRewrite::Regex { pattern: pattern.clone(), substitution }));
    }
    let Some(uri) = rewrite.uri.as_deref().filter(|uri| !uri.is_empty()) else { return Ok(None) };
    let replacement = PathPiece::try_from(uri)?;
    Ok(Some(match path {
        None => PathRewrite::Prefix { matched: 1, replacement },
        Some(PathMatch::Prefix { value, .. }) => PathRewrite::Prefix { matched: value.len(), replacement },
        Some(PathMatch::Exact { .. } | PathMatch::Regex { .. }) => PathRewrite::Full { replacement },
    }))
}

pub(crate) fn authority(rewrite: Option<&HttpRewrite>) -> Option<&str> {
    rewrite?.authority.as_deref().filter(|authority| !authority.is_empty())
}

pub(crate) fn validate(rewrite: &HttpRewrite, at: &mut Scope<'_>) {
    let HttpRewrite { uri, authority, uri_regex_rewrite } = rewrite;
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    if !given(uri) && !given(authority) && uri_regex_rewrite.is_none() {
        at.missing("a rewrite needs at least one of uri, uriRegexRewrite and authority");
    }
    if let Some(uri) = uri {
        at.field("uri").text::<PathPiece>(uri);
    }
    if let Some(authority) = authority.as_deref().filter(|authority| !authority.is_empty()) {
        at.field("authority").text::<Authority>(authority);
    }
    if given(uri) && uri_regex_rewrite.is_some() {
        at.conflict("uri and uriRegexRewrite exclude each other");
    }
    if let Some(RegexRewrite { pattern, rewrite }) = uri_regex_rewrite {
        let mut at = at.field("uriRegexRewrite");
        match pattern.as_deref() {
            None | Some("") => at.field("match").missing("uriRegexRewrite needs match and rewrite"),
            Some(pattern) => regex::validate(pattern, &mut at.field("match")),
        }
        match rewrite.as_deref() {
            None | Some("") => at.field("rewrite").missing("uriRegexRewrite needs match and rewrite"),
            // Groups insert only what the path had, which is why the literal parts are all there is to check.
            Some(rewrite) => at.field("rewrite").text::<PathPiece>(rewrite),
        }
    }
}
