//! `corsPolicy`: who may use the route from other origins (docs/semantics.md §3.13).

use std::time::Duration;

use crds::{CorsPolicy, UnmatchedPreflights};
use ir::text::MAX_TEXT_BYTES;
use ir::{Cors, HeaderText, StringMatch};

use super::{headers, regex};
use crate::report::Problem;
use crate::scope::Scope;

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"];

pub(crate) fn translate(cors: Option<&CorsPolicy>) -> Option<Cors> {
    let CorsPolicy {
        allow_origin,
        allow_origins,
        allow_methods,
        allow_headers,
        expose_headers,
        max_age,
        allow_credentials,
        unmatched_preflights,
    } = cors?;
    let mut origins: Vec<StringMatch> = allow_origins.iter().filter_map(origin).collect();
    if origins.is_empty() {
        // The deprecated form: whole origins, `*` for all.
        origins.extend(allow_origin.iter().map(|text| match text.as_str() {
            "*" => StringMatch::Prefix(String::new()),
            text => StringMatch::Exact(text.to_owned()),
        }));
    }
    Some(Cors {
        allow_origins: origins,
        allow_methods: list(allow_methods, is_method)?,
        allow_headers: list(allow_headers, is_header)?,
        expose_headers: list(expose_headers, is_header)?,
        max_age: max_age.as_deref().and_then(|text| crds::duration::parse(text).ok()).map(|age| age.as_secs()),
        allow_credentials: allow_credentials.unwrap_or_default(),
        answer_unmatched_preflights: *unmatched_preflights == UnmatchedPreflights::Ignore,
    })
}

/// The names of a list that are names; nothing if there are more than fit into a head, and with it no policy: pages from
/// elsewhere see nothing then.
fn list(names: &[String], is: fn(&str) -> bool) -> Option<HeaderText> {
    let names: Vec<&str> = names.iter().map(String::as_str).filter(|name| is(name)).collect();
    HeaderText::try_from(names.join(",")).ok()
}

fn is_method(method: &str) -> bool {
    method == "*" || METHODS.contains(&method)
}

fn is_header(name: &str) -> bool {
    name == "*" || headers::is_field_name(name)
}

fn origin(origin: &crds::StringMatch) -> Option<StringMatch> {
    let crds::StringMatch { exact, prefix, regex } = origin;
    match (exact, prefix, regex) {
        // As in Envoy, a star stands for every origin.
        (Some(text), _, _) if text == "*" => Some(StringMatch::Prefix(String::new())),
        (Some(text), _, _) => Some(StringMatch::Exact(text.clone())),
        (None, Some(text), _) => Some(StringMatch::Prefix(text.clone())),
        (None, None, Some(pattern)) => Some(StringMatch::Regex(pattern.clone())),
        (None, None, None) => None,
    }
}

pub(crate) fn validate(cors: &CorsPolicy, at: &mut Scope<'_>) {
    let CorsPolicy {
        allow_origin: _,
        allow_origins,
        allow_methods,
        allow_headers,
        expose_headers,
        max_age,
        allow_credentials: _,
        unmatched_preflights: _,
    } = cors;
    for (index, origin) in allow_origins.iter().enumerate() {
        let mut at = at.item("allowOrigins", index);
        match origin.alternatives() {
            1 => {}
            0 => at.missing("an origin needs one of exact, prefix and regex"),
            _ => at.conflict("only one of exact, prefix and regex is allowed"),
        }
        if origin.prefix.as_deref() == Some("") {
            at.field("prefix").missing("a prefix cannot be empty here");
        }
        if let Some(pattern) = &origin.regex {
            regex::validate(pattern, &mut at.field("regex"));
        }
    }
    for (index, method) in allow_methods.iter().enumerate() {
        if !is_method(method) {
            at.item("allowMethods", index).invalid(method, "a method of HTTP, or *");
        }
    }
    for (field, names) in [("allowHeaders", allow_headers), ("exposeHeaders", expose_headers)] {
        for (index, name) in names.iter().enumerate() {
            if !is_header(name) {
                at.item(field, index).invalid(name, "the name of a header, or *");
            }
        }
        let length = names.iter().map(|name| name.len() + 1).sum();
        if length > MAX_TEXT_BYTES {
            at.field(field).report(Problem::TextTooLong { length, limit: MAX_TEXT_BYTES });
        }
    }
    if let Some(text) = max_age {
        let mut at = at.field("maxAge");
        let age = at.duration_of_at_least(text, Duration::from_millis(1));
        if age.is_some_and(|age| age.subsec_nanos() != 0) {
            at.invalid(text, "a number of whole seconds");
        }
    }
}
