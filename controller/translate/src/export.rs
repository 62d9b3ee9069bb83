//! Who sees what: `exportTo` and its defaults (docs/semantics.md §1.4).

use std::collections::BTreeSet;

use crate::scope::Scope;

/// An object's `exportTo`, or the mesh's default for its kind where it has none; of a default only `*` and `.` count.
pub(crate) struct Exports<'a> {
    written: &'a [String],
    default: &'a [String],
}

impl<'a> Exports<'a> {
    pub(crate) fn new(written: &'a [String], default: &'a [String]) -> Self {
        Self { written, default }
    }

    /// Whether a consumer in that namespace sees an object of namespace `own`.
    pub(crate) fn visible(&self, own: &str, consumer: &str) -> bool {
        self.tier(own, consumer).is_some()
    }

    /// 0 private to the consumer's namespace, 1 exported to it by name, 2 public; nothing when not visible.
    pub(crate) fn tier(&self, own: &str, consumer: &str) -> Option<u8> {
        let has = |text: &str| self.effective().any(|entry| entry == text);
        if has("*") {
            Some(2)
        } else if own == consumer && (has(".") || has(consumer)) {
            Some(0)
        } else {
            has(consumer).then_some(1)
        }
    }

    /// Whether only the own namespace sees it.
    pub(crate) fn is_private(&self, own: &str) -> bool {
        self.effective().all(|entry| entry == "." || entry == own)
    }

    /// The set of namespaces, for comparing.
    pub(crate) fn set(&self, own: &'a str) -> BTreeSet<&'a str> {
        self.effective().map(|entry| if entry == "." { own } else { entry }).collect()
    }

    fn effective(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let (entries, is_default): (&'a [String], bool) = match (self.written, self.default) {
            ([], []) => (&[], true),
            ([], default) => (default, true),
            (written, _) => (written, false),
        };
        let public = (is_default && entries.is_empty()).then_some("*");
        let named = entries.iter().map(String::as_str);
        public.into_iter().chain(named.filter(move |entry| !is_default || matches!(*entry, "*" | ".")))
    }
}

/// Checks `exportTo`; `none_allowed` tells whether `~` is.
pub(crate) fn validate(entries: &[String], own: &str, none_allowed: bool, at: &mut Scope<'_>) {
    let mut seen = BTreeSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let mut at = at.item("exportTo", index);
        match entry.as_str() {
            "*" if entries.len() > 1 => at.conflict("* means every namespace and cannot stand beside others"),
            "~" if !none_allowed => at.invalid("~", "allowed for this kind; use . for the own namespace only"),
            "~" if entries.len() > 1 => at.conflict("~ means no namespace and cannot stand beside others"),
            "*" | "." | "~" => {}
            namespace if crate::hosts::is_dns_label(namespace) => {}
            other => at.invalid(other, "a namespace, *, or ."),
        }
        let meant = if entry == "." { own } else { entry.as_str() };
        if !seen.insert(meant) {
            at.report(crate::Problem::Duplicate { value: entry.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visibility_is_judged_from_the_consumer() {
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for (written, default, own, expected) in [
            ("", "", "shop", Some(2)),
            ("", ".", "shop", None),
            ("", ".", "edge", Some(0)),
            ("", "edge", "shop", None),
            ("*", ".", "shop", Some(2)),
            (".", "", "shop", None),
            (".", "", "edge", Some(0)),
            ("edge", "", "edge", Some(0)),
            ("edge other", "", "shop", Some(1)),
            ("other", "", "shop", None),
            ("~", "", "edge", None),
        ] {
            let (written, default) = (list(written), list(default));
            assert_eq!(Exports::new(&written, &default).tier(own, "edge"), expected, "{written:?} {default:?} {own}");
        }
    }
}
