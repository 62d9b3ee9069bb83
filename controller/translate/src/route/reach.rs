//! Rules and match entries that can never decide because earlier ones of the same VirtualService do
//! (docs/semantics.md §3.20, warnings).

use std::collections::{BTreeSet, HashMap};

use crds::{HttpMatchRequest, HttpRoute, StringMatch};

use crate::budget;
use crate::report::Problem;
use crate::scope::Scope;
use crate::steps;

/// Earlier entries that are looked at for each later one, to tell whether they cover it. This is advice: an entry that is
/// covered by one beyond them is not told so.
const LOOKS: usize = 64;

/// Entries that were seen, findable by all they say and by their path.
#[derive(Default)]
struct Seen<'a> {
    entries: Vec<(&'a HttpMatchRequest, String)>,
    /// By a digest.
    all: HashMap<u64, usize>,
    by_prefix: HashMap<&'a str, Vec<usize>>,
    /// How long the prefixes are.
    lengths: BTreeSet<usize>,
}

impl<'a> Seen<'a> {
    fn add(&mut self, entry: &'a HttpMatchRequest, digest: u64, place: String) {
        if let ("prefix", prefix) = uri(entry) {
            let same = self.by_prefix.entry(prefix).or_default();
            if same.len() < LOOKS {
                same.push(self.entries.len());
            }
            self.lengths.insert(prefix.len());
        }
        self.all.entry(digest).or_insert(self.entries.len());
        self.entries.push((entry, place));
    }

    fn same(&self, entry: &HttpMatchRequest, digest: u64) -> Option<&str> {
        let (earlier, place) = self.entries.get(*self.all.get(&digest)?)?;
        same(earlier, entry).then_some(place)
    }

    fn covering(&self, entry: &HttpMatchRequest) -> Option<&str> {
        let (kind, path) = uri(entry);
        if !matches!(kind, "exact" | "prefix") {
            return None;
        }
        let mut looks = LOOKS;
        for length in self.lengths.range(..=path.len()).take(LOOKS) {
            let same = path.get(..*length).and_then(|prefix| self.by_prefix.get(prefix));
            for index in same.into_iter().flatten() {
                steps::count();
                let (earlier, place) = self.entries.get(*index)?;
                if covers(earlier, entry) {
                    return Some(place);
                }
                looks = looks.checked_sub(1)?;
            }
        }
        None
    }
}

/// Equal for entries that say the same, whatever they are called.
fn digest(entry: &HttpMatchRequest) -> u64 {
    steps::count();
    let port = entry.port.filter(|port| *port != 0);
    budget::digest(&HttpMatchRequest { name: None, stat_prefix: None, port, ..entry.clone() })
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
            let digest = digest(entry);
            let same = seen.same(entry, digest);
            duplicates += usize::from(same.is_some());
            if let Some(earlier) = same.or_else(|| seen.covering(entry)) {
                let earlier = earlier.to_owned();
                at.item("match", position).report(Problem::IneffectiveMatch { earlier });
            }
            // What a delegate makes of its requests is not known here.
            if rule.delegate.is_none() {
                seen.add(entry, digest, format!("http[{index}].match[{position}]"));
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
