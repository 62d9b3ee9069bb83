//! What a path means, by its type (docs/semantics.md §17): exactly it, whole segments that begin with it, or all.

use crds::object::ingress::HTTPIngressPath;
use ir::{PathMatch, RouteMatch};

pub(super) const EXACT: &str = "Exact";
pub(super) const PREFIX: &str = "Prefix";
pub(super) const IMPLEMENTATION_SPECIFIC: &str = "ImplementationSpecific";

/// Where authorities look for the answer that shows who owns a host (RFC 8555 §8.3). They ask over plain HTTP, and until
/// they have their answer there may be no certificate to redirect them to.
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// Which request paths are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Paths<'a> {
    Exact(&'a str),
    /// The path without slashes at its end, and everything below it.
    Below(&'a str),
    All,
}

/// A path of an Ingress, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IngressPath<'a> {
    pub(super) paths: Paths<'a>,
    /// As it was written, which decides the order; nothing for "all of them".
    length: Option<usize>,
}

impl<'a> IngressPath<'a> {
    pub(super) fn new(written: &'a HTTPIngressPath) -> Self {
        let path = written.path.as_deref().unwrap_or_default();
        match written.path_type.as_str() {
            EXACT => Self { paths: Paths::Exact(path), length: Some(path.len()) },
            PREFIX => Self::below(path),
            _ => Self::loosely(path),
        }
    }

    fn below(path: &'a str) -> Self {
        let trimmed = path.trim_end_matches('/');
        let paths = if trimmed.is_empty() { Paths::All } else { Paths::Below(trimmed) };
        Self { paths, length: Some(path.len()) }
    }

    /// The way of Ingresses before there were path types.
    fn loosely(path: &'a str) -> Self {
        if ["", "*", "/*", ".*"].contains(&path) {
            return Self { paths: Paths::All, length: None };
        }
        match path.strip_suffix(".*").or_else(|| path.strip_suffix("/*")) {
            Some(prefix) => Self::below(prefix),
            None => Self { paths: Paths::Exact(path), length: Some(path.len()) },
        }
    }

    /// Sorts longer paths first, of one length exact ones first; `All` without a path last.
    pub(super) fn order(&self) -> impl Ord + use<> {
        (std::cmp::Reverse(self.length), !matches!(self.paths, Paths::Exact(_)))
    }
}

impl Paths<'_> {
    /// Conditions of the routes that together take these paths. Segments need two: the path itself, and what is below.
    pub(super) fn matches(&self) -> Vec<RouteMatch> {
        let exact = |value: &str| PathMatch::Exact { value: value.to_owned(), ignore_case: false };
        let conditions = match self {
            Self::Exact(path) => vec![Some(exact(path))],
            Self::Below(path) => {
                let below = PathMatch::Prefix { value: format!("{path}/"), ignore_case: false };
                vec![Some(exact(path)), Some(below)]
            }
            Self::All => vec![None],
        };
        conditions.into_iter().map(|path| RouteMatch { path, ..RouteMatch::default() }).collect()
    }

    /// Whether this is an exact path that reads like a regular expression, which other controllers take.
    pub(super) fn looks_like_regex(&self) -> bool {
        matches!(self, Self::Exact(path) | Self::Below(path) if path.contains(['(', ')', '[', ']', '|', '^', '$', '*', '\\']))
    }
}

/// Whether a condition takes nothing but answers to challenges.
pub(super) fn is_challenge(path: &PathMatch) -> bool {
    match path {
        PathMatch::Exact { value, .. } | PathMatch::Prefix { value, .. } => value.starts_with(CHALLENGES),
        PathMatch::Regex { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(path_type: &str, path: &'a str, keep: &'a mut HTTPIngressPath) -> IngressPath<'a> {
        *keep = HTTPIngressPath {
            path: Some(path.to_owned()),
            path_type: path_type.to_owned(),
            ..HTTPIngressPath::default()
        };
        IngressPath::new(keep)
    }

    #[test]
    fn types_decide_what_a_path_means() {
        for (path_type, path, expected) in [
            ("Exact", "/a", Paths::Exact("/a")),
            ("Exact", "/", Paths::Exact("/")),
            ("Prefix", "/a", Paths::Below("/a")),
            ("Prefix", "/a/", Paths::Below("/a")),
            ("Prefix", "/", Paths::All),
            ("Prefix", "", Paths::All),
            ("ImplementationSpecific", "/", Paths::Exact("/")),
            ("ImplementationSpecific", "/a", Paths::Exact("/a")),
            ("ImplementationSpecific", "", Paths::All),
            ("ImplementationSpecific", "*", Paths::All),
            ("ImplementationSpecific", "/*", Paths::All),
            ("ImplementationSpecific", ".*", Paths::All),
            ("ImplementationSpecific", "/a/*", Paths::Below("/a")),
            ("ImplementationSpecific", "/a.*", Paths::Below("/a")),
            ("", "/a/*", Paths::Below("/a")),
        ] {
            let mut keep = HTTPIngressPath::default();
            assert_eq!(read(path_type, path, &mut keep).paths, expected, "{path_type} {path:?}");
        }
    }

    #[test]
    fn longer_paths_decide_first_and_exact_ones_before_others() {
        let written = [
            ("ImplementationSpecific", ""),
            ("Prefix", "/"),
            ("Prefix", "/a/b"),
            ("Exact", "/"),
            ("Exact", "/a/b"),
            ("Prefix", "/a/"),
        ];
        let paths: Vec<HTTPIngressPath> = written
            .iter()
            .map(|(path_type, path)| HTTPIngressPath {
                path: Some((*path).to_owned()),
                path_type: (*path_type).to_owned(),
                ..HTTPIngressPath::default()
            })
            .collect();
        let mut read: Vec<IngressPath<'_>> = paths.iter().map(IngressPath::new).collect();
        read.sort_by_key(IngressPath::order);
        let order: Vec<Paths<'_>> = read.into_iter().map(|path| path.paths).collect();
        let (exact, below) = (Paths::Exact("/a/b"), Paths::Below("/a/b"));
        assert_eq!(order, [exact, below, Paths::Below("/a"), Paths::Exact("/"), Paths::All, Paths::All]);
    }
}
