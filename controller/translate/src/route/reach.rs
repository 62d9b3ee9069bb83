//! Rules and match entries that can never decide because earlier ones of the same VirtualService do
//! (docs/semantics.md §3.20, warnings).

use std::collections::HashMap;

use crds::{HttpMatchRequest, HttpRoute, StringMatch};

use crate::report::Problem;
use crate::scope::Scope;

/// Entries that were seen, findable by their path.
#[derive(Default)]
struct Seen<'a> {
    entries: Vec<(&'a HttpMatchRequest, String)>,
    by_uri: HashMap<(&'static str, &'a str), Vec<usize>>,
}

impl<'a> Seen<'a> {
    fn add(&mut self, entry: &'a HttpMatchRequest, place: String) {
        self.by_uri.entry(uri(entry)).or_default().push(self.entries.len());
        self.entries.push((entry, place));
    }

    fn same(&self, entry: &'a HttpMatchRequest) -> Option<&str> {
        self.find(uri(entry), |earlier| same(earlier, entry))
    }

    fn covering(&self, entry: &'a HttpMatchRequest) -> Option<&str> {
        let (kind, path) = uri(entry);
        if !matches!(kind, "exact" | "prefix") {
            return None;
        }
        let ends = path.char_indices().map(|(index, _)| index).chain([path.len()]);
        ends.map(|end| &path[..end]).find_map(|prefix| self.find(("prefix", prefix), |earlier| covers(earlier, entry)))
    }

    fn find(&self, uri: (&'static str, &'a str), fits: impl Fn(&HttpMatchRequest) -> bool) -> Option<&str> {
        let found = self.by_uri.get(&uri)?.iter().find(|index| fits(self.entries[**index].0))?;
        Some(&self.entries[*found].1)
    }
}

pub(crate) fn validate(rules: &[HttpRoute], at: &mut Scope<'_>) {
    let mut seen = Seen::default();
    let mut unconditional = false;
    for (index, rule) in rules.iter().enumerate() {
        let mut at = at.item("http", index);
        if unconditional {
            at.report(Problem::UnreachableRule { why: "an earlier rule has no match and takes every request" });
            continue;
        }
        let mut duplicates = 0;
        for (position, entry) in rule.matches.iter().enumerate() {
            let same = seen.same(entry);
            duplicates += usize::from(same.is_some());
            if let Some(earlier) = same.or_else(|| seen.covering(entry)) {
                let earlier = earlier.to_owned();
                at.item("match", position).report(Problem::IneffectiveMatch { earlier });
            }
            // What a delegate makes of its requests is not known here.
            if rule.delegate.is_none() {
                seen.add(entry, format!("http[{index}].match[{position}]"));
            }
        }
        if duplicates > 0 && duplicates == rule.matches.len() {
            at.report(Problem::UnreachableRule { why: "earlier rules have all of its matches" });
        }
        unconditional = rule.matches.is_empty() && rule.delegate.is_none();
    }
}

fn uri(entry: &HttpMatchRequest) -> (&'static str, &str) {
    match &entry.uri {
        Some(StringMatch { exact: Some(text), .. }) => ("exact", text),
        Some(StringMatch { prefix: Some(text), .. }) => ("prefix", text),
        Some(StringMatch { regex: Some(text), .. }) => ("regex", text),
        Some(_) | None => ("", ""),
    }
}

/// Names do not matter.
fn same(a: &HttpMatchRequest, b: &HttpMatchRequest) -> bool {
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
        ignore_uri_case,
        without_headers,
        source_namespace,
        stat_prefix: _,
    } = a;
    *uri == b.uri
        && *scheme == b.scheme
        && *method == b.method
        && *authority == b.authority
        && *headers == b.headers
        && port.unwrap_or(0) == b.port.unwrap_or(0)
        && *source_labels == b.source_labels
        && *gateways == b.gateways
        && *query_params == b.query_params
        && *ignore_uri_case == b.ignore_uri_case
        && *without_headers == b.without_headers
        && *source_namespace == b.source_namespace
}

/// Whether an entry takes everything that a later one could whose path begins with its prefix: all other conditions
/// are the same or absent.
fn covers(a: &HttpMatchRequest, b: &HttpMatchRequest) -> bool {
    if a.ignore_uri_case != b.ignore_uri_case {
        return false;
    }
    let optional = |a: &Option<_>, b: &Option<_>| a.is_none() || a == b;
    let port = |entry: &HttpMatchRequest| entry.port.filter(|port| *port != 0);
    optional(&a.method, &b.method)
        && optional(&a.scheme, &b.scheme)
        && optional(&a.authority, &b.authority)
        && a.headers.iter().all(|(name, pattern)| b.headers.get(name) == Some(pattern))
        && a.without_headers.iter().all(|(name, pattern)| b.without_headers.get(name) == Some(pattern))
        && a.query_params.iter().all(|(name, pattern)| b.query_params.get(name) == Some(pattern))
        && (port(a).is_none() || port(a) == port(b))
        && (a.gateways.is_empty() || a.gateways == b.gateways)
        && (a.source_labels.is_empty() || a.source_labels == b.source_labels)
        && (a.source_namespace.is_none() || a.source_namespace == b.source_namespace)
}
