//! Host names: short names, wildcards, and what overlaps what (docs/semantics.md §1.2, §1.3).

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use crate::host_index::HostIndex;
use crate::steps;

/// The domain of the cluster's services.
pub(crate) const DOMAIN: &str = "cluster.local";

/// Most bytes of a name.
pub(crate) const LONGEST: usize = 255;

/// The text a wildcard host must end with.
pub(crate) fn tail(host: &str) -> Option<&str> {
    host.strip_prefix('*')
}

/// Whether every name meant by `a` is meant by `b`.
pub(crate) fn subset_of(a: &str, b: &str) -> bool {
    match (tail(a), tail(b)) {
        (None, None) => a == b,
        (_, Some(tail)) => a.len() >= b.len() && a.ends_with(tail),
        (Some(_), None) => false,
    }
}

/// For every overlapping pair the more specific host, each once, in the order of our hosts and then of theirs
/// (docs/semantics.md §2.5 step 2).
pub(crate) fn intersection<'a>(
    ours: &[&HostIndex],
    text: impl Fn(usize) -> &'a str,
    theirs: &[Cow<'a, str>],
) -> Vec<String> {
    let mut both: HashMap<&str, (usize, usize)> = HashMap::new();
    let mut add = |host, place| {
        let known = both.entry(host).or_insert(place);
        *known = place.min(*known);
    };
    for (index, their) in theirs.iter().enumerate() {
        steps::count();
        for ours in ours {
            for our in ours.covered(their) {
                add(text(our), (our, index));
            }
        }
        if let Some(our) = ours.iter().flat_map(|ours| ours.covering(their)).min() {
            add(their, (our, index));
        }
    }
    let mut both: Vec<(&str, (usize, usize))> = both.into_iter().collect();
    both.sort_by_key(|(_, place)| *place);
    both.into_iter().map(|(host, _)| host.to_owned()).collect()
}

/// The namespace that a name below the domain of the cluster's services belongs to: `prod` for
/// `api.prod.svc.cluster.local`, whatever is in front of it.
pub(crate) fn cluster_namespace(host: &str) -> Option<&str> {
    let end = host.len().checked_sub(DOMAIN.len() + ".svc.".len())?;
    let suffix = host.get(end..)?;
    if !suffix.eq_ignore_ascii_case(&format!(".svc.{DOMAIN}")) {
        return None;
    }
    let namespace = host[..end].rsplit('.').next()?;
    (!namespace.is_empty() && namespace != "*").then_some(namespace)
}

/// The full name of a host written in an object of that namespace.
pub(crate) fn resolve<'a>(host: &'a str, namespace: &str) -> Cow<'a, str> {
    if host.contains('.') || host.starts_with('*') || host.is_empty() || is_ip(host) {
        return Cow::Borrowed(host);
    }
    Cow::Owned(format!("{host}.{namespace}.svc.{DOMAIN}"))
}

/// Name and namespace of the Kubernetes service a host can stand for.
pub(crate) fn kubernetes_service(host: &str) -> Option<(&str, &str)> {
    let rest = host.strip_suffix(DOMAIN)?.strip_suffix(".svc.")?;
    let (name, namespace) = rest.split_once('.')?;
    (!name.is_empty() && !namespace.is_empty() && !namespace.contains('.')).then_some((name, namespace))
}

pub(crate) fn is_ip(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

/// Whether the more specific of two wildcard hosts is the first one.
pub(crate) fn more_specific(a: &str, b: &str) -> bool {
    let rank = |host: &str| (host.starts_with('*'), std::cmp::Reverse(host.len()));
    (rank(a), a) < (rank(b), b)
}

/// What is wrong with a name in DNS, wildcards being allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameProblem {
    Empty,
    TooLong,
    Label,
    NumericEnd,
}

impl NameProblem {
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Empty => "a host name; it is empty",
            Self::TooLong => "a host name; at most 255 characters are allowed",
            Self::Label => {
                "a host name: labels of letters, digits and -, 63 characters at most, separated by dots; \
                 * is allowed in the first one only"
            }
            Self::NumericEnd => "a host name; its last label cannot be a number",
        }
    }
}

/// A name that may begin with a wildcard, `*` alone included.
pub(crate) fn check_wildcard_name(name: &str) -> Result<(), NameProblem> {
    if name == "*" {
        return Ok(());
    }
    let Some((first, rest)) = name.split_once('.') else { return check_labels(name, true) };
    if let Some(partial) = first.strip_prefix('*') {
        if !partial.is_empty() && !is_label(partial.strip_prefix('-').unwrap_or(partial)) {
            return Err(NameProblem::Label);
        }
        if name.len() > 255 {
            return Err(NameProblem::TooLong);
        }
        return check_labels(rest, false);
    }
    check_labels(name, false)
}

/// A full name without wildcards.
pub(crate) fn check_name(name: &str) -> Result<(), NameProblem> {
    check_labels(name, false)
}

fn check_labels(name: &str, wildcard: bool) -> Result<(), NameProblem> {
    if name.is_empty() {
        return Err(NameProblem::Empty);
    }
    if name.len() > 255 {
        return Err(NameProblem::TooLong);
    }
    let mut labels: Vec<&str> = name.split('.').collect();
    if labels.len() > 1 && labels.last() == Some(&"") {
        labels.pop();
    }
    for (index, label) in labels.iter().enumerate() {
        let label = if wildcard && index == 0 { label.strip_prefix('*').unwrap_or(label) } else { label };
        if !is_label(label.strip_prefix('-').filter(|_| wildcard && index == 0).unwrap_or(label)) {
            return Err(NameProblem::Label);
        }
    }
    match labels.last() {
        Some(last) if last.bytes().all(|byte| byte.is_ascii_digit()) => Err(NameProblem::NumericEnd),
        _ => Ok(()),
    }
}

/// A label of a host name; upper case is accepted.
pub(crate) fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// A label as Kubernetes wants names to be. Istio's own check takes upper case, too.
pub(crate) fn is_dns_label(label: &str) -> bool {
    is_label(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_textual() {
        for (a, b, expected) in [
            ("a.test", "a.test", true),
            ("a.test", "b.test", false),
            ("*.test", "a.test", true),
            ("*.test", "test", false),
            ("*", "a", true),
            ("*.a.test", "*.test", true),
            ("*.a.test", "*.b.test", false),
            ("*a.test", "*.a.test", true),
        ] {
            for (a, b) in [(a, b), (b, a)] {
                let mut index = HostIndex::default();
                index.insert(a, 0);
                assert_eq!(index.overlapping(b).is_some(), expected, "{a} {b}");
            }
        }
    }

    #[test]
    fn subsets_are_not_symmetric() {
        for (a, b, expected) in [
            ("a.test", "*.test", true),
            ("*.test", "a.test", false),
            ("*.a.test", "*.test", true),
            ("*.test", "*.a.test", false),
            ("*", "*", true),
            ("a.test", "*", true),
        ] {
            assert_eq!(subset_of(a, b), expected, "{a} in {b}");
        }
    }

    #[test]
    fn the_more_specific_of_each_pair_remains() {
        let both = |ours: &[&str], theirs: &[&str]| {
            let theirs: Vec<Cow<'_, str>> = theirs.iter().map(|host| Cow::Borrowed(*host)).collect();
            let mut index = HostIndex::default();
            ours.iter().enumerate().for_each(|(position, host)| index.insert(host, position));
            intersection(&[&index], |position| ours[position], &theirs)
        };
        assert_eq!(both(&["*.foo.com"], &["a.foo.com"]), ["a.foo.com"]);
        assert_eq!(both(&["a.foo.com"], &["*.foo.com"]), ["a.foo.com"]);
        assert_eq!(both(&["a.com", "b.com"], &["*"]), ["a.com", "b.com"]);
        assert!(both(&["a.com"], &["b.com"]).is_empty());
    }

    #[test]
    fn short_names_get_the_namespace_of_the_rule() {
        assert_eq!(resolve("reviews", "shop"), "reviews.shop.svc.cluster.local");
        assert_eq!(resolve("reviews.prod", "shop"), "reviews.prod");
        assert_eq!(resolve("*", "shop"), "*");
        assert_eq!(resolve("::1", "shop"), "::1");
        assert_eq!(kubernetes_service("a.b.svc.cluster.local"), Some(("a", "b")));
        assert_eq!(kubernetes_service("a.b.c.svc.cluster.local"), None);
        assert_eq!(kubernetes_service("svc.cluster.local"), None);
        for (host, namespace) in [
            ("api.prod.svc.cluster.local", Some("prod")),
            ("0.db.prod.SVC.cluster.local", Some("prod")),
            ("*.prod.svc.cluster.local", Some("prod")),
            ("*.svc.cluster.local", None),
            ("api.prod", None),
        ] {
            assert_eq!(cluster_namespace(host), namespace, "{host}");
        }
    }

    #[test]
    fn names_are_checked_as_istio_does() {
        for name in ["a.test", "A.Test", "a.test.", "*.a.test", "*foo.test", "*-foo.test", "*", "localhost"] {
            assert_eq!(check_wildcard_name(name), Ok(()), "{name}");
        }
        for name in ["", "a_b.test", "a..test", "-a.test", "a.*.test", "a.test:80", "a.1", "b/c.test", "**.test"] {
            assert!(check_wildcard_name(name).is_err(), "{name}");
        }
    }
}
